"""Other recognisers, as systems to evaluate: the teachers of `recipe.teachers`, each alone and all of them together.

Peers bring no thresholds, and logits of different levels. Each is calibrated (a scale and a bias for each family), and its
thresholds are those of the best F1, on the development half of real/ and on songs; on a song, without that song. Together:
the sum of their standardised logits. A family that a peer has no class for is never named by it.
Their logits are kept in a folder, one file a recording, named after the samples: they are the slow part.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.quality.real import FAMILY_IDS, RATE, Recording
from bench.quality.songs import Song
from bench.quality.systems import Output
from recipe.teachers import LABELS, Ensemble, Panel
from recipe.teachers.panel import STEP_S
from whoplays.evaluation import metrics, segments
from whoplays.inference.segmentation import detect_intervals
from whoplays.model.config import TimelineSettings

Array = NDArray[np.float32]
Logits = dict[str, Array]  # by the teacher's name

NAMES = {"yamnet": "YAMNet", "mn04": "mn04", "jamendo_musicnn": "Jamendo musicnn", "mtt_musicnn": "MTT musicnn"}
TOGETHER = "all four"
PIECE_S = 3.0  # of the musicnn networks: one after the other, as published
_COLUMNS = [LABELS.index(family) for family in FAMILY_IDS]


class Teachers:
    """All teachers, with what they said of recordings so far."""

    def __init__(self, panel: Panel, cache: Path) -> None:
        """Open the cache; what other teachers, or other versions of them, left in it is removed."""
        self._panel, self._cache = panel, cache
        self._known: dict[str, Logits] = {}
        cache.mkdir(parents=True, exist_ok=True)
        probe = np.sin(np.arange(3 * RATE, dtype=np.float32) ** 1.2 / 40) * np.linspace(0, 0.5, 3 * RATE)
        now, path = self._analyse(probe.astype(np.float32)), cache / "probe.npz"
        if (before := _read(path)) is None or not _same(before, now):
            for old in cache.glob("*.npz"):
                old.unlink()
            _write(path, now)

    def whole(self, recordings: Sequence[Recording]) -> Logits:
        """Return logits (recordings, families) of whole recordings."""
        found = [self._logits(recording) for recording in recordings]
        return {name: np.stack([one[f"{name}/whole"] for one in found])[:, _COLUMNS] for name in NAMES}

    def over_time(self, recording: Recording) -> Logits:
        """Return logits (steps, families) of each `STEP_S` seconds."""
        found = self._logits(recording)
        return {name: found[f"{name}/over_time"][:, _COLUMNS] for name in NAMES}

    def _logits(self, recording: Recording) -> Logits:
        if recording.key not in self._known:
            path = self._cache / f"{recording.key}.npz"
            found = _read(path)
            if found is None:
                found = self._analyse(recording.samples)
                _write(path, found)
            self._known[recording.key] = found
        return self._known[recording.key]

    def _analyse(self, samples: Array) -> Logits:
        analyses = self._panel.label_clip(samples)
        steps = int(np.ceil(samples.size / round(STEP_S * RATE)))
        found = {f"{name}/whole": logits for name, logits in self._panel.whole(analyses).items()}
        return found | {f"{name}/over_time": logits for name, logits in self._panel.over_time(analyses, steps).items()}


def _read(path: Path) -> Logits | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (FileNotFoundError, zipfile.BadZipFile):
        return None


def _write(path: Path, arrays: Logits) -> None:
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    os.replace(partial, path)


def _same(one: Logits, other: Logits) -> bool:
    return one.keys() == other.keys() and all(
        np.allclose(one[name], other[name], atol=0.02, equal_nan=True) for name in one
    )


@dataclass(frozen=True)
class Examples:
    """What peers are calibrated on: recordings with the song each is from ("" for others), and songs with known times."""

    recordings: Sequence[Recording]
    songs: Sequence[Song]

    @classmethod
    def of(cls, development: Sequence[Recording], songs: Sequence[Song], cuts_s: Sequence[float]) -> Examples:
        """Take the development half, whole songs and their cuts."""
        cuts = [cut for length in cuts_s for song in songs for cut in song.cuts(length)]
        return cls([*development, *(song.recording for song in songs), *cuts], [s for s in songs if s.activity])


@dataclass(frozen=True)
class Decision:
    """A peer's calibration and thresholds, for whole recordings and over time."""

    whole: Ensemble
    thresholds: NDArray[np.float64]
    over_time: Ensemble
    frame_thresholds: NDArray[np.float64]

    @classmethod
    def fit(cls, names: Sequence[str], teachers: Teachers, examples: Examples, *, without_song: str = "") -> Decision:
        """Fit on all examples that are not from `without_song`."""
        recordings = [r for r in examples.recordings if without_song not in r.sources]
        fitted = [_fit(names, teachers.whole(recordings), np.stack([r.targets for r in recordings]))]
        frames = [
            (teachers.over_time(song.recording), _frame_targets(song))
            for song in examples.songs
            if without_song not in song.recording.sources
        ]
        logits = {name: np.concatenate([one[name] for one, _ in frames]) for name in names}
        fitted.append(_fit(names, logits, np.concatenate([targets for _, targets in frames])))
        (whole, thresholds), (over_time, frame_thresholds) = fitted
        return cls(whole, thresholds, over_time, frame_thresholds)


