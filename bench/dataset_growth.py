"""What a clip costs `dataset build` as the source grows: processor time and greatest memory, with five pitch variants.

    python bench/dataset_growth.py [--sizes 1000,10000] [--seconds 1]

Clips are short, so that 10,000 of them are made in a minute; the cost of the spectrum grows with their length, that of
listing, splitting and writing (what could grow with their number) does not.
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

from results import keep

RATE, CLASSES = 22050, ("drums", "guitar", "strings")
BUILD = """
import resource, sys
from pathlib import Path
from whoplays import dataset
settings = dataset.BuildSettings(pitch=(-2.0, -1.0, 0.0, 1.0, 2.0))
dataset.build(Path(sys.argv[1]), Path(sys.argv[2]), settings, workers=2)
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(sum(u.ru_utime + u.ru_stime for u in used), max(u.ru_maxrss for u in used) / 1024)
"""


def clips(folder: Path, count: int, seconds: float) -> None:
    rng = np.random.default_rng(0)
    for i in range(count):
        path = folder / CLASSES[i % 3] / f"{i:06d}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, rng.normal(0, 0.1, round(seconds * RATE)), RATE)


def measure(count: int, seconds: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        source = Path(name, "source")
        source.mkdir()
        clips(source, count, seconds)
        begun = time.monotonic()
        command = [sys.executable, "-c", BUILD, str(source), str(Path(name, "out"))]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        taken = time.monotonic() - begun
    used, memory = map(float, done.stdout.split())
    return {
        "clips": count,
        "seconds": round(taken, 1),
        "ms a clip": round(taken / count * 1e3, 2),
        "processor ms a clip": round(used / count * 1e3, 2),
        "greatest memory of a process, MB": round(memory),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1000,10000")
    parser.add_argument("--seconds", type=float, default=1.0)
    options = parser.parse_args()
    keep(
        "dataset_growth",
        f"Building a data set: clips of {options.seconds:g} s, five pitch variants of those that train",
        [measure(int(size), options.seconds) for size in options.sizes.split(",")],
        peer="none",
        packages=("soundfile", "soxr"),
        remarks="Two worker processes, start-up with them; the whole build, from listing the files to the last table.",
    )


if __name__ == "__main__":
    main()
