"""How labels hang together: which are found on the same clips, and how much oftener than chance would have it.

Lift of A and B: the share of clips with both, over the product of the shares with A and with B. 1 is chance, 10 is ten
times as often as if they had nothing to do with each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, combinations
from pathlib import Path
from typing import NamedTuple

from ...storage.files import write_csv
from .classes import ClipClass, apart
from .lists import Segment
from .ontology import Ontology
from .plan import labels_of


class Pair(NamedTuple):
    """Two things found together. a, b: class ids or AudioSet ids; clips with a, with b, with both."""

    a: str
    b: str
    name_a: str
    name_b: str
    clips_a: int
    clips_b: int
    both: int
    lift: float

    @property
    def share_of_a(self) -> float:
        """The share of the clips with a that have b as well."""
        return self.both / self.clips_a if self.clips_a else 0.0


@dataclass(frozen=True)
class Exclusion:
    """How many clips of a class carry what it keeps out, carry another of the classes, or either of the two."""

    id: str
    clips: int
    kept_out: int
    with_another: int
    either: int

    @property
    def counts(self) -> tuple[int, int, int]:
        """The three."""
        return self.kept_out, self.with_another, self.either

    def share(self, count: int) -> float:
        """Return `count` as a share of the class's clips."""
        return count / self.clips if self.clips else 0.0


@dataclass(frozen=True)
class Dependencies:
    """What one reading of the lists found: every two classes once, none with its own family, and each one's companions."""

    rows: int
    classes: tuple[str, ...]
    clips: dict[str, int]
    pairs: tuple[Pair, ...]
    companions: dict[str, tuple[Pair, ...]]
    exclusions: tuple[Exclusion, ...]

    def pair(self, a: str, b: str) -> Pair | None:
        """Return the pair of two classes, in either order; None for an instrument and its family."""
        return next((pair for pair in self.pairs if {pair.a, pair.b} == {a, b}), None)

    def write(self, folder: Path) -> None:
        """Write cooccurrence.csv, companions.csv and exclusion.csv into the folder."""
        header = ("a", "b", "name_a", "name_b", "clips_a", "clips_b", "both", "share_of_a", "lift")
        for name, pairs in (("cooccurrence", self.pairs), ("companions", chain(*self.companions.values()))):
            written = ((*pair[:-1], f"{pair.share_of_a:.5f}", f"{pair.lift:.3f}") for pair in pairs)
            write_csv(folder / f"{name}.csv", header, written)
        counts = ("kept_out", "with_another", "either")
        rows = [
            (one.id, one.clips, *one.counts, *(f"{one.share(n):.5f}" for n in one.counts)) for one in self.exclusions
        ]
        write_csv(folder / "exclusion.csv", ["class", "clips", *counts, *(f"share_{name}" for name in counts)], rows)


def find_dependencies(
    segments: Iterable[Segment], classes: Sequence[ClipClass], ontology: Ontology, *, companions: int = 8
) -> Dependencies:
    """Count, in one reading, every pair of `classes` and each class's `companions` most frequent other labels.

    An instrument and its family make no pair. Companions are AudioSet labels as they stand in the list, other than the
    class's own and those above them.
    """
    rows = 0
    labels: Counter[str] = Counter()
    clips: Counter[str] = Counter()
    both: Counter[tuple[str, str]] = Counter()
    beside: dict[str, Counter[str]] = {held.id: Counter() for held in classes}
    excluded: dict[str, list[int]] = {held.id: [0, 0, 0] for held in classes}
    wanted = labels_of(classes)
    for segment in segments:
        rows += 1
        found = set(segment.labels)
        labels.update(found)
        if wanted.isdisjoint(found):
            continue
        carried = [held for held in classes if not held.include.isdisjoint(found)]
        for place, held in enumerate(carried):
            clips[held.id] += 1
            beside[held.id].update(found)
            both.update((held.id, other.id) for other in carried[place + 1 :] if apart(held.id, other.id))
            out = not held.exclude.isdisjoint(found)
            another = any(apart(held.id, other.id) for other in carried)
            for column, count in enumerate((out, another, out or another)):
                excluded[held.id][column] += count

    def pair(a: str, b: str, name_b: str, clips_b: int, together: int) -> Pair:
        lift = together * rows / (clips[a] * clips_b) if clips[a] and clips_b else 0.0
        return Pair(a, b, a, name_b, clips[a], clips_b, together, lift)

    found_beside = {}
    for held in classes:
        own = held.include | ontology.ancestors(held.include)
        most = sorted((-n, label) for label, n in beside[held.id].items() if label not in own)[:companions]
        pairs = (pair(held.id, label, ontology.name(label), labels[label], -negated) for negated, label in most)
        found_beside[held.id] = tuple(pairs)
    two = [(a.id, b.id) for a, b in combinations(classes, 2) if apart(a.id, b.id)]
    return Dependencies(
        rows,
        tuple(held.id for held in classes),
        {held.id: clips[held.id] for held in classes},
        tuple(pair(a, b, b, clips[b], both[a, b]) for a, b in two),
        found_beside,
        tuple(Exclusion(held.id, clips[held.id], *excluded[held.id]) for held in classes),
    )
