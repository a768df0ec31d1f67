"""What each epoch came to: kept in order, written as CSV, read back, and the rule when to stop."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

from ..storage.files import write_csv

Row = dict[str, float]


@dataclass
class History:
    """One row an epoch: epoch (from 1), steps, seconds; loss, accuracy, precision, recall, each with `val_` too."""

    rows: list[Row] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """Write history.csv: a header and one line an epoch, numbers in full."""
        header = list(self.rows[0]) if self.rows else ["epoch"]
        write_csv(path, header, [[_text(row[name]) for name in header] for row in self.rows])

    def column(self, name: str) -> list[float]:
        """Return one column, by epoch."""
        return [row[name] for row in self.rows]


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
