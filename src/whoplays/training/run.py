"""Epochs: train, evaluate, keep the best, write a checkpoint, know when to stop, and go on after an interruption."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..dataset import Split
from ..errors import ModelError, UsageError
from ..runtime.interrupts import deferred_interrupts
from . import checkpoint
from .batches import Chunk, chunks, shuffled_order, spread
from .checkpoint import Checkpoint
from .history import EarlyStopping, History, Row
from .steps import Objective, Steps, Tally, make_steps
from .together import Communicator, SingleProcess, check_progress, sync_stats, total
from .watch import Watcher

JUDGED_AT_ONCE = 512  # rows in a batch when nothing is learnt


@dataclass
class Run:
    """One training run. `identity` says what it is: a checkpoint of another one is refused.

    communicator: with the other processes, where several train one model, each with its part of the rows; `batch_size` is
    that of all together, and the first writes. told: of the data, for the model's own record; kept in checkpoints.
    """

    model: Any
    optimizer: Any
    objective: Objective
    training: Split
    validation: Split
    identity: dict[str, Any]
    folder: Path
    epochs: int
    batch_size: int
    patience: int
    seed: int
    watcher: Watcher
    communicator: Communicator = field(default_factory=SingleProcess)
    history: History = field(default_factory=History)
    stopped: str = ""  # "epochs", "early" or "interrupted"
    told: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        counts = total(self.communicator, [len(self.training), len(self.validation)])
        self.rows, self.validation_rows = (int(count) for count in counts)  # of all processes
        self.stopping = EarlyStopping("val_loss" if self.validation_rows else "loss", self.patience)
        self.best: list[NDArray[Any]] = []
        self._steps: Steps | None = None
        self._forward_step: Any = None
        self._check_interrupt: Callable[[], None] = lambda: None
        self.optimizer.build(self.model.trainable_variables)

    @property
    def done(self) -> int:
        """Epochs finished."""
        return len(self.history.rows)

    def resume(self) -> bool:
        """Take up the checkpoint in the folder; return whether there was one. Raises `UsageError` for another run's."""
        found = checkpoint.read(self.folder)
        check_progress(self.communicator, len(found.facts["history"]) if found else 0)
        if found is None:
            return False
        if differs := checkpoint.difference(self.identity, found.identity):
            raise UsageError(f"{self.folder}: holds another run ({differs}); name another folder, or remove it")
        optimizer = list(found.groups.get("optimizer", []))
        weights, self.best = list(found.groups["weights"]), list(found.groups["best"])
        if [array.shape for array in optimizer] != [tuple(v.shape) for v in self.optimizer.variables]:
            raise ModelError(
                f"{self.folder / checkpoint.CHECKPOINT}: does not fit this network; remove it and train anew"
            )
        self.model.set_weights(weights)
        for variable, value in zip(self.optimizer.variables, optimizer, strict=True):
            variable.assign(value)
        self.history = History(list(found.facts["history"]))
        for row in self.history.rows:
            self.stopping.see(row)
        self.told = self.told or found.facts["told"]
        return True

    def go(self) -> None:
        """Train until the epochs are over, early stopping says so, or Ctrl-C; the model then has its best weights.

        Ctrl-C before the first epoch is over leaves nothing to keep and is passed on.
        """
        try:
            with deferred_interrupts() as self._check_interrupt:
                while self.done < self.epochs and not self.stopping.over:
                    self._epoch()
            self.stopped = "early" if self.stopping.over else "epochs"
        except KeyboardInterrupt:
            if not self.best:
                raise
            self.stopped = "interrupted"
        self.model.set_weights(self.best)

    def end(self, stopped: str = "") -> None:
        """End a run whose epochs were gone through elsewhere: the model gets the best weights of its checkpoint.

        stopped: "interrupted", or "" when they are over. Raises `ModelError` when the checkpoint is not here.
        """
        if not self.resume():
            raise ModelError(f"{self.folder}: no checkpoint came; it must lie where every node sees the same files")
        self.stopped = stopped or ("early" if self.stopping.over else "epochs")
        self.model.set_weights(self.best)

    def _epoch(self) -> None:
        begun = time.monotonic()
        number = self.done + 1
        figures = self._train(number)
        sync_stats(self.communicator, self.model)
        row: Row = {"epoch": number, "steps": self.steps_per_epoch, "seconds": 0.0, **figures}
        if self.validation_rows:
            row |= {f"val_{name}": value for name, value in self.evaluate(self.validation).items()}
        row["seconds"] = round(time.monotonic() - begun, 3)
        if not np.isfinite(list(row.values())).all():
            raise ModelError(f"the loss is no longer finite in epoch {number}; use a smaller --learning-rate")
        best = self.stopping.see(row)
        if best or not self.best:
            self.best = [np.array(value) for value in self.model.get_weights()]
        self.history.rows.append(row)
        if self.communicator.rank == 0:
            self._keep()
        self.watcher.epoch(row, best=best)

    @property
    def steps_per_epoch(self) -> int:
        """Steps that all rows take."""
        return -(-self.rows // self.batch_size)

    def _train(self, epoch: int) -> dict[str, float]:
        self._steps = self._steps or make_steps(self.model, self.optimizer, self.objective, self.communicator)
        tally, done = Tally(), 0
        for batch_size, chunk in self._chunks(epoch):
            tally.add(self._steps(chunk.features, chunk.targets, chunk.weights))
            done += -(-chunk.rows // batch_size)
            self.watcher.step(epoch, done, self.steps_per_epoch, tally.figures())
            self._check_interrupt()
        return tally.figures()

    def _chunks(self, epoch: int) -> Iterator[tuple[int, Chunk]]:
        """Yield this process's chunks of an epoch, with the size of their batches."""
        order = shuffled_order(len(self.training), seed=self.seed, epoch=epoch, rank=self.communicator.rank)
        batch_size, alone = self.batch_size, self.communicator.workers == 1
        if not alone:  # as many steps as the others have, whose parts may be larger or smaller
            shared = spread(order, self.steps_per_epoch)
            order, batch_size = shared.reshape(-1), shared.shape[1]
        for chunk in chunks(self.training, order, batch_size=batch_size, filled=alone):
            yield batch_size, chunk

    def evaluate(self, split: Split) -> dict[str, float]:
        """Return loss (with the penalty on weights, as Keras has it), accuracy, precision and recall."""
        ops = self.objective.keras.ops
        tally = Tally()
        for scores, known, present in self._scored(split):
            targets, weights = ops.convert_to_tensor(known), ops.convert_to_tensor(present)
            loss, weight = self.objective.loss(targets, scores, weights)
            counts = self.objective.counts(targets, scores, weights)
            tally.add(np.array([float(value) for value in (loss * weight, weight, *counts)]))
        tally.sums = total(self.communicator, tally.sums)
        figures = tally.figures()
        return figures | {"loss": figures["loss"] + self.penalty()}

    def penalty(self) -> float:
        """Return what the penalties on weights add to the loss."""
        return float(sum(float(value) for value in self.model.losses))

    def scores(self, split: Split) -> NDArray[np.float32]:
        """Return the network's probabilities (rows, labels)."""
        found = [scores.numpy() for scores, *_ in self._scored(split)]
        return np.concatenate(found)[: len(split)]

    def _scored(self, split: Split) -> Iterator[tuple[Any, NDArray[np.float32], NDArray[np.float32]]]:
        """Yield scores, targets and weights of each batch."""
        import tensorflow

        if self._forward_step is None:
            forward = tensorflow.function(lambda features: self.model(features, training=False), reduce_retracing=True)
            self._forward_step = forward
        for chunk in chunks(split, np.arange(len(split)), batch_size=JUDGED_AT_ONCE):
            for features, targets, weights in zip(chunk.features, chunk.targets, chunk.weights, strict=True):
                if weights.any():
                    yield self._forward_step(tensorflow.convert_to_tensor(features)), targets, weights

    def _keep(self) -> None:
        facts = {"history": self.history.rows, "told": self.told}
        optimizer = self.objective.keras.ops.convert_to_numpy
        groups = {
            "weights": self.model.get_weights(),
            "optimizer": [optimizer(variable) for variable in self.optimizer.variables],
            "best": self.best,
        }
        Checkpoint(self.identity, facts, groups).write(self.folder)
