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

import numpy as np
from numpy.typing import NDArray

from ..errors import RenderError
from ..files import write_atomically

Half = NDArray[np.float16]
FRAMES_PER_STEP = 16


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
