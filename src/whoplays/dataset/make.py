"""The work on one shard, a function of its clips and the settings alone: any process on any machine gives the same bytes.

A shard that is there with the right checksum is kept, so work that is done twice costs little, and a run that was
killed goes on.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .. import features
from ..audio import decoder, reading
from ..audio.quality import QualityWarning
from ..errors import AudioError, ReadError
from ..runtime.packages import needed
from ..runtime.threads import in_order
from ..storage.address import Address, Place
from ..storage.cache import Kept, one_by_one, recording
from ..storage.files import sha256_of, write_json
from . import shards
from .settings import BuildSettings
from .sources import Clip

Found = TypeVar("Found")

ASKED_AT_ONCE = 16
PRINTED = 16 << 10  # bytes of a file's beginning and end by which files that may be copies are found
READ_AGAIN_S = (0.1, 1.0)  # after a read that failed


@dataclass(frozen=True)
class Shard:
    """Clips that go into one file: its name, the split they are in, and the semitones of each clip's variants."""

    name: str
    split: str
    clips: tuple[Clip, ...]
    pitch: tuple[float, ...]


def each(work: Callable[..., Found], items: Sequence[tuple[Any, ...]]) -> list[Found]:
    """Return what the work on each file gives; items: a path, and what else the work takes.

    A store takes its time to answer, but answers many questions at a time.
    """
    if work is not seen or not any(isinstance(path, Address) for path, *_ in items):
        return [work(*item) for item in items]
    return list(in_order(lambda item: work(*item), items, ASKED_AT_ONCE))


def seen(path: Place) -> tuple[int, int]:
    """Return a file's bytes, -1 for what is no file, and the print of an object in a store, 0 for a file."""
    if not isinstance(path, Address):
        return path.stat().st_size if path.is_file() else -1, 0
    size, mark = path.size_and_mark()  # to read it would be a transfer: what the store says of the content is taken
    return size, _number(mark.encode()) if size >= 0 else 0


def print_of(path: Path) -> int:
    """Return a number that equal files share: of a file's size, beginning and end. 0 for what cannot be read."""
    try:
        with path.open("rb") as file:
            length = file.seek(0, os.SEEK_END)
            file.seek(max(0, length - PRINTED))
            end = file.read(PRINTED)
            file.seek(0)
            return _number(str(length).encode(), file.read(PRINTED), end)
    except OSError:
        return 0


def _number(*parts: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(b"\0".join(parts), digest_size=8).digest(), signed=True)


def digest(path: Path) -> str:
    """Return the checksum of a file's content, "" for what cannot be read."""
    try:
        return sha256_of(path)
    except OSError:
        return ""


def duration(path: Place, size: int | None = None, kept: Kept | None = None) -> tuple[float | None, str | None]:
    """Return a file's seconds (None where the header does not tell), and why it cannot be read, if so.

    size, kept: as for `storage.cache.recording`.
    """
    try:
        with recording(path, size=size, kept=kept) as here:
            return _patiently(lambda: decoder.duration_of(here)), None
    except AudioError as error:
        return None, str(error)


def _patiently(read: Callable[[], Found]) -> Found:
    """Return what reading gives, tried again where the disk or the connection failed: a clip is not lost for a moment's."""
    for pause in READ_AGAIN_S:
        try:
            return read()
        except ReadError:
            time.sleep(pause)
    return read()


def make(
    out: Place, settings: BuildSettings, label_ids: Sequence[str], kept: Kept | None, shard: Shard
) -> dict[str, Any]:
    """Return the record of a shard: the one that is there, if the shard is as it says, else that of the shard made now.

    The record, written last, lists which clips the shard holds, and why others were skipped. label_ids: in the order of the
    clips' targets. kept: as for `storage.cache.recording`.
    """
    if there := _kept(out, shard.name):
        return there
    kind = shards.kind(settings)
    used: list[int] = []
    skipped: list[tuple[int, str]] = []
    damaged: list[tuple[int, str]] = []

    def made() -> Iterator[shards.Made]:
        with one_by_one(kept) as here:
            for i, clip in enumerate(shard.clips):
                damage: list[QualityWarning] = []
                try:
                    found = variants(clip, shard.pitch, settings, path=here(clip.path), damage=damage)
                except AudioError as error:
                    skipped.append((i, str(error)))
                    continue
                used.append(i)
                damaged.extend((i, warning.message) for warning in damage)
                yield clip, found

    file = f"{shard.name}{kind.suffix}"
    written = kind.write(out / file, made(), shard.pitch, label_ids)
    record = {
        "file": file,
        "split": shard.split,
        "used": used,
        "skipped": skipped,
        "damaged": damaged,
        "rows": len(used) * len(shard.pitch),
        "sha256": written,
    }
    write_json(out / f"{shard.name}.json", record)
    return record


def _kept(out: Place, name: str) -> dict[str, Any] | None:
    """Return the record of a finished shard whose checksum is right, else None."""
    try:
        record: dict[str, Any] = json.loads((out / f"{name}.json").read_text(encoding="utf-8"))
        if record["sha256"] is None or record["sha256"] == sha256_of(out / record["file"]):
            return record
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def variants(
    clip: Clip,
    pitch: tuple[float, ...],
    settings: BuildSettings,
    *,
    path: Path | None = None,
    damage: list[QualityWarning] | None = None,
) -> NDArray[np.float32]:
    """Return features (variants, frames, width) of one clip. Raises `AudioError` for one that cannot be used.

    path: its recording on this machine, where that has been fetched already. damage: gets the warnings about what could not
    be decoded.
    """
    chosen = settings.settings
    with recording(path or clip.path) as here:
        samples = _patiently(
            lambda: decoder.load(
                here,
                sample_rate=chosen.sample_rate,
                start=clip.start,
                duration=clip.duration,
                strict=settings.strict,
                damage=damage,
            )
        )
    if len(samples) < settings.shortest_s * chosen.sample_rate:
        raise AudioError(
            f"has {len(samples) / chosen.sample_rate:.3f} s of sound; {settings.shortest_s:g} s are needed"
        )
    if reading.is_silent(samples):
        raise AudioError("is silent (nothing above -100 dBFS)")
    if (
        chosen.n_time_bins is None
    ):  # every example has the same number of frames: a short one is repeated, as in prediction
        samples = np.resize(samples, round(settings.clip_s * chosen.sample_rate))
    if settings.pitch_method == "spectrum":
        return features.compute_variants(samples, chosen, semitones=pitch)
    return np.stack([features.compute(vocoded(samples, chosen.sample_rate, shift), chosen) for shift in pitch])


def vocoded(samples: NDArray[np.float32], sample_rate: int, semitones: float) -> NDArray[np.float32]:
    """Return samples (n,) raised by librosa's phase vocoder, as the report did it. Raises `MissingExtraError`."""
    if semitones == 0:
        return samples
    with needed("--pitch-method vocoder", "train"):
        import librosa
    return librosa.effects.pitch_shift(samples, sr=sample_rate, n_steps=semitones)
