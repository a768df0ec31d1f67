"""Which clips to fetch: drawn from the lists, balanced, seeded, one of each video.

Every video has a place in a random order that depends on the seed and its id alone (a keyed hash), and a class takes
the first N in that order. So the draw does not depend on the order of rows or of lists, a larger N only adds clips,
and what must be kept in memory is what is taken, not the list.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice

from ...errors import UsageError
from ...taxonomy.catalogue import catalogue
from ...taxonomy.tree import Tree
from .classes import ClipClass, apart, label_order
from .lists import Segment, SegmentList

#: Stand-ins for each clip that is wanted: of AudioSet's videos a third and more are gone by now.
DEFAULT_RESERVE = 1.0


@dataclass(frozen=True)
class PlannedClip:
    """One clip to fetch.

    family: the class it was drawn for. labels: the AudioSet ids of its row. families: every class and family that it
    is an example of. unsure: those that it may or may not hold. rank: its place in its class, from 1; the first N are
    wanted, later ones stand in for those that are lost.
    """

    video_id: str
    start_ms: int
    end_ms: int
    family: str
    labels: tuple[str, ...]
    families: tuple[str, ...]
    unsure: tuple[str, ...] = ()
    rank: int = 1

    def file(self, ending: str) -> str:
        """Return its path in a folder of clips. Its parts are checked letter by letter where the plan is read."""
        return f"{self.family}/{self.video_id}_{self.start_ms}.{ending}"


@dataclass
class ClassTally:
    """What became of the rows that carry a class: each is counted once."""

    rows: int = 0
    kept_out: int = 0
    kept_out_by: Counter[str] = field(default_factory=Counter)
    with_another: int = 0
    eligible: int = 0
    taken: int = 0
    stand_ins: int = 0

    @property
    def not_drawn(self) -> int:
        """Rows that would do, but are not needed: beyond N, another clip of the same video, taken for another class."""
        return self.eligible - self.taken - self.stand_ins


@dataclass
class Plan:
    """The clips to fetch and those that may stand in for them, class by class in order of rank.

    rows: how many were offered; related: how many of them carry a label of one of the classes.
    """

    clips: list[PlannedClip]
    stand_ins: list[PlannedClip]
    tallies: dict[str, ClassTally]
    rows: int
    related: int


@dataclass(frozen=True)
class Draw:
    """How to draw. per_class: clips wanted of each class, None for all there are. reserve: stand-ins for each of them.

    solo: only clips that carry exactly one of the classes, of which an instrument and its family count as one.
    clips_per_video: 1, or 0 for all.
    """

    per_class: int | None = None
    reserve: float = DEFAULT_RESERVE
    seed: int = 0
    solo: bool = False
    clips_per_video: int = 1

    def __post_init__(self) -> None:
        if self.per_class is not None and self.per_class < 1:
            raise UsageError(f"--per-class {self.per_class}: at least 1")
        if not 0 <= self.reserve <= 100:
            raise UsageError(f"--reserve {self.reserve}: stand-ins for each clip, from 0 to 100")
        if self.clips_per_video not in (0, 1):
            raise UsageError(f"--clips-per-video {self.clips_per_video}: 1, or 0 for all")

    @property
    def kept(self) -> int | None:
        """Clips of a class that the plan needs at most, stand-ins included."""
        return None if self.per_class is None else self.per_class + int(self.per_class * self.reserve)


def make_plan(
    segments: Iterable[Segment], classes: Sequence[ClipClass], draw: Draw, *, considered: Sequence[ClipClass] = ()
) -> Plan:
    """Draw the clips of `classes` from `segments`, read once.

    considered: further classes that each clip is held against, though none is drawn for them: so that plans made one after
    the other, of pianos and then of guitars, can be used together.
    A clip that is an example of several classes is drawn for the one with the fewest examples in the list.
    """
    tallies = {held.id: ClassTally() for held in classes}
    # A clip may be drawn for another class after all, so each class remembers enough to fill its places without any
    # clip that the others could take from it.
    limit = None if draw.kept is None else draw.kept * len(classes)
    pools = {held.id: _Pool(limit) for held in classes}
    key = str(draw.seed).encode()[:64]
    wanted = labels_of(classes)
    rows = related = 0
    for segment in segments:
        rows += 1
        if wanted.isdisjoint(segment.labels):
            continue
        related += 1
        for name in _examples(segment, classes, tallies, draw.solo):
            video, clip = _places(segment, key)
            pools[name].offer(video if draw.clips_per_video else clip, clip, segment)
    others = [held for held in considered if held.id not in tallies]
    clips, stand_ins = _share_out(pools, tallies, classes, others, draw)
    return Plan(clips, stand_ins, tallies, rows, related)


def plan_from_lists(
    lists: Sequence[SegmentList], classes: Sequence[ClipClass], draw: Draw, *, considered: Sequence[ClipClass] = ()
) -> Plan:
    """Draw from whole lists: the same as `make_plan`, without making anything of the rows that matter to no class."""
    wanted = labels_of(classes)
    plan = make_plan(chain.from_iterable(held.carrying(wanted) for held in lists), classes, draw, considered=considered)
    plan.rows = sum(held.rows for held in lists)
    return plan


def labels_of(classes: Iterable[ClipClass]) -> frozenset[str]:
    """Return every label that one of the classes takes in."""
    return frozenset().union(*(held.include for held in classes))


def _examples(segment: Segment, classes: Sequence[ClipClass], tallies: dict[str, ClassTally], solo: bool) -> list[str]:
    """Return the classes that the segment is an example of, and count why it is none of the others that it carries."""
    carried = [held for held in classes if not held.include.isdisjoint(segment.labels)]
    found = []
    for held in carried:
        tally = tallies[held.id]
        tally.rows += 1
        if not held.exclude.isdisjoint(segment.labels):
            tally.kept_out += 1
            tally.kept_out_by.update(held.exclude.intersection(segment.labels))
        elif solo and any(apart(held.id, other.id) for other in carried):
            tally.with_another += 1
        else:
            tally.eligible += 1
            found.append(held.id)
    return found


def _places(segment: Segment, key: bytes) -> tuple[int, int]:
    """Return the places of the segment's video and of the segment itself in the random order of the seed."""
    video = hashlib.blake2b(segment.video_id.encode(), digest_size=8, key=key)
    clip = video.copy()
    clip.update(b"%d" % round(segment.start_s * 1000))
    return int.from_bytes(video.digest(), "big"), int.from_bytes(clip.digest(), "big")


