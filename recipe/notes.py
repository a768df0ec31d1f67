"""A library of recorded notes, hits and phrases: packed once into one memory-mapped file, then played from there.

A *voice* is what one source (one physical instrument, kit or player) recorded of one instrument. Sources, not files, are
split between training and validation: two notes of one instrument are near copies of each other.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whoplays.errors import RenderError
from whoplays.storage.files import write_atomically

from .labels import Sounding, label_of_notes

Array = NDArray[np.float32]

SAMPLE_RATE = 32000
KINDS = ("note", "strum", "hit", "phrase", "noise", "ir")
#: Sources kept for validation: instruments, kits and players that are never trained on.
HELD_OUT = (
    "generaluser-",
    "enoe-pearl-master-studio",
    "tictacshutup-prac-kit",
    "vcsl-yamaha-upright",
    "jlearman-rhodes",
    "mytuner-guitar",
    "mtg-sax-tenor",
    "war-tuba",
    "raikar-",
)


@dataclass(frozen=True)
class Clip:
    """One recording of the library: where its samples lie, and what the manifest says of it."""

    path: str
    kind: str
    instrument: str
    source: str
    articulation: str
    pitch: float | None
    start: int
    length: int

    @property
    def held_out(self) -> bool:
        """Whether only validation may use it. Noises are split by a hash of the name: each is a source of its own."""
        if self.kind == "noise":
            return sum(self.path.encode()) % 6 == 0
        return self.source.startswith(HELD_OUT)


@dataclass(frozen=True)
class Voice:
    """One instrument of one source: its notes (sorted by pitch), and the family it counts for."""

    instrument: str
    source: str
    label: Sounding
    clips: tuple[Clip, ...]

    @cached_property
    def pitches(self) -> Array:
        """MIDI pitch of every clip; NaN where it is unknown."""
        return np.array([np.nan if clip.pitch is None else clip.pitch for clip in self.clips], dtype=np.float32)


class Library:
    """The packed library in `folder`: `clips`, `voices`, and the samples of each clip."""

    def __init__(self, folder: Path) -> None:
        """Open what `pack` wrote. Raises `RenderError` when nothing is there."""
        try:
            rows = json.loads((folder / "clips.json").read_text())
        except FileNotFoundError:
            raise RenderError(f"{folder} holds no packed notes (clips.json); pack a material folder first") from None
        self.clips = [Clip(**row) for row in rows]
        self._samples = np.memmap(folder / "clips.i16", dtype=np.int16, mode="r")

    def samples(self, clip: Clip) -> Array:
        """Return the clip's samples (n,) with its peak at 1."""
        raw = self._samples[clip.start : clip.start + clip.length].astype(np.float32)
        return raw / max(1.0, float(np.abs(raw).max()))

    def of_kind(self, *kinds: str, held_out: bool) -> list[Clip]:
        """Return the clips of those kinds, either those for validation or the others."""
        return [clip for clip in self.clips if clip.kind in kinds and clip.held_out == held_out]

    def voices(self, *, held_out: bool) -> list[Voice]:
        """Return every voice with notes, hits or strums, either those for validation or the others."""
        groups: dict[tuple[str, str], list[Clip]] = {}
        for clip in self.of_kind("note", "hit", "strum", held_out=held_out):
            groups.setdefault((clip.instrument, clip.source), []).append(clip)
        return [
            Voice(instrument, source, label_of_notes(clips[0].path.split("/")[1], instrument), tuple(clips))
            for (instrument, source), clips in sorted(groups.items())
        ]


def pack(data: Path, folder: Path) -> Library:
    """Decode every note, hit, phrase, noise and impulse response that `data`/manifest.csv lists into `folder`."""
    import soundfile

    manifest = data / "manifest.csv"
    if not manifest.is_file():
        raise RenderError(f"{manifest} is missing: DATA must be a folder with a manifest of recorded notes")
    folder.mkdir(parents=True, exist_ok=True)
    clips, start = [], 0
    partial = folder / "clips.i16.partial"
    with manifest.open(newline="") as table, partial.open("wb") as samples:
        for row in csv.DictReader(table):
            if row["kind"] not in KINDS:
                continue
            wave, rate = soundfile.read(data / row["path"], dtype="float32")
            if rate != SAMPLE_RATE or wave.ndim != 1:
                raise RenderError(
                    f"{row['path']} is {rate} Hz, {wave.ndim} channel(s); {SAMPLE_RATE} Hz mono is needed"
                )
            peak = max(1e-6, float(np.abs(wave).max()))
            samples.write((wave * (32000 / peak)).astype(np.int16).tobytes())
            clips.append(
                {
                    "path": row["path"],
                    "kind": row["kind"],
                    "instrument": row["instrument"],
                    "source": row["source"],
                    "articulation": row["articulation"],
                    "pitch": float(row["midi_pitch"]) if row["midi_pitch"] else None,
                    "start": start,
                    "length": int(wave.size),
                }
            )
            start += wave.size
    partial.rename(folder / "clips.i16")
    write_atomically(folder / "clips.json", json.dumps(clips).encode())
    return Library(folder)
