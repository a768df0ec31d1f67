"""Rows in a drawn order, as chunks of batches; the next chunk is read while this one trains."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..dataset import Split

Array = NDArray[np.float32]

CHUNK_BYTES = 8 << 20  # of features: little beside the memory, long beside the cost of an execution
CHUNK_STEPS = 500


@dataclass(frozen=True)
class Chunk:
    """features (steps, batch, frames, width), targets (steps, batch, labels), weights (steps, batch): 0 is padding."""

    features: Array
    targets: Array
    weights: Array
    rows: int


def drawn_order(n: int, *, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the order of n rows in an epoch: a function of seed and epoch alone, so a resumed run draws the same."""
    return np.random.default_rng([seed, epoch]).permutation(n)


def steps_per_chunk(rows: int, row_bytes: int, batch_size: int) -> int:
    """Return how many steps go into one execution."""
    fitting = CHUNK_BYTES // max(1, row_bytes * batch_size)
    return int(max(1, min(CHUNK_STEPS, fitting, -(-rows // batch_size))))


def chunks(split: Split, rows: NDArray[np.int64], *, batch_size: int) -> Iterator[Chunk]:
    """Yield all of `rows` of the split, in their order, in chunks of one shape; the last is filled up with padding."""
    frames, width = split.features.shape[1:]
    per_chunk = batch_size * steps_per_chunk(len(rows), frames * width * 4, batch_size)
    parts = [rows[first : first + per_chunk] for first in range(0, len(rows), per_chunk)]
    with ThreadPoolExecutor(1) as reader:
        following = reader.submit(_read, split, parts[0], per_chunk, batch_size) if parts else None
        for i in range(len(parts)):
            assert following is not None
            chunk = following.result()
            if i + 1 < len(parts):
                following = reader.submit(_read, split, parts[i + 1], per_chunk, batch_size)
            yield chunk


def _read(split: Split, rows: NDArray[np.int64], per_chunk: int, batch_size: int) -> Chunk:
    sorting = np.argsort(rows)  # shards are read front to back
    features = np.zeros((per_chunk, *split.features.shape[1:]), dtype=np.float32)
    features[sorting] = split.features[rows[sorting]]
    targets = np.zeros((per_chunk, split.targets.shape[1]), dtype=np.float32)
    targets[: len(rows)] = split.targets[rows]
    weights = np.zeros(per_chunk, dtype=np.float32)
    weights[: len(rows)] = 1.0

    def batched(values: Array) -> Array:
        return values.reshape(per_chunk // batch_size, batch_size, *values.shape[1:])

    return Chunk(batched(features), batched(targets), batched(weights), len(rows))
