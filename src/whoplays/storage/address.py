"""`Address`: an object, or a folder of objects, in a store; it does what a `Path` does where data sets are made.

An object appears whole or not at all, so nothing is renamed. What fails is tried again, for `patience_s()` seconds; what
is refused is reported at once. Credentials and the place of the store are found where Amazon's own tools find them
(AWS_ACCESS_KEY_ID, AWS_PROFILE, AWS_ENDPOINT_URL, a machine's role ...): none go through whoplays.

Every call of the command loads this, so what only a store needs is imported where it is used.
"""

from __future__ import annotations

import errno
import functools
import io
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import IO, Any, Self, TypeVar

from ..errors import UsageError, WhoplaysError
from ..runtime.packages import needed

Result = TypeVar("Result")
Content = bytes | str | Callable[[IO[bytes]], None]

#: Kinds of stores, and the package that fsspec reaches each with. All but the first have not been tried.
PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs"}

READ_AT_ONCE = 8 << 20  # bytes, where an object is read in pieces
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 15.0

#: What botocore calls a request that it will not even send.
_UNSENT = {
    *("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound", "NoRegionError"),
    *("TokenRetrievalError", "SSOTokenLoadError", "UnauthorizedSSOTokenError", "InvalidEndpointConfigurationError"),
    *("ParamValidationError", "ConfigParseError"),
}
_REFUSED = (PermissionError, IsADirectoryError, NotImplementedError, WhoplaysError, UnicodeError)
_WRONG = {errno.EINVAL, errno.EPERM, errno.ENOSYS, getattr(errno, "EREMCHG", errno.EINVAL)}
_DAMAGED = re.compile(r"checksum|digest|sha256|incomplete|did not provide the number of bytes", re.IGNORECASE)


class StorageError(WhoplaysError):
    """An object store does not answer, refuses, or holds something else than it should."""


class Gone(StorageError):
    """There is no such object."""


def patience_s() -> float:
    """Return for how long a store that fails is tried again: 60 s, or WHOPLAYS_STORE_PATIENCE_S."""
    try:
        return float(os.environ.get("WHOPLAYS_STORE_PATIENCE_S", "60"))
    except ValueError:
        raise UsageError("WHOPLAYS_STORE_PATIENCE_S: seconds are needed, such as 60") from None


