"""One run in one process and in several on this machine: the same global batch, the same validation loss?

    python -m bench cluster_train DATASET [--recipe mfcc-cnn] [--workers 2] [--seeds 3] [--epochs 20] [--batch-size 32]

DATASET is a data set with at least as many shards of training as workers. Nothing is timed: on one machine more processes
cannot be faster than its cores allow.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

from bench.measure import keep
from whoplays.cluster.train import train as train_together
from whoplays.training.recipes import train

ARGUMENTS = ()  # needs a data set


def run(options: argparse.Namespace, seed: int, workers: int) -> list[dict[str, float]]:
    """Return the history of one run."""
    settings: dict[str, Any] = {"epochs": options.epochs, "batch_size": options.batch_size, "seed": seed}
    settings["learning_rate"] = options.learning_rate
    settings |= {"patience": options.epochs} if options.recipe == "mfcc-cnn" else {}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "model")
        if workers == 1:
            done = train(options.dataset, recipe=options.recipe, out=out, **settings)
            return list(done.history)
        together = train_together(
            options.dataset, recipe=options.recipe, out=out, address="local", jobs=workers, **settings
        )
        return list(together.history)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--recipe", default="mfcc-cnn", choices=["mfcc-cnn", "default"])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    options = parser.parse_args()
    figure, pick = ("val_loss", min) if options.recipe == "mfcc-cnn" else ("val_map", max)
    rows: list[dict[str, Any]] = []
    ends: dict[int, list[tuple[float, float]]] = {1: [], options.workers: []}
    for seed in range(options.seeds):
        for workers in ends:
            figures = [row[figure] for row in run(options, seed, workers)]
            ends[workers].append((pick(figures), figures[-1]))
            rows.append(
                {
                    "recipe": options.recipe,
                    "seed": seed,
                    "workers": workers,
                    f"first {figure}": f"{figures[0]:.4f}",
                    f"last {figure}": f"{figures[-1]:.4f}",
                    f"best {figure}": f"{pick(figures):.4f}",
                }
            )
            print(rows[-1], flush=True)
    sentences = []
    for i, which in enumerate(("best", "last")):
        one, several = ([values[i] for values in found] for found in ends.values())
        spread = statistics.stdev(one) if options.seeds > 1 else float("nan")
        sentences.append(
            f"Mean of the {which} {figure}: {statistics.mean(one):.4f} in one process, {statistics.mean(several):.4f} in "
            f"{options.workers} (difference {statistics.mean(several) - statistics.mean(one):+.4f}); seeds alone make it "
            f"vary by {spread:.4f} (standard deviation of one process)."
        )
    keep(
        f"cluster_train_{options.recipe}",
        f"Training in {options.workers} processes, recipe {options.recipe}",
        rows,
        peer="one process, the same batch",
        packages=("keras", "tensorflow-cpu", "ray"),
        remarks=f"Batch {options.batch_size} in all. {' '.join(sentences)}",
    )
