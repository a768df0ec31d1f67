"""What a cluster costs beside the work: the driver's time and memory for up to two million clips, with the real scheduler.

    python -m bench cluster simulate [--rows 10000,100000,1000000,2000000] [--features logmel] [--shard-mb 128] [--go-on]
    python -m bench cluster figure

`simulate` builds a data set from a made-up manifest: the very `dataset.build` and the very engine, on Ray with two workers;
only what touches sound is a stand-in, which waits for a thousandth of the time that was measured for a clip. `figure` draws
docs/explanation/cluster-size.png from what `simulate` kept.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import string
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bench import EXPLANATION, command
from bench.measure import FOLDER, keep
from bench.processes import memory_mb, name_of, tree
from whoplays import dataset
from whoplays.cluster import Cluster
from whoplays.errors import UsageError

ARGUMENTS = ("simulate",)
ROWS = (10_000, 100_000, 1_000_000, 2_000_000)
FAMILIES = ("brass", "drums", "guitar", "piano", "strings")
STARTS = 10
CLIP_S, SCALE = 0.020, 1e-3  # seconds a clip of 10 s takes one core, and what the stand-in makes of them


def write_manifest(path: Path, rows: int) -> None:
    """Names as AudioSet's clips have them; one in four with a second label; a video gives one clip."""
    draw = random.Random(0)
    letters = string.ascii_letters + string.digits + "_-"
    with path.open("w", encoding="utf-8") as file:
        file.write("path,labels,video_id\n")
        for _ in range(rows):
            video = "".join(draw.choices(letters, k=11))
            found = sorted(draw.sample(FAMILIES, 1 + (draw.random() < 0.25)))
            file.write(f"{found[0]}/{video}_{draw.randrange(0, 600, 10) * 1000}.flac,{';'.join(found)},{video}\n")


def stand_in_file(answer: Any, paths: list[Path]) -> list[Any]:
    return [answer] * len(paths)


def stand_in_make(shard: Any) -> dict[str, Any]:
    """The record of a shard of which nothing was made."""
    clips = shard.clips
    time.sleep(len(clips) * CLIP_S * SCALE)
    return {
        "file": f"{shard.name}.arrow",
        "split": shard.split,
        "used": list(range(len(clips))),
        "skipped": [],
        "rows": len(clips) * len(shard.pitch),
        "sha256": "0" * 64,
    }


STAND_INS: dict[str, Callable[[Any], Any]] = {
    "size": partial(stand_in_file, 320_000),
    "print_of": partial(stand_in_file, 0),  # no file is a copy of another
    "duration": partial(stand_in_file, (10.0, None)),
    "make": stand_in_make,
}


