"""What a teacher says of the five families: a linear head on its embedding, learned from made-up scenes alone.

The head is joined by the teacher's own classes, and the sum is calibrated on scenes of held-out sources. So labelled,
music whose instruments nobody has named becomes material to train on.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whoplays.errors import RenderError
from whoplays.model import folder as model_folder
from whoplays.training import logistic
from whoplays.training import material as store
from whoplays.training.material import Head, Rows, clip_targets

from .teacher import Teacher, family_logits

Array = NDArray[np.float32]
#: Weight of the teacher's own logits beside the head's.
OWN_SHARE = 0.5
#: Steps of 0.32 s that a score over time looks at: about 3 s.
SPAN = 9


def joint(head: Head, embedding: Array, teacher: Teacher) -> Array:
    """Return calibrated logits (n, labels) of head and teacher together, for mean embeddings (n, 384)."""
    both = head.logits(embedding) + OWN_SHARE * family_logits(teacher.scores(embedding))
    return (head.scale * both + head.offset).astype(np.float32)


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
    both = joint(head, embedding, teacher)
    platt = np.stack([logistic.fit_each(both[:, [i]], targets[:, [i]])[:, 0] for i in range(targets.shape[1])], axis=1)
    return replace(head, scale=platt[0], offset=platt[1])


def label(folder: Path, head: Head, teacher: Teacher, student: Path | None = None) -> int:
    """Write soft targets over time into every shard of unlabelled music in `folder`; return the number of shards.

    student: the folder of a model trained before. Its logits and the teacher's are then averaged: the two err on
    different clips, and together they are better than either (Hinton 2015 distils such ensembles).
    """
    network = model_folder.Network(model_folder.read(student)) if student else None
    paths = store.shards(folder)
    for path in paths:
        rows = store.read([path])
        n, steps, width = rows.teacher.shape
        spans = around(rows.teacher.astype(np.float32)).reshape(-1, width)
        logits: Array = joint(head, spans, teacher).reshape(n, steps, -1)
        if network is not None:
            logits = np.float32(0.5) * (logits + _heard_by(network, rows))
        soft = (1 / (1 + np.exp(-logits))).astype(np.float16)
        store.write_shard(folder, path.stem, replace(rows, targets=soft))
    return len(paths)


def _heard_by(network: model_folder.Network, rows: Rows) -> Array:
    """Return a student's calibrated logits (n, steps, labels), over the same spans as the teacher's."""
    over_time = network.run(rows.features.astype(np.float32))["frame_logits"] if network.over_time else None
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


def _spans(rows: Rows) -> tuple[Array, Array]:
    """Return embeddings and targets of whole rows and of their halves."""
    n = rows.targets.shape[1]
    spans = (slice(0, n), slice(0, n // 2), slice(n // 2, n))
    embedding = [rows.teacher[:, span].astype(np.float32).mean(axis=1) for span in spans]
    targets = [clip_targets(rows.targets[:, span].astype(np.float32)) for span in spans]
    return np.concatenate(embedding), np.concatenate(targets)
