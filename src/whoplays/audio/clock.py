"""When decoded blocks play: at the times of their container, with silence and a `Gap` where some are lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .parts import Gap
from .quality import ENDS

Array = NDArray[np.float32]
Block = tuple[Array, int]  #: samples (n, channels) and their rate in Hz
BLOCK_S = 1.0  # seconds decoded at a time
JITTER_S = 0.05  # by which a container's clock and the samples may disagree
BACKWARDS_S = 0.1  # a clock that goes back by more begins anew: another stream was appended
MOST_MISSING_S = 3600.0  # in a stream; a clock that leaps by more begins anew
CUT_S = 0.1  # a stream that ends so much before its header's end was cut short
PREROLL_S = 1.0


class Clock:
    """Places blocks where the container says that they belong: silence before late ones, with a `Gap` where some are lost."""

    def __init__(self, start: float, gaps: list[Gap]) -> None:
        """start: seconds at which what is placed is to begin; all before is dropped."""
        self._start, self._gaps = start, gaps
        self._at: float | None = None  # the end of what was placed or dropped
        self._shift = 0.0  # of the container's times, since its clock began anew
        self._cause = ""
        self._decoded = False
        self._filled = 0.0  # seconds of silence, which a few bytes could ask for

    def broken(self, cause: str) -> None:
        """Note that something could not be decoded here: the next block may come late for that."""
        self._cause = self._cause or cause

    def is_before(self, time: float, duration: float) -> bool:
        """Tell whether a packet ends too early to matter, so that it need not be decoded."""
        ends = time + self._shift + float(duration)
        if self._start <= 0 or ends >= self._start - PREROLL_S:
            return False
        if self._at is not None and time + self._shift < self._at - BACKWARDS_S:
            self._shift = self._at - time
            return self.is_before(time, duration)
        self._at = ends
        return True

    def place(self, samples: Array, rate: int, time: float | None) -> Iterator[Block]:
        """Yield samples (n, channels) that begin at `time` by the container's clock (None: they follow), and what is missing."""
        length = len(samples) / rate
        if self._at is None:
            self._at = min(self._start, 0.0 if time is None else time)
        at = self._at if time is None else time + self._shift
        missing = at - self._at
        if missing < -BACKWARDS_S or missing > MOST_MISSING_S - self._filled:
            self._shift -= missing
            missing = 0.0
        elif self._at + missing < self._start:  # what was passed over or comes from a jump is not placed by its length
            self._at, missing = self._at + missing, 0.0
        if missing > (0.5 * length if self._cause else JITTER_S):
            yield from self._silence(missing, rate, samples.shape[1])
        elif self._cause and self._at + length > self._start:
            note(self._gaps, max(self._at, self._start), self._at + length, self._cause)
        self._cause, self._decoded = "", True
        yield from self._from_start(samples, rate)

    def _silence(self, seconds: float, rate: int, channels: int) -> Iterator[Block]:
        assert self._at is not None
        self._filled += seconds
        end = self._at + seconds
        if (self._decoded or self._cause) and end > self._start:
            note(self._gaps, max(self._at, self._start), end, self._cause or "nothing is there")
        left = round(seconds * rate)
        while left > 0:
            size = min(left, rate)
            yield from self._from_start(np.zeros((size, channels), dtype=np.float32), rate)
            left -= size
        self._at = end

    def _from_start(self, samples: Array, rate: int) -> Iterator[Block]:
        assert self._at is not None
        skip = max(0, round((self._start - self._at) * rate))
        self._at += len(samples) / rate
        if len(samples) > skip:
            yield samples[skip:], rate

    def end(self, claimed: float | None, *, cut: bool) -> None:
        """Note what could not be decoded at the end, and what a header claims and did not come."""
        at = max(self._at or 0.0, self._start)
        if claimed is not None and at < claimed - CUT_S:
            note(self._gaps, at, claimed, ENDS)
        elif self._cause or cut:
            note(self._gaps, at, None, ENDS)


def note(gaps: list[Gap], start: float, end: float | None, cause: str) -> None:
    """Add a gap, joined to the last one where it follows that."""
    last = gaps[-1] if gaps else None
    if last and last.end is not None and start - last.end < CUT_S:
        gaps[-1] = Gap(last.start, None if end is None else max(end, last.end), last.cause)
    else:
        gaps.append(Gap(start, end, cause))


class ComputedTimes:
    """Tells times that are in the container from those that FFmpeg computes for the packets between.

    It adds to the time of the one before what that should last at the stream's first rate, which is wrong once that changed.
    """

    def __init__(self) -> None:
        """Begin a stream."""
        self._next: int | None = None  # what would be computed for the next packet
        self._right = True  # whether each length since the last stated time was that of its samples

    def is_right(self, packet: Any, frames: list[Any]) -> bool:
        """Tell whether the time of a packet, of which these frames were decoded, says anything."""
        right = self._right or packet.pts != self._next
        if packet.pts is not None and packet.duration:
            self._next = packet.pts + packet.duration
            seconds, decoded = float(packet.duration * packet.time_base), sum(f.samples / f.sample_rate for f in frames)
            self._right = right and (not frames or abs(decoded - seconds) < 0.02 * seconds)
        return right


def gathered(blocks: Iterable[Block]) -> Iterator[Block]:
    """Yield blocks of about a second for small ones; each of one rate and number of channels."""
    held: list[Array] = []
    size, kind = 0, (0, 0)
    for samples, rate in blocks:
        if held and (kind != (rate, samples.shape[1]) or size >= BLOCK_S * rate):
            yield np.concatenate(held), kind[0]
            held, size = [], 0
        kind = (rate, samples.shape[1])
        held.append(samples)
        size += len(samples)
    if held:
        yield np.concatenate(held), kind[0]
