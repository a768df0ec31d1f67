"""Search in a table of embeddings: what sounds alike, where the same instruments play, which files hold the same recording.

Search is exact: every row is compared, in blocks, by one product of matrices. *Sound* compares embeddings by their cosine.
*Players* compares the scores of all labels: the sum of the lesser scores over that of the greater (Ruzicka 1958), 1 where all
are equal and 0 where nothing is shared. A row of zeros (silence, a failure) is similar to nothing.

Files that hold the same recording are first looked for among rows whose embeddings are almost alike, then compared as sound:
the correlation over time of how the spectrum changes, at the shift at which it is greatest. Another encoding, rate, level or
start changes it little; another take of the same piece by the same players has almost none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..audio import reading
from ..errors import AudioError
from ..features import LOGMEL, compute
from .embedding_table import Embeddings

Array = NDArray[np.float32]

BLOCK = 1 << 16  # rows compared at once
CANDIDATE = 0.9  # cosine from which two rows are compared as sound
SAME = 0.7  # correlation from which they hold the same recording
SMOOTHED = 3  # frames, so that a start between two frames changes little
COMPARED_S = 90.0  # of each, from its start
OVERLAP_S = 3.0  # that two must share, or all of the shorter one


@dataclass(frozen=True)
class Match:
    """A recording that is similar: its row, from 0 to 1 how much, and of embeddings over time when, in seconds."""

    row: int
    similarity: float
    start: float | None = None


def by_sound(table: Embeddings, query: Array, count: int, *, leave_out: int | None = None) -> list[Match]:
    """Return at most `count` rows nearest to an embedding, the nearest first, with a similarity above 0.

    query: (width,), of unit length. leave_out: a row, such as that of the query itself. Of a table with embeddings over time
    the best moment of each recording counts.
    """
    if len(table.step_of):
        similarity = _products(table.step_embedding, query)
        best = np.zeros(len(table.path), np.float32)
        np.maximum.at(best, table.step_of, similarity)
        found = _first(best, count, leave_out)
        places = {match.row: np.flatnonzero(table.step_of == match.row) for match in found}
        starts = {row: table.step_start[at[similarity[at].argmax()]] for row, at in places.items()}
        return [Match(m.row, m.similarity, round(float(starts[m.row]), 2)) for m in found]
    return _first(_products(table.embedding, query), count, leave_out)


def by_players(table: Embeddings, query: Array, count: int, *, leave_out: int | None = None) -> list[Match]:
    """Return the rows whose scores (labels,) are most like those of `query`, the nearest first; see `by_sound`."""
    found = np.zeros(len(table.path), np.float32)
    for first in range(0, len(found), BLOCK):
        scores = np.nan_to_num(table.scores[first : first + BLOCK])
        shared = np.minimum(scores, query).sum(axis=1)
        found[first : first + BLOCK] = shared / np.maximum(scores.sum(axis=1) + query.sum() - shared, 1e-9)
    wanted = count
    while True:  # what is silent is taken out of the first ones alone: the rest is not looked at
        first_ones = _first(found, wanted, leave_out)
        audible = [match for match in first_ones if table.embedding[match.row].any()]
        if len(audible) >= count or len(first_ones) < wanted:
            return audible[:count]
        wanted *= 2


def _products(vectors: Array, query: Array) -> Array:
    found = np.empty(len(vectors), np.float32)
    for first in range(0, len(vectors), BLOCK):
        np.dot(vectors[first : first + BLOCK], query, out=found[first : first + BLOCK])
    return found


def _first(similarity: Array, count: int, leave_out: int | None) -> list[Match]:
    if leave_out is not None:
        similarity[leave_out] = 0
    count = min(count, len(similarity))
    if not count:
        return []
    best = np.argpartition(-similarity, count - 1)[:count]
    best = best[np.lexsort((best, -similarity[best]))]
    return [Match(int(i), round(min(1.0, float(similarity[i])), 4)) for i in best if similarity[i] > 0]


@dataclass(frozen=True)
class Copy:
    """A file of a group: its row, its correlation with the first of the group, and when that one starts in it, in seconds."""

    row: int
    correlation: float
    offset_s: float


def duplicates(table: Embeddings, on_problem: Callable[[str, str], object]) -> Iterator[list[Copy]]:
    """Yield groups of two or more files that hold the same recording, each with its longest first.

    Recordings whose embeddings are almost alike are read again. on_problem: called with the path of one that cannot be read
    now, and why.
    """
    order = np.argsort(-table.duration, kind="stable")
    vectors = np.asarray(table.embedding[order])
    spectra: dict[int, Array | None] = {}

    def spectrum(row: int) -> Array | None:
        if row not in spectra:
            try:
                spectra[row] = changes(str(table.path[row]))
            except AudioError as error:
                on_problem(str(table.path[row]), error.problem)
                spectra[row] = None
        return spectra[row]

    taken: set[int] = set()
    for first in range(0, len(order), 1024):
        near = vectors[first : first + 1024] @ vectors[first:].T
        for i in range(len(near)):
            row = int(order[first + i])
            others = [int(order[first + j]) for j in np.flatnonzero(near[i] > CANDIDATE) if j > i]
            group = [Copy(row, 1.0, 0.0)]
            for other in others:
                if row in taken or other in taken or (mine := spectrum(row)) is None:
                    continue
                if (its := spectrum(other)) is not None:
                    correlation, offset_s = correlated(mine, its)
                    if correlation >= SAME:
                        group.append(Copy(other, round(correlation, 3), round(offset_s, 2)))
            if len(group) > 1:
                taken.update(copy.row for copy in group)
                yield group
            spectra.pop(row, None)


def changes(path: Path | str) -> Array:
    """Return how the spectrum of a recording changes over its first `COMPARED_S`: (frames, bands), each band of mean 0.

    Raises `AudioError` when it cannot be read.
    """
    samples = reading.load(path, sample_rate=LOGMEL.sample_rate, duration=COMPARED_S)
    if not len(samples):
        return np.zeros((0, LOGMEL.n_features), np.float32)
    level = np.abs(samples).max()
    log_mel = np.log(np.exp(compute(samples / max(level, 1e-6), LOGMEL)) + 1e-4)
    summed = np.cumsum(np.pad(log_mel, ((SMOOTHED, 0), (0, 0)), mode="edge"), axis=0, dtype=np.float64)
    change = np.diff(summed[SMOOTHED:] - summed[:-SMOOTHED], axis=0, prepend=0)
    change[0] = 0
    return np.asarray(change - change.mean(axis=0), dtype=np.float32)


def correlated(a: Array, b: Array) -> tuple[float, float]:
    """Return the greatest correlation (-1 to 1) of two recordings' `changes` over all shifts, and when one starts in the other.

    a, b: (frames, bands). The second number is when `a` starts in `b`, in seconds; negative when `b` starts within `a`. Both are
    0 when either is silent.
    """
    if not len(a) or not len(b):
        return 0.0, 0.0
    n = 1 << (len(a) + len(b) - 1).bit_length()
    product = np.fft.irfft((np.fft.rfft(a, n, axis=0).conj() * np.fft.rfft(b, n, axis=0)).sum(axis=1), n)
    shifts = np.arange(-len(a) + 1, len(b))
    shared_least = min(len(a), len(b), round(OVERLAP_S / LOGMEL.frame_s))
    begin, end = np.maximum(shifts, 0), np.minimum(shifts + len(a), len(b))
    power_a, power_b = (np.append(0, np.cumsum(np.square(x).sum(axis=1), dtype=np.float64)) for x in (a, b))
    energy = (power_b[end] - power_b[begin]) * (power_a[end - shifts] - power_a[begin - shifts])
    allowed = (end - begin >= shared_least) & (energy > 1e-6 * power_a[-1] * power_b[-1])
    if not allowed.any() or not power_a[-1] * power_b[-1]:
        return 0.0, 0.0
    found = np.where(allowed, product[shifts] / np.sqrt(np.maximum(energy, 1e-30)), -1)
    best = int(found.argmax())
    return float(found[best]), float(shifts[best] * LOGMEL.frame_s)
