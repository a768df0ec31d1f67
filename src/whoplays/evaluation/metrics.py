"""How good scores are: plain numpy; validate first, return numbers by name.

Throughout: targets (rows, labels) hold 1 there, 0 not there, NaN not known (counted neither way); scores
(rows, labels) are probabilities. Weights (draws, rows), where taken, are how often each row counts in each of several
draws; the result then has a leading axis of draws. That is how intervals are found: whole recordings are drawn, with
replacement, and everything is computed for many draws at once (Efron 1979; the cluster bootstrap).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Figures over all labels that the page and the command show, in this order; their words are in taxonomy/messages.json.
SHOWN = ("average_precision_macro", "calibration_error", "f1_macro", "accuracy", "precision", "recall", "loss")
#: Figures of each label, columns of the page.
OF_LABEL = ("precision", "recall", "f1", "average_precision", "roc_auc")

THRESHOLD = 0.5  # of the report's precision and recall: a cell counts as said when its score is over this
_EPSILON = 1e-7  # Keras' own: scores are kept this far from 0 and 1 in a cross-entropy
_CELLS = 2_000_000  # draws x rows held at a time
BINS = 10  # of scores, for calibration
MOST_POINTS = 60  # of a curve


def validate(targets: NDArray[np.floating], scores: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """Return both as float64. Raises `ValueError` for shapes that differ, no rows, or values that cannot be."""
    targets, scores = np.asarray(targets, dtype=float), np.asarray(scores, dtype=float)
    if targets.ndim != 2 or targets.shape != scores.shape:
        raise ValueError(f"targets have shape {targets.shape}, scores {scores.shape}; both (rows, labels) are needed")
    if targets.size == 0:
        raise ValueError("there are no rows to measure")
    if not np.all(np.isfinite(scores)) or scores.min() < 0 or scores.max() > 1:
        raise ValueError("scores must be finite and from 0 to 1; did you give logits?")
    if not np.all(np.isnan(targets) | (targets == 0) | (targets == 1)):
        raise ValueError("targets must be 1, 0 or NaN (not known)")
    return targets.astype(np.float64), scores.astype(np.float64)


def single(targets: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return which rows have every label known and exactly one there: those that a softmax can be right about."""
    known = ~np.any(np.isnan(targets), axis=1)
    return np.asarray(known & (np.nan_to_num(targets).sum(axis=1) == 1), dtype=np.bool_)


