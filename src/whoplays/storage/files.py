"""Files that are either there, whole, or not there: temporary name, then rename. And one writer per folder.

For an address in an object store, `storage.address` does the work.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import io
import itertools
import json
import os
import shutil
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Any

from ..errors import UsageError, WhoplaysError
from .address import Address, Place

_PAUSES_S = (0.02, 0.05, 0.1, 0.3, 0.6)
_LOCKED_BYTE = 1 << 40  # beyond any content
#: Within `together`: (temporary file, where it goes) of what has been written and is not in place yet.
_pending: ContextVar[list[tuple[str, Path]] | None] = ContextVar("pending", default=None)


@contextlib.contextmanager
def explained(what: object, done: str, kind: type[WhoplaysError] = WhoplaysError) -> Iterator[None]:
    """Raise in our words what the system says of a file: that `what` cannot be read, written ..., and why."""
    try:
        yield
    except OSError as error:
        raise kind(f"{what}: cannot be {done} ({error.strerror or error})") from error


def write_atomically(path: Place, content: bytes | str | Callable[[IO[bytes]], None], *, durable: bool = True) -> None:
    """Write `content` to `path` so that a reader sees the old file or the whole new one, never a part.

    content: the bytes, the text (UTF-8), or a function that writes into the binary file it is given, and may read it.
    durable: flush to the disk before the rename, which within `together` comes at its end. Raises `WhoplaysError` with
    the system's reason (no space, no permission); the temporary file is removed then.
    """
    if isinstance(path, Address):
        path.write(content)
        return
    path = Path(path)
    with explained(path, "written"):
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name[:80]}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            if callable(content):
                content(file)
            else:
                file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        mask = os.umask(0)  # which cannot be read otherwise
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        if (pending := _pending.get()) is None:
            put_in_place(temporary, path)
        else:
            pending.append((temporary, path))
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError):
            raise WhoplaysError(
                f"{path}: cannot be written ({_reason(error, path)}); what was there is unchanged"
            ) from error
        raise


def put_in_place(temporary: str | Path, path: Path) -> None:
    """Give a finished file its name. Raises `OSError`.

    On Windows a name cannot be given away while somebody has its file open, as a virus scanner does for moments: several
    tries are made over a second.
    """
    for pause in _PAUSES_S if os.name == "nt" else ():
        try:
            os.replace(temporary, path)
            return
        except PermissionError:
            time.sleep(pause)
    os.replace(temporary, path)


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Put the local files that are written within in place at the end, so that a failure before it replaces none of them.

    Raises `WhoplaysError` when a file cannot be put in place.
    """
    pending: list[tuple[str, Path]] = []
    token = _pending.set(pending)
    try:
        yield
        for temporary, path in pending:
            with explained(path, "written"):
                put_in_place(temporary, path)
    finally:
        _pending.reset(token)
        for temporary, _ in pending:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def common_folder(paths: Iterable[str]) -> str:
    """Return the folder that all paths are below, "" for none. Raises `UsageError` where there is none (Windows' drives)."""
    paths = list(paths)
    try:
        return os.path.commonpath(paths) if paths else ""
    except ValueError:
        raise UsageError("the recordings are on several drives; name those of one drive at a time") from None


def own_name(taken: dict[str, str], owner: str, path: Path, suffix: str) -> Path:
    """Return the name of the file that is made from `owner`, and note it in `taken`.

    Parameters
    ----------
    taken
        Names that are given already -> who they were given to. To some file systems it is all the same in which letters,
        small or capital, and in which form of its accents, a name is written.
    owner
        The recording; it always gets the same name.
    path
        Where the file would lie if it were the recording.
    suffix
        In place of the recording's ending. Where another has that name, the suffix comes after the whole name.
    """
    numbered = (path.with_name(f"{path.name}-{i}{suffix}") for i in itertools.count(2))
    for name in itertools.chain((path.with_suffix(suffix), path.with_name(path.name + suffix)), numbered):
        if taken.setdefault(unicodedata.normalize("NFC", str(name)).casefold(), owner) == owner:
            return name
    raise AssertionError("there is always another number")


def matching(path: str) -> list[str]:
    """Return what a pattern such as `music/*.wav` matches, sorted; the path itself where it is none, or matches nothing.

    Shells do this, Windows' do not. A file that has such a name is itself.
    """
    if not {"*", "?"} & set(path) or "://" in path or os.path.lexists(path):
        return [path]
    return sorted(glob.glob(path, recursive=True)) or [path]  # noqa: PTH207 - names as they were given


