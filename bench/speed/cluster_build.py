"""The cluster path against the local one, and what `whoplays cluster estimate` says against what a build takes.

    python -m bench cluster_build overhead [--clips 800] [--workers 1,2] [--pairs 3]
    python -m bench cluster_build predict SOURCE [--clips 800] [--sample 30] [--seeds 3]

`overhead` builds a data set on Ray and in processes of one machine, in turn, and compares the bytes. `predict` holds the
estimate from a sample against a build of SOURCE, a folder or manifest.
"""

from __future__ import annotations

import argparse
import csv
import functools
import json
import random
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
from whoplays.cluster import estimate as estimates
from whoplays.dataset.sources import read_source
from whoplays.runtime.processes import Processes

ARGUMENTS = ("overhead", "predict DATA")
FAMILIES = ("brass", "drums", "guitar", "piano", "strings")

# --- against one machine without Ray


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
    engine = WatchedCluster("local", workers=workers) if kind == "cluster" else WatchedProcesses(workers)
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


# --- the estimate against what came


def timed(work: Callable[[Any], Any], item: Any) -> tuple[Any, list[float]]:
    with estimates._Timed() as taken:
        result = work(item)
    return result, taken.spent.tolist()


class Timing(Processes):
    """Processes that tell what each piece of work held a core for."""

    held = 0.0

    def map(self, work: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        for number, (result, (held, _)) in super().map(functools.partial(timed, work), items):
            self.held += held
            yield number, result


def predict(options: argparse.Namespace) -> None:
    settings = dataset.BuildSettings(features="logmel", per_class=0, shard_mb=8, with_none=True)
    with tempfile.TemporaryDirectory() as name:
        source = _part_of(options.source, options.clips, Path(name, "part.csv"))
        engine = Timing(1)
        summary = dataset.build(source, Path(name, "out"), settings, engine=engine)
        size = sum(path.stat().st_size for path in Path(name, "out").glob("*.arrow"))
        clips = sum(summary.rows.values())
        table = []
        for seed in range(options.seeds):
            sample = estimates.build_sample(source, settings, recordings=options.sample, seed=seed)
            told = estimates.estimate(sample, estimates.Asked(clips=clips, efficiency=1.0))
            hours = told["core_hours"]
            table.append(
                {
                    "what": f"{clips} clips from a sample of {options.sample}, seed {seed}",
                    "predicted, core seconds": round(hours["expected"] * 3600, 2),
                    "interval": f"{hours['low'] * 3600:.1f} to {hours['high'] * 3600:.1f}",
                    "built, core seconds": round(engine.held, 2),
                    "predicted / built": round(hours["expected"] * 3600 / engine.held, 3),
                    "within": hours["low"] * 3600 <= engine.held <= hours["high"] * 3600,
                    "bytes, predicted / built": round(told["output_bytes"] / size, 3),
                }
            )
    keep(
        "cluster_estimate",
        "What `whoplays cluster estimate` said, and what the build took",
        table,
        peer="none",
        packages=("soundfile", "soxr"),
        remarks="Real recordings of several kinds and lengths. Core seconds: time that the workers held a core, that in which "
        "other programs had it taken off.",
    )


def _part_of(source: Path, count: int, manifest: Path) -> Path:
    """A manifest of `count` recordings of the source, drawn at random."""
    labels, clips, _ = read_source(source, with_none=True)
    chosen = random.Random(0).sample(clips, min(count, len(clips)))
    with manifest.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "recording", "start_s", "duration_s", *(label.id for label in labels)))
        for clip in chosen:
            cells = ["" if target is None else target for target in clip.targets]
            length = "" if clip.duration is None else clip.duration
            writer.writerow((str(Path(str(clip.path)).absolute()), clip.recording, clip.start, length, *cells))
    return manifest


def main() -> None:
    if sys.argv[1:2] == ["--build"]:
        kind, given, folder, workers = sys.argv[2:6]
        print(json.dumps(run_build(kind, Path(given), Path(folder), int(workers))))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("overhead")
    command.add_argument("--clips", type=int, default=800)
    command.add_argument("--workers", default="1,2")
    command.add_argument("--pairs", type=int, default=3)
    command.set_defaults(run=overhead)
    command = commands.add_parser("predict")
    command.add_argument("source", type=Path)
    command.add_argument("--clips", type=int, default=800)
    command.add_argument("--sample", type=int, default=30)
    command.add_argument("--seeds", type=int, default=3)
    command.set_defaults(run=predict)
    options = parser.parse_args()
    options.run(options)
