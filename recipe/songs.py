"""Songs that were read from MIDI files, kept as plain arrays: reading thousands of files again takes minutes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np

from whoplays.errors import RenderError
from whoplays.storage.files import write_atomically

from .parts import Song


def write(path: Path, songs: Sequence[Song]) -> None:
    """Write songs as one archive of plain arrays."""
    parts = [part for song in songs for part in song.parts]
    facts = [
        {"name": song.name, "duration": song.duration, "programs": song.programs, "drums": song.drums} for song in songs
    ]
    arrays = {
        "told": np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8),
        "lengths": np.array([len(part) for part in parts], dtype=np.int64),
        "notes": np.concatenate([*parts, np.zeros((0, 4), dtype=np.float32)]),
    }
    write_atomically(path, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]


def read(path: Path) -> list[Song]:
    """Read what `write` wrote. Raises `RenderError`."""
    try:
        with np.load(path, allow_pickle=False) as kept:
            facts, notes = json.loads(bytes(kept["told"])), kept["notes"]
            edges = [0, *accumulate(kept["lengths"].tolist())]
        parts = iter([notes[first:last] for first, last in pairwise(edges)])
        return [
            Song(
                str(song["name"]),
                tuple(next(parts) for _ in song["programs"]),
                tuple(song["programs"]),
                tuple(song["drums"]),
                float(song["duration"]),
            )
            for song in facts
        ]
    except Exception as error:  # an archive can be damaged in more ways than its reader has kinds of errors
        raise RenderError(f"{path}: cannot be read ({error}); remove it") from None