class Simulated(Cluster):
    """A cluster that hands out stand-ins, and knows what each kind of work took: seconds, pieces, clips."""

    def __init__(self, address: str, *, jobs: int) -> None:
        super().__init__(address, jobs=jobs)
        self.took: dict[str, float] = {}
        self.pieces: dict[str, int] = {}
        self.tasks, self.handing_out = 0, 0.0

    def __enter__(self) -> Simulated:
        begun = time.monotonic()
        for left in reversed(range(STARTS)):  # Ray gives its servers 30 s, which on a busy machine is too little
            try:
                super().__enter__()
                break
            except UsageError:
                if not left:
                    raise
        self.took["start"] = time.monotonic() - begun
        self._ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
        return self

    def __exit__(self, *error: Any) -> None:
        self.beside = memory_of_servers()
        super().__exit__(*error)

    def map(self, work: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        begun, processor = time.monotonic(), time.process_time()
        count = 0
        name = name_of(work)
        for result in super().map(STAND_INS[name], items):
            count += 1
            yield result
        self.tasks += sum(1 for _ in self._tasks(items))
        self.handing_out += time.process_time() - processor
        self.took[name] = self.took.get(name, 0.0) + time.monotonic() - begun
        self.pieces[name] = count


def memory_of_servers() -> float:
    """What Ray's own processes hold beside the driver, on its machine: MB."""
    return sum(process.memory_mb for process in tree(os.getpid()) if process.name in ("gcs_server", "raylet"))


def run_one(manifest: Path, folder: Path, features: str, shard_mb: int) -> dict[str, Any]:
    """One build, in a process of its own."""
    settings = dataset.BuildSettings(features=features, per_class=0, shard_mb=shard_mb)
    engine = Simulated("local", jobs=2)
    began, processor = time.monotonic(), time.process_time()
    before = memory_mb()
    summary = dataset.build(manifest, folder, settings, engine=engine)
    total = time.monotonic() - began
    return {
        "rows": sum(summary.rows.values()),
        "seconds": total,
        "processor": time.process_time() - processor,
        "before_mb": before,
        "driver_mb": memory_mb(),
        "servers_mb": engine.beside,
        "took": engine.took,
        "pieces": engine.pieces,
        "tasks": engine.tasks,
        "task_ms": engine.handing_out / engine.tasks * 1e3,
        "manifest_mb": round(manifest.stat().st_size / 1e6),
    }


def simulate(options: argparse.Namespace) -> None:
    """Keep a row for each size as soon as it is there, beside those of other sizes that were kept before."""
    table: list[dict[str, Any]] = []
    for rows in [int(text) for text in options.rows.split(",")]:
        with tempfile.TemporaryDirectory() as name:
            manifest = Path(name, "manifest.csv")
            write_manifest(manifest, rows)
            words = ["--one", str(manifest), str(Path(name, "out")), options.features, str(options.shard_mb)]
            done = subprocess.run(command("cluster", *words), stdout=subprocess.PIPE, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        print(json.dumps(found), flush=True)
        table = [one for one in _before(options.go_on) or table if one["rows"] != rows] + [_simulated(found)]
        table.sort(key=lambda one: one["rows"])
        keep(
            "cluster_simulation",
            f"Up to two million clips on Ray, without their sound ({options.features}, {options.shard_mb} MB a shard)",
            table,
            peer="none; the aim is 2,000,000 rows with a driver under 2 GB, and a flat cost a row",
            packages=("ray", "pyarrow"),
            remarks="The real build and engine, two worker processes; stand-ins in place of what touches sound. Seconds are "
            "those without Ray's start; processor time is that of the driver, which other programs do not change.",
        )


def _before(wanted: bool) -> list[dict[str, Any]]:
    kept = FOLDER / "cluster_simulation.json"
    return json.loads(kept.read_text())["rows"] if wanted and kept.exists() else []


def _simulated(found: dict[str, Any]) -> dict[str, Any]:
    rows, took = found["rows"], found["took"]
    return {
        "rows": rows,
        "seconds": round(found["seconds"] - took["start"], 1),
        "us a row": (found["seconds"] - took["start"]) / rows * 1e6,
        "driver's processor us a row": found["processor"] / rows * 1e6,
        "driver's ms a task": found["task_ms"],
        "tasks": found["tasks"],
        "driver, MB": round(found["driver_mb"]),
        "bytes a row": (found["driver_mb"] - found["before_mb"]) * 2**20 / rows,
        "Ray's servers, MB": round(found["servers_mb"]),
        "manifest, MB": found["manifest_mb"],
        "shards": found["pieces"]["make"],
    }


# --- the figure


def figure(options: argparse.Namespace) -> None:
    """Draw what the driver needs, over the number of clips."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    rows = json.loads((FOLDER / "cluster_simulation.json").read_text())["rows"]
    clips = [one["rows"] for one in rows]
    drawn, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    left.plot(clips, [one["driver, MB"] for one in rows], "o-", color="#1f5a85", label="driver")
    left.plot(clips, [one["Ray's servers, MB"] for one in rows], "o-", color="#b0632a", label="Ray's servers")
    left.axhline(2000, color="#888888", linestyle=":", linewidth=1)
    left.set(xscale="log", xlabel="clips", ylabel="largest memory, MB", ylim=(0, 2200))
    left.legend(frameon=False, loc="center left")
    right.plot(clips, [one["driver's processor us a row"] for one in rows], "o-", color="#1f5a85")
    right.set(xscale="log", xlabel="clips", ylabel="driver's processor a clip, us", ylim=(0, None))
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    drawn.savefig(EXPLANATION / "cluster-size.png", dpi=110)


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        manifest, folder, features, shard_mb = sys.argv[2:6]
        print(json.dumps(run_one(Path(manifest), Path(folder), features, int(shard_mb))))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("simulate")
    command.add_argument("--rows", default=",".join(map(str, ROWS)))
    command.add_argument("--features", default="logmel")
    command.add_argument("--shard-mb", type=int, default=128)
    command.add_argument("--go-on", action="store_true", help="keep the rows of other sizes")
    command.set_defaults(run=simulate)
    commands.add_parser("figure").set_defaults(run=figure)
    options = parser.parse_args()
    options.run(options)
