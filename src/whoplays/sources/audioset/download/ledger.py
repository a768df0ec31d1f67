"""The ledger: what is known of every clip, in SQLite, so that a download can be killed at any moment and goes on.

One row for each clip of the plan. A clip is *waiting*, *done* (its file is there, whole and measured) or *lost* (with
its cause). A row is written after the file has its final name: a crash between the two leaves a file that is measured
again at the next start, never a row without a file.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ....errors import DownloadError, UsageError
from ....taxonomy.catalogue import catalogue
from .. import PlannedClip
from .causes import ClipUnavailable
from .measure import Measured

NAME = "ledger.sqlite"
_FORMAT = "1"
_SCHEMA = """
create table if not exists facts (name text primary key, value text not null);
create table if not exists clips (
    id integer primary key,
    video_id text not null, start_ms integer not null, end_ms integer not null,
    family text not null, labels text not null, families text not null, unsure text not null, among text not null,
    rank integer not null,
    planned integer not null, wanted integer not null,
    state text not null default 'waiting', cause text, detail text, attempts integer not null default 0,
    file text, sha256 text, bytes integer, duration_s real, sample_rate integer, channels integer,
    rms_dbfs real, peak_dbfs real, source text, at text,
    unique (video_id, start_ms)
);
create index if not exists by_class on clips (family, state, rank);
"""
_PLAN = """
insert into clips (video_id, start_ms, end_ms, family, labels, families, unsure, among, rank, planned, wanted)
values (?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?)
on conflict (video_id, start_ms) do update set
    labels = excluded.labels, families = excluded.families, unsure = excluded.unsure, among = excluded.among,
    rank = excluded.rank, planned = 1, wanted = excluded.wanted,
    family = case state when 'done' then family else excluded.family end,
    end_ms = case state when 'done' then end_ms else excluded.end_ms end
