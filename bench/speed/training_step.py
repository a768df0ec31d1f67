"""A training step of the report's network at batch 2: ours against plain Keras `fit`, in turn, in one run.

    python -m bench training_step [--steps 1500] [--runs 5]

Made-up features; the time does not depend on what is in them.
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

import numpy as np

from bench.measure import in_turn, keep, row
from whoplays.dataset import Split
from whoplays.training.batches import chunks
from whoplays.training.framework import load_keras
from whoplays.training.steps import FusedSteps, Objective, Tally

keras = load_keras()

from whoplays.training.networks import mfcc_cnn_network  # noqa: E402 - Keras is loaded quietly first

ARGUMENTS = ("--steps 500 --runs 7",)
SMALL = "--steps 100 --runs 2"
METRICS = ("accuracy", "precision", "recall")


def made(n: int) -> Split:
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 5, n)
    x = (rng.normal(size=(n, 20, 20)) * 20 + 5 * classes[:, None, None]).astype(np.float32)
    zeros = np.zeros(n, np.float32)
    return Split("made", x, np.eye(5, dtype=np.float32)[classes], np.arange(n), zeros, ("",) * n, zeros)  # type: ignore[arg-type]


def plain(*, own_dropout: bool, **how: Any) -> Any:
    """The report's network, compiled as its author would; own_dropout: with Keras' own dropout layer."""
    model = mfcc_cnn_network(20, 20, 5)
    if own_dropout:
        model = keras.models.clone_model(model, clone_function=_with_keras_dropout)
    model.compile(keras.optimizers.Adam(1e-5), "categorical_crossentropy", metrics=list(METRICS), **how)
    return model


def _with_keras_dropout(layer: Any) -> Any:
    if layer.name.startswith("dropout"):
        return keras.layers.Dropout(layer.rate, name=layer.name)
    return layer.__class__.from_config(layer.get_config())


def fitted(model: Any, split: Split) -> dict[str, float]:
    found = model.fit(split.features, split.targets, batch_size=2, shuffle=False, verbose=0).history
    return {name: values[-1] for name, values in found.items()}


class Ours:
    """Epochs of fused steps over the rows in their order, read as in training."""

    def __init__(self) -> None:
        self.steps = FusedSteps(mfcc_cnn_network(20, 20, 5), keras.optimizers.Adam(1e-5), Objective("softmax"))

    def __call__(self, split: Split) -> dict[str, float]:
        tally = Tally()
        for chunk in chunks(split, np.arange(len(split)), batch_size=2):
            tally.add(self.steps(chunk.features, chunk.targets, chunk.weights))
        return tally.figures()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    split = made(2 * options.steps)
    difference = max(abs(a - b) / abs(b) for a, b in _same_epoch(split))
    peers = {
        "plain fit": plain(own_dropout=True),
        "fit, steps_per_execution=100": plain(own_dropout=True, steps_per_execution=100),
        "fit, jit_compile, steps_per_execution=100": plain(own_dropout=True, steps_per_execution=100, jit_compile=True),
        "plain fit, our dropout": plain(own_dropout=False),
    }
    ours, rows = Ours(), []
    for name, model in peers.items():
        times = in_turn(lambda: ours(split), partial(fitted, model, split), runs=options.runs)
        aim = "5x" if name == "plain fit" else ""
        rows.append(row(f"a step at batch 2, against {name}", *times, scale=1e3 / options.steps, aim=aim))
    keep(
        "training_step",
        "Training step of the report's network",
        rows,
        peer="Keras `fit` on TensorFlow",
        packages=("keras", "tensorflow-cpu"),
        remarks=f"{options.steps} steps a run, after one that compiles. Loss, accuracy, precision and recall of a first epoch "
        f"from the same weights, order and dropout differ from plain `fit` by at most {difference:.1e} (relative).",
    )


def _same_epoch(split: Split) -> list[tuple[float, float]]:
    found, expected = Ours()(split), fitted(plain(own_dropout=False), split)
    return [(found[name], expected[name]) for name in ("loss", *METRICS)]
