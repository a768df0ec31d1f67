"""Compute a data set's features in worker processes, shard by shard.

A shard's bytes depend on its clips and the settings alone, so neither the number of workers nor an interruption shows
in the result: a shard that is there with the right checksum is kept, the others are made.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import audio, features
from ..errors import AudioError, DatasetError, WhoplaysError, missing_extra
from ..features import FeatureSettings
from ..files import only_writer, sha256_of, write_atomically, write_csv, write_json
from ..labels import Label
from . import store
from .sources import SPLITS, Clip, LeftOut, read_source
from .split import divide, pick

JOURNAL = "building.json"
CLIPS_PER_SHARD = 256
MAX_SHARD_BYTES = 64 << 20


@dataclass(frozen=True, kw_only=True)
class BuildSettings:
    """How a data set is built.

    features: "mfcc" (the report's 20 x 20), "logmel", or settings of one's own. clip_s: files longer than this are cut
    into consecutive clips; for features that keep every frame, shorter ones are filled up with silence.
    per_class: clips of each class (None: what the smallest class has; 0: all). pitch: semitones of each variant of a
    training clip; 0 is the clip itself. pitch_method: "spectrum" (ours) or "vocoder" (librosa's, as in the report).
    test, validation: shares of the clips. labels, where, with_none: see `sources.read_source`.
    shortest_s: a clip with less sound is left out.
    """

    features: str | FeatureSettings = "mfcc"
    clip_s: float = 10.0
    per_class: int | None = None
    pitch: tuple[float, ...] = (0.0,)
    pitch_method: str = "spectrum"
    test: float = 0.2
    validation: float = 0.1
    seed: int = 0
    labels: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    with_none: bool = False
    shortest_s: float = 0.1

    def __post_init__(self) -> None:
        """Refuse what cannot be built, before anything is read."""
        checks = [
            (
                not isinstance(self.features, str) or self.features in features.PRESETS,
                f"--features {self.features}: mfcc or logmel",
            ),
            (0.1 <= self.clip_s <= 3600, f"--clip {self.clip_s:g}: 0.1 to 3600 s"),
            (self.per_class is None or self.per_class >= 0, f"--per-class {self.per_class}: a number of clips, or all"),
            (0 < len(self.pitch) <= 49, f"--pitch: 1 to 49 variants, not {len(self.pitch)}"),
            (len(set(self.pitch)) == len(self.pitch), f"--pitch {self.pitch}: a variant stands twice"),
            (all(abs(shift) <= 24 for shift in self.pitch), f"--pitch {self.pitch}: -24 to 24 semitones"),
            (self.pitch_method in ("spectrum", "vocoder"), f"--pitch-method {self.pitch_method}: spectrum or vocoder"),
        ]
        for fine, problem in checks:
            if not fine:
                raise DatasetError(f"{problem} is possible")

    @property
    def settings(self) -> FeatureSettings:
        """The features' settings."""
        return features.PRESETS[self.features] if isinstance(self.features, str) else self.features

    @property
    def frames(self) -> int:
        """Rows of each example's features."""
        return self.settings.frames(round(self.clip_s * self.settings.sample_rate))


@dataclass(frozen=True)
class BuildSummary:
    """What was built: rows (with variants) by split and label, clips by split, what was left out, remarks for people."""

    folder: Path
    rows: dict[str, int]
    clips: dict[str, dict[str, int]]
    recordings: dict[str, int]
    left_out: tuple[LeftOut, ...]
    remarks: tuple[str, ...]
    already_there: bool = False


@dataclass(frozen=True)
class _Shard:
    name: str
    split: str
    clips: tuple[Clip, ...]
    pitch: tuple[float, ...]


Progress = Callable[[int, int], None]  # clips done, clips in all


def build(
    source: Path | str,
    out: Path | str,
    settings: BuildSettings,
    *,
    workers: int = 0,
    on_progress: Progress | None = None,
) -> BuildSummary:
    """Build a data set from `source` into the folder `out`, or finish one that was interrupted.

    workers: processes; 0 for one per core. Raises `DatasetError` for a source that cannot be used, for a folder that
    holds another data set, and when another process is building there.
    """
    source, out = Path(source), Path(out)
    labels, clips, left_out = read_source(
        source, labels=settings.labels, where=settings.where, with_none=settings.with_none
    )
    with only_writer(out):
        identity = _identity(labels, clips, settings)
        if done := _finished(out, identity):
            return done
        _claim(out, identity)
        with _pool(workers) as pool:
            clips, unreadable = _cut(clips, settings, pool)
            picked = pick(clips, labels, per_class=settings.per_class, seed=settings.seed)
            divided, remarks = divide(
                picked, labels, test=settings.test, validation=settings.validation, seed=settings.seed
            )
            shards = list(_shards(divided, settings))
            made = _make_all(out, shards, settings, pool, on_progress)
        return _finish(out, identity, settings, labels, shards, made, [*left_out, *unreadable], remarks)


def _identity(labels: Sequence[Label], clips: Sequence[Clip], settings: BuildSettings) -> dict[str, Any]:
    """Return what makes two builds the same: the settings, and the clips with their files' sizes."""
    digest = hashlib.sha256()
    for clip in sorted(clips, key=lambda c: (c.name, c.start)):
        size = clip.path.stat().st_size if clip.path.is_file() else -1
        digest.update(
            repr((clip.name, clip.recording, clip.targets, clip.start, clip.duration, clip.split, size)).encode()
        )
    told = {**asdict(settings), "features": settings.settings.to_dict()}
    return {
        "settings": json.loads(json.dumps(told)),
        "labels": [label.id for label in labels],
        "clips": digest.hexdigest(),
    }


def _finished(out: Path, identity: dict[str, Any]) -> BuildSummary | None:
    if not (out / store.INDEX).exists():
        return None
    dataset = store.Dataset.open(out)
    if dataset.index.get("identity") != identity:
        raise DatasetError(
            f"{out}: holds a data set built from other files or settings; name another folder, or remove it"
        )
    if damaged := dataset.verify():
        raise DatasetError(
            f"{out}: {', '.join(damaged[:5])} changed since the data set was built; remove the folder, build again"
        )
    return _summary(out, dataset.index, already_there=True)


def _claim(out: Path, identity: dict[str, Any]) -> None:
    journal = out / JOURNAL
    if not journal.exists():
        if others := sorted(p.name for p in out.iterdir() if p.name != ".whoplays.lock"):
            raise DatasetError(f"{out}: is not empty ({', '.join(others[:3])} ...); name a new folder")
        write_json(journal, identity)
        return
    try:
        same = json.loads(journal.read_text(encoding="utf-8")) == identity
    except (OSError, ValueError):
        same = False
    if not same:
        raise DatasetError(
            f"{out}: holds an unfinished data set of other files or settings; name another folder, or remove it"
        )
    for leftover in out.glob(".*.part"):
        leftover.unlink(missing_ok=True)


@contextlib.contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Yield worker processes that each compute on one thread: the same arithmetic, whatever their number."""
    before = {name: os.environ.get(name) for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    os.environ.update(dict.fromkeys(before, "1"))
    try:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(max_workers=workers or os.cpu_count() or 1, mp_context=context) as pool:
            try:
                yield pool
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    except BrokenProcessPool:
        raise DatasetError(
            "a worker process died (out of memory, or a decoder crashed); run the same command again: what is done is kept"
        ) from None
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _cut(clips: Sequence[Clip], settings: BuildSettings, pool: ProcessPoolExecutor) -> tuple[list[Clip], list[LeftOut]]:
    """Return the clips with long files cut up, and those whose header cannot be read."""
    found: list[Clip] = []
    left_out: list[LeftOut] = []
    for clip, seconds in zip(clips, pool.map(_duration, [clip.path for clip in clips], chunksize=64), strict=True):
        if isinstance(seconds, str):
            left_out.append(LeftOut(clip.name, seconds))
        else:
            found += _pieces(clip, seconds, settings.clip_s)
    return found, left_out


def _duration(path: Path) -> float | str | None:
    """Return a file's seconds, None where its header does not tell, or the reason why it cannot be read."""
    try:
        return audio.probe(path).duration
    except AudioError as error:
        return str(error)


def _pieces(clip: Clip, seconds: float | None, clip_s: float) -> Iterator[Clip]:
    """Cut consecutive clips of `clip_s`; a remainder shorter than half of that is not used."""
    length = clip.duration if clip.duration is not None else (None if seconds is None else seconds - clip.start)
    count = 1 if length is None else max(1, int(length / clip_s + 0.5))
    for i in range(count):
        yield replace(clip, start=clip.start + i * clip_s, duration=min(clip_s, clip.duration or clip_s))


def _shards(clips: Sequence[Clip], settings: BuildSettings) -> Iterator[_Shard]:
    row_bytes = settings.frames * settings.settings.width * 4
    for split in SPLITS:
        pitch = settings.pitch if split == "training" else (0.0,)
        size = max(1, min(CLIPS_PER_SHARD, MAX_SHARD_BYTES // (row_bytes * len(pitch))))
        mine = [clip for clip in clips if clip.split == split]
        for number, first in enumerate(range(0, len(mine), size)):
            yield _Shard(f"{split}-{number:05d}", split, tuple(mine[first : first + size]), pitch)


def _make_all(
    out: Path,
    shards: Sequence[_Shard],
    settings: BuildSettings,
    pool: ProcessPoolExecutor,
    on_progress: Progress | None,
) -> dict[str, dict[str, Any]]:
    """Return each shard's record; a few more than there are workers are under way at a time."""
    total = sum(len(shard.clips) for shard in shards)
    made = {shard.name: record for shard in shards if (record := _kept(out, shard))}
    waiting = [shard for shard in shards if shard.name not in made]
    done = total - sum(len(shard.clips) for shard in waiting)
    running: dict[Future[dict[str, Any]], _Shard] = {}
    while waiting or running:
        while waiting and len(running) < 8:
            shard = waiting.pop(0)
            running[pool.submit(_make, out, shard, settings)] = shard
        if on_progress:
            on_progress(done, total)
        finished, _ = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
        for future in finished:
            shard = running.pop(future)
            made[shard.name] = future.result()
            done += len(shard.clips)
    if on_progress:
        on_progress(total, total)
    return made


def _kept(out: Path, shard: _Shard) -> dict[str, Any] | None:
    try:
        record = json.loads((out / f"{shard.name}.json").read_text(encoding="utf-8"))
        if record["sha256"] is None or record["sha256"] == sha256_of(out / record["file"]):
            return record
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def _make(out: Path, shard: _Shard, settings: BuildSettings) -> dict[str, Any]:
    """Compute one shard and write it; its record, written last, tells which clips it holds."""
    rows: list[NDArray[np.float32]] = []
    used, left_out = [], []
    for i, clip in enumerate(shard.clips):
        try:
            rows.append(_variants(clip, shard.pitch, settings))
            used.append(i)
        except AudioError as error:
            left_out.append((i, str(error)))
    record: dict[str, Any] = {"file": f"{shard.name}.npy", "split": shard.split, "used": used, "left_out": left_out}
    if rows:
        array = np.concatenate(rows)
        write_atomically(out / record["file"], lambda file: np.save(file, array, allow_pickle=False))
    record["rows"] = len(used) * len(shard.pitch)
    record["sha256"] = sha256_of(out / record["file"]) if rows else None
    write_json(out / f"{shard.name}.json", record)
    return record


def _variants(clip: Clip, pitch: tuple[float, ...], settings: BuildSettings) -> NDArray[np.float32]:
    """Return features (variants, frames, width) of one clip. Raises `AudioError` for one that cannot be used."""
    chosen = settings.settings
    samples = audio.load(clip.path, sample_rate=chosen.sample_rate, start=clip.start, duration=clip.duration)
    if len(samples) < settings.shortest_s * chosen.sample_rate:
        raise AudioError(
            f"has {len(samples) / chosen.sample_rate:.3f} s of sound; {settings.shortest_s:g} s are needed"
        )
    if audio.is_silent(samples):
        raise AudioError("is silent (nothing above -100 dBFS)")
    if chosen.steps is None:  # every example has the same number of frames
        filled = np.zeros(round(settings.clip_s * chosen.sample_rate), dtype=np.float32)
        filled[: len(samples)] = samples[: len(filled)]
        samples = filled
    if settings.pitch_method == "spectrum":
        return features.compute_variants(samples, chosen, semitones=pitch)
    return np.stack([features.compute(vocoded(samples, chosen.sample_rate, shift), chosen) for shift in pitch])


def vocoded(samples: NDArray[np.float32], sample_rate: int, semitones: float) -> NDArray[np.float32]:
    """Return samples (n,) raised by librosa's phase vocoder, as the report did it. Raises `MissingExtraError`."""
    if semitones == 0:
        return samples
    try:
        import librosa
    except ImportError:
        raise missing_extra("librosa", "train", "--pitch-method vocoder") from None
    return librosa.effects.pitch_shift(samples, sr=sample_rate, n_steps=semitones)


def _finish(
    out: Path,
    identity: dict[str, Any],
    settings: BuildSettings,
    labels: Sequence[Label],
    shards: Sequence[_Shard],
    made: dict[str, dict[str, Any]],
    left_out: list[LeftOut],
    remarks: list[str],
) -> BuildSummary:
    """Write the tables, then the index that makes the data set valid; then the journal is not needed any more."""
    rows, used = [], []
    for shard in shards:
        record = made[shard.name]
        left_out += [LeftOut(shard.clips[i].name, cause) for i, cause in record["left_out"]]
        for i in record["used"]:
            clip = shard.clips[i]
            used.append(clip)
            part = (f"{clip.start:g}", "" if clip.duration is None else f"{clip.duration:g}")
            names = store.labels_text(clip.targets, labels)
            rows += [(shard.split, clip.name, *part, clip.recording, names, f"{shift:g}") for shift in shard.pitch]
    if not used:
        cause = f" ({left_out[0].name}: {left_out[0].cause})" if left_out else ""
        raise DatasetError(f"none of the recordings can be used{cause}")
    write_csv(out / store.ROWS, store.ROW_HEADER, rows)
    write_csv(out / store.LEFT_OUT, ("path", "cause"), [(item.name, item.cause) for item in left_out])
    index = {
        "format": store.FORMAT,
        "features": settings.settings.to_dict(),
        "frames": settings.frames,
        "labels": [label.to_dict() for label in labels],
        "clips": {
            split: {label.id: sum(i in c.labels for c in used if c.split == split) for i, label in enumerate(labels)}
            | {"none": sum(not c.labels for c in used if c.split == split)}
            for split in SPLITS
        },
        "rows": {split: sum(made[s.name]["rows"] for s in shards if s.split == split) for split in SPLITS},
        "recordings": {split: len({c.recording for c in used if c.split == split}) for split in SPLITS},
        "left_out": dict(Counter(item.cause for item in left_out).most_common()),
        "remarks": remarks,
        "shards": [
            {name: made[s.name][name] for name in ("file", "split", "rows", "sha256")}
            for s in shards
            if made[s.name]["rows"]
        ],
        "identity": identity,
    }
    write_json(out / store.INDEX, index)
    for name in [JOURNAL, *(f"{shard.name}.json" for shard in shards)]:
        (out / name).unlink(missing_ok=True)
    return _summary(out, index)


def _summary(out: Path, index: dict[str, Any], *, already_there: bool = False) -> BuildSummary:
    import csv

    try:
        with (out / store.LEFT_OUT).open(encoding="utf-8", newline="") as file:
            left_out = tuple(LeftOut(row["path"], row["cause"]) for row in csv.DictReader(file))
    except OSError as error:
        raise WhoplaysError(f"{out / store.LEFT_OUT}: cannot be read ({error.strerror})") from None
    return BuildSummary(
        out, index["rows"], index["clips"], index["recordings"], left_out, tuple(index["remarks"]), already_there
    )
