"""Which of the five families a voice counts for, and where it must count neither way (NaN)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whoplays.taxonomy.labels import FAMILY_IDS

_MASKED_GUITAR = {"banjo", "mandolin", "ukulele", "sitar"}
_MASKED_PIANO = {"harpsichord", "clavinet"}
#: Struck things that people call drums or do not: hand drums, shakers, claps, timpani and small percussion.
_MASKED_DRUMS = {
    "agogo", "banana-shaker", "bongo", "cabasa", "cajon", "castanets", "clap", "claves", "conga", "cowbell", "cuica",
    "djembe", "drumsticks", "dunun", "finger-snap", "guiro", "lemon-shaker", "maracas", "percussion", "shaker",
    "sheeps-toenails", "sleigh-bells", "strawberry-shaker", "surdo", "tam-tam", "tambourine", "thai-gong", "timpani",
    "washboard", "whip", "woodblock", "ratchet",
}  # fmt: skip


@dataclass(frozen=True)
class NotesLabel:
    """The family that a voice counts for (or none), and the family about which it says nothing (or none)."""

    family: str | None = None
    unknown: str | None = None

    def targets(self) -> NDArray[np.float32]:
        """Return 1, 0 or NaN for each of the five families."""
        values = np.zeros(len(FAMILY_IDS), dtype=np.float32)
        for name, value in ((self.family, 1.0), (self.unknown, np.nan)):
            if name is not None:
                values[FAMILY_IDS.index(name)] = value
        return values


def label_of_notes(folder: str, instrument: str) -> NotesLabel:
    """Return the label of `instrument`, filed under `folder` ("brass", ..., "other") of a notes library."""
    if instrument.startswith("bass-electric"):
        return NotesLabel()
    if instrument == "drum-machine":
        return NotesLabel("drums")
    if folder in FAMILY_IDS:
        return NotesLabel(folder)
    masked = (("guitar", _MASKED_GUITAR), ("piano", _MASKED_PIANO), ("drums", _MASKED_DRUMS))
    return NotesLabel(unknown=next((family for family, names in masked if instrument in names), None))


def label_of_program(program: int) -> NotesLabel:
    """Return the label of a General MIDI program (0 to 127)."""
    families = {
        "piano": range(0, 6),
        "guitar": range(24, 32),
        "strings": (40, 41, 42, 43, 44, 45, 48, 49, 110),
        "brass": range(56, 62),
    }
    unknown = {
        "piano": (6, 7),
        "guitar": (104, 105, 106),
        "strings": (50, 51),
        "brass": (62, 63),
        "drums": (47, 115, 116, 117),
    }
    return NotesLabel(
        next((family for family, programs in families.items() if program in programs), None),
        next((family for family, programs in unknown.items() if program in programs), None),
    )
