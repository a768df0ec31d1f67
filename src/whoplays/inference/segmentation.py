"""Scores over time -> segments: when each label plays.

A label starts where its score reaches its threshold and goes on until the score falls below a lower one (hysteresis:
Canny 1986 for edges, usual in sound event detection). Then gaps that are too short to be a rest are closed, and
intervals too short to be playing are dropped, in that order.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..model.config import ModelConfig, TimelineSettings


@dataclass(frozen=True)
class Interval:
    """One stretch of playing: seconds from the start of the recording, and the mean score within."""

    start: float
    end: float
    score: float


def detect_intervals(
    scores: NDArray[np.float32], frame_times: NDArray[np.float64], *, threshold: float, settings: TimelineSettings
) -> list[Interval]:
    """Return the intervals in which one label plays, in order, not touching each other.

    scores: (steps,), each valid from frame_times[i] to frame_times[i + 1]; frame_times: (steps + 1,), seconds, rising.
    """
    if scores.shape != (len(frame_times) - 1,):
        raise ValueError(f"{len(frame_times)} frame_times do not bound {scores.shape} scores")
    runs = _merge(_hysteresis(scores, threshold, threshold * settings.low), frame_times, settings.max_gap_s)
    shortest = min(settings.min_length_s, float(frame_times[-1] - frame_times[0]) / 2)
    lengths = np.diff(frame_times)
    return [
        Interval(float(frame_times[a]), float(frame_times[b]), float(scores[a:b] @ lengths[a:b] / lengths[a:b].sum()))
        for a, b in runs
        if frame_times[b] - frame_times[a] >= shortest
    ]


def likely_intervals(
    scores: NDArray[np.float32], frame_times: NDArray[np.float64], threshold: float, settings: TimelineSettings
) -> list[Interval]:
    """Return when a label plays that is known to play: where no moment reaches its threshold, the likeliest ones.

    Arguments as of `detect_intervals`; the settings' own threshold is used where they have one.
    """
    reached = min(threshold if settings.threshold is None else settings.threshold, 0.8 * float(scores.max()))
    found = detect_intervals(scores, frame_times, threshold=reached, settings=settings)
    likeliest = replace(settings, low=1.0, min_length_s=0.0)
    return found or detect_intervals(scores, frame_times, threshold=reached, settings=likeliest)


def intervals_by_label(
    scores: NDArray[np.float32], frame_times: NDArray[np.float64], playing: Collection[str], config: ModelConfig
) -> dict[str, list[Interval]]:
    """Return when each label that is `playing` plays, an instrument within its family's intervals; by id.

    scores: (steps, labels); frame_times: as of `detect_intervals`. A model's families come before their instruments.
    """
    found: dict[str, list[Interval]] = {}
    for label, own, threshold in zip(config.labels, scores.T, config.thresholds, strict=True):
        if label.id in playing:
            if label.parent in found:
                own = np.where(_within(found[label.parent], frame_times), own, -1)  # below every score
            found[label.id] = likely_intervals(own, frame_times, threshold, config.timeline)
    return found


def _within(intervals: Iterable[Interval], frame_times: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return (steps,) whether each step lies in one of the intervals, which begin and end at `frame_times`."""
    inside = np.zeros(len(frame_times) - 1, dtype=np.bool_)
    for one in intervals:
        inside |= (frame_times[:-1] >= one.start) & (frame_times[:-1] < one.end)
    return inside


def _hysteresis(scores: NDArray[np.float32], high: float, low: float) -> list[tuple[int, int]]:
    """Return runs [a, b) of scores that stay at or above `low` and reach `high` somewhere."""
    above = np.concatenate([[False], scores >= low, [False]])
    starts, ends = np.flatnonzero(above[1:] & ~above[:-1]), np.flatnonzero(above[:-1] & ~above[1:])
    return [(int(a), int(b)) for a, b in zip(starts, ends, strict=True) if scores[a:b].max() >= high]


def _merge(runs: list[tuple[int, int]], frame_times: NDArray[np.float64], max_gap_s: float) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for a, b in runs:
        if merged and frame_times[a] - frame_times[merged[-1][1]] <= max_gap_s:
            merged[-1] = (merged[-1][0], b)
        else:
            merged.append((a, b))
    return merged


def over_cells(
    scores: NDArray[np.floating], frame_times: NDArray[np.float64], borders: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the mean score (cells, labels) between each two `borders`, for showing many steps in few columns.

    scores: (steps, labels), step i lasts from frame_times[i] to frame_times[i + 1]. A cell outside all steps has the
    score of the nearest one.
    """
    whole = np.concatenate([np.zeros((1, scores.shape[1])), np.cumsum(scores * np.diff(frame_times)[:, None], axis=0)])
    inside = np.clip(borders, frame_times[0], frame_times[-1])
    integral = np.stack([np.interp(inside, frame_times, column) for column in whole.T], axis=1)
    spans = np.diff(inside)
    centres = (borders[:-1] + borders[1:]) / 2
    nearest = np.clip(np.searchsorted(frame_times, centres, side="right") - 1, 0, len(scores) - 1)
    means = np.diff(integral, axis=0) / np.maximum(spans, 1e-12)[:, None]
    return np.where(spans[:, None] > 1e-9, means, scores[nearest])
