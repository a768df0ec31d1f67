"""Rows of material on disk: log-mel, targets over time, and a teacher's embedding where there is one.

A store is a folder of shards, each written whole or not at all, so that rendering can be stopped, resumed and read while
it goes on. A shard is one .npz of equally long arrays:

    features  (rows, 512, 64) float16   log-mel of `features.LOGMEL`, 10.24 s
    targets   (rows, 32, 5)   float16   1 heard, 0 absent, NaN unknown, for each step of 0.32 s
    teacher   (rows, 32, 384) float16   the teacher's embedding over time
    about     (rows,)         str
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..errors import RenderError
from ..storage.files import write_atomically

Array = NDArray[np.float32]
Half = NDArray[np.float16]
FRAMES_PER_STEP = 16
HEAD = "head.npz"


@dataclass(frozen=True)
class Rows:
    """Equally long arrays of material; see the module's text."""

    features: Half
    targets: Half
    teacher: Half
    about: NDArray[np.str_]

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.features)


def write_shard(folder: Path, name: str, rows: Rows) -> None:
    """Write `rows` as the shard `name`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(
        folder / f"{name}.npz",
        lambda file: np.savez(
            file, features=rows.features, targets=rows.targets, teacher=rows.teacher, about=rows.about
        ),
        durable=False,
    )


def shards(folder: Path) -> list[Path]:
    """Return the folder's shards in order."""
    return sorted(path for path in folder.glob("*.npz") if not path.name.startswith("."))


def read(paths: list[Path]) -> Rows:
    """Read shards into memory, one after the other. Raises `RenderError` when there is none."""
    if not paths:
        raise RenderError("no shard of material was found; render some first")
    loaded = [np.load(path, allow_pickle=False) for path in paths]
    return Rows(
        *(np.concatenate([shard[name] for shard in loaded]) for name in ("features", "targets", "teacher", "about"))
    )


def clip_targets(steps: Array) -> Array:
    """Return what holds for whole clips (n, labels) from targets over time (n, steps, labels): heard at some time."""
    known = np.where(np.isnan(steps), 0, steps).max(axis=1)
    return np.where((known < 1) & np.isnan(steps).any(axis=1), np.float32(np.nan), known).astype(np.float32)


@dataclass(frozen=True)
class Head:
    """Logistic regressions on standardised embeddings: logits = (x - mean) / deviation @ weights + bias.

    scale, offset: (labels,), turn the head's logits plus a share of the teacher's own into calibrated ones.
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

    def write(self, folder: Path) -> None:
        """Write the head into a folder of material."""
        write_atomically(folder / HEAD, lambda file: np.savez(file, **vars(self)))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the head of a folder of material. Raises `RenderError` when there is none."""
        try:
            with np.load(folder / HEAD, allow_pickle=False) as file:
                return cls(**{name: file[name] for name in cls.__dataclass_fields__})
        except FileNotFoundError:
            command = f"python -m recipe head {folder} TEACHER"
            raise RenderError(f"{folder} has no {HEAD}; in a checkout of whoplays this makes it: {command}") from None
