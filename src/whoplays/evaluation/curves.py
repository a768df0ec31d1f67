"""What one number cannot say of scores: precision against recall at every threshold, and how far scores are frequencies."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .metrics import validate

MOST_POINTS = 60
BINS = 10


def precision_recall(targets: NDArray[np.floating], scores: NDArray[np.floating]) -> list[list[float]]:
    """Return the precision-recall curve of one label.

    Parameters
    ----------
    targets : ndarray, shape (rows,)
        1, 0, or NaN where it is not known.
    scores : ndarray, shape (rows,)

    Returns
    -------
    list of [threshold, recall, precision]
        At most `MOST_POINTS`, from the highest threshold on, evenly over distinct scores; empty without positives.
    """
    known = ~np.isnan(targets)
    truth, found = targets[known] > 0.5, np.asarray(scores, dtype=np.float64)[known]
    if not truth.any():
        return []
    order = np.argsort(-found, kind="stable")
    hits = np.cumsum(truth[order])
    last = np.append(np.flatnonzero(np.diff(found[order])), len(found) - 1)  # of each distinct score
    chosen = last[np.unique(np.linspace(0, len(last) - 1, min(MOST_POINTS, len(last))).round().astype(int))]
    points = np.stack([found[order][chosen], hits[chosen] / hits[-1], hits[chosen] / (chosen + 1)], axis=1)
    return [[float(value) for value in point] for point in np.round(points, 5)]


def reliability(targets: NDArray[np.floating], scores: NDArray[np.floating]) -> list[dict[str, Any]]:
    """Return how often labels play at scores of each size.

    Parameters
    ----------
    targets, scores : ndarray, shape (rows, labels)
        What plays (1, 0 or NaN) and the scores.

    Returns
    -------
    list of dict
        For each of `BINS` equal widths that any known cell falls into: "low" and "high", its borders; "score", the mean
        score; "plays", the ratio of cells that play; "cells", how many there are.
    """
    targets, scores = validate(targets, scores)
    known = ~np.isnan(targets)
    truth, found = targets[known], scores[known]
    places = np.minimum((found * BINS).astype(int), BINS - 1)
    rows = []
    for i in range(BINS):
        inside = places == i
        if n := int(inside.sum()):
            mean, plays = float(found[inside].mean()), float(truth[inside].mean())
            rows.append({"low": i / BINS, "high": (i + 1) / BINS, "score": mean, "plays": plays, "cells": n})
    return rows
