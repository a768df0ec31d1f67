"""Objects on this machine: recordings while they are worked on, shards in a cache.

What is fetched of a recording lies in a temporary folder of the process while it is read. What a killed process left there
is removed by the next one that fetches.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import IO

from ..errors import AudioError, DatasetError, WhoplaysError
from .address import Address, Gone, Place
from .files import hold, make_folder, put_in_place, sha256_of

LARGEST = 8 << 30  # bytes of a recording that is fetched
_FOLDERS, _LOCK = "whoplays-fetched-", "held"


@contextlib.contextmanager
def recording(where: Place) -> Iterator[Path]:
    """Yield the path of a recording; one in a store is on this machine for as long as the statement lasts.

    Raises `AudioError`, whose text does not repeat the name, when it is missing or too large; `StorageError`.
    """
    if not isinstance(where, Address):
        yield where
        return
    size = where.size()
    if size < 0:
        raise AudioError("no such file")
    if size > LARGEST:
        raise AudioError(f"has {size:,} bytes; up to {LARGEST:,} are fetched from a store; cut it up")
    path = _folder() / f"{next(_numbers)}{where.suffix}"
    try:
        try:
            where.fetch(path, size)
        except Gone:
            raise AudioError("no such file") from None
        yield path
    finally:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def one_by_one() -> Iterator[Callable[[Place], Path]]:
    """Yield a function that returns a recording's path, as `recording` does; it stays until another one is asked for.

    Clips of one recording that follow each other are so fetched once.
    """
    last: list[tuple[Place, Path]] = []
    with contextlib.ExitStack() as held:

        def here(where: Place) -> Path:
            if not last or last[0][0] != where:
                last.clear()
                held.close()
                last.append((where, held.enter_context(recording(where))))
            return last[0][1]

        yield here


_numbers = itertools.count()


@cache
def _folder() -> Path:
    """Return this process's folder for recordings."""
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=_FOLDERS))
    atexit.register(_remove, folder, hold(folder / _LOCK, taken=str(folder)))
    return folder


def _remove(folder: Path, held: IO[bytes]) -> None:
    held.close()
    shutil.rmtree(folder, ignore_errors=True)


def _sweep() -> None:
    """Remove what killed processes of this user left."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDERS}*"):
        with contextlib.suppress(OSError, WhoplaysError):
            if folder.is_symlink() or (hasattr(os, "getuid") and folder.stat().st_uid != os.getuid()):
                continue
            if (folder / _LOCK).exists():
                _remove(folder, hold(folder / _LOCK, taken=""))


def cache_folder() -> Path:
    """Return where shards of data sets are kept: WHOPLAYS_CACHE, or whoplays in the user's cache folder."""
    if named := os.environ.get("WHOPLAYS_CACHE"):
        return Path(named)
    home = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(home) if home else Path.home() / ".cache") / "whoplays"


def cached(where: Place, sha256: str) -> Path:
    """Return the path of a file of a data set; one in a store is fetched once, and kept under its checksum.

    Raises `DatasetError` when it is missing or has another checksum, and `StorageError`.
    """
    if not isinstance(where, Address):
        return where
    folder = make_folder(cache_folder() / "shards")
    path = folder / f"{sha256}{where.suffix}"
    if path.exists():
        return path
    size = where.size()
    if size < 0:
        raise DatasetError(f"{where}: is missing; build the data set again")
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=folder) as apart:
        fetched = Path(apart, path.name)
        where.fetch(fetched, size)
        if sha256_of(fetched) != sha256:
            raise DatasetError(f"{where}: changed since the data set was built; build it again in another folder")
        put_in_place(fetched, path)
    return path
