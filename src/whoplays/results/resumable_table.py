"""Results of many recordings on disk, so that a run can be killed at any moment and gone on with.

While a run lasts each result is appended to `TABLE.journal`, one line each, which is forced to the disk at least every
half second. At its end the table is written anew, whole, with what the journal holds, and only then the journal goes.
Killed before the rename: table as it was, and the journal. Killed after it: both hold the same results, and a recording
stands once because it is known by its path. A line that was cut off by the kill is no line, and is predicted again.

Rows are held on disk, not in memory (an archive's would fill it): in an unnamed file beside the table, which ends with the
process, however it ends. Of each recording only its path, its mark and the place of its row are kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple, Self

from ..errors import UsageError, WhoplaysError, counted
from ..inference import batch
from ..inference.prediction import Result, result_of
from ..storage.address import Address, is_address
from ..storage.files import check_output, explained, hold, remove_leftovers
from . import table
from .output import Output

SYNC_EVERY_S = 0.5
NEVER = ""  # of what cannot be known again, like standard input


def mark(path: str, what: str) -> str:
    """Return what a recording is known unchanged by: its size, time of change, and the model and settings (`what`)."""
    if path == "-":
        return NEVER
    if is_address(path):
        return f"{Address.of(path).mark()}-{what}"
    try:
        stat = Path(path).stat()
    except (OSError, ValueError):
        return f"missing-{what}"
    return f"{stat.st_size}-{stat.st_mtime_ns}-{what}"


def how(fingerprint: str, start: float, duration: float | None, track: int | None = None, strict: bool = False) -> str:
    """Return a short name for a model and what it is given of recordings. fingerprint: of the model folder."""
    options = f"{fingerprint} {start} {duration}{f' {track}' if track else ''}{' strict' if strict else ''}"
    return hashlib.blake2b(options.encode(), digest_size=6).hexdigest()


def marks(given: Iterable[str], how: str = "") -> dict[str, str]:
    """Return the mark of each recording that is there now. given: recordings and folders."""
    return {name: mark(name, how) for name in batch.recordings(given) if name != "-"}


def watch(given: Sequence[str], done: Mapping[str, str], *, every_s: float, how: str = "") -> Iterator[list[str]]:
    """Yield the recordings that are added to folders or change, once they have stopped changing.

    given: recordings and folders. done: the marks of recordings that need no result. every_s: seconds between two looks. how:
    what marks are made with.
    """
    known, before = dict(done), dict[str, str]()
    while True:
        time.sleep(every_s)
        now = marks(given, how)
        ready = [name for name, seen in now.items() if known.get(name) != seen and before.get(name) == seen]
        before = now
        if ready:
            yield ready
        known.update({name: marks([name], how).get(name, "") for name in ready})


class Kind(NamedTuple):
    """How a kind of table is checked for (its name), written, read, and what a row of it must be; see table.py."""

    check: Callable[[Path], None]
    write: Callable[[Path, Callable[[], Iterable[dict[str, Any]]], Sequence[str]], None]
    read: Callable[[Path], Iterator[dict[str, Any]]]
    check_row: Callable[[Any], None]


RESULTS = Kind(table.check, table.write, table.read, table.check_row)


class _Kept(NamedTuple):
    """A recording's row: where its line begins, what file it was made from, whether it is a failure."""

    place: int
    seen: str
    failed: bool


