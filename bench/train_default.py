"""Train the model that ships, on rendered material; run again, it goes on where it was.

python bench/train_default.py MATERIAL MODEL [--epochs 61]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from whoplays.train import Watcher, train


class Lines(Watcher):
    """Prints a line an epoch."""

    def epoch(self, row: dict[str, float], *, best: bool) -> None:
        print(time.strftime("%X"), "  ".join(f"{name} {value:.4g}" for name, value in row.items()), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("material", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--epochs", type=int, default=61)
    asked = parser.parse_args()
    settings = {"epochs": asked.epochs, "steps_per_epoch": 150}
    train(asked.material, recipe="default", out=asked.model, resume=True, watcher=Lines(), **settings)


if __name__ == "__main__":
    main()
