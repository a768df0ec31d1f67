"""What a training run tells while it runs. Recipes call it; the command line shows it; by default nobody listens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: Goes through the epochs of a run in other processes, which leave their checkpoint in its folder; returns "interrupted"
#: when it was stopped on the way with at least one epoch done, else "".
Elsewhere = Callable[[], str]


class Watcher:
    """Override what you want to know."""

    def begin(self, facts: dict[str, Any]) -> None:
        """The run begins or goes on: rows, labels, steps per epoch, epochs, epoch it begins with, what was left out."""

    def step(self, epoch: int, done: int, total: int, figures: dict[str, float]) -> None:
        """Steps `done` of `total` in `epoch` (from 1); figures: loss, accuracy ... over the epoch so far."""

    def epoch(self, row: dict[str, float], *, best: bool) -> None:
        """An epoch is over; row: as in history.csv."""

    def say(self, message: str) -> None:
        """One line for people."""
