"""The recipe `default`: the network that ships, on crops that are mixed anew for every step.

It trains on a data set that `whoplays dataset build --features logmel` made, or on another pool of rows (recipe/ in a
checkout), whose targets may be soft: probabilities that teachers gave. An epoch is a number of steps, not a
pass through the rows: no two crops are alike.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..dataset import Dataset
from ..errors import DatasetError
from ..evaluation import metrics
from ..features import FeatureSettings
from ..model import folder as model_folder
from ..model.config import ModelConfig
from ..model.pooling import sigmoid
from ..runtime.threads import in_order
from ..taxonomy.tree import Label, Tree
from . import augment, calibrate, export, together
from .augment import FRAMES_PER_STEP, Examples
from .checkpoint import Arrays, Checkpoint
from .framework import load_keras
from .run import Run
from .settings import DefaultSettings
from .together import Communicator, of_first, total
from .watch import Row, Trained, Watcher

Array = NDArray[np.float32]

#: Seconds that the network reads at once in use, 32 steps: longer than its crops, which its pooling over time allows.
WINDOW_S = 10.24
#: The share of a recording's time whose scores make the recording's, and the seconds that attention averages over.
POOLED_SHARE, SPAN_S = 0.25, 10.0
#: Seconds at the ends of a window that its neighbours answer for: two steps.
CONTEXT_S = 0.64


class Pool(Protocol):
    """Rows that crops are drawn from. frames: of a row."""

    labels: tuple[Label, ...]
    settings: FeatureSettings
    frames: int

    def __len__(self) -> int: ...

    def refresh(self) -> None:
        """Take in rows that were added since; called before each epoch. None are, unless a pool has it otherwise."""
        return

    def draw(self, rng: np.random.Generator, n: int) -> NDArray[np.int64]:
        """Return the numbers of `n` rows, drawn with replacement; each as likely as any, unless a pool has it otherwise."""
        return rng.integers(len(self), size=n)

    def sample_crops(self, rng: np.random.Generator, n: int, steps: int) -> Examples:
        """Return crops that begin at any frame: scores must not depend on where the network's steps fall."""
        rows = self.draw(rng, n)
        starts = rng.integers(self.frames - steps * FRAMES_PER_STEP + 1, size=n)
        return self.crops(rows, starts, steps)

    def crops(self, rows: NDArray[np.int64], starts: NDArray[np.int64], steps: int) -> Examples:
        """Return crops of `steps` steps, each from its own frame `starts` of its row."""


class DatasetPool(Pool):
    """The rows of one split of a built log-mel data set; labels hold for whole rows, the times are unknown."""

    def __init__(self, dataset: Dataset, split: str, *, part: tuple[int, int] = (0, 1)) -> None:
        """Open a split. Raises `DatasetError` for features that the recipe cannot train on."""
        if dataset.settings.feature_type != "logmel" or dataset.settings.n_time_bins is not None:
            raise DatasetError(
                f"{dataset.folder}: holds {dataset.settings.feature_type} features; the default recipe needs a data set "
                "built with --features logmel"
            )
        self.labels, self.settings = dataset.labels, dataset.settings
        self._split = dataset.split(split, part=part)
        self.frames = dataset.frames

    def __len__(self) -> int:
        return len(self._split)

    def crops(self, rows: NDArray[np.int64], starts: NDArray[np.int64], steps: int) -> Examples:
        """Return crops; a row's label is taken to hold for any part of it, but not for every moment."""
        frames = steps * FRAMES_PER_STEP
        whole = self._split.features[rows]
        features = np.stack([row[at:][:frames] for row, at in zip(whole, starts, strict=True)])
        clip = self._split.targets[rows]
        over_time = np.repeat(np.where(clip == 0, clip, np.nan)[:, None], steps, axis=1)
        return Examples(features, clip, over_time.astype(np.float32))


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


def identity_of(settings: DefaultSettings, start_from: str = "") -> dict[str, Any]:
    """Return what makes two runs the same; the others of the settings may change on the way.

    start_from: the model whose weights the network begins with, "" where they are drawn at random.
    """
    free = ("epochs", "name", "version", "steps_per_epoch", "learning_rate", "restart")
    values = {name: value for name, value in asdict(settings).items() if name not in free}
    values |= {"label_weights": dict(settings.label_weights), "start_from": start_from}
    return {"recipe": "default", **{k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}}


