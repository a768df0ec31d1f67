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

    Parameters
    ----------
    given : sequence of str
        Recordings and folders.
    done : mapping of str to str
        The marks of recordings that need no result.
    every_s : float
        Seconds between two looks.
    how : str
        What marks are made with.
    """
    watched = resumable_table.Watch(dict(done))
    while True:
        time.sleep(every_s)
        ready = watched.settled(marks(given, how))
        if ready:
            yield ready
        for name in ready:
            watched.finish(name, marks([name], how).get(name, ""))
