"""Politeness: how many ask one host at once, how often, and how long it is left alone when it says so.

All times are of the monotonic clock: a clock that is set while a download runs changes nothing.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: When half of the last answers are refusals, the pause between two calls doubles with each one more, from one second
#: to two minutes. A single clip that is always refused slows nothing down.
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 120.0
_SHRINK = 0.7
_ANSWERS = 12
_MANY = 6


class Stopped(Exception):
    """The download is being ended: whoever waits should give up."""


class Pacer:
    """Lets calls through, one host at a time, for many threads."""

    def __init__(self, *, per_host: int, pause_s: Callable[[str], float]) -> None:
        """Take the limit of calls at once to a host, and the usual pause between the starts of two calls to it."""
        self.per_host, self._pause_s, self._stopped = per_host, pause_s, False
        self._busy: Counter[str] = Counter()
        self._next: dict[str, float] = {}
        self._held: dict[str, float] = {}
        self.extra_s = 0.0  # what refusals add to the pause, in seconds
        self._answers: deque[bool] = deque(maxlen=_ANSWERS)
        self._change = threading.Condition()

    @contextmanager
    def visit(self, host: str) -> Iterator[None]:
        """Wait for a turn at `host`, and hold one of its places. Raises `Stopped` when the download ends meanwhile."""
        with self._change:
            while not self._stopped:
                now = time.monotonic()
                wait = max(self._next.get(host, 0.0), self._held.get(host, 0.0)) - now
                if wait <= 0 and self._busy[host] < self.per_host:
                    break
                self._change.wait(min(wait, 0.5) if wait > 0 else 0.5)
            else:
                raise Stopped
            self._busy[host] += 1
            self._next[host] = now + max(self._pause_s(host), self.extra_s)
        try:
            yield
        finally:
            with self._change:
                self._busy[host] -= 1
                self._change.notify_all()

    def hold(self, host: str, seconds: float) -> None:
        """Leave `host` alone for so long, as it asked."""
        with self._change:
            self._held[host] = max(self._held.get(host, 0.0), time.monotonic() + seconds)

    def answered(self, refusal: bool) -> float:
        """Note how the site answered: with more and more refusals go slower everywhere, with welcomes faster again.

        Returns `extra_s`.
        """
        with self._change:
            self._answers.append(refusal)
            if not refusal:
                self.extra_s = self.extra_s * _SHRINK if self.extra_s > 0.1 else 0.0
            elif sum(self._answers) >= _MANY:
                self.extra_s = min(_LONGEST_PAUSE_S, max(_FIRST_PAUSE_S, 2 * self.extra_s))
            return self.extra_s

    def stop(self) -> None:
        """Give leave to nobody any more: all who wait see that the download ends."""
        with self._change:
            self._stopped = True
            self._change.notify_all()


def backoff_s(
    attempt: int, *, first_s: float, longest_s: float = 300.0, draw: Callable[[], float] = random.random
) -> float:
    """Return how long to wait before another try, after `attempt` tries (from 1): doubled each time, half by chance.

    The chance keeps clips that failed together from coming back together.
    """
    return min(longest_s, first_s * 2.0 ** (attempt - 1)) * (0.5 + draw())
