"""The default recipe's losses: unknown targets (NaN) count neither way."""

from __future__ import annotations

from typing import Any

from .framework import load_keras


def masked_crossentropy(targets: Any, logits: Any) -> Any:
    """Return the mean binary cross-entropy of the known targets (NaN is unknown; between 0 and 1 is a chance)."""
    ops = load_keras().ops
    known = ops.equal(targets, targets)
    truth = ops.where(known, targets, ops.zeros_like(targets))
    each = ops.maximum(logits, 0) - logits * truth + ops.log1p(ops.exp(-ops.absolute(logits)))
    weight = ops.cast(known, logits.dtype)
    return ops.sum(each * weight) / ops.maximum(ops.sum(weight), 1.0)


def masked_distance(targets: Any, embedding: Any) -> Any:
    """Return the mean squared distance to a teacher's embedding, averaged over as many steps as its targets are."""
    ops = load_keras().ops
    steps, width = targets.shape[1], targets.shape[2]
    pooled = ops.mean(ops.reshape(embedding, (-1, steps, 4, width)), axis=2)
    known = ops.equal(targets, targets)
    truth = ops.where(known, targets, ops.zeros_like(targets))
    weight = ops.cast(known, embedding.dtype)
    return ops.sum(ops.square(pooled - truth) * weight) / ops.maximum(ops.sum(weight), 1.0)
