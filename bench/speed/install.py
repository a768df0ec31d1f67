"""The README's first command: bytes that are fetched, bytes on the disk, seconds of installing and of the first prediction.

    python -m bench install [--runs 3]

Each installation makes an environment of its own, by pip and by uv, and takes what is fetched from where it lies already: a
cache, or a folder given to pip. Processor time is what a busy machine hardly changes.
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


def install(folder: Path, *, uv: Path | None, runs: int) -> dict[str, Any]:
    """Install the checkout into `folder`/environment, with pip or uv; return the row."""
    environment = folder / "environment"
    steps: list[list[str | Path]] = [
        [sys.executable, "-m", "venv", environment],
        [environment / "bin" / "pip", "install", "-q", ROOT],
    ]
    if uv:
        steps = [
            [uv, "venv", "-q", "--python", sys.executable, environment],
            [uv, "pip", "install", "-q", "--python", environment, ROOT],
        ]
    found = []
    for _ in range(runs):
        shutil.rmtree(environment, ignore_errors=True)
        empty = timed(*steps[0], folder=folder)
        before = size(environment, without="__pycache__")
        full = timed(*steps[1], folder=folder)
        found.append((empty[0] + full[0], empty[1] + full[1]))
    return {
        "what": "uv venv, uv pip install ." if uv else "python -m venv, pip install .",
        "on the disk, MB": size(environment, without="__pycache__") - before,
        "by the clock, s": statistics.median(wall for wall, _ in found),
        "processor time, s": statistics.median(processor for _, processor in found),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="installations of each kind")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, tools = Path(name), Path(name, "tools")
        subprocess.run([sys.executable, "-m", "venv", tools], check=True)
        subprocess.run([tools / "bin" / "pip", "install", "-q", "uv"], check=True)
        timed(tools / "bin" / "pip", "download", "-q", "-d", folder / "fetched", ROOT, folder=folder)
        fetched = size(folder / "fetched")
        rows = [install(folder, uv=uv, runs=options.runs) for uv in (tools / "bin" / "uv", None)]
        program = folder / "environment" / "bin" / "whoplays"
        demos = [timed(program, "demo", folder=folder) for _ in range(1 + 2 * options.runs)]
    wall, processor = (statistics.median(one[i] for one in demos[1:]) for i in (0, 1))
    keep(
        "install",
        "The first command: installing, and predicting the examples",
        rows,
        peer="none",
        packages=(),
        remarks=(
            f"{fetched:.0f} MB are fetched for it. whoplays demo, three recordings and a page: {processor:.2g} s of the "
            f"processor, {wall:.2g} s by the clock. On the disk: without compiled files (__pycache__). The machine had much "
            "other work: seconds by the clock are upper bounds."
        ),
    )


if __name__ == "__main__":
    main()
