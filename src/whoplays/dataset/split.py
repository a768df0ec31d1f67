"""Pick a balanced number of clips per class, and divide them by recording: no recording is on two sides.

Everything is drawn from the seed and from names, never from the order in which files were found.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ..errors import DatasetError
from ..taxonomy.tree import Label
from .sources import SPLITS, Clip


def random_key(seed: int, *names: str) -> bytes:
    """Return bytes that order things at random: by the seed and their names alone."""
    return hashlib.blake2b("\0".join([str(seed), *names]).encode(), digest_size=16).digest()


def pick(clips: Sequence[Clip], labels: Sequence[Label], *, per_class: int | None, seed: int) -> list[Clip]:
    """Return `per_class` clips of each class at random (None: as many as the smallest class has; 0: all).

    Clips with none of the labels are one more class, which is never the one that decides. Raises `DatasetError` for a
    class without any.
    """
    sizes = [sum(clip.targets[i] == 1 for clip in clips) for i in range(len(labels))]
    if empty := [label.id for label, size in zip(labels, sizes, strict=True) if not size]:
        raise DatasetError(f"no recording of {', '.join(empty)}; every class needs some")
    if per_class == 0:
        return sorted(clips, key=_order)
    classes: dict[int, list[Clip]] = defaultdict(list)
    for clip in clips:  # each counts for its rarest label, or for -1 when it has none
        classes[min(clip.labels, key=lambda i: (sizes[i], i), default=-1)].append(clip)
    count = per_class or min(len(found) for i, found in classes.items() if i >= 0)
    picked = []
    for found in classes.values():
        picked += sorted(found, key=lambda clip: random_key(seed, "pick", clip.name, str(clip.start)))[:count]
    return sorted(picked, key=_order)


def _order(clip: Clip) -> tuple[str, float]:
    return clip.name, clip.start


def divide(
    clips: Sequence[Clip], labels: Sequence[Label], *, test: float, validation: float, seed: int
) -> tuple[list[Clip], list[str]]:
    """Return the clips with their split filled in, and remarks for people.

    Recordings are dealt out, larger ones first, each to the split that lacks most of what it holds (a greedy stratified
    group split: Sechidis et al. 2011 for several labels). Rows whose source says the split keep it, and so does
    everything of the same recording. Raises `DatasetError` for shares that cannot be, and for a class with fewer
    recordings than there are splits to fill.
    """
    shares = {"training": 1.0 - test - validation, "validation": validation, "test": test}
    if not all(0 <= share <= 1 + 1e-9 for share in shares.values()):
        raise DatasetError(
            f"--test {test:g} and --validation {validation:g} do not fit into a whole; each 0 to 1, sum at most 1"
        )
    wanted = [name for name in SPLITS if shares[name] > 1e-9]
    groups: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        groups[clip.together].append(clip)
    fixed: dict[str, str] = {}
    for name, group in groups.items():
        named = {clip.split for clip in group if clip.split}
        if len(named) > 1:
            raise DatasetError(f"recording {name!r} is on two sides of the split: {' and '.join(sorted(named))}")
        if named:
            fixed[name] = named.pop()
    if not fixed:
        _check_recordings(groups, labels, wanted)
    dealt = _deal(groups, fixed, len(labels), shares, wanted, seed)
    divided = [replace(clip, split=dealt[clip.together]) for clip in clips]
    remarks = [
        f"{label.id} has no clip in {split}: its recordings are too few or too large to divide"
        for i, label in enumerate(labels)
        for split in wanted
        if not any(i in clip.labels for clip in divided if clip.split == split)
    ]
    return divided, remarks


def _check_recordings(groups: dict[str, list[Clip]], labels: Sequence[Label], wanted: Sequence[str]) -> None:
    for i, label in enumerate(labels):
        count = sum(any(clip.targets[i] == 1 for clip in group) for group in groups.values())
        if count < len(wanted):
            raise DatasetError(
                f"{label.id} has {count} recording{'s' * (count != 1)}, and {len(wanted)} are needed to put one in each of "
                f"{', '.join(wanted)}; add recordings, or build without those parts (--test 0, --validation 0)"
            )


def _deal(
    groups: dict[str, list[Clip]],
    fixed: dict[str, str],
    n_labels: int,
    shares: dict[str, float],
    wanted: Sequence[str],
    seed: int,
) -> dict[str, str]:
    known: dict[bytes, np.ndarray] = {}  # most recordings hold what many others hold: one array for all of those

    def shared(count: np.ndarray) -> np.ndarray:
        return known.setdefault(count.tobytes(), count)

    counts = {name: shared(_count(group, n_labels)) for name, group in groups.items()}
    total = np.sum(list(counts.values()), axis=0)
    lacking = {split: shares[split] * total for split in SPLITS}
    dealt = dict(fixed)
    for name, split in dealt.items():
        lacking[split] = lacking[split] - counts[name]
    scale = np.maximum(total, 1) ** 2
    weights = {id(count): count / scale for count in known.values()}
    for name in _larger_first([name for name in groups if name not in dealt], counts, seed):
        # Placing n where L is lacking lowers the squared lack by 2 n L - n n; the second term is the same everywhere.
        weight = weights[id(counts[name])]
        best = max(wanted, key=lambda split: float(weight @ lacking[split]))
        dealt[name] = best
        lacking[best] = lacking[best] - counts[name]
    return dealt


def _larger_first(names: list[str], counts: dict[str, np.ndarray], seed: int) -> Iterator[str]:
    """Yield names of recordings: larger ones first, equal ones as they are drawn."""
    by_size: dict[float, list[str]] = defaultdict(list)
    for name in names:
        by_size[float(counts[name].sum())].append(name)
    for size in sorted(by_size, reverse=True):
        yield from sorted(by_size.pop(size), key=lambda name: random_key(seed, "split", name))


def _count(group: Sequence[Clip], n_labels: int) -> np.ndarray:
    """Return how many of the clips hold each label, and, last, how many hold none."""
    count = np.zeros(n_labels + 1)
    for clip in group:
        for i in clip.labels or (n_labels,):
            count[i] += 1
    return count
