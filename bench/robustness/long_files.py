"""`whoplays predict` over 100,000 short files, killed on the way and gone on with: memory, handles, and every result.

python -m bench long_files [--files 100000] [--jobs 2] [--minutes 600] [--whole-window]

The files are a hundred different ones under many names: WAV, FLAC, Ogg and MP3 of a second, ten of them damaged. Without
--whole-window the shipped model analyses a second as it is instead of filling it up to ten, which would take most of
the time. After --minutes what is reached is kept.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from bench.processes import children
from bench.robustness import watching
from whoplays.examples import synth
from whoplays.model import folder as model_folder

RUN = "predict, short files"
DIFFERENT, BAD = 100, 10
FORMS = (("wav", 44100), ("flac", 22050), ("ogg", 48000), ("mp3", 32000))
FAMILIES = (["guitar"], ["drums"], ["strings"], ["brass", "drums"], ["piano"])
PER_FOLDER = 1000


def sources(folder: Path) -> list[Path]:
    """A hundred recordings, the last ten of which cannot be used."""
    folder.mkdir()
    found = []
    for i in range(DIFFERENT):
        kind, rate = FORMS[i % len(FORMS)]
        path = folder / f"{i:02d}.{kind}"
        soundfile.write(path, synth.recording(FAMILIES[i % 5], duration_s=1, seed=i, sample_rate=rate), rate)
        if i >= DIFFERENT - BAD:
            content = path.read_bytes()
            damaged = (b"", b"no recording", content[:20], bytes(5000), np.random.default_rng(i).bytes(5000))
            path.write_bytes(damaged[i % 5])
        found.append(path)
    return found


def names(folder: Path, originals: list[Path], count: int) -> None:
    for i in range(count):
        parent = folder / f"{i // PER_FOLDER:04d}"
        if i % PER_FOLDER == 0:
            parent.mkdir(parents=True)
        original = originals[i % DIFFERENT]
        (parent / f"{i:06d}-{i % DIFFERENT:02d}{original.suffix}").hardlink_to(original)


def model(folder: Path, whole_window: bool) -> Path:
    """A copy of the model that ships."""
    shutil.copytree(model_folder.read(None).folder, folder)
    if not whole_window:
        config = json.loads((folder / model_folder.CONFIG).read_text())
        (folder / model_folder.CONFIG).write_text(json.dumps({**config, "min_window_s": 1.0}))
    return folder


class Lines:
    """How many lines a file has that grows, and is emptied at its end."""

    def __init__(self, path: Path) -> None:
        self.path, self.at, self.count = path, 0, 0

    def __call__(self) -> float:
        try:
            with self.path.open("rb") as file:
                file.seek(self.at)
                more = file.read()
        except OSError:
            return self.count
        self.at += len(more)
        self.count += more.count(b"\n")
        return self.count


def run(
    command: list[str], log: Path, done: Lines, until: float, ends: float
) -> tuple[watching.Watch, int | None, list[int]]:
    """Run until so many are done, or it ends, or the time is over; killed, it ends with None. And its decoders."""
    with log.open("w") as said:
        process = subprocess.Popen(command, stderr=said, env={**os.environ, "OMP_NUM_THREADS": "1"})
    roles = {"the command": lambda: [process.pid], "its decoders": lambda: children(process.pid)}
    decoders: list[int] = []
    with watching.Watch(roles, done, every_s=5) as watch:
        while process.poll() is None:
            time.sleep(0.5)
            decoders = children(process.pid) or decoders
            if done.count >= until or time.monotonic() > ends:
                process.send_signal(signal.SIGKILL)
                process.wait()
                return watch, None, decoders
    return watch, process.returncode, decoders


def wait_for_end(pids: list[int]) -> int:
    """How many processes are left half a minute after whom they worked for was killed."""
    left = [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    for _ in range(60):
        left = [pid for pid in left if Path(f"/proc/{pid}").exists()]
        if not left:
            break
        time.sleep(0.5)
    return len(left)


def rows_of(table: Path) -> Iterator[dict[str, Any]]:
    for path in (table, table.with_name(table.name + ".journal")):
        if path.exists():
            with path.open() as file:
                yield from (json.loads(line) for line in file if line.endswith("\n"))


def summary(table: Path, count: int) -> str:
    """Sum up the results."""
    first: dict[int, str] = {}
    seen: set[str] = set()
    twice = differing = failures = 0
    for row in rows_of(table):
        name = Path(row["path"]).stem
        twice += name in seen
        seen.add(name)
        i = int(name.split("-")[1])
        failures += "error" in row
        result = json.dumps({key: value for key, value in row.items() if key not in ("path", "seen")})
        differing += first.setdefault(i, result) != result
        differing += ("error" in row) != (i >= DIFFERENT - BAD)
    return (
        f"{len(seen):,} of {count:,} files have a result, {twice} of them twice; {failures:,} are failures, "
        f"each with a one-line message; {differing} results differ from those of the same sound under another name."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=600)
    parser.add_argument("--whole-window", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        folder = Path(name)
        names(folder / "in", sources(folder / "sources"), args.files)
        table, log = folder / "results.jsonl", folder / "said"
        command = [sys.executable, "-m", "whoplays", "predict", str(folder / "in"), "--jobs", str(args.jobs)]
        command += ["--model", str(model(folder / "model", args.whole_window)), "--out", str(table)]
        done = Lines(table.with_name(table.name + ".journal"))
        ends = time.monotonic() + 60 * args.minutes
        first, _, decoders = run(command, log, done, args.files / 10, ends)
        left = wait_for_end(decoders)
        print(f"killed at {done.count}; {left} processes left", flush=True)
        second, status, _ = run([*command, "--resume"], log, done, float("inf"), ends)
        how = f"ended with status {status}" if status is not None else f"was stopped at {done.count:,} for want of time"
        outcome = f"Killed (-9) after {first.found['the command'][-1].done:,.0f} files, {left} of its processes were left; gone "
        outcome += f"on with, it {how}. {summary(table, args.files)}"
        # one result shows the cost of keeping results: the table is written from memory at the end
        watching.keep(RUN, second.rows(RUN, 10_000, "files"), outcome)
