"""Many recordings predicted by a cluster: each where a worker can reach it, its sound never on the machine that asks."""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import UsageError
from ..inference import batch
from ..inference.prediction import Result, result_of
from ..inference.recogniser import Recogniser
from ..model import folder as model_folder
from ..model.thresholds import Threshold
from ..runtime.processes import Engine
from ..storage.address import is_address

HEARD_AT_ONCE = 16  # recordings to a piece of work


class _Model(NamedTuple):
    """A model folder's files, which go to the workers: they need not see the folder."""

    config: bytes
    network: bytes


def predict_files(
    engine: Engine,
    model: Path | None,
    names: Sequence[str],
    *,
    start: float = 0.0,
    duration: float | None = None,
    track: int | None = None,
    strict: bool = False,
    threshold: Threshold | None = None,
) -> Iterator[Result]:
    """Yield a result for each name, in order; predictions have no scores over time.

    engine: entered already. model: a model folder, None for the one inside the package. Names are paths that every
    worker can read. threshold: as of `Recogniser`. Raises `UsageError` for standard input, which only this process has.
    """
    if "-" in names:
        raise UsageError("standard input (-) cannot be read by a cluster; leave out --cluster")
    folder = model_folder.read(model).folder
    sent = _Model((folder / model_folder.CONFIG).read_bytes(), (folder / model_folder.NETWORK).read_bytes())
    part = {"start": start, "duration": duration, "track": track, "strict": strict}
    work = functools.partial(_predicted, sent, part, threshold)
    # Paths that mean the same in a process that began in another folder; links are not followed.
    placed = [name if is_address(name) else os.path.abspath(name) for name in names]  # noqa: PTH100
    groups = [tuple(placed[first : first + HEARD_AT_ONCE]) for first in range(0, len(names), HEARD_AT_ONCE)]
    waiting: dict[int, list[dict[str, Any]]] = {}
    following = 0
    for number, results in engine.map(work, groups):
        waiting[number] = results
        while following in waiting:
            shown = names[following * HEARD_AT_ONCE : (following + 1) * HEARD_AT_ONCE]
            for name, values in zip(shown, waiting.pop(following), strict=True):
                yield replace(result_of(values), path=name)
            following += 1


def _predicted(
    model: _Model, part: dict[str, Any], threshold: Threshold | None, paths: tuple[str, ...]
) -> list[dict[str, Any]]:
    """Predict recordings, in a process of the cluster."""
    recogniser = _recogniser(model)
    if threshold is not None:
        recogniser = recogniser.with_threshold(threshold)
    return [result.to_dict() for result in batch.predict_files(recogniser, paths, jobs=1, **part)]


@functools.lru_cache(maxsize=1)
def _recogniser(model: _Model) -> Recogniser:
    """Return the model, which a process loads once, not for each piece of work."""
    with tempfile.TemporaryDirectory(prefix="whoplays-") as folder:
        Path(folder, model_folder.NETWORK).write_bytes(model.network)
        Path(folder, model_folder.CONFIG).write_bytes(model.config)
        return Recogniser(folder)