def evaluate(
    targets: NDArray[np.floating],
    scores: NDArray[np.floating],
    labels: Sequence[str],
    *,
    exclusive: bool,
    named: NDArray[np.bool_] | None = None,
    recordings: NDArray[Any] | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """Return all figures by name, and their 95 % intervals over recordings (none with `draws` 0).

    exclusive: the scores of a row share one unit of probability (softmax). named (rows, labels): which labels are said
    to play, for precision, recall and F1 of each label (None: those that score 0.5); over all labels, precision and recall
    are at 0.5, as in the report.
    recordings (rows,): what was recorded together and is drawn together; (rows, parts) where a row is a sum of several;
    None: every row by itself. A figure that cannot be had (no positives) is NaN.
    """
    targets, scores = validate(targets, scores)
    parts = _Parts(targets, scores, exclusive, scores >= THRESHOLD if named is None else np.asarray(named))
    return bootstrap(lambda weights: parts.figures(weights, labels), len(targets), recordings, draws=draws, seed=seed)


def bootstrap(
    figures: Callable[[Floats], dict[str, Floats]],
    rows: int,
    recordings: NDArray[Any] | None = None,
    *,
    draws: int = 1000,
    seed: int = 0,
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """Compute figures and their 95 % intervals over recordings (cluster bootstrap, Efron 1979).

    Parameters
    ----------
    figures : callable
        Takes weights (draws, rows) and returns figures by name, (draws,) each.
    rows : int
        How many there are.
    recordings : array (rows,) or (rows, parts), optional
        The recording of each row, or those that a row is a sum of; see `bootstrap_weights`. Default: each row is one.
    draws : int
        Number of resamples; 0 for no intervals.
    seed : int
        Random seed of the resampling.

    Returns
    -------
    dict of str to float, dict of str to (float, float)
        The figures with every row counted once, and their intervals (empty without draws).
    """
    found = {name: float(value[0]) for name, value in figures(np.ones((1, rows))).items()}
    if draws <= 0:
        return found, {}
    samples: dict[str, list[Floats]] = {name: [] for name in found}
    for weights in bootstrap_weights(np.arange(rows) if recordings is None else recordings, draws, seed):
        for name, value in figures(weights).items():
            samples[name].append(value)
    return found, {name: interval(np.concatenate(values)) for name, values in samples.items()}


def bootstrap_weights(recordings: NDArray[Any], draws: int, seed: int = 0) -> Iterator[Floats]:
    """Yield weights (some draws, rows): in each draw, as many recordings as there are, picked with replacement.

    recordings: (rows,), or (rows, parts) for sums, which count as often as all their parts were picked together. A part that
    a row names twice counts once, so sums of fewer parts may repeat one.
    """
    rng = np.random.default_rng(seed)
    groups = np.unique(recordings, return_inverse=True)[1].reshape(len(recordings), -1)
    repeated = np.stack([(groups[:, :i] == groups[:, i : i + 1]).any(axis=1) for i in range(groups.shape[1])], axis=1)
    n = int(groups.max()) + 1
    at_once = max(1, _CELLS // groups.size)
    for first in range(0, draws, at_once):
        counts = rng.multinomial(n, np.full(n, 1.0 / n), size=min(at_once, draws - first))
        yield np.where(repeated, 1, counts[:, groups]).astype(np.float64).prod(axis=2)


def interval(values: Floats) -> tuple[float, float]:
    """Return the middle 95 % of what draws gave; draws without a value are left out."""
    values = values[np.isfinite(values)]
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)


class _Parts:
    """What does not depend on the draw, computed once."""

    def __init__(self, targets: Floats, scores: Floats, exclusive: bool, named: NDArray[np.bool_]) -> None:
        self.targets, self.scores, self.exclusive = targets, scores, exclusive
        self.known = ~np.isnan(targets)
        self.truth = np.where(self.known, targets, 0.0)
        self.said = (scores > THRESHOLD) * 1.0  # Keras' precision and recall: over it
        self.playing = named * 1.0
        self.single = single(targets) * 1.0
        self.right = (scores.argmax(axis=1) == self.truth.argmax(axis=1)) * self.single
        self.rankings = [Ranking(targets[:, i], scores[:, i]) for i in range(targets.shape[1])]

    def figures(self, w: Floats, labels: Sequence[str]) -> dict[str, Floats]:
        all_tp, all_fp, all_fn = (values.sum(axis=1) for values in self._counts(self.said, w))
        tp, fp, fn = self._counts(self.playing, w)  # (draws, labels)
        ap = np.stack([ranking.average_precision(w) for ranking in self.rankings], axis=1)
        auc = np.stack([ranking.roc_auc(w) for ranking in self.rankings], axis=1)
        precision, recall, f1 = ratio(tp, tp + fp), ratio(tp, tp + fn), ratio(2 * tp, 2 * tp + fp + fn)
        found = {
            **self._whole(w),
            "precision": ratio(all_tp, all_tp + all_fp, empty=0.0),
            "recall": ratio(all_tp, all_tp + all_fn, empty=0.0),
            "f1_macro": _mean(f1),
            "average_precision_macro": _mean(ap),
            "roc_auc_macro": _mean(auc),
            "calibration_error": self._calibration_error(w),
        }
        of_label = dict(zip(OF_LABEL, (precision, recall, f1, ap, auc), strict=True))
        for i, label in enumerate(labels):
            found |= {f"{label}/{name}": values[:, i] for name, values in of_label.items()}
        return found

    def _counts(self, said: NDArray[np.floating], w: Floats) -> tuple[Floats, Floats, Floats]:
        """Return true positives, false positives and false negatives, each (draws, labels)."""
        known, truth = self.known * 1.0, self.truth
        return w @ (known * said * truth), w @ (known * said * (1 - truth)), w @ (known * (1 - said) * truth)

    def _whole(self, w: Floats) -> dict[str, Floats]:
        if self.exclusive:
            counted = w @ self.single
            loss = -np.sum(self.truth * np.log(np.clip(self.scores, _EPSILON, 1 - _EPSILON)), axis=1) * self.single
            return {"loss": ratio(w @ loss, counted), "accuracy": ratio(w @ self.right, counted)}
        p = np.clip(self.scores, _EPSILON, 1 - _EPSILON)
        loss = -(self.truth * np.log(p) + (1 - self.truth) * np.log(1 - p)) * self.known
        hits = (self.said == self.truth) * self.known
        counted = w @ self.known.sum(axis=1)
        top = ratio(w @ self.right, w @ self.single)
        return {
            "loss": ratio(w @ loss.sum(1), counted),
            "accuracy": ratio(w @ hits.sum(1), counted),
            "top_accuracy": top,
        }

    def _calibration_error(self, w: Floats) -> Floats:
        """Expected calibration error over known cells, `BINS` equal widths (Naeini 2015)."""
        place = np.minimum((self.scores * BINS).astype(int), BINS - 1)
        total, error = w @ self.known.sum(axis=1), np.zeros(len(w))
        for b in range(BINS):
            gap = np.where(self.known & (place == b), self.truth - self.scores, 0.0).sum(axis=1)
            error += np.abs(w @ gap)
        return ratio(error, total)


class Ranking:
    """One label's rows in order of their scores; ties stand together."""

    def __init__(self, targets: NDArray[np.floating], scores: NDArray[np.floating]) -> None:
        """Sort once; rows that are not known are left out."""
        known = np.flatnonzero(~np.isnan(targets))
        self._rows = known[np.argsort(-scores[known], kind="stable")]
        self._truth = np.asarray(targets, dtype=np.float64)[self._rows]
        self._scores = ordered = np.asarray(scores, dtype=np.float64)[self._rows]
        self._ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)) if len(ordered) else np.zeros(0, int)

    def _cumulated(self, weights: Floats) -> tuple[Floats, Floats]:
        """Return true and false positives (draws, distinct scores) if all from that score upwards were said."""
        w = weights[:, self._rows]
        positive, negative = w * self._truth, w * (1 - self._truth)
        return np.cumsum(positive, axis=1)[:, self._ends], np.cumsum(negative, axis=1)[:, self._ends]

    def counts(self) -> tuple[Floats, Floats, Floats]:
        """Return distinct scores from the highest on, and true and false positives if all from each upwards were said."""
        (tp,), (fp,) = self._cumulated(np.ones((1, 1 + self._rows.max(initial=0))))
        return self._scores[self._ends], tp, fp

    def average_precision(self, weights: Floats) -> Floats:
        """Return (draws,): the sum of precision times the step in recall, by distinct scores; NaN without positives."""
        tp, fp = self._cumulated(weights)
        if not tp.shape[1]:
            return np.full(len(weights), np.nan)
        gained = np.diff(tp, axis=1, prepend=0.0)
        return ratio(np.sum(gained * tp / np.maximum(tp + fp, 1e-12), axis=1), tp[:, -1])

    def roc_auc(self, weights: Floats) -> Floats:
        """Return (draws,): the chance that a positive outranks a negative, ties counting half; NaN without either."""
        tp, fp = self._cumulated(weights)
        if not tp.shape[1]:
            return np.full(len(weights), np.nan)
        above = np.diff(tp, axis=1, prepend=0.0)
        below = fp[:, -1:] - fp
        ties = np.diff(fp, axis=1, prepend=0.0)
        return ratio(np.sum(above * (below + 0.5 * ties), axis=1), tp[:, -1] * fp[:, -1])


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
    thresholds, tp, fp = Ranking(targets, scores).counts()
    if not tp.any():
        return []
    chosen = np.unique(np.linspace(0, len(tp) - 1, min(MOST_POINTS, len(tp))).round().astype(int))
    points = np.stack([thresholds, tp / tp[-1], tp / (tp + fp)], axis=1)[chosen]
    return np.round(points, 5).tolist()  # type: ignore[no-any-return]


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


