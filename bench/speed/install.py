"""The README's first command: bytes that are fetched, bytes on the disk, seconds of installing and of the first prediction.

    python -m bench install [--runs 3]

Each installation makes an environment of its own and installs into it: once with an empty cache, and so over the network, then
from the cache.
Processor time is what a busy machine hardly changes; the network's pace is this machine's. The peer is librosa, the package
that most people who work with music in Python have: it brings no model.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.measure import keep

ROOT = Path(__file__).parents[2]
SMALL = "--runs 1"


def timed(*command: str | Path, folder: Path) -> tuple[float, float]:
    """Run a command in a folder, with what it needs of the environment; return seconds of the clock and of the processor."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([str(word) for word in command], cwd=folder, env=kept, capture_output=True, text=True)
    took, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stderr}")
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def size(folder: Path, *, without: str = "") -> float:
    """Return the megabytes of a folder's files, those in folders called `without` left out."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files if not without or without not in path.parts) / 1e6


def install(what: str, *, uv: Path | None, runs: int, folder: Path) -> tuple[dict[str, Any], Path]:
    """Install with pip, or uv; return the row, and the last environment."""
    cache, environment = folder / "cache", folder / "environment"
    steps: list[list[str | Path]] = [
        [sys.executable, "-m", "venv", environment],
        [environment / "bin" / "pip", "install", "-q", "--cache-dir", cache, what],
    ]
    if uv:
        steps = [
            [uv, "venv", "-q", "--python", sys.executable, environment],
            [uv, "pip", "install", "-q", "--python", environment, "--cache-dir", cache, what],
        ]
    found = []
    for _ in range(1 + runs):
        shutil.rmtree(environment, ignore_errors=True)
        empty = timed(*steps[0], folder=folder)
        before = size(environment, without="__pycache__")
        full = timed(*steps[1], folder=folder)
        found.append((empty[0] + full[0], empty[1] + full[1]))
    row = {
        "what": f"{'uv' if uv else 'pip'} install {'.' if what == str(ROOT) else what}",
        "fetched, MB": "" if uv else size(cache),
        "on the disk, MB": size(environment, without="__pycache__") - before,
        "from the network, s": found[0][0],
        "from the cache, s": statistics.median(wall for wall, _ in found[1:]),
        "processor time of that, s": statistics.median(processor for _, processor in found[1:]),
    }
    return row, environment


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="installations from the cache, of each kind")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tools").mkdir()
        subprocess.run([sys.executable, "-m", "venv", folder / "tools"], check=True)
        subprocess.run([folder / "tools" / "bin" / "pip", "install", "-q", "uv"], check=True)
        uv = folder / "tools" / "bin" / "uv"
        for what, tool in ((str(ROOT), uv), ("librosa", None), (str(ROOT), None)):
            made = Path(tempfile.mkdtemp(dir=folder))
            row, environment = install(what, uv=tool, runs=options.runs, folder=made)
            rows.append(row)
        demos = [timed(environment / "bin" / "whoplays", "demo", folder=made) for _ in range(1 + 2 * options.runs)]
    keep(
        "install",
        "The first command: installing, and predicting the examples",
        rows,
        peer="librosa, which brings no model",
        packages=(),
        remarks=(
            f"whoplays demo, three recordings and a page: {statistics.median(w for w, _ in demos[1:]):.2g} s by the clock, "
            f"{statistics.median(p for _, p in demos[1:]):.2g} s of the processor. Without compiled files (__pycache__). "
            "What uv keeps is unpacked, so its size says nothing of what was fetched. "
            "The machine had other work: seconds of the clock are upper bounds."
        ),
    )


if __name__ == "__main__":
    main()
