"""Rows of material on disk: log-mel and targets over time, hard ones of made-up scenes or soft ones of music.

A store is a folder of shards, each written whole or not at all, so that it can be read while it is still being made. A
shard is one .npz:

    features  (rows, 512, 64) float16      log-mel of `features.LOGMEL`, 10.24 s
    targets   (rows, 32, labels) float16   for each step of 0.32 s the probability that the label plays, NaN unknown
    weight    (rows,) float32              how often a row is drawn, relative to the others of its folder
    about     (rows,) str                  what the row is
    labels    (labels,) str                ids of the targets' columns
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import RenderError
from ..storage.files import write_atomically

Array = NDArray[np.float32]
Half = NDArray[np.float16]
FRAMES_PER_STEP = 16
ARRAYS = ("features", "targets", "weight", "about")
#: Steps whose mean says how likely a label is in a whole clip of soft targets.
SOFT_STEPS = 4


@dataclass(frozen=True)
class Rows:
    """Equally long arrays of material, and the labels of the targets; see the module's text."""

    features: Half
    targets: Half
    weight: Array
    about: NDArray[np.str_]
    labels: tuple[str, ...]

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.features)


def write_shard(folder: Path, name: str, rows: Rows) -> None:
    """Write `rows` as the shard `name`."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {**vars(rows), "labels": np.array(rows.labels)}
    write_atomically(folder / f"{name}.npz", lambda file: np.savez(file, **arrays), durable=False)


def shards(folder: Path) -> list[Path]:
    """Return the folder's shards in order."""
    return sorted(path for path in folder.glob("*.npz") if not path.name.startswith("."))


def read(paths: list[Path]) -> Rows:
    """Read shards into memory, one after the other.

    Raises `RenderError` when there is none, one lacks an array, or their labels differ.
    """
    if not paths:
        raise RenderError("no shard of material was found; render some first")
    parts = []
    for path in paths:
        with np.load(path, allow_pickle=False) as shard:
            if missing := {*ARRAYS, "labels"} - set(shard.files):
                raise RenderError(f"{path}: has no {', '.join(sorted(missing))}; remove it and make it anew")
            labels = tuple(str(label) for label in shard["labels"])
            parts.append(Rows(**{name: shard[name] for name in ARRAYS}, labels=labels))
        if labels != parts[0].labels:
            raise RenderError(f"{path}: has other labels than {paths[0]}; remove one of them and make it anew")
    arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ARRAYS}
    return Rows(**arrays, labels=parts[0].labels)


def clip_targets(steps: Array) -> Array:
    """Return what holds for whole clips.

    Parameters
    ----------
    steps : ndarray, shape (n, steps, labels)
        Targets over time, NaN where unknown.

    Returns
    -------
    ndarray, shape (n, labels)
        Of hard targets (0 and 1) the maximum, NaN where it may be higher than what is known. Of soft ones the mean of the
        four greatest that are known, since the greatest of many guesses is too high; NaN where none is known.
    """
    unknown = np.isnan(steps)
    known = np.where(unknown, np.float32(-1), steps)
    hard = np.where((known.max(axis=1) < 1) & unknown.any(axis=1), np.float32(np.nan), known.max(axis=1))
    greatest = np.sort(known, axis=1)[:, -SOFT_STEPS:]
    counted = greatest >= 0
    number = np.where(counted.any(axis=1), counted.sum(axis=1), np.nan)
    mean = np.where(counted, greatest, 0).sum(axis=1) / number
    soft = ((known > 0) & (known < 1)).any(axis=1)
    return np.where(soft, mean, hard).astype(np.float32)
