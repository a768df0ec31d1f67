"""Where recordings and their labels come from: a folder with a sub-folder per class, or a CSV manifest.

**Manifest columns.** `path` (relative to the manifest). Labels, the first of these that a row fills:

1. `labels`: ids joined by `;`
2. a column for each label id, holding 1, 0 or nothing (not known)
3. `family` (or `label`, `class`): one id; another word, or `other`, means none of the labels

An instrument that is there says that its family is; a family that is there without one says nothing about those below it.

`recording` says what was recorded together and must stay on one side of a split; without it `video_id`, then `source`,
then the rule on file names below. `start_s` and `duration_s` (or `end_s`) cut a part out of the file (not beside
`video_id`, where they speak of the video). `split` (training, validation, test) is taken as it is. `instrument`, where
the tree knows that name, decides about the tree's labels (taxonomy/labels.toml). Others are ignored, and may be used to
choose rows (`where`).

**File names.** `<11 characters>_<number>...` and names of exactly 11 characters are read as YouTube ids (AudioSet's
clips), the same recording wherever they lie. From any other name an ending such as `-part2`, `_seg03`, `.chunk 4` is cut
off; what is left, with its folders, is the recording.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from ..audio.search import search
from ..errors import DatasetError, counted
from ..storage.address import Place, join
from ..storage.files import explained
from ..taxonomy.catalogue import catalogue
from ..taxonomy.tree import Label, Tree

SPLITS = ("training", "validation", "test")
_YOUTUBE = re.compile(r"([A-Za-z0-9_-]{11})(?:[_-]\d+.*)?")
_PART = re.compile(r"[-_. ]+(?:part|seg|segment|chunk|clip|cut|excerpt)[-_. ]?\d+$", re.IGNORECASE)
_RECORDING_COLUMNS = ("recording", "video_id", "source")
_LABEL_COLUMNS = ("family", "label", "class")
MAX_FIELD = 1 << 20


@dataclass(frozen=True, slots=True)
class Clip:
    """Part of a file that becomes rows of a data set, what it was recorded with, and 1, 0 or None (not known) for each label.

    Plans hold millions of them, so what clips have in common (root, targets, split) is one object for all.
    """

    root: Place  # that the name is relative to
    name: str  # as the source names the file: relative, with /
    recording: str
    targets: tuple[int | None, ...]
    start: float = 0.0
    duration: float | None = None
    split: str | None = None
    group: str = ""  # of recordings that have the same content, where there are such

    @property
    def together(self) -> str:
        """What must stay on one side of a split: the group, or the recording."""
        return self.group or self.recording

    @property
    def path(self) -> Place:
        """The file, or the object in a store."""
        return join(self.root, self.name)

    @property
    def labels(self) -> tuple[int, ...]:
        """Indices of the labels that are known to be there."""
        return tuple(i for i, target in enumerate(self.targets) if target)


@dataclass(frozen=True)
class Skipped:
    """A file or row that was not used, and why."""

    name: str
    cause: str


def causes(skipped: Sequence[Skipped], most: int = 3) -> str:
    """Return why files were skipped, in one line: the most frequent causes, with counts and an example of each."""
    counts = Counter(item.cause for item in skipped)
    examples = {item.cause: item.name for item in reversed(skipped)}
    parts = [f"{count} x {cause} ({examples[cause]})" for cause, count in counts.most_common(most)]
    return f"skipped: {', '.join(parts)}" + (f" and {len(counts) - most} more causes" if len(counts) > most else "")


def recording_of(name: str) -> str:
    """Return what a file's name says of its recording (see the module's text)."""
    stem = PurePosixPath(name).stem
    if not stem:  # "." or "/": no file, which reading it will say
        return name
    if youtube := _YOUTUBE.fullmatch(stem):
        return youtube[1]
    return str(PurePosixPath(name).with_name(_PART.sub("", stem) or stem))


def read_source(
    source: Place,
    *,
    labels: Sequence[str] = (),
    parents: Sequence[str] = (),
    where: Sequence[str] = (),
    with_none: bool = False,
) -> tuple[tuple[Label, ...], list[Clip], list[Skipped]]:
    """Return the labels, the clips in a fixed order, and what was skipped, of a folder or a manifest.

    labels: ids to use and their order; none: the sub-folders, or what a manifest names.
    parents: "LABEL=FAMILY" for labels of one's own that are below a family; others of one's own are families.
    where: "column=value,value" or "column!=value,value", for manifests; all must hold.
    with_none: keep rows that are known to hold none of the labels. Raises `DatasetError`.
    """
    if source.is_dir():
        if where:
            raise DatasetError("--where chooses rows of a manifest; the source is a folder")
        return _read_folder(source, labels, parents)
    if source.is_file():
        return _read_manifest(source, labels, parents, where, with_none)
    raise DatasetError(f"{source}: no such folder or manifest")


def _tree(ids: Sequence[str], parents: Sequence[str]) -> Tree:
    """Return the labels of these ids, with what is said of their families."""
    above: dict[str, str] = {}
    for text in parents:
        label, equals, family = text.partition("=")
        if not equals or label not in ids or family not in ids:
            raise DatasetError(f"--parent {text!r}: write LABEL=FAMILY; the labels are {', '.join(ids)}")
        above[label] = family
    try:
        return Tree(catalogue().labels_for(ids, above))
    except ValueError as error:
        raise DatasetError(str(error)) from None


def _read_folder(
    source: Place, wanted: Sequence[str], parents: Sequence[str]
) -> tuple[tuple[Label, ...], list[Clip], list[Skipped]]:
    with explained(source, "entered", DatasetError):
        classes = sorted(p for p in source.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not classes:
        raise DatasetError(
            f"{source}: has no sub-folders; one per class is needed, named as the class, or a CSV manifest"
        )
    if missing := sorted(set(wanted) - {folder.name for folder in classes}):
        raise DatasetError(f"{source}: has no sub-folder {', '.join(missing)}")
    tree = _tree(tuple(wanted) or [folder.name for folder in classes], parents)
    clips: list[Clip] = []
    skipped: list[Skipped] = []
    for folder in (source / label_id for label_id in tree.ids):
        targets = tree.targets([folder.name])
        found = search(folder)
        for path in found.recordings:
            name = path.relative_to(source).as_posix()
            clips.append(Clip(source, name, recording_of(name), targets))
        skipped += [Skipped(path, cause) for path, cause in (*found.problems, *found.links)]
        if found.ignored:
            skipped.append(Skipped(folder.name, f"{counted(found.ignored, 'file')} in it ignored (not recordings)"))
        if not found.recordings:
            raise DatasetError("; ".join([*([causes(skipped)] if skipped else []), f"{folder}: has no recordings"]))
    return tree.labels, clips, skipped


def _read_manifest(
    manifest: Place, wanted: Sequence[str], parents: Sequence[str], where: Sequence[str], with_none: bool
) -> tuple[tuple[Label, ...], list[Clip], list[Skipped]]:
    columns = list(next(iter(_rows(manifest)), ()))
    if not columns:
        raise DatasetError(f"{manifest}: has no rows")
    if "path" not in columns:
        raise DatasetError(f"{manifest}: has no column 'path'; its columns are {', '.join(columns)[:200]}")
    if not {"labels", *_LABEL_COLUMNS, *catalogue().ids, *wanted} & set(columns):
        raise DatasetError(
            f"{manifest}: has no column that names labels: labels, family, label, class, or one for each label id"
        )
    conditions = [_condition(text, columns) for text in where]

    def kept() -> Iterator[tuple[int, dict[str, str]]]:
        """Read the table anew: a list of its rows would take more memory than anything that is made of them."""
        return ((n, row) for n, row in enumerate(_rows(manifest), 2) if all(holds(row) for holds in conditions))

    ids = tuple(wanted) or _ids_of((row for _, row in kept()), columns)
    tree = _tree(ids, parents)
    folder, known = manifest.parent, dict[Any, Any]()
    clips, skipped = [], []
    for number, row in kept():
        try:
            clip = _clip(folder, row, tree, known)
        except DatasetError as error:
            raise DatasetError(f"{manifest}, line {number}: {error}") from None
        if not any(clip.targets) and not (with_none and None not in clip.targets):
            skipped.append(Skipped(clip.name, "none of the labels"))
        else:
            clips.append(clip)
    return tree.labels, clips, skipped


def _rows(manifest: Place) -> Iterable[dict[str, str]]:
    csv.field_size_limit(MAX_FIELD)
    try:
        with explained(manifest, "read", DatasetError), manifest.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restkey="", restval="", strict=True)
            reader.fieldnames = [name.strip() for name in reader.fieldnames or []]
            for row in reader:
                if row.pop("", None):
                    raise DatasetError(f"{manifest}, line {reader.line_num}: has more fields than the header")
                yield row
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{manifest}: is not a CSV table in UTF-8 ({error})") from None


def _condition(text: str, columns: Sequence[str]) -> Callable[[dict[str, str]], bool]:
    match = re.fullmatch(r"([^=!]+)(!?=)(.*)", text)
    if not match or match[1] not in columns:
        raise DatasetError(
            f"--where {text!r}: write COLUMN=VALUE or COLUMN!=VALUE; the columns are {', '.join(columns)[:200]}"
        )
    column, equal, values = match[1], match[2] == "=", set(match[3].split(","))
    return lambda row: (row[column] in values) == equal


def _ids_of(rows: Iterable[dict[str, str]], columns: Sequence[str]) -> tuple[str, ...]:
    """Known labels that have a column, and every id that occurs: known ones in their order, then others, sorted."""
    known = catalogue()
    found = {column for column in columns if column in known}
    for row in rows:
        found |= {part.strip() for part in row.get("labels", "").split(";")}
        found |= {row.get(column, "").strip() for column in _LABEL_COLUMNS}
    found -= {"", "other"}
    return (*(label_id for label_id in known.ids if label_id in found), *sorted(found - set(known.ids)))


def _clip(folder: Place, row: dict[str, str], tree: Tree, known: dict[Any, Any]) -> Clip:
    """Return a row's clip. known: targets by what rows say, to be worked out once and shared."""
    name = row["path"].strip()
    if not name:
        raise DatasetError("its path is empty")
    recording = next((row[c].strip() for c in _RECORDING_COLUMNS if row.get(c, "").strip()), "") or recording_of(name)
    named = row.get("split", "").strip()
    if named not in ("", *SPLITS):
        raise DatasetError(f"split is {named!r}; {', '.join(SPLITS)} or nothing is possible")
    start, duration = (0.0, None) if "video_id" in row else _part(row)
    said = tuple(row.get(column, "").strip() for column in ("labels", *_LABEL_COLUMNS, "instrument", *tree.ids))
    if said not in known:
        targets = _targets(row, tree)
        known[said] = known.setdefault(targets, targets)
    targets = known[said]
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


