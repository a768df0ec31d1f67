"""The recipe `default`: the network that ships, on crops that are mixed anew for every step.

It trains on a data set that `whoplays dataset build --features logmel` made, or on another pool of rows (recipe/ in a
checkout), whose targets may be soft: probabilities that teachers gave. An epoch is a number of steps, not a
pass through the rows: no two crops are alike.
"""

from __future__ import annotations

import contextlib
import functools
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..dataset import Dataset
from ..errors import DatasetError, ModelError, UsageError
from ..evaluation import metrics
from ..features import FeatureSettings
from ..model import folder as model_folder
from ..model.config import ModelConfig
from ..model.pooling import sigmoid
from ..runtime.interrupts import deferred_interrupts
from ..runtime.threads import in_order
from ..storage.address import Place, place
from ..storage.files import only_writer
from ..taxonomy.tree import Label, Tree
from . import augment, calibrate, checkpoint, export, together
from .augment import FRAMES_PER_STEP, Examples
from .checkpoint import Checkpoint
from .default_settings import DefaultSettings
from .history import History, Row
from .losses import masked_crossentropy
from .pools import Pool, open_pools
from .together import Communicator, SingleProcess, check_progress, of_first, total
from .watch import Elsewhere, Trained, Watcher

Array = NDArray[np.float32]

#: Seconds that the network reads at once in use, 32 steps: longer than its crops, which its pooling over time allows.
WINDOW_S = 10.24
#: The share of a recording's time whose scores make the recording's, and the seconds that attention averages over.
POOLED_SHARE, SPAN_S = 0.25, 10.0
#: Seconds at the ends of a window that its neighbours answer for: two steps.
CONTEXT_S = 0.64


@dataclass(frozen=True)
class Start(ABC):
    """A model that training begins as. id: its name and version. mean, variance: (bands,) that it takes out of features."""

    id: str
    features: FeatureSettings
    mean: Array
    variance: Array

    @abstractmethod
    def begin(self, network: Any, labels: Sequence[Label], settings: DefaultSettings, sample: Array) -> None:
        """Let a network, built with mean and variance, give what this model gives. sample: (n, frames, bands)."""


def train_default(
    source: Place | str | tuple[Pool, Pool],
    out: Path | str,
    settings: DefaultSettings | None = None,
    *,
    resume: bool = False,
    watcher: Watcher | None = None,
    elsewhere: Elsewhere | None = None,
    start: Start | None = None,
) -> Trained:
    """Train on a data set, or on pools of rows for training and validation, and write a model folder.

    Killed at any time, it goes on with `resume` from its last finished epoch; `epochs` may have changed then.
    elsewhere: what goes through the epochs of a data set instead of this process, by `epochs_of_default`. start: what the
    network begins as, in place of weights drawn at random. Raises `DatasetError` for a
    source that does not fit, `UsageError` for a folder that holds another run.
    """
    settings, watcher, out = settings or DefaultSettings(), watcher or Watcher(), Path(out)
    with only_writer(out):
        if resume and not (out / checkpoint.CHECKPOINT).exists() and (out / model_folder.CONFIG).exists():
            history = list(model_folder.read(out).config.training.get("history", []))
            return Trained(out, history, already_there=True)
        if elsewhere:
            checkpoint.check_folder(out, resume)
        if elsewhere and not isinstance(source, tuple):  # of the rows of training, only one shard is looked at
            stopped = elsewhere()
            pools = open_pools(place(source), part=(0, len(Dataset.open(source).shards_of("training"))))
            run = _Run(settings, *pools, out, Watcher())
            run.begin(resume=True)
            run.end(stopped)
        else:
            pools = source if isinstance(source, tuple) else open_pools(place(source))
            run = _Run(settings, *pools, out, watcher, start=start)
            run.begin(resume)
            run.go()
        run.finish()
    return Trained(out, run.history.rows, run.stopped)


def epochs_of_default(
    source: Place, out: Path, settings: DefaultSettings, *, watcher: Watcher, communicator: Communicator
) -> None:
    """Go through the epochs in one of several processes, each with its part of the shards.

    The first leaves a checkpoint in `out` after each epoch. They begin with the one that is there, and end when the run is over.
    """
    pools = open_pools(source, part=(communicator.rank, communicator.workers))
    run = _Run(settings, *pools, out, watcher, communicator)
    run.begin(resume=True)
    run.go()


