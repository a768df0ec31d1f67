"""Where the default recipe's examples come from: random crops of the rows of a data set, or of another `Pool`."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..dataset import Dataset
from ..errors import DatasetError
from ..features import FeatureSettings
from ..storage.address import Place
from ..taxonomy.tree import Label
from .augment import FRAMES_PER_STEP, Examples

Array = NDArray[np.float32]


class Pool(Protocol):
    """Rows that crops are drawn from. frames: of a row."""

    labels: tuple[Label, ...]
    settings: FeatureSettings
    frames: int

    def __len__(self) -> int: ...

    def refresh(self) -> None:
        """Take in rows that were added since; called before each epoch."""

    def draw(self, rng: np.random.Generator, n: int) -> NDArray[np.int64]:
        """Return the numbers of `n` rows, drawn with replacement."""

    def crops(self, rows: NDArray[np.int64], starts: NDArray[np.int64], steps: int) -> Examples:
        """Return crops of `steps` steps, each from its own frame `starts` of its row."""


def open_pools(source: Place, *, part: tuple[int, int] = (0, 1)) -> tuple[Pool, Pool]:
    """Return the pools for training and validation of a data set.

    part: (number of this process from 0, how many there are), each with training shards of its own.
    """
    dataset = Dataset.open(source)
    return DatasetPool(dataset, "training", part=part), DatasetPool(dataset, "validation")


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

    def refresh(self) -> None:
        """Nothing is added to a data set."""

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
