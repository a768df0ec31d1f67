"""Labels, and the tree of two levels that they form: families, and instruments below them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

_COLOUR = re.compile(r"#[0-9A-Fa-f]{6}")
_NAME_LIMIT = 100  # characters

Target = int | None  # 1 it plays, 0 it does not, None: not known


@dataclass(frozen=True)
class Label:
    """Something that can be detected.

    Attributes
    ----------
    id : str
        Name in scripts, tables and JSON.
    parent : str or None
        Id of the family that an instrument belongs to; None for a family.
    en, pl : str
        Display names in English and Polish.
    colour : str
        "#rrggbb".
    """

    id: str
    parent: str | None
    en: str
    pl: str
    colour: str

    def name(self, lang: str = "en") -> str:
        """Return the display name in `lang` ("en" or "pl")."""
        return self.pl if lang == "pl" else self.en

    def to_dict(self) -> dict[str, str | None]:
        """Return the label as models and data sets store it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` returned. Raises `KeyError` for a missing field, `TypeError` for one that is not text."""
        fields = {name: values[name] for name in ("id", "parent", "en", "pl", "colour")}
        for name, value in fields.items():
            if not isinstance(value, str) and not (name == "parent" and value is None):
                raise TypeError(f"the {name} of a label must be text, not {str(value)[:40]!r}")
        return cls(**fields)


class Tree:
    """An ordered set of labels: families first, then instruments.

    Parameters
    ----------
    labels : sequence of Label
        In the order of scores and targets.

    Raises
    ------
    ValueError
        If an id occurs twice, a parent is missing or is itself an instrument, an instrument precedes a family, or a
        name or colour is malformed.
    """

    def __init__(self, labels: Sequence[Label]) -> None:
        """Check the labels; see the class for what they must be."""
        self.labels = tuple(labels)
        self.ids = tuple(label.id for label in self.labels)
        self._by_id = {label.id: label for label in self.labels}
        self.families = tuple(label for label in self.labels if label.parent is None)
        self._check()
        self._place = {label_id: i for i, label_id in enumerate(self.ids)}
        self._below = {
            family.id: tuple(label for label in self.labels if label.parent == family.id) for family in self.families
        }

    def _check(self) -> None:
        if len(self._by_id) < len(self.labels):
            raise ValueError(f"a label occurs twice among {', '.join(self.ids)}")
        if any(label.parent is not None for label in self.labels[: len(self.families)]):
            raise ValueError("an instrument comes before a family; families must come first")
        for label in self.labels:
            for name in (label.id, label.en, label.pl):
                if not (0 < len(name) <= _NAME_LIMIT and name.isprintable()):
                    raise ValueError(f"a name is empty, longer than {_NAME_LIMIT} characters or not printable")
            if not _COLOUR.fullmatch(label.colour):
                raise ValueError(f"the colour of {label.id} is {label.colour[:20]!r}; it must be #rrggbb")
            if label.parent is not None and label.parent not in {family.id for family in self.families}:
                raise ValueError(f"the parent of {label.id} is {label.parent[:_NAME_LIMIT]!r}, which is no family here")

    def __len__(self) -> int:
        return len(self.labels)

    def __contains__(self, label_id: object) -> bool:
        return label_id in self._by_id

    def __getitem__(self, label_id: str) -> Label:
        return self._by_id[label_id]

    def index(self, label_id: str) -> int:
        """Return the position of a label."""
        return self._place[label_id]

    def instruments(self, family: str) -> tuple[Label, ...]:
        """Return the labels right below a family."""
        return self._below.get(family, ())

    def ancestors(self, label_id: str) -> tuple[str, ...]:
        """Return the ids above a label, nearest first; a family has none."""
        parent = self._by_id[label_id].parent
        return () if parent is None else (parent,)

    def family_of(self, label_id: str) -> str:
        """Return the family of an instrument, or the family itself."""
        return (label_id, *self.ancestors(label_id))[-1]

    def expand(self, label_ids: Iterable[str]) -> tuple[str, ...]:
        """Return the given ids and those above them, in the order of the tree."""
        found = {one for label_id in label_ids for one in (label_id, *self.ancestors(label_id))}
        return tuple(label_id for label_id in self.ids if label_id in found)

    def outline(self, playing: Collection[str]) -> tuple[Label, ...]:
        """Return every family, each followed by those of its instruments that play: what a page has room for."""
        found: list[Label] = []
        for family in self.families:
            found += [family, *(label for label in self._below[family.id] if label.id in playing)]
        return tuple(found)

    def divide(self, found: Collection[str]) -> tuple[tuple[Label, ...], tuple[Label, ...]]:
        """Return what was found, each family before its instruments, and what was looked for besides.

        The family of an instrument that was found is among the first; instruments of families that were not found are
        in neither.
        """
        there = set(self.expand(found))
        shown = tuple(label for label in self.outline(there) if label.id in there)
        missing = (label for label in self.labels if label.id not in there)
        return shown, tuple(label for label in missing if label.parent is None or label.parent in there)

    def full_name(self, label_id: str, lang: str = "en") -> str:
        """Return a family's name, or an instrument's behind its family's: strings: violin."""
        return ": ".join(self[one].name(lang) for one in (*self.ancestors(label_id), label_id))

    def levels(self) -> dict[str, tuple[int, ...]]:
        """Return the positions of the labels of each level: "families", and "instruments" where there are any."""
        n = len(self.families)
        found = {"families": tuple(range(n)), "instruments": tuple(range(n, len(self.labels)))}
        return {name: places for name, places in found.items() if places}

    def groups(self) -> dict[str, tuple[int, ...]]:
        """Return the positions of labels that are compared with each other: "families", and below each family."""
        found = {"families": self.levels()["families"]}
        for family, below in self._below.items():
            found[family] = tuple(self._place[label.id] for label in below)
        return {name: places for name, places in found.items() if places}

    def targets(
        self, present: Collection[str], unknown: Collection[str] = (), absent: Collection[str] = ()
    ) -> tuple[Target, ...]:
        """Return what is known about each label of a clip.

        A family is present where one of its instruments is. An instrument is absent where its family is, and unknown
        where its family is unknown, or is present with none of its instruments named.

        Parameters
        ----------
        present : collection of str
            Labels that play. Ids that the tree does not hold are ignored, here and below.
        unknown : collection of str
            Labels about which nothing is known.
        absent : collection of str
            Labels that are known not to play, though nothing else is named below their family. Labels that are in no
            collection do not play either.

        Returns
        -------
        tuple of int or None
            1, 0 or None (not known), in the order of the tree.
        """
        values: dict[str, Target] = {label_id: None if label_id in unknown else 0 for label_id in self.ids}
        values.update(dict.fromkeys(self.expand(one for one in present if one in self), 1))
        for family, below in self._below.items():
            named = any(values[label.id] == 1 for label in below)
            for label in below:
                if values[family] == 0:
                    values[label.id] = 0
                elif not named and label.id not in absent:
                    values[label.id] = None
        return tuple(values.values())

    def raise_families(self, scores: NDArray[Any]) -> NDArray[Any]:
        """Return scores, or truth values, (..., labels) in which no family has less than one of its instruments."""
        if len(self.families) == len(self.labels):
            return scores
        raised = scores.copy()
        for family, below in self._below.items():
            for label in below:
                place = self._place[family]
                np.maximum(raised[..., place], scores[..., self._place[label.id]], out=raised[..., place])
        return raised

    def select(self, label_ids: Iterable[str]) -> Tree:
        """Return a tree of some of the labels, families first; an instrument without its family becomes a family."""
        chosen = [self._by_id[label_id] for label_id in label_ids]
        ids = {label.id for label in chosen}
        kept = [label if label.parent in ids else replace(label, parent=None) for label in chosen]
        return Tree(families_first(kept))


def families_first(labels: Iterable[Label]) -> tuple[Label, ...]:
    """Return labels with families before instruments, otherwise in their order."""
    return tuple(sorted(labels, key=lambda label: label.parent is not None))