class _Run:
    """One training run: `begin`, `go`, `finish`."""

    def __init__(
        self,
        settings: DefaultSettings,
        training: Pool,
        validation: Pool,
        folder: Path,
        watcher: Watcher,
        communicator: Communicator | None = None,
        start: Start | None = None,
    ) -> None:
        self.communicator = communicator or SingleProcess()
        rows = total(self.communicator, [len(training) > 0, len(training)])
        if rows[0] < self.communicator.workers:
            raise DatasetError("there is no row of training; build the data set with more recordings")
        self.settings, self.training, self.validation = settings, training, validation
        self.folder, self.watcher = folder, watcher
        self.rows = int(rows[1])  # of all processes
        self.crop_steps = min(settings.crop_steps, training.frames // FRAMES_PER_STEP)
        if self.crop_steps < 4:
            raise DatasetError(
                f"rows of {training.frames} frames are too short; {4 * FRAMES_PER_STEP} or more are needed"
            )
        self.crop_steps -= self.crop_steps % 4
        wanted = -(-self.rows // settings.batch_size)
        self.steps = settings.steps_per_epoch or min(200, max(20, wanted))
        self.start = start
        if start is not None and start.features != training.settings:
            raise UsageError(f"{start.id} reads other features than the rows have; start from another model")
        self.families = list(Tree(training.labels).levels()["families"])
        self.history = History()
        self.stopped = "epochs"
        self._check_interrupt: Callable[[], None] = lambda: None

    def _measured(self) -> tuple[Array, Array]:
        """Return mean and variance of each band over some crops. Resumed runs take those of their checkpoint."""
        if self.start is not None:
            return self.start.mean, self.start.variance
        sample = self._sample()
        found = np.stack([sample.mean(axis=(0, 1)), sample.var(axis=(0, 1)) + np.float32(0.1)])
        mean, variance = of_first(self.communicator, found).astype(np.float32)
        return mean, variance

    def _sample(self) -> Array:
        """Return features (512, frames, bands) of some crops for training."""
        return _crops(self.training, np.random.default_rng(self.settings.seed), 512, self.crop_steps).features

    def _build(self, mean: Array, variance: Array, *, resumed: bool) -> None:
        from .framework import load_keras
        from .networks import default_network, drop_apart

        keras, settings = load_keras(), self.settings
        keras.utils.set_random_seed(settings.seed)
        self.bands = [mean, variance]
        model = default_network(
            self.training.settings.n_features,
            len(self.training.labels),
            mean=mean,
            variance=variance,
            filters=settings.filters,
            blocks=settings.blocks,
            hidden=settings.hidden,
            seed=settings.seed,
        )
        if self.start is not None and not resumed:
            self.start.begin(model, self.training.labels, settings, self._sample())
        drop_apart(model, self.communicator.rank)
        optimizer = keras.optimizers.AdamW(
            settings.learning_rate,
            weight_decay=settings.weight_decay,
            use_ema=True,
            ema_momentum=settings.ema,
            clipnorm=2.0,
        )
        loss = masked_crossentropy([settings.label_weights.get(label.id, 1.0) for label in self.training.labels])
        losses: dict[str, Any] = {"logits": loss, "frame_logits": loss}
        weights = {"logits": 1.0, "frame_logits": settings.over_time}
        self.model, self.optimizer = model, optimizer
        if self.communicator.workers > 1:
            learner = together.Learner(model, optimizer, self.communicator, losses, weights)
            self._learn: Callable[..., dict[str, float]] = learner
            self._forget = learner.forget
            return
        model.compile(optimizer=optimizer, loss=losses, loss_weights=weights)
        optimizer.build(model.trainable_variables)
        self._learn, self._forget = functools.partial(model.train_on_batch, return_dict=True), model.reset_metrics

    @property
    def _identity(self) -> dict[str, Any]:
        told = {
            k: v
            for k, v in asdict(self.settings).items()
            if k not in ("epochs", "name", "version", "steps_per_epoch", "learning_rate", "restart")
        }
        told |= {"label_weights": dict(self.settings.label_weights), "start_from": self.start.id if self.start else ""}
        return {"recipe": "default", **{k: list(v) if isinstance(v, tuple) else v for k, v in told.items()}}

    def begin(self, resume: bool) -> None:
        """Start, or go on from the folder's checkpoint. Raises `UsageError` when the folder holds something else."""
        checkpoint.check_folder(self.folder, resume)
        found = checkpoint.read(self.folder)
        check_progress(self.communicator, len(found.facts["history"]) if found else 0)
        self._build(*(found.groups["bands"] if found else self._measured()), resumed=found is not None)
        if found is not None:
            if differs := checkpoint.difference(self._identity, found.identity):
                raise UsageError(f"{self.folder}: holds another run ({differs}); name another folder, or remove it")
            self.model.set_weights(list(found.groups["weights"]))
            for variable, value in zip(self.optimizer.variables, found.groups["optimizer"], strict=True):
                variable.assign(value)
            self.history = History(list(found.facts["history"]))
            self.kept_rows = int(found.facts.get("rows", self.rows))
        self.watcher.begin(
            {
                "labels": [label.id for label in self.training.labels],
                "training": self.rows,
                "validation": len(self.validation),
                "skipped": {},
                "steps": self.steps,
                "epochs": self.settings.epochs,
                "epoch": len(self.history.rows) + 1,
                "resumed": found is not None,
                "weights": int(self.model.count_params()),
            }
        )

    def go(self) -> None:
        """Train until the epochs are over; Ctrl-C ends it early, with what there is."""
        try:
            with deferred_interrupts() as self._check_interrupt:
                while len(self.history.rows) < self.settings.epochs:
                    self._epoch(len(self.history.rows) + 1)
        except KeyboardInterrupt:
            if not self.history.rows:
                raise
            self.stopped = "interrupted"

    def _epoch(self, number: int) -> None:
        begun, sums = time.monotonic(), np.zeros(0)
        self.training.refresh()
        done = 0
        for done, examples in enumerate(self._batches(number), start=1):
            self.optimizer.learning_rate.assign(self.settings.rate_after(number - 1 + done / self.steps))
            found = self._learn(examples.features, {"logits": examples.clip, "frame_logits": examples.steps})
            values = np.array([float(found[name]) for name in sorted(found)])
            sums = values  # Keras averages over the epoch itself
            self.watcher.step(number, done, self.steps, {})
            self._check_interrupt()
        if not np.isfinite(sums).all():
            raise ModelError(f"the loss is no longer finite in epoch {number}; use a smaller --learning-rate")
        row: Row = {"epoch": number, "steps": self.steps, "seconds": 0.0}
        row |= {name: float(value) for name, value in zip(sorted(found), sums, strict=True)}
        self._forget()
        together.sync_stats(self.communicator, self.model)
        first = self.communicator.rank == 0
        if first and len(self.validation):
            with self._averaged():
                targets, measured = self.evaluate(number)
            families = list(Tree(self.training.labels).levels()["families"])
            scores = sigmoid(measured["logits"][:, families])
            row["val_map"] = float(np.nanmean(metrics.average_precision(targets[:, families], scores)))
        row["seconds"] = round(time.monotonic() - begun, 1)
        self.history.rows.append(row)
        if first:
            self._keep()
        self.watcher.epoch(row, best=True)

    def _batches(self, epoch: int) -> Iterator[Examples]:
        """Return the epoch's batches; the next ones are drawn in a thread while one trains."""
        return in_order(functools.partial(self._batch, epoch), range(self.steps), 1, ahead=3)

    def _batch(self, epoch: int, step: int) -> Examples:
        """Draw one batch, or this process's share: a function of seed, epoch, step and rank (and of the rows there are)."""
        rank, workers = self.communicator.rank, self.communicator.workers
        rng = np.random.default_rng([self.settings.seed, epoch, step, *([rank] if rank else [])])
        share = (self.settings.batch_size + workers - 1 - rank) // workers
        examples = _crops(self.training, rng, share, self.crop_steps)
        n, frames, bands = examples.features.shape
        parameters = augment.draw(
            rng,
            n,
            frames=frames,
            bands=bands,
            mix=self.settings.mix,
            partners=self.settings.partners,
            playing=(np.nan_to_num(examples.clip[:, self.families]) > 0.5).sum(axis=1),
        )
        return augment.apply(examples, parameters, log_offset=self.training.settings.log_offset)

    def evaluate(self, seed: int = 0, *, crops: int = 768) -> tuple[Array, dict[str, Array]]:
        """Return what the network makes of validation crops, half of them mixed, not otherwise changed.

        Returns
        -------
        targets : ndarray, shape (crops, labels)
        dict
            What the network gives: "logits" (crops, labels); "frame_logits" and "attention" (crops, steps, labels).
        """
        rng, all_targets, parts = np.random.default_rng([seed, 1]), [], []
        for _ in range(-(-min(crops, 4 * len(self.validation)) // 64)):
            examples = _crops(self.validation, rng, 64, self.crop_steps)
            n, frames, bands = examples.features.shape
            plain = augment.only_mixing(augment.draw(rng, n, frames=frames, bands=bands, mix=0.5))
            examples = augment.apply(examples, plain, log_offset=self.training.settings.log_offset)
            all_targets.append(examples.clip)
            parts.append(self.model.predict_on_batch(examples.features))
        names = ("logits", "frame_logits", "attention")
        return np.concatenate(all_targets), {
            name: np.concatenate([np.asarray(part[name]) for part in parts]) for name in names
        }

    @contextlib.contextmanager
    def _averaged(self) -> Iterator[None]:
        """Within it, the model has the averaged weights."""
        kept = self.model.get_weights()
        self.optimizer.finalize_variable_values(self.model.trainable_variables)
        try:
            yield
        finally:
            self.model.set_weights(kept)

    def _keep(self) -> None:
        groups = {
            "bands": self.bands,
            "weights": [np.asarray(value) for value in self.model.get_weights()],
            "optimizer": [np.asarray(variable.numpy()) for variable in self.optimizer.variables],
        }
        Checkpoint(self._identity, {"history": self.history.rows, "rows": self.rows}, groups).write(self.folder)
        self.history.write(self.folder / "history.csv")

    def end(self, stopped: str) -> None:
        """End a run whose epochs were gone through elsewhere. stopped: "interrupted", or "" when they are over."""
        if not self.history.rows:
            raise ModelError(f"{self.folder}: no checkpoint came; it must lie where every node sees the same files")
        self.stopped, self.rows = stopped or self.stopped, self.kept_rows

    def finish(self) -> None:
        """Write the model folder; the checkpoint goes last, and stays after Ctrl-C so that the run can go on."""
        self.ship(self.folder)
        if self.stopped != "interrupted":
            (self.folder / checkpoint.CHECKPOINT).unlink(missing_ok=True)

    def ship(self, folder: Path) -> None:
        """Write a model folder from the averaged weights as they are now, calibrated on validation."""
        with self._averaged():
            network = export.to_onnx(
                self.model,
                frames=None,
                width=self.training.settings.n_features,
                outputs={n: n for n in ("logits", "frame_logits", "attention", model_folder.EMBEDDING)},
            )
            calibration, pooling, limits = None, None, tuple[float, ...]()
            if len(self.validation):
                targets, found = self.evaluate(crops=2048)
                calibration = calibrate.platt(found["logits"], targets)
                pooling, limits = calibrate.pooling(
                    found["frame_logits"],
                    found["attention"],
                    targets,
                    share=POOLED_SHARE,
                    span_s=SPAN_S,
                    step_s=FRAMES_PER_STEP * self.training.settings.frame_s,
                )
        config = ModelConfig(
            name=self.settings.name,
            version=self.settings.version,
            labels=self.training.labels,
            features=self.training.settings,
            window_s=WINDOW_S,
            min_window_s=WINDOW_S,  # a note repeated to fill a window is detected better than one that fills a crop
            padding="repeat",
            context_s=CONTEXT_S,
            pooling=pooling,
            thresholds=limits,
            calibration=calibration,
            frame_calibration=calibration,
            training={
                "recipe": "default",
                "settings": self._identity,
                "history": self.history.rows,
                "rows": self.rows,
            },
        )
        model_folder.write(folder, config, network, card(config))


def _crops(pool: Pool, rng: np.random.Generator, n: int, steps: int) -> Examples:
    """Return crops that begin at any frame: scores must not depend on where the network's steps fall."""
    rows = pool.draw(rng, n)
    starts = rng.integers(pool.frames - steps * FRAMES_PER_STEP + 1, size=n)
    return pool.crops(rows, starts, steps)


def card(config: ModelConfig) -> str:
    """Return the card of a model trained by this recipe: what it is, and what is not known of it."""
    history = config.training["history"]
    measured = f"{history[-1]['val_map']:.3f}" if history and "val_map" in history[-1] else "not measured, without rows"
    named = ", ".join(label.id for label in config.labels)
    return f"""# {config.id}

Hears {named}, each with a score of its own, over time and in all; trained by the recipe `default`.

- Reads: log-mel of windows of {config.window_s:g} s; a recording under {config.min_window_s:g} s is repeated to that.
- Trained on {config.training["rows"]} rows for {len(history)} epochs.
- Mean average precision on validation crops, half of them mixtures: {measured}.
  Thresholds and calibration are from the same crops.

How it does on other recordings must be measured there. The licence of the training recordings is not known to whoplays.
"""
