"""The cluster path against the local one: a data set is built on Ray and in processes of one machine, in turn.

    python -m bench cluster_build [--clips 800] [--workers 1,2] [--pairs 3]

The bytes are compared.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from bench import command
from bench.measure import keep, row
from bench.processes import name_of, used_s
from whoplays import dataset
from whoplays.cluster import Cluster
from whoplays.runtime.processes import Processes

FAMILIES = ("brass", "drums", "guitar", "piano", "strings")


def _recordings(folder: Path, count: int, distinct: int = 60) -> Path:
    """Ten seconds each, FLAC at 44.1 kHz; a few distinct ones under many names."""
    rng = np.random.default_rng(0)
    made: list[Path] = []
    for i in range(count):
        path = folder / FAMILIES[i % 5] / f"{i:06d}.flac"
        path.parent.mkdir(exist_ok=True, parents=True)
        if i < distinct:
            tone = np.sin(np.arange(441_000) * rng.uniform(0.01, 0.3)) * 0.3
            soundfile.write(path, tone + rng.normal(0, 0.05, 441_000), 44_100)
            made.append(path)
        else:
            path.hardlink_to(made[i % distinct])
    return folder


class Watched:
    """Notes when the first recording was looked at, and what all processes have used: the rest is work, not start."""

    first = 0.0
    beside: tuple[str, ...] = ()  # names of processes that neither ask nor work

    def map(self, work: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        for result in super().map(work, items):  # type: ignore[misc]
            if name_of(work) == "duration" and not self.first:
                self.first, self.used_at_first = time.monotonic(), self.used()
            yield result

    def used(self) -> tuple[float, float]:
        """Processor seconds of who asks and who works, and of the others."""
        working = used_s(without=self.beside)
        return working, used_s() - working

    def __exit__(self, *error: Any) -> None:
        self.last, self.used_at_end = time.monotonic(), self.used()
        super().__exit__(*error)  # type: ignore[misc]


class WatchedCluster(Watched, Cluster):
    beside = ("gcs_server", "raylet", "python")


class WatchedProcesses(Watched, Processes):
    pass


def run_build(kind: str, source: Path, out: Path, workers: int) -> dict[str, float]:
    """One build of either kind, in a process of its own."""
    settings = dataset.BuildSettings(features="logmel", per_class=0, shard_mb=4)
    engine = WatchedCluster("local", jobs=workers) if kind == "cluster" else WatchedProcesses(workers)
    begun = time.monotonic()
    dataset.build(source, out, settings, engine=engine)
    return {
        "whole": time.monotonic() - begun,
        "start": engine.first - begun,
        "work": engine.last - engine.first,
        "processor": engine.used_at_end[0] - engine.used_at_first[0],
        "servers": engine.used_at_end[1] - engine.used_at_first[1],
    }


def overhead(options: argparse.Namespace) -> None:
    found: dict[tuple[int, str], list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        source = _recordings(Path(name, "source"), options.clips)
        for workers in [int(text) for text in options.workers.split(",")]:
            for pair in range(options.pairs):
                for kind in ("cluster", "local") if pair % 2 else ("local", "cluster"):
                    out = Path(name, f"{kind}-{workers}-{pair}")
                    words = ["--build", kind, str(source), str(out), str(workers)]
                    done = subprocess.run(
                        command("cluster_build", *words), stdout=subprocess.PIPE, text=True, check=True
                    )
                    one = json.loads(done.stdout.splitlines()[-1])
                    print(workers, kind, one, flush=True)
                    found.setdefault((workers, kind), []).append(one)
            same_bytes(Path(name, f"local-{workers}-0"), Path(name, f"cluster-{workers}-0"))
    table = []
    for workers in sorted({workers for workers, _ in found}):
        ours, peer = found[workers, "cluster"], found[workers, "local"]
        label = f"{options.clips} clips of 10 s, {workers} worker{'s' * (workers > 1)}"
        for field, what in (
            ("processor", "processor time of who asks and who works, after the start"),
            ("work", "wall time after the start"),
            ("whole", "the whole run, with the start"),
        ):
            rates = options.clips / statistics.median(one[field] for one in ours)
            servers = statistics.median(one["servers"] / one["work"] for one in ours)
            notes = {
                "work": f"{rates:.0f} clips/s on the cluster path",
                "processor": f"Ray's servers: {servers:.1%} of a core beside",
            }
            aim = "0.91 or more" if field != "whole" else ""
            table.append(
                row(
                    f"{label}: {what}",
                    [one[field] for one in ours],
                    [one[field] for one in peer],
                    unit="s",
                    scale=1,
                    aim=aim,
                    note=notes.get(field, ""),
                )
            )
    keep(
        "cluster_overhead",
        "Building a data set on Ray, against processes of one machine",
        table,
        peer="the same build without Ray",
        packages=("ray", "pyarrow", "soundfile", "soxr"),
        remarks="Log-mel of FLAC at 44.1 kHz, shards of 4 MB. Ray's start (some seconds, once a run) is in the whole run alone. "
        "The data sets were equal, byte by byte.",
    )


def same_bytes(one: Path, other: Path) -> None:
    files = sorted(path.name for path in one.iterdir())
    assert files == sorted(path.name for path in other.iterdir())
    assert all((one / name).read_bytes() == (other / name).read_bytes() for name in files)


def main() -> None:
    if sys.argv[1:2] == ["--build"]:
        kind, given, folder, workers = sys.argv[2:6]
        print(json.dumps(run_build(kind, Path(given), Path(folder), int(workers))))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=800)
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--pairs", type=int, default=3)
    overhead(parser.parse_args())
