"""Where the results of a run go: one text, or a file for each recording; for tables see resumable_table.py."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Self

from ..errors import UsageError, counted
from ..inference.prediction import Failure, Result
from ..storage import streams
from ..storage.address import is_address
from ..storage.files import common_folder, make_folder, own_name, write_atomically
from .formats.base import Writer


class Output(ABC):
    """Takes the results of a run, in order, with `write`; with `add` those of recordings that arrive later."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        return

    def todo(self, names: Sequence[str]) -> list[str]:
        """Return the recordings that have no result yet."""
        return list(names)

    def is_done(self, name: str, seen: str) -> bool:
        """Return whether a recording of `todo` needs no further result. seen: its mark as it is now."""
        return True

    def update(self, names: Iterable[str], change: Callable[[Result], bool]) -> int:
        """Call `change` with the earlier results of these recordings; return for how many it said that it changed the file."""
        return 0

    def reported(self, names: Sequence[str], fresh: Sequence[Result]) -> Sequence[Result]:
        """Return the results of `names` for a report. fresh: those of this run."""
        return fresh

    def save(self) -> None:
        """Complete what is written to before more is waited for."""
        return

    @abstractmethod
    def write(self, results: Iterable[Result]) -> None:
        """Write the results of the run."""

    @abstractmethod
    def add(self, results: Iterable[Result]) -> None:
        """Write further results."""


class Stream(Output):
    """One text: printed as it comes, or written to a file whole or not at all."""

    def __init__(self, writer: Writer, path: Path | None, *, tell: Callable[[str], None]) -> None:
        """path: None for standard output. tell: called with what was written."""
        self._writer, self._path, self._tell = writer, path, tell

    def write(self, results: Iterable[Result]) -> None:
        writer = self._writer
        self._emit(chain([writer.head()], map(writer.item, results), [writer.tail()]))

    def add(self, results: Iterable[Result]) -> None:
        self._emit(map(self._writer.item, results))

    def _emit(self, texts: Iterator[str]) -> None:
        if self._path is not None:
            write_atomically(
                self._path, lambda file: file.writelines(text.encode("utf-8", "surrogateescape") for text in texts)
            )
            self._tell(f"Written to {self._path}")
            return
        for text in texts:
            streams.write(text)


class Folder(Output):
    """A file for each recording, in the same tree of folders as the recordings; none for a failure."""

    def __init__(
        self,
        folder: Path,
        writer: Writer,
        given: Sequence[str],
        *,
        resume: bool = False,
        overwrite: bool = False,
        tell: Callable[[str], None],
    ) -> None:
        """Take the results' folder, and the requested recordings and folders.

        A result is named after its recording, relative to the folder that all of `given` share. Where two recordings
        differ only in their ending, the second keeps its whole name: a.flac and a.wav become a.json and a.wav.json.
        resume: keep files that are there and no older than their recordings, and make the others. overwrite: replace files
        that are there before the run. tell: called with what was written.
        """
        self._folder, self._writer, self._tell = folder, writer, tell
        self._resume, self._overwrite = resume, overwrite
        places = [_absolute(path) for path in given]
        self._root = common_folder(path if Path(path).is_dir() else str(Path(path).parent) for path in places)
        self._taken: dict[str, str] = {}

    def todo(self, names: Sequence[str]) -> list[str]:
        """Return the recordings without a result. Raises `UsageError` when one is there that may not be replaced."""
        if self._resume:
            left = [name for name in names if _is_older(self.path_of(name), name)]
            self._tell(f"{len(names) - len(left)} of {len(names)} recordings have a result already")
            return left
        there = [] if self._overwrite else [path for path in dict.fromkeys(map(self.path_of, names)) if path.exists()]
        if there:
            more = f" and {len(there) - 1} more" if len(there) > 1 else ""
            raise UsageError(f"{there[0]}{more}: exists already; --resume keeps what is there, --overwrite replaces it")
        return list(names)

    def path_of(self, name: str) -> Path:
        """Return the file that a recording's result is written to."""
        path = self._folder / os.path.relpath(_absolute(name), self._root)
        return own_name(self._taken, name, path, self._writer.suffix)

    def write(self, results: Iterable[Result]) -> None:
        written = 0
        for result in results:
            if isinstance(result, Failure):
                continue
            target = self.path_of(result.path)
            make_folder(target.parent)
            write_atomically(target, self._writer.single(result).encode("utf-8", "surrogateescape"))
            written += 1
        self._tell(f"Written to {self._folder}: {counted(written, 'file')}")

    add = write


def _is_older(result: Path, name: str) -> bool:
    """Tell whether a result is missing, or older than its recording; of one in an object store, whether it is missing."""
    try:
        made = result.stat().st_mtime
    except OSError:
        return True
    return not is_address(name) and Path(name).exists() and Path(name).stat().st_mtime > made


def _absolute(path: str) -> str:
    if is_address(path):
        return "/" + path.split("://", 1)[1]
    return os.path.abspath(path)  # noqa: PTH100 - links are not followed
