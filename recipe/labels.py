"""What a voice says about the families that the recipe trains, by the label tree of whoplays."""

from __future__ import annotations

from dataclasses import dataclass

from whoplays.taxonomy.catalogue import Evidence, catalogue

FAMILY_IDS = catalogue().defaults


@dataclass(frozen=True)
class NotesLabel:
    """The family that a voice counts for (or none), and the families about which it says nothing."""

    family: str | None = None
    unknown: tuple[str, ...] = ()

    @classmethod
    def of(cls, evidence: Evidence) -> NotesLabel:
        """Return what evidence says about the families that are trained."""
        present, unknown = (
            tuple(label for label in labels if label in FAMILY_IDS) for labels in (evidence.present, evidence.ambiguous)
        )
        return cls(next(iter(present), None), unknown)


def label_of_notes(folder: str, instrument: str) -> NotesLabel:
    """Return the label of `instrument`, filed under `folder` ("brass", ..., "other") of a notes library."""
    return NotesLabel.of(catalogue().of_sample(instrument) or Evidence((folder,)))


def label_of_program(program: int) -> NotesLabel:
    """Return the label of a General MIDI program (0 to 127)."""
    return NotesLabel.of(catalogue().of_program(program))
