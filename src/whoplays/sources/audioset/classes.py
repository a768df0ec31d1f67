"""What to look for in a list: families by name, or any AudioSet label, with what each keeps out."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from ...errors import UsageError
from ...taxonomy.labels import AUDIOSET, AUDIOSET_BROAD, FAMILY_IDS
from .ontology import Ontology

Spread = Callable[[Iterable[str]], frozenset[str]]
CLASS_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


@dataclass(frozen=True)
class ClipClass:
    """One class to plan clips for. The sets hold AudioSet ids, descendants included; no id is in two of them.

    unsure: a clip with one of these and none of `takes_in` may or may not hold the class.
    """

    id: str
    takes_in: frozenset[str]
    keeps_out: frozenset[str] = frozenset()
    unsure: frozenset[str] = frozenset()


def choose_classes(
    ontology: Ontology,
    *,
    families: Sequence[str] = (),
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    descendants: bool = True,
    exclusions: bool = True,
) -> tuple[ClipClass, ...]:
    """Return the classes that a call asks for; with neither families nor labels, the five families.

    include, exclude: labels by id or name. `LABEL` alone makes a class of its own, or is kept out of every class;
    `CLASS=LABEL` adds it to what CLASS takes in or keeps out. descendants: labels stand for all that lie below them.
    exclusions: families keep out what `labels.AUDIOSET` says. Raises `UsageError` for names that are not known.
    """
    spread: Spread = ontology.descendants if descendants else frozenset
    names = list(families) or ([] if include else list(FAMILY_IDS))
    classes = {name: _family(name, ontology, spread, exclusions) for name in names}
    for text in include:
        name, label = _assignment(text, ontology)
        name = name or _slug(ontology.name(label))
        if name in FAMILY_IDS and name not in classes:
            raise UsageError(f"--include {text!r} adds to the family {name!r}: ask for it too, with --family {name}")
        held = classes.get(name, ClipClass(name, frozenset()))
        taken = held.takes_in | spread([label])
        classes[name] = replace(held, takes_in=taken, keeps_out=held.keeps_out - taken, unsure=held.unsure - taken)
    for text in exclude:
        name, label = _assignment(text, ontology)
        if name and name not in classes:
            raise UsageError(f"--exclude {text!r}: no class {name!r} is asked for; there are {', '.join(classes)}")
        for key in [name] if name else list(classes):
            classes[key] = _keep_out(classes[key], spread([label]))
    for held in classes.values():
        if not held.takes_in:
            raise UsageError(f"class {held.id!r}: everything that it takes in is excluded as well")
    return tuple(classes[name] for name in sorted(classes, key=family_order))


def _family(name: str, ontology: Ontology, spread: Spread, exclusions: bool) -> ClipClass:
    if name not in AUDIOSET:
        close = difflib.get_close_matches(name.lower(), FAMILY_IDS, n=1)
        advice = f"did you mean {close[0]!r}? " if close else ""
        raise UsageError(f"no family {name!r}; {advice}families: {', '.join(FAMILY_IDS)} (any label: --include)")
    rule = AUDIOSET[name]
    missing = [label for label in rule.takes_in if label not in ontology.names]
    if missing:
        raise UsageError(f"the ontology lacks {missing[0]} ({rule.takes_in[missing[0]]}), which family {name!r} needs")
    left_open = spread(rule.left_open)
    kept_out = spread(rule.keeps_out) - left_open
    # What is no part of the family is never taken in, whether or not clips that carry it are dropped.
    taken = spread(rule.takes_in) - left_open - kept_out
    broad = frozenset(label for label, families in AUDIOSET_BROAD.items() if name in families)
    return ClipClass(name, taken, kept_out if exclusions else frozenset(), (left_open | broad) - taken)


def _keep_out(held: ClipClass, labels: frozenset[str]) -> ClipClass:
    return replace(
        held, takes_in=held.takes_in - labels, keeps_out=held.keeps_out | labels, unsure=held.unsure - labels
    )


def _assignment(text: str, ontology: Ontology) -> tuple[str, str]:
    """Split "CLASS=LABEL" or "LABEL" into the class (or "") and the label's id."""
    name, equals, label = text.partition("=")
    if not equals:
        return "", ontology.resolve(text)
    name = name.strip()
    if not CLASS_ID.fullmatch(name):
        raise UsageError(f"{name!r} cannot name a class: use lower-case letters, digits, - and _ (it names a folder)")
    return name, ontology.resolve(label)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:60] or "class"


def family_order(name: str) -> tuple[int, str]:
    """Return a key that sorts class ids: the five families in their order, then others by name."""
    return (FAMILY_IDS.index(name), "") if name in FAMILY_IDS else (len(FAMILY_IDS), name)
