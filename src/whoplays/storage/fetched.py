"""Objects on this machine: recordings while they are worked on, shards in a cache.

What is fetched of recordings lies in a temporary folder of the process, at most `KEPT_BYTES` of it beside what is being
read; the process removes it at its end, and the next one does if it could not.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import IO

from ..errors import AudioError, DatasetError, WhoplaysError
from ..files import hold, make_folder, sha256_of
from .address import Address, Gone, Place

KEPT_BYTES = 1 << 30
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
    kept = _kept()
    path = kept.take(where)
    try:
        yield path
    finally:
        kept.release(where)


class _Kept:
    """Recordings that were fetched: those in use, and the last ones that were."""

    def __init__(self, folder: Path, limit: int = KEPT_BYTES) -> None:
        self._folder, self._limit = folder, limit
        self._sizes: OrderedDict[Address, int] = OrderedDict()  # the oldest first
        self._users: dict[Address, int] = {}
        self._names: dict[Address, Path] = {}
        self._made = 0
        self._lock = threading.RLock()

    def take(self, where: Address) -> Path:
        """Return the file of a recording; it stays until `release`."""
        with self._lock:  # one at a time: a worker reads one recording at a time
            if where not in self._names:
                self._fetch(where)
            self._sizes.move_to_end(where)
            self._users[where] = self._users.get(where, 0) + 1
            return self._names[where]

    def _fetch(self, where: Address) -> None:
        size = where.size()
        if size < 0:
            raise AudioError("no such file")
        if size > LARGEST:
            raise AudioError(f"has {size:,} bytes; up to {LARGEST:,} are fetched from a store; cut it up")
        self._made += 1
        path = self._folder / f"{self._made}{where.suffix}"
        try:
            where.fetch(path, size)
        except BaseException as error:
            path.unlink(missing_ok=True)
            if isinstance(error, Gone):
                raise AudioError("no such file") from None
            raise
        self._names[where], self._sizes[where] = path, size

    def release(self, where: Address) -> None:
        """Say that the file is not read any more."""
        with self._lock:
            self._users[where] -= 1
            idle = [one for one in self._sizes if not self._users.get(one)]
            for one in idle:
                if sum(self._sizes.values()) <= self._limit:
                    break
                self._names.pop(one).unlink(missing_ok=True)
                del self._sizes[one], self._users[one]


@cache
def _kept() -> _Kept:
    """Return this process's store of recordings."""
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=_FOLDERS))
    held = hold(folder / _LOCK, taken=str(folder))
    atexit.register(_remove, folder, held)
    return _Kept(folder)


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
        os.replace(fetched, path)
    return path
