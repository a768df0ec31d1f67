"""What a page needs beside a prediction to draw the recording: its outline, scores over time, segments."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..inference.prediction import Prediction
from ..inference.recogniser import Array, Recogniser
from ..results.overview import Overview, packed

PEAK_SAMPLES = 256
MOST_PEAKS = 700_000  # more than two hours of them at 22,050 Hz
MOST_STEPS = 30_000  # of scores over time; more than two hours of the default model's


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

    def columns(self) -> Array:
        """Return at most `MOST_PEAKS` levels (0 and up) for the whole."""
        levels = np.concatenate(self._found) if self._found else np.zeros(0, np.float32)
        if len(levels) > MOST_PEAKS:  # the largest of each even part
            levels = np.maximum.reduceat(levels, np.linspace(0, len(levels), MOST_PEAKS, endpoint=False).astype(int))
        return levels


def _numbers(values: Array) -> list[float]:
    """Return values (n,) to three places, of 64 bits: JSON writes 0.123 of 32 bits with seventeen digits."""
    rounded: list[float] = np.round(values.astype(np.float64), 3).tolist()
    return rounded


def details(recogniser: Recogniser, prediction: Prediction, peaks: Peaks, *, short: bool = False) -> dict[str, Any]:
    """Return what a page needs beside the prediction to draw it at any zoom, and with any threshold. peaks: its outline.

    "start", "end" in seconds; "peaks": levels (n,) of even parts; "frame_scores": for each label its scores over time (steps,)
    on an even grid; "active_ratio": the share of the time in which each plays; "segments" as of `Overview`. short: give numbers
    as `packed` does.
    """
    view = Overview.of(recogniser, prediction, most_steps=MOST_STEPS)
    write = packed if short else _numbers
    return {
        "start": view.start,
        "end": view.end,
        "peaks": write(peaks.columns()),
        "frame_scores": {label: write(view.frame_scores[:, i]) for i, label in enumerate(prediction.scores)},
        "active_ratio": {label: round(share, 4) for label, share in prediction.active_ratio().items()},
        "segments": view.segments,
    }
