"""What a clip costs `dataset build` as the source grows: processor time and greatest memory, with five pitch variants.

    python -m bench dataset_growth [--sizes 1000,10000,100000] [--seconds 10] [--distinct 300] [--workers 2]

A few distinct recordings are made; the others are further names of them (hard links), so that the disk does not have to
hold 100,000. Every clip is decoded and computed all the same, but it is read from memory, not from the disk.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from bench.measure import keep

ARGUMENTS = ("--seconds 3",)
SMALL = "--sizes 100,400 --seconds 1"
RATE, CLASSES = 22050, ("drums", "guitar", "strings")
BUILD = """
import resource, sys
from pathlib import Path
from whoplays import dataset
settings = dataset.BuildSettings(pitch=(-2.0, -1.0, 0.0, 1.0, 2.0))
dataset.build(Path(sys.argv[1]), Path(sys.argv[2]), settings, jobs=int(sys.argv[3]))
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(*(u.ru_utime + u.ru_stime for u in used), *(u.ru_maxrss / 1024 for u in used))
"""


def clips(folder: Path, count: int, seconds: float, distinct: int) -> None:
    """Put `count` recordings into a folder for each class, `distinct` of them of their own."""
    rng = np.random.default_rng(0)
    made: list[Path] = []
    for i in range(count):
        path = folder / CLASSES[i % 3] / f"{i:06d}.wav"
        path.parent.mkdir(exist_ok=True)
        if i < distinct:
            soundfile.write(path, rng.normal(0, 0.1, round(seconds * RATE)), RATE)
            made.append(path)
        else:
            path.hardlink_to(made[i % distinct])


def measure(count: int, options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        source = Path(name, "source")
        source.mkdir()
        clips(source, count, options.seconds, options.distinct)
        begun = time.monotonic()
        command = [sys.executable, "-c", BUILD, str(source), str(Path(name, "out")), str(options.workers)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        seconds = time.monotonic() - begun
        size = sum(path.stat().st_size for path in Path(name, "out").iterdir())
    planner, workers, planner_memory, worker_memory = map(float, done.stdout.split())
    return {
        "clips": count,
        "hours of sound": round(count * options.seconds / 3600, 1),
        "minutes": round(seconds / 60, 2),
        "processor ms a clip": round((planner + workers) / count * 1e3, 2),
        "of them planning and writing tables": round(planner / count * 1e3, 2),
        "greatest memory of a worker, MB": round(worker_memory),
        "of the process that plans, MB": round(planner_memory),
        "data set, MB": round(size / 1e6),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1000,10000,100000")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--distinct", type=int, default=300)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    rows = []
    for size in options.sizes.split(","):
        rows.append(measure(int(size), options))
        keep(
            "dataset_growth",
            f"Building a data set: clips of {options.seconds:g} s, five pitch variants of those that train",
            rows,
            peer="none",
            packages=("soundfile", "soxr"),
            remarks=f"Worker processes: {options.workers}, start-up with them; the whole build, from listing the files to "
            f"the last table, on {options.distinct} distinct recordings under many names. 22.05 kHz mono WAV.",
        )
