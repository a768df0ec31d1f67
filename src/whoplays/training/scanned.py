"""The steps of steps.py on JAX: a chunk is one XLA executable there as well, a scan over its batches."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


class ScannedSteps:
    """A chunk of steps as one XLA executable (JAX)."""

    def __init__(self, model: Any, optimizer: Any, objective: Any) -> None:
        """Nothing is compiled before the first call; there is one executable for each shape of chunk."""
        optimizer.build(model.trainable_variables)
        self._model, self._optimizer, self._objective = model, optimizer, objective
        self._run = self._compiled()

    def _compiled(self) -> Any:
        import jax
        from jax import numpy as jnp

        model, optimizer, objective = self._model, self._optimizer, self._objective

        def loss_of(weights: Any, fixed: Any, batch: Any) -> tuple[Any, Any]:
            features, targets, present = batch
            scores, fixed, penalties = model.stateless_call(weights, fixed, features, training=True, return_losses=True)
            loss, weight = objective.loss(targets, scores, present)
            loss = loss + sum(penalties)
            return loss, (fixed, jnp.stack([loss * weight, weight, *objective.counts(targets, scores, present)]))

        def step(state: Any, batch: Any) -> tuple[Any, Any]:
            weights, fixed, slots = state
            gradients, (fixed, sums) = jax.grad(loss_of, has_aux=True)(weights, fixed, batch)
            weights, slots = optimizer.stateless_apply(slots, gradients, weights)
            return (weights, fixed, slots), sums

        return jax.jit(lambda state, batches: jax.lax.scan(step, state, batches))

    def __call__(self, features: Array, targets: Array, weights: Array) -> NDArray[np.float64]:
        """Run the steps that have any weight; those after them are padding and are not run."""
        steps = int(np.flatnonzero(weights.any(axis=1)).max(initial=-1)) + 1
        held = (self._model.trainable_variables, self._model.non_trainable_variables, self._optimizer.variables)
        batches = tuple(np.ascontiguousarray(a[:steps], dtype=np.float32) for a in (features, targets, weights))
        state, sums = self._run(tuple([v.value for v in group] for group in held), batches)
        for group, values in zip(held, state, strict=True):
            for variable, value in zip(group, values, strict=True):
                variable.assign(value)
        return np.asarray(np.asarray(sums, dtype=np.float64).sum(axis=0), dtype=np.float64)
