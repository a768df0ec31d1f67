"""Blocks of samples -> overlapping windows: each sees some sound on both sides of what it answers for.

A network that reads a window knows least at its ends, where the sound before or after is missing. So windows overlap by
twice a `context`, and each answers only for its middle (the first also for the beginning, the last also for the end).
The last window ends with the recording, however much it overlaps the one before: every window of a recording that is
long enough is full.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Window:
    """A stretch of a recording.

    Attributes
    ----------
    samples : ndarray of float32, shape (n,)
        What the network reads.
    start : int
        The first of them, counted in samples from the start of the recording.
    first, last : int
        The part that the window answers for, from `first` up to `last`, likewise.
    """

    samples: Array
    start: int
    first: int
    last: int

    @property
    def middle(self) -> Array:
        """The samples (n,) that the window answers for."""
        return self.samples[self.first - self.start : self.last - self.start]


def windows(blocks: Iterable[Array], length: int, context: int = 0) -> Iterator[Window]:
    """Yield the windows of a recording as its samples arrive.

    Parameters
    ----------
    blocks : iterable of ndarray, shape (n,)
        The recording, in pieces of any size.
    length : int
        Samples in a window. A shorter recording gives one window, as short as it is.
    context : int
        Samples at each end of a window that it does not answer for; less than half of `length`.

    Yields
    ------
    Window
        Their parts `first` to `last` follow each other without a gap and cover the whole recording.
    """
    hop = length - 2 * context
    waiting: list[Array] = []
    passed = np.zeros(0, np.float32)
    size = start = done = 0
    for block in blocks:
        waiting.append(block)
        size += len(block)
        if size <= length:
            continue
        held = np.concatenate(waiting)
        while held.size > length:  # more follows, so this window is not the last
            yield Window(held[:length], start, done, start + length - context)
            done, start = start + length - context, start + hop
            passed, held = held[:hop], held[hop:]
        waiting, size = [held], held.size
    if start + size > done:
        missing = min(length - size, passed.size)
        samples = np.concatenate([passed[passed.size - missing :], *waiting])
        yield Window(samples, start - missing, done, start + size)