class _Pool:
    """The candidates of one class: the first `limit` places of the random order, one clip for each place."""

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.held: dict[int, tuple[int, str]] = {}
        self._largest: list[int] = []  # the places held, negated: a heap whose top is the first to go

    def offer(self, place: int, clip: int, segment: Segment) -> None:
        """Keep the segment if its place is among the first; of two clips in one place, the one that comes first."""
        held = self.held.get(place)
        if held is not None:
            if clip < held[0]:
                self.held[place] = (clip, _pack(segment))
            return
        if self.limit is not None:
            if len(self.held) >= self.limit:
                if place > -self._largest[0]:
                    return
                del self.held[-heapq.heapreplace(self._largest, -place)]
            else:
                heapq.heappush(self._largest, -place)
        self.held[place] = (clip, _pack(segment))


def _pack(segment: Segment) -> str:
    """Return the segment as one string: a fifth of the memory that its parts take."""
    start, end = round(segment.start_s * 1000), round(segment.end_s * 1000)
    return f"{segment.video_id},{start},{end},{','.join(segment.labels)}"


def _share_out(
    pools: dict[str, _Pool],
    tallies: dict[str, ClassTally],
    classes: Sequence[ClipClass],
    others: Sequence[ClipClass],
    draw: Draw,
) -> tuple[list[PlannedClip], list[PlannedClip]]:
    """Give each candidate to one class, the rarest first: the wanted of all classes, then the stand-ins of all."""
    considered = sorted([*classes, *others], key=lambda held: label_order(held.id))
    tree = catalogue().select(held.id for held in considered if held.id in catalogue())
    rarest_first = sorted(classes, key=lambda held: (tallies[held.id].eligible, held.id))
    orders = {name: iter(sorted(pool.held)) for name, pool in pools.items()}
    given: set[int] = set()
    shares: dict[str, list[int]] = {held.id: [] for held in classes}
    for size in (draw.per_class, draw.kept):
        for held in rarest_first:
            share, free = shares[held.id], (place for place in orders[held.id] if place not in given)
            share += islice(free, None if size is None else size - len(share))
            given.update(share)
    clips: list[PlannedClip] = []
    stand_ins: list[PlannedClip] = []
    for held in classes:
        share = shares[held.id]
        wanted = len(share) if draw.per_class is None else min(draw.per_class, len(share))
        tallies[held.id].taken, tallies[held.id].stand_ins = wanted, len(share) - wanted
        for rank, place in enumerate(share, start=1):
            clip = _planned(pools[held.id].held[place][1], held.id, considered, tree, rank)
            (clips if rank <= wanted else stand_ins).append(clip)
    return clips, stand_ins


def _planned(packed: str, family: str, classes: Sequence[ClipClass], tree: Tree, rank: int) -> PlannedClip:
    """Return the clip, held against all `classes`. tree: those of them that are known labels."""
    video_id, start, end, *labels = packed.split(",")
    carried = [held for held in classes if not held.include.isdisjoint(labels)]
    clear = {held.id for held in carried if held.exclude.isdisjoint(labels)}
    doubtful = {held.id for held in classes if held not in carried and not held.ambiguous.isdisjoint(labels)}
    doubtful |= {held.id for held in carried} - clear
    known = dict(zip(tree.ids, tree.targets(clear, doubtful), strict=True))
    clear = {name for name in clear if name not in known} | {name for name in known if known[name] == 1}
    doubtful = {name for name in doubtful if name not in known} | {name for name in known if known[name] is None}
    families, unsure = (tuple(held.id for held in classes if held.id in names) for names in (clear, doubtful))
    return PlannedClip(video_id, int(start), int(end), family, tuple(labels), families, unsure, rank)
