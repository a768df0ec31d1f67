"""The data set on disk, and its reader.

    dataset.json            settings, labels, counts, the shards with their checksums; written last, it makes the rest valid
    rows.csv                one line a row: split, path, start_s, duration_s, recording, labels, semitones
    skipped.csv            what was not used, and why
    damaged.csv             what was used though a part of it could not be decoded, if any
    training-00000.npy ...  features (rows, frames, width), float32, in the order of rows.csv

Shards are read memory-mapped, so a data set may be larger than memory; those of one in an object store are first brought
into a cache on this machine, when a split that they are part of is opened. A data set built with `shard_mb` has
training-00000.arrow ... instead, which tell of their rows themselves, and no rows.csv (format 2).
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import DatasetError, ModelError
from ..features import FeatureSettings
from ..runtime.processes import Engine
from ..storage.address import Place, place
from ..storage.cache import cached
from ..storage.files import sha256_of
from ..taxonomy.tree import Label, Tree
from . import readahead, shards
from .sources import SPLITS

FORMAT = 2
INDEX, ROWS, SKIPPED, DAMAGED = "dataset.json", "rows.csv", "skipped.csv", "damaged.csv"
MAX_FRAMES = 1 << 24
_FILE = re.compile(r"[A-Za-z0-9_-]{1,100}\.(npy|arrow)", re.ASCII)
ROW_HEADER = ("split", "path", "start_s", "duration_s", "recording", "labels", "semitones")


class Features:
    """Rows of several memory-mapped arrays (rows, frames, width) as one: `features[indices]` -> (n, frames, width)."""

    def __init__(self, paths: Sequence[Path], shape: tuple[int, ...]) -> None:
        """Map the files. Raises `DatasetError` when one is missing or of another shape."""
        self._maps = [part for path in paths for part in shards.kind_of(path).features(path, shape)]
        for part in self._maps:
            readahead.expect_any_order(part)
        self._ends = np.cumsum([len(part) for part in self._maps], dtype=np.int64)
        self._rows = np.arange(self._ends[-1] if len(self._maps) else 0)
        self.shape = (len(self._rows), *shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> NDArray[np.float32]:
        """Return rows by an integer, a slice, or an array of indices: float32, in memory."""
        if isinstance(rows, slice):
            rows = np.arange(len(self))[rows]
        indices = np.asarray(rows, dtype=np.int64)
        if indices.size and not (-len(self) <= indices.min() and indices.max() < len(self)):
            raise IndexError(f"row {int(indices.max())} of {len(self)}")
        flat = self._rows[indices].reshape(-1)
        out = np.empty((len(flat), *self.shape[1:]), dtype=np.float32)
        shard = np.searchsorted(self._ends, flat, side="right")
        for part in np.unique(shard):
            here = np.flatnonzero(shard == part)
            first = self._ends[part] - len(self._maps[part])
            readahead.copy_rows(self._maps[part], flat[here] - first, out, here)
        return out.reshape(*indices.shape, *self.shape[1:])

    def take(self, rows: NDArray[np.int64], axis: int = 0) -> Self:
        """Return these rows alone, which stay where they are. axis: 0, as in NumPy's `take`."""
        found = copy(self)
        found._rows = self._rows[rows]
        found.shape = (len(rows), *self.shape[1:])
        return found


@dataclass(frozen=True)
class Split:
    """One side of the data set; row i of each attribute belongs to the same example.

    features: `Features`, (n, frames, width). targets: (n, labels), 1 there, 0 not there, NaN not known. recordings: (n,),
    a number for each recording. semitones: (n,), how far the example was raised. paths: as the source named the files.
    starts: (n,), seconds into the file.
    """

    name: str
    features: Features
    targets: NDArray[np.float32]
    recordings: NDArray[np.int64]
    semitones: NDArray[np.float32]
    paths: tuple[str, ...]
    starts: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.features)

    def take(self, rows: NDArray[np.int64]) -> Split:
        """Return the split with these rows alone; their features stay on disk."""
        arrays = {name: getattr(self, name)[rows] for name in ("targets", "recordings", "semitones", "starts")}
        paths = tuple(self.paths[row] for row in rows)
        return replace(self, features=self.features.take(rows, 0), paths=paths, **arrays)


