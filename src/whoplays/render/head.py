"""What a teacher says of the five families: a linear head on its embedding, learned from made-up scenes alone.

The head is joined by the teacher's own classes, and the sum is calibrated on scenes of held-out sources. So labelled,
music whose instruments nobody has named becomes material to train on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from .. import bundle, logistic
from ..errors import RenderError
from ..files import write_atomically
from . import store
from .store import Rows
from .teacher import Teacher, family_logits

Array = NDArray[np.float32]
NAME = "head.npz"
#: Weight of the teacher's own logits beside the head's.
OWN_SHARE = 0.5
#: Steps of 0.32 s that a score over time looks at: about 3 s.
SPAN = 9


@dataclass(frozen=True)
class Head:
    """Logistic regressions on standardised embeddings: logits = (x - mean) / deviation @ weights + bias.

    scale, offset: (labels,), turn the head's logits plus `OWN_SHARE` of the teacher's own into calibrated ones.
    """

    mean: Array
    deviation: Array
    weights: Array
    bias: Array
    scale: Array
    offset: Array

    def logits(self, embedding: Array) -> Array:
        """Return the head's own logits (..., labels) for embeddings (..., 384)."""
        standard = (np.asarray(embedding, np.float32) - self.mean) / self.deviation
        return (standard @ self.weights + self.bias).astype(np.float32)

    def joint(self, embedding: Array, teacher: Teacher) -> Array:
        """Return calibrated logits (n, labels) of head and teacher together, for mean embeddings (n, 384)."""
        both = self.logits(embedding) + OWN_SHARE * family_logits(teacher.scores(embedding))
        return (self.scale * both + self.offset).astype(np.float32)

    def write(self, folder: Path) -> None:
        """Write the head into a folder of material."""
        write_atomically(folder / NAME, lambda file: np.savez(file, **vars(self)))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the head of a folder of material. Raises `RenderError` when there is none."""
        try:
            with np.load(folder / NAME, allow_pickle=False) as file:
                return cls(**{name: file[name] for name in cls.__dataclass_fields__})
        except FileNotFoundError:
            raise RenderError(f"{folder} has no {NAME}; run: python -m whoplays.render head {folder}") from None


def fit(training: Rows, validation: Rows, teacher: Teacher, *, penalty: float = 30.0) -> Head:
    """Fit the head on scenes for training; calibrate it, with the teacher's own classes, on scenes for validation.

    penalty: of squared weights, against overfitting.
    """
    embedding, targets = _spans(training)
    mean, deviation = embedding.mean(axis=0), embedding.std(axis=0) + np.float32(1e-3)
    weights = logistic.fit_each((embedding - mean) / deviation, targets, penalty=penalty)
    ones = np.ones(targets.shape[1], dtype=np.float32)
    head = Head(mean, deviation, weights[:-1], weights[-1], ones, 0 * ones)
    embedding, targets = _spans(validation)
    both = head.joint(embedding, teacher)
    platt = np.stack([logistic.fit_each(both[:, [i]], targets[:, [i]])[:, 0] for i in range(targets.shape[1])], axis=1)
    return replace(head, scale=platt[0], offset=platt[1])


def label(folder: Path, head: Head, teacher: Teacher, student: Path | None = None) -> int:
    """Write soft targets over time into every shard of unlabelled music in `folder`; return the number of shards.

    student: the folder of a model trained before. Its logits and the teacher's are then averaged: the two err on
    different clips, and together they are better than either (Hinton 2015 distils such ensembles).
    """
    network = bundle.Network(bundle.read(student)) if student else None
    paths = store.shards(folder)
    for path in paths:
        rows = store.read([path])
        n, steps, width = rows.teacher.shape
        spans = around(rows.teacher.astype(np.float32)).reshape(-1, width)
        logits: Array = head.joint(spans, teacher).reshape(n, steps, -1)
        if network is not None:
            logits = np.float32(0.5) * (logits + _heard_by(network, rows))
        soft = (1 / (1 + np.exp(-logits))).astype(np.float16)
        store.write_shard(folder, path.stem, replace(rows, targets=soft))
    return len(paths)


def _heard_by(network: bundle.Network, rows: Rows) -> Array:
    """Return a student's calibrated logits (n, steps, labels), over the same spans as the teacher's."""
    _, over_time = network.logits(rows.features.astype(np.float32))
    calibration = network.config.frame_calibration
    if over_time is None or over_time.shape[1] != rows.targets.shape[1] or calibration is None:
        raise RenderError(
            f"{network.config.id} gives no calibrated scores every 0.32 s; name a model of recipe default"
        )
    scale, bias = (np.array(values, dtype=np.float32) for values in (calibration.scale, calibration.bias))
    return scale * around(over_time) + bias


def around(embedding: Array) -> Array:
    """Return, for each step of embeddings (n, steps, width), the mean over the `SPAN` steps round it."""
    half = SPAN // 2
    summed = np.cumsum(np.pad(embedding, ((0, 0), (half + 1, half), (0, 0)), mode="edge"), axis=1)
    return ((summed[:, SPAN:] - summed[:, :-SPAN]) / SPAN).astype(np.float32)


def clip_targets(steps: Array) -> Array:
    """Return what holds for whole clips (n, labels) from targets over time (n, steps, labels): heard at some time."""
    known = np.where(np.isnan(steps), 0, steps).max(axis=1)
    return np.where((known < 1) & np.isnan(steps).any(axis=1), np.float32(np.nan), known).astype(np.float32)


def _spans(rows: Rows) -> tuple[Array, Array]:
    """Return embeddings and targets of whole rows and of their halves."""
    n = rows.targets.shape[1]
    spans = (slice(0, n), slice(0, n // 2), slice(n // 2, n))
    embedding = [rows.teacher[:, span].astype(np.float32).mean(axis=1) for span in spans]
    targets = [clip_targets(rows.targets[:, span].astype(np.float32)) for span in spans]
    return np.concatenate(embedding), np.concatenate(targets)
