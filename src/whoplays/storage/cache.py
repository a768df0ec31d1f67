"""Objects on this machine: recordings while they are worked on, shards in a cache.

What is fetched of a recording lies in a temporary folder of the process while it is read, or, where it will be read again,
in a folder of the cache until all are done. What a killed process left there is removed by the next one that fetches.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import IO, NamedTuple

from ..errors import AudioError, DatasetError, WhoplaysError
from .address import Address, Gone, Place
from .files import hold, make_folder, put_in_place, sha256_of

LARGEST = 8 << 30  # bytes of a recording that is fetched
KEPT_SHARE = 0.5  # of the disk's free space, for recordings that are read again
_FOLDERS, _LOCK = "whoplays-fetched-", "held"


class Kept(NamedTuple):
    """A folder for recordings that are read several times, and the bytes that stay free on its disk."""

    folder: Path
    left_free: int


@contextlib.contextmanager
def recording(where: Place, *, size: int | None = None, kept: Kept | None = None) -> Iterator[Path]:
    """Yield the path of a recording; one in a store is on this machine for as long as the statement lasts.

    size: its bytes, -1 for none, where the store has reported them already. kept: what is fetched stays there, for whoever asks
    next. Raises `AudioError`, whose text does not repeat the name, when it is missing or too large;
    `StorageError`.
    """
    if not isinstance(where, Address):
        yield where
        return
    stays = kept.folder / f"{hashlib.sha256(str(where).encode()).hexdigest()}{where.suffix}" if kept else None
    if stays and stays.exists():
        yield stays
        return
    size = where.size() if size is None else size
    if size < 0:
        raise AudioError("no such file")
    if size > LARGEST:
        raise AudioError(f"has {size:,} bytes; up to {LARGEST:,} are fetched from a store; cut it up")
    if kept and stays and kept.folder.is_dir() and shutil.disk_usage(kept.folder).free - size > kept.left_free:
        path = kept.folder / f"{os.getpid()}-{next(_numbers)}"
    else:
        path, stays = _folder() / f"{next(_numbers)}{where.suffix}", None
    try:
        try:
            where.fetch(path, size)
        except Gone:
            raise AudioError("vanished or changed while it was fetched") from None
        if stays:
            path.replace(stays)
        yield stays or path
    finally:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def keeping() -> Iterator[Kept | None]:
    """Yield a place for recordings that are read several times; it is removed in the end. None: the cache cannot be written."""
    try:
        folder, held = _held_folder(make_folder(cache_folder() / "recordings"))
    except (OSError, WhoplaysError):
        yield None
        return
    try:
        yield Kept(folder, int(shutil.disk_usage(folder).free * (1 - KEPT_SHARE)))
    finally:
        _remove(folder, held)


@contextlib.contextmanager
def one_by_one(kept: Kept | None = None) -> Iterator[Callable[[Place], Path]]:
    """Yield a function that returns a recording's path, as `recording` does; it stays until another one is requested.

    Clips of one recording that follow each other are so fetched once. kept: as for `recording`.
    """
    last: list[tuple[Place, Path]] = []
    with contextlib.ExitStack() as held:

        def here(where: Place) -> Path:
            if not last or last[0][0] != where:
                last.clear()
                held.close()
                last.append((where, held.enter_context(recording(where, kept=kept))))
            return last[0][1]

        yield here


_numbers = itertools.count()


@cache
def _folder() -> Path:
    """Return this process's folder for recordings."""
    folder, held = _held_folder(Path(tempfile.gettempdir()))
    atexit.register(_remove, folder, held)
    return folder


def _held_folder(parent: Path) -> tuple[Path, IO[bytes]]:
    """Make a folder that nobody removes while this process lives; remove those of processes of this user that were killed."""
    for left in parent.glob(f"{_FOLDERS}*"):
        with contextlib.suppress(OSError, WhoplaysError):
            if left.is_symlink() or (hasattr(os, "getuid") and left.stat().st_uid != os.getuid()):
                continue
            if (left / _LOCK).exists():
                _remove(left, hold(left / _LOCK, taken=""))
    folder = Path(tempfile.mkdtemp(prefix=_FOLDERS, dir=parent))
    return folder, hold(folder / _LOCK, taken=str(folder))


def _remove(folder: Path, held: IO[bytes]) -> None:
    held.close()
    shutil.rmtree(folder, ignore_errors=True)


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
