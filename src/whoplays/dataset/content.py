"""Clips come in; they go out with one group for all files of the same bytes, so that no copy is on two sides of a split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..storage.address import Address
from ..taxonomy.tree import Label
from . import make
from .sources import Clip

AT_ONCE = 64  # files to a piece of work
MOST_NAMED = 5  # conflicts that are named

#: `Engine.map`, or its like: yields (number of the item, result), in any order.
Map = Callable[[Callable[[Any], Any], Sequence[Any]], Iterator[tuple[int, Any]]]


class Files(Sequence[list[tuple[Any, ...]]]):
    """The clips' files, some to a piece of work: one alone is too little. Paths are made on first use."""

    def __init__(self, clips: Sequence[Clip], *more: Any) -> None:
        """clips: whose files are wanted, in this order. more: sequences of what else the work on each takes."""
        self._clips, self._more = clips, more

    def __len__(self) -> int:
        return -(-len(self._clips) // AT_ONCE)

    def __getitem__(self, number: Any) -> Any:
        first = range(len(self))[number] * AT_ONCE
        part = slice(first, first + AT_ONCE)
        return list(zip([clip.path for clip in self._clips[part]], *(one[part] for one in self._more), strict=True))


def here(work: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    """Do the work in this process."""
    return enumerate(map(work, items))


def seen(clips: Sequence[Clip], each: Map = here) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the bytes of each clip's file, and the prints of those in a store (see `make.seen`)."""
    sizes, prints = np.array(of_files(make.seen, clips, each), dtype=np.int64).reshape(-1, 2).T
    return sizes, prints


def grouped(
    clips: Sequence[Clip], labels: Sequence[Label], each: Map = here, prints: NDArray[np.int64] | None = None
) -> tuple[list[Clip], list[str]]:
    """Return the clips, with one group for recordings that have a file in common, and remarks for people.

    clips: before long files are cut. labels: in the order of the clips' targets. each: where files are read. prints: what
    `seen` returned, where known already. Remarks report copies, and the same content under labels that contradict
    each other or on two sides of a split that the source gives; these are left as they are.
    """
    copies = _copies(clips, seen(clips, each)[1] if prints is None else prints, each)
    sides: dict[str, set[str]] = defaultdict(set)
    for clip in clips:
        if clip.split:
            sides[clip.recording].add(clip.split)
    same: dict[str, str] = {}  # recording -> another one with the same content

    def first(recording: str) -> str:
        while recording in same:
            recording = same[recording]
        return recording

    remarks = []
    for group in copies:
        for one, other in pairwise(group):
            a, b = sorted((first(one[0].recording), first(other[0].recording)))
            if len(sides[a] | sides[b]) > 1:
                remarks.append(f"{one[0].name} and {other[0].name} are the same file on two sides of the given split")
            elif a != b:
                same[b] = a
                sides[a] |= sides[b]
    if copies:
        count = sum(len(group) - 1 for group in copies)
        remarks.insert(
            0, f"{count} files are copies of others; each is kept on one side of the split with its original"
        )
    conflicts = [text for group in copies for text in _conflicts(group, labels)]
    remarks += conflicts[:MOST_NAMED]
    if len(conflicts) > MOST_NAMED:
        remarks.append(f"{len(conflicts) - MOST_NAMED} more pairs of files are the same under different labels")
    tied = {*same, *same.values()}
    return [replace(clip, group=first(clip.recording)) if clip.recording in tied else clip for clip in clips], remarks


def _copies(clips: Sequence[Clip], prints: NDArray[np.int64], each: Map) -> list[list[list[Clip]]]:
    """Return groups of files with the same content, each file as the list of its clips."""
    found, files = prints.copy(), [i for i, clip in enumerate(clips) if not isinstance(clip.path, Address)]
    found[files] = of_files(make.print_of, [clips[i] for i in files], each)
    values, place, counts = np.unique(found, return_inverse=True, return_counts=True)
    alike = np.flatnonzero((counts[place] > 1) & (values[place] != 0)).tolist() if len(found) else []
    by_name: dict[str, list[int]] = defaultdict(list)
    for i in alike:
        by_name[clips[i].name].append(i)
    if len(by_name) < 2:
        return []
    groups: dict[Any, list[list[Clip]]] = defaultdict(list)
    read = [name for name, (i, *_) in by_name.items() if not isinstance(clips[i].path, Address)]
    digests = dict(zip(read, of_files(make.digest, [clips[by_name[name][0]] for name in read], each), strict=True))
    for name, members in by_name.items():
        if digest := digests.get(name, found[members[0]]):  # in a store, the fingerprint is of the object's ETag
            groups[digest].append([clips[i] for i in members])
    return [group for group in groups.values() if len(group) > 1]


def of_files(work: Callable[..., Any], clips: Sequence[Clip], each: Map = here, *more: Any) -> list[Any]:
    """Return what the work on each clip's file gives, in the clips' order. more: sequences of what else it takes."""
    found = each(partial(make.each, work), Files(clips, *more))
    return [one for _, results in sorted(found, key=lambda pair: pair[0]) for one in results]


def _conflicts(group: Sequence[Sequence[Clip]], labels: Sequence[Label]) -> Iterator[str]:
    """Yield a remark for each two files of which one has a label that the other is known not to have, at the same time."""
    for one, other in combinations((clip for file in group for clip in file), 2):
        if one.name == other.name or (one.start, one.duration) != (other.start, other.duration):
            continue
        if any({a, b} == {0, 1} for a, b in zip(one.targets, other.targets, strict=True)):
            named = [", ".join(labels[i].id for i in clip.labels) or "none of the labels" for clip in (one, other)]
            yield f"{one.name} ({named[0]}) and {other.name} ({named[1]}) are the same file under different labels"
