"""Examples that decisions are fitted to: the network's outputs for real recordings, songs and scenes, and their labels."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bench.quality.real import RATE, Recording, Tasks
from bench.quality.songs import song_of, songs, stems
from whoplays.audio import reading
from whoplays.inference.recogniser import Recogniser
from whoplays.inference.scoring import NetworkOutputs
from whoplays.model import folder as model_folder

from . import material as store
from .jobs import SOLOS
from .labels import LABELS, TREE, Sounding

FOLDS = 5
#: Seconds of silence put before each recording in turn: where the network's steps and windows fall on it is chance, which
#: decisions must not be fitted to. Figures are measured without any.
LEADS_S = (0.0, 0.1, 0.17)
#: Weight of one recording in the fit, by the set that it is from: songs are few, and what users have.
WEIGHTS = {
    "songs": 10.0, "30 s": 4.0, "10 s": 2.0, "stems": 1.5, "sequences": 2.0, "clips": 1.0, "mixes": 1.0, "duets": 0.5,
    "silent": 1.0, "scenes": 1.0, "solos": 0.3,
}  # fmt: skip


class Runs(Protocol):
    """A network, or what stands for one."""

    def run(self, features: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Return "frame_logits" and "attention", (batch, steps, outputs) each."""


@dataclass(frozen=True)
class Example:
    """A recording to fit to: what the network gives for it, and what is known of every label.

    Attributes
    ----------
    kind : str
        A key of `WEIGHTS`.
    outputs : NetworkOutputs
    targets : ndarray, shape (labels,)
        1, 0 or NaN (unknown), by `LABELS`.
    sources : tuple of str
        The recordings that it is from.
    lead_s : float
        Seconds of silence before it.
    times : int
        How often it is among the examples, each time with other silence before it.
    """

    kind: str
    outputs: NetworkOutputs
    targets: NDArray[np.float32]
    sources: tuple[str, ...]
    lead_s: float = 0.0
    times: int = 1

    @property
    def weight(self) -> float:
        """How much it counts in the fit."""
        return WEIGHTS[self.kind] / self.times

    @property
    def folds(self) -> set[int]:
        """The folds in which it must not be fitted to."""
        return {hashlib.md5(source.encode()).digest()[0] % FOLDS for source in self.sources}


#: Names of instruments in real/ and songs/ that the catalogue of labels does not know.
_NAMES = {
    "violin-or-fiddle": "violin", "bass-drum": "kick", "hi-hat": "hihat-closed", "snare-drum": "snare",
    "flute-traversiere": "flute", "horn": "french-horn", "singing": "voice", "cymbal": "crash", "frame-drum": "percussion",
    "mridangam": "percussion", "string-orchestra": "strings", "drum-kit": "drums", "speech": "",
}  # fmt: skip


def targets_of(recording: Recording, *, complete: bool = True) -> NDArray[np.float32]:
    """Return what is known of every label of `LABELS`.

    Where the first five families are all known and every instrument is named, all else is absent; otherwise it is unknown.
    complete: whether the names are all that plays.
    """
    targets = np.full(len(LABELS), np.nan, dtype=np.float32)
    given = np.array([LABELS.index(family) for family in TREE.defaults])
    if recording.path.startswith("noise/"):
        targets[:] = 0
        if recording.instrument == "voice":  # speech, singing and animals, not distinguished
            targets[LABELS.index("voice")] = np.nan
        return targets
    names = [_NAMES.get(name, name) for name in re.split(r"[;+]", recording.instrument.replace(" ", "")) if name]
    known = [TREE.of_sample(name) for name in names]
    if complete and names and all(known) and not np.isnan(recording.targets).any():
        each = [Sounding.of(one).targets for one in known if one]
        unsure, present = np.isnan(each).any(axis=0), (np.array(each) == 1).any(axis=0)
        targets = np.where(present, 1.0, np.where(unsure, np.nan, 0.0)).astype(np.float32)
    targets[given] = recording.targets
    return targets


