"""Thresholds that a caller sets in place of a model's own: one number for all labels, or a number for some of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Annotated

from ..errors import UsageError, did_you_mean

ALL = "*"  # stands for every label that has no number of its own

Threshold = Annotated[float | Mapping[str, float], "a number from 0 to 1, or {label: number}"]


def parse(text: str) -> tuple[str, float]:
    """Read "0.6" or "brass=0.7": return the label, or `ALL`, and the number. Raises `UsageError` for anything else."""
    label, _, value = text.rpartition("=")
    try:
        return label.strip() or ALL, _checked(float(value), text)
    except ValueError:
        raise UsageError(_WRONG.format(text)) from None


def resolve(threshold: Threshold | None, labels: Sequence[str], own: Iterable[float]) -> tuple[float, ...]:
    """Return the threshold of each label.

    Parameters
    ----------
    threshold : float or mapping of str to float, optional
        A number for all labels, or numbers by label id; `ALL` stands for the labels that are not named.
    labels : sequence of str
        The model's label ids.
    own : iterable of float
        The model's thresholds, in the order of `labels`.

    Returns
    -------
    tuple of float
        In the order of `labels`.

    Raises
    ------
    UsageError
        For a number outside 0 to 1, or a label that the model does not have.
    """
    given = threshold if isinstance(threshold, Mapping) else {} if threshold is None else {ALL: threshold}
    for label, value in given.items():
        _checked(value, value if label == ALL else f"{label}={value}")
        if label != ALL and label not in labels:
            raise UsageError(
                f"threshold {label}={value}: the model has no label {label}; it has {', '.join(labels)}"
                f"{did_you_mean(label, labels)}"
            )
    return tuple(float(given.get(label, given.get(ALL, limit))) for label, limit in zip(labels, own, strict=True))


_WRONG = "threshold {}: must be a number from 0 to 1, or LABEL=NUMBER"


def _checked(value: float, shown: object) -> float:
    if not isinstance(value, Real) or isinstance(value, bool) or not 0 <= value <= 1:
        raise UsageError(_WRONG.format(shown))
    return float(value)
