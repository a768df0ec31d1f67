"""Reading healthy recordings, from file to mono blocks that have been measured, against an earlier checkout.

    python -m bench reading --before CHECKOUT

The plain path must not pay for what looks after damaged, joined and headerless files. Processor time, which a busy machine
hardly changes, of a process each, in turn.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

import whoplays
from bench.measure import keep, row
from whoplays.examples import synth

ARGUMENTS = ()  # of a group's run: none, since there is no earlier checkout in one

RUNS = 15
SECONDS = 15
READ = """
import sys, time
from whoplays.audio import quality, reading

def read(path):
    if hasattr(reading, "open_recording"):
        with reading.open_recording(path, sample_rate=22050) as recording:
            n = sum(map(len, recording.blocks()))
            recording.warnings(n / 22050)
    else:
        with reading.open_audio(path) as reader:
            meter = quality.Meter(reader.info.sample_rate)
            n = sum(map(len, reading.stream(quality.Metered(reader, meter), sample_rate=22050)))
            meter.cautions(n / 22050)

for path in sys.argv[1:]:
    read(path)
    begun = time.process_time()
    for _ in range(2):
        read(path)
    print((time.process_time() - begun) / 2)
"""


def processor_s(files: list[Path], source: Path) -> list[float]:
    """Return the processor seconds of reading each file with the whoplays in a folder."""
    environment = {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", READ, *map(str, files)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return [float(line) for line in done.stdout.splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", required=True)
    other = parser.parse_args().before / "src"
    own = Path(whoplays.__file__).parents[1]
    one = synth.recording(["guitar", "drums"], duration_s=SECONDS, seed=1, sample_rate=44100)
    stereo = np.stack([one, 0.8 * np.roll(one, 300)], axis=1)
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, f"plain.{kind}") for kind in ("wav", "flac", "mp3", "ogg")]
        for file in files:
            soundfile.write(file, stereo, 44100)
        pairs = [(processor_s(files, own), processor_s(files, other)) for _ in range(RUNS)]
    rows = [
        row(
            f"{file.suffix[1:].upper()}, {SECONDS} s, 44.1 kHz, stereo",
            [ours[i] for ours, _ in pairs],
            [before[i] for _, before in pairs],
            note="peer: the other checkout",
        )
        for i, file in enumerate(files)
    ]
    keep(
        "reading",
        "Reading healthy recordings: processor time, beside an earlier checkout",
        rows,
        peer="the checkout before files were looked through for joined streams, wrong lengths and damage",
        packages=("soundfile", "soxr", "numpy"),
    )


if __name__ == "__main__":
    main()
