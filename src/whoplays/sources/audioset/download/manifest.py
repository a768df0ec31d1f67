"""manifest.csv: what was had, with checksums; and the check of a folder against it.

`whoplays dataset build` takes it as it is: `path` is relative to the manifest, `recording` is the video, and each class
has a column with 1 (plays), 0 (not labelled) or nothing (unknown: ambiguous, or not requested in the clip's plan).
"""

from __future__ import annotations

import csv
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ....errors import DownloadError
from ....storage.files import sha256_of, write_csv
from .causes import ClipUnavailable
from .measure import FORMATS, measure_file

NAME = "manifest.csv"
_FIRST = ("path", "recording", "family")
_LAST = (
    *("video_id", "start_s", "end_s", "audioset_labels"),
    *("sha256", "bytes", "duration_s", "sample_rate", "channels", "rms_dbfs", "peak_dbfs", "origin", "note"),
)
#: A clip's file, or one that was being written: nothing else in a folder is ever touched.
CLIP_FILE = re.compile(rf"[A-Za-z0-9_-]{{11}}_\d{{1,9}}\.(?:{'|'.join(FORMATS)})")
PART_FILE = re.compile(r"\..{1,100}\.[^.]{1,16}\.part")


def write_manifest(folder: Path, rows: Iterable[sqlite3.Row], classes: Iterable[str]) -> None:
    """Write the manifest of the ledger's done rows, atomically."""
    names = sorted(classes)
    write_csv(folder / NAME, (*_FIRST, *names, *_LAST), (_line(row, names) for row in rows))


def _line(row: sqlite3.Row, classes: list[str]) -> tuple[object, ...]:
    plays = set(row["families"].split(";"))
    without = set(row["among"].split(";")) - set(row["unsure"].split(";"))
    targets = ["1" if name in plays else "0" if name in without else "" for name in classes]
    return (
        *(row["file"], row["video_id"], row["family"], *targets),
        *(row["video_id"], f"{row['start_ms'] / 1000:.3f}", f"{row['end_ms'] / 1000:.3f}", row["labels"]),
        *(row["sha256"], row["bytes"], f"{row['duration_s']:.3f}", row["sample_rate"], row["channels"]),
        *(f"{row['rms_dbfs']:.2f}", f"{row['peak_dbfs']:.2f}", row["source"], row["detail"] or ""),
    )


@dataclass(frozen=True)
class Difference:
    """A file that is not as the manifest says."""

    path: str
    what: str


def verify(folder: Path) -> tuple[int, list[Difference]]:
    """Check every file against the manifest; return how many it lists, and the differences.

    Raises `DownloadError` when there is no manifest, or it is not one of ours.
    """
    listed: set[str] = set()
    differences: list[Difference] = []
    for row in _read(folder / NAME):
        path = row["path"] or ""
        listed.add(path)
        if what := _difference(folder, path, row):
            differences.append(Difference(path, what))
    for path in files(folder):
        if path not in listed:
            what = "left over from a download that was ended" if path.endswith(".part") else "is not in the manifest"
            differences.append(Difference(path, what))
    return len(listed), differences


def copies(folder: Path) -> list[list[str]]:
    """Return files that have the same checksum although they are of different videos: a list for each checksum.

    Raises `DownloadError` when there is no manifest, or it is not one of ours.
    """
    found: dict[str, dict[str, str]] = defaultdict(dict)  # checksum -> video -> file
    for row in _read(folder / NAME):
        found[row["sha256"] or ""].setdefault(row.get("video_id") or row["path"] or "", row["path"] or "")
    return [sorted(files.values()) for checksum, files in found.items() if checksum and len(files) > 1]


def _read(path: Path) -> Iterator[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if missing := {"path", "sha256", "bytes"} - set(reader.fieldnames or ()):
                raise DownloadError(
                    f"{path}: has no column {', '.join(sorted(missing))}; `audioset download` writes one"
                )
            yield from reader
    except FileNotFoundError:
        raise DownloadError(f"{path}: is not there; `whoplays audioset download` writes it") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DownloadError(f"{path}: cannot be read ({error})") from error


def _difference(folder: Path, name: str, row: dict[str, str]) -> str | None:
    """Return what is different about one file, or None."""
    if not re.fullmatch(r"[^/\\]+/[^/\\]+", name) or not CLIP_FILE.fullmatch(name.partition("/")[2]) or ".." in name:
        return "is no name of a clip; it is not looked at"
    path = folder / name
    try:
        if not path.is_file():
            return "is missing"
        if sha256_of(path) == row["sha256"]:
            return None
        size = path.stat().st_size
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    try:
        now = measure_file(path)
    except ClipUnavailable as lost:
        return f"has changed: {row['bytes']} bytes then, {size} now, and {lost.detail}"
    return (
        f"has changed: {row['bytes']} bytes, {row.get('duration_s')} s, {row.get('rms_dbfs')} dBFS then; "
        f"{size} bytes, {now.duration_s:.3f} s, {now.rms_dbfs:.2f} dBFS now"
    )


def files(folder: Path) -> Iterator[str]:
    """Yield the clips' files in the class folders, and what was being written anywhere, relative to the folder."""
    for place in [folder, *sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.is_symlink())]:
        for name in sorted(entry.name for entry in place.iterdir()):
            if PART_FILE.fullmatch(name) or (place != folder and CLIP_FILE.fullmatch(name)):
                yield (place / name).relative_to(folder).as_posix()


def remove_parts(folder: Path) -> int:
    """Remove what a killed download was writing; return how many files. Call it only as the folder's one writer."""
    found = [name for name in files(folder) if name.endswith(".part")]
    for name in found:
        (folder / name).unlink(missing_ok=True)
    return len(found)
