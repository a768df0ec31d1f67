"""What a page needs beside a prediction to draw it at any zoom, and with any threshold."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..inference.prediction import Prediction
from ..inference.recogniser import Array, Recogniser

STEP = 256  # samples of an outline
LEAST_SCORE = 0.02  # of a label whose segments a page gets, to show it where someone lowers the thresholds


class Outline:
    """The outline of a recording: its largest level in each of many short steps, gathered block by block."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._levels: list[Array] = []
        self._rest = np.zeros(0, np.float32)

    def add(self, samples: Array) -> None:
        """Take in the next samples (n,)."""
        levels = np.abs(np.concatenate([self._rest, samples]))
        whole = len(levels) // STEP * STEP
        self._levels.append(levels[:whole].reshape(-1, STEP).max(axis=1))
        self._rest = levels[whole:]

    def levels(self, most: int) -> Array:
        """Return at most `most` levels (0 and up), each the largest of an even part of the whole."""
        levels = np.concatenate([*self._levels, self._rest.max(keepdims=True) if len(self._rest) else self._rest])
        if len(levels) > most:
            levels = np.maximum.reduceat(levels, np.linspace(0, len(levels), most, endpoint=False).astype(int))
        return levels


@dataclass(frozen=True)
class Overview:
    """Scores over time and all segments.

    start, end: seconds. frame_scores: (steps, labels) on an even grid. segments: as JSON.
    """

    start: float
    end: float
    frame_scores: Array
    segments: list[dict[str, Any]]

    @classmethod
    def of(cls, recogniser: Recogniser, prediction: Prediction, *, most_steps: int, start: float = 0.0) -> Overview:
        """Return the overview of a prediction of the recogniser, with all labels' segments that lower thresholds could show.

        Those are of labels that score `LEAST_SCORE` or more, as if they played. most_steps: of the scores over time. A
        result that was read back has none of these; its own segments are taken, and `start`, in seconds, is when prediction
        began.
        """
        scores, times = prediction.frame_scores, prediction.frame_times
        if not len(scores):
            segments = [segment.to_dict() for segment in prediction.segments]
            return cls(start, start + prediction.duration, scores, segments)
        first, last = float(times[0]), float(times[-1])
        steps = min(most_steps, len(scores))
        middles = first + (np.arange(steps) + 0.5) * (last - first) / steps
        at = np.clip(np.searchsorted(times, middles, side="right") - 1, 0, len(scores) - 1)
        possible = [label for label, score in prediction.scores.items() if score >= LEAST_SCORE]
        possible += [label for label in prediction.playing if label not in possible]
        segments = [segment.to_dict() for segment in recogniser.segments(scores, times, possible)]
        return cls(round(first, 3), round(last, 3), scores[at], segments)


def packed(values: Array) -> str:
    """Return numbers from 0 to 1 as bytes in base 64: what a page draws from needs no more, and takes a fifth of a list."""
    return base64.b64encode(np.round(255 * np.clip(values, 0, 1)).astype(np.uint8).tobytes()).decode()
