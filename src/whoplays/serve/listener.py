"""The Recogniser, watched: each window passes a caller's eye before it is heard. Same code, so same scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..inference.recogniser import Array, Prediction, Recogniser
from ..inference.windows import Window

PEAK_SAMPLES = 256
COLUMNS = 1200  # of a waveform or curve that goes to a page


class Listener(Recogniser):
    """A `Recogniser` that shows its windows, and hears blocks as they come. One thread at a time."""

    #: called with each block (n,) at the model's rate as it comes, and with each window before it is heard;
    #: what they raise ends the hearing
    on_block: Callable[[Array], None] | None = None
    on_window: Callable[[Array], None] | None = None

    def _windows(self, blocks: Iterable[Array]) -> Iterator[Window]:
        for window in super()._windows(_seen(blocks, self.on_block)):
            if self.on_window:
                self.on_window(window.samples[window.first - window.start : window.last - window.start])
            yield window


def _seen(blocks: Iterable[Array], look: Callable[[Array], None] | None) -> Iterator[Array]:
    for block in blocks:
        if look:
            look(block)
        yield block


class Peaks:
    """The outline of a recording: its largest level in short steps, gathered window by window."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._found: list[Array] = []

    def add(self, samples: Array) -> None:
        """Take in samples (n,)."""
        if len(samples):
            starts = np.arange(0, len(samples), PEAK_SAMPLES)
            self._found.append(np.maximum.reduceat(np.abs(samples), starts))

    def columns(self) -> list[float]:
        """Return at most `COLUMNS` levels (0 and up) for the whole."""
        return np.round(_reduced(np.concatenate(self._found)), 3).tolist() if self._found else []


def _reduced(values: NDArray[Any]) -> NDArray[Any]:
    """Return the largest of each of at most `COLUMNS` even parts of values (n, ...)."""
    if len(values) <= COLUMNS:
        return values
    starts = np.linspace(0, len(values), COLUMNS, endpoint=False).astype(int)
    return np.maximum.reduceat(values, starts, axis=0)


def details(prediction: Prediction, peaks: Peaks) -> dict[str, Any]:
    """Return what a picture of the recording needs beside the scores: outline, curve over time, shares of playing time.

    The curve is on an even grid of at most `COLUMNS` steps from `start` to `end` seconds.
    """
    first, last = float(prediction.frame_times[0]), float(prediction.frame_times[-1])
    steps = min(COLUMNS, len(prediction.frame_scores))
    middles = first + (np.arange(steps) + 0.5) * (last - first) / steps
    at = np.clip(
        np.searchsorted(prediction.frame_times, middles, side="right") - 1, 0, len(prediction.frame_scores) - 1
    )
    curve = np.round(prediction.frame_scores[at], 3)
    return {
        "start": round(first, 3),
        "end": round(last, 3),
        "peaks": peaks.columns(),
        "curve": {label: curve[:, i].tolist() for i, label in enumerate(prediction.scores)},
        "shares": {label: round(share, 4) for label, share in prediction.shares().items()},
    }
