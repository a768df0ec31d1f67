"""Several processes that train one model: what they exchange. A single process exchanges nothing.

Each has rows of its own, and the same weights and optimiser. Of every step a process computes the gradient over its rows;
the gradients are summed over all, weighted by rows, and each takes the same step with its own copy (Goyal 2017, section 2).
So a step is that of one process with all the rows; only batch normalisation still sees the rows of one process at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ModelError
from .framework import load_keras


class Communicator(Protocol):
    """What a process exchanges with the others. rank: its number, from 0. workers: how many there are."""

    rank: int
    workers: int

    def sum(self, values: Any) -> Any:
        """Return the sum over all processes of a tensor of one shape. All must call it, equally often."""


class SingleProcess(Communicator):
    """One process, which has nobody to tell."""

    rank, workers = 0, 1

    def sum(self, values: Any) -> Any:
        return values


class Collective(Communicator):
    """Processes on one machine or many that sum by TensorFlow's collective operations; `sum` may be in a compiled function."""

    def __init__(self, addresses: Sequence[str], rank: int, *, threads: int = 0) -> None:
        """Wait for the others. addresses: "host:port" of each, the same in all. threads: to compute on; 0: one per core.

        To be called before TensorFlow computes anything. Graphics cards are left alone.
        """
        load_keras()  # quiet, and before TensorFlow, which would look for another Keras
        import tensorflow as tf

        self.rank, self.workers = rank, len(addresses)
        tf.config.set_visible_devices([], "GPU")
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        self._strategy = tf.distribute.MultiWorkerMirroredStrategy(
            tf.distribute.cluster_resolver.SimpleClusterResolver(
                tf.train.ClusterSpec({"worker": list(addresses)}),
                task_type="worker",
                task_id=rank,
                rpc_layer="grpc",
            )
        )

        def reduce(mine: Any) -> Any:
            context = tf.distribute.get_replica_context()
            return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(mine))  # a copy, placed on a device

        def summed(values: Any) -> Any:
            return self._strategy.run(reduce, args=(values,))

        self._sum = tf.function(summed, autograph=False, reduce_retracing=True)

    def sum(self, values: Any) -> Any:
        return self._sum(values)


def total(communicator: Communicator, values: ArrayLike) -> NDArray[np.float64]:
    """Return the sum over all processes of numbers of any shape."""
    mine = np.asarray(values, dtype=np.float64)
    if communicator.workers == 1:
        return mine
    return np.asarray(communicator.sum(load_keras().ops.convert_to_tensor(mine)), dtype=np.float64)


def of_first(communicator: Communicator, values: ArrayLike) -> NDArray[np.float64]:
    """Return the numbers that the first process has."""
    mine = np.asarray(values, dtype=np.float64)
    return total(communicator, mine if communicator.rank == 0 else np.zeros_like(mine))


def sync_stats(communicator: Communicator, model: Any) -> None:
    """Give all processes the mean of what each has seen (moving statistics), and see to it that all have one model.

    Those means are linear in what is seen, so averaging once an epoch is averaging after every step. Raises `ModelError`
    when the processes' weights differ: a node that computes otherwise, or another whoplays.
    """
    if communicator.workers == 1:
        return
    for variable in model.non_trainable_variables:
        if "float" in str(variable.dtype):
            variable.assign((total(communicator, variable) / communicator.workers).astype(np.float32))
    sums = [float(np.abs(value).sum(dtype=np.float64)) for value in model.get_weights()]
    if (of_first(communicator, sums) != sums).any():
        raise ModelError(
            f"process {communicator.rank} of {communicator.workers} no longer has the weights of the first; "
            "install the same versions of TensorFlow and Keras on every node"
        )


def check_progress(communicator: Communicator, epochs: int) -> None:
    """Raise `ModelError` unless all processes found as many epochs in the checkpoint as the first did."""
    if (theirs := int(of_first(communicator, epochs))) != epochs:
        raise ModelError(
            f"process {communicator.rank} of {communicator.workers} found {epochs} epochs in the checkpoint, the first {theirs}; "
            "the model folder must lie where every node sees the same files"
        )


def shared_step(
    model: Any, optimizer: Any, communicator: Communicator, forward: Callable[..., tuple[Any, Any, Any]]
) -> Callable[..., Any]:
    """Return one step of all processes together, each with a batch of its own; it returns the figures, summed over all.

    forward: batch -> mean loss, weight of the batch (0: nothing in it), figures (n,) to be summed over all.
    """
    import tensorflow as tf

    variables = model.trainable_variables
    optimizer.build(variables)

    @tf.function(jit_compile=True, autograph=False)  # type: ignore[untyped-decorator]
    def weighted_gradients(*batch: Any) -> Any:
        """Return one vector: gradients times weight, the weight, the figures."""
        with tf.GradientTape() as tape:
            loss, weight, figures = forward(*batch)
        found = tape.gradient(loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        flat = [tf.reshape(gradient, [-1]) * weight for gradient in found]
        return tf.concat([*flat, tf.reshape(weight, [1]), figures], axis=0)

    @tf.function(jit_compile=True, autograph=False)  # type: ignore[untyped-decorator]
    def apply(summed: Any) -> Any:
        sizes = [int(np.prod(variable.shape)) for variable in variables]
        *parts, weight, figures = tf.split(summed, [*sizes, 1, summed.shape[0] - sum(sizes) - 1])
        scale = 1.0 / tf.maximum(weight[0], 1e-9)
        gradients = [tf.reshape(part * scale, v.shape) for part, v in zip(parts, variables, strict=True)]
        optimizer.apply(gradients, variables)
        return figures

    return lambda *batch: apply(communicator.sum(weighted_gradients(*batch)))


class Learner:
    """What `train_on_batch` is to one process: takes a step on named outputs, and returns the epoch's mean losses so far."""

    def __init__(
        self, model: Any, optimizer: Any, communicator: Communicator, losses: dict[str, Any], weights: dict[str, float]
    ) -> None:
        """losses: output -> function (targets, outputs) -> mean loss; weights: output -> its weight in the whole."""
        import tensorflow as tf

        self._names = ["loss", *(f"{name}_loss" for name in losses)]
        self._sums = np.zeros(len(self._names) + 1)

        def forward(features: Any, targets: Any) -> tuple[Any, Any, Any]:
            outputs = model(features, training=True)
            each = [loss(targets[name], outputs[name]) for name, loss in losses.items()]
            loss = tf.add_n([*(value * weights[name] for name, value in zip(losses, each, strict=True)), *model.losses])
            rows = tf.cast(tf.shape(features)[0], tf.float32)
            return loss, rows, tf.stack([*(value * rows for value in (loss, *each)), rows])

        self._step = shared_step(model, optimizer, communicator, forward)

    def __call__(self, features: Any, targets: dict[str, Any]) -> dict[str, float]:
        """Take one step; the targets are named as the outputs."""
        tensors = {name: load_keras().ops.convert_to_tensor(value) for name, value in targets.items()}
        self._sums += np.asarray(self._step(load_keras().ops.convert_to_tensor(features), tensors), dtype=np.float64)
        return dict(zip(self._names, (self._sums[:-1] / self._sums[-1]).tolist(), strict=True))

    def forget(self) -> None:
        """Begin another epoch."""
        self._sums[:] = 0
