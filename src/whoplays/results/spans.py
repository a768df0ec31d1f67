"""Spans of time, (start, end) in seconds, in order and apart from each other: what they have in common, and what is left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce

Span = tuple[float, float]
Spans = list[Span]


def union(spans: Iterable[Span]) -> Spans:
    """Return the time that any of the spans covers; they may overlap and be in any order."""
    found: Spans = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        elif end > start:
            found.append((start, end))
    return found


def common(first: Spans, *others: Spans) -> Spans:
    """Return the time that all of them cover."""
    return reduce(_both, others, first)


def _both(a: Spans, b: Spans) -> Spans:
    found: Spans = []
    i = j = 0
    while i < len(a) and j < len(b):
        start, end = max(a[i][0], b[j][0]), min(a[i][1], b[j][1])
        if start < end:
            found.append((start, end))
        if a[i][1] < b[j][1]:
            i += 1
        else:
            j += 1
    return found


def without(spans: Spans, other: Spans) -> Spans:
    """Return the time of `spans` that `other` does not cover."""
    borders = [0.0, *(time for span in other for time in span), float("inf")]
    return common(spans, list(zip(borders[::2], borders[1::2], strict=True)))


def seconds(spans: Sequence[Span]) -> float:
    """Return how long they are together."""
    return sum(end - start for start, end in spans)