class Collection:
    """An open table of results; to be used in a `with` statement. One process at a time has it open."""

    def __init__(self, table_path: Path, *, resume: bool, overwrite: bool = False, kind: Kind = RESULTS) -> None:
        """Open the table, of the kind that its name ends in, and its journal.

        resume: keep what is there. overwrite: begin anew, and replace what is there with `merge`; until then the table stays
        as it is. kind: of predictions, or of what else has a path and, where it failed, an error. Raises `UsageError` when a
        table or a journal is there and neither says what to do with it, `WhoplaysError` when another process writes the
        table or a file cannot be read.
        """
        self._kind = kind
        kind.check(table_path)
        check_output(table_path, overwrite=resume or overwrite, instead="--resume adds to it")
        #: whether `merge` will put new results in the place of others, for which a run should be complete
        self.replaces = not resume and table_path.exists() and table_path.stat().st_size > 0
        self.path = table_path
        self.journal = table_path.with_name(table_path.name + ".journal")
        self._kept: dict[str, _Kept] = {}
        self._file = self._open_journal(resume, overwrite)
        self._synced = time.monotonic()
        remove_leftovers(table_path)
        try:
            with explained(self.journal, "written"):
                self._rows = tempfile.TemporaryFile(dir=table_path.parent)  # noqa: SIM115 - open as long as this is
            if resume and table_path.exists() and table_path.stat().st_size:
                for row in kind.read(table_path):
                    self._keep(row)
            with explained(self.journal, "written"):
                for row in _read_journal(self._file, kind.check_row):
                    self._keep(row)
        except BaseException:
            with contextlib.suppress(OSError):
                self._file.close()
            raise

    def _open_journal(self, resume: bool, overwrite: bool) -> IO[bytes]:
        file = hold(self.journal, taken=f"{self.path}: another whoplays is writing it; wait, or name another")
        if not resume and file.seek(0, os.SEEK_END):
            if not overwrite:
                file.close()
                raise UsageError(
                    f"{self.journal}: holds the results of a run that was stopped; --resume continues it, --overwrite "
                    "starts again"
                )
            file.truncate(0)
        return file

    def _keep(self, row: dict[str, Any]) -> None:
        with explained(self.journal, "written"):
            place = self._rows.seek(0, os.SEEK_END)
            self._rows.write(json.dumps(row).encode() + b"\n")
        self._kept[_key(row["path"])] = _Kept(place, row.get("seen", NEVER), "error" in row)

    def _row(self, kept: _Kept) -> dict[str, Any]:
        with explained(self.journal, "written"):
            self._rows.seek(kept.place)
            found: dict[str, Any] = json.loads(self._rows.readline())
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        """Force what was added to the disk, and close. The journal stays until `merge`."""
        self._sync()
        # A failing disk was reported when it failed, if what ends the statement is an error.
        with explained(self.journal, "written") if kind is None else contextlib.suppress(OSError):
            if not self._file.seek(0, os.SEEK_END):  # removed while it is held: nobody can have begun to write in it
                with contextlib.suppress(OSError):
                    self.journal.unlink()
        for file in (self._file, self._rows):
            with contextlib.suppress(OSError):
                file.close()

    def __len__(self) -> int:
        return len(self._kept)

    def is_done(self, path: str, seen: str, *, retry: bool = False) -> bool:
        """Tell whether there is a result for `path` with that mark. retry: failures count as not done."""
        kept = self._kept.get(_key(path))
        return kept is not None and kept.seen == seen != NEVER and not (retry and kept.failed)

    def add(self, row: dict[str, Any], seen: str) -> None:
        """Keep a row, on disk as well: its `path`, and where it failed `error`. Raises `WhoplaysError` when the disk is full."""
        row = {**row, "seen": seen}
        with self._resumable(), explained(self.journal, "written"):
            self._file.write(json.dumps(row).encode() + b"\n")
            self._file.flush()
            if time.monotonic() - self._synced >= SYNC_EVERY_S:
                self._sync()
        self._keep(row)

    @contextlib.contextmanager
    def _resumable(self) -> Iterator[None]:
        """Let an error of the disk say that nothing is lost."""
        try:
            yield
        except WhoplaysError as error:
            kept = f"{self.journal.name} holds the results so far, and once that is mended --resume continues"
            raise WhoplaysError(f"{error}; {kept}") from error

    def _sync(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._file.flush()
            os.fsync(self._file.fileno())
        self._synced = time.monotonic()

    def merge(self, labels: Sequence[str]) -> None:
        """Write the table with everything that is known, then empty the journal. labels: the model's ids, first columns."""
        self._sync()
        more = [label for row in self.rows() for label in row.get("scores", {})]
        with self._resumable():
            self._kind.write(self.path, self.rows, list(dict.fromkeys([*labels, *more])))
        self.replaces = False
        with explained(self.journal, "written"):
            self._file.truncate(0)
        self._sync()

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield every row, in the order in which recordings were first predicted."""
        return map(self._row, self._kept.values())

    def results(self, paths: Iterable[str]) -> Iterator[Result]:
        """Yield the results of these recordings."""
        for path in paths:
            if kept := self._kept.get(_key(path)):
                yield result_of(self._row(kept))


class Table(Output):
    """Results of a run into a collection; recordings that are in it and unchanged need no new result."""

    def __init__(
        self, kept: Collection, how: str, labels: Sequence[str], *, retry: bool, tell: Callable[[str], None]
    ) -> None:
        """Take an open collection, what recordings are marked with (`how`), and the model's label ids.

        retry: failures in it need a new result. tell: called with what was written.
        """
        self.kept, self._how, self._labels, self._retry, self._tell = kept, how, labels, retry, tell
        self._any_used = False

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """Write the table with everything that is known, also when the run was stopped.

        A table that it would replace stays when the run was stopped, or when no recording could be used.
        """
        try:
            if self.kept.replaces and not (kind is None and self._any_used):
                why = "" if kind else ", since no recording could be used"
                count = counted(len(self.kept), "result")
                self._tell(f"{self.kept.path} is unchanged{why}; --resume adds the {count} of this run to it")
            elif kind is None or len(self.kept):
                self.kept.merge(self._labels)
                self._tell(f"Written to {self.kept.path}: {counted(len(self.kept), 'recording')}")
        finally:
            self.kept.__exit__(kind)

    def is_done(self, name: str, seen: str) -> bool:
        """Return whether the table has a result for the recording with that mark."""
        return self.kept.is_done(name, seen, retry=self._retry)

    def todo(self, names: Sequence[str]) -> list[str]:
        """Return the recordings that are not in the table, each once; tell how many are."""
        once = dict.fromkeys(names)
        todo = [name for name in once if not self.is_done(name, mark(name, self._how))]
        if done := len(once) - len(todo):
            self._tell(f"{done} of {len(once)} recordings are done and unchanged")
        return todo

    def update(self, names: Iterable[str], change: Callable[[Result], bool]) -> int:
        """Call `change` with the results of these recordings, and mark those anew whose file it changed; return how many."""
        changed = 0
        for result in self.kept.results(names):
            if change(result):
                changed += 1
                self.kept.add(result.to_dict(), mark(result.path, self._how))
        return changed

    def write(self, results: Iterable[Result]) -> None:
        self.keep(result.to_dict() for result in results)

    def keep(self, rows: Iterable[dict[str, Any]]) -> None:
        """Keep each row, of the kind that the table holds, on disk as it comes."""
        for row in rows:
            self._any_used |= "error" not in row
            self.kept.add(row, mark(row["path"], self._how))

    def save(self) -> None:
        self.kept.merge(self._labels)

    def add(self, results: Iterable[Result]) -> None:
        self.write(results)
        self.save()

    def reported(self, names: Sequence[str], fresh: Sequence[Result]) -> Sequence[Result]:
        """Return results of this run and earlier ones; fresh ones have scores over time."""
        known = {result.path: result for result in fresh}
        return [known.get(result.path, result) for result in self.kept.results(names)]


def _key(path: str) -> str:
    if path == "-" or is_address(path):
        return path
    return os.path.abspath(table.storable(path))  # noqa: PTH100 - links are not followed


def _read_journal(file: IO[bytes], check_row: Callable[[Any], None]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a journal, and cut off a last line that was not finished."""
    file.seek(0)
    whole = 0
    for line in file:
        if not line.endswith(b"\n"):
            file.truncate(whole)
            break
        whole += len(line)
        with contextlib.suppress(ValueError, RecursionError):  # a block that the disk lost: predicted again
            row = json.loads(line)
            check_row(row)
            yield row
