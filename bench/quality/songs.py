"""Whole songs: for each, which families play, which are named, and which are named wrongly or missed.

    python -m bench songs DATA [MODEL]

DATA: a folder of training material with songs/ (songs.csv, stems.csv, activity files). MODEL: a model folder; without it,
the one in the package.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from bench.quality.real import FAMILY_IDS, RATE, Recording
from bench.quality.systems import Model, Output
from whoplays.evaluation.segments import FRAME_S, Timeline

ARGUMENTS = ("DATA",)
SMALL = "DATA"
CUTS_S = (30, 10)
#: A family that plays for less than this ratio of a cut is unknown in it.
LEAST_RATIO = 0.1
FAMILY_OF = {
    "drum-kit": "drums",
    "guitar-electric": "guitar",
    "guitar-acoustic": "guitar",
    "guitar": "guitar",
    "piano": "piano",
    "violin": "strings",
    "trumpet": "brass",
    "french-horn": "brass",
}


@dataclass(frozen=True)
class Song:
    """A song: the whole recording, and for each family whose times are known, whether it plays in each frame of 0.1 s."""

    recording: Recording
    instruments: tuple[str, ...]
    activity: Mapping[str, NDArray[np.bool_]]

    @property
    def fully_known(self) -> bool:
        """Whether it is known of every family whether it plays."""
        return not np.isnan(self.recording.targets).any()

    def timeline(self) -> Timeline:
        """Return when each family plays whose times are known; see `whoplays.evaluation.segments`."""
        return {family: intervals(active) for family, active in self.activity.items()}

    def part(self, start_s: float, end_s: float) -> Recording:
        """Return the part from `start_s` to `end_s` seconds, with the labels of what plays in it.

        A family of the song whose times are unknown, or that plays in the part for less than `LEAST_RATIO` of it, is
        unknown there.
        """
        whole = self.recording
        if start_s <= 0 and round(end_s * RATE) >= whole.samples.size:
            return whole
        targets = whole.targets.copy()
        for i, family in enumerate(FAMILY_IDS):
            if targets[i] != 1:
                continue
            active = self.activity.get(family, np.zeros(0, dtype=bool))
            inside = active[round(start_s / FRAME_S) : round(end_s / FRAME_S)]
            if len(inside) == 0 or 0 < inside.mean() < LEAST_RATIO:
                targets[i] = np.nan
            else:
                targets[i] = float(inside.any())
        samples = whole.samples[round(start_s * RATE) : round(end_s * RATE)]
        return replace(whole, path=f"{whole.path} {start_s:g}-{end_s:g} s", samples=samples, targets=targets)

    def cuts(self, length_s: float) -> list[Recording]:
        """Return parts of `length_s` seconds one after the other; what is left at the end counts from half of it on."""
        duration = self.recording.samples.size / RATE
        n = max(1, int(duration / length_s + 0.5))
        ends = [*(length_s * np.arange(1, n)), min(duration, length_s * n)]
        return [self.part(length_s * i, end) for i, end in enumerate(ends)]

    def halves(self) -> list[Recording]:
        """Return the first and the second half."""
        duration = self.recording.samples.size / RATE
        middle = round(duration / 2, 1)
        return [self.part(0, middle), self.part(middle, duration)]

    def twice(self) -> Recording:
        """Return the song, followed by itself."""
        whole = self.recording
        return replace(whole, path=f"{whole.path} twice", samples=np.tile(whole.samples, 2))


def intervals(active: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return (n, 2): where runs of active frames of `FRAME_S` begin and end, in seconds."""
    steps = np.diff(np.concatenate([[0], active.astype(int), [0]]))
    return np.asarray(FRAME_S * np.column_stack([np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)]), np.float64)


def songs(data: Path) -> list[Song]:
    """Return all songs of songs/songs.csv."""
    return [
        Song(
            recording(data, row),
            tuple(row["instruments"].split(";")),
            _activity(data / row["activity"], row) if row["activity"] else {},
        )
        for row in _rows(data, "songs.csv")
    ]


def stems(data: Path) -> list[Recording]:
    """Return ten seconds of each instrument of the songs alone."""
    return [recording(data, row) for row in _rows(data, "stems.csv")]


def _rows(data: Path, table: str) -> list[dict[str, str]]:
    path = data / "songs" / table
    if not path.exists():
        sys.exit(f"{path} is missing; give a folder of training material with songs/")
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def recording(data: Path, row: Mapping[str, str]) -> Recording:
    """Return the recording of a row of songs.csv or stems.csv; its source is the song it is from."""
    samples, rate = soundfile.read(data / row["path"], dtype="float32")
    assert rate == RATE and samples.ndim == 1, row["path"]
    targets = np.array([float(row[family]) if row[family] else np.nan for family in FAMILY_IDS], dtype=np.float32)
    return Recording(row["path"], (song_of(row["path"]),), samples, targets, row["instruments"])


def song_of(path: str) -> str:
    """Return the name of the song that a recording or a stem is from; excerpts of one song, or one player, are one."""
    name = Path(path).stem
    name = re.sub(r"-p\d+-v\d+$|-lick_\d+$", "", name)
    return re.sub(r"-(drum-kit|bass|guitar-\w+|voice)(-s\d+)?$", "", name) if "/stems/" in path else name


def _activity(path: Path, row: Mapping[str, str]) -> dict[str, NDArray[np.bool_]]:
    """Return, for each family that is known, whether it plays in each frame."""
    table = np.genfromtxt(path, delimiter=",", names=True, deletechars="")
    active = {family: np.zeros(len(table), dtype=bool) for family in FAMILY_IDS if row[family] == "0"}
    for instrument in (table.dtype.names or ())[1:]:
        if family := FAMILY_OF.get(instrument):
            active[family] = active.get(family, np.zeros(len(table), dtype=bool)) | (table[instrument] == 1)
    return active


def song_lines(found: Sequence[Song], outputs: Sequence[Output]) -> list[str]:
    """Return a line for each song: what plays, what is named, what may play, what of that is wrong, what is missed."""
    rows = [("song", "plays", "named", "maybe", "wrong", "missed")]
    for song, output in zip(found, outputs, strict=True):
        targets = song.recording.targets
        rows.append(
            (
                Path(song.recording.path).stem + ("" if song.fully_known else " *"),
                _names(targets == 1),
                _names(output.named),
                _names(output.maybe),
                _names(output.named & (targets == 0)),
                _names(~output.named & (targets == 1)),
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [*lines, "* not known of every family whether it plays; what is not known is neither wrong nor missed"]


def _names(families: NDArray[np.bool_]) -> str:
    return ", ".join(family for family, one in zip(FAMILY_IDS, families, strict=True) if one) or "-"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path, help="folder of training material with songs/")
    parser.add_argument("model", type=Path, nargs="?", help="model folder; without it, the one in the package")
    args = parser.parse_args()
    found, model = songs(args.data), Model(args.model)
    print(model.name)
    print(*song_lines(found, model.outputs([song.recording for song in found])), sep="\n")


if __name__ == "__main__":
    main()
