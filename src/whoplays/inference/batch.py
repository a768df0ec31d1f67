"""Many recordings: which ones, and several analysed at a time."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Unpack

from ..audio.reading import Excerpt, spool_standard_input
from ..audio.times import Time, part
from ..errors import AudioError, UsageError
from ..model.thresholds import Threshold
from ..runtime.arguments import checked
from ..storage.address import Address, is_address
from ..storage.files import matching
from .prediction import Failure, Result
from .recogniser import Recogniser

if TYPE_CHECKING:
    from ..audio.decoder import Decoder
    from ..audio.search import Search


def recordings(
    paths: Iterable[str], on_search: Callable[[str, Search], None] = lambda path, found: None
) -> Iterator[str]:
    """Yield the recordings to read, in the order given.

    Parameters
    ----------
    paths
        Recordings, folders, whose recordings are sorted by path, and addresses; - is given back as it is.
    on_search
        Called for each folder with what was found in it, before its recordings.
    """
    for path in paths:
        if path != "-" and (Address.of(path).is_dir() if is_address(path) else os.path.isdir(path)):  # noqa: PTH112
            from ..audio.search import search

            found = search(Address.of(path) if is_address(path) else Path(path))
            on_search(path, found)
            yield from map(str, found.recordings)
        else:
            yield path


@checked
def predict_many(
    paths: Iterable[str | os.PathLike[str]] | str | os.PathLike[str],
    *,
    model: str | os.PathLike[str] | Recogniser | None = None,
    jobs: int = 0,
    progress: Callable[[int, int], None] | None = None,
    device: str = "cpu",
    threshold: Threshold | None = None,
    start: Time = 0.0,
    end: Time | None = None,
    duration: float | None = None,
    track: int | None = None,
    strict: bool = False,
) -> Iterator[Result]:
    """Detect the instruments of many recordings, several at a time.

    Each recording is decoded in a process of its own, so that one that breaks its decoder costs only its own result. No
    `if __name__ == "__main__"` is needed, and little is held at a time: results come as they are taken.

    Parameters
    ----------
    paths
        Recordings, folders (their recordings, sorted by path), patterns such as `music/*.wav` and addresses; or one of them.
    model
        A model folder, "default" or None for the model inside the package, or a `Recogniser`.
    jobs
        Recordings in parallel; 0 for one per core.
    progress
        Called with (done, total) after each recording.
    device, threshold
        As for `load`; a `Recogniser` keeps its own device.
    start, end, duration, track, strict
        As for `Recogniser.predict`, for every recording.

    Yields
    ------
    Prediction or Failure
        One for each recording, in order. A recording that cannot be used is a `Failure`, with its path and why.

    Raises
    ------
    UsageError
        For a call that cannot be meant; `ModelError` for a model that cannot be used. Both before the first result.

    Examples
    --------
    >>> import whoplays
    >>> paths = ["src/whoplays/examples/band.ogg", "missing.wav"]
    >>> for result in whoplays.predict_many(paths, jobs=2):
    ...     failed = isinstance(result, whoplays.Failure)
    ...     print(result.error if failed else result.playing[:2])
    ['drums', 'guitar']
    no such file
    """
    if jobs < 0:
        raise UsageError(f"jobs is {jobs}; it must be 0 (one per core) or more")
    first, length = part(start, end, duration)
    given = [paths] if isinstance(paths, (str, os.PathLike)) else paths
    if isinstance(model, Recogniser):
        recogniser = model if threshold is None else model.with_threshold(threshold)
    else:
        recogniser = Recogniser(None if model == "default" else model, device=device, threshold=threshold)
    names = list(recordings(one for path in given for one in matching(os.fspath(path))))
    found = predict_files(recogniser, names, start=first, duration=length, track=track, strict=strict, jobs=jobs)
    return found if progress is None else _counted(found, len(names), progress)


def _counted(results: Iterator[Result], total: int, progress: Callable[[int, int], None]) -> Iterator[Result]:
    for done, result in enumerate(results, 1):
        progress(done, total)
        yield result


def predict_files(
    recogniser: Recogniser,
    names: Iterable[str],
    *,
    jobs: int = 0,
    embed: bool = False,
    **excerpt: Unpack[Excerpt],
) -> Iterator[Result]:
    """Yield a result for each name, in order, several analysed at a time (0: one per core) and only a few waiting.

    One recording is decoded here; several are in processes of their own, so that one cannot end the others. start,
    duration, track, strict, embed: as of `Recogniser.predict`.
    """
    predict_one = partial(_predict_one, recogniser, excerpt=excerpt, embed=embed)
    workers = jobs or os.cpu_count() or 1
    if isinstance(names, Sized) and len(names) == 1:
        yield from map(predict_one, names)
        return
    from ..audio import decoder
    from ..runtime.threads import in_order

    mine, decoders = threading.local(), list[decoder.Decoder]()

    def one(name: str) -> Result:
        if not decoder.POSSIBLE:
            return predict_one(name)
        if not hasattr(mine, "decoder"):
            mine.decoder = decoder.Decoder()
            decoders.append(mine.decoder)
        return predict_one(name, decoder=mine.decoder)

    def stop() -> None:
        for each in decoders:
            each.kill()

    try:  # with one worker, threads would cost more than they could give
        yield from map(one, names) if workers == 1 else in_order(one, names, workers, stop=stop)
    finally:
        for each in decoders:
            each.close()


def _predict_one(
    recogniser: Recogniser, name: str, *, excerpt: Excerpt, embed: bool, decoder: Decoder | None = None
) -> Result:
    try:
        with contextlib.ExitStack() as stack:
            here: str | IO[bytes] = name
            if is_address(name):
                from ..storage.cache import recording

                here = str(stack.enter_context(recording(Address.of(name))))
            elif name == "-":
                here, decoder = stack.enter_context(spool_standard_input()), None
            if decoder:
                rate = recogniser.config.features.sample_rate
                decoded = decoder.decode(str(here), sample_rate=rate, **excerpt)
                found = recogniser.predict_sound(decoded, start=excerpt.get("start", 0.0), embed=embed)
            else:
                found = recogniser.predict(here, **excerpt, embed=embed)
            return replace(found, path=name)
    except AudioError as error:
        return Failure(name, error.problem)
    except MemoryError:
        return Failure(name, "needs more memory than there is")
