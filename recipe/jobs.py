"""Rendering scenes: shard after shard, each from its own seeds, skipping what exists."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whoplays.errors import RenderError
from whoplays.features import LOGMEL, compute
from whoplays.training.augment import FRAMES_PER_STEP

from . import songs as kept_songs
from .labels import LABELS
from .material import Rows, write_shard
from .notes import SAMPLE_RATE, Library
from .parts import Song, read_song
from .scenes import STEPS, Scene, Studio

Array = NDArray[np.float32]
ROWS_PER_SHARD = 256
FRAMES = STEPS * FRAMES_PER_STEP
#: How shards of solos are named, and how much oftener than scenes their rows are drawn.
SOLOS, SOLOS_DRAWN = "solos", 2.0


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


def studio_of(data: Path, material: Path, fonts: Iterable[Path], *, held_out: bool) -> Studio:
    """Return the studio for training, or with `held_out` for validation."""
    notes = material / "notes"
    return Studio(Library(notes), songs_of(data, notes), tuple(fonts), held_out=held_out)


def render_scenes(
    studio: Studio, folder: Path, numbers: Iterable[int], *, rows: int = ROWS_PER_SHARD, solos: bool = False
) -> None:
    """Draw the shards `numbers` of scenes, `rows` in each, into a folder; those that exist are left as they are.

    solos: players alone, and sums of them, in place of what occurs in music.
    """
    draw, weight = (studio.draw_solos, SOLOS_DRAWN) if solos else (studio.draw, 1.0)
    for number in numbers:
        name = f"{SOLOS if solos else 'scenes'}-{number:05d}"
        if (folder / f"{name}.npz").exists():
            continue
        begun = time.monotonic()
        write_scenes(folder, name, [draw(seed) for seed in range(number * rows, (number + 1) * rows)], weight)
        print(f"{name}: {(time.monotonic() - begun) / rows * 1000:.0f} ms a scene", flush=True)


def write_scenes(folder: Path, name: str, scenes: list[Scene], weight: float = 1.0) -> None:
    """Write scenes as one shard of material. weight: how often each is drawn."""
    rows = Rows(
        np.stack([log_mel(scene.samples) for scene in scenes]),
        np.stack([scene.targets for scene in scenes]).astype(np.float16),
        np.full(len(scenes), weight, dtype=np.float32),
        np.array([scene.about for scene in scenes]),
        LABELS,
    )
    write_shard(folder, name, rows)
