"""Train the model that ships, on rendered material; run again, it goes on where it was.

python -m recipe.train MATERIAL MODEL [--epochs 121] [--restart 61] [--steps 150] [--until 61]

With --until it stops after that epoch and writes the model as it is then: good enough to label music together with the
teacher (`python -m recipe head --student`). Run again without it, it goes on with the better labels.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from whoplays.training.recipes import Watcher, train


class Lines(Watcher):
    """Prints a line an epoch; ends the run early, as Ctrl-C would, when it was asked to."""

    def __init__(self, until: int) -> None:
        """until: the last epoch, 0 for all."""
        self._until = until

    def epoch(self, row: dict[str, float], *, best: bool) -> None:
        """Print it, and stop after the last that was asked for."""
        print(time.strftime("%X"), "  ".join(f"{name} {value:.4g}" for name, value in row.items()), flush=True)
        if row["epoch"] == self._until:
            raise KeyboardInterrupt


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("material", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--epochs", type=int, default=121)
    parser.add_argument("--restart", type=int, default=61)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--until", type=int, default=0)
    asked = parser.parse_args()
    settings = {"epochs": asked.epochs, "restart": asked.restart, "steps_per_epoch": asked.steps}
    train(asked.material, recipe="default", out=asked.model, resume=True, watcher=Lines(asked.until), **settings)


if __name__ == "__main__":
    main()
