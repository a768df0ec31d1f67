"""Metrics of the set of labels that a recording is said to hold: what a user sees.

Conventions
-----------
`targets` (rows, labels) hold 1 (the label plays), 0 (it does not) or NaN (unknown: counts neither for nor against).
`named` (rows, labels) says which labels are named: those whose scores reach their thresholds. A row is one recording, or one
clip of it; a row without any known label is left out.

Metrics
-------
* ``set_f1``, ``set_precision``, ``set_recall``: over all known cells together (micro-averaged)
* ``set_exact``: ratio of rows whose every known label is right
* ``set_wrong``: labels named that do not play, a row
* ``set_missed``: labels that play and are not named, a row
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import metrics

#: Metrics in the order in which the page and the command show them; their words are in taxonomy/messages.json.
SHOWN = ("set_exact", "set_f1", "set_precision", "set_recall", "set_wrong", "set_missed")


def evaluate(
    targets: NDArray[np.floating],
    named: NDArray[np.bool_],
    *,
    recordings: NDArray[Any] | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """Compute all metrics of the named sets and their 95 % intervals over recordings.

    Parameters
    ----------
    targets : array (rows, labels)
        1, 0 or NaN (unknown).
    named : array of bool (rows, labels)
        Labels that are named.
    recordings : array (rows,) or (rows, parts), optional
        The recording of each row, or those it is a sum of: they are resampled as a whole. Default: each row is one.
    draws : int
        Number of bootstrap resamples; 0 for no intervals.
    seed : int
        Random seed of the resampling.

    Returns
    -------
    dict of str to float, dict of str to (float, float)
        Metrics by name, NaN where undefined, and their intervals.

    Raises
    ------
    ValueError
        For shapes that differ, no rows, targets other than 1, 0 and NaN, or `named` that are not booleans.

    Examples
    --------
    >>> figures, _ = evaluate([[1, 0, 1], [0, 1, float("nan")]], [[True, True, True], [False, True, True]], draws=0)
    >>> figures["set_exact"], figures["set_wrong"], figures["set_precision"]
    (0.5, 0.5, 0.75)
    """
    named = np.asarray(named)
    if named.dtype != np.bool_:
        raise ValueError(
            f"named has type {named.dtype}, booleans are needed; compare scores with their thresholds first"
        )
    targets, _ = metrics.validate(targets, named.astype(np.float64))
    known = ~np.isnan(targets)
    plays = targets == 1
    right, wrong, missed = (
        cells.sum(axis=1, dtype=np.float64) for cells in (named & plays, named & known & ~plays, ~named & plays)
    )
    counted = known.any(axis=1)
    exact = counted & (wrong + missed == 0)

    def figures(weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        rows, tp, fp, fn = (weights @ counts for counts in (counted * 1.0, right, wrong, missed))
        return {
            "set_f1": metrics.ratio(2 * tp, 2 * tp + fp + fn),
            "set_precision": metrics.ratio(tp, tp + fp),
            "set_recall": metrics.ratio(tp, tp + fn),
            "set_exact": metrics.ratio(weights @ exact, rows),
            "set_wrong": metrics.ratio(fp, rows),
            "set_missed": metrics.ratio(fn, rows),
        }

    return metrics.bootstrap(figures, len(targets), recordings, draws=draws, seed=seed)
