"""Rows in a drawn order, as chunks of batches; the next chunk is read while this one trains."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..dataset import Split
from ..runtime.threads import in_order

Array = NDArray[np.float32]

CHUNK_BYTES = 8 << 20  # of features: little beside the memory, long beside the cost of an execution
CHUNK_STEPS = 500


@dataclass(frozen=True)
class Chunk:
    """features (steps, batch, frames, width), targets (steps, batch, labels), weights (steps, batch): 0 is padding.

    rows: places filled, by a row or, where `spread` left it open, by none.
    """

    features: Array
    targets: Array
    weights: Array
    rows: int


def shuffled_order(n: int, *, seed: int, epoch: int, rank: int = 0) -> NDArray[np.int64]:
    """Return the order of n rows in an epoch: a function of its arguments alone, so a resumed run draws the same.

    rank: of the process, where several train one model.
    """
    return np.random.default_rng([seed, epoch, rank] if rank else [seed, epoch]).permutation(n)


def spread(rows: NDArray[np.int64], steps: int) -> NDArray[np.int64]:
    """Return rows evenly over steps (steps, most in a step), in their order; -1 where a step has fewer, or none."""
    bounds = np.arange(steps + 1) * len(rows) // steps
    most = max(1, int(np.diff(bounds).max()))
    places = bounds[:-1, None] + np.arange(most)
    filled = places < bounds[1:, None]
    out = np.full((steps, most), -1, dtype=np.int64)
    out[filled] = rows[places[filled]]
    return out


def chunks(split: Split, rows: NDArray[np.int64], *, batch_size: int, filled: bool = True) -> Iterator[Chunk]:
    """Yield all of `rows` of the split, in their order, in chunks of one shape; the last is filled up with padding.

    A row of -1 is none: its place has weight 0. filled: False lets the last chunk have no more steps than it needs.
    """
    frames, width = split.features.shape[1:]
    fitting = CHUNK_BYTES // max(1, frames * width * 4 * batch_size)
    per_chunk = batch_size * max(1, min(CHUNK_STEPS, fitting, -(-len(rows) // batch_size)))
    parts = [rows[first : first + per_chunk] for first in range(0, len(rows), per_chunk)]

    def read(part: NDArray[np.int64]) -> Chunk:
        steps = per_chunk // batch_size if filled else -(-len(part) // batch_size)
        places = np.argsort(part)  # shards are read front to back
        places = places[part[places] >= 0]

        def batched(values: Array, *shape: int) -> Array:
            made = np.zeros((steps * batch_size, *shape), dtype=np.float32)
            made[places] = values
            return made.reshape(steps, batch_size, *shape)

        features = batched(split.features[part[places]], frames, width)
        targets = batched(split.targets[part[places]], split.targets.shape[1])
        return Chunk(features, targets, batched(np.ones(len(places), dtype=np.float32)), len(part))

    yield from in_order(read, parts, 1, ahead=1)
