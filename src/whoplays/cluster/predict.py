"""Many recordings predicted by a cluster: each where a worker can reach it, its sound never on the machine that asks."""

from __future__ import annotations

import functools
import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..inference import batch
from ..inference.prediction import Failure, Prediction, Result
from ..inference.recogniser import Recogniser
from ..model import folder as model_folder
from ..model.thresholds import Threshold
from ..runtime.processes import Engine
from ..storage.address import is_address

HEARD_AT_ONCE = 16  # recordings to a piece of work


@dataclass(frozen=True)
class _Request:
    """Recordings for one piece of work, and the part of each to predict."""

    paths: tuple[str, ...]
    part: dict[str, Any]  # start, duration, track, strict
    threshold: Threshold | None


@dataclass(frozen=True)
class _Model:
    """A model folder's files, which go to the workers: they need not see the folder."""

    config: bytes
    network: bytes

    @functools.cached_property
    def name(self) -> str:
        return hashlib.sha256(self.config + self.network).hexdigest()[:24]


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
    groups = [tuple(names[first : first + HEARD_AT_ONCE]) for first in range(0, len(names), HEARD_AT_ONCE)]
    request = [_Request(tuple(map(_everywhere, group)), part, threshold) for group in groups]
    waiting: dict[int, list[dict[str, Any]]] = {}
    following = 0
    for number, told in engine.map(functools.partial(_predicted, sent), request):
        waiting[number] = told
        while following in waiting:
            for name, values in zip(groups[following], waiting.pop(following), strict=True):
                yield _result(name, values)
            following += 1


def _everywhere(name: str) -> str:
    """Return a path that means the same in a process that began in another folder."""
    if is_address(name):
        return name
    return os.path.abspath(name)  # noqa: PTH100 - links are not followed


def _result(name: str, values: dict[str, Any]) -> Result:
    if "error" in values:
        return Failure(name, values["error"])
    return replace(Prediction.from_dict(values), path=name)


def _predicted(model: _Model, request: _Request) -> list[dict[str, Any]]:
    """Hear the recordings, in a process of the cluster."""
    recogniser = _recogniser(model.name, model)
    if request.threshold is not None:
        recogniser = recogniser.with_threshold(request.threshold)
    found = batch.predict_files(recogniser, request.paths, jobs=1, **request.part)
    return [result.to_dict() for result in found]


_loaded: dict[str, Recogniser] = {}  # of this process: a model is loaded once, not for each piece of work


def _recogniser(name: str, model: _Model) -> Recogniser:
    if name not in _loaded:
        with tempfile.TemporaryDirectory(prefix="whoplays-") as folder:
            Path(folder, model_folder.NETWORK).write_bytes(model.network)
            Path(folder, model_folder.CONFIG).write_bytes(model.config)
            _loaded[name] = Recogniser(folder)
    return _loaded[name]
