"""Recordings of a few labels -> a row of the head for each, and how often the rows would be right.

A row is a logistic regression on the direction of the embedding at each step, averaged over time: what embeddings were taught
to tell apart is what instruments differ in, whoever plays them, and the few recordings need not tell that again. It is
learnt from what the body makes of the recordings, of variants of them (other levels, equalisers, noise, mixtures), and of the
background (background.py). Each recording counts once, however long it is, and the other labels' recordings together as
`OF_OTHERS` times the label's own. Recordings left out in turn then tell how sure the row may be (Platt 1999).

A label that the base knows begins at its row, and of its background goes on saying what it said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..evaluation import metrics
from ..model.config import ModelConfig
from ..taxonomy.catalogue import catalogue
from ..taxonomy.tree import Label
from . import augment, heads, logistic, relabel
from .augment import FRAMES_PER_STEP, Examples

Array = NDArray[np.float32]
Floats = NDArray[np.float64]

VARIANTS = 8
OF_OTHERS = 2.0
PENALTY = 1.0  # of the weights of new labels, of values whose background has a spread of 1 in all
PENALTY_KNOWN = 0.1  # of how far those of a known label move
FOLDS = 30  # recordings are left out one by one up to so many, then in as many groups
LEAST_SURE = 0.3  # of a calibration's scale, where recordings that were left out do not agree with the others
LIMIT = 0.5  # from which a new label plays: its row says so by itself


@dataclass(frozen=True)
class Windows:
    """Windows of the user's recordings: log-mel (n, frames, bands), targets (n, labels; NaN unknown), recording (n,)."""

    features: Array
    targets: Array
    recordings: NDArray[np.int64]


@dataclass(frozen=True)
class Learnt:
    """The new head and its configuration; average precision of each label, and (right, of how many), on what was left out."""

    head: heads.Head
    config: ModelConfig
    average_precision: dict[str, float]
    right: tuple[int, int]


@dataclass(frozen=True)
class Base:
    """The model that is taught.

    width: of the embedding's direction, with which hidden values end. background: (scenes, hidden), see background.py.
    """

    config: ModelConfig
    body: heads.Body
    head: heads.Head
    width: int
    background: Array

    def place_of(self, label: str) -> int | None:
        """Return the place of a label that it knows."""
        ids = [one.id for one in self.config.labels]
        return ids.index(label) if label in ids else None

    def log_odds(self, place: int, pooled: Array) -> Floats:
        """Return a known label's calibrated log odds (n,) of pooled hidden values (n, hidden)."""
        calibration = self.config.calibration
        assert calibration is not None
        logits = pooled @ self.head.weights[:, place] + self.head.bias[place]
        return np.asarray(calibration.scale[place] * logits + calibration.bias[place], dtype=np.float64)


def learn(base: Base, labels: tuple[Label, ...], windows: Windows, *, only_mine: bool, name: str, seed: int) -> Learnt:
    """Teach a model labels, one for each column of the windows' targets.

    only_mine: leave out the base's labels that are not among `labels`. name: of the model; "": the base's with a +. seed: of the
    variants.
    """
    named = np.full(windows.targets.shape, np.nan)
    examples = _examples(base, labels, windows, seed)
    head, config, precision = base.head, base.config, {}
    ids = list(dict.fromkeys([*(label.id for label in config.labels), *(label.id for label in labels)]))
    known = {label.id: label for label in catalogue().labels_for(ids)}  # with families and colours beside the base's
    for i, label in enumerate(labels):
        row = _Row(base, label.id, i, examples)
        column, precision[label.id], named[row.windows, i] = row.fit()
        place, limit = base.place_of(label.id), LIMIT
        if place is None:
            none = np.zeros((len(column) - 1, 1), dtype=np.float32)
            single = heads.Head(column[:-1, None], column[-1:], none, np.zeros(1, dtype=np.float32))
            head, config = relabel.with_label(head.joined(single), config, known[label.id], limit)
        else:  # its calibration and threshold are of far more recordings than these
            head, config = relabel.with_row(head, config, config.tree.index(label.id), column)
            limit = base.config.thresholds[place]
        places = np.unique(windows.recordings, return_inverse=True)[1]
        mean = np.bincount(places, named[:, i]) / np.bincount(places)  # over the windows of each recording
        named[:, i] = mean[places] >= limit
    if only_mine:
        head, config = relabel.chosen(head, config, [label.id for label in labels])
    config = replace(config, name=name or f"{base.config.name}+", version="1")
    firsts = np.unique(windows.recordings, return_index=True)[1]
    judged = firsts[~np.isnan(windows.targets[firsts]).any(axis=1)]  # recordings of which all labels are known
    right = int((named[judged] == windows.targets[judged]).all(axis=1).sum())
    return Learnt(head, config, precision, (right, len(judged)))


