"""Embeddings: windows of a recording -> vectors over time -> one unit vector that says how the recording sounds.

The network gives a vector for each step (about 0.32 s). The recording's is their mean, scaled to length 1, so that the
scalar product of two recordings is the cosine of the angle between them: 1 for the same sound. A step that holds no sound
counts for nothing, and a recording of silence has the vector of zeros, which is similar to nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

#: A step whose log-mel exceeds that of silence by less than this, in every band of every frame, is silent.
SILENT_LOG_MEL = 0.01


def sounding(log_mel: Array, steps: int, log_offset: float) -> NDArray[np.bool_]:
    """Return which steps (steps,) hold sound, of log-mel (frames, bands) that they divide evenly."""
    loudest = log_mel.max(axis=1) - np.log(log_offset)
    return np.array([part.max() > SILENT_LOG_MEL for part in np.array_split(loudest, steps)])


def whole(steps: Array) -> Array:
    """Return the unit vector (width,) of a recording from those over time (steps, width); zeros stay zeros."""
    return unit(steps.sum(axis=0, dtype=np.float64))


def unit(vectors: NDArray[np.floating]) -> Array:
    """Return vectors (..., width) scaled to length 1; those of zeros stay as they are."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return (vectors / np.where(length > 0, length, 1)).astype(np.float32)
