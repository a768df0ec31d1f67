"""The labels that this package knows (labels.toml), with what AudioSet, General MIDI and sample libraries call them.

A model or data set carries the labels that it needs, so only what makes new ones reads this file. The environment
variable WHOPLAYS_LABELS names another file of the same form, for labels of one's own below families of one's own.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .tree import Label, Tree, families_first

FILE = Path(__file__).with_name("labels.toml")
VARIABLE = "WHOPLAYS_LABELS"

_SHADES = (0.35, -0.3, 0.6, -0.55)  # of labels of one's own below a family: towards white, or black
_FIELDS = {"parent", "en", "pl", "colour", "default", "audioset", "midi", "samples"}
_LISTS = ("include", "exclude", "ambiguous")
_PARTS = {"audioset": {*_LISTS, "broad"}, "midi": set(_LISTS), "samples": set(_LISTS)}


@dataclass(frozen=True)
class Evidence:
    """What the name of an instrument says about labels. Labels in none of the tuples do not sound.

    Attributes
    ----------
    present : tuple of str
        Labels that sound, families before instruments.
    ambiguous : tuple of str
        Labels for and against which it says nothing.
    absent : tuple of str
        Instruments that do not sound, though their family does.
    """

    present: tuple[str, ...] = ()
    ambiguous: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()

    @property
    def family(self) -> str | None:
        """The first family that sounds, if any."""
        return self.present[0] if self.present else None


@dataclass(frozen=True)
class AudioSetRule:
    """How AudioSet's labels make an example of one label: AudioSet ids, with their names.

    Attributes
    ----------
    include : dict
        A clip with one of these, or of their descendants, is an example.
    exclude : dict
        What is none of it, with descendants. A clip that carries one is not taken as an example.
    ambiguous : dict
        Counted neither for nor against, with descendants; stronger than both.
    broad : dict
        What may hold the label without naming it, without descendants.
    """

    include: dict[str, str] = field(default_factory=dict)
    exclude: dict[str, str] = field(default_factory=dict)
    ambiguous: dict[str, str] = field(default_factory=dict)
    broad: dict[str, str] = field(default_factory=dict)


class Catalogue(Tree):
    """The tree of all known labels, and their names elsewhere.

    Parameters
    ----------
    entries : mapping
        Label id -> its table in labels.toml.

    Raises
    ------
    ValueError
        If the labels make no tree, or an entry has an unknown field or lacks one.
    """

    def __init__(self, entries: Mapping[str, Mapping[str, Any]]) -> None:
        """Check the entries; see the class for what they must be."""
        for label_id, entry in entries.items():
            if not isinstance(entry, Mapping) or not {"en", "pl", "colour"} <= set(entry):
                raise ValueError(f"[{label_id}] needs en, pl and colour")
            if unknown := sorted(set(entry) - _FIELDS):
                raise ValueError(f"[{label_id}] has a field {unknown[0]!r}; possible are {', '.join(sorted(_FIELDS))}")
            for kind, parts in _PARTS.items():
                if unknown := sorted(set(entry.get(kind, {})) - parts):
                    raise ValueError(f"[{label_id}.{kind}] has {unknown[0]!r}; possible are {', '.join(sorted(parts))}")
        self._entries = entries
        labels = (Label.from_dict({"id": name, "parent": None, **entry}) for name, entry in entries.items())
        super().__init__(families_first(labels))

    @property
    def defaults(self) -> tuple[str, ...]:
        """Ids of the families that are used where none are named."""
        return tuple(family.id for family in self.families if self._entries[family.id].get("default"))

    def audioset(self, label_id: str) -> AudioSetRule | None:
        """Return how AudioSet's labels make the label, or None where AudioSet has none for it."""
        own = self._entries[label_id].get("audioset", {})
        if not own.get("include"):
            return None
        rule = AudioSetRule(**own)
        for family in self.ancestors(label_id):
            above = AudioSetRule(**self._entries[family].get("audioset", {}))
            ambiguous = {key: name for key, name in above.ambiguous.items() if key not in rule.include}
            rule = replace(rule, exclude=above.exclude | rule.exclude, ambiguous=ambiguous | rule.ambiguous)
        return rule

    def of_sample(self, name: str) -> Evidence | None:
        """Return what an instrument of a sample library, or the id of a label, says about labels; None if unknown."""
        own = Evidence(self.expand([name])) if name in self else None
        return self._named["samples"].get(name, own)

    def of_program(self, program: int) -> Evidence:
        """Return what a General MIDI program (0 to 127) says about labels."""
        return self._named["midi"].get(program, Evidence())

    @cached_property
    def _named(self) -> dict[str, dict[Any, Evidence]]:
        found: dict[str, dict[Any, Evidence]] = {}
        for kind in ("samples", "midi"):
            lists: dict[Any, dict[str, list[str]]] = {}
            for label_id in self.ids:
                for part in _LISTS:
                    for name in self._entries[label_id].get(kind, {}).get(part, ()):
                        lists.setdefault(name, {one: [] for one in _LISTS})[part].append(label_id)
            found[kind] = {
                name: Evidence(self.expand(parts["include"]), tuple(parts["ambiguous"]), tuple(parts["exclude"]))
                for name, parts in lists.items()
            }
        return found

    def parents(self, ids: Sequence[str]) -> dict[str, str]:
        """Return the family of each known instrument among the ids whose family is among them too."""
        known = [self[label_id] for label_id in ids if label_id in self]
        return {label.id: label.parent for label in known if label.parent in ids and label.parent}

    def labels_for(self, ids: Sequence[str], parents: Mapping[str, str] | None = None) -> tuple[Label, ...]:
        """Return the labels of a data set: known ones as they are, others as families displayed by their id.

        Parameters
        ----------
        ids : sequence of str
            In the order wanted; families come first all the same. An instrument whose family is not among them stands
            alone, as a family.
        parents : mapping, optional
            Label id -> id of the family that it belongs to, where that is not the catalogue's.

        Raises
        ------
        UsageError
            If an id cannot be one, or a parent is not among the ids or is no family.
        """
        parents = parents or {}
        for label_id in ids:
            check_id(label_id)
        known = [label_id for label_id in ids if label_id in self and label_id not in parents]
        free = [family.colour for family in self.families if family.id not in {self.family_of(one) for one in known}]
        free = free or [family.colour for family in self.families]
        found: dict[str, Label] = {}
        for label_id in sorted(ids, key=lambda one: one in parents):
            if label_id in known:
                parent = self[label_id].parent
                found[label_id] = self[label_id] if parent in ids else replace(self[label_id], parent=None)
            elif above := parents.get(label_id):
                if above not in found or found[above].parent is not None:
                    raise UsageError(f"{label_id} cannot be below {above}, which is no family among {', '.join(ids)}")
                siblings = sum(label.parent == above for label in found.values())
                en, pl = (self[label_id].en, self[label_id].pl) if label_id in self else (label_id, label_id)
                found[label_id] = Label(label_id, above, en, pl, shade(found[above].colour, siblings))
            else:
                colour = free[sum(one not in known for one in found) % len(free)]
                found[label_id] = Label(label_id, None, label_id, label_id, colour)
        return families_first(found[label_id] for label_id in ids)


