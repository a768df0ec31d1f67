"""What to look for in a list: labels of the tree by name, or any AudioSet label, with what each keeps out."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from ...errors import UsageError
from ...taxonomy.catalogue import catalogue
from .ontology import Ontology

Spread = Callable[[Iterable[str]], frozenset[str]]
CLASS_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


@dataclass(frozen=True)
class ClipClass:
    """One class to plan clips for. The sets hold AudioSet ids, descendants included; no id is in two of them.

    ambiguous: a clip with one of these and none of `include` may or may not hold the class.
    """

    id: str
    include: frozenset[str]
    exclude: frozenset[str] = frozenset()
    ambiguous: frozenset[str] = frozenset()


def choose_classes(
    ontology: Ontology,
    *,
    families: Sequence[str] = (),
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    descendants: bool = True,
    exclusions: bool = True,
) -> tuple[ClipClass, ...]:
    """Return the classes that a call asks for; with neither families nor labels, the tree's default families.

    families: labels of the tree, instruments too. include, exclude: AudioSet labels by id or name. `LABEL` alone makes a
    class of its own, or is kept out of every class; `CLASS=LABEL` adds it to what CLASS includes or excludes.
    descendants: labels stand for all that lie below them. exclusions: what the tree's file excludes is excluded.
    Raises `UsageError` for names that are not known.
    """
    spread: Spread = ontology.descendants if descendants else frozenset
    names = list(families) or ([] if include else list(catalogue().defaults))
    classes = {name: _known(name, ontology, spread, exclusions) for name in names}
    for text in include:
        name, label = _assignment(text, ontology)
        name = name or re.sub(r"[^a-z0-9]+", "_", ontology.name(label).lower()).strip("_")[:60] or "class"
        if "=" in text and name not in classes and name in catalogue() and catalogue().audioset(name):
            raise UsageError(f"--include {text!r} adds to {name!r}: ask for it too, with --family {name}")
        held = classes.get(name, ClipClass(name, frozenset()))
        taken = held.include | spread([label])
        classes[name] = replace(held, include=taken, exclude=held.exclude - taken, ambiguous=held.ambiguous - taken)
    for text in exclude:
        name, label = _assignment(text, ontology)
        if name and name not in classes:
            raise UsageError(f"--exclude {text!r}: no class {name!r} is requested; there are {', '.join(classes)}")
        for key in [name] if name else list(classes):
            held, out = classes[key], spread([label])
            classes[key] = ClipClass(key, held.include - out, held.exclude | out, held.ambiguous - out)
    for held in classes.values():
        if not held.include:
            raise UsageError(f"class {held.id!r}: everything that it takes in is excluded as well")
    return tuple(classes[name] for name in sorted(classes, key=label_order))


def _known(name: str, ontology: Ontology, spread: Spread, exclusions: bool) -> ClipClass:
    tree = catalogue()
    if name not in tree:
        close = difflib.get_close_matches(name.lower(), tree.ids, n=1)
        advice = f"did you mean {close[0]!r}? " if close else ""
        families = ", ".join(family.id for family in tree.families)
        raise UsageError(f"no label {name!r}; {advice}families: {families} (any AudioSet label: --include)")
    rule = tree.audioset(name)
    if rule is None:
        raise UsageError(f"AudioSet has no label for {name!r}; --include {name}=LABEL says what to take for it")
    missing = [label for label in rule.include if label not in ontology.names]
    if missing:
        raise UsageError(f"the ontology lacks {missing[0]} ({rule.include[missing[0]]}), which {name!r} needs")
    ambiguous = spread(rule.ambiguous)
    excluded = spread(rule.exclude) - ambiguous
    # What is no part of the label is never taken in, whether or not clips that carry it are dropped.
    taken = spread(rule.include) - ambiguous - excluded
    return ClipClass(name, taken, excluded if exclusions else frozenset(), (ambiguous | frozenset(rule.broad)) - taken)


def _assignment(text: str, ontology: Ontology) -> tuple[str, str]:
    """Split "CLASS=LABEL" or "LABEL" into the class (or "") and the label's id."""
    name, equals, label = text.partition("=")
    if not equals:
        return "", ontology.resolve(text)
    name = name.strip()
    if not CLASS_ID.fullmatch(name):
        raise UsageError(f"{name!r} cannot name a class: use lower-case letters, digits, - and _ (it names a folder)")
    return name, ontology.resolve(label)


def apart(a: str, b: str) -> bool:
    """Tell whether two classes are different ones, neither being the family of the other."""
    tree = catalogue()
    related = a in tree and b in tree and tree.family_of(a) == tree.family_of(b) and {a, b} & {tree.family_of(a)}
    return a != b and not related


def label_order(name: str) -> tuple[int, str]:
    """Return a key that sorts class ids: known labels in the tree's order, then others by name."""
    tree = catalogue()
    return (tree.index(name), "") if name in tree else (len(tree), name)
