"""Recordings that are added to folders, or change, while a run watches them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ..inference import batch
from . import resumable_table


def marks(given: Iterable[str], how: str = "") -> dict[str, str]:
    """Return the mark of each recording that is there now. given: recordings and folders."""
    return {name: resumable_table.mark(name, how) for name in batch.recordings(given) if name != "-"}


def watch(given: Sequence[str], done: Mapping[str, str], *, every_s: float, how: str = "") -> Iterator[list[str]]:
    """Yield the recordings that are added to folders or change, once they have stopped changing.

    given: recordings and folders. done: the marks of recordings that need no result. every_s: seconds between two looks. how:
    what marks are made with.
    """
    known, before = dict(done), dict[str, str]()
    while True:
        time.sleep(every_s)
        now = marks(given, how)
        ready = [name for name, seen in now.items() if known.get(name) != seen and before.get(name) == seen]
        before = now
        if ready:
            yield ready
        known.update({name: marks([name], how).get(name, "") for name in ready})