@dataclass(frozen=True)
class Address:
    """Where an object, or a folder of them, is: s3://BUCKET/part/part. parts: the bucket first."""

    scheme: str
    parts: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.scheme}://{self._path}"

    def __lt__(self, other: Address) -> bool:
        """Sort as paths are sorted: part by part."""
        return (self.scheme, self.parts) < (other.scheme, other.parts)

    def __truediv__(self, name: str) -> Address:
        return Address(self.scheme, _normal([*self.parts, *name.split("/")]))

    @property
    def _path(self) -> str:
        return "/".join(self.parts)

    @property
    def name(self) -> str:
        """The last part."""
        return self.parts[-1]

    @property
    def suffix(self) -> str:
        """The ending of the name, with its dot."""
        return Path(self.name).suffix

    @property
    def parent(self) -> Address:
        """The folder that it is in; a bucket is its own."""
        return Address(self.scheme, self.parts[:-1] or self.parts)

    def relative_to(self, folder: Address) -> PurePosixPath:
        """Return the name relative to a folder that it is in."""
        return PurePosixPath(*self.parts[len(folder.parts) :])

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the address that a text names. Raises `UsageError` for what is none."""
        found = _ADDRESS.fullmatch(text)
        scheme = found[1].lower() if found else ""
        if not found or scheme not in PACKAGES:
            known = ", ".join(f"{name}://" for name in PACKAGES)
            raise UsageError(f"{text}: no store of the kind {scheme}:// is known; {known} or a path is possible")
        parts = _normal(found[2].split("/"))
        if not parts:
            raise UsageError(f"{text}: names no bucket; write {scheme}://BUCKET/...")
        return cls(scheme, parts)

    # -- what is there

    def _info(self) -> dict[str, Any]:
        """Return what the store says of it, nothing where there is nothing."""
        try:
            return dict(self._tried(lambda store: store.info(self._path)))
        except Gone:
            return {}

    def exists(self) -> bool:
        """Tell whether an object, or one in such a folder, is there."""
        return bool(self._info())

    def is_file(self) -> bool:
        """Tell whether there is such an object."""
        return self._info().get("type") == "file"

    def is_dir(self) -> bool:
        """Tell whether there are objects in such a folder."""
        return self._info().get("type") == "directory"

    def size(self) -> int:
        """Return the bytes of the object, -1 when there is none."""
        return self.size_and_mark()[0]

    def mark(self) -> str:
        """Return what the object is known unchanged by: its size, and what the store says of its content."""
        return self.size_and_mark()[1]

    def size_and_mark(self) -> tuple[int, str]:
        """Return what `size` and `mark` return, by one request."""
        found = self._info()
        if found.get("type") != "file":
            return -1, "missing"
        etag = next((str(found[name]) for name in ("ETag", "etag", "md5Hash", "LastModified") if found.get(name)), "")
        return int(found["size"]), f"{found['size']}-{etag.strip(chr(34))}"

    def iterdir(self) -> Iterator[Address]:
        """Yield what is in the folder, sorted; nothing for one that is not there."""
        try:
            names = self._tried(lambda store: store.ls(self._path, detail=False))
        except Gone:
            return
        found = {self._of(name) for name in names}
        yield from sorted(one for one in found if one != self)

    def glob(self, pattern: str) -> Iterator[Address]:
        """Yield what is in the folder with a name like `pattern`, sorted."""
        import fnmatch

        yield from (one for one in self.iterdir() if fnmatch.fnmatchcase(one.name, pattern))

    def files(self) -> list[Address]:
        """Return every object in the folder and those below it, sorted."""
        names = self._tried(lambda store: store.find(self._path, detail=False))
        return sorted(self._of(name) for name in names if not name.endswith("/"))

    def _of(self, path: str) -> Address:
        return Address(self.scheme, tuple(path.strip("/").split("/")))

    # -- reading

    def read_bytes(self) -> bytes:
        """Return the object. Raises `FileNotFoundError`, as for a path, and `StorageError`."""
        try:
            content: bytes = self._tried(lambda store: store.cat_file(self._path))
            return content
        except Gone as gone:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self)) from gone

    def read_text(self, encoding: str = "utf-8") -> str:
        """Return the object as text."""
        return self.read_bytes().decode(encoding)

    def open(self, *, encoding: str, newline: str | None = None) -> IO[str]:
        """Return the object, read whole, as a text file."""
        return io.TextIOWrapper(io.BytesIO(self.read_bytes()), encoding=encoding, newline=newline)

    def sha256(self) -> str:
        """Return the object's SHA-256, read in pieces. Raises `FileNotFoundError`."""
        import hashlib

        size, digest = self.size(), hashlib.sha256()
        if size < 0:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self))
        for start in range(0, size, READ_AT_ONCE):
            digest.update(self._piece(start, min(start + READ_AT_ONCE, size)))
        return digest.hexdigest()

    def _piece(self, start: int, end: int) -> bytes:
        def read(store: Any) -> bytes:
            content: bytes = store.cat_file(self._path, start=start, end=end)
            if len(content) != end - start:
                raise OSError(errno.EIO, f"{len(content)} of {end - start} bytes arrived")
            return content

        return self._tried(read)

    def fetch(self, target: Path, size: int) -> None:
        """Copy the object, which has `size` bytes, to a file on this machine. Raises `Gone`, for other bytes too."""

        def fetch(store: Any) -> None:
            store.get_file(self._path, str(target))
            if target.stat().st_size != size:
                if store.info(self._path)["size"] != size:
                    raise FileNotFoundError(errno.ENOENT, "the object has changed", str(self))
                raise OSError(errno.EIO, f"{target.stat().st_size} of {size} bytes arrived")

        self._tried(fetch)

    # -- writing

    def write(self, content: Content) -> None:
        """Put the object there, whole, in place of what was there. content: as for `files.write_atomically`."""
        if isinstance(content, str):
            content = content.encode()
        if isinstance(content, bytes):
            value = content
            self._tried(lambda store: store.pipe_file(self._path, value), writing=True)
            return
        import tempfile

        with tempfile.TemporaryDirectory(prefix="whoplays-") as folder:
            path = Path(folder, "object")
            try:
                with path.open("w+b") as file:
                    content(file)
            except OSError as error:
                raise StorageError(f"{self}: cannot be written ({error.strerror or error}: {folder})") from error
            self._tried(lambda store: store.put_file(str(path), self._path), writing=True)

    def create(self, content: bytes) -> None:
        """Put the object there unless there is one already, which then stays; where the store can tell."""

        def create(store: Any) -> None:
            try:
                store.pipe_file(self._path, content, mode="create")
            except OSError as error:
                if error.errno != errno.ENOSYS:
                    raise
                store.pipe_file(self._path, content)

        try:
            self._tried(create, writing=True)
        except FileExistsError:
            return

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the object. Raises `FileNotFoundError` unless `missing_ok`."""
        try:
            self._tried(lambda store: store.rm_file(self._path))
        except Gone as gone:
            if not missing_ok:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self)) from gone

    # -- trying

    def _tried(self, work: Callable[[Any], Result], *, writing: bool = False) -> Result:
        """Return `work(store)`, tried again while the store fails.

        Raises `Gone`, `FileExistsError`, and `StorageError` or `UsageError` with what to do.
        """
        import random

        store = _store(self.scheme)
        until, pause = time.monotonic() + patience_s(), _FIRST_PAUSE_S
        while True:
            try:
                return work(store)
            except (FileExistsError, TypeError, AttributeError):
                raise
            except Exception as error:
                if isinstance(error, FileNotFoundError) and not writing:
                    raise Gone(f"{self}: no such object") from None
                if _is_final(error):
                    raise self._refusal(error) from None
                if (left := until - time.monotonic()) <= 0:
                    raise StorageError(
                        f"{self}: the store failed for {patience_s():g} s ({_short(error)}); see that it is up, and that "
                        "AWS_ENDPOINT_URL names it if it is not Amazon's; then run the same command again: what is done is "
                        "kept"
                    ) from None
            time.sleep(min(left, pause * (0.5 + random.random())))
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _refusal(self, error: Exception) -> StorageError:
        if type(error).__name__ in _UNSENT and "redential" in str(error):
            return StorageError(
                f"{self}: no credentials for the store; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, "
                "on every node"
            )
        return StorageError(
            f"{self}: the store refuses ({_short(error)}); see that the credentials (AWS_ACCESS_KEY_ID, "
            "AWS_PROFILE, a role), the region and the bucket are right"
        )


Place = Path | Address


def place(text: str | Place) -> Place:
    """Return the path, or the address, that a text names. Raises `UsageError` for a store that there is none of."""
    if not isinstance(text, str):
        return text
    return Address.of(text) if _ADDRESS.fullmatch(text) else Path(text)


def is_address(text: str) -> bool:
    """Tell whether a text names something in a store that is known here; any other is a path."""
    found = _ADDRESS.fullmatch(text)
    return found is not None and found[1].lower() in PACKAGES


def join(folder: Place, name: str) -> Place:
    """Return what a table in `folder` calls `name`: relative to it, or an absolute path, or an address."""
    if _ADDRESS.fullmatch(name):
        return place(name)
    if isinstance(folder, Address) and not Path(name).is_absolute():
        return folder / name
    return Path(name) if isinstance(folder, Address) else folder / name


def _normal(parts: list[str]) -> tuple[str, ...]:
    """Take out what a path's "." and ".." and doubled slashes take out; a bucket is never left."""
    found: list[str] = []
    for part in parts:
        if part == "..":
            del found[max(1, len(found) - 1) :]
        elif part not in ("", "."):
            found.append(part)
    return tuple(found)