def check_output(path: Path | None, *, overwrite: bool, instead: str = "") -> None:
    """Check, before the work begins, that a file (None: none) can be written at its end without losing what is there.

    overwrite: whether what is there may be replaced; an empty file always may. instead: what the user can do other than
    overwrite, such as "--resume adds to it". Raises `UsageError` when a file of that name exists or the name is a folder's,
    `WhoplaysError` when the folder that it belongs in does not exist or cannot be written in.
    """
    if path is None:
        return
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; name a file")
    if not path.parent.is_dir():
        raise WhoplaysError(f"{path}: cannot be written (there is no folder {path.parent})")
    if not os.access(path.parent, os.W_OK):
        raise WhoplaysError(f"{path}: cannot be written (no permission to write in {path.parent})")
    if not overwrite and path.exists() and path.stat().st_size:
        options = f"{instead}, --overwrite replaces it" if instead else "--overwrite replaces it"
        raise UsageError(f"{path}: exists already; {options}")


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files that killed writers of `path` left. Only for who knows that nobody is writing it now."""
    _remove_parts(path.parent, f".{glob.escape(path.name[:80])}.")


def _remove_parts(folder: Path, start: str) -> None:
    for leftover in folder.glob(f"{start}????????.part"):  # as `tempfile` names them
        with contextlib.suppress(OSError):
            leftover.unlink()


def _reason(error: OSError, path: Path) -> str:
    """Return the system's word; numpy's own short-write error has none, and then the disk is checked."""
    if error.strerror:
        return error.strerror
    free = shutil.disk_usage(path.parent).free
    return f"No space left on device: {free:,} bytes are free" if free < 1 << 20 else str(error)


def write_json(path: Place, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys kept as given, atomically. NaN is refused."""
    write_atomically(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def csv_line(cells: Sequence[Any]) -> str:
    r"""Return one line of CSV (RFC 4180), with \n at its end; cells that hold any line end, \r alone as well, are quoted."""
    import csv

    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue()[:-2] + "\n"


def write_csv(path: Place, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    r"""Write a CSV table (RFC 4180, \n line ends, UTF-8), atomically. Bytes of names that are no UTF-8 are kept."""
    text = "".join(map(csv_line, itertools.chain([header], rows)))
    write_atomically(path, text.encode("utf-8", "surrogateescape"))


def sha256_of(path: Place) -> str:
    """Return the SHA-256 of a file's content as hexadecimal digits."""
    if isinstance(path, Address):
        return path.sha256()
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_folder(path: Path) -> Path:
    """Make the folder, and those above it. Raises `WhoplaysError` when something else is there or it cannot be made."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise WhoplaysError(f"{path}: a file of that name is there; name a folder") from None
    except OSError as error:
        raise WhoplaysError(f"{path}: the folder cannot be made ({error.strerror or error})") from error
    return path


@contextlib.contextmanager
def only_writer(folder: Place) -> Iterator[None]:
    """Hold `folder` for this process. For a second one it raises `WhoplaysError`; a killed one holds nothing.

    What a killed one left half-written in it (not below) is removed. A store can be held by nobody.
    """
    if isinstance(folder, Address):
        yield
        return
    make_folder(folder)
    name = folder / ".whoplays.lock"
    with hold(name, taken=f"{folder}: another whoplays is writing there; wait for it or name another folder"):
        _remove_parts(folder, ".*.")
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                name.unlink()


def hold(path: Path, *, taken: str) -> IO[bytes]:
    """Return the file, open for reading and appending and held by this process until it is closed; made if missing.

    It is the file that has the name, not one that its last holder just removed. Raises `WhoplaysError`: with the text
    `taken` when another process holds it, with the system's word when it cannot be written.
    """
    while True:
        with explained(path, "written"):
            file = path.open("a+b")
        try:
            _lock(file)
        except OSError:
            file.close()
            raise WhoplaysError(taken) from None
        with contextlib.suppress(OSError):
            if os.path.samestat(path.stat(), os.fstat(file.fileno())):
                return file
        file.close()


def _lock(file: IO[bytes]) -> None:
    """Hold an open file for this process until it is closed. Raises `OSError` when another one holds it."""
    if os.name == "nt":
        import msvcrt

        file.seek(_LOCKED_BYTE)  # locks are of bytes there, from where the file stands, and keep readers out
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        finally:
            file.seek(0, os.SEEK_END)
    else:
        import fcntl

        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
