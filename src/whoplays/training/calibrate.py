"""Logits -> probabilities that mean what they say, and the thresholds at which a family plays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..evaluation import metrics
from ..model.config import Calibration
from ..model.folder import activate
from ..model.pooling import Pooling, log_odds
from . import logistic

Array = NDArray[np.float32]


def platt(logits: Array, targets: Array) -> Calibration:
    """Return scale and bias for each label (Platt 1999) from logits and targets (rows, labels), NaN unknown.

    A label that is never, or always, there keeps scale 1 and bias 0; so does one whose logits point the wrong way.
    """
    scale, bias = [], []
    for column, truth in zip(logits.T, targets.T, strict=True):
        known = ~np.isnan(truth)
        a, b = 1.0, 0.0
        if 0 < truth[known].sum() < known.sum():
            fitted = logistic.fit(column[known][:, None], truth[known])
            if fitted[0] > 0:
                a, b = float(fitted[0]), float(fitted[1])
        scale.append(a)
        bias.append(b)
    return Calibration(tuple(scale), tuple(bias))


def pooling(
    frame_logits: Array, attention: Array | None, targets: Array, *, share: float, span_s: float, step_s: float
) -> tuple[Pooling, tuple[float, ...]]:
    """Return how scores over time become a recording's, calibrated, and the thresholds of the best F1.

    Parameters
    ----------
    frame_logits, attention : ndarray, shape (recordings, steps, labels)
        As the network gives them.
    targets : ndarray, shape (recordings, labels)
        1, 0, or NaN where it is not known.
    share, span_s : float
        See `Pooling`.
    step_s : float
        Seconds that a step lasts.

    Returns
    -------
    Pooling
    tuple of float
        A threshold for each label, to two digits, from 0.2 to 0.8.
    """
    plain = replace(Pooling.plain(targets.shape[1], share), span_s=span_s)
    lengths = np.full(frame_logits.shape[1], step_s)
    weights = [None] * len(frame_logits) if attention is None else attention
    odds = np.stack(
        [
            log_odds(plain.pooled(logits, weight, lengths, activation="sigmoid"))
            for logits, weight in zip(frame_logits, weights, strict=True)
        ]
    ).astype(np.float32)
    calibration = platt(odds, targets)
    best = metrics.best_thresholds(targets, activate(odds, "sigmoid", calibration))
    limits = tuple(round(min(0.8, max(0.2, limit)), 2) for limit in best)
    return replace(plain, scale=calibration.scale, bias=calibration.bias), limits