class DefaultRun(Run):
    """A run of the recipe; what is evaluated and shipped are weights averaged over steps."""

    def __init__(
        self,
        training: Pool,
        validation: Pool,
        settings: DefaultSettings,
        folder: Path,
        watcher: Watcher,
        communicator: Communicator | None = None,
    ) -> None:
        """training, validation: rows, of training those of this process."""
        super().__init__(settings, identity_of(settings), folder, watcher, communicator)
        there, rows = total(self.communicator, [len(training) > 0, len(training)])
        if there < self.communicator.workers:
            raise DatasetError("there is no row of training; build the data set with more recordings")
        self.settings, self.training, self.validation = settings, training, validation
        self.labels, self.rows, self.validation_rows = training.labels, int(rows), len(validation)
        self.data_facts = {"rows": self.rows}
        self.crop_steps = min(settings.crop_steps, training.frames // FRAMES_PER_STEP)
        if self.crop_steps < 4:
            raise DatasetError(
                f"rows of {training.frames} frames are too short; {4 * FRAMES_PER_STEP} or more are needed"
            )
        self.crop_steps -= self.crop_steps % 4
        self.steps = settings.steps_per_epoch or min(200, max(20, -(-self.rows // settings.batch_size)))
        self.families = list(Tree(training.labels).levels()["families"])

    def measured(self) -> tuple[Array, Array]:
        """Return mean and variance of each band over some crops. Resumed runs take those of their checkpoint."""
        sample = self.sample()
        found = np.stack([sample.mean(axis=(0, 1)), sample.var(axis=(0, 1)) + np.float32(0.1)])
        mean, variance = of_first(self.communicator, found).astype(np.float32)
        return mean, variance

    def sample(self) -> Array:
        """Return features (512, frames, bands) of some crops for training."""
        return self.training.sample_crops(np.random.default_rng(self.settings.seed), 512, self.crop_steps).features

    def build(self, found: Checkpoint | None) -> None:
        from .networks import drop_apart

        keras, settings = load_keras(), self.settings
        self.bands = tuple(found.groups["bands"]) if found else self.measured()
        self.model = self.network(fresh=not found)
        drop_apart(self.model, self.communicator.rank)
        self.optimizer = keras.optimizers.AdamW(
            settings.learning_rate,
            weight_decay=settings.weight_decay,
            use_ema=True,
            ema_momentum=settings.ema,
            clipnorm=2.0,
        )
        loss = masked_crossentropy([settings.label_weights.get(label.id, 1.0) for label in self.labels])
        losses: dict[str, Any] = {"logits": loss, "frame_logits": loss}
        weights = {"logits": 1.0, "frame_logits": settings.over_time}
        if self.communicator.workers > 1:
            learner = together.Learner(self.model, self.optimizer, self.communicator, losses, weights)
            self._learn: Callable[..., dict[str, float]] = learner
            self._forget = learner.forget
        else:
            self.model.compile(optimizer=self.optimizer, loss=losses, loss_weights=weights)
            self._learn = functools.partial(self.model.train_on_batch, return_dict=True)
            self._forget = self.model.reset_metrics

    def network(self, *, fresh: bool) -> Any:
        """Return the network. fresh: its first weights count, since no checkpoint has others."""
        from .networks import default_network

        load_keras().utils.set_random_seed(self.settings.seed)
        mean, variance = self.bands
        return default_network(
            self.training.settings.n_features,
            len(self.labels),
            mean=mean,
            variance=variance,
            filters=self.settings.filters,
            blocks=self.settings.blocks,
            hidden=self.settings.hidden,
            seed=self.settings.seed,
        )

    @property
    def groups(self) -> dict[str, Arrays]:
        return {"bands": self.bands}

    def train(self, epoch: int) -> Row:
        self.training.refresh()
        for done, examples in enumerate(self._batches(epoch), start=1):
            self.optimizer.learning_rate.assign(self.settings.rate_after(epoch - 1 + done / self.steps))
            found = self._learn(examples.features, {"logits": examples.clip, "frame_logits": examples.steps})
            self.watcher.step(epoch, done, self.steps, {})
            self._check_interrupt()
        self._forget()
        return {name: float(found[name]) for name in sorted(found)}  # means over the epoch already

    def validated(self, epoch: int) -> Row:
        if self.communicator.rank:
            return {}
        with self._averaged():
            targets, measured = self.evaluate(epoch)
        scores = sigmoid(measured["logits"][:, self.families])
        return {"map": float(np.nanmean(metrics.average_precision(targets[:, self.families], scores)))}

    def _batches(self, epoch: int) -> Iterator[Examples]:
        """Return the epoch's batches; the next ones are drawn in a thread while one trains."""
        return in_order(functools.partial(self._batch, epoch), range(self.steps), 1, ahead=3)

    def _batch(self, epoch: int, step: int) -> Examples:
        """Draw one batch, or this process's share: a function of seed, epoch, step and rank (and of the rows there are)."""
        rank, workers = self.communicator.rank, self.communicator.workers
        rng = np.random.default_rng([self.settings.seed, epoch, step, *([rank] if rank else [])])
        share = (self.settings.batch_size + workers - 1 - rank) // workers
        examples = self.training.sample_crops(rng, share, self.crop_steps)
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
            examples = self.validation.sample_crops(rng, 64, self.crop_steps)
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

    def ship(self) -> Trained:
        with self._averaged():
            network = export.to_onnx(
                self.model,
                frames=None,
                width=self.training.settings.n_features,
                outputs=("logits", "frame_logits", "attention", model_folder.EMBEDDING),
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
            labels=self.labels,
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
                "settings": self.identity,
                "history": self.history,
                "rows": self.data_facts["rows"],
            },
        )
        model_folder.write(self.folder, config, network, card(config))
        return Trained(self.folder, self.history, self.stopped)


def card(config: ModelConfig) -> str:
    """Return the card of a model trained by this recipe: what it is, and what is not known of it."""
    history = config.training["history"]
    measured = f"{history[-1]['val_map']:.3f}" if history and "val_map" in history[-1] else "not measured, without rows"
    named = ", ".join(label.id for label in config.labels)
    return f"""# {config.id}

Detects {named}, each with a score of its own, over time and for the whole recording; trained by the recipe `default`.

- Reads: log-mel of windows of {config.window_s:g} s; a recording under {config.min_window_s:g} s is repeated to that.
- Trained on {config.training["rows"]} rows for {len(history)} epochs.
- Mean average precision on validation crops, half of them mixtures: {measured}.
  Thresholds and calibration are from the same crops.

How it does on other recordings must be measured there. The licence of the training recordings is not known to whoplays.
"""
