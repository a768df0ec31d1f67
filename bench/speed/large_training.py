"""Training from a data set far larger than memory: 60 GB against 1 GB, the same steps in a drawn order.

    python -m bench large_training [--gigabytes 60] [--steps 400]

The files are sparse: their rows are zeros that take no room on the disk, but are mapped, drawn, read and trained on like any
others. So this measures our reading, the memory it holds and that neither grows; not a disk.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from bench.measure import keep

FRAMES, BANDS, BATCH = 501, 64, 32  # ten seconds of the default network's features
ROWS_A_SHARD = 4096

TRAIN = """
import json, os, sys, time
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
from pathlib import Path
import numpy as np
from whoplays.dataset import Split
from whoplays.dataset.store import Features
from whoplays.training.framework import load_keras
from whoplays.training.batches import chunks, shuffled_order
from whoplays.training.steps import FusedSteps, Objective

folder, steps, frames, bands, batch = Path(sys.argv[1]), *map(int, sys.argv[2:6])
keras = load_keras()
features = Features(sorted(folder.glob("*.npy")), (frames, bands))
n = len(features)
zeros = np.zeros(n, np.float32)
split = Split("made", features, np.tile(np.eye(5, dtype=np.float32)[:1], (n, 1)), np.zeros(n, np.int64), zeros, ("",) * n, zeros)
model = keras.Sequential([keras.Input((frames, bands)), keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(5)])
train = FusedSteps(model, keras.optimizers.Adam(1e-4), Objective("softmax"))

def status():
    lines = Path("/proc/self/status").read_text().splitlines()
    sizes = {line.split(":")[0]: int(line.split()[1]) / 1e6 for line in lines if line.endswith("kB")}
    return sizes["RssAnon"], sizes["RssFile"]

begun, rows, first = 0.0, 0, True
for chunk in chunks(split, shuffled_order(n, seed=0, epoch=0)[: (steps + 64) * batch], batch_size=batch):
    train(chunk.features, chunk.targets, chunk.weights)
    if first:
        begun, first = time.perf_counter(), False
    else:
        rows += chunk.rows
seconds = time.perf_counter() - begun
print(json.dumps([rows / batch / seconds, *status()]))
"""


def sparse(folder: Path, gigabytes: float) -> int:
    rows = int(gigabytes * 1e9 / (FRAMES * BANDS * 4))
    for number, first in enumerate(range(0, rows, ROWS_A_SHARD)):
        shape = (min(ROWS_A_SHARD, rows - first), FRAMES, BANDS)
        with (folder / f"{number:05d}.npy").open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
            file.truncate(file.tell() + int(np.prod(shape)) * 4)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=60)
    parser.add_argument("--steps", type=int, default=400)
    options = parser.parse_args()
    rows = []
    for size in (1.0, options.gigabytes, 1.0, options.gigabytes):
        with tempfile.TemporaryDirectory() as name:
            count = sparse(Path(name), size)
            command = [sys.executable, "-c", TRAIN, name, *map(str, (options.steps, FRAMES, BANDS, BATCH))]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            rate, own, mapped = json.loads(done.stdout.splitlines()[-1])
        rows.append(
            {
                "data set, GB": f"{size:g}",
                "examples": count,
                "steps a second": round(rate, 1),
                "own memory, GB": f"{own:.2f}",
                "mapped pages of files, GB": f"{mapped:.2f}",
                "aim, GB": "3",
            }
        )
    keep(
        "large_training",
        "Training from memory-mapped features: sparse files",
        rows,
        peer="none",
        packages=("keras", "tensorflow-cpu"),
        remarks=f"Batches of {BATCH} examples of {FRAMES} x {BANDS} in a drawn order; a network of one layer, so that "
        "reading is what is timed. Own memory holds TensorFlow; "
        "mapped pages are the system's cache, given back when memory is short.",
    )
