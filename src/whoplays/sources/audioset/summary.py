"""What a plan took, left out and why, and how labels hang together: as lines of text for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...errors import counted
from .classes import ClipClass
from .dependencies import Dependencies
from .lists import Malformed, SegmentList
from .ontology import Ontology
from .plan import Plan

SHOWN_MALFORMED = 5
SHOWN_LABELS = 12


def describe_classes(classes: Sequence[ClipClass], ontology: Ontology) -> Iterator[str]:
    """Yield, for each class, what it takes in and keeps out, by name."""
    for held in classes:
        line = f"{held.id}: {_names(held.include, ontology)}"
        yield line + (f"; keeps out {_names(held.exclude, ontology)}" if held.exclude else "")


def _names(labels: frozenset[str], ontology: Ontology) -> str:
    names = sorted(ontology.name(label) for label in labels)
    more = len(names) - SHOWN_LABELS
    return ", ".join(names[:SHOWN_LABELS]) + (f" and {more} more" if more > 0 else "")


def describe_plan(plan: Plan, ontology: Ontology, wanted: int | None) -> Iterator[str]:
    """Yield the table of what became of each class's rows, and the reasons that deserve a sentence."""
    yield f"{plan.rows:,} rows read, {plan.rows - plan.related:,} with none of the requested labels"
    header = ("class", "rows", "kept out", "other class", "not drawn", "stand-ins", "taken")
    body = [
        (name, tally.rows, tally.kept_out, tally.with_another, tally.not_drawn, tally.stand_ins, tally.taken)
        for name, tally in plan.tallies.items()
    ]
    yield from table(header, body)
    for name, tally in plan.tallies.items():
        if tally.kept_out_by:
            most = tally.kept_out_by.most_common(5)
            yield f"{name}: kept out for " + ", ".join(f"{ontology.name(label)} {count:,}" for label, count in most)
    for name, tally in plan.tallies.items():
        if wanted is not None and tally.taken < wanted:
            yield f"{name}: {wanted:,} were requested, the lists have {tally.taken:,} that fit"


def describe_malformed(segments: SegmentList) -> Iterator[str]:
    """Yield how many rows of a list could not be used, why, and the first few."""
    total = sum(segments.causes.values())
    if total:
        causes = "; ".join(f"{count:,}: {cause}" for cause, count in segments.causes.most_common())
        yield f"{segments.path}: {total:,} malformed row{'s' if total > 1 else ''} left out ({causes})"
        yield from describe_rows(segments.malformed, total)


def describe_rows(malformed: Sequence[Malformed], total: int) -> Iterator[str]:
    """Yield the first few malformed rows with their line numbers, causes and beginnings."""
    for row in malformed[:SHOWN_MALFORMED]:
        yield f"  line {row.line}: {row.cause}: {row.text!a}"
    if total > SHOWN_MALFORMED:
        yield f"  and {total - SHOWN_MALFORMED:,} more"


def describe_dependencies(found: Dependencies) -> Iterator[str]:
    """Yield three tables: pairs of classes, companions of each class, what exclusion would change."""
    yield counted(found.rows, "clip")
    yield ""
    yield "Pairs of classes"
    pairs = [(one.name_a, one.name_b, one.clips_a, one.clips_b, one.both, f"{one.lift:.1f}") for one in found.pairs]
    yield from table(("a", "b", "clips a", "clips b", "both", "lift"), pairs)
    yield ""
    yield "Companions"
    companions = [
        (pair.a, pair.name_b, pair.both, f"{100 * pair.share_of_a:.1f} %", f"{pair.lift:.1f}")
        for name in found.classes
        for pair in found.companions[name]
    ]
    yield from table(("class", "label", "both", "of the class", "lift"), companions)
    yield ""
    yield "What exclusion would change"
    excluded = [
        (held.id, held.clips, *(f"{count:,} ({100 * held.share(count):.1f} %)" for count in held.counts))
        for held in found.exclusions
    ]
    yield from table(("class", "clips", "what it keeps out", "another class", "either"), excluded)


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """Yield the lines of a table: words to the left, numbers to the right."""
    cells = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    numbers = [
        {column for column, cell in enumerate(row) if not isinstance(cell, str) or cell[:1].isdigit()} for row in rows
    ]
    left = [not any(column in row for row in numbers) for column in range(len(header))]
    widths = [max(len(row[column]) for row in [list(header), *cells]) for column in range(len(header))]
    for row in [list(header), *cells]:
        columns = zip(row, widths, left, strict=True)
        yield (
            "  "
            + "  ".join(cell.ljust(width) if words else cell.rjust(width) for cell, width, words in columns).rstrip()
        )
