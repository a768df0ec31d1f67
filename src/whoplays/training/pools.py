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
from .material import HEAD, Head, clip_targets

Array = NDArray[np.float32]

#: The folders of material that are trained on.
MUSIC_TOO = ("training", "music")

#: Steps whose embeddings are averaged before they are compared with a teacher's: 1.28 s.
STEPS_PER_EMBEDDING = 4


class Pool(Protocol):
    """Rows that crops are drawn from. frames: of a row. embedding: width of the teacher's, 0 without one."""

    labels: tuple[Label, ...]
    settings: FeatureSettings
    frames: int
    embedding: int

    def __len__(self) -> int: ...

    def crops(self, rows: NDArray[np.int64], starts: NDArray[np.int64], steps: int) -> Examples:
        """Return crops of `steps` steps, each from its own step `starts` of its row."""


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
    """The rows of one split of a built log-mel data set; labels hold for whole rows, when they are heard is unknown."""

    embedding = 0

    def __init__(self, dataset: Dataset, split: str, *, part: tuple[int, int] = (0, 1)) -> None:
        """Open a split. Raises `DatasetError` for features that the recipe cannot train on."""
        if dataset.settings.kind != "logmel" or dataset.settings.steps is not None:
            raise DatasetError(
                f"{dataset.folder}: holds {dataset.settings.kind} features; the default recipe needs a data set "
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
        features = np.stack([row[at * FRAMES_PER_STEP :][:frames] for row, at in zip(whole, starts, strict=True)])
        clip = self._split.targets[rows]
        over_time = np.repeat(np.where(clip == 0, clip, np.nan)[:, None], steps, axis=1)
        return Examples(features, clip, over_time.astype(np.float32), np.zeros((len(rows), 0, 0), np.float32))


class MaterialPool:
    """Rendered scenes with labels over time, and music that a teacher has labelled softly.

    All of it is kept in memory, in half precision: 92 KB a row. `refresh` takes in shards written since.
    """

    settings = LOGMEL
    frames = 512

    def __init__(self, material: Path, folders: tuple[str, ...], *, part: tuple[int, int] = (0, 1)) -> None:
        """Read the shards of some of its folders, or every n-th of them. Raises `DatasetError` when there is none."""
        self._part = part
        self._folders = tuple(material / name for name in folders)
        self._head = Head.read(material) if (material / HEAD).exists() else None
        self._known: set[Path] = set()
        self._features: list[NDArray[np.float16]] = []
        self._targets: list[NDArray[np.float16]] = []
        self._teacher: list[NDArray[np.float16]] = []
        self.refresh()
        if not self._features:
            raise DatasetError(f"{material}: holds no rendered shard in {', '.join(folders)}; render some first")
        self.labels = catalogue().labels_for(catalogue().defaults)
        self.embedding = int(self._teacher[0].shape[-1]) if self._head is not None else 0

    def refresh(self) -> None:
        """Read the shards that are new since the last call."""
        number, workers = self._part
        found = [path for folder in self._folders for path in store.shards(folder)][number::workers]
        for path in (path for path in found if path not in self._known):
            rows = store.read([path])
            self._known.add(path)
            self._features.append(rows.features)
            self._teacher.append(rows.teacher)
            self._targets.append(rows.targets)
        lengths = [len(part) for part in self._features]
        self._shard = np.repeat(np.arange(len(lengths)), lengths)
        self._row = np.concatenate([np.arange(n) for n in lengths]) if lengths else np.zeros(0, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._row)

    def crops(self, rows: NDArray[np.int64], starts: NDArray[np.int64], steps: int) -> Examples:
        """Return crops with labels over time, and the teacher's embedding, standardised, every 1.28 s."""
        features, over_time, teacher = [], [], []
        for row, at in zip(rows, starts, strict=True):
            shard, i = self._shard[row], self._row[row]
            span = slice(at, at + steps)
            features.append(self._features[shard][i, at * FRAMES_PER_STEP : (at + steps) * FRAMES_PER_STEP])
            over_time.append(self._targets[shard][i, span])
            teacher.append(self._teacher[shard][i, span])
        steps_targets = np.stack(over_time).astype(np.float32)
        return Examples(
            np.stack(features).astype(np.float32),
            clip_targets(steps_targets),
            steps_targets,
            self._standard(np.stack(teacher)),
        )

    def _standard(self, teacher: NDArray[np.float16]) -> Array:
        if self._head is None:
            return np.zeros((len(teacher), 0, 0), np.float32)
        n, steps, width = teacher.shape
        pooled = (
            teacher.astype(np.float32).reshape(n, steps // STEPS_PER_EMBEDDING, STEPS_PER_EMBEDDING, width).mean(axis=2)
        )
        return np.asarray(np.clip((pooled - self._head.mean) / self._head.deviation, -5, 5))