@dataclass(frozen=True)
class _Examples:
    """pooled (n, pools, hidden), targets (n, labels), recordings (n, 2; the second is mixed in, or -1), plain (n,).

    pools: the first is the mean over time; then, at `pool_of` each label's place in the base, what its attention makes of it.
    """

    pooled: Array
    pool_of: dict[int, int]
    targets: Array
    recordings: NDArray[np.int64]
    plain: NDArray[np.bool_]


def _examples(base: Base, labels: Sequence[Label], windows: Windows, seed: int) -> _Examples:
    """Return the windows, then `VARIANTS` of them all, half of those mixed with another recording."""
    rng = np.random.default_rng(seed)
    n, frames, bands = windows.features.shape
    over_time = np.zeros((n, frames // FRAMES_PER_STEP, windows.targets.shape[1]), dtype=np.float32)
    plain = Examples(windows.features, windows.targets, over_time)
    known = [place for label in labels if (place := base.place_of(label.id)) is not None]
    attention = base.head.of(known)
    parts = [(_pooled(base.body, attention, windows.features), windows.targets, np.arange(n), np.full(n, -1))]
    for _ in range(VARIANTS):
        parameters = augment.draw(rng, n, frames=frames, bands=bands, mix=0.5 if n > 2 else 0.0)
        changed = augment.apply(plain, parameters, log_offset=base.config.features.log_offset)
        parts.append(
            (_pooled(base.body, attention, changed.features), changed.clip, np.arange(n), parameters.partners[:, 0])
        )
    pooled, targets, own, partner = (np.concatenate(part) for part in zip(*parts, strict=True))
    recordings = np.stack([windows.recordings[own], np.where(partner < 0, -1, windows.recordings[partner])], axis=1)
    pool_of = {place: 1 + i for i, place in enumerate(known)}
    return _Examples(pooled, pool_of, targets, recordings, np.arange(len(own)) < n)


def _pooled(body: heads.Body, attention: heads.Head, x: Array) -> Array:
    """Return (n, 1 + labels of the head, hidden): the mean over time, then what each label's attention makes of it."""
    parts = [
        np.concatenate([hidden.mean(axis=1)[:, None], attention.pooled(hidden)], axis=1) for hidden in body.hidden(x)
    ]
    return np.concatenate(parts).astype(np.float32)


class _Row:
    """One label's row."""

    def __init__(self, base: Base, label: str, column: int, examples: _Examples) -> None:
        place = base.place_of(label)
        target = examples.targets[:, column]
        kept = ~np.isnan(target)
        self.windows = kept[examples.plain]
        self._base, self._place, self._n = base, place, int(kept.sum())
        self._plain, self._recordings = examples.plain[kept], examples.recordings[kept]
        pool = 0 if place is None else examples.pool_of[place]
        values = np.concatenate([examples.pooled[kept, pool], base.background])
        self._hidden = values.shape[1]
        direction = values[:, -base.width :].astype(np.float64)
        of_background = direction[self._n :] if len(base.background) else direction
        self._mean = direction.mean(axis=0)
        self._spread = float(np.sqrt(np.square(of_background - of_background.mean(axis=0)).sum(axis=1).mean())) + 1e-6
        self._x = (direction - self._mean) / self._spread
        self._offset = np.zeros(len(values)) if place is None else base.log_odds(place, values)
        others = np.zeros(len(base.background)) if place is None else _probability(self._offset[self._n :])
        self._y = np.concatenate([target[kept].astype(np.float64), others])
        self._weights = self._counts()

    def _counts(self) -> Floats:
        """Return what each example counts: those of a recording 1 in all, then so that both sides and the background are even."""
        own, y = self._recordings[:, 0], self._y[: self._n]
        each = 1 / np.bincount(own)[own]
        recordings = len(np.unique(own))
        counts = np.zeros(self._n)
        for side, share in ((y > 0.5, 1.0), (y <= 0.5, OF_OTHERS)):
            counts[side] = each[side] * share * recordings / 2 / max(each[side].sum(), 1e-9)
        background = len(self._y) - self._n
        return np.concatenate([counts, np.full(background, recordings / 2 / max(background, 1))])

    def fit(self) -> tuple[Array, float, Floats]:
        """Return the row (hidden + 1,), bias last; of recordings left out, average precision and each window's score."""
        added = self._fitted(np.ones(len(self._y), dtype=bool))
        scores = self._x @ added[:-1] + added[-1] + self._offset
        places = np.flatnonzero(self._plain)
        scores[places] = self._left_out(added)
        judged = np.concatenate([places, np.arange(self._n, len(scores))])
        if self._place is None:
            # Scale and bias make calibrated log odds of scores of what was left out, and of the background.
            fitted, bias = logistic.fit(scores[judged][:, None], self._y[judged], weights=self._weights[judged])
            scale = max(float(fitted), LEAST_SURE)
            added, scores = added * scale, scores * scale
            added[-1] += bias
            scores += bias
        else:
            judged = places  # what it says of the background is what it is to say
        truth, p = self._y[judged][:, None], _probability(scores[judged])[:, None]
        precision = float(metrics.average_precision(truth, p)[0])
        return self._row(added), round(precision, 3), _probability(scores[places])

    def _fitted(self, used: NDArray[np.bool_], near: Floats | None = None) -> Floats:
        """Return what is added to the row (width + 1,), learnt from the examples `used`. near: from a fit to nearly the same."""
        return logistic.fit(
            self._x[used],
            self._y[used],
            weights=self._weights[used],
            penalty=PENALTY if self._place is None else PENALTY_KNOWN,
            offset=self._offset[used],
            start=near,
            tolerance=1e-6 if near is None else 1e-2,
        )

    def _left_out(self, near: Floats) -> Floats:
        """Return scores of the recordings as they are, each from a row that was learnt without it. near: of a fit to all."""
        own, truth = self._recordings[self._plain][:, 0].tolist(), self._y[: self._n][self._plain].tolist()
        firsts = dict(zip(own, truth, strict=True))
        in_turn = sorted(
            firsts, key=lambda one: (-firsts[one], one)
        )  # the label's first: each fold gets as many of them
        fold_of = {recording: i % FOLDS for i, recording in enumerate(in_turn)}
        folds = np.array([[fold_of.get(int(r), -1) for r in pair] for pair in self._recordings])
        scores = np.zeros(self._n)
        for fold in range(FOLDS):
            here = np.flatnonzero(self._plain & (folds[:, 0] == fold))
            if len(here):
                used = np.ones(len(self._y), dtype=bool)
                used[: self._n] = ~(folds == fold).any(axis=1)
                added = self._fitted(used, near)
                scores[here] = self._x[here] @ added[:-1] + added[-1] + self._offset[here]
        return scores[self._plain]

    def _row(self, added: Floats) -> Array:
        """Return the row of the head that gives these scores, before calibration."""
        slope = np.zeros(self._hidden)
        slope[-self._base.width :] = added[:-1] / self._spread
        level = added[-1] - float(added[:-1] @ self._mean) / self._spread
        if self._place is None:
            return np.append(slope, level).astype(np.float32)
        calibration, place = self._base.config.calibration, self._place
        assert calibration is not None
        scale = calibration.scale[place]
        weights, bias = self._base.head.weights[:, place], self._base.head.bias[place]
        return np.append(weights + slope / scale, bias + level / scale).astype(np.float32)


def _probability(log_odds: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(log_odds, -30, 30))))
