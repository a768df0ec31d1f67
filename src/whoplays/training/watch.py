"""What a training run tells, while it runs and at its end. Recipes call it; the command line shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: Goes through the epochs of a run in other processes, which leave their checkpoint in its folder; returns "interrupted"
#: when it was stopped on the way with at least one epoch done, else "".
Elsewhere = Callable[[], str]


@dataclass(frozen=True)
class Trained:
    """What training left: the model folder, a row of figures for each epoch, and why it stopped.

    stopped: "epochs", "early" or "interrupted". best_epoch: whose weights were kept, 0 where they are an average over epochs.
    validation: figures by name on the rows of validation. already_there: the run was over before.
    """

    folder: Path
    history: list[dict[str, float]]
    stopped: str = "epochs"
    best_epoch: int = 0
    validation: dict[str, float] = field(default_factory=dict)
    already_there: bool = False


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
