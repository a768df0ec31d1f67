"""Several teachers as one: their logits of a label, each standardised, summed and calibrated.

They err on different recordings, so the sum is better than any of them. Standardised, since their logits are of different
levels (YAMNet's lie far below 0); calibrated after Platt, "Probabilistic outputs for support vector machines" (1999): a
scale and a bias for each label, so that the sigmoid of the sum is a probability.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from whoplays.training import logistic

from .base import Array, sigmoid

_FORMAT = 1
#: Least standard deviation of logits, so that nothing is divided by 0.
_LEAST_DEVIATION = 1e-3

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Ensemble:
    """Calibrated logit = scale * sum over teachers of (logit - mean) / deviation + bias, for each label.

    Attributes
    ----------
    labels, teachers : tuple of str
        The columns of all arrays; the rows of `mean` and `deviation`.
    mean, deviation : array (teachers, labels)
        NaN where a teacher does not know a label.
    scale, bias : array (labels,)
        NaN where a label could not be calibrated: no teacher knows it, or it had no example for or against.
    """

    labels: tuple[str, ...]
    teachers: tuple[str, ...]
    mean: Numbers
    deviation: Numbers
    scale: Numbers
    bias: Numbers

    @classmethod
    def fit(
        cls,
        labels: tuple[str, ...],
        logits: Mapping[str, Array],
        targets: NDArray[np.floating],
        *,
        penalty: float = 1e-3,
    ) -> Self:
        """Return an ensemble of all teachers in `logits`.

        Parameters
        ----------
        labels : tuple of str
            The columns.
        logits : mapping of str to array (n, labels)
            For each teacher's name the logits of examples, NaN where it does not know the label. The mean and the
            deviation are those of all examples, whether their targets are known or not.
        targets : array (n, labels)
            From 0 to 1; NaN where unknown, which counts neither for nor against.
        penalty : float
            Of the squared scale, against overfitting; see `whoplays.training.logistic.fit`.

        Raises
        ------
        ValueError
            When shapes do not agree.
        """
        targets = np.asarray(targets, dtype=np.float64)
        shapes = {name: values.shape for name, values in logits.items()} | {"targets": targets.shape}
        if not logits or set(shapes.values()) != {(len(targets), len(labels))}:
            raise ValueError(f"teachers and targets are to have the same shape (n, {len(labels)}), not {shapes}")
        rows = [_spread(np.asarray(values, dtype=np.float64)) for values in logits.values()]
        mean, deviation = (np.stack(part) for part in zip(*rows, strict=True))
        unknown = np.full(len(labels), np.nan)
        plain = cls(tuple(labels), tuple(logits), mean, deviation, unknown.copy(), unknown.copy())
        summed = plain.sum(logits)
        for i in range(len(labels)):
            known = np.isfinite(targets[:, i]) & np.isfinite(summed[:, i])
            if known.any() and targets[known, i].min() < 0.5 < targets[known, i].max():
                plain.scale[i], plain.bias[i] = logistic.fit(
                    summed[known, i][:, None], targets[known, i], penalty=penalty
                )
        return plain

    def sum(self, logits: Mapping[str, Array]) -> Array:
        """Return the sum (..., labels) of standardised logits; NaN where no teacher knows the label.

        Parameters
        ----------
        logits : mapping of str to array (..., labels)
            By the teachers' names; a teacher that is missing, or NaN, adds nothing.
        """
        unexpected = sorted(set(logits) - set(self.teachers))
        if unexpected or not logits:
            raise ValueError(f"logits are of {sorted(logits)}; the ensemble was fitted on {list(self.teachers)}")
        standard = np.stack(
            [
                (np.asarray(logits[name], dtype=np.float64) - self.mean[row]) / self.deviation[row]
                for row, name in enumerate(self.teachers)
                if name in logits
            ]
        )
        known = ~np.isnan(standard)
        summed = np.where(known, standard, 0).sum(axis=0)
        return np.where(known.any(axis=0), summed, np.nan).astype(np.float32)

    def logits(self, logits: Mapping[str, Array]) -> Array:
        """Return calibrated logits (..., labels) for the teachers' logits (..., labels)."""
        return (self.scale * self.sum(logits) + self.bias).astype(np.float32)

    def scores(self, logits: Mapping[str, Array]) -> Array:
        """Return probabilities (..., labels) for the teachers' logits (..., labels); NaN where not calibrated."""
        return sigmoid(self.logits(logits))

    def write(self, path: Path) -> None:
        """Write the ensemble as JSON; NaN becomes null."""
        content: dict[str, Any] = {"format": _FORMAT, "labels": self.labels, "teachers": self.teachers}
        content |= {name: _without_nan(getattr(self, name)) for name in ("mean", "deviation", "scale", "bias")}
        Path(path).write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote. Raises `ValueError` when the file is another."""
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            raise ValueError(f"{path} is no ensemble of format {_FORMAT}")
        arrays = {name: np.array(content[name], dtype=np.float64) for name in ("mean", "deviation", "scale", "bias")}
        return cls(tuple(content["labels"]), tuple(content["teachers"]), **arrays)


def _spread(values: Numbers) -> tuple[Numbers, Numbers]:
    """Return mean and deviation (labels,) of logits (n, labels), NaN where none is known."""
    known = np.isfinite(values)
    count = np.where(known.any(axis=0), known.sum(axis=0), np.nan)
    mean = np.where(known, values, 0).sum(axis=0) / count
    variance = np.where(known, np.square(values - mean), 0).sum(axis=0) / count
    return mean, np.maximum(np.sqrt(variance), _LEAST_DEVIATION)


def _without_nan(values: Numbers) -> list[Any]:
    return [_without_nan(row) if values.ndim > 1 else None if np.isnan(row) else float(row) for row in values]
