"""What libsndfile decodes (WAV, FLAC, Ogg, Opus, MP3, AIFF ...), and MPEG audio frame by frame.

Of what libsndfile gives up FFmpeg (ffmpeg.py) still decodes what can be decoded.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import AudioError
from .clock import BLOCK_S, Array, Block, Clock, gathered
from .content import Content
from .ffmpeg import FFmpegReader, samples_of
from .mpeg import frames_of
from .parts import Gap, Part
from .reader import AudioInfo, Reader, check_disk, load_av, one_line
from .watchedfile import WatchedFile


class SoundFileReader(Reader):
    """What libsndfile decodes. Raises libsndfile's errors for what it cannot open."""

    def __init__(self, source: Any, watched: WatchedFile | None, part: Part | None = None) -> None:
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
                check_disk(self._watched)
                at += len(block)
                yield block, rate
        except self._damage as error:
            check_disk(self._watched)
            yield from self._rest(at / rate, error)
            return
        check_disk(self._watched)
        if self._part:
            Clock(at / rate, self.gaps).end(self._part.claimed_s, cut=self._part.cut)

    def _rest(self, at: float, error: BaseException) -> Iterator[Block]:
        av = load_av()
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


class MpegReader(Reader):
    """MPEG audio frame by frame, for streams whose header tells no length or a wrong one, and for damaged ones."""

    def __init__(self, content: Content, part: Part) -> None:
        """content: of the file; part: has frames."""
        av = load_av()
        av.logging.set_level(av.logging.PANIC)
        assert part.frames
        self._content, self._part, self._frames = content, part, part.frames
        self.gaps = []
        head = content.at(self._frames.runs[0][0], 4)
        channels = 1 if head[3] >> 6 == 3 else 2
        self.info = AudioInfo(self._frames.samples / self._frames.rate, self._frames.rate, channels, "MP3")

    def blocks(self, *, start: float = 0.0) -> Iterator[Block]:
        """Yield blocks of about a second."""
        yield from gathered(self._timed(start))

    def _timed(self, start: float) -> Iterator[Block]:
        frames = self._frames
        clock = Clock(start, self.gaps)
        last = frames.samples
        for number, samples in self._decoded(max(0, int(start * frames.rate) // frames.size - 12)):
            if samples is None:
                clock.broken("frames are damaged")
                continue
            at = number * frames.size - frames.skip
            samples = samples[max(0, -at) : max(0, last - at)]
            if len(samples):
                if len(samples) < frames.size:
                    at = max(at, 0)
                yield from clock.place(samples, frames.rate, at / frames.rate)
        clock.end(self._part.claimed_s, cut=self._part.cut)

    def _decoded(self, first: int) -> Iterator[tuple[int, Array | None]]:
        """Yield the number and samples of frames, None for damaged ones, from the first that is asked for."""
        import av

        codec: Any = None
        for begin, end, before, count in self._frames.runs:
            if before + count <= first:
                continue
            codec = av.CodecContext.create(("mp1float", "mp2float", "mp3float")[self._frames.layer - 1], "r")
            for number, data in frames_of(self._content, begin, end, before):
                if number < first:
                    continue
                try:
                    found = [frame for frame in codec.decode(av.Packet(data))]
                except av.FFmpegError:
                    found = []
                yield number, np.concatenate([samples_of(frame) for frame in found]) if found else None
