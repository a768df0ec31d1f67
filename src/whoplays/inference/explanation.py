"""Why a label was found: its most telling moments, and which part of the sound the score hangs on.

The second is occlusion (Zeiler & Fergus 2014): a patch of the log-mel picture is made quiet, the network runs again,
and what its logit loses is what the patch gave. It needs nothing but the network, and one run of it a patch.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .. import features
from ..audio import reading
from .prediction import Prediction
from .recogniser import Recogniser
from .segmentation import Interval, over_cells

MOMENT_S = 1.0
BANDS = 8  # patches over the mel bands
PATCH_S = 1.0
_BATCH = 8


@dataclass(frozen=True)
class Occlusion:
    """What each patch gave. loss: (bands, spans), lowest band first, in logits; start, end: seconds."""

    label: str
    start: float
    end: float
    loss: NDArray[np.float64]


def moments(prediction: Prediction, label: str, *, most: int = 3) -> list[Interval]:
    """Return up to `most` stretches of a second in which `label` scores highest, apart from each other, best first.

    Empty without scores over time (a result that was read back).
    """
    if not len(prediction.frame_scores):
        return []
    first, last = float(prediction.frame_times[0]), float(prediction.frame_times[-1])
    borders = np.linspace(first, last, max(1, round((last - first) / MOMENT_S)) + 1)
    scores = over_cells(prediction.frame_scores, prediction.frame_times, borders)
    scores = scores[:, list(prediction.scores).index(label)]
    chosen: list[int] = []
    for i in np.argsort(-scores, kind="stable"):
        if len(chosen) < most and all(abs(int(i) - j) > 1 for j in chosen):
            chosen.append(int(i))
    inside = [i for i in chosen if scores[i] >= 0.5 * scores[chosen[0]]]
    return [Interval(round(float(borders[i]), 2), round(float(borders[i + 1]), 2), float(scores[i])) for i in inside]


def occlude(
    recogniser: Recogniser, source: str | os.PathLike[str], prediction: Prediction, label: str
) -> Occlusion | None:
    """Return what each patch of the window round the label's best moment gives, or None for features that are no picture.

    Raises `AudioError`.
    """
    config = recogniser.config
    best = moments(prediction, label, most=1)
    if config.features.feature_type != "logmel" or not best:
        return None
    first, last = float(prediction.frame_times[0]), float(prediction.frame_times[-1])
    start = max(first, min((best[0].start + best[0].end - config.window_s) / 2, last - config.window_s))
    rate = config.features.sample_rate
    samples = reading.load(source, sample_rate=rate, start=start, duration=min(config.window_s, last - start))
    shortest = round(config.min_window_s * rate)
    seconds = len(samples) / rate
    if len(samples) < shortest:
        samples = np.resize(samples, shortest)
    picture = features.compute(samples, config.features)
    column = [one.id for one in recogniser.labels].index(label)
    shown = min(len(picture), max(1, round(seconds / config.features.frame_s)))
    loss = _losses(recogniser, picture, shown, column)
    return Occlusion(label, round(start, 3), round(start + seconds, 3), loss)


def _losses(recogniser: Recogniser, picture: NDArray[np.float32], shown: int, column: int) -> NDArray[np.float64]:
    """Return (bands, spans) for picture (frames, width), of which the first `shown` frames are cut into patches."""
    spans = max(1, round(shown * recogniser.config.features.frame_s / PATCH_S))
    times = np.linspace(0, shown, spans + 1).astype(int)
    bands = np.linspace(0, picture.shape[1], min(BANDS, picture.shape[1]) + 1).astype(int)
    quiet = np.quantile(picture, 0.1, axis=0)
    patches = [(b, t) for b in range(len(bands) - 1) for t in range(spans)]
    whole = recogniser.logits(picture[None])[0, column]
    loss = np.zeros((len(bands) - 1, spans))
    for first in range(0, len(patches), _BATCH):
        some = patches[first : first + _BATCH]
        changed = np.repeat(picture[None], len(some), axis=0)
        for k, (b, t) in enumerate(some):
            part = (k, slice(times[t], times[t + 1]), slice(bands[b], bands[b + 1]))
            changed[part] = np.minimum(changed[part], quiet[bands[b] : bands[b + 1]])
        for (b, t), logit in zip(some, recogniser.logits(changed)[:, column], strict=True):
            loss[b, t] = whole - logit
    return loss
