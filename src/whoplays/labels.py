"""Families and instruments: id, names in English and Polish. Label sets are data: a model carries its own."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import UsageError


@dataclass(frozen=True)
class Label:
    """One thing that can be heard: an id for scripts and a display name for each language."""

    id: str
    en: str
    pl: str

    def name(self, lang: str = "en") -> str:
        """Return the display name in `lang` ("en" or "pl")."""
        return self.pl if lang == "pl" else self.en

    def to_dict(self) -> dict[str, str]:
        """Return the label as a model's `config.json` stores it."""
        return {"id": self.id, "en": self.en, "pl": self.pl}


#: The five families, always in this order.
FAMILIES: tuple[Label, ...] = (
    Label("brass", "brass", "instrumenty dęte blaszane"),
    Label("drums", "drums", "perkusja"),
    Label("guitar", "guitar", "gitara"),
    Label("piano", "piano", "fortepian"),
    Label("strings", "strings", "smyczki"),
)

FAMILY_IDS: tuple[str, ...] = tuple(label.id for label in FAMILIES)

_BY_ID = {label.id: label for label in FAMILIES}


def label_for(label_id: str) -> Label:
    """Return the known label of that id, or a new one that is displayed by its id (a user's own class)."""
    if not label_id or any(character in label_id for character in ";,\n\r\"") or label_id != label_id.strip():
        raise UsageError(f"{label_id!r} cannot be a label id: it is empty or holds , ; a quote or white space at an end")
    return _BY_ID.get(label_id) or Label(label_id, label_id, label_id)
