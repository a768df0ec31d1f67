"""Before a run: which clips are wanted, and whether the ledger and the folder agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path

from .. import PlannedClip
from .causes import ClipUnavailable
from .fetch import file_of
from .ledger import NAME, Ledger
from .manifest import CLIP_FILE
from .measure import check, measure_file


def split_plan(
    clips: Sequence[PlannedClip], stand_ins: Sequence[PlannedClip], per_class: int | None
) -> tuple[list[PlannedClip], list[PlannedClip]]:
    """Return the wanted clips and the stand-ins, with at most `per_class` wanted of each class."""
    if per_class is None:
        return list(clips), list(stand_ins)
    seen: Counter[str] = Counter()
    wanted: list[PlannedClip] = []
    others: list[PlannedClip] = []
    for clip in clips:
        seen[clip.family] += 1
        (wanted if seen[clip.family] <= per_class else others).append(clip)
    return wanted, others + list(stand_ins)


def reconcile(ledger: Ledger, folder: Path, ending: str) -> int:
    """Make the ledger and the folder agree: a crash may have come between a file's last name and its row.

    Files without a row are measured, and taken in when they are right; rows whose file is gone wait again. Returns how
    many files were taken in.
    """
    there = {
        f"{place.name}/{entry.name}": entry.stat().st_size
        for place in folder.iterdir()
        if place.is_dir() and not place.is_symlink()
        for entry in place.iterdir()
        if CLIP_FILE.fullmatch(entry.name)
    }
    gone = [row["id"] for row in ledger.rows("done") if there.pop(row["file"], None) != row["bytes"]]
    ledger.wait_again(gone)
    adopted = 0
    for row in list(ledger.rows("waiting")) if there else ():
        clip = ledger.clip(row["id"])
        file = file_of(clip, ending)
        if file in there:
            try:
                found = measure_file(folder / file)
                check(found, (clip.end_ms - clip.start_ms) / 1000)
            except ClipUnavailable:
                continue  # fetched again, and replaced
            ledger.done(row["id"], file, found, "found in the folder")
            adopted += 1
    return adopted


def look_ahead(
    clips: Sequence[PlannedClip], stand_ins: Sequence[PlannedClip], folder: Path, retry: Collection[str]
) -> dict[str, Counter[str]]:
    """Return what a run would begin with: class -> state or cause -> clips. Nothing is written, and nobody is asked."""
    known: dict[tuple[str, int], str] = {}
    if (folder / NAME).exists():
        with closing(Ledger(folder, writable=False)) as ledger:
            for row in chain(ledger.rows("done"), ledger.rows("lost")):
                known[row["video_id"], row["start_ms"]] = row["cause"] if row["state"] == "lost" else row["state"]
    states: dict[str, Counter[str]] = {}
    for clip in [*clips, *stand_ins]:
        state = known.get((clip.video_id, clip.start_ms), "waiting")
        states.setdefault(clip.family, Counter())["waiting" if state in retry else state] += 1
    return states
