"""What a training run reports, while it runs and at its end: the history of its epochs, and the rule when to stop."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..storage.files import write_csv

#: One epoch: epoch (from 1), steps, seconds; then figures such as loss and accuracy, those of validation with `val_`.
Row = dict[str, float]

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
    history: list[Row]
    stopped: str = "epochs"
    best_epoch: int = 0
    validation: dict[str, float] = field(default_factory=dict)
    already_there: bool = False


class Watcher:
    """Override what you want to know. Recipes call it; the command line shows it."""

    def begin(self, facts: dict[str, Any]) -> None:
        """The run begins or goes on: rows, labels, steps per epoch, epochs, epoch it begins with, what was left out."""

    def step(self, epoch: int, done: int, total: int, figures: dict[str, float]) -> None:
        """Steps `done` of `total` in `epoch` (from 1); figures: loss, accuracy ... over the epoch so far."""

    def epoch(self, row: Row, *, best: bool) -> None:
        """An epoch is over; row: as in history.csv."""

    def say(self, message: str) -> None:
        """One line for people."""


def write_history(path: Path, rows: Sequence[Row]) -> None:
    """Write history.csv: a header and one line an epoch, numbers in full."""
    header = list(rows[0]) if rows else ["epoch"]
    write_csv(path, header, [[_text(row[name]) for name in header] for row in rows])


def _text(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))


@dataclass
class EarlyStopping:
    """Keras' rule: stop when `monitor` has not fallen below its best for `patience` epochs."""

    monitor: str = "val_loss"
    patience: int = 10
    best: float = math.inf
    best_epoch: int = 0
    waited: int = 0

    def see(self, row: Row) -> bool:
        """Take in an epoch; return whether it is the best so far."""
        if row[self.monitor] < self.best:
            self.best, self.best_epoch, self.waited = row[self.monitor], int(row["epoch"]), 0
            return True
        self.waited += 1
        return False

    @property
    def over(self) -> bool:
        """Whether it is time to stop."""
        return self.waited >= self.patience
