"""Many recordings: which ones, and several analysed at a time."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ..audio.reading import spool_standard_input
from ..errors import AudioError, UsageError
from ..results.formats import Result
from ..storage.address import Address, is_address
from .recogniser import Failure, Recogniser

if TYPE_CHECKING:
    from concurrent.futures import Future

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


def read_list(file: IO[bytes], name: str) -> list[str]:
    """Return the paths of a list: one a line, or, if it holds NUL, separated by that (find -print0).

    Raises `UsageError` for an empty list.
    """
    content = file.read()
    parts = content.split(b"\0") if b"\0" in content else content.splitlines()
    paths = [os.fsdecode(part) for part in parts if part.strip()]
    if not paths:
        raise UsageError(f"--list {name}: names no recording")
    return paths


def predict_files(
    recogniser: Recogniser,
    names: Iterable[str],
    *,
    start: float = 0.0,
    duration: float | None = None,
    track: int | None = None,
    strict: bool = False,
    jobs: int = 0,
) -> Iterator[Result]:
    """Yield a result for each name, in order, several analysed at a time (0: one per core) and only a few waiting.

    One recording is decoded here; several are in processes of their own, so that one cannot end the others. start,
    duration, track, strict: as of `Recogniser.predict`.
    """
    part: dict[str, Any] = {"start": start, "duration": duration, "track": track, "strict": strict}
    workers = jobs or os.cpu_count() or 1
    if isinstance(names, Sized) and len(names) == 1:
        for name in names:
            yield _predict_one(recogniser, name, part)
        return
    with contextlib.ExitStack() as opened:
        yield from _predict_many(recogniser, names, part, workers, opened)


def _predict_many(
    recogniser: Recogniser,
    names: Iterable[str],
    part: dict[str, Any],
    workers: int,
    opened: contextlib.ExitStack,
) -> Iterator[Result]:
    from concurrent.futures import ThreadPoolExecutor

    from ..audio import decoder

    mine = threading.local()

    def one(name: str) -> Result:
        if not decoder.POSSIBLE:
            return _predict_one(recogniser, name, part)
        if not hasattr(mine, "decoder"):
            mine.decoder = decoder.Decoder()
            opened.callback(mine.decoder.close)
        return _predict_one(recogniser, name, part, mine.decoder)

    if workers == 1:  # threads cost more than they could give
        yield from map(one, names)
        return
    with ThreadPoolExecutor(workers) as pool:
        running: deque[Future[Result]] = deque()
        try:
            for name in names:
                running.append(pool.submit(one, name))
                if len(running) > 2 * workers:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _predict_one(recogniser: Recogniser, name: str, part: dict[str, Any], decoder: Decoder | None = None) -> Result:
    try:
        if is_address(name):
            from ..storage.cache import recording

            with recording(Address.of(name)) as here:
                return replace(_predict_one(recogniser, str(here), part, decoder), path=name)
        if name != "-" and decoder:
            rate = recogniser.config.features.sample_rate
            decoded = decoder.decode(name, sample_rate=rate, **part)
            return recogniser.predict_decoded(decoded, name, start=part["start"])
        if name != "-":
            return recogniser.predict(name, **part)
        with spool_standard_input() as file:
            return replace(recogniser.predict(file, **part), path="-")
    except AudioError as error:
        return Failure(name, error.problem)
    except MemoryError:
        return Failure(name, "needs more memory than there is")
