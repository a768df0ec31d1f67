"""The network on many windows of 10 s in one call, against one call for each; one thread, in turn.

python -m bench batched [--runs 15] [--sizes 4,8,16]
"""

from __future__ import annotations

import argparse

import numpy as np

from bench.measure import in_turn, keep, row
from whoplays.examples import synth
from whoplays.features import compute
from whoplays.inference.recogniser import Recogniser

SMALL = "--runs 3 --sizes 4"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--sizes", default="4,8,16")
    options = parser.parse_args()
    recogniser = Recogniser()
    settings = recogniser.config.features
    rows = []
    for size in map(int, options.sizes.split(",")):
        windows = np.stack(
            [
                compute(synth.recording(["piano"], duration_s=10, seed=i, sample_rate=settings.sample_rate), settings)
                for i in range(size)
            ]
        )

        def one_by_one(windows: np.ndarray = windows) -> None:
            for window in windows:
                recogniser.logits(window[None])

        def together(windows: np.ndarray = windows) -> None:
            recogniser.logits(windows)

        times = in_turn(together, one_by_one, runs=options.runs, warm_up=3)
        rows.append(row(f"a window, {size} to a call", *times, scale=1e3 / size, aim="1.05x, to be worth it"))
    keep(
        "batched",
        "Calling the network for several recordings at once",
        rows,
        peer="a call for each window",
        packages=("onnxruntime",),
        remarks="Windows of 10 s, one thread.",
    )
