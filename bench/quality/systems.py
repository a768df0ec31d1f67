"""Recognisers behind one interface: recordings in; for each, scores of the families, which are named, and when they play."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bench.quality.real import FAMILY_IDS, RATE, Recording
from whoplays import load

Intervals = NDArray[np.float64]


@dataclass(frozen=True)
class Output:
    """What a recogniser says of one recording.

    Attributes
    ----------
    scores : array (families,)
    named : array of bool (families,)
        Families that reach their thresholds.
    maybe : array of bool (families,)
        Families that reach the second, lower threshold only.
    timeline : dict of str to array (n, 2)
        When each named family plays, in seconds.
    """

    scores: NDArray[np.float32]
    named: NDArray[np.bool_]
    maybe: NDArray[np.bool_]
    timeline: Mapping[str, Intervals]


def scores_of(outputs: Sequence[Output]) -> NDArray[np.float32]:
    """Return scores (recordings, families)."""
    return np.stack([output.scores for output in outputs])


def named_of(outputs: Sequence[Output]) -> NDArray[np.bool_]:
    """Return (recordings, families): which families are named."""
    return np.stack([output.named for output in outputs])


class System(Protocol):
    """A recogniser to evaluate."""

    name: str

    def outputs(self, recordings: Sequence[Recording]) -> list[Output]:
        """Return the output for each recording."""


class Model:
    """A model folder of ours (None: the one in the package), with its own thresholds."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._recogniser = load(folder)
        self.config = self._recogniser.config
        self.name = self.config.id if folder is None else folder.resolve().name
        self._known: dict[str, Output] = {}

    def outputs(self, recordings: Sequence[Recording]) -> list[Output]:
        for recording in recordings:
            if recording.key not in self._known:
                self._known[recording.key] = self._predict(recording)
        return [self._known[recording.key] for recording in recordings]

    def _predict(self, recording: Recording) -> Output:
        prediction = self._recogniser.predict(recording.samples, sample_rate=RATE)
        timeline = {
            family: np.array([(s.start, s.end) for s in prediction.segments if s.label == family and s.end > s.start])
            for family in FAMILY_IDS
        }
        return Output(
            np.array([prediction.scores[family] for family in FAMILY_IDS], dtype=np.float32),
            np.array([family in prediction.playing for family in FAMILY_IDS]),
            np.array([family in prediction.maybe for family in FAMILY_IDS]),
            timeline,
        )
