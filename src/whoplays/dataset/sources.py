"""Where recordings and their labels come from: a folder with a sub-folder per class, or a CSV manifest.

**Manifest columns.** `path` (relative to the manifest). Labels, the first of these that a row fills:

1. `labels`: ids joined by `;`
2. a column for each label id, holding 1, 0 or nothing (not known)
3. `family` (or `label`, `class`): one id; another word, or `other`, means none of the labels

`recording` says what was recorded together and must stay on one side of a split; without it `video_id`, then `source`,
then the rule on file names below. `start_s` and `duration_s` (or `end_s`) cut a part out of the file (not beside
`video_id`, where they speak of the video). `split` (training, validation, test) is taken as it is. `instrument`, where
there is one, is held against `labels.INSTRUMENT_RULES`. Others are ignored, and may be used to choose rows (`where`).

**File names.** `<11 characters>_<number>...` and names of exactly 11 characters are read as YouTube ids (AudioSet's
clips), the same recording wherever they lie. From any other name an ending such as `-part2`, `_seg03`, `.chunk 4` is cut
off; what is left, with its folders, is the recording.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from ..audio import reading
from ..errors import DatasetError
from ..storage.address import Place, join
from ..taxonomy.labels import FAMILY_IDS, INSTRUMENT_RULES, Label, label_for

SPLITS = ("training", "validation", "test")
_YOUTUBE = re.compile(r"([A-Za-z0-9_-]{11})(?:[_-]\d+.*)?")
_PART = re.compile(r"[-_. ]+(?:part|seg|segment|chunk|clip|cut|excerpt)[-_. ]?\d+$", re.IGNORECASE)
_RECORDING_COLUMNS = ("recording", "video_id", "source")
_FAMILY_COLUMNS = ("family", "label", "class")
MAX_FIELD = 1 << 20


@dataclass(frozen=True, slots=True)
class Clip:
    """One row to be: a part of a file, what it was recorded with, and 1, 0 or None (not known) for each label.

    Plans hold millions of them, so what clips have in common (root, targets, split) is one object for all.
    """

    root: Place  # that the name is relative to
    name: str  # as the source names the file: relative, with /
    recording: str
    targets: tuple[int | None, ...]
    start: float = 0.0
    duration: float | None = None
    split: str | None = None

    @property
    def path(self) -> Place:
        """The file, or the object in a store."""
        return join(self.root, self.name)

    @property
    def labels(self) -> tuple[int, ...]:
        """Indices of the labels that are known to be there."""
        return tuple(i for i, target in enumerate(self.targets) if target)


@dataclass(frozen=True)
class LeftOut:
    """A file or row that was not used, and why."""

    name: str
    cause: str


def recording_of(name: str) -> str:
    """Return what a file's name tells of its recording (see the module's text)."""
    stem = PurePosixPath(name).stem
    if not stem:  # "." or "/": no file, which reading it will say
        return name
    if youtube := _YOUTUBE.fullmatch(stem):
        return youtube[1]
    return str(PurePosixPath(name).with_name(_PART.sub("", stem) or stem))


def read_source(
    source: Place, *, labels: Sequence[str] = (), where: Sequence[str] = (), with_none: bool = False
) -> tuple[tuple[Label, ...], list[Clip], list[LeftOut]]:
    """Return the labels, the clips in a fixed order, and what was left out, of a folder or a manifest.

    labels: ids to use and their order; none: the sub-folders, or the five families and what else a manifest names.
    where: "column=value,value" or "column!=value,value", for manifests; all must hold.
    with_none: keep rows that are known to hold none of the labels. Raises `DatasetError`.
    """
    if source.is_dir():
        if where:
            raise DatasetError("--where chooses rows of a manifest; the source is a folder")
        return _read_folder(source, labels)
    if source.is_file():
        return _read_manifest(source, labels, where, with_none)
    raise DatasetError(f"{source}: no such folder or manifest")


def _read_folder(source: Place, wanted: Sequence[str]) -> tuple[tuple[Label, ...], list[Clip], list[LeftOut]]:
    classes = sorted(p for p in source.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not classes:
        raise DatasetError(
            f"{source}: has no sub-folders; one per class is needed, named as the class, or a CSV manifest"
        )
    if missing := sorted(set(wanted) - {folder.name for folder in classes}):
        raise DatasetError(f"{source}: has no sub-folder {', '.join(missing)}")
    if wanted:
        classes = [source / name for name in wanted]
    clips: list[Clip] = []
    for i, folder in enumerate(classes):
        targets = tuple(int(j == i) for j in range(len(classes)))
        found = reading.find_recordings(folder)
        if not found:
            raise DatasetError(f"{folder}: has no recordings ({', '.join(sorted(reading.EXTENSIONS)[:6])} ...)")
        for path in found:
            name = path.relative_to(source).as_posix()  # type: ignore[arg-type]
            clips.append(Clip(source, name, recording_of(name), targets))
    return tuple(label_for(folder.name) for folder in classes), clips, []


def _read_manifest(
    manifest: Place, wanted: Sequence[str], where: Sequence[str], with_none: bool
) -> tuple[tuple[Label, ...], list[Clip], list[LeftOut]]:
    columns = list(next(iter(_rows(manifest)), ()))
    if not columns:
        raise DatasetError(f"{manifest}: has no rows")
    if "path" not in columns:
        raise DatasetError(f"{manifest}: has no column 'path'; its columns are {', '.join(columns)[:200]}")
    if not {"labels", *_FAMILY_COLUMNS, *FAMILY_IDS, *wanted} & set(columns):
        raise DatasetError(
            f"{manifest}: has no column that names labels: labels, family, label, class, or one for each label id"
        )
    conditions = [_condition(text, columns) for text in where]

    def kept() -> Iterator[tuple[int, dict[str, str]]]:
        """Read the table anew: a list of its rows would take more memory than anything that is made of them."""
        return ((n, row) for n, row in enumerate(_rows(manifest), 2) if all(holds(row) for holds in conditions))

    ids = tuple(wanted) or _ids_of((row for _, row in kept()), columns)
    labels = tuple(label_for(i) for i in ids)
    folder, known = manifest.parent, dict[Any, Any]()
    clips, left_out = [], []
    for number, row in kept():
        try:
            clip = _clip(folder, row, ids, known)
        except DatasetError as error:
            raise DatasetError(f"{manifest}, line {number}: {error}") from None
        if not any(clip.targets) and not (with_none and None not in clip.targets):
            left_out.append(LeftOut(clip.name, "none of the labels"))
        else:
            clips.append(clip)
    return labels, clips, left_out


def _rows(manifest: Place) -> Iterable[dict[str, str]]:
    csv.field_size_limit(MAX_FIELD)
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restkey="", restval="", strict=True)
            reader.fieldnames = [name.strip() for name in reader.fieldnames or []]
            for row in reader:
                if row.pop("", None):
                    raise DatasetError(f"{manifest}, line {reader.line_num}: has more fields than the header")
                yield row
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{manifest}: is not a CSV table in UTF-8 ({error})") from None
    except OSError as error:
        raise DatasetError(f"{manifest}: cannot be read ({error.strerror or error})") from None


def _condition(text: str, columns: Sequence[str]):
    match = re.fullmatch(r"([^=!]+)(!?=)(.*)", text)
    if not match or match[1] not in columns:
        raise DatasetError(
            f"--where {text!r}: write COLUMN=VALUE or COLUMN!=VALUE; the columns are {', '.join(columns)[:200]}"
        )
    column, equal, values = match[1], match[2] == "=", set(match[3].split(","))
    return lambda row: (row[column] in values) == equal


def _ids_of(rows: Iterable[dict[str, str]], columns: Sequence[str]) -> tuple[str, ...]:
    """The five families where the table uses their names; otherwise every id that occurs, sorted."""
    if set(FAMILY_IDS) <= set(columns):
        return FAMILY_IDS
    found: set[str] = set()
    for row in rows:
        found |= {part.strip() for part in row.get("labels", "").split(";")}
        found |= {row.get(column, "").strip() for column in _FAMILY_COLUMNS}
    found -= {"", "other"}
    return FAMILY_IDS if found and found <= set(FAMILY_IDS) else tuple(sorted(found))


def _clip(folder: Place, row: dict[str, str], ids: tuple[str, ...], known: dict[Any, Any]) -> Clip:
    """Return a row's clip. known: targets that other clips have, to be shared."""
    name = row["path"].strip()
    if not name:
        raise DatasetError("its path is empty")
    recording = next((row[c].strip() for c in _RECORDING_COLUMNS if row.get(c, "").strip()), "") or recording_of(name)
    named = row.get("split", "").strip()
    if named not in ("", *SPLITS):
        raise DatasetError(f"split is {named!r}; {', '.join(SPLITS)} or nothing is possible")
    start, duration = (0.0, None) if "video_id" in row else _part(row)
    targets = _targets(row, ids)
    targets = known.setdefault(targets, targets)
    split = next((split for split in SPLITS if split == named), None)
    return Clip(folder, name, recording, targets, start, duration, split)


