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

from whoplays.errors import DatasetError, RenderError
from whoplays.features import LOGMEL
from whoplays.storage.files import write_atomically
from whoplays.taxonomy.catalogue import catalogue
from whoplays.training.augment import FRAMES_PER_STEP, Examples
from whoplays.training.default import Pool

Array = NDArray[np.float32]
Half = NDArray[np.float16]
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


def open_pools(folder: Path) -> tuple[Pool, Pool]:
    """Return the rows of a folder of material to train on, scenes and music, and those for validation."""
    return MaterialPool(folder, ("training", "music")), MaterialPool(folder, ("validation",))


class MaterialPool(Pool):
    """Rendered scenes with labels over time, and music that teachers have labelled softly.

    Each folder gives as many of the crops as any other, however many rows it has; within a folder rows are drawn by their
    weights. All of it is kept in memory, in half precision: 68 KB a row. `refresh` takes in shards written since.
    """

    settings = LOGMEL
    frames = 512

    def __init__(self, material: Path, folders: tuple[str, ...]) -> None:
        """Read the shards of some of its folders. Raises `DatasetError` when there is none."""
        self._folders = tuple(material / name for name in folders)
        self._known: set[Path] = set()
        self._features: list[NDArray[np.float16]] = []
        self._targets: list[NDArray[np.float16]] = []
        self._weights: list[Array] = []
        self._folder: list[int] = []
        self._ids: tuple[str, ...] = ()
        self.refresh()
        if not self._features:
            raise DatasetError(f"{material}: holds no rendered shard in {', '.join(folders)}; render some first")
        self.labels = catalogue().labels_for(self._ids)

    def refresh(self) -> None:
        """Read the shards that are new since the last call. Raises `DatasetError` where labels differ."""
        found = [(i, path) for i, folder in enumerate(self._folders) for path in shards(folder)]
        for i, path in ((i, path) for i, path in found if path not in self._known):
            rows = read([path])
            self._ids = self._ids or rows.labels
            if rows.labels != self._ids:
                raise DatasetError(f"{path}: has other labels than the shards before it; remove it and make it anew")
            self._known.add(path)
            self._features.append(rows.features)
            self._targets.append(rows.targets)
            self._weights.append(rows.weight)
            self._folder.append(i)
        lengths = [len(part) for part in self._features]
        self._shard = np.repeat(np.arange(len(lengths)), lengths)
        self._row = np.concatenate([np.arange(n) for n in lengths]) if lengths else np.zeros(0, dtype=np.int64)
        folder_of = np.repeat(self._folder, lengths)
        weights = np.concatenate(self._weights) if lengths else np.zeros(0)
        members = [np.flatnonzero((folder_of == i) & (weights > 0)) for i in range(len(self._folders))]
        self._draws = [(rows, np.cumsum(weights[rows].astype(np.float64))) for rows in members if rows.size]

    def __len__(self) -> int:
        return len(self._row)

    def draw(self, rng: np.random.Generator, n: int) -> NDArray[np.int64]:
        """Return the numbers of `n` rows: from each folder as many, within a folder by weight."""
        parts = []
        for (rows, summed), drawn in zip(self._draws, np.array_split(np.arange(n), len(self._draws)), strict=True):
            parts.append(rows[np.searchsorted(summed, rng.random(drawn.size) * summed[-1], side="right")])
        return rng.permutation(np.concatenate(parts))

    def crops(self, rows: NDArray[np.int64], starts: NDArray[np.int64], steps: int) -> Examples:
        """Return crops with labels over time, those of the row's step that a crop's step shares most with."""
        features, over_time = [], []
        for row, at in zip(rows, starts, strict=True):
            shard, i = self._shard[row], self._row[row]
            step = (at + FRAMES_PER_STEP // 2) // FRAMES_PER_STEP
            features.append(self._features[shard][i, at : at + steps * FRAMES_PER_STEP])
            over_time.append(self._targets[shard][i, step : step + steps])
        targets = np.stack(over_time).astype(np.float32)
        return Examples(np.stack(features).astype(np.float32), clip_targets(targets), targets)
