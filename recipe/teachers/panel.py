"""All teachers on one recording: what each says of the labels of the tree, on one grid of time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Self

import numpy as np
import soxr
from numpy.typing import NDArray

from .base import Analysis, Array, Scores, Teacher
from .labels import LABELS, MAPS, Map
from .mn04 import Mn04
from .musicnn import JamendoMusicnn, MttMusicnn
from .yamnet import Yamnet

#: Rate of the samples that a panel takes, in Hz.
SAMPLE_RATE = 32000
#: Seconds from one step of the grid to the next.
STEP_S = 0.32

Reduction = Literal["max", "logsumexp"]


class Panel:
    """Several teachers run on the same recordings.

    Parameters
    ----------
    teachers : sequence of Teacher
    labels : sequence of str
        The columns of every array over labels.
    maps : mapping of str to mapping of str to tuple of str
        For each teacher's name, the classes that speak for each label; a label may be absent.
    reduction : str
        How a label's logit comes from those of its classes: "max", or "logsumexp", the logarithm of summed odds.
    """

    def __init__(
        self,
        teachers: Sequence[Teacher],
        *,
        labels: Sequence[str] = LABELS,
        maps: Mapping[str, Map] = MAPS,
        reduction: Reduction = "max",
    ) -> None:
        """Look up the columns of each label. Raises `ValueError` when a map names a class that its teacher lacks."""
        self.teachers = tuple(teachers)
        self.labels = tuple(labels)
        self.reduction = reduction
        self._columns = {
            teacher.NAME: [
                [teacher.classes.index(name) for name in maps[teacher.NAME].get(label, ())] for label in labels
            ]
            for teacher in self.teachers
        }

    @classmethod
    def load(
        cls,
        peers: Path,
        class_list: Path,
        *,
        names: Iterable[str] = tuple(MAPS),
        hop_s: float = 1.0,
        reduction: Reduction = "max",
    ) -> Self:
        """Return a panel of the teachers of these names, read from the folders of the same names in `peers`.

        Parameters
        ----------
        peers : Path
            Holds a folder for each teacher.
        class_list : Path
            AudioSet's `class_labels_indices.csv`.
        names : iterable of str
            Of the teachers to load.
        hop_s : float
            Seconds from one window of the musicnn teachers to the next.
        reduction : str
            See `Panel`.
        """
        peers = Path(peers)
        loaders: dict[str, Callable[[], Teacher]] = {
            Mn04.NAME: lambda: Mn04(peers / Mn04.NAME, class_list),
            Yamnet.NAME: lambda: Yamnet(peers / Yamnet.NAME),
            JamendoMusicnn.NAME: lambda: JamendoMusicnn(peers / JamendoMusicnn.NAME, hop_s=hop_s),
            MttMusicnn.NAME: lambda: MttMusicnn(peers / MttMusicnn.NAME, hop_s=hop_s),
        }
        return cls([loaders[name]() for name in names], reduction=reduction)

    def label_clip(self, samples_32k: Array) -> dict[str, Analysis]:
        """Return what each teacher says, by its name, of mono samples (n,) at 32 kHz: logits of its own classes."""
        samples = {SAMPLE_RATE: np.ascontiguousarray(samples_32k, dtype=np.float32)}
        found = {}
        for teacher in self.teachers:
            rate = teacher.SAMPLE_RATE
            if rate not in samples:
                samples[rate] = soxr.resample(samples[SAMPLE_RATE], SAMPLE_RATE, rate)
            found[teacher.NAME] = teacher.analyse(samples[rate])
        return found

    def label_logits(self, name: str, logits: Array) -> Array:
        """Return logits (..., labels) for those of teacher `name` (..., classes); NaN for labels it has no class for."""
        return reduced(logits, self._columns[name], self.reduction)

    def whole(self, analyses: Mapping[str, Analysis]) -> dict[str, Array]:
        """Return, for each teacher, the logits (labels,) of the whole recording from what `label_clip` returned."""
        return {name: self.label_logits(name, analysis.clip) for name, analysis in analyses.items()}

    def over_time(self, analyses: Mapping[str, Analysis], steps: int) -> dict[str, Array]:
        """Return, for each teacher, logits (steps, labels) on the common grid from what `label_clip` returned."""
        return {
            name: on_grid(Scores(self.label_logits(name, scores.logits), scores.frame_times), steps)
            for name, scores in ((name, analysis.over_time) for name, analysis in analyses.items())
        }

    def grid(self, samples_32k: Array) -> dict[str, Array]:
        """Return, for each teacher, logits (steps, labels) for mono samples (n,) at 32 kHz; NaN for labels unknown to it.

        Step i is from `STEP_S` * i to `STEP_S` * (i + 1) seconds; the last one may reach beyond the end.
        """
        return self.over_time(self.label_clip(samples_32k), n_steps(len(samples_32k)))


def n_steps(n: int) -> int:
    """Return the steps of the grid for `n` samples at 32 kHz."""
    return int(np.ceil(n / round(STEP_S * SAMPLE_RATE)))


def reduced(logits: Array, columns: Sequence[Sequence[int]], reduction: Reduction) -> Array:
    """Return logits (..., labels) from logits (..., classes), for each label those of its columns; NaN without any."""
    found = np.full((*logits.shape[:-1], len(columns)), np.nan, dtype=np.float32)
    combine = np.maximum if reduction == "max" else np.logaddexp
    for label, of_label in enumerate(columns):
        if of_label:
            found[..., label] = combine.reduce(logits[..., list(of_label)], axis=-1)
    return found


def on_grid(scores: Scores, steps: int) -> Array:
    """Return logits (steps, width) in the middle of each step of the grid: linear between frames, held at the ends."""
    times = scores.frame_times
    at: NDArray[np.float64] = np.clip(STEP_S * (np.arange(steps) + 0.5), times[0], times[-1])
    right = np.clip(np.searchsorted(times, at), 1, max(1, len(times) - 1))
    if len(times) == 1:
        return np.repeat(scores.logits, steps, axis=0)
    share = ((at - times[right - 1]) / (times[right] - times[right - 1])).astype(np.float32)[:, None]
    return np.asarray((1 - share) * scores.logits[right - 1] + share * scores.logits[right], dtype=np.float32)
