"""A folder of ten-second recordings: one core against two, order kept, memory on the way.

python -m bench many_files [--files 2000] [--runs 3]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import soundfile

from bench.measure import in_turn, keep, row
from whoplays.examples import synth

SMALL = "--files 200 --runs 1"
DIFFERENT = 20  # recordings that are made; the others are further names of them

PREDICT = """
import json, sys
from pathlib import Path
from whoplays.inference import batch
from whoplays.inference.recogniser import Recogniser

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

names = list(batch.recordings([sys.argv[1]]))
memory, paths = [], []
for i, result in enumerate(batch.predict_files(Recogniser(), names, jobs=int(sys.argv[2]))):
    paths.append(result.path)
    if i in (len(names) // 10, len(names) // 2, len(names) - 1):
        memory.append(resident())
print(json.dumps({"ordered": paths == names, "memory": memory}))
"""


def folder_of(folder: Path, files: int) -> None:
    families = [["guitar"], ["drums"], ["piano", "strings"], ["brass"]]
    for i in range(files):
        path = folder / f"{i:05d}.flac"
        if i < DIFFERENT:
            soundfile.write(path, synth.recording(families[i % 4], duration_s=10, seed=i, sample_rate=44100), 44100)
        else:
            path.hardlink_to(folder / f"{i % DIFFERENT:05d}.flac")


def predict(folder: Path, jobs: int) -> dict[str, Any]:
    # one core: held to one by the system, as far as it can
    pin = ["taskset", "-c", "0"] if jobs == 1 and hasattr(os, "sched_setaffinity") else []
    command = [*pin, sys.executable, "-c", PREDICT, str(folder), str(jobs)]
    answer: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert answer["ordered"], "results are not in the order of the files"
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder_of(Path(name), options.files)
        memory: dict[int, list[float]] = {}

        def run(jobs: int) -> None:
            memory[jobs] = predict(Path(name), jobs)["memory"]

        times = in_turn(lambda: run(2), lambda: run(1), runs=options.runs, warm_up=0)
    listed = "; ".join(f"{j} at a time {', '.join(f'{m:.0f}' for m in memory[j])}" for j in sorted(memory))
    keep(
        "many_files",
        "A folder of recordings of 10 s: two cores against one",
        [row(f"a file of {options.files}, 2 at a time", *times, scale=1e3 / options.files, aim="1.8x")],
        peer="the same on one core",
        packages=("onnxruntime", "soundfile"),
        remarks=f"Whole processes, start-up with them; results in the order of the names. Resident memory (MB) after a tenth, "
        f"half and all of the files: {listed}.",
    )
