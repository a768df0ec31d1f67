"""Logistic regression, for calibration and for linear heads: Newton's method on the penalised likelihood."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def fit(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    *,
    weights: NDArray[np.floating] | None = None,
    penalty: float = 1e-3,
    offset: NDArray[np.floating] | float = 0.0,
    start: NDArray[np.floating] | None = None,
    tolerance: float = 1e-6,
) -> NDArray[np.float64]:
    """Return weights (width + 1,), the bias last, for rows x (n, width) and targets y (n,) from 0 to 1.

    weights: (n,) what each row counts; None: 1. penalty: of the squares of what is returned (not of the bias), against
    overfitting and for classes that can be separated without error, where the likelihood alone has no maximum. offset:
    (n,) of each row's logit, to start from.
    """
    wide = np.column_stack([x, np.ones(len(x))]).astype(np.float64)
    y = np.asarray(y, dtype=np.float64)
    ridge = np.full(wide.shape[1], penalty)
    ridge[-1] = 1e-6
    counts = np.ones(len(wide)) if weights is None else np.asarray(weights, dtype=np.float64)
    w = np.zeros(wide.shape[1]) if start is None else start.astype(np.float64)
    for _ in range(25):
        p = 1 / (1 + np.exp(-np.clip(wide @ w + offset, -30, 30)))
        curvature = (wide * (counts * (p * (1 - p) + 1e-6))[:, None]).T @ wide + np.diag(ridge)
        step = np.linalg.solve(curvature, wide.T @ (counts * (y - p)) - ridge * w)
        w += np.clip(step, -5, 5)  # far from the solution, a full step may overshoot
        if np.abs(step).max() < tolerance:
            break
    return w
