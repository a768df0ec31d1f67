"""What libsndfile decodes: WAV, FLAC, Ogg, Opus, MP3, AIFF ...

Of what it gives up FFmpeg (ffmpeg.py) still decodes what can be decoded.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from ..errors import AudioError
from .clock import BLOCK_S, Block, Clock
from .content import WatchedFile
from .parts import Gap, Part
from .reader import AudioInfo, Reader, load_av, one_line


class SoundFileReader(Reader):
    """What libsndfile decodes. Raises libsndfile's errors for what it cannot open."""

    def __init__(self, source: Any, watched: WatchedFile, part: Part) -> None:
        """source: a file, or a path; watched: what notes its failed reads."""
        import soundfile

        self._damage = (soundfile.LibsndfileError, RuntimeError, ValueError, OSError)
        self._source, self._watched, self._part = source, watched, part
        self.gaps = []
        self._file = soundfile.SoundFile(source)
        frames, rate = self._file.frames, self._file.samplerate
        self.frames = frames  # by the header
        seconds = frames / rate if 0 <= frames < 2**62 else None
        self.info = AudioInfo(seconds, rate, self._file.channels, self._file.format)

    def blocks(self, *, start: float = 0.0) -> Iterator[Block]:
        """Yield blocks of a second. What libsndfile gives up FFmpeg goes on with."""
        rate = self.info.sample_rate
        size, at = max(1, round(BLOCK_S * rate)), min(round(start * rate), self._file.frames)
        try:
            if start > 0:
                self._file.seek(at)
            while len(block := self._file.read(size, dtype="float32", always_2d=True)):
                self._watched.check()
                at += len(block)
                yield block, rate
        except self._damage as error:
            self._watched.check()
            yield from self._rest(at / rate, error)
            return
        self._watched.check()
        Clock(at / rate, self.gaps).end(self._part.claimed_s, cut=self._part.cut)

    def _rest(self, at: float, error: BaseException) -> Iterator[Block]:
        av = load_av()
        from .ffmpeg import FFmpegReader

        try:
            if hasattr(self._source, "seek"):
                self._source.seek(0)
            rest = FFmpegReader([self._source], self._watched, self._part)
        except (AudioError, av.FFmpegError, OSError, ValueError):
            self.gaps.append(Gap(at, self.info.duration, one_line(error)))
            return
        rest.gaps = self.gaps
        with contextlib.closing(rest):
            yield from rest.blocks(start=at)

    def close(self) -> None:
        """Release the file."""
        self._file.close()
