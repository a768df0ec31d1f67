"""Metrics of when labels play: segment-based and event-based, as defined by sed_eval.

Source: Mesaros, Heittola and Virtanen, "Metrics for polyphonic sound event detection", Applied Sciences 6(6), 2016.

Conventions
-----------
A recording's reference, and its estimate, map each label to intervals (n, 2): onsets and offsets in seconds. The reference
has an entry for every label that is known, an empty one where the label does not play; a label without an entry is unknown
and counts neither for nor against. A label that the estimate lacks never plays in it.

Metrics
-------
* ``frame_f1``, ``frame_precision``, ``frame_recall``: time is cut into frames (0.1 s); a label is active in every frame that
  one of its intervals touches. Counted over the frames of all recordings and known labels.
* ``onset_...``, ``offset_...``, ``event_...`` (f1, precision, recall): intervals of one label are matched one to one,
  so that as many pairs as possible agree: in their onsets up to the collar; in their offsets up to the collar or a ratio of
  the reference's length, whichever is more; or in both.
* ``segments_per_true``: estimated intervals for each one of the reference, over labels that play and are found to play
  somewhere: 1 is right, more is fragmented.
* ``LABEL/frame_f1``, ``LABEL/event_f1``: the same for one label.

Where sed_eval rounds times that lie exactly between two frames by floating-point chance, here they belong to the later frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..runtime.packages import needed
from . import metrics

FRAME_S = 0.1
COLLAR_S = 0.5
OFFSET_RATIO = 0.5

Intervals = NDArray[np.float64]
Timeline = Mapping[str, Intervals]

_KINDS = ("onset", "offset", "event")
#: What is counted for each recording and label.
_COUNTS = (
    *("frame_hits", "frame_estimated", "frame_true", "estimated", "true"),
    *("onset_hits", "offset_hits", "event_hits", "found_estimated", "found_true"),
)
_EPSILON = 1e-6  # of a frame, or seconds of a collar: what floating-point times are off by


def validate(timeline: Timeline) -> dict[str, Intervals]:
    """Return a timeline whose intervals are float64 (n, 2), sorted by onset.

    Raises `ValueError` for intervals of another shape, that are not finite, begin before 0, or do not end after they begin.
    """
    checked = {}
    for label, given in timeline.items():
        intervals = np.asarray(given, dtype=np.float64)
        if intervals.size == 0:
            intervals = intervals.reshape(0, 2)
        if intervals.ndim != 2 or intervals.shape[1] != 2:
            raise ValueError(f"intervals of {label} have shape {intervals.shape}; (n, 2) is needed: onsets, offsets")
        wrong = ~(np.isfinite(intervals).all(axis=1) & (intervals[:, 0] >= 0) & (intervals[:, 1] > intervals[:, 0]))
        if wrong.any():
            onset, offset = intervals[wrong][0]
            raise ValueError(f"{label} plays from {onset:g} to {offset:g} s; 0 <= onset < offset is needed")
        checked[label] = intervals[np.argsort(intervals[:, 0], kind="stable")]
    return checked


def active_frames(intervals: Intervals, frame_s: float = FRAME_S) -> NDArray[np.int64]:
    """Return the numbers of the frames that the intervals (n, 2) touch, in order; frame i begins at i * `frame_s` seconds."""
    first = np.floor(intervals[:, 0] / frame_s + _EPSILON).astype(np.int64)
    last = np.ceil(intervals[:, 1] / frame_s - _EPSILON).astype(np.int64)
    return np.unique(np.concatenate([np.arange(0), *map(np.arange, first, last)]))


def n_matches(agree: NDArray[np.bool_]) -> int:
    """Return the size of a maximum matching: `agree` (true, estimated) says which pairs may be matched."""
    with needed("Evaluation of events", "train"):
        from scipy.sparse import csr_array
        from scipy.sparse.csgraph import maximum_bipartite_matching

    return int((maximum_bipartite_matching(csr_array(agree)) >= 0).sum()) if agree.any() else 0


def evaluate(
    references: Sequence[Timeline],
    estimates: Sequence[Timeline],
    *,
    frame_s: float = FRAME_S,
    collar_s: float = COLLAR_S,
    offset_ratio: float = OFFSET_RATIO,
    recordings: NDArray[Any] | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """Compute all metrics over several recordings, and their 95 % intervals.

    Parameters
    ----------
    references, estimates : sequences of mapping of str to array (n, 2)
        One timeline for each recording, in the same order.
    frame_s : float
        Length of a frame in seconds.
    collar_s : float
        How far onsets, and offsets, may be apart, in seconds.
    offset_ratio : float
        Ratio of the true interval's length that offsets may be apart, where that is more than the collar.
    recordings : array (recordings,), optional
        What is resampled as a whole. Default: each recording by itself.
    draws : int
        Number of bootstrap resamples; 0 for no intervals.
    seed : int
        Random seed of the resampling.

    Returns
    -------
    dict of str to float, dict of str to (float, float)
        Metrics by name, NaN where undefined, and their intervals.

    Raises
    ------
    ValueError
        When there are no recordings, not as many estimates as references, or timelines that `validate` refuses.

    Examples
    --------
    >>> true = {"guitar": [[0.0, 4.0]], "piano": []}
    >>> figures, _ = evaluate([true], [{"guitar": [[0.0, 1.0], [2.0, 4.0]], "piano": [[0.0, 1.0]]}], draws=0)
    >>> figures["frame_precision"], figures["frame_recall"], figures["segments_per_true"]
    (0.75, 0.75, 2.0)
    """
    if not references or len(references) != len(estimates):
        raise ValueError(f"{len(estimates)} estimates of {len(references)} recordings; one for each is needed")
    labels = list(dict.fromkeys(label for reference in references for label in reference))
    counts = np.zeros((len(references), len(labels), len(_COUNTS)))
    for row, (reference, estimate) in enumerate(zip(map(validate, references), map(validate, estimates), strict=True)):
        for label, true in reference.items():
            found = estimate.get(label, np.zeros((0, 2)))
            counts[row, labels.index(label)] = _counts(true, found, frame_s, collar_s, offset_ratio)

    def figures(weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        by_label = np.tensordot(weights, counts, axes=1)  # (draws, labels, counts)
        computed = _figures(by_label.sum(axis=1))
        for i, label in enumerate(labels):
            of_label = _figures(by_label[:, i])
            computed |= {f"{label}/{name}": of_label[name] for name in ("frame_f1", "event_f1")}
        return computed

    return metrics.bootstrap(figures, len(references), recordings, draws=draws, seed=seed)


def _counts(true: Intervals, found: Intervals, frame_s: float, collar_s: float, offset_ratio: float) -> list[int]:
    """Return _COUNTS for one label of one recording."""
    true_frames, found_frames = active_frames(true, frame_s), active_frames(found, frame_s)
    apart = np.abs(true[:, None, :] - found[None, :, :])  # (true, estimated, onset and offset)
    tolerance = np.maximum(collar_s, offset_ratio * (true[:, 1] - true[:, 0]))
    onset = apart[..., 0] <= collar_s + _EPSILON
    offset = apart[..., 1] <= tolerance[:, None] + _EPSILON
    both = len(true) > 0 and len(found) > 0
    return [
        *(len(np.intersect1d(true_frames, found_frames)), len(found_frames), len(true_frames), len(found), len(true)),
        *(n_matches(agree) for agree in (onset, offset, onset & offset)),
        *(both * len(found), both * len(true)),
    ]


def _figures(totals: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Return metrics by name, (draws,) each, for sums (draws, counts)."""
    of = dict(zip(_COUNTS, totals.T, strict=True))
    figures = {}
    for kind, found, true in (("frame", "frame_estimated", "frame_true"), *((k, "estimated", "true") for k in _KINDS)):
        hits = of[f"{kind}_hits"]
        figures[f"{kind}_f1"] = metrics.ratio(2 * hits, of[found] + of[true])
        figures[f"{kind}_precision"] = metrics.ratio(hits, of[found])
        figures[f"{kind}_recall"] = metrics.ratio(hits, of[true])
    figures["segments_per_true"] = metrics.ratio(of["found_estimated"], of["found_true"])
    return figures
