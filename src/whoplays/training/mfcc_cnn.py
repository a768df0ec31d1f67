"""The recipe `mfcc-cnn`: the student report's network, trained as the report trained it; every value can be set."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from .. import __version__
from ..dataset import Dataset, Split
from ..errors import DatasetError, UsageError, require
from ..evaluation import metrics
from ..model import folder as model_folder
from ..model.config import ModelConfig
from ..storage.address import Place
from ..storage.files import only_writer
from . import checkpoint, export
from .card import card
from .framework import load_keras
from .limits import FORM, of_any_recipe
from .run import Run
from .steps import Objective
from .together import Communicator, SingleProcess, total
from .watch import Elsewhere, Trained, Watcher

HISTORY, PLOT = "history.csv", "history.png"


@dataclass(frozen=True, kw_only=True)
class MfccCnnSettings:
    """What can be set; the defaults are the report's.

    learning_rate: of Adam. batch_size: rows a step. epochs: at most. patience: epochs without a better validation loss
    before it stops. l2: penalty on the two dense layers. dropout: share of units dropped after each of them.
    loss: "softmax" (one label a row, categorical cross-entropy) or "sigmoid" (any labels, unknown ones left out of the
    binary cross-entropy). seed: of weights, dropout and the order of rows. name: of the model.
    """

    epochs: int = 50
    batch_size: int = 2
    learning_rate: float = 1e-5
    patience: int = 10
    l2: float = 0.001
    dropout: float = 0.5
    loss: Literal["softmax", "sigmoid"] = "softmax"
    seed: int = 0
    name: str = "mfcc-cnn"

    def __post_init__(self) -> None:
        checks = [
            *of_any_recipe(self),
            (1 <= self.patience <= 100_000, f"--patience {self.patience}: 1 to 100000"),
            (0 <= self.l2 <= 1, f"--l2 {self.l2:g}: 0 to 1"),
            (0 <= self.dropout < 1, f"--dropout {self.dropout:g}: 0 up to 1, not included"),
            (self.loss in ("softmax", "sigmoid"), f"--loss {self.loss}: softmax or sigmoid"),
            (self.name.replace("-", "").replace("_", "").isalnum(), f"--name {self.name!r}: letters, digits, - and _"),
        ]
        require(checks, UsageError, FORM)


def train_mfcc_cnn(
    dataset_folder: Place | str,
    out: Path | str,
    settings: MfccCnnSettings | None = None,
    *,
    resume: bool = False,
    watcher: Watcher | None = None,
    elsewhere: Elsewhere | None = None,
) -> Trained:
    """Train on a data set and write a model folder, with history.csv and history.png beside the model.

    Killed at any time and run again with `resume`, it ends with the very same model. Ctrl-C keeps the best so far.
    elsewhere: what goes through the epochs instead of this process, by `epochs_of_mfcc_cnn`. Raises `DatasetError` for a
    data set that does not fit, `UsageError` for a folder that holds another run.
    """
    settings, watcher, out = settings or MfccCnnSettings(), watcher or Watcher(), Path(out)
    dataset = Dataset.open(dataset_folder)
    _check(dataset, settings)
    with only_writer(out):
        if done := _finished(out, _identity(dataset, settings), resume):
            return done
        if elsewhere:  # of the rows of training, only one shard is looked at
            stopped, shards = elsewhere(), len(dataset.shards_of("training"))
            training, validation = dataset.split("training", part=(0, shards)), dataset.split("validation")
            run = _run(dataset, training, validation, settings, out, Watcher())
            run.end(stopped)
        else:
            run = _prepared(dataset, settings, out, watcher, SingleProcess())
            watcher.begin(_begin_facts(run, dataset, resume and run.resume()))
            run.go()
        return _finish(run, dataset, settings)


def epochs_of_mfcc_cnn(
    dataset_folder: Place, out: Path, settings: MfccCnnSettings, *, watcher: Watcher, communicator: Communicator
) -> None:
    """Go through the epochs in one of several processes, each with its part of the shards.

    The first leaves a checkpoint in `out` after each epoch. They begin with the one that is there, and end when the run is over.
    """
    dataset = Dataset.open(dataset_folder)
    run = _prepared(dataset, settings, out, watcher, communicator)
    watcher.begin(_begin_facts(run, dataset, run.resume()))
    run.go()


def usable(split: Split, loss: str) -> Split:
    """Return the split with the rows that the loss can use.

    softmax: rows with every label known and exactly one there. sigmoid: rows with any label known.
    """
    fine = metrics.single(split.targets) if loss == "softmax" else ~np.isnan(split.targets).all(axis=1)
    return split.take(np.flatnonzero(fine))


def _check(dataset: Dataset, settings: MfccCnnSettings) -> None:
    if below := [label for label in dataset.labels if label.parent and settings.loss == "softmax"]:
        raise DatasetError(
            f"{dataset.folder}: {below[0].id} is below {below[0].parent}, and a softmax's labels exclude each other; "
            "train with --loss sigmoid, or build with --labels"
        )
    if dataset.frames < 10:
        raise DatasetError(
            f"{dataset.folder}: has {dataset.frames} frames a row; the report's network needs 10 or more"
        )


def _identity(dataset: Dataset, settings: MfccCnnSettings) -> dict[str, Any]:
    """Return what makes two runs the same; the number of epochs may be raised on the way."""
    told = {name: value for name, value in asdict(settings).items() if name not in ("epochs", "name")}
    return {"recipe": "mfcc-cnn", **told, "data set": fingerprint(dataset)}


def fingerprint(dataset: Dataset) -> str:
    """Return a digest of what a data set holds: settings, labels and the shards' checksums."""
    told = {name: dataset.index.get(name) for name in ("features", "labels", "shards", "identity")}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def _finished(out: Path, identity: dict[str, Any], resume: bool) -> Trained | None:
    """Return the result of a run that is over, None where there is work. Raises `UsageError` for another's folder."""
    if checkpoint.check_folder(out, resume) or not (out / model_folder.CONFIG).exists():
        return None
    facts = dict(model_folder.read(out).config.training)
    if differs := checkpoint.difference(identity, facts.get("identity", {})):
        raise UsageError(f"{out}: holds a model of another run ({differs}); name another folder")
    return Trained(
        out, facts["history"], facts["stopped"], facts["best_epoch"], facts["validation"], already_there=True
    )