def average_precision(targets: NDArray[np.floating], scores: NDArray[np.floating]) -> Floats:
    """Return the average precision of each label, (labels,); NaN for one without positives."""
    targets, scores = validate(targets, scores)
    one = np.ones((1, len(targets)))
    return np.array([Ranking(targets[:, i], scores[:, i]).average_precision(one)[0] for i in range(targets.shape[1])])


def confusion_matrix(targets: NDArray[np.floating], scores: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return counts (labels, labels): what was there against the highest score, over rows with exactly one label."""
    targets, scores = validate(targets, scores)
    rows = single(targets)
    matrix = np.zeros((targets.shape[1], targets.shape[1]), dtype=np.int64)
    np.add.at(matrix, (np.nan_to_num(targets[rows]).argmax(axis=1), scores[rows].argmax(axis=1)), 1)
    return matrix


def best_thresholds(targets: NDArray[np.floating], scores: NDArray[np.floating]) -> list[float]:
    """Return for each label the threshold with the best F1, within 0.05 to 0.95; 0.5 where nothing can tell.

    Between two neighbouring scores the middle is taken, so that a threshold does not hang on one example.
    """
    targets, scores = validate(targets, scores)
    return [_best_threshold(targets[:, i], scores[:, i]) for i in range(targets.shape[1])]


def _best_threshold(targets: Floats, scores: Floats) -> float:
    known = ~np.isnan(targets)
    truth, ordered = targets[known], np.sort(np.unique(scores[known]))
    if not 0 < truth.sum() < len(truth):
        return THRESHOLD
    between = (ordered[1:] + ordered[:-1]) / 2
    limits = np.unique(np.clip(np.append(between, THRESHOLD), 0.05, 0.95))
    limits = limits[np.linspace(0, len(limits) - 1, min(len(limits), 500)).astype(int)]
    said = scores[known][None, :] >= limits[:, None]
    tp = (said * truth).sum(axis=1)
    f1 = 2 * tp / (said.sum(axis=1) + truth.sum())
    best = np.flatnonzero(f1 >= f1.max() - 1e-12)
    return float(limits[best[np.argmin(np.abs(limits[best] - THRESHOLD))]])


def ratio(part: Floats, whole: Floats, *, empty: float = float("nan")) -> Floats:
    """Return part / whole, both of one shape, and `empty` where the whole is 0."""
    part, whole = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1.0), empty)


def or_none(value: float) -> float | None:
    """Return a number as JSON holds it: None where it cannot be had."""
    return float(value) if np.isfinite(value) else None


def _mean(values: Floats) -> Floats:
    """Return the mean over labels (last axis), of those that have a value."""
    known = np.isfinite(values)
    return ratio(np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1))
