"""What is shown of a download: a note while it runs, and the table at its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ..summary import table
from .causes import MAY_RECOVER, MEANING, Cause
from .run import Outcome, Progress


def status_note(progress: Progress) -> str:
    """Return what to show beside the number of clips while a download runs: waiting, slowed down, lost by cause."""
    parts = []
    if progress.resting:
        parts.append(f"{progress.resting} wait for another try")
    if progress.pause_s >= 0.5:
        parts.append(f"slowed down: {progress.pause_s:.0f} s between calls")
    if progress.lost:
        parts.append("lost: " + ", ".join(f"{cause} {n:,}" for cause, n in progress.lost.most_common()))
    return "  ".join(parts)


def summary(outcome: Outcome) -> Iterator[str]:
    """Yield the table of what became of the plan, the causes, and what to do next."""
    rows = []
    for name, wanted in outcome.wanted.items():
        counts = outcome.states.get(name, Counter())
        lost = sum(n for state, n in counts.items() if state in set(Cause))
        rows.append((name, wanted, counts["done"], lost, counts["waiting"]))
    yield from table(("class", "wanted", "there", "lost", "not tried"), rows)
    causes = Counter[str]()
    for counts in outcome.states.values():
        causes.update({state: n for state, n in counts.items() if state in set(Cause)})
    if causes:
        yield ""
        named = [(Cause(cause), n) for cause, n in causes.most_common()]
        yield from table(
            ("lost", "clips", "why", "--retry"),
            [(cause, n, MEANING[cause], "may help" if cause in MAY_RECOVER else "no") for cause, n in named],
        )
    for note, n in outcome.notes.most_common():
        yield f"{n:,} x {note} (see note in manifest.csv)"
    if outcome.missing and (recoverable := MAY_RECOVER.intersection(causes)):
        yield f"{outcome.missing:,} clips are missing; to try again: --retry {','.join(sorted(recoverable))}"
