"""PLAN.csv and the stand-ins beside it: written by `plan`, read by `download`, made to be edited by hand.

Columns: video_id, start_s, end_s, family, labels (AudioSet ids joined by `;`), families, unsure, rank. The first four
are enough in a plan of your own. Stand-ins for PLAN.csv are in PLAN.reserve.csv.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from ...errors import DownloadError
from ...storage.files import explained, together, write_csv
from .classes import CLASS_ID
from .lists import LABEL_ID, VIDEO_ID, Malformed, seconds
from .plan import Plan, PlannedClip

COLUMNS = ("video_id", "start_s", "end_s", "family", "labels", "families", "unsure", "rank")
_NEEDED = COLUMNS[:4]
MAX_CLIP_S = 600  # a clip is held in memory while it is fetched


def reserve_path(plan: Path) -> Path:
    """Return where the stand-ins of a plan are: `piano.csv` -> `piano.reserve.csv`."""
    return plan.with_name(f"{plan.stem}.reserve{plan.suffix}")


def write_plan(path: Path, plan: Plan) -> None:
    """Write the plan, and its stand-ins beside it. Stand-ins of an earlier plan of that name go when there are none."""
    reserve = reserve_path(path)
    with together():
        write_csv(path, COLUMNS, map(_row, plan.clips))
        if plan.stand_ins:
            write_csv(reserve, COLUMNS, map(_row, plan.stand_ins))
        # Both are written, and not yet in place. A plan must never be seen with the stand-ins of another.
        reserve.unlink(missing_ok=True)


def _row(clip: PlannedClip) -> tuple[object, ...]:
    times = (f"{ms / 1000:.3f}" for ms in (clip.start_ms, clip.end_ms))
    return clip.video_id, *times, clip.family, *map(";".join, (clip.labels, clip.families, clip.unsure)), clip.rank


def read_plan(path: Path) -> tuple[list[PlannedClip], list[Malformed]]:
    """Return the clips of a plan and the rows that cannot be used, with their causes.

    Raises `DownloadError` when the file cannot be read, lacks a column, or holds no row that can be used.
    """
    clips: list[PlannedClip] = []
    malformed: list[Malformed] = []
    for line, row in _rows(path):
        try:
            clips.append(_clip(row, rank=len(clips) + 1))
        except ValueError as error:
            malformed.append(Malformed(line, str(error), ",".join(value or "" for value in row.values())[:80]))
    if not clips:
        cause = f"line {malformed[0].line}: {malformed[0].cause}" if malformed else "it holds no rows"
        raise DownloadError(f"{path}: no clip to fetch ({cause})")
    return clips, malformed


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str | None]]]:
    try:
        with (
            explained(path, "read", DownloadError),
            path.open(encoding="utf-8-sig", errors="replace", newline="") as file,
        ):
            reader = csv.DictReader(file, restkey="", restval="", strict=False)
            columns = [column.strip() for column in reader.fieldnames or () if column is not None]
            missing = [column for column in _NEEDED if column not in columns]
            if missing:
                raise DownloadError(
                    f"{path}: has no column {', '.join(missing)}; `whoplays audioset plan` writes such a file"
                )
            reader.fieldnames = columns
            for row in reader:
                row.pop("", None)
                yield reader.line_num, row
    except csv.Error as error:
        raise DownloadError(f"{path}: is not a CSV table that can be read ({error})") from error


def _clip(row: dict[str, str | None], rank: int) -> PlannedClip:
    """Return the clip of one row. Raises `ValueError` for whatever is not exactly as it should be."""
    values = {column: (row.get(column) or "").strip() for column in COLUMNS}
    if not VIDEO_ID.fullmatch(values["video_id"]):
        raise ValueError("the video id is not eleven of A-Z a-z 0-9 _ -")
    start, end = (round(1000 * seconds(values[column], column)) for column in ("start_s", "end_s"))
    if end <= start:
        raise ValueError("end_s is not after start_s")
    if end - start > 1000 * MAX_CLIP_S:
        raise ValueError(f"the clip is longer than {MAX_CLIP_S} s")
    family = _class(values["family"], "family")
    labels = _list(values["labels"])
    if not all(LABEL_ID.fullmatch(label) for label in labels):
        raise ValueError("a label is not of the form /m/04szw")
    families = tuple(_class(name, "families") for name in _list(values["families"])) or (family,)
    unsure = tuple(_class(name, "unsure") for name in _list(values["unsure"]))
    if values["rank"]:
        if not re.fullmatch(r"[1-9]\d{0,9}", values["rank"], re.ASCII):
            raise ValueError("rank is not a whole number from 1")
        rank = int(values["rank"])
    return PlannedClip(values["video_id"], start, end, family, labels, families, unsure, rank)


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(";") if part.strip())


def _class(text: str, column: str) -> str:
    if not CLASS_ID.fullmatch(text):
        raise ValueError(f"{column} is not a name of lower-case letters, digits, - and _")
    return text