@dataclass(frozen=True)
class Dataset:
    """A data set that was built. `settings` are those of its features."""

    folder: Place
    settings: FeatureSettings
    labels: tuple[Label, ...]
    index: dict[str, Any]

    @classmethod
    def open(cls, folder: Place | str) -> Self:
        """Open a built data set. Raises `DatasetError` when there is none, or it is unfinished or of a newer format."""
        folder = place(folder)
        try:
            index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
            if isinstance(index, dict) and isinstance(index.get("format"), int) and index["format"] > FORMAT:
                raise DatasetError(f"{folder}: is of format {index['format']}; this whoplays reads up to {FORMAT}")
            settings = FeatureSettings.from_dict(index["features"])
            _check(index)
            labels = Tree(tuple(Label.from_dict(label) for label in index["labels"])).labels
            return cls(folder, settings, labels, index)
        except FileNotFoundError:
            raise DatasetError(
                f"{folder}: has no finished data set ({INDEX} is missing); run: whoplays dataset build RECORDINGS --out SET"
            ) from None
        except (OSError, ValueError, KeyError, TypeError, RecursionError, ModelError) as error:
            raise DatasetError(f"{folder / INDEX}: cannot be read ({error})") from None

    @property
    def frames(self) -> int:
        """Rows of one example's features."""
        return int(self.index["frames"])

    @cached_property
    def _listed(self) -> dict[str, list[dict[str, Any]]]:
        """The rows of rows.csv by split."""
        rows: dict[str, list[dict[str, Any]]] = {name: [] for name in SPLITS}
        try:
            with (self.folder / ROWS).open(encoding="utf-8", newline="") as file:
                for row in csv.DictReader(file):
                    rows[row["split"]].append({name: row[name] or "" for name in ROW_HEADER})
        except (OSError, ValueError, KeyError, csv.Error) as error:
            raise DatasetError(f"{self.folder / ROWS}: cannot be read ({error}); build the data set again") from None
        return rows

    def _rows(self, name: str, entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return what the rows of these shards are; of a format-2 data set, only those shards are read."""
        if self.index["format"] >= 2:
            arrow = shards.Arrow()
            return [row for entry in entries for row in arrow.rows(self._here(entry))]
        rows, found, at = self._listed[name], [], 0
        chosen = {entry["file"] for entry in entries}
        for entry in self.shards_of(name):
            if entry["file"] in chosen:
                found += rows[at : at + entry["rows"]]
            at += entry["rows"]
        if at != len(rows):
            raise DatasetError(f"{self.folder}: {ROWS} names {len(rows)} rows in {name}, its files hold {at}")
        return found

    def _here(self, entry: dict[str, Any]) -> Path:
        return cached(self.folder / entry["file"], entry["sha256"])

    def shards_of(self, name: str) -> list[dict[str, Any]]:
        """Return the index's entries for the shards of "training", "validation" or "test"."""
        return [entry for entry in self.index["shards"] if entry["split"] == name]

    def split(self, name: str, *, part: tuple[int, int] = (0, 1)) -> Split:
        """Return "training", "validation" or "test", or of it the shards of one machine of several.

        part: (number of the machine from 0, how many there are); a machine's shards are its own, and no two have the
        same. Raises `DatasetError` for another name or when files do not fit.
        """
        if name not in SPLITS:
            raise DatasetError(f"there is no split {name!r}; there are {', '.join(SPLITS)}")
        entries = self.shards_of(name)[part[0] :: part[1]]
        features = Features([self._here(entry) for entry in entries], (self.frames, self.settings.n_features))
        rows = self._rows(name, entries)
        if len(rows) != len(features):
            raise DatasetError(
                f"{self.folder}: {ROWS} names {len(rows)} rows in {name}, its files hold {len(features)}"
            )
        try:
            numbers = [(float(row["semitones"]), float(row["start_s"])) for row in rows]
        except (TypeError, ValueError) as error:
            raise DatasetError(f"{self.folder}: a row has no semitones or start ({error})") from None
        groups = {recording: i for i, recording in enumerate(dict.fromkeys(row["recording"] for row in rows))}
        return Split(
            name,
            features,
            np.array([_targets(row["labels"], self.labels) for row in rows], dtype=np.float32).reshape(
                -1, len(self.labels)
            ),
            np.array([groups[row["recording"]] for row in rows], dtype=np.int64),
            np.array([shift for shift, _ in numbers], dtype=np.float32),
            tuple(row["path"] for row in rows),
            np.array([start for _, start in numbers], dtype=np.float32),
        )

    def verify(self, engine: Engine | None = None) -> list[str]:
        """Return the names of shards that are missing or whose checksum is not the one in the index.

        engine: where they are read; here, without one.
        """
        entries = [(self.folder / entry["file"], entry["sha256"]) for entry in self.index["shards"]]
        found = engine.map(is_damaged, entries) if engine else enumerate(map(is_damaged, entries))
        return sorted(entries[number][0].name for number, damaged in found if damaged)


def is_damaged(entry: tuple[Place, str]) -> bool:
    """Tell whether a file is missing or has another checksum."""
    path, sha256 = entry
    return not path.is_file() or sha256_of(path) != sha256


def _targets(text: str, labels: Sequence[Label]) -> list[float]:
    named = set(text.split(";"))
    return [1.0 if label.id in named else float("nan") if label.id + "?" in named else 0.0 for label in labels]


def _check(index: Any) -> None:
    """Raise `ValueError`, saying what is wrong, for what is no data set's index.

    It says which files are mapped into memory, so it is looked through before any is.
    """
    _need(isinstance(index, Mapping), "it is no object")
    _need(type(index.get("format")) is int and index["format"] >= 1, "its format is no number")
    _need(type(index.get("frames")) is int and 1 <= index["frames"] <= MAX_FRAMES, "frames is no number of rows")
    _need(isinstance(index.get("features"), Mapping), "features are not settings")
    labels = index.get("labels")
    _need(
        isinstance(labels, list) and bool(labels) and all(map(_is_label, labels)),
        "its labels have no id, names and colour; build the data set again",
    )
    shards = index.get("shards")
    _need(isinstance(shards, list) and all(map(_is_shard, shards)), "shards are not files of a data set")
    for name in ("rows", "recordings"):
        fine = _are_counts(index.get(name)) and set(SPLITS) <= set(index[name])
        _need(fine, f"{name} is no number for each of {', '.join(SPLITS)}")
    clips = index.get("clips")
    _need(isinstance(clips, Mapping) and all(map(_are_counts, clips.values())), "clips are not numbers")
    remarks = index.get("remarks", [])
    _need(isinstance(remarks, list) and all(isinstance(remark, str) for remark in remarks), "remarks are not lines")


def _need(fine: bool, problem: str) -> None:
    if not fine:
        raise ValueError(problem)


def _is_label(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(value.get(name), str) for name in ("id", "en", "pl", "colour"))


def _is_shard(value: Any) -> bool:
    if not isinstance(value, Mapping) or value.get("split") not in SPLITS or not _is_count(value.get("rows")):
        return False
    named = isinstance(value.get("file"), str) and bool(_FILE.fullmatch(value["file"]))  # in the folder, nowhere else
    return named and isinstance(value.get("sha256"), str)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 48


def _are_counts(value: Any) -> bool:
    return isinstance(value, Mapping) and all(map(_is_count, value.values()))