def shade(colour: str, place: int) -> str:
    """Return the colour ("#rrggbb") of the instrument at `place` (from 0) below a family of that colour."""
    share = _SHADES[place % len(_SHADES)]
    end = 255 if share > 0 else 0
    channels = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return "#" + "".join(f"{round(value + (end - value) * abs(share)):02X}" for value in channels)


def check_id(label_id: str) -> None:
    """Raise `UsageError` for what cannot be the id of a label."""
    shown = label_id.isprintable() and not any(character in label_id for character in ';,="')
    if not label_id or not shown or label_id != label_id.strip():
        raise UsageError(
            f"{label_id!r} cannot be a label id: it is empty or holds , ; = a double quote, a character that cannot be "
            "printed, or white space at an end"
        )


def catalogue() -> Catalogue:
    """Return the labels of labels.toml, or of the file that WHOPLAYS_LABELS names. Raises `UsageError` where that is none."""
    return _read(os.environ.get(VARIABLE) or str(FILE))


@lru_cache(maxsize=4)
def _read(path: str) -> Catalogue:
    try:
        return Catalogue(tomllib.loads(Path(path).read_text(encoding="utf-8")))
    except OSError as error:
        raise UsageError(f"{path}: the labels cannot be read ({error.strerror or error})") from None
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(f"{path}: is not a file of labels ({error})") from None
