"""What a sound says about every label that the recipe trains: all of the tree (whoplays/taxonomy/labels.toml)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from whoplays.taxonomy.catalogue import Evidence, catalogue

TREE = catalogue()
#: Columns of every array over labels: families first.
LABELS = TREE.ids
FAMILIES = tuple(family.id for family in TREE.families)


@dataclass(frozen=True)
class Sounding:
    """The labels that a sound counts for, those about which it says nothing, and instruments that it is known not to be."""

    present: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()

    @classmethod
    def of(cls, evidence: Evidence) -> Sounding:
        """Return what the catalogue says of an instrument."""
        return cls(evidence.present, evidence.ambiguous, evidence.absent)

    @property
    def family(self) -> str | None:
        """The family that it counts for, if any."""
        return TREE.family_of(self.present[0]) if self.present else None

    @cached_property
    def targets(self) -> NDArray[np.float32]:
        """1, 0 or NaN (unknown) for each of `LABELS`."""
        return np.array(TREE.targets(self.present, self.unknown, self.absent), dtype=np.float32)


def label_of_notes(folder: str, instrument: str) -> Sounding:
    """Return the label of `instrument`, filed under `folder` ("brass", ..., "other") of a notes library."""
    found = TREE.of_sample(instrument)
    return Sounding.of(found) if found else Sounding((folder,) if folder in FAMILIES else ())


def label_of_program(program: int) -> Sounding:
    """Return the label of a General MIDI program (0 to 127)."""
    return Sounding.of(TREE.of_program(program))
