"""The default recipe's loss: unknown targets (NaN) count neither way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .framework import load_keras


def masked_crossentropy(weights: Any = 1.0) -> Callable[[Any, Any], Any]:
    """Return a loss of (targets, logits): the mean binary cross-entropy of the known targets.

    Parameters
    ----------
    weights : float or sequence of float, shape (labels,)
        How much each label counts in the mean.

    Returns
    -------
    callable
        Targets (..., labels) may lie between 0 and 1: a probability; NaN is unknown.
    """
    ops, weights = load_keras().ops, np.asarray(weights, dtype=np.float32)

    def loss(targets: Any, logits: Any) -> Any:
        known = ops.equal(targets, targets)
        truth = ops.where(known, targets, ops.zeros_like(targets))
        each = ops.maximum(logits, 0) - logits * truth + ops.log1p(ops.exp(-ops.absolute(logits)))
        weight = ops.cast(known, logits.dtype) * weights
        return ops.sum(each * weight) / ops.maximum(ops.sum(weight), 1.0)

    return loss
