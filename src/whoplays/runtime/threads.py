"""Work in threads of this process, whose results come in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

from .interrupts import LOOK_S, deferred_interrupts

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    threads: int,
    *,
    ahead: int | None = None,
    stop: Callable[[], None] = lambda: None,
) -> Iterator[Result]:
    """Yield `work(item)` for each item, in order.

    ahead: items that are begun before the result being waited for; twice as many as there are threads. stop: called
    when it is left before its end, by Ctrl-C or otherwise, to cut short what is under way, which is waited for.
    """
    most = 2 * threads if ahead is None else ahead
    with ThreadPoolExecutor(threads) as pool:
        running: deque[Future[Result]] = deque()
        try:
            for item in items:
                with deferred_interrupts():
                    running.append(pool.submit(work, item))
                if len(running) > most:
                    yield _result(running)
            while running:
                yield _result(running)
        except BaseException:
            with deferred_interrupts():
                pool.shutdown(wait=False, cancel_futures=True)
                stop()
            raise


def _result(running: deque[Future[Result]]) -> Result:
    """Wait for the first, take it out, and return its result. Raises `KeyboardInterrupt` with no lock held."""
    with deferred_interrupts() as check:
        while not wait([running[0]], LOOK_S).done:
            check()
    return running.popleft().result()
