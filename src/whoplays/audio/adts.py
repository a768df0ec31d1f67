"""AAC in ADTS frames (ISO/IEC 13818-7), which has no clock: where bytes are damaged, and how much time they stand for."""

from __future__ import annotations

from .content import Content
from .mpeg import behind_tag
from .parts import Part

_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_SAMPLES = 1024  # in a frame, before what SBR adds


def is_frame(content: Content, at: int) -> bool:
    """Tell whether two frames follow each other at a position, or one ends the file."""
    length = _length(content.at(at, 7))
    behind = content.at(at + length, 7)
    return bool(length) and (_length(behind) > 0 or behind[:3] in (b"ID3", b"TAG") or at + length == content.size)


def walk(content: Content, begin: int) -> tuple[list[Part], int]:
    """Return the stream from a frame or its tag on, and the end of the file: all that follows is looked through for frames."""
    runs: list[tuple[int, int]] = []
    starts: list[float] = []
    at, lost, seconds, frames, size, rate = begin, 0, 0.0, 0, 0, 0
    while at < content.size:
        head = content.at(at, 7)
        if (behind := behind_tag(content, at)) > at:
            at = behind
        elif not is_frame(content, at):
            at, lost = at + 1, lost + 1
        else:
            if lost:
                seconds += round(lost * frames / size) * _SAMPLES / rate
            lost = 0
            length, rate = _length(head), _RATES[head[2] >> 2 & 15]
            if runs and runs[-1][1] == at:
                runs[-1] = (runs[-1][0], at + length)
            else:
                runs.append((at, at + length))
                starts.append(seconds)
            at, seconds, frames, size = at + length, seconds + _SAMPLES / rate, frames + 1, size + length
    if len(runs) == 1:
        return [Part((((begin, content.size),),), "any", cut=lost > 0)], content.size
    return [Part(tuple((run,) for run in runs), "ffmpeg", cut=lost > 0, starts=tuple(starts))], content.size


def _length(head: bytes) -> int:
    """Return the bytes of the frame with this header, 0 for none."""
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0 or head[2] >> 2 & 15 >= len(_RATES):
        return 0
    length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return length if length > 7 else 0