def _prepared(
    dataset: Dataset, settings: MfccCnnSettings, out: Path, watcher: Watcher, communicator: Communicator
) -> Run:
    """Return the run, with this process's part of the rows, and in `told` what there is in all."""
    part = (communicator.rank, communicator.workers)
    names = ("training", "validation")
    training, validation = (dataset.split(name, part=part) for name in names)
    run = _run(dataset, training, validation, settings, out, watcher, communicator)
    if not run.rows:
        raise DatasetError(f"{dataset.folder}: no row of training can be used with --loss {settings.loss}")
    used = (run.training, run.validation)
    skipped = [len(split) - len(left) for split, left in zip((training, validation), used, strict=True)]
    recordings = [len(np.unique(split.recordings)) for split in used]
    found = total(communicator, [*skipped, *recordings]).astype(int).tolist()
    there = dataset.index.get("recordings", {})  # a recording may have rows in the parts of several processes
    run.told = {
        "rows": {
            "training": run.rows,
            "validation": run.validation_rows,
            "skipped": dict(zip(names, found[:2], strict=True)),
        },
        "recordings": {name: min(n, there.get(name, n)) for name, n in zip(names, found[2:], strict=True)},
        "variants_semitones": sorted({float(s) for s in training.semitones}),
    }
    return run


def _run(
    dataset: Dataset,
    training: Split,
    validation: Split,
    settings: MfccCnnSettings,
    out: Path,
    watcher: Watcher,
    communicator: Communicator | None = None,
) -> Run:
    from .networks import drop_apart, mfcc_cnn_network

    communicator = communicator or SingleProcess()
    model = mfcc_cnn_network(
        dataset.frames,
        dataset.settings.n_features,
        len(dataset.labels),
        l2=settings.l2,
        dropout=settings.dropout,
        activation=settings.loss,
        seed=settings.seed,
    )
    drop_apart(model, communicator.rank)
    return Run(
        model=model,
        optimizer=load_keras().optimizers.Adam(settings.learning_rate),
        objective=Objective(settings.loss),
        training=usable(training, settings.loss),
        validation=usable(validation, settings.loss),
        identity=_identity(dataset, settings),
        folder=out,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        patience=settings.patience,
        seed=settings.seed,
        watcher=watcher,
        communicator=communicator,
    )


def _begin_facts(run: Run, dataset: Dataset, resumed: bool) -> dict[str, Any]:
    return {
        "labels": [label.id for label in dataset.labels],
        "training": run.rows,
        "validation": run.validation_rows,
        "skipped": run.told["rows"]["skipped"],
        "steps": run.steps_per_epoch,
        "epochs": run.epochs,
        "epoch": run.done + 1,
        "resumed": resumed,
        "weights": int(run.model.count_params()),
    }


def _finish(run: Run, dataset: Dataset, settings: MfccCnnSettings) -> Trained:
    """Write the model folder; the checkpoint goes last, and stays after Ctrl-C so that the run can go on."""
    from ..evaluation.plots import history_figure
    from ..results.drawing import write_figure

    measured = run.evaluate(run.validation) if len(run.validation) else {}
    facts = {
        "recipe": "mfcc-cnn",
        "whoplays": __version__,
        "settings": asdict(settings),
        "identity": run.identity,
        **run.told,
        "history": run.history.rows,
        "best_epoch": run.stopping.best_epoch,
        "stopped": run.stopped,
        "validation": measured,
        "weight_penalty": run.penalty(),
    }
    network = export.to_onnx(run.model, frames=dataset.frames, width=dataset.settings.n_features)
    run.history.write(run.folder / HISTORY)
    write_figure(history_figure(run.history.rows, best_epoch=run.stopping.best_epoch), run.folder / PLOT)
    # Of a softmax's labels at most one can reach 0.5. A sigmoid's thresholds come from validation.
    thresholds = (0.5,) * len(dataset.labels)
    if settings.loss == "sigmoid" and len(run.validation):
        thresholds = tuple(metrics.best_thresholds(run.validation.targets, run.scores(run.validation)))
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
    model_folder.write(run.folder, config, network, card(config, facts))
    if run.stopped != "interrupted":
        (run.folder / checkpoint.CHECKPOINT).unlink(missing_ok=True)
    return Trained(run.folder, run.history.rows, run.stopped, run.stopping.best_epoch, measured)