def _targets(row: dict[str, str], tree: Tree) -> tuple[int | None, ...]:
    if named := row.get("labels", "").strip():
        found = {part.strip() for part in named.split(";")} - {"", "other"}
        if unknown := sorted(label for label in found if not _in_tree(label, tree)):
            raise DatasetError(f"label {', '.join(unknown)} is unknown; the labels are {', '.join(tree.ids)}")
        return tree.targets({one for label in found for one in _in_tree(label, tree)})
    cells = {label: row.get(label, "").strip() for label in tree.ids}
    if any(cells.values()):
        return _of_cells(cells, tree)
    family = next((row[c].strip() for c in _LABEL_COLUMNS if row.get(c, "").strip()), "")
    targets = tree.targets(_in_tree(family, tree), () if family else tree.ids)
    evidence = catalogue().of_sample(row.get("instrument", "").strip())
    if evidence is None:
        return targets
    said = tree.targets(evidence.present, evidence.ambiguous, evidence.absent)
    return tuple(
        said[i] if label in catalogue() else target
        for i, (label, target) in enumerate(zip(tree.ids, targets, strict=True))
    )


def _in_tree(label: str, tree: Tree) -> tuple[str, ...]:
    """Return the label, or for an instrument that is none of the labels its family, if that is one."""
    known = catalogue()
    above = known.ancestors(label) if label in known else ()
    return next(((one,) for one in (label, *above) if one in tree), ())


def _of_cells(cells: dict[str, str], tree: Tree) -> tuple[int | None, ...]:
    if bad := sorted(set(cells.values()) - {"0", "1", ""}):
        raise DatasetError(f"a label's cell holds {bad[0]!r}; 1, 0 or nothing is possible")
    present, absent, unknown = ({label for label in cells if cells[label] == value} for value in ("1", "0", ""))
    for label in present:
        for above in absent.intersection(tree.ancestors(label)):
            raise DatasetError(f"{label} is 1 and {above} 0, though it is one of them")
    return tree.targets(present, unknown, absent)
