"""Training steps, many to one execution: what makes a batch of 2 cheap.

A plain `fit` pays for every step: Python, the input pipeline, a call per operation. Here a chunk of steps is one
tensor of batches (steps, batch, ...) and one XLA executable with a loop in it; weights, optimiser and dropout state
stay inside until the chunk is done. The arithmetic is that of `fit`: the tests hold the two against each other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .framework import load_keras
from .together import Communicator, SingleProcess, shared_step

Array = NDArray[np.float32]

#: What a chunk of steps is summed up in (see `Tally`).
SUMS = ("loss", "weight", "hits", "counted", "true_positives", "false_positives", "false_negatives")


class Tally:
    """Sums over rows that turn into an epoch's figures: loss, accuracy, precision, recall, as Keras defines them."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.sums = np.zeros(len(SUMS), dtype=np.float64)

    def add(self, sums: NDArray[Any]) -> None:
        """Add sums in the order of `SUMS`."""
        self.sums += np.asarray(sums, dtype=np.float64)

    def figures(self) -> dict[str, float]:
        """Return loss, accuracy, precision and recall; 0 where there was nothing to count."""
        s = dict(zip(SUMS, self.sums, strict=True))
        return {
            "loss": _ratio(s["loss"], s["weight"]),
            "accuracy": _ratio(s["hits"], s["counted"]),
            "precision": _ratio(s["true_positives"], s["true_positives"] + s["false_positives"]),
            "recall": _ratio(s["true_positives"], s["true_positives"] + s["false_negatives"]),
        }


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else 0.0


class Objective:
    """What is minimised, and the counts beside it, for targets (batch, labels) with NaN where a label is not known.

    activation "softmax": categorical cross-entropy; every row has exactly one label. "sigmoid": binary cross-entropy,
    averaged over the cells that are known. Accuracy is the share of rows whose largest score is right (softmax), or of
    cells on the right side of 0.5 (sigmoid); precision and recall count cells over 0.5, as in the report.
    """

    def __init__(self, activation: str) -> None:
        """Choose by the network's last activation."""
        self.keras = load_keras()
        self.exclusive = activation == "softmax"

    def loss(self, targets: Any, scores: Any, weights: Any) -> tuple[Any, Any]:
        """Return the mean loss of a batch, and its weight in an epoch. weights (batch,): 0 for rows to ignore."""
        ops = self.keras.ops
        known, truth = self._known(targets)
        if self.exclusive:
            each = ops.categorical_crossentropy(truth, scores)  # (batch,)
            weight = weights
        else:
            each = ops.binary_crossentropy(truth, scores)  # (batch, labels)
            weight = known * ops.expand_dims(weights, -1)
        total = ops.sum(weight)
        return ops.sum(each * weight) / ops.maximum(total, 1e-9), total

    def counts(self, targets: Any, scores: Any, weights: Any) -> list[Any]:
        """Return hits, counted, true positives, false positives and false negatives of a batch."""
        ops = self.keras.ops
        known, truth = self._known(targets)
        cells = known * ops.expand_dims(weights, -1)
        said = ops.cast(scores > 0.5, "float32")
        if self.exclusive:
            right = ops.cast(ops.equal(ops.argmax(scores, -1), ops.argmax(truth, -1)), "float32")
            hits, counted = ops.sum(right * weights), ops.sum(weights)
        else:
            hits, counted = ops.sum(cells * ops.cast(ops.equal(said, truth), "float32")), ops.sum(cells)
        return [
            hits,
            counted,
            ops.sum(cells * said * truth),
            ops.sum(cells * said * (1 - truth)),
            ops.sum(cells * (1 - said) * truth),
        ]

    def _known(self, targets: Any) -> tuple[Any, Any]:
        ops = self.keras.ops
        known = ops.equal(targets, targets)  # NaN is not equal to itself
        return ops.cast(known, "float32"), ops.where(known, targets, ops.zeros_like(targets))


class FusedSteps:
    """A chunk of steps as one call, in which several processes that train one model tell each other at every step.

    Alone, the chunk is one XLA executable.
    """

    def __init__(
        self, model: Any, optimizer: Any, objective: Objective, communicator: Communicator | None = None
    ) -> None:
        """Nothing is compiled before the first call; what is compiled serves all chunks of one shape."""
        import tensorflow as tf

        communicator = communicator or SingleProcess()
        self._tf, self._alone = tf, communicator.workers == 1

        def forward(features: Any, targets: Any, weights: Any) -> tuple[Any, Any, Any]:
            scores = model(features, training=True)
            loss, weight = objective.loss(targets, scores, weights)
            loss = tf.add_n([loss, *model.losses])
            return loss, weight, tf.stack([loss * weight, weight, *objective.counts(targets, scores, weights)])

        def step_alone(*batch: Any) -> Any:
            with tf.GradientTape() as tape:
                loss, _, sums = forward(*batch)
            optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
            return sums

        optimizer.build(model.trainable_variables)
        step = step_alone if self._alone else shared_step(model, optimizer, communicator, forward)

        def run(features: Any, targets: Any, weights: Any, steps: Any) -> Any:
            def body(i: Any, sums: Any) -> Any:
                return i + 1, sums + step(features[i], targets[i], weights[i])

            first = (tf.constant(0), tf.zeros(len(SUMS)))
            return tf.while_loop(lambda i, _: i < steps, body, first, parallel_iterations=1)[1]

        self._run = tf.function(run, jit_compile=self._alone or None, autograph=False, reduce_retracing=True)

    def __call__(self, features: Array, targets: Array, weights: Array) -> NDArray[np.float64]:
        """Train on batches in their order; return sums in the order of `SUMS`, over all processes.

        features (steps, batch, frames, width), targets (steps, batch, labels), weights (steps, batch). Alone, steps after the
        last that has any weight are padding and are not run; together all are run, those that have rows only elsewhere too.
        """
        steps = len(weights)
        if self._alone:
            steps = int(np.flatnonzero(weights.any(axis=1)).max(initial=-1)) + 1
        arrays = (np.ascontiguousarray(a, dtype=np.float32) for a in (features, targets, weights))
        tensors = (self._tf.convert_to_tensor(a) for a in arrays)
        return np.asarray(self._run(*tensors, self._tf.constant(steps)).numpy(), dtype=np.float64)
