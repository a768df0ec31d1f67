"""The long jobs of rendering: shard after shard, each from its own seeds, skipping what exists."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whoplays.errors import AudioError, RenderError
from whoplays.features import LOGMEL, compute
from whoplays.training.material import FRAMES_PER_STEP, Rows, write_shard

from . import songs as kept_songs
from .labels import LABELS
from .notes import SAMPLE_RATE, Library
from .parts import Song, read_song
from .scenes import N_SAMPLES, STEPS, Studio
from .teacher import WIDTH, Teacher

Array = NDArray[np.float32]
ROWS_PER_SHARD = 256
FRAMES = STEPS * FRAMES_PER_STEP


def log_mel(samples: Array) -> NDArray[np.float16]:
    """Return the default front end's features (512, 64) of a scene's samples at 32 kHz."""
    import soxr

    wave = soxr.resample(samples, SAMPLE_RATE, LOGMEL.sample_rate, quality="HQ")
    return compute(wave, LOGMEL)[:FRAMES].astype(np.float16)


def songs_of(data: Path, cache: Path) -> list[Song]:
    """Return every song of `data`/midi, read once and kept in `cache`."""
    kept = cache / "songs.npz"
    if kept.is_file():
        return kept_songs.read(kept)
    songs = []
    for path in sorted((data / "midi").rglob("*.mid")):
        try:
            songs.append(read_song(path))
        except RenderError as error:
            print(error, flush=True)
    kept_songs.write(kept, songs)
    return songs


def _embed(teacher: Teacher | None, samples: Array) -> NDArray[np.float16]:
    if teacher is None:
        return np.full((STEPS, WIDTH), np.nan, dtype=np.float16)
    return teacher.embed(samples[None])[0, :STEPS].astype(np.float16)


def render_scenes(
    data: Path, material: Path, fonts: tuple[Path, ...], teacher_folder: Path | None, numbers: range, *, held_out: bool
) -> None:
    """Draw the shards `numbers` of scenes into `material`/training or `material`/validation."""
    teacher = Teacher(teacher_folder) if teacher_folder else None
    studio = Studio(Library(material / "notes"), songs_of(data, material / "notes"), fonts, held_out=held_out)
    folder = material / ("validation" if held_out else "training")
    for number in numbers:
        name = f"scenes-{number:05d}"
        if (folder / f"{name}.npz").exists():
            continue
        begun, rows = time.monotonic(), []
        for seed in range(number * ROWS_PER_SHARD, (number + 1) * ROWS_PER_SHARD):
            scene = studio.draw(seed)
            rows.append((log_mel(scene.samples), scene.targets, _embed(teacher, scene.samples), scene.about))
        _write(folder, name, rows)
        print(f"{name}: {(time.monotonic() - begun) / ROWS_PER_SHARD * 1000:.0f} ms a row", flush=True)


def cut_music(folder: Path, material: Path, teacher_folder: Path | None, *, per_recording: int) -> None:
    """Cut at most `per_recording` clips from every recording under `folder` into `material`/music."""
    from whoplays.audio.reading import load, probe

    teacher = Teacher(teacher_folder) if teacher_folder else None
    unknown = np.full((STEPS, len(LABELS)), np.nan, dtype=np.float32)
    for path in _recordings(folder):
        name = hashlib.sha256(str(path.relative_to(folder)).encode()).hexdigest()[:16]
        if (material / "music" / f"{name}.npz").exists():
            continue
        try:
            duration = probe(path).duration
            if duration is None or duration < 20:  # sound effects
                continue
            wave = load(path, sample_rate=SAMPLE_RATE)
        except AudioError as error:
            print(error, flush=True)
            continue
        count = min(per_recording, wave.size // N_SAMPLES)
        starts = np.linspace(0, wave.size - N_SAMPLES, count).astype(int)
        rows = []
        for start in starts:
            samples = np.ascontiguousarray(wave[start : start + N_SAMPLES])
            rows.append((log_mel(samples), unknown, _embed(teacher, samples), str(path.relative_to(folder))))
        if rows:
            _write(material / "music", name, rows)


def _recordings(folder: Path) -> Iterable[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".ogg", ".mp3", ".flac", ".opus", ".wav"))


def _write(folder: Path, name: str, rows: list[tuple[NDArray[Any], NDArray[Any], NDArray[Any], str]]) -> None:
    features, targets, teacher, about = zip(*rows, strict=True)
    write_shard(
        folder,
        name,
        Rows(np.stack(features), np.stack(targets).astype(np.float16), np.stack(teacher), np.array(about)),
    )
