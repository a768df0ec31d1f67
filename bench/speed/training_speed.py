"""Steps a second of both recipes: ours, plain `fit` with its data in memory, and without input.

    python -m bench training_speed [--runs 3]
    python -m bench training_speed --bfloat16      mixed precision beside float32

Ours is what `whoplays train` does: rows out of memory-mapped files in a drawn order, for the recipe `default` also
crops, mixtures and masks drawn anew for each step, and averaged weights. `fit` gets arrays in memory and draws nothing.
"One batch again" is our step without any input: what is lost to it.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench.measure import in_turn, keep, row, seconds
from bench.speed.dataset_growth import clips
from whoplays import dataset
from whoplays.training import default, mfcc_cnn
from whoplays.training.augment import Examples
from whoplays.training.batches import chunks, shuffled_order
from whoplays.training.default import masked_crossentropy
from whoplays.training.framework import load_keras
from whoplays.training.settings import DefaultSettings
from whoplays.training.steps import FusedSteps, Objective
from whoplays.training.watch import Watcher

keras = load_keras()
from whoplays.training.networks import mfcc_cnn_network  # noqa: E402 - Keras is loaded quietly first

ARGUMENTS = ("--report-steps 400 --default-steps 5", "--bfloat16 --runs 5 --default-steps 4")


class Timed:
    """A stream of batches, and the seconds that were spent waiting for it."""

    def __init__(self) -> None:
        self.waited = 0.0

    def __call__(self, batches: Iterator[Any]) -> Iterator[Any]:
        while True:
            begun = time.perf_counter()
            one = next(batches, None)
            self.waited += time.perf_counter() - begun
            if one is None:
                return
            yield one


def built(folder: Path, kind: str, count: int) -> dataset.Dataset:
    """A data set of noise: the time does not depend on the sound. `mfcc` has five pitch variants."""
    source, out = folder / "source", folder / kind
    if not source.exists():
        source.mkdir()
        clips(source, count, 10.0, 30)
    pitch = (-2.0, -1.0, 0.0, 1.0, 2.0) if kind == "mfcc" else (0.0,)
    dataset.build(source, out, dataset.BuildSettings(features=kind, pitch=pitch), jobs=1)
    return dataset.Dataset.open(out)


def rows_of(name: str, steps: int, work: tuple[Callable[[], Any], ...], timed: Timed, runs: int) -> dict[str, Any]:
    """Measure (ours, fit, one batch again), each of which takes `steps` steps."""
    ours, fit, again = work
    ours(), fit(), again()
    timed.waited = 0.0
    mine, theirs = in_turn(ours, fit, runs=runs, warm_up=0)
    waited = timed.waited / sum(mine)
    alone = seconds(again, runs=runs, warm_up=0)
    ratios = sorted(b / a for a, b in zip(mine, theirs, strict=True))
    return {
        "recipe": name,
        "ours, steps a second": steps / statistics.median(mine),
        "plain fit, steps a second": steps / statistics.median(theirs),
        "ours / fit": f"{statistics.median(ratios):.2f}x ({ratios[0]:.2f}-{ratios[-1]:.2f}, {runs} runs)",
        "one batch again, steps a second": steps / statistics.median(alone),
        "waiting for input": f"{waited:.1%}",
    }


def of_report(found: dataset.Dataset, steps: int, runs: int) -> dict[str, Any]:
    """The recipe `mfcc-cnn`: batch 2, Adam."""
    split = mfcc_cnn.usable(found.split("training"), "softmax")
    order, timed = shuffled_order(len(split), seed=0, epoch=1)[: 2 * steps], Timed()
    step = FusedSteps(mfcc_cnn_network(20, 20, 3), keras.optimizers.Adam(1e-5), Objective("softmax"))
    fitted = mfcc_cnn_network(20, 20, 3)
    fitted.compile(keras.optimizers.Adam(1e-5), "categorical_crossentropy", metrics=["accuracy", "precision", "recall"])
    x, y = split.features[order], split.targets[order]
    held = list(chunks(split, order, batch_size=2))

    def ours() -> None:
        for chunk in timed(chunks(split, order, batch_size=2)):
            step(chunk.features, chunk.targets, chunk.weights)

    def again() -> None:
        for chunk in itertools.repeat(held[0], len(held)):
            step(chunk.features, chunk.targets, chunk.weights)

    def fit() -> None:
        fitted.fit(x, y, batch_size=2, shuffle=False, verbose=0)

    return rows_of("mfcc-cnn, batch 2", steps, (ours, fit, again), timed, runs)


def default_run(found: dataset.Dataset, folder: Path, steps: int) -> Any:
    """A run of the recipe `default` that is ready to go through an epoch of `steps`."""
    training = default.DatasetPool(found, "training")
    settings = DefaultSettings(steps_per_epoch=steps)
    run = default.DefaultRun(training, default.DatasetPool(found, "validation"), settings, folder, Watcher())
    run.begin()
    return run


def _targets(examples: Examples) -> dict[str, Any]:
    return {"logits": examples.clip, "frame_logits": examples.steps}


def of_default(found: dataset.Dataset, folder: Path, steps: int, runs: int) -> dict[str, Any]:
    """The recipe `default`: batch 64 of 5.12 s, AdamW with averaged weights."""
    run, peer, timed = default_run(found, folder / "a", steps), default_run(found, folder / "b", steps).model, Timed()
    losses = {"logits": masked_crossentropy(), "frame_logits": masked_crossentropy()}
    peer.compile(keras.optimizers.AdamW(2e-3, clipnorm=2.0), losses)
    held = [(e.features, _targets(e)) for e in run._batches(1)]
    x = np.concatenate([features for features, _ in held])
    y = {name: np.concatenate([targets[name] for _, targets in held]) for name in held[0][1]}

    def ours() -> None:
        for examples in timed(run._batches(1)):
            run._learn(examples.features, _targets(examples))

    def again() -> None:
        for _ in range(steps):
            run._learn(*held[0])

    def fit() -> None:
        peer.fit(x, y, batch_size=run.settings.batch_size, shuffle=False, verbose=0)

    return rows_of("default, batch 64", steps, (ours, fit, again), timed, runs)


def in_bfloat16(found: dataset.Dataset, folder: Path, steps: int, runs: int) -> None:
    """Keep what mixed precision brings: our step of the recipe `default` on one batch, beside the same in float32."""

    def work(name: str) -> Callable[[], None]:
        run = default_run(found, folder / name, steps)
        examples = run._batch(1, 1)

        def steps_again() -> None:
            for _ in range(steps):
                run._learn(examples.features, _targets(examples))

        return steps_again

    whole = work("whole")
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    half = work("half")
    keep(
        "training_precision",
        "Training in mixed precision",
        [
            row(
                "a step of the recipe default, batch 64, in bfloat16",
                *in_turn(half, whole, runs=runs),
                scale=1e3 / steps,
            )
        ],
        peer="the same in float32",
        packages=("keras", "tensorflow-cpu"),
        remarks="Two cores of a processor; weights and optimiser stay float32.",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--report-steps", type=int, default=500)
    parser.add_argument("--default-steps", type=int, default=8)
    parser.add_argument("--bfloat16", action="store_true", help="mixed precision beside float32, and nothing else")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = []
        if options.bfloat16:
            in_bfloat16(built(folder, "logmel", 240), folder, options.default_steps, options.runs)
            return
        rows.append(of_report(built(folder, "mfcc", 360), options.report_steps, options.runs))
        rows.append(of_default(built(folder, "logmel", 240), folder, options.default_steps, options.runs))
    keep(
        "training_speed",
        "Training: steps a second, and what input costs",
        rows,
        peer="Keras `fit`, arrays in memory, nothing drawn",
        packages=("keras", "tensorflow-cpu"),
        remarks=f"Two cores. {options.report_steps} steps a run of the report's "
        f"recipe, {options.default_steps} of the other, after one that compiles. `waiting for input`: share of our time.",
    )
