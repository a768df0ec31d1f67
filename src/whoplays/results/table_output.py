"""Results of a run into a table that another run can continue."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Self

from ..errors import counted
from ..inference.prediction import Result
from . import resumable_table
from .output import Output


class Table(Output):
    """A table on disk; recordings that are in it and unchanged need no new result."""

    def __init__(
        self,
        path: Path,
        how: str,
        labels: Sequence[str],
        *,
        resume: bool,
        overwrite: bool,
        retry: bool,
        tell: Callable[[str], None],
        kind: resumable_table.Kind = resumable_table.RESULTS,
    ) -> None:
        """Take the table's path, what recordings are marked with (`resumable_table.how`), and the model's label ids.

        resume: keep what is in the table. retry: but not its failures. overwrite: replace it at the end. tell: called with
        what was written.
        """
        self._path, self._how, self._labels, self._tell = path, how, labels, tell
        self._resume, self._overwrite, self._retry, self._kind = resume, overwrite, retry, kind
        self._any_used = False

    def __enter__(self) -> Self:
        """Open the table for this process alone. Raises as `Collection`."""
        self.kept = resumable_table.Collection(
            self._path, resume=self._resume, overwrite=self._overwrite, kind=self._kind
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """Write the table with everything that is known, also when the run was stopped.

        A table that it would replace stays when the run was stopped, or when no recording could be used.
        """
        try:
            if self.kept.replaces and not (kind is None and self._any_used):
                why = "" if kind else ", since no recording could be used"
                told = counted(len(self.kept), "result")
                self._tell(f"{self._path} is unchanged{why}; --resume adds the {told} of this run to it")
            elif kind is None or len(self.kept):
                self.kept.merge(self._labels)
                self._tell(f"Written to {self._path}: {counted(len(self.kept), 'recording')}")
        finally:
            self.kept.__exit__(kind)

    def is_done(self, name: str, mark: str) -> bool:
        """Return whether the table has a result for the recording with that mark."""
        return self.kept.is_done(name, mark, retry=self._retry)

    def todo(self, names: Sequence[str]) -> list[str]:
        """Return the recordings that are not in the table, each once; tell how many are."""
        once = dict.fromkeys(names)
        todo = [name for name in once if not self.is_done(name, resumable_table.mark(name, self._how))]
        if done := len(once) - len(todo):
            self._tell(f"{done} of {len(once)} recordings are done and unchanged")
        return todo

    def update(self, names: Iterable[str], change: Callable[[Result], bool]) -> int:
        """Call `change` with the results of these recordings, and mark those anew whose file it changed; return how many."""
        changed = 0
        for result in self.kept.results(names):
            if change(result):
                changed += 1
                self.kept.add(result.to_dict(), resumable_table.mark(result.path, self._how))
        return changed

    def write(self, results: Iterable[Result]) -> None:
        self.keep(result.to_dict() for result in results)

    def keep(self, rows: Iterable[dict[str, Any]]) -> None:
        """Keep each row, of the kind that the table holds, on disk as it comes."""
        for row in rows:
            self._any_used |= "error" not in row
            self.kept.add(row, resumable_table.mark(row["path"], self._how))

    def save(self) -> None:
        self.kept.merge(self._labels)

    def add(self, results: Iterable[Result]) -> None:
        self.write(results)
        self.save()

    def reported(self, names: Sequence[str], fresh: Sequence[Result]) -> Sequence[Result]:
        """Return results of this run and earlier ones; fresh ones have scores over time."""
        known = {result.path: result for result in fresh}
        return [known.get(result.path, result) for result in self.kept.results(names)]