@functools.cache
def _store(scheme: str) -> Any:
    """Return fsspec's file system, one for all threads. Raises `MissingExtraError`."""
    # Tried again here, with one patience for all kinds of failure: what lies below tries little by itself.
    options: dict[str, Any] = {"use_listings_cache": False}
    if scheme == "s3":
        options["max_concurrency"] = 1  # parts of a large object at a time: each is held in memory
        options["config_kwargs"] = {"retries": {"mode": "standard", "total_max_attempts": 1}}
    with needed(f"{scheme}://", "cluster", package="" if scheme == "s3" else PACKAGES[scheme]):
        import fsspec

        import_module(PACKAGES[scheme])
    return fsspec.filesystem(scheme, skip_instance_cache=True, **options)  # fsspec has one for each thread


def _is_final(error: Exception) -> bool:
    """Tell whether trying again is of no use."""
    if isinstance(error, _REFUSED) or type(error).__name__ in _UNSENT:
        return True
    if isinstance(error, FileNotFoundError):  # while writing: the bucket; a part's upload may only have been forgotten
        return "bucket" in str(error).lower()
    return isinstance(error, OSError) and error.errno in _WRONG and not _DAMAGED.search(str(error))


def _short(error: BaseException) -> str:
    """Return a store's own words, in one line."""
    words = str(error.strerror if isinstance(error, OSError) and error.strerror else error)
    return " ".join(words.split())[:160] or type(error).__name__
