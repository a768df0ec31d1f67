"""The network in 8-bit whole numbers against itself: size, time, and quality on the development half of real/.

python -m bench quantise DATA MODEL --material MATERIAL [--keep]

MODEL: a folder in floating point, as recipe/float holds that of the package.

Ranges are measured once on scenes of MATERIAL's training part, and once, as `whoplays export --int8` does without
recordings, on sounds made from formulas.
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from bench import measure
from bench.quality.real import Tasks
from bench.quality.recognition import evaluate_model
from recipe.integers import windows as of_scenes
from whoplays.model import folder as model_folder
from whoplays.training.heads import opened
from whoplays.training.quantise import quantise, quantise_on

ARGUMENTS = ()  # needs rendered material
TOLD = ("mAP", "clips: F1", "duets: all found %", "false alarms: clips %", "calibration error")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--material", type=Path, required=True)
    parser.add_argument("--keep", action="store_true")
    args = parser.parse_args()
    tasks, rows = Tasks.of(args.data, "development"), []
    given = model_folder.read(args.model)
    windows = of_scenes(args.material)
    with tempfile.TemporaryDirectory() as made:
        single = opened(given.content(model_folder.NETWORK)).SerializeToString()  # weights may be kept in 16 bits
        plain = model_folder.write(Path(made) / "single", given.config, single, "")
        folders = {"32-bit floating point": plain.folder, "int8, ranges from scenes": Path(made) / "scenes"}
        folders["int8, ranges from formulas"] = Path(made) / "formulas"
        quantise_on(plain, folders["int8, ranges from scenes"], windows)
        quantise(args.model, folders["int8, ranges from formulas"])
        networks = {name: model_folder.Network(model_folder.read(folder)) for name, folder in folders.items()}
        times: dict[str, list[float]] = {name: [] for name in folders}
        for _ in range(15):
            for name, network in networks.items():
                times[name] += measure.seconds(partial(network.run, windows[0]), runs=1, warm_up=1)
        for name, folder in folders.items():
            figures = evaluate_model(folder, tasks)
            rows.append(
                {
                    "network": name,
                    "bytes": f"{(folder / model_folder.NETWORK).stat().st_size:,}",
                    "ms for 10 s, one core": f"{1e3 * float(np.median(times[name])):.2f}",
                }
                | {what.removesuffix(" %"): f"{figures[what][0]:.3f}" for what in TOLD}
            )
            print(rows[-1], flush=True)
    if args.keep:
        measure.keep(
            "quantise",
            f"{plain.config.id} in whole numbers",
            rows,
            peer="the same network in floating point, in turn",
            packages=("onnxruntime",),
            remarks="Quality: development half of real/; shares from 0 to 1.",
        )
