"""What the command prints for people: messages and one progress bar, both on standard error."""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from typing import Self

from ..errors import printable

INTERRUPTED = 130  # exit status after Ctrl-C
PLAIN_EVERY_S = 10.0
REDRAW_EVERY_S = 0.1
_BAR_COLUMNS = 30

quiet = False  # set by -q for the rest of the process
language = "en"  # set by --lang
_shown: Progress | None = None


def say(message: str) -> None:
    """Print one line on standard error, so that standard output stays data; nothing with -q."""
    if not quiet:
        _print(_spoken(message))


def warn(message: str) -> None:
    """Print one line about what went wrong, also with -q."""
    _print(f"whoplays: {_spoken(message)}")


def _spoken(message: str) -> str:
    """Return a message in the command's language, as far as the catalogue has it."""
    if language == "en":
        return message
    from ..taxonomy.messages import translated_line

    return translated_line(message, language)


def _print(message: str) -> None:
    if _shown is not None:
        _shown.clear()
    with contextlib.suppress(OSError):  # who closed it, or whose disk is full, does not read it
        print(printable(message), file=sys.stderr, flush=True)


class Progress:
    """Progress of one job: a bar with rate and time left on a terminal, a line every ten seconds elsewhere."""

    def __init__(self, what: str, unit: str) -> None:
        """Begin; `with` ends it. Messages may be printed in between."""
        self._what, self._unit = what, unit
        self._live = sys.stderr.isatty() and not quiet
        self._begun: tuple[float, int] | None = None
        self._drawn = 0.0 if self._live else time.monotonic()

    def __enter__(self) -> Self:
        global _shown
        if self._live:
            _shown = self
        return self

    def __exit__(self, *_: object) -> None:
        global _shown
        self.clear()
        _shown = None

    def __call__(self, done: int, total: int, note: str = "", what: str = "") -> None:
        """Show how much is done. note: more to tell. what: the job's name from now on; its rate is measured anew."""
        now = time.monotonic()
        if what and what != self._what:
            self._what, self._begun = what, None
        self._begun = self._begun or (now, done)
        if quiet or now - self._drawn < (REDRAW_EVERY_S if self._live else PLAIN_EVERY_S):
            return
        self._drawn = now
        line = self._line(done, total, note, now)
        if not self._live:
            print(f"{self._what}: {line}", file=sys.stderr, flush=True)
            return
        filled = round(_BAR_COLUMNS * min(1.0, done / max(total, 1)))
        bar = f"{self._what} {'━' * filled}{'╌' * (_BAR_COLUMNS - filled)} {line}"
        if not (sys.stderr.encoding or "").lower().startswith("utf"):
            bar = bar.replace("━", "#").replace("╌", "-")
        sys.stderr.write(f"\r\x1b[K{bar[: shutil.get_terminal_size().columns - 1]}")
        sys.stderr.flush()

    def _line(self, done: int, total: int, note: str, now: float) -> str:
        assert self._begun
        rate = (done - self._begun[1]) / max(now - self._begun[0], 1e-9)
        parts = [f"{done:,} of {total:,} {self._unit}"]
        if rate > 0 and now - self._begun[0] > 1:
            speed = f"{rate:.1f}/s" if rate >= 1 else f"{60 * rate:.1f}/min"
            parts += [speed, f"{duration_words(max(0, total - done) / rate)} left"]
        return "  ".join([*parts, note] if note else parts)

    def clear(self) -> None:
        """Remove the bar until it is drawn again."""
        if self._live and self._drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._drawn = 0.0


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
