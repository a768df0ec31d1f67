"""Logits -> probabilities that mean what they say, and the thresholds at which a family plays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..evaluation import metrics
from ..model.folder import Calibration, activate
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


def thresholds(logits: Array, targets: Array, calibration: Calibration) -> tuple[float, ...]:
    """Return for each label the threshold of the best F1 on those rows, to two digits, from 0.2 to 0.8."""
    probabilities = activate(logits, "sigmoid", calibration)
    return tuple(round(min(0.8, max(0.2, limit)), 2) for limit in metrics.best_thresholds(targets, probabilities))
