"""The Recogniser, watched: a caller sees each window before it is analysed. Same code, so same scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..inference.prediction import Prediction
from ..inference.recogniser import Array, Recogniser
from ..inference.windows import Window
from ..results.overview import Overview

PEAK_SAMPLES = 256
MOST_PEAKS = 700_000  # more than two hours of them at 22,050 Hz
MOST_STEPS = 30_000  # of scores over time; more than two hours of the default model's


class Listener(Recogniser):
    """A `Recogniser` that shows its windows, and predicts blocks as they come. One thread at a time."""

    #: called with each block (n,) at the model's rate as it comes, and with each window before it is analysed;
    #: what they raise ends the prediction
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
        """Return at most `MOST_PEAKS` levels (0 and up) for the whole."""
        return np.round(_reduced(np.concatenate(self._found)), 3).tolist() if self._found else []


def _reduced(values: NDArray[Any]) -> NDArray[Any]:
    """Return the largest of each of at most `MOST_PEAKS` even parts of values (n, ...)."""
    if len(values) <= MOST_PEAKS:
        return values
    starts = np.linspace(0, len(values), MOST_PEAKS, endpoint=False).astype(int)
    return np.maximum.reduceat(values, starts, axis=0)


def details(recogniser: Recogniser, prediction: Prediction, peaks: Peaks) -> dict[str, Any]:
    """Return what a page needs beside the prediction to draw it at any zoom, and with any threshold.

    Parameters
    ----------
    recogniser : Recogniser
        What made the prediction.
    prediction : Prediction
    peaks : Peaks
        Its outline.

    Returns
    -------
    dict
        "start", "end" in seconds; "peaks": levels (n,) of even parts; "frame_scores": for each label its scores over time
        (steps,) on an even grid; "active_ratio": the share of the time in which each plays; "segments" as of `Overview`.
    """
    view = Overview.of(recogniser, prediction, most_steps=MOST_STEPS)
    frame_scores = np.round(view.frame_scores, 3)
    return {
        "start": view.start,
        "end": view.end,
        "peaks": peaks.columns(),
        "frame_scores": {label: frame_scores[:, i].tolist() for i, label in enumerate(prediction.scores)},
        "active_ratio": {label: round(share, 4) for label, share in prediction.active_ratio().items()},
        "segments": view.segments,
    }
