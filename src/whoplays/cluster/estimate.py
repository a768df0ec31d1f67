"""What a data set, or predicting recordings, will cost on many machines: from a short sample that is really made.

`build_sample` and `predict_sample` do the work of some dozen recordings here, on one core, and time it; `estimate` is
arithmetic: the sample, what is asked for, and constants that `python -m bench cluster` measured. Nothing of Ray is needed.

The interval holds 90 % of what samples of that size would have said (bootstrap; Efron 1979), widened by `DOUBT`, for
what a sample on one core cannot see: other processors, disks, other programs.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..dataset import BuildSettings, make, shards
from ..dataset.build import clips_per_shard, pieces
from ..dataset.sources import Clip, read_source
from ..dataset.split import random_key
from ..errors import AudioError, DatasetError, UsageError, require
from ..storage.address import Address, Place, place
from ..storage.cache import recording
from .engine import ITEMS_PER_TASK, TASKS_PER_CORE
from .predict import HEARD_AT_ONCE

FORMAT = 1

#: Of the machine that asks, measured by `python -m bench cluster simulate`. START_S is rounded up: Ray took 8 s to start there.
START_S = 10.0
TASK_S = 0.001
DRIVER_S_PER_CLIP, DRIVER_BYTES_PER_CLIP, DRIVER_BYTES = 0.0001, 700, 150 << 20

#: Of a core among busy ones, against one alone: two cores predict 1.64 times what one does (`python -m bench many_files`).
EFFICIENCY = 0.82

DOUBT = 0.15
MOST_SAMPLED = 10_000
BOOTSTRAPS = 1000

#: Requests of a build for each recording in an object store: the store is asked for it before and after, and it is fetched
#: for its length and, where another machine has it by then, once more for its sound, which asks for the size again. For each
#: shard: the file and its record.
LOOKS, FETCHES, WRITES_PER_SHARD = 2, 2, 2
PART_BYTES, WHOLE_BYTES = 50 << 20, 100 << 20  # of an upload; what is sent in one


@dataclass(frozen=True)
class Sample:
    """What was measured, of one clip each: `seconds` that a core is held, of which it computes `processor_s` in all.

    recording_bytes: of a file, on average; clips_per_recording: that one gives; output_bytes, rows: for a clip.
    skipped: recordings of the sample that cannot be used.
    """

    work: str
    seconds: tuple[float, ...]
    processor_s: float
    sound_s: float
    recordings: int
    skipped: int
    clips_per_recording: float
    recording_bytes: float
    output_bytes: float
    rows: float
    clips_per_piece: int  # of work: a shard, or some recordings
    in_store: bool = False  # whether recordings are fetched from an object store

    @property
    def computing(self) -> float:
        """The share of the time in which the core computes; the rest it waits for disk or network."""
        return min(1.0, self.processor_s / max(sum(self.seconds), 1e-12))


@dataclass(frozen=True, kw_only=True)
class Asked:
    """How much, where, and at what prices (all 0: none is told). Raises `UsageError` for what cannot be."""

    clips: int
    nodes: int = 1
    cores: int = 1
    efficiency: float = EFFICIENCY
    bandwidth_mb_s: float = 0.0  # that the recordings' storage gives to all nodes together; 0: more than is needed
    price: float = 0.0  # of a core for an hour
    price_gb_month: float = 0.0
    price_gb: float = 0.0  # of network
    price_reads: float = 0.0  # of a million requests, as is the next
    price_writes: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        prices = {name: value for name, value in asdict(self).items() if name.startswith("price")}
        checks = [
            (1 <= self.clips <= 10**12, f"--clips {self.clips}: 1 to a million millions"),
            (1 <= self.nodes <= 10**6, f"--nodes {self.nodes}: 1 to a million"),
            (1 <= self.cores <= 10**4, f"--cores {self.cores}: 1 to 10,000"),
            (0.01 <= self.efficiency <= 1, f"--efficiency {self.efficiency:g}: 0.01 to 1"),
            (0 <= self.bandwidth_mb_s < 1e9, f"--bandwidth {self.bandwidth_mb_s:g}: 0 MB/s and above"),
            *((0 <= v < 1e9, f"--{name.replace('_', '-')} {v:g}: 0 and above") for name, v in prices.items()),
        ]
        require(checks, UsageError, "{} is possible")


def build_sample(source: Place | str, settings: BuildSettings, *, recordings: int = 30, seed: int = 0) -> Sample:
    """Make one clip of each of `recordings` drawn at random, as `dataset build` would; nothing is written.

    Clips are made as those that train, with every pitch variant, for their share. Raises `DatasetError` when the source
    cannot be read or none of the sample can be used.
    """
    told = {name: getattr(settings, name) for name in ("labels", "parents", "where", "with_none")}
    _, clips, _ = read_source(place(source), **told)
    shards.kind(settings)
    share = 1.0 - settings.test - settings.validation

    def one(number: int, clip: Clip) -> tuple[float, ...]:
        with _Timed() as looking:
            size = make.seen(clip.path)[0]
            seconds, cause = make.duration(clip.path)
        if cause is not None:
            raise AudioError(cause)
        parts = list(pieces(clip, seconds, settings.clip_s))
        part = parts[number * 7919 % len(parts)]
        with _Timed() as trained:
            make.variants(part, settings.pitch, settings)
        with _Timed() as plain:
            make.variants(part, (0.0,), settings)
        spent = looking.spent / len(parts) + share * trained.spent + (1 - share) * plain.spent
        return *spent, float(size), float(len(parts))

    measured, clips_of_each = _measured(source, clips, recordings, seed, one)
    rows = share * len(settings.pitch) + (1 - share)
    return Sample(
        work="build",
        sound_s=settings.clip_s,
        clips_per_recording=float(clips_of_each.mean()),
        output_bytes=rows * settings.row_bytes,
        rows=rows,
        clips_per_piece=clips_per_shard(settings, settings.pitch),
        **measured,
    )


def predict_sample(source: Place | str, model: Path | None = None, *, recordings: int = 30, seed: int = 0) -> Sample:
    """Hear recordings drawn at random, as `predict` would; nothing is written. A clip is then a recording.

    Raises as `build_sample` does, and `ModelError`.
    """
    from ..inference.recogniser import Recogniser

    _, clips, _ = read_source(place(source), with_none=True)
    recogniser = Recogniser(model)

    def one(number: int, clip: Clip) -> tuple[float, ...]:
        with _Timed() as predicting, recording(clip.path) as path:
            prediction = recogniser.predict(path)
        size = make.seen(clip.path)[0]
        line = json.dumps(prediction.to_dict(), ensure_ascii=False)
        return *predicting.spent, float(size), prediction.duration, float(len(line.encode()) + 1)

    once = list({clip.name: clip for clip in clips}.values())
    measured, durations, lines = _measured(source, once, recordings, seed, one)
    return Sample(
        work="predict",
        sound_s=float(durations.mean()),
        clips_per_recording=1.0,
        output_bytes=float(lines.mean()),
        rows=1.0,
        clips_per_piece=HEARD_AT_ONCE,
        **measured,
    )


def _measured(
    source: Place | str, clips: Sequence[Clip], count: int, seed: int, one: Callable[[int, Clip], tuple[float, ...]]
) -> tuple[Any, ...]:
    """Measure clips drawn at random; return what every `Sample` holds, then a column for each further number of `one`.

    one: takes a clip and its number; returns seconds, processor seconds, bytes of the file, and further numbers. Clips that
    cannot be used are counted.
    """
    if not 2 <= count <= MOST_SAMPLED:
        raise UsageError(f"--sample {count}: 2 to {MOST_SAMPLED:,} recordings is possible")
    if not clips:
        raise DatasetError("the source names no recordings of a label; nothing can be measured")
    chosen = sorted(clips, key=lambda clip: random_key(seed, "estimate", clip.name, str(clip.start)))[:count]
    found, causes = [], []
    for number, clip in enumerate([chosen[0], *chosen]):
        try:
            row = one(number, clip)
        except AudioError as error:
            causes += [f"{clip.name}: {error}"] if number else []
        else:
            found += [row] if number else []  # the first one is measured twice: what it loads is loaded once
    if not found:
        raise DatasetError(f"{source}: none of {len(causes)} recordings of the sample can be used ({causes[0]})")
    times, computing, sizes, *others = (np.array(column, dtype=float) for column in zip(*found, strict=True))
    shared = {
        "seconds": tuple(times.tolist()),
        "processor_s": float(computing.sum()),
        "recordings": len(found),
        "skipped": len(causes),
        "recording_bytes": float(sizes.mean()),
        "in_store": isinstance(place(source), Address),
    }
    return shared, *others


class _Timed:
    """What a `with` statement takes: `spent`, seconds that it would hold a core of its own, and processor seconds.

    Time in which other programs had the core does not count, where the system tells of it (Linux).
    """

    spent: NDArray[np.float64]

    def __enter__(self) -> Self:
        self._begun = self._now()
        return self

    def __exit__(self, *error: object) -> None:
        wall, computed, queued = self._now() - self._begun
        self.spent = np.array([max(wall - queued, computed), computed])

    @staticmethod
    def _now() -> NDArray[np.float64]:
        used = os.times()
        ended = used.children_user + used.children_system
        try:
            queued = int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
        except (OSError, ValueError, IndexError):
            queued = 0.0
        return np.array([time.perf_counter(), time.process_time() + ended, queued])


def estimate(sample: Sample, asked: Asked) -> dict[str, Any]:
    """Return what it will cost, as `--json` prints it: numbers as {"expected", "low", "high"}."""
    clip_s = _interval(sample.seconds)
    cores = asked.nodes * asked.cores
    found = math.ceil(asked.clips / sample.clips_per_recording)
    pieces_of_work = math.ceil(asked.clips / sample.clips_per_piece)
    tasks = pieces_of_work / min(ITEMS_PER_TASK, max(1, pieces_of_work // (TASKS_PER_CORE * cores)))
    driver_s = asked.clips * DRIVER_S_PER_CLIP + tasks * TASK_S
    held_s = {name: asked.clips * value / asked.efficiency for name, value in clip_s.items()}
    task_s = {name: value / tasks for name, value in held_s.items()}
    output = asked.clips * sample.output_bytes
    audio = found * sample.recording_bytes
    reads, writes, fetched = _requests(sample, asked.clips, found, pieces_of_work)
    read = fetched if sample.in_store else audio
    read_s = read / (asked.bandwidth_mb_s * 1e6) if asked.bandwidth_mb_s else 0.0
    # Tasks that go to whoever is free end within one task of each other (Graham 1966).
    late = {"expected": 0.5, "low": 0.0, "high": 1.0}
    work_s = {
        name: max(held / cores + late[name] * task_s[name], task_s[name], read_s) for name, held in held_s.items()
    }
    wall_s = {name: START_S + driver_s + value for name, value in work_s.items()}
    result = {
        "format": FORMAT,
        "work": sample.work,
        "clips": asked.clips,
        "nodes": asked.nodes,
        "cores_per_node": asked.cores,
        "sample": {
            "recordings": sample.recordings,
            "skipped": sample.skipped,
            "seconds_per_clip": clip_s | {"smallest": min(sample.seconds), "largest": max(sample.seconds)},
            "computing_share": sample.computing,
            "sound_s": sample.sound_s,
            "clips_per_recording": sample.clips_per_recording,
            "recording_bytes": sample.recording_bytes,
        },
        "core_hours": {name: value / 3600 for name, value in held_s.items()},
        "wall_hours": {name: value / 3600 for name, value in wall_s.items()},
        "recordings": found,
        "audio_bytes": audio,
        "read_bytes": read,
        "read_bytes_per_s": read / work_s["expected"],
        "output_bytes": output,
        "rows": round(asked.clips * sample.rows),
        "pieces_of_work": pieces_of_work,
        "object_store": {"reads": reads, "writes": writes, "fetched_bytes": fetched},
        "driver": {"hours": driver_s / 3600, "memory_bytes": DRIVER_BYTES + asked.clips * DRIVER_BYTES_PER_CLIP},
        "assumptions": {
            "efficiency": asked.efficiency,
            "doubt": DOUBT,
            "start_s": START_S,
            "task_s": TASK_S,
            "driver_s_per_clip": DRIVER_S_PER_CLIP,
            "driver_bytes_per_clip": DRIVER_BYTES_PER_CLIP,
        },
    }
    return result | {"money": _money(asked, wall_s, output, fetched, reads, writes)}


def _interval(seconds: Sequence[float], seed: int = 0) -> dict[str, float]:
    """Return the mean, and the middle 90 % of the means of samples drawn from the sample, widened by `DOUBT`."""
    values = np.asarray(seconds, dtype=float)
    means = np.random.default_rng(seed).choice(values, (BOOTSTRAPS, len(values))).mean(axis=1)
    low, high = np.quantile(means, [0.05, 0.95])
    mean = float(values.mean())
    return {"expected": mean, "low": min(mean, float(low)) * (1 - DOUBT), "high": max(mean, float(high)) * (1 + DOUBT)}


def _requests(sample: Sample, clips: int, recordings: int, pieces_of_work: int) -> tuple[int, int, float]:
    """Return reads, writes and bytes fetched, were recordings and output in an object store.

    The clips of a long recording are in several shards, whose workers each fetch it.
    """
    if sample.work == "predict":
        return 2 * recordings, 0, recordings * sample.recording_bytes
    fetches = recordings * (FETCHES - 1) + clips
    size = clips * sample.output_bytes / pieces_of_work
    parts = math.ceil(size / PART_BYTES) + 1 if size > WHOLE_BYTES else 0  # with its begin and end, for one request
    writes = pieces_of_work * (WRITES_PER_SHARD + parts)
    return (LOOKS - 1) * recordings + 2 * fetches, writes, fetches * sample.recording_bytes


def _money(
    asked: Asked, wall_s: dict[str, float], output: float, fetched: float, reads: int, writes: int
) -> dict[str, Any] | None:
    """Return the bill, in the currency of the prices; None when none was told. Nodes are paid for the whole time."""
    prices = (asked.price, asked.price_gb_month, asked.price_gb)
    if not any((*prices, asked.price_reads, asked.price_writes)):
        return None
    held = {name: value / 3600 * asked.nodes * asked.cores * asked.price for name, value in wall_s.items()}
    network = fetched / 1e9 * asked.price_gb
    requests = reads / 1e6 * asked.price_reads + writes / 1e6 * asked.price_writes
    return {
        "cores": held,
        "network": network,
        "requests": requests,
        "total": {name: value + network + requests for name, value in held.items()},
        "storage_a_month": output / 1e9 * asked.price_gb_month,
    }
