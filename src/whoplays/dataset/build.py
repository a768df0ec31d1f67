"""Build a data set: read the source, pick, divide, have the shards made, write the index that makes it valid.

A shard's bytes depend on its clips and the settings alone, so neither the number of workers, nor the machines they are
on, nor an interruption shows in the result: a shard that is there with the right checksum is kept, the others are made.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DatasetError
from ..runtime.packages import check_installed
from ..runtime.processes import Engine, Processes
from ..storage.address import Address, Place, place
from ..storage.cache import Kept, keeping
from ..storage.files import explained, only_writer, write_csv, write_json
from ..taxonomy.tree import Label
from . import content, make, shards, store
from .make import Shard
from .settings import BuildSettings
from .sources import SPLITS, Clip, Skipped, causes, read_source
from .split import divide, pick, random_key

JOURNAL = "building.json"
MAX_SHARD_BYTES = 64 << 20


@dataclass(frozen=True)
class BuildSummary:
    """What was built: rows (with variants) by split and label, clips by split, what was skipped, remarks for people."""

    folder: Place
    rows: dict[str, int]
    clips: dict[str, dict[str, int]]
    recordings: dict[str, int]
    skipped: tuple[Skipped, ...]
    remarks: tuple[str, ...]
    already_there: bool = False


Progress = Callable[[int, int], None]  # clips done, clips in all


def build(
    source: Place | str,
    out: Place | str,
    settings: BuildSettings,
    *,
    jobs: int = 0,
    engine: Engine | None = None,
    on_progress: Progress = lambda done, total: None,
) -> BuildSummary:
    """Build a data set from `source` into the folder `out`, or finish one that was interrupted.

    Either may be in an object store (s3://BUCKET/...); two that build the same there write the same bytes.
    jobs: processes; 0 for one per core. engine: where the work is done instead (see `whoplays.cluster`); the bytes
    are the same. Raises `DatasetError` for a source that cannot be used, for a folder that holds another data set, and
    when another process is building there.
    """
    source, out = place(source), place(out)
    shards.kind(settings)
    if settings.pitch_method == "vocoder":
        check_installed("--pitch-method vocoder", "train", "librosa")
    labels, clips, skipped = read_source(
        source, labels=settings.labels, parents=settings.parents, where=settings.where, with_none=settings.with_none
    )
    with ExitStack() as held:
        held.enter_context(only_writer(out))
        at_work: Engine = held.enter_context(engine or Processes(jobs))
        ask = engine.map if engine else content.here
        sizes, prints = content.seen(clips, ask)
        identity = _identity(labels, clips, sizes, settings)
        if finished := _finished(out, identity, engine):
            return finished
        _claim(out, identity)

        def check(requested: Sequence[int]) -> None:
            if (content.seen([clips[i] for i in requested], ask)[0] != sizes[requested]).any():
                raise DatasetError(
                    f"{source}: recordings vanished or changed while the data set was built; "
                    "put them back and run the same command again: what is done is kept"
                )

        kept = held.enter_context(keeping()) if prints.any() else None  # some are in a store
        alone, remarks = content.grouped(clips, labels, at_work.map, prints)
        cut, unreadable = _cut(alone, sizes, settings, at_work, kept)
        del alone
        # Before anything is made by a plan without them. What was fetched was as it should be.
        lost = {item.name for item in unreadable}
        check([i for i, clip in enumerate(clips) if not prints[i] or clip.name in lost])
        skipped += unreadable
        try:
            picked = pick(cut, labels, per_class=settings.per_class, seed=settings.seed)
            shares = {"test": settings.test, "validation": settings.validation}
            divided, more = divide(picked, labels, **shares, seed=settings.seed)
            planned = list(_shards(divided, settings))
        except DatasetError as error:
            _remove(out / JOURNAL)  # nothing was made, so a corrected source may be built here
            raise _with_causes(out, error, skipped) from None
        remarks += more
        del cut, picked, divided  # of millions of clips every generation counts
        work = partial(make.make, out, settings, [label.id for label in labels], kept)
        made: dict[str, dict[str, Any]] = {}  # the record of each shard
        done, total = 0, sum(len(shard.clips) for shard in planned)
        on_progress(done, total)
        for number, record in at_work.map(work, planned):
            made[planned[number].name] = record
            done += len(planned[number].clips)
            on_progress(done, total)
        try:
            check(range(len(clips)))
        except DatasetError:
            for name, record in made.items():
                if record["skipped"]:  # made anew: what it lacks may have been there before
                    _remove(out / f"{name}.json")
            raise
        return _finish(out, identity, settings, labels, planned, made, skipped, remarks)


def _with_causes(out: Place, error: DatasetError, skipped: Sequence[Skipped]) -> DatasetError:
    """Return the error with what was skipped, and why, before it; the whole list is written to the folder."""
    if not skipped:
        return error
    _write_skipped(out, skipped)
    return DatasetError(f"{causes(skipped)} (all are listed in {out / store.SKIPPED}); {error}")


def _write_skipped(out: Place, skipped: Sequence[Skipped]) -> None:
    write_csv(out / store.SKIPPED, ("path", "cause"), [(item.name, item.cause) for item in skipped])


def _identity(
    labels: Sequence[Label], clips: Sequence[Clip], sizes: NDArray[np.int64], settings: BuildSettings
) -> dict[str, Any]:
    """Return what makes two builds the same: the settings, and the clips with their files' sizes."""
    digest = hashlib.sha256()
    for i in sorted(range(len(clips)), key=lambda i: (clips[i].name, clips[i].start)):
        clip = clips[i]
        row = (clip.name, clip.recording, clip.targets, clip.start, clip.duration, clip.split, int(sizes[i]))
        digest.update(repr(row).encode())
    return {
        "settings": json.loads(json.dumps(settings.to_dict())),
        "labels": [label.id for label in labels],
        "clips": digest.hexdigest(),
    }


def _finished(out: Place, identity: dict[str, Any], engine: Engine | None) -> BuildSummary | None:
    if not (out / store.INDEX).exists():
        return None
    dataset = store.Dataset.open(out)
    if dataset.index.get("identity") != identity:
        raise DatasetError(
            f"{out}: holds a data set built from other files or settings; name another folder, or remove it"
        )
    if damaged := dataset.verify(engine):
        raise DatasetError(
            f"{out}: {', '.join(damaged[:5])} changed since the data set was built; remove the folder, build again"
        )
    _clear(out)
    return _summary(out, dataset.index, already_there=True)


def _clear(out: Place) -> None:
    """Remove what only a build under way needs; a kill may have come between the index and that."""
    for name in [JOURNAL, *(f"{split}-[0-9]*.json" for split in SPLITS)]:
        for path in out.glob(name):
            _remove(path)


def _remove(path: Place) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise DatasetError(
            f"{path}: cannot be removed ({error.strerror or error}); run the same command again: what is done is kept"
        ) from None


def _claim(out: Place, identity: dict[str, Any]) -> None:
    journal = out / JOURNAL
    if not journal.exists():
        if others := sorted(p.name for p in out.iterdir() if p.name not in (".whoplays.lock", store.SKIPPED)):
            raise DatasetError(f"{out}: is not empty ({', '.join(others[:3])} ...); name a new folder")
        if not isinstance(journal, Address):
            write_json(journal, identity)
            return
        journal.create(json.dumps(identity).encode())  # held by nobody: the first one is read below
    try:
        same = json.loads(journal.read_text(encoding="utf-8")) == identity
    except (OSError, ValueError):
        same = False
    if not same:
        raise DatasetError(
            f"{out}: holds an unfinished data set of other files or settings; name another folder, or remove it"
        )
    for leftover in out.glob(".*.part"):
        _remove(leftover)


def _cut(
    clips: Sequence[Clip], sizes: NDArray[np.int64], settings: BuildSettings, engine: Engine, kept: Kept | None
) -> tuple[list[Clip], list[Skipped]]:
    """Return the clips with long files cut up, and those whose header cannot be read."""
    lengths = content.of_files(partial(make.duration, kept=kept), clips, engine.map, sizes)
    found: list[Clip] = []
    skipped: list[Skipped] = []
    for clip, (seconds, cause) in zip(clips, lengths, strict=True):
        if cause is not None:
            skipped.append(Skipped(clip.name, cause))
        else:
            found += pieces(clip, seconds, settings.clip_s)
    return found, skipped


def pieces(clip: Clip, seconds: float | None, clip_s: float) -> Iterator[Clip]:
    """Cut consecutive clips of `clip_s`; a remainder shorter than half of that is not used."""
    length = clip.duration if clip.duration is not None else (None if seconds is None else seconds - clip.start)
    count = 1 if length is None else max(1, int(length / clip_s + 0.5))
    for i in range(count):
        yield replace(clip, start=clip.start + i * clip_s, duration=min(clip_s, clip.duration or clip_s))


def clips_per_shard(settings: BuildSettings, pitch: Sequence[float]) -> int:
    """Return how many clips, with these variants of each, go into a shard."""
    clip_bytes = settings.row_bytes * len(pitch)
    if settings.shard_mb:
        return max(1, (settings.shard_mb << 20) // clip_bytes)
    return max(1, min(settings.clips_per_shard, MAX_SHARD_BYTES // clip_bytes))


def _shards(clips: Sequence[Clip], settings: BuildSettings) -> Iterator[Shard]:
    for split in SPLITS:
        pitch = settings.pitch if split == "training" else (0.0,)
        mine = [clip for clip in clips if clip.split == split]
        if settings.shard_mb:
            # Each shard is a fair sample: a machine that trains on some of them sees what the others see.
            mine.sort(key=lambda clip: random_key(settings.seed, "shard", clip.name, str(clip.start)))
        size = clips_per_shard(settings, pitch)
        for number, first in enumerate(range(0, len(mine), size)):
            yield Shard(f"{split}-{number:05d}", split, tuple(mine[first : first + size]), pitch)


def _finish(
    out: Place,
    identity: dict[str, Any],
    settings: BuildSettings,
    labels: Sequence[Label],
    planned: Sequence[Shard],
    made: dict[str, dict[str, Any]],
    skipped: list[Skipped],
    remarks: list[str],
) -> BuildSummary:
    """Write the tables, then the index that makes the data set valid; then the journal is not needed any more."""
    used: list[Clip] = []
    damaged: list[tuple[str, str]] = []
    for shard in planned:
        record = made[shard.name]
        damaged += [(shard.clips[i].name, what) for i, what in record.get("damaged", ())]
        skipped += [Skipped(shard.clips[i].name, cause) for i, cause in record["skipped"]]
        used += [shard.clips[i] for i in record["used"]]
    held = {i for clip in used for i in clip.labels}
    if lost := [label.id for i, label in enumerate(labels) if i not in held]:
        raise _with_causes(out, DatasetError(f"no recording of {', '.join(lost)} can be used"), skipped)
    if not settings.shard_mb:
        write_csv(out / store.ROWS, store.ROW_HEADER, _rows(planned, made, [label.id for label in labels]))
    _write_skipped(out, skipped)
    if damaged:
        write_csv(out / store.DAMAGED, ("path", "damage"), damaged)
        first, others = damaged[0], f", and {len(damaged) - 1} more" if len(damaged) > 1 else ""
        remarks = [
            *remarks,
            f"{len(damaged)} damaged clips are used, with silence for what is missing ({first[0]}: {first[1]}{others}; "
            f"listed in {store.DAMAGED}); --strict leaves them out",
        ]
    index = {
        "format": 2 if settings.shard_mb else 1,  # the oldest format that describes it
        "features": settings.settings.to_dict(),
        "frames": settings.frames,
        "labels": [label.to_dict() for label in labels],
        "clips": {split: _counts(split, used, labels) for split in SPLITS},
        "rows": {split: sum(made[s.name]["rows"] for s in planned if s.split == split) for split in SPLITS},
        "recordings": {split: len({c.recording for c in used if c.split == split}) for split in SPLITS},
        "skipped": dict(Counter(item.cause for item in skipped).most_common()),
        "remarks": remarks,
        "shards": [
            {name: made[s.name][name] for name in ("file", "split", "rows", "sha256")}
            for s in planned
            if made[s.name]["rows"]
        ],
        "identity": identity,
    }
    write_json(out / store.INDEX, index)
    _clear(out)
    return _summary(out, index)


def _counts(split: str, used: Sequence[Clip], labels: Sequence[Label]) -> dict[str, int]:
    mine = [clip for clip in used if clip.split == split]
    counts = {label.id: sum(clip.targets[i] == 1 for clip in mine) for i, label in enumerate(labels)}
    return counts | {"none": sum(1 not in clip.targets for clip in mine)}


def _rows(
    planned: Sequence[Shard], made: dict[str, dict[str, Any]], label_ids: Sequence[str]
) -> Iterator[tuple[str, ...]]:
    for shard in planned:
        for i in made[shard.name]["used"]:
            clip = shard.clips[i]
            part = (f"{clip.start:g}", "" if clip.duration is None else f"{clip.duration:g}")
            names = shards.labels_text(clip.targets, label_ids)
            for shift in shard.pitch:
                yield shard.split, clip.name, *part, clip.recording, names, f"{shift:g}"


def _summary(out: Place, index: dict[str, Any], *, already_there: bool = False) -> BuildSummary:
    path = out / store.SKIPPED
    with explained(path, "read"), path.open(encoding="utf-8", newline="") as file:
        skipped = tuple(Skipped(row["path"], row["cause"]) for row in csv.DictReader(file))
    return BuildSummary(
        out, index["rows"], index["clips"], index["recordings"], skipped, tuple(index["remarks"]), already_there
    )
