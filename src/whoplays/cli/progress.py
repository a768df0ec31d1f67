"""How long work shows itself: a bar with rate and time left on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

PLAIN_EVERY_S = 10.0


@contextlib.contextmanager
def progress(what: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """Yield `report(done, total)`; on standard error, so that standard output stays data."""
    if sys.stderr.isatty():
        with _bar(what, unit) as report:
            yield report
    else:
        yield _plain(what, unit)


@contextlib.contextmanager
def _bar(what: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None, rate="")
        begun: tuple[float, int] | None = None

        def report(done: int, total: int) -> None:
            nonlocal begun
            begun = begun or (time.monotonic(), done)
            seconds = time.monotonic() - begun[0]
            rate = f"{(done - begun[1]) / seconds:.1f} {unit}/s" if seconds > 1 else ""
            bar.update(task, completed=done, total=total, rate=rate)

        yield report


def _plain(what: str, unit: str) -> Callable[[int, int], None]:
    begun: tuple[float, int] | None = None
    last = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal begun, last
        now = time.monotonic()
        begun = begun or (now, done)
        if now - last < PLAIN_EVERY_S:
            return
        last = now
        rate = (done - begun[1]) / max(now - begun[0], 1e-9)
        left = f", {round((total - done) / rate)} s left" if rate > 0 else ""
        print(f"{what}: {done} of {total} {unit} ({rate:.1f}/s{left})", file=sys.stderr, flush=True)

    return report