def _part(row: dict[str, str]) -> tuple[float, float | None]:
    start, end, duration = (_seconds(row, column) for column in ("start_s", "end_s", "duration_s"))
    if duration is None and end is not None:
        duration = end - (start or 0.0)
    if duration is not None and duration <= 0:
        raise DatasetError(f"the part lasts {duration:g} s")
    return start or 0.0, duration


def _seconds(row: dict[str, str], column: str) -> float | None:
    text = row.get(column, "").strip()
    try:
        value = float(text) if text else None
    except ValueError:
        value = float("nan")
    if value is not None and not 0 <= value < 1e9:
        raise DatasetError(f"{column} is {text!r}; seconds are needed")
    return value


def _targets(row: dict[str, str], ids: tuple[str, ...]) -> tuple[int | None, ...]:
    if named := row.get("labels", "").strip():
        found = {part.strip() for part in named.split(";")} - {"", "other"}
        if unknown := sorted(found - set(ids)):
            raise DatasetError(f"label {', '.join(unknown)} is unknown; the labels are {', '.join(ids)}")
        return tuple(int(i in found) for i in ids)
    cells = [row.get(i, "").strip() for i in ids]
    if any(cells):
        if bad := sorted(set(cells) - {"0", "1", ""}):
            raise DatasetError(f"a label's cell holds {bad[0]!r}; 1, 0 or nothing is possible")
        return tuple(int(cell) if cell else None for cell in cells)
    family = next((row[c].strip() for c in _FAMILY_COLUMNS if row.get(c, "").strip()), "")
    known = {i: int(i == family) for i in ids} if family else dict.fromkeys(ids)
    known |= {i: value for i, value in INSTRUMENT_RULES.get(row.get("instrument", ""), {}).items() if i in known}
    return tuple(known[i] for i in ids)
