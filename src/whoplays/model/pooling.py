"""Scores over time -> the scores of a recording, whatever its length.

Three steps, label by label. What the network gives for a moment is averaged with its neighbours, weighted by the
network's own attention (Ilse 2018), so that a moment in doubt borrows from clearer ones near it. Of the probabilities
that result, the mean of the most confident share of the recording's time is taken: it means "plays long enough to be
meant", and a recording put twice in a row has the mean it has once. Its log odds are then calibrated (Platt 1999), where
they may be corrected by those of all other outputs: what sounds like brass is less likely to be when a saxophone plays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

_SOFT = 1e-3
_AT_ONCE = 1 << 19  # numbers of a table that are worked on at a time


@dataclass(frozen=True)
class Pooling:
    """How a model comes from scores over time to the score of a recording.

    Attributes
    ----------
    share : float
        Of the recording's time, from 0 (the maximum over time) to 1 (the mean).
    scale, bias : tuple of float
        One for each label: calibrated log odds are scale * log odds + bias.
    span_s : float
        Seconds over which attention averages; 0 for none.
    correction : tuple of tuple of float
        For each label, the weight of every output's log odds, added to the label's own; () for none.
    """

    share: float
    scale: tuple[float, ...]
    bias: tuple[float, ...]
    span_s: float = 0.0
    correction: tuple[tuple[float, ...], ...] = ()

    @classmethod
    def plain(cls, n_labels: int, share: float = 1.0) -> Self:
        """Return the pooling without calibration."""
        return cls(share, (1.0,) * n_labels, (0.0,) * n_labels)

    def scores(self, logits: Floats, attention: Floats | None, lengths: Floats, *, activation: str) -> Floats:
        """Return a recording's scores.

        Parameters
        ----------
        logits : ndarray, shape (steps, outputs)
            The labels come first.
        attention : ndarray, shape (steps, outputs), or None
            Log weights of the steps; None for equal ones.
        lengths : ndarray, shape (steps,)
            Seconds that each step lasts.
        activation : str
            "sigmoid" or "softmax".

        Returns
        -------
        ndarray, shape (labels,)
            From 0 to 1.
        """
        pooled = self.pooled(logits, attention, lengths, activation=activation)
        labels = len(self.scale)
        if not self.correction and self == replace(self, scale=(1.0,) * labels, bias=(0.0,) * labels):
            return pooled[:labels]
        odds = log_odds(pooled)
        decided = np.asarray(self.scale) * odds[:labels] + np.asarray(self.bias)
        if self.correction:
            decided = decided + np.asarray(self.correction) @ odds
        return sigmoid(decided)

    def pooled(self, logits: Floats, attention: Floats | None, lengths: Floats, *, activation: str) -> Floats:
        """Return the probabilities (outputs,) of a recording before they are calibrated; arguments as of `scores`."""
        at_once = max(1, _AT_ONCE // (len(logits) * (1 + round(self.span_s))))
        columns = logits.shape[1] if activation == "softmax" else at_once
        found = []
        for first in range(0, logits.shape[1], columns):
            part = slice(first, first + columns)
            smooth: Floats = logits[:, part].astype(np.float64)
            if self.span_s:
                weights = None if attention is None else attention[:, part]
                smooth = attended(smooth, weights, lengths, self.span_s)
            found.append(
                top_share_mean(softmax(smooth) if activation == "softmax" else sigmoid(smooth), lengths, self.share)
            )
        return np.concatenate(found)

    def to_dict(self) -> dict[str, Any]:
        """Return what a model's `config.json` holds."""
        values = {"share": self.share, "span_s": self.span_s, "scale": list(self.scale), "bias": list(self.bias)}
        return values | ({"correction": [list(row) for row in self.correction]} if self.correction else {})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` returned. Raises `KeyError`, `TypeError` or `ValueError` for anything else."""
        scale, bias = (tuple(float(v) for v in values[name]) for name in ("scale", "bias"))
        correction = tuple(tuple(float(v) for v in row) for row in values.get("correction", ()))
        return cls(float(values["share"]), scale, bias, float(values.get("span_s", 0.0)), correction)


def attended(logits: Floats, attention: Floats | None, lengths: Floats, span_s: float) -> Floats:
    """Return logits averaged over a span of time round each step, weighted by attention.

    Parameters
    ----------
    logits, attention : ndarray, shape (steps, outputs)
        attention: log weights; None for equal ones.
    lengths : ndarray, shape (steps,)
        Seconds that each step lasts.
    span_s : float
        Of the whole span, half of it on each side; it ends where the recording does.

    Returns
    -------
    ndarray, shape (steps, outputs)
    """
    half = round(span_s / 2 / _median(lengths))
    if half == 0 or len(logits) == 1:
        return logits
    steps, outputs = logits.shape
    padded = np.full((2, steps + 2 * half, outputs), -np.inf)
    padded[0, half:-half] = np.log(lengths)[:, None]
    if attention is not None:
        padded[0, half:-half] += attention
    padded[1] = 0.0
    padded[1, half:-half] = logits
    weights, values = sliding_window_view(padded, 2 * half + 1, axis=1)
    shares = np.exp(weights - weights.max(axis=-1, keepdims=True))
    return np.asarray((shares * values).sum(axis=-1) / shares.sum(axis=-1))


def _median(values: Floats) -> float:
    """Return the median; NumPy's own loads its masked arrays, which takes as long as a second of analysis."""
    middle = np.sort(values)
    return float(middle[(len(middle) - 1) // 2] + middle[len(middle) // 2]) / 2


def top_share_mean(scores: Floats, lengths: Floats, share: float) -> Floats:
    """Return the mean of each column's highest scores, over the given share of time.

    Parameters
    ----------
    scores : ndarray, shape (steps, outputs)
    lengths : ndarray, shape (steps,)
        How long each step lasts.
    share : float
        Of the whole time, from 0 (the maximum) to 1 (the mean).

    Returns
    -------
    ndarray, shape (outputs,)
    """
    if share == 0:
        return np.asarray(scores.max(axis=0))
    order = np.argsort(-scores, axis=0, kind="stable")
    ranked, time = np.take_along_axis(scores, order, axis=0), lengths[order]
    used = np.clip(share * lengths.sum() - (np.cumsum(time, axis=0) - time), 0, time)
    return np.asarray((ranked * used).sum(axis=0) / used.sum(axis=0))


def sigmoid(x: Floats) -> Floats:
    """Return 1 / (1 + exp(-x)), without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))


def softmax(x: Floats) -> Floats:
    """Return shares (..., labels) that sum to 1."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def log_odds(p: Floats) -> Floats:
    """Return log(p / (1 - p)), softened near 0 and 1, where small differences mean nothing: from -6.9 to 6.9."""
    return np.log((p + _SOFT) / (1 - p + _SOFT))
