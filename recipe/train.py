"""Train the model that ships, on scenes and softly labelled music; run again, it goes on where it was.

python -m recipe train MATERIAL MODEL --from BASE [--epochs 110] [--steps 150]

BASE is the model to begin as: default@3 when default@4 was made, default@6 for default@7 to default@9. Without it the network
learns from nothing, and needs some ten times as many steps. Half of each batch is music, half scenes.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from whoplays.errors import RenderError
from whoplays.training.default import DefaultRun, Pool, identity_of
from whoplays.training.run import carry_out
from whoplays.training.settings import DefaultSettings
from whoplays.training.watch import Trained, Watcher

from . import warmstart
from .labels import TREE
from .material import open_pools

#: As default@9 was trained: 16,600 steps of 64 crops of 5.12 s, half of them sums of two to four; the five families count twice.
SETTINGS: dict[str, Any] = {
    "batch_size": 64,
    "crop_steps": 16,
    "learning_rate": 1.0e-3,
    "ema": 0.998,
    "mix": 0.65,
    "partners": (0.5, 0.35, 0.15),
    "over_time": 0.7,
    "filters": (16, 48, 96, 192),
    "hidden": 768,
    "label_weights": dict.fromkeys(TREE.defaults, 2.0),
    "version": "9",
}


class Lines(Watcher):
    """Prints a line an epoch."""

    def epoch(self, row: dict[str, float], *, best: bool) -> None:
        """Print it."""
        print(time.strftime("%X"), "  ".join(f"{name} {value:.4g}" for name, value in row.items()), flush=True)


def train(
    pools: tuple[Pool, Pool],
    out: Path,
    settings: DefaultSettings,
    *,
    resume: bool = False,
    watcher: Watcher | None = None,
    start: warmstart.Base | None = None,
) -> Trained:
    """Train on pools of rows for training and validation, and write a model folder.

    Killed at any time, it goes on with `resume` from its last finished epoch; `epochs` may have changed then. start: what
    the network begins as, in place of weights drawn at random. Raises `DatasetError` for rows that do not fit, `UsageError`
    for a folder that holds another run.
    """

    def made(watcher: Watcher, part: tuple[int, int]) -> DefaultRun:
        if start:
            return warmstart.WarmRun(start, *pools, settings, out, watcher)
        return DefaultRun(*pools, settings, out, watcher)

    return carry_out(made, out, identity_of(settings, start.id if start else ""), resume=resume, watcher=watcher)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("material", type=Path, metavar="MATERIAL")
    parser.add_argument("model", type=Path, metavar="MODEL")
    parser.add_argument("--from", dest="base", type=Path, help="folder of the model to begin as")
    parser.add_argument("--epochs", type=int, default=110, help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=150, help="of an epoch (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if not (args.material / "training").is_dir():
        raise RenderError(
            f"{args.material} holds no scenes; draw some first: python -m recipe scenes DATA {args.material}"
        )
    settings = SETTINGS | {"epochs": args.epochs, "steps_per_epoch": args.steps, "seed": args.seed}
    settings["restart"] = args.epochs // 2
    train(
        open_pools(args.material),
        args.model,
        DefaultSettings(**settings),
        resume=True,
        watcher=Lines(),
        start=warmstart.read(args.base) if args.base else None,
    )


if __name__ == "__main__":
    main()
