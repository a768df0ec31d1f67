"""What a page needs beside a prediction to draw the recording: its outline, scores over time, segments."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..inference.prediction import Prediction
from ..inference.recogniser import Array, Recogniser
from ..results.overview import Outline, Overview, packed

MOST_PEAKS = 700_000  # more than two hours of an outline at 22,050 Hz
MOST_STEPS = 30_000  # of scores over time; more than two hours of the default model's


def _numbers(values: Array) -> list[float]:
    """Return values (n,) to three places, of 64 bits: JSON writes 0.123 of 32 bits with seventeen digits."""
    rounded: list[float] = np.round(values.astype(np.float64), 3).tolist()
    return rounded


def details(recogniser: Recogniser, prediction: Prediction, outline: Outline, *, short: bool = False) -> dict[str, Any]:
    """Return what a page needs beside the prediction to draw it at any zoom, and with any threshold.

    "start", "end" in seconds; "peaks": levels (n,) of even parts; "frame_scores": for each label its scores over time (steps,)
    on an even grid; "active_ratio": the share of the time in which each plays; "segments" as of `Overview`. short: give numbers
    as `packed` does.
    """
    view = Overview.of(recogniser, prediction, most_steps=MOST_STEPS)
    write = packed if short else _numbers
    return {
        "start": view.start,
        "end": view.end,
        "peaks": write(outline.levels(MOST_PEAKS)),
        "frame_scores": {label: write(view.frame_scores[:, i]) for i, label in enumerate(prediction.scores)},
        "active_ratio": {label: round(share, 4) for label, share in prediction.active_ratio().items()},
        "segments": view.segments,
    }
