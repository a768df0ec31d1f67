"""Thousands of short recordings through `whoplays predict --out TABLE --resume`, killed once on the way.

    python -m bench collection [--files 5000]

Counts what is lost and doubled (both have to be 0) and tells the rate. Recordings are made from formulas.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import soundfile

from bench.results import keep
from whoplays.examples import synth
from whoplays.results import table

SMALL = "--files 100"
RATE = 22050
FAMILIES = ("brass", "drums", "guitar", "piano", "strings")


def make(folder: Path, files: int) -> None:
    """Write short recordings: 50 that differ, again and again under other names."""
    contents = []
    for i in range(50):
        soundfile.write(
            folder / "x.wav", synth.recording([FAMILIES[i % 5]], duration_s=1.0, seed=i, sample_rate=RATE), RATE
        )
        contents.append((folder / "x.wav").read_bytes())
    (folder / "x.wav").unlink()
    for i in range(files):
        (folder / f"{i:05d}.wav").write_bytes(contents[i % 50])


def main() -> None:
    """Make, begin, kill, go on, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=5000)
    files = parser.parse_args().files
    with tempfile.TemporaryDirectory() as temporary:
        folder, out = Path(temporary) / "in", Path(temporary) / "results.parquet"
        folder.mkdir()
        make(folder, files)
        command = [sys.executable, "-m", "whoplays", "predict", str(folder), "--out", str(out), "--resume"]
        journal = out.with_name(out.name + ".journal")
        begun = time.monotonic()
        process = subprocess.Popen(command)
        while process.poll() is None and (not journal.exists() or journal.read_bytes().count(b"\n") < files * 0.4):
            time.sleep(0.05)
        if process.poll() is not None:
            raise SystemExit(f"it ended by itself, with status {process.returncode}, before it could be killed")
        process.send_signal(signal.SIGKILL)
        process.wait()
        kept = journal.read_bytes().count(b"\n")
        killed_s = time.monotonic() - begun
        begun = time.monotonic()
        subprocess.run(command, check=True)
        rest_s = time.monotonic() - begun
        paths = [Path(line["path"]).name for line in table.read(out)]
    lost = files - len(set(paths))
    doubled = len(paths) - len(set(paths))
    facts = {
        "recordings": files,
        "killed after": kept,
        "lost": lost,
        "doubled": doubled,
        "recordings/s": files / (killed_s + rest_s),
    }
    keep(
        "collection",
        "Many recordings, one kill -9",
        [facts],
        peer="none",
        packages=("onnxruntime", "pyarrow"),
        remarks="Recordings of 1 s into a Parquet table, killed once, gone on with by --resume.",
    )
    if lost or doubled:
        raise SystemExit("results were lost or doubled")