where planned = 0
"""


class Ledger:
    """The ledger of a folder. Used from one thread. Raises `DownloadError` when the disk or the file gives out."""

    def __init__(self, folder: Path, *, writable: bool = True) -> None:
        """Open the ledger of `folder`, and make it if it is not there; not `writable` only reads one that is there."""
        self.path = folder / NAME
        try:
            if writable:
                self._db = sqlite3.connect(self.path, isolation_level=None, timeout=10)
                self._db.execute("pragma journal_mode = wal")
                self._db.execute("pragma synchronous = normal")
                self._db.executescript(_SCHEMA)
            else:
                # A ledger that nobody has open is read without the helper files that SQLite makes otherwise.
                how = "mode=ro" if self.path.with_name(f"{NAME}-wal").exists() else "immutable=1"
                self._db = sqlite3.connect(f"{self.path.resolve().as_uri()}?{how}", uri=True, timeout=10)
            self._db.row_factory = sqlite3.Row
            if self._fact("ledger", _FORMAT if writable else None) not in (_FORMAT, None):
                raise DownloadError(f"{self.path}: was written by a newer whoplays; update it, or use another folder")
        except sqlite3.Error as error:
            raise self._broken(error) from error

    def close(self) -> None:
        """Close it; what was recorded stays recorded without that too."""
        self._db.close()

    def _broken(self, error: sqlite3.Error) -> DownloadError:
        return DownloadError(
            f"{self.path}: the ledger cannot be used ({error}); free some space, or use another folder"
        )

    def _do(self, statement: str, values: Iterable[object] = ()) -> sqlite3.Cursor:
        try:
            return self._db.execute(statement, tuple(values))
        except sqlite3.Error as error:
            raise self._broken(error) from error

    def _fact(self, name: str, value: str | None) -> str | None:
        """Return what the ledger holds under `name`; record `value` there if it holds nothing."""
        if value is not None:
            self._do("insert or ignore into facts values (?, ?)", (name, value))
        row = self._do("select value from facts where name = ?", (name,)).fetchone()
        return row["value"] if row else None

    def agree(self, facts: Mapping[str, object]) -> None:
        """Record how files are made here, or raise `UsageError` when the folder was begun in another way."""
        for name, value in facts.items():
            held = self._fact(name, str(value))
            if held != str(value):
                raise UsageError(
                    f"{self.path.parent}: was begun with --{name} {held}; go on with it, or use another folder"
                )

    def plan(self, clips: Sequence[PlannedClip], stand_ins: Sequence[PlannedClip]) -> None:
        """Take in a plan: new clips wait, known ones keep their state. Clips of earlier plans are left alone.

        Each clip keeps among which classes it was considered: those of its plan, and the families too if it carries
        AudioSet's labels, as `audioset plan` writes them. Of other classes it says nothing.
        """
        classes = {clip.family for group in (clips, stand_ins) for clip in group}
        considered = {False: ";".join(sorted(classes)), True: ";".join(sorted(classes | set(catalogue().defaults)))}
        try:
            with self._db:
                self._db.execute("begin")
                self._db.execute("update clips set planned = 0, wanted = 0")
                for wanted, group in ((1, clips), (0, stand_ins)):
                    for clip in group:
                        lists = map(";".join, (clip.labels, clip.families, clip.unsure))
                        row = (clip.video_id, clip.start_ms, clip.end_ms, clip.family, *lists)
                        self._db.execute(_PLAN, (*row, considered[bool(clip.labels)], clip.rank, wanted))
        except sqlite3.Error as error:
            raise self._broken(error) from error

    def wanted(self) -> dict[str, int]:
        """Return how many clips of each class the plan asks for."""
        rows = self._do("select family, sum(wanted) from clips where planned group by family order by family")
        return {row[0]: int(row[1]) for row in rows}

    def states(self) -> dict[str, Counter[str]]:
        """Return, for each class of the plan, how many clips are in each state; lost ones under their cause."""
        found: dict[str, Counter[str]] = {}
        rows = self._do(
            "select family, state, cause, count(*) from clips where planned"
            " group by family, state, cause order by family"
        )
        for family, state, cause, count in rows:
            found.setdefault(family, Counter())[cause if state == "lost" else state] += count
        return found

    def waiting(self, family: str) -> list[int]:
        """Return the ids of the class's clips that wait, the wanted ones first."""
        rows = self._do(
            "select id from clips where planned and family = ? and state = 'waiting' order by wanted desc, rank, id",
            (family,),
        )
        return [row[0] for row in rows]

    def clip(self, clip_id: int) -> PlannedClip:
        """Return the clip of an id."""
        row = self._do("select * from clips where id = ?", (clip_id,)).fetchone()
        values = {name: row[name] for name in ("video_id", "start_ms", "end_ms", "family", "rank")}
        return PlannedClip(**values | {name: _split(row[name]) for name in ("labels", "families", "unsure")})

    def done(self, clip_id: int, file: str, found: Measured, source: str, note: str = "") -> None:
        """Record a clip whose file is there. note: what is to be said of it."""
        self._do(
            "update clips set state = 'done', cause = null, detail = ?, attempts = attempts + 1, file = ?,"
            " sha256 = ?, bytes = ?, duration_s = ?, sample_rate = ?, channels = ?, rms_dbfs = ?, peak_dbfs = ?,"
            " source = ?, at = ? where id = ?",
            (
                *(note or None, file, found.sha256, found.bytes, found.duration_s, found.sample_rate, found.channels),
                *(found.rms_dbfs, found.peak_dbfs, source, _now(), clip_id),
            ),
        )

    def failed(self, clip_id: int, lost: ClipUnavailable, *, final: bool) -> None:
        """Record an attempt that failed; when `final`, the clip is lost."""
        self._do(
            "update clips set state = ?, cause = ?, detail = ?, attempts = attempts + 1, at = ? where id = ?",
            ("lost" if final else "waiting", lost.cause, lost.detail, _now(), clip_id),
        )

    def wait_again(self, clip_ids: Iterable[int]) -> None:
        """Put clips back among those that wait."""
        for clip_id in clip_ids:
            self._do("update clips set state = 'waiting' where id = ?", (clip_id,))

    def retry(self, causes: Iterable[str]) -> int:
        """Let the clips wait again that were lost by one of `causes`; return how many."""
        return sum(
            self._do(
                "update clips set state = 'waiting' where planned and state = 'lost' and cause = ?", (cause,)
            ).rowcount
            for cause in set(causes)
        )

    def classes(self) -> list[str]:
        """Return every class that a clip in the ledger was chosen for."""
        return [row[0] for row in self._do("select distinct family from clips order by family")]

    def rows(self, state: str) -> Iterator[sqlite3.Row]:
        """Yield the rows of all clips in a state, class by class in order of rank."""
        return iter(self._do("select * from clips where state = ? order by family, rank, id", (state,)))


def _split(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(";") if part)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