def _fit(names: Sequence[str], logits: Logits, targets: NDArray[np.floating]) -> tuple[Ensemble, NDArray[np.float64]]:
    ensemble = Ensemble.fit(FAMILY_IDS, {name: logits[name] for name in names}, targets)
    return ensemble, np.array(metrics.best_thresholds(targets, _scores(ensemble, logits)))


def _scores(ensemble: Ensemble, logits: Mapping[str, Array]) -> Array:
    """Return probabilities; 0 where no teacher knows the family."""
    return np.nan_to_num(ensemble.scores({name: logits[name] for name in ensemble.teachers}), nan=0.0)


def _frame_targets(song: Song) -> NDArray[np.float64]:
    """Return (steps, families): whether each plays in the middle of each step of the teachers' grid; NaN where unknown."""
    steps = int(np.ceil(song.recording.samples.size / round(STEP_S * RATE)))
    frames = ((np.arange(steps) + 0.5) * STEP_S / segments.FRAME_S).astype(int)
    targets = np.full((steps, len(FAMILY_IDS)), np.nan)
    for family, active in song.activity.items():
        targets[:, FAMILY_IDS.index(family)] = active[np.minimum(frames, len(active) - 1)]
    return targets


class Peer:
    """Some teachers as one recogniser."""

    def __init__(self, name: str, names: Sequence[str], teachers: Teachers, examples: Examples) -> None:
        self.name, self._names, self._teachers, self._examples = name, names, teachers, examples
        self._songs = {song.recording.sources[0] for song in examples.songs} | {
            recording.sources[0] for recording in examples.recordings if recording.path.startswith("songs/")
        }
        self._decisions: dict[str, Decision] = {}

    def outputs(self, recordings: Sequence[Recording]) -> list[Output]:
        logits = self._teachers.whole(recordings)
        outputs = []
        for i, recording in enumerate(recordings):
            decision = self._decision(recording)
            scores = _scores(decision.whole, {name: rows[i] for name, rows in logits.items()})
            named = scores >= decision.thresholds
            outputs.append(Output(scores, named, np.zeros_like(named), self._timeline(recording, named, decision)))
        return outputs

    def _decision(self, recording: Recording) -> Decision:
        song = recording.sources[0] if recording.sources[0] in self._songs else ""
        if song not in self._decisions:
            self._decisions[song] = Decision.fit(self._names, self._teachers, self._examples, without_song=song)
        return self._decisions[song]

    def _timeline(
        self, recording: Recording, named: NDArray[np.bool_], decision: Decision
    ) -> dict[str, NDArray[np.float64]]:
        """Return when the named families play, by the steps of our own timeline."""
        scores = _scores(decision.over_time, self._teachers.over_time(recording))
        edges = np.minimum(STEP_S * np.arange(len(scores) + 1), recording.samples.size / RATE)
        timeline = {}
        for i in np.flatnonzero(named):
            found = detect_intervals(
                scores[:, i], edges, threshold=float(decision.frame_thresholds[i]), settings=TimelineSettings()
            )
            timeline[FAMILY_IDS[i]] = np.array([(one.start, one.end) for one in found])
        return timeline


def peers(folder: Path, class_list: Path, cache: Path, examples: Examples) -> list[Peer]:
    """Return each teacher of `folder` as a system, and all of them together."""
    teachers = Teachers(Panel.load(folder, class_list, names=tuple(NAMES), hop_s=PIECE_S), cache)
    alone = [Peer(label, (name,), teachers, examples) for name, label in NAMES.items()]
    return [*alone, Peer(TOGETHER, tuple(NAMES), teachers, examples)]
