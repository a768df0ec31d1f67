"""MPEG audio (MP3 and layers I and II), frame by frame: where streams begin, how many frames there really are, what is damaged.

A header may state a length (Xing/Info, VBRI) or none, and that covers the stream that it begins, not one that
was appended. ISO/IEC 11172-3 and 13818-3; Xing and LAME tags as LAME writes them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise

from .content import Content
from .parts import Frames, Part

_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # by version: 1, 2, 2.5
_BITRATES = {  # kbit/s by (version 1?, layer)
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_BITRATES[False, 3] = _BITRATES[False, 2]
_FIXED = 0xFE0C  # of header bytes 1 and 2: version, layer and rate, which one stream keeps
_SLACK = 2  # frames by which an encoder may count wrongly
DECODER_DELAY = 529  # samples
_SIGNS = (b"\xff", b"ID3", b"TAG")  # with which frames or a tag begin
_NOT_AUDIO = (b"TAG", b"APET", b"LYRI", b"ID3")


@cache
def _length(value: int) -> int:
    """Return the bytes of a frame by its header's bytes 1 and 2; 0 where there is none such."""
    version, layer = value >> 11 & 3, 4 - (value >> 9 & 3)
    bitrate, rate, padding = value >> 4 & 15, value >> 2 & 3, value >> 1 & 1
    if value >> 13 != 7 or version == 1 or layer == 4 or bitrate in (0, 15) or rate == 3:
        return 0
    bits = _BITRATES[version == 3, layer][bitrate - 1] * 1000
    if layer == 1:
        return (12 * bits // _RATES[version][rate] + padding) * 4
    return _samples(version, layer) // 8 * bits // _RATES[version][rate] + padding


def _samples(version: int, layer: int) -> int:
    return 384 if layer == 1 else 1152 if layer == 2 or version == 3 else 576


def _length_at(content: Content, at: int) -> int:
    """Return the bytes of the frame at a position by its header, 0 where none begins."""
    head = content.at(at, 3)
    return _length(int.from_bytes(head[1:], "big")) if len(head) == 3 and head[0] == 0xFF else 0


def is_frame(content: Content, at: int) -> bool:
    """Tell whether three frames follow each other at a position."""
    fixed = int.from_bytes(content.at(at + 1, 2), "big") & _FIXED
    for _ in range(3):
        length = _length_at(content, at)
        if not length or int.from_bytes(content.at(at + 1, 2), "big") & _FIXED != fixed:
            return False
        at += length
    return True


def end_of_tag(content: Content, at: int) -> int:
    """Return where the ID3v2 tags at a position end."""
    while len(head := content.at(at, 10)) == 10 and head[:3] == b"ID3":
        size = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
        at += 10 + size + (10 if head[5] & 0x10 else 0)
    return at


def behind_tag(content: Content, at: int) -> int:
    """Return where the tag at a position ends, which may be cut short; the position itself where there is none."""
    head = content.at(at, 3)
    if head == b"ID3":
        return max(end_of_tag(content, at), at + 3)
    return at + 128 if head == b"TAG" and content.size - at >= 128 else at


def walk(content: Content, begin: int) -> tuple[list[Part], int]:
    """Return the streams from a position on, and the end of the file: all that follows is looked through for frames."""
    runs = list(_runs(content, begin))
    streams: list[list[_Run]] = []
    for run in runs:
        if streams and not _info_at(run.head) and run.kind == streams[-1][0].kind and not run.after_tag:
            streams[-1].append(run)
        else:
            streams.append([run])
    alone = len(streams) == 1
    return [_part(content, stream, alone, last=stream is streams[-1]) for stream in streams], content.size


def frames_of(content: Content, begin: int, end: int, number: int) -> Iterator[tuple[int, bytes]]:
    """Yield the frames between two positions, numbered from `number` on."""
    while begin < end and (length := _length_at(content, begin)):
        yield number, content.at(begin, length)
        begin, number = begin + length, number + 1


@dataclass
class _Run:
    """Frames that follow each other without a byte between."""

    begin: int
    end: int
    count: int
    kind: int  # what does not change in a stream, as in the headers
    after_tag: bool
    head: bytes  # of its first frame
    doubtful: int  # bytes of a last frame behind which no other one begins, left out


def _runs(content: Content, at: int) -> Iterator[_Run]:
    after_tag = False
    while at < content.size:
        head = content.at(at, 4)
        if (behind := behind_tag(content, at)) > at:
            at, after_tag = behind, True
            continue
        if not _begins(content, at):
            at, after_tag = content.next_of(_SIGNS, at + 1), after_tag or head in _NOT_AUDIO
            continue
        kind, begin, count = _kind(head), at, 0
        while _kind(head) == kind and (length := _length(head[1] << 8 | head[2])):
            previous, at, count = at, at + length, count + 1
            head = content.at(at, 4)
        doubtful = 0
        tagged = content.at(at, 3) in (b"TAG", b"ID3", b"APE", b"LYR")
        if count > 1 and at != content.size and not tagged and (at > content.size or not is_frame(content, at)):
            # the last frame is not whole, as far as can be seen
            doubtful = at - previous if at < content.size else 0
            at, count = previous, count - 1
        yield _Run(begin, min(at, content.size), count, kind, after_tag, content.at(begin, 256), doubtful)
        after_tag = False


def _kind(head: bytes) -> int:
    """Return what does not change in the headers of a stream's frames, 0 for no header; the lowest bit: one channel."""
    return (head[1] << 8 | head[2]) & _FIXED | (head[3] >= 0xC0) if len(head) == 4 and head[0] == 0xFF else 0


def _begins(content: Content, at: int) -> bool:
    """Tell whether frames begin at a position: three in a row, or as many as fit before the end or a tag."""
    if is_frame(content, at):
        return True
    length = _length_at(content, at)
    return bool(length and _info_at(content.at(at, 256))) and at + length <= content.size


@dataclass(frozen=True)
class _Info:
    """Fields of a first frame without sound. frames: that follow it; delay, padding: samples."""

    frames: int | None
    delay: int
    padding: int


def _info_at(head: bytes) -> _Info | None:
    """Return the fields of a stream's first frame, None for a frame of sound."""
    value = int.from_bytes(head[1:3], "big")
    if value >> 9 & 3 != 1:  # layer III alone
        return None
    version, single = value >> 11 & 3, head[3] >> 6 == 3
    side = (17 if single else 32) if version == 3 else (9 if single else 17)
    at = 4 + side + (0 if value >> 8 & 1 else 2)
    if head[at : at + 4] in (b"Xing", b"Info") and len(head) >= at + 8:
        flags = int.from_bytes(head[at + 4 : at + 8], "big")
        frames = int.from_bytes(head[at + 8 : at + 12], "big") if flags & 1 else None
        tag = at + 8 + 4 * (flags & 1) + 4 * (flags >> 1 & 1) + 100 * (flags >> 2 & 1) + 4 * (flags >> 3 & 1)
        both = int.from_bytes(head[tag + 21 : tag + 24], "big")
        known = head[tag : tag + 4] in (b"LAME", b"Lavf", b"Lavc")
        return _Info(frames, both >> 12 if known else 0, both & 0xFFF if known else 0)
    if head[36:40] == b"VBRI" and len(head) >= 54:
        return _Info(struct.unpack_from(">I", head, 50)[0], 0, 0)
    return None


def _part(content: Content, runs: list[_Run], alone: bool, *, last: bool) -> Part:
    kind, info = runs[0].kind, _info_at(runs[0].head)
    version, layer = kind >> 11 & 3, 4 - (kind >> 9 & 3)
    rate, size = _RATES[version][kind >> 2 & 3], _samples(version, layer)
    if info:  # its own frame holds no sound
        first = runs[0]
        length = _length_at(content, first.begin)
        runs = [replace(first, begin=first.begin + length, count=first.count - 1), *runs[1:]]
        if info.frames == sum(run.count for run in runs) + 1 and runs[-1].doubtful:
            end = runs[-1].end + runs[-1].doubtful
            runs = [*runs[:-1], replace(runs[-1], end=end, count=runs[-1].count + 1)]
    facts = info or _Info(None, 0, 0)
    stated = facts.frames or None
    placed, missing = _placed(runs, stated)
    skip = facts.delay + DECODER_DELAY if facts.delay else 0
    drop = max(0, facts.padding - DECODER_DELAY)
    count = placed[-1][2] + placed[-1][3]
    short = stated is not None and stated > count + _SLACK
    behind = runs[-1].end
    broken_off = last and stated is None and content.size - behind >= 4
    broken_off = broken_off and behind + _length_at(content, behind) > content.size
    frames = Frames(placed, layer, rate, size, skip, 0 if short else drop)
    whole = len(runs) == 1 and (stated is None or abs(stated - count) <= _SLACK)
    begin = 0 if alone else runs[0].begin - (length if info else 0)
    end = content.size if alone else runs[-1].end
    return Part(
        (((begin, end),),),
        "any" if whole and not missing else "mpeg",
        (stated * size - skip - drop) / rate if stated is not None and short else None,
        broken_off,
        frames=frames,
    )


def _placed(runs: list[_Run], stated: int | None) -> tuple[tuple[tuple[int, int, int, int], ...], int]:
    """Return the runs with the frames before each, and how many are missing between them.

    Bytes between two runs stand for as many frames as fit there; those that the header stated have the last word.
    """
    total = sum(run.count for run in runs)
    mean = sum(run.end - run.begin for run in runs) / max(total, 1)
    holes = [round((after.begin - before.end) / max(mean, 1)) for before, after in pairwise(runs)]
    if stated and len(holes) == 1 and holes[0] and abs(stated - total - holes[0]) <= 8:
        holes = [max(0, stated - total)]
    placed, before = [], 0
    for run, hole in zip(runs, [*holes, 0], strict=True):
        placed.append((run.begin, run.end, before, run.count))
        before += run.count + hole
    return tuple(placed), sum(holes)
