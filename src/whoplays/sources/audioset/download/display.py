"""What a running download shows: in place on a terminal, a line now and then elsewhere; and the table at its end."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..summary import table
from .causes import MAY_RECOVER, MEANING, Cause
from .run import Outcome, Progress, may_recover

_PLAIN_EVERY_S = 10.0
_BAR = 50  # columns


@contextmanager
def showing() -> Iterator[Callable[[Progress], None]]:
    """Yield the function to call with the progress. All of it goes to standard error."""
    if sys.stderr.isatty():
        with _live() as show:
            yield show
    else:
        yield _plain()


@contextmanager
def _live() -> Iterator[Callable[[Progress], None]]:
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(stderr=True), refresh_per_second=4, transient=True) as live:

        def show(progress: Progress) -> None:
            had = round(_BAR * progress.had / max(1, progress.wanted))
            bar = Text.assemble(("━" * had, "green"), ("━" * (_BAR - had), "dim"))
            live.update(Group(bar, Text("  ".join(_parts(progress))), Text(_lost_words(progress.lost), style="dim")))

        yield show


def _plain() -> Callable[[Progress], None]:
    due = time.monotonic() + _PLAIN_EVERY_S

    def show(progress: Progress) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + _PLAIN_EVERY_S
            print("  ".join([*_parts(progress), _lost_words(progress.lost)]).rstrip(), file=sys.stderr, flush=True)

    return show


def _parts(progress: Progress) -> Iterator[str]:
    yield f"{progress.had:,} of {progress.wanted:,} clips"
    seconds = time.monotonic() - progress.began
    rate = progress.fetched / seconds if seconds > 1 else 0.0
    if rate:
        yield f"{60 * rate:.1f} a minute"
        yield f"{duration_words((progress.wanted - progress.had) / rate)} left"
    if progress.resting:
        yield f"{progress.resting} wait for another try"
    if progress.pause_s >= 0.5:
        yield f"slowed down: {progress.pause_s:.0f} s between calls"


def _lost_words(lost: Counter[str]) -> str:
    return "lost: " + ", ".join(f"{cause} {n:,}" for cause, n in lost.most_common()) if lost else ""


def duration_words(seconds: float) -> str:
    """Return a time as people say it: 40 s, 12 min, 5 h 20 min, 3 d 4 h."""
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} s"
    if minutes < 120:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"


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
    if outcome.missing and (recoverable := may_recover(outcome.states)):
        yield f"{outcome.missing:,} clips are missing; to try again: --retry {','.join(sorted(recoverable))}"
