"""The recipe `mfcc-cnn`: the student report's network, trained as the report trained it; every value can be set."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..dataset import Dataset, Split
from ..errors import DatasetError
from ..evaluation import metrics
from ..model import folder as model_folder
from ..model.config import ModelConfig
from . import export
from .batches import Chunk, chunks, shuffled_order, spread
from .card import card
from .checkpoint import Arrays, Checkpoint
from .framework import load_keras
from .run import Run
from .settings import MfccCnnSettings
from .steps import FusedSteps, Objective, Tally
from .together import Communicator, total
from .watch import EarlyStopping, Row, Trained, Watcher

PLOT = "history.png"
EVALUATED_AT_ONCE = 512  # rows in a batch when nothing is learnt


def check(dataset: Dataset, settings: MfccCnnSettings) -> None:
    """Raise `DatasetError` for a data set that the network cannot be trained on."""
    if below := [label for label in dataset.labels if label.parent and settings.loss == "softmax"]:
        raise DatasetError(
            f"{dataset.folder}: {below[0].id} is below {below[0].parent}, and a softmax's labels exclude each other; "
            "train with --loss sigmoid, or build with --labels"
        )
    if dataset.frames < 10:
        raise DatasetError(
            f"{dataset.folder}: has {dataset.frames} frames a row; the report's network needs 10 or more"
        )


def identity_of(dataset: Dataset, settings: MfccCnnSettings) -> dict[str, Any]:
    """Return what makes two runs the same; the number of epochs may be raised on the way."""
    values = {name: value for name, value in asdict(settings).items() if name not in ("epochs", "name")}
    held = {name: dataset.index.get(name) for name in ("features", "labels", "shards", "identity")}
    fingerprint = hashlib.sha256(json.dumps(held, sort_keys=True).encode()).hexdigest()[:16]
    return {"recipe": "mfcc-cnn", **values, "data set": fingerprint}


def usable(split: Split, loss: str) -> Split:
    """Return the split with the rows that the loss can use.

    softmax: rows with every label known and exactly one there. sigmoid: rows with any label known.
    """
    fine = metrics.single(split.targets) if loss == "softmax" else ~np.isnan(split.targets).all(axis=1)
    return split.take(np.flatnonzero(fine))


class MfccCnnRun(Run):
    """A run of the recipe. An epoch is a pass through the rows; the weights of the best one are kept."""

    def __init__(
        self,
        dataset: Dataset,
        training: Split,
        validation: Split,
        settings: MfccCnnSettings,
        folder: Path,
        watcher: Watcher,
        communicator: Communicator | None = None,
    ) -> None:
        """training, validation: rows of the data set, or this process's part of them; those that the loss can use are used."""
        super().__init__(settings, identity_of(dataset, settings), folder, watcher, communicator)
        self.dataset, self.settings, self.labels = dataset, settings, dataset.labels
        self.training, self.validation = (usable(split, settings.loss) for split in (training, validation))
        self.objective = Objective(settings.loss)
        names, pairs = ("training", "validation"), ((training, self.training), (validation, self.validation))
        counts = [[len(used), len(split) - len(used), len(np.unique(used.recordings))] for split, used in pairs]
        rows, skipped, recordings = total(self.communicator, counts).astype(int).T.tolist()
        self.rows, self.validation_rows = rows
        self.skipped = dict(zip(names, skipped, strict=True))
        there = dataset.index.get("recordings", {})  # a recording may have rows in the parts of several processes
        self.data_facts = {
            "rows": {"training": self.rows, "validation": self.validation_rows, "skipped": self.skipped},
            "recordings": {name: min(n, there.get(name, n)) for name, n in zip(names, recordings, strict=True)},
            "variants_semitones": sorted({float(s) for s in training.semitones}),
        }
        self.steps = -(-self.rows // settings.batch_size)
        self.stopping = EarlyStopping("val_loss" if self.validation_rows else "loss", settings.patience)
        self.best: list[NDArray[Any]] = []
        self._forward_step: Any = None

    def build(self, found: Checkpoint | None) -> None:
        from .networks import drop_apart, mfcc_cnn_network

        settings = self.settings
        frames, width = self.training.features.shape[1:]
        self.model = mfcc_cnn_network(
            frames,
            width,
            len(self.labels),
            l2=settings.l2,
            dropout=settings.dropout,
            activation=settings.loss,
            seed=settings.seed,
        )
        drop_apart(self.model, self.communicator.rank)
        self.optimizer = load_keras().optimizers.Adam(settings.learning_rate)
        self._steps = FusedSteps(self.model, self.optimizer, self.objective, self.communicator)
        if found:
            self.best = list(found.groups["best"])
            for row in found.facts["history"]:
                self.stopping.see(row)

    def begin(self) -> None:
        if not self.rows:
            raise DatasetError(
                f"{self.dataset.folder}: no row of training can be used with --loss {self.settings.loss}"
            )
        super().begin()

    def go(self) -> None:
        super().go()
        self.model.set_weights(self.best)

    def end(self, stopped: str = "") -> None:
        super().end(stopped)
        self.model.set_weights(self.best)

    def seen(self, row: Row) -> bool:
        best = self.stopping.see(row)
        if best or not self.best:
            self.best = [np.array(value) for value in self.model.get_weights()]
        return best

    @property
    def over(self) -> bool:
        return self.stopping.over

    @property
    def groups(self) -> dict[str, Arrays]:
        return {"best": self.best}

    def train(self, epoch: int) -> Row:
        tally, done = Tally(), 0
        for batch_size, chunk in self._chunks(epoch):
            tally.add(self._steps(chunk.features, chunk.targets, chunk.weights))
            done += -(-chunk.rows // batch_size)
            self.watcher.step(epoch, done, self.steps, tally.figures())
            self._check_interrupt()
        return tally.figures()

    def _chunks(self, epoch: int) -> Iterator[tuple[int, Chunk]]:
        """Yield this process's chunks of an epoch, with the size of their batches."""
        order = shuffled_order(len(self.training), seed=self.settings.seed, epoch=epoch, rank=self.communicator.rank)
        batch_size, alone = self.settings.batch_size, self.communicator.workers == 1
        if not alone:  # as many steps as the others have, whose parts may be larger or smaller
            shared = spread(order, self.steps)
            order, batch_size = shared.reshape(-1), shared.shape[1]
        for chunk in chunks(self.training, order, batch_size=batch_size, filled=alone):
            yield batch_size, chunk

    def validated(self, epoch: int) -> Row:
        return self.evaluate(self.validation)

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
        for chunk in chunks(split, np.arange(len(split)), batch_size=EVALUATED_AT_ONCE):
            for features, targets, weights in zip(chunk.features, chunk.targets, chunk.weights, strict=True):
                if weights.any():
                    yield self._forward_step(tensorflow.convert_to_tensor(features)), targets, weights

    def ship(self) -> Trained:
        from ..evaluation.plots import history_figure
        from ..results.drawing import write_figure

        dataset, settings, best_epoch = self.dataset, self.settings, self.stopping.best_epoch
        measured = self.evaluate(self.validation) if len(self.validation) else {}
        facts = {
            "recipe": "mfcc-cnn",
            "whoplays": __version__,
            "settings": asdict(settings),
            "identity": self.identity,
            **self.data_facts,
            "history": self.history,
            "best_epoch": best_epoch,
            "stopped": self.stopped,
            "validation": measured,
            "weight_penalty": self.penalty(),
        }
        network = export.to_onnx(self.model, frames=dataset.frames, width=dataset.settings.n_features)
        write_figure(history_figure(self.history, best_epoch=best_epoch), self.folder / PLOT)
        # Of a softmax's labels at most one can reach 0.5. A sigmoid's thresholds come from validation.
        thresholds = (0.5,) * len(dataset.labels)
        if settings.loss == "sigmoid" and len(self.validation):
            thresholds = tuple(metrics.best_thresholds(self.validation.targets, self.scores(self.validation)))
        config = ModelConfig(
            name=settings.name,
            version="1",
            labels=dataset.labels,
            features=dataset.settings,
            activation=settings.loss,
            window_s=float(dataset.index.get("identity", {}).get("settings", {}).get("clip_s", 10.0)),
            thresholds=thresholds,
            training=facts,
        )
        model_folder.write(self.folder, config, network, card(config, facts))
        return Trained(self.folder, self.history, self.stopped, best_epoch, measured)
