"""Where the default recipe's examples come from: a data set, or a store of rendered material. Both draw random crops."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..dataset import Dataset
from ..dataset.store import INDEX
from ..errors import DatasetError
from ..features import LOGMEL, FeatureSettings
from ..storage.address import Place
from ..taxonomy.catalogue import catalogue
from ..taxonomy.tree import Label
from . import material as store
from .augment import FRAMES_PER_STEP, Examples
from .material import clip_targets

Array = NDArray[np.float32]

#: The folders of material that are trained on.
MUSIC_TOO = ("training", "music")


class Pool(Protocol):
    """Rows that crops are drawn from. frames: of a row."""

    labels: tuple[Label, ...]
    settings: FeatureSettings
    frames: int

    def __len__(self) -> int: ...

    def draw(self, rng: np.random.Generator, n: int) -> NDArray[np.int64]:
        """Return the numbers of `n` rows, drawn with replacement."""

    def crops(self, rows: NDArray[np.int64], starts: NDArray[np.int64], steps: int) -> Examples:
        """Return crops of `steps` steps, each from its own frame `starts` of its row."""


def open_pools(source: Place, *, part: tuple[int, int] = (0, 1)) -> tuple[Pool, Pool]:
    """Return the pools for training and validation of a data set, or of a folder of material.

    part: (number of this process from 0, how many there are), each with training shards of its own.
    """
    if isinstance(source, Path) and _is_material(source):
        return MaterialPool(source, MUSIC_TOO, part=part), MaterialPool(source, ("validation",))
    dataset = Dataset.open(source)
    return DatasetPool(dataset, "training", part=part), DatasetPool(dataset, "validation")


def training_shards(source: Place) -> int:
    """Return how many files of training a data set, or a folder of material, has."""
    if isinstance(source, Path) and _is_material(source):
        return sum(len(store.shards(source / name)) for name in MUSIC_TOO)
    return sum(entry["split"] == "training" for entry in Dataset.open(source).index["shards"])


def _is_material(source: Path) -> bool:
    return (source / "training").is_dir() and not (source / INDEX).exists()


class DatasetPool:
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

    def draw(self, rng: np.random.Generator, n: int) -> NDArray[np.int64]:
        """Return the numbers of `n` rows, each as likely as any."""
        return rng.integers(len(self), size=n)

    def crops(self, rows: NDArray[np.int64], starts: NDArray[np.int64], steps: int) -> Examples:
        """Return crops; a row's label is taken to hold for any part of it, but not for every moment."""
        frames = steps * FRAMES_PER_STEP
        whole = self._split.features[rows]
        features = np.stack([row[at:][:frames] for row, at in zip(whole, starts, strict=True)])
        clip = self._split.targets[rows]
        over_time = np.repeat(np.where(clip == 0, clip, np.nan)[:, None], steps, axis=1)
        return Examples(features, clip, over_time.astype(np.float32))


class MaterialPool:
    """Rendered scenes with labels over time, and music that teachers have labelled softly.

    Each folder gives as many of the crops as any other, however many rows it has; within a folder rows are drawn by their
    weights. All of it is kept in memory, in half precision: 68 KB a row. `refresh` takes in shards written since.
    """

    settings = LOGMEL
    frames = 512

    def __init__(self, material: Path, folders: tuple[str, ...], *, part: tuple[int, int] = (0, 1)) -> None:
        """Read the shards of some of its folders, or every n-th of them. Raises `DatasetError` when there is none."""
        self._part = part
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
        number, workers = self._part
        found = [(i, path) for i, folder in enumerate(self._folders) for path in store.shards(folder)][number::workers]
        for i, path in ((i, path) for i, path in found if path not in self._known):
            rows = store.read([path])
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