def examples(model: Path, data: Path, material: Path) -> Iterator[Example]:
    """Yield all examples, with the outputs of a model folder's network."""
    return examples_of(Recogniser(model), model_folder.Network(model_folder.read(model)), data, material)


def examples_of(
    recogniser: Recogniser, network: Runs, data: Path, material: Path, leads_s: Sequence[float] = LEADS_S
) -> Iterator[Example]:
    """Yield all examples: recordings through a recogniser, scenes through its network."""
    for lead_s in leads_s:
        yield from (replace(one, times=len(leads_s)) for one in _recordings(recogniser, data, lead_s))
    yield from _scenes(network, material)


def _recordings(recogniser: Recogniser, data: Path, lead_s: float) -> Iterator[Example]:
    def example(kind: str, recording: Recording, targets: NDArray[np.float32]) -> Example:
        samples = at_rate(recording, recogniser)
        lead = np.zeros(round(lead_s * recogniser.config.features.sample_rate), np.float32)
        outputs = recogniser.network_outputs(np.concatenate([lead, samples]))
        return Example(kind, outputs, targets, recording.sources, lead_s)

    for song in songs(data):
        yield example("songs", song.recording, targets_of(song.recording))
        for length_s in (30, 10):
            for part in song.cuts(length_s):
                yield example(f"{length_s} s", part, targets_of(part, complete=False))
    for stem in stems(data):
        yield example("stems", replace(stem, sources=(song_of(stem.path),)), targets_of(stem))
    tasks = Tasks.of(data, "development")
    parts = []
    for kind in ("clips", "mixes", "duets", "silent"):
        for recording in getattr(tasks, kind):
            parts.append(example(kind, recording, targets_of(recording, complete=kind in ("clips", "silent"))))
            yield parts[-1]
    yield from _sequences(parts)


def _scenes(network: Runs, material: Path) -> Iterator[Example]:
    for path in store.shards(material / "validation"):
        rows = store.read([path])
        for features, over_time in zip(rows.features, rows.targets, strict=True):
            found = network.run(features[None].astype(np.float32))
            steps = found["frame_logits"].shape[1]
            outputs = NetworkOutputs(found["frame_logits"][0], found["attention"][0], np.full(steps, 0.32))
            kind = "solos" if path.stem.startswith(SOLOS) else "scenes"
            yield Example(kind, outputs, _of_scene(over_time.astype(np.float32)), (path.stem,))


def _of_scene(over_time: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what holds for a whole scene; what plays in less than a fifth of it is unknown."""
    highest = np.nan_to_num(over_time).max(axis=0)
    unsure = np.isnan(over_time).any(axis=0) & (highest < 1) | (highest == 1) & (
        np.nan_to_num(over_time).mean(axis=0) < 0.2
    )
    return np.where(unsure, np.nan, highest).astype(np.float32)


def _sequences(parts: Sequence[Example], *, count: int = 60, of: int = 6) -> Iterator[Example]:
    """Yield recordings one after the other, about a minute of them: each member plays for a part of the time."""
    rng = np.random.default_rng(3)
    for _ in range(count):
        chosen = [parts[i] for i in rng.choice(len(parts), of)]
        known = np.array([one.targets for one in chosen])
        some = (known == 1).any(axis=0)
        targets = np.where(some, 1.0, np.where(np.isnan(known).any(axis=0), np.nan, 0.0)).astype(np.float32)
        logits, attention, lengths = (np.concatenate([one.outputs[i] for one in chosen]) for i in range(3))
        sources = tuple(source for one in chosen for source in one.sources)
        yield Example("sequences", NetworkOutputs(logits, attention, lengths), targets, sources, parts[0].lead_s)


def at_rate(recording: Recording, recogniser: Recogniser) -> NDArray[np.float32]:
    """Return a recording's samples at the rate that a model reads."""
    return np.concatenate(list(reading.resampled([recording.samples], RATE, recogniser.config.features.sample_rate)))
