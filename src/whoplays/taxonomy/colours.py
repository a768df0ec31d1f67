"""The colour of each family, in figures and on pages."""

from __future__ import annotations

from collections.abc import Sequence

#: Colours that people with any kind of colour vision tell apart (Okabe & Ito 2008), by family.
COLOURS: dict[str, str] = {
    "brass": "#E69F00",
    "drums": "#D55E00",
    "guitar": "#009E73",
    "piano": "#0072B2",
    "strings": "#CC79A7",
}
_MORE = ("#56B4E9", "#F0E442", "#999999")


def colour(label_id: str, others: Sequence[str] = ()) -> str:
    """Return a label's colour: a family's own, or for another label one of the rest by its place among `others`."""
    unknown = [label for label in others if label not in COLOURS] or [label_id]
    return COLOURS.get(label_id) or _MORE[unknown.index(label_id) % len(_MORE) if label_id in unknown else 0]
