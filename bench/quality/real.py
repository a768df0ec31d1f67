"""What recognisers are evaluated on: one half of the real recordings in a folder of training material.

`real/` is split once, by recording: choose by the development half; the test half is for the table alone. Nothing is ever
trained on either. Each half gives: clips (labels of the manifest; an empty cell counts neither way); duets and ensembles
(two or three clips of different families and recordings, equally loud, summed); mixes (two to four, at 0 to -12 dB); and
what is none of the families: clips of other instruments, and noise and voices from the part of noise/ that training leaves
alone.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import combinations
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from recipe.notes import Clip
from whoplays.evaluation import metrics
from whoplays.taxonomy.catalogue import catalogue

FAMILY_IDS = catalogue().defaults

RATE = 32000
HALVES = ("development", "test")
#: Chosen once, among 300, so that each family has about as many positives in both halves.
SALT = 3
DUETS, ENSEMBLES, MIXES = 150, 100, 150
QUIETEST_DB = -12.0  # of the members of a mix
Array = NDArray[np.float32]
Figure = tuple[float, float, float]  # with the ends of its 95 % interval, NaN where it has none


@dataclass(frozen=True)
class Recording:
    """A real clip, or a sum of some: its samples at 32 kHz, the recordings it is from, its labels (NaN unknown), what plays."""

    path: str
    sources: tuple[str, ...]
    samples: Array
    targets: Array
    instrument: str = ""

    @cached_property
    def key(self) -> str:
        """A checksum of the samples."""
        return hashlib.sha256(self.samples.tobytes()).hexdigest()[:24]

    @property
    def solo(self) -> bool:
        """Whether one family, and no other, is known to play."""
        return bool(metrics.single(self.targets[None])[0])


@dataclass(frozen=True)
class Tasks:
    """The recordings of one half; see the module's text."""

    clips: list[Recording]
    duets: list[Recording]
    ensembles: list[Recording]
    mixes: list[Recording]
    silent: list[Recording]

    @classmethod
    def of(cls, data: Path, half: str) -> Tasks:
        """Return the tasks of a half."""
        clips = real_recordings(data, half)
        none = [clip for clip in clips if (clip.targets == 0).all()]
        return cls(clips, duets(clips), ensembles(clips), mixes(clips), [*none, *noises(data, half)])

    def named(self) -> dict[str, list[Recording]]:
        """Return the tasks by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def all(self) -> list[Recording]:
        """Return every recording of every task, once."""
        recordings = {recording.key: recording for part in self.named().values() for recording in part}
        return list(recordings.values())


def half_of(source: str) -> str:
    """Return the half of real/ that a recording belongs to."""
    return "test" if hashlib.sha256(f"{SALT}:{source}".encode()).digest()[0] & 1 else "development"


def _rows(data: Path, kind: str, half: str) -> Iterator[dict[str, str]]:
    with (data / "manifest.csv").open(newline="") as table:
        for row in csv.DictReader(table):
            if row["kind"] == kind and half_of(row["source"]) == half:
                yield row


def real_recordings(data: Path, half: str) -> list[Recording]:
    """Return the clips of one half of real/."""
    found = []
    for row in _rows(data, "real", half):
        targets = np.array([float(row[family]) if row[family] else np.nan for family in FAMILY_IDS], dtype=np.float32)
        samples, _ = soundfile.read(data / row["path"], dtype="float32")
        found.append(Recording(row["path"], (row["source"],), samples, targets, row["instrument"]))
    return found


def noises(data: Path, half: str) -> list[Recording]:
    """Return noises and voices that training leaves alone, half of them for each half."""
    found = []
    for row in _rows(data, "noise", half):
        clip = Clip(row["path"], row["kind"], row["instrument"], row["source"], "", None, 0, 0)
        if clip.held_out:
            samples, _ = soundfile.read(data / row["path"], dtype="float32")
            what = "voice" if "voice" in row["path"] else "noise"
            found.append(Recording(row["path"], (row["source"],), samples, np.zeros(5, dtype=np.float32), what))
    return found


def duets(recordings: Sequence[Recording], *, count: int = DUETS, seed: int = 0) -> list[Recording]:
    """Return sums of two clips, each with one known family, spread evenly over pairs of families."""
    return _sums(recordings, (2,), count, seed)


def ensembles(recordings: Sequence[Recording], *, count: int = ENSEMBLES, seed: int = 0) -> list[Recording]:
    """Return sums of three clips, likewise."""
    return _sums(recordings, (3,), count, seed)


def mixes(recordings: Sequence[Recording], *, count: int = MIXES, seed: int = 0) -> list[Recording]:
    """Return sums of two, three and four clips, one of them at 0 dB and the others anywhere down to `QUIETEST_DB`."""
    return _sums(recordings, (2, 3, 4), count, seed, quietest_db=QUIETEST_DB)


def _sums(
    recordings: Sequence[Recording], sizes: Sequence[int], count: int, seed: int, *, quietest_db: float = 0.0
) -> list[Recording]:
    rng = np.random.default_rng(seed)
    solo: dict[int, list[Recording]] = {}
    for recording in recordings:
        if recording.solo and np.abs(recording.samples).max() > 1e-3:
            solo.setdefault(int(recording.targets.argmax()), []).append(recording)
    choices = [list(combinations(sorted(solo), size)) for size in sizes]
    found = []
    for i in range(count):
        of_size = choices[i % len(sizes)]
        families = of_size[i // len(sizes) % len(of_size)]
        parts = [solo[family][rng.integers(len(solo[family]))] for family in families]
        n = int(np.clip(max(part.samples.size for part in parts), RATE, 10 * RATE))
        waves = [np.resize(part.samples, n) for part in parts]
        waves = [wave / (float(np.sqrt(np.mean(np.square(wave)))) or 1.0) for wave in waves]
        if quietest_db:
            levels = rng.uniform(quietest_db, 0.0, len(parts))
            levels[rng.integers(len(parts))] = 0.0
            waves = [wave * 10 ** (level / 20) for wave, level in zip(waves, levels, strict=True)]
        whole = np.sum(waves, axis=0)
        whole *= 0.5 / np.abs(whole).max()
        found.append(
            Recording(
                " + ".join(part.path for part in parts),
                tuple(part.sources[0] for part in parts),
                whole.astype(np.float32),
                np.max([part.targets for part in parts], axis=0),
                " + ".join(part.instrument for part in parts),
            )
        )
    return found
