"""What every teacher offers, and the little that they share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


class Scores(NamedTuple):
    """Logits over time: `logits` (frames, classes), `frame_times` (frames,), the middles of frames in seconds."""

    logits: Array
    frame_times: NDArray[np.float64]


@dataclass(frozen=True)
class Analysis:
    """What a teacher says of a recording, over time and as a whole.

    Attributes
    ----------
    over_time : Scores
        Logits (frames, classes) and the times of the frames.
    clip : array (classes,)
        Logits for the whole recording.
    """

    over_time: Scores
    clip: Array


class Teacher(ABC):
    """A trained audio tagger.

    Attributes
    ----------
    NAME : str
        The teacher's key in maps, ensembles and files.
    SAMPLE_RATE : int
        Of the samples that the teacher takes, in Hz.
    classes : tuple of str
        Names of the columns of its logits.
    """

    NAME: ClassVar[str]
    SAMPLE_RATE: ClassVar[int]
    classes: tuple[str, ...]

    @abstractmethod
    def analyse(self, samples: Array) -> Analysis:
        """Return the logits for mono samples (n,) at `SAMPLE_RATE`, from -1 to 1, over time and as a whole."""

    def scores(self, samples: Array) -> Scores:
        """Return logits over time (frames, classes) and frame times (frames,) in seconds for mono samples (n,)."""
        return self.analyse(samples).over_time

    def clip(self, samples: Array) -> Array:
        """Return the logits (classes,) of mono samples (n,) as a whole."""
        return self.analyse(samples).clip


def sigmoid(logits: Array) -> Array:
    """Return 1 / (1 + exp(-x)) for logits of any shape."""
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * logits), dtype=np.float32)


def mean_score(logits: Array) -> Array:
    """Return the logit (classes,) of the mean score over frames, for logits (frames, classes).

    In float64, so that scores far below what float32 distinguishes from 0 or 1 keep their logit.
    """
    wide = logits.astype(np.float64)
    high = np.logaddexp.reduce(-np.logaddexp(0, -wide), axis=0)
    low = np.logaddexp.reduce(-np.logaddexp(0, wide), axis=0)
    return np.asarray(high - low, dtype=np.float32)


def filled(samples: Array, least: int) -> Array:
    """Return the samples (n,) as contiguous float32, repeated to `least` where they are fewer.

    Raises
    ------
    ValueError
        When the samples are not one row of at least one number.
    """
    samples = np.ascontiguousarray(samples, dtype=np.float32)
    if samples.ndim != 1 or samples.size == 0:
        raise ValueError(f"a teacher takes mono samples of shape (n,), not {samples.shape}")
    return np.resize(samples, least) if samples.size < least else samples
