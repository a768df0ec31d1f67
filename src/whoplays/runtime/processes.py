"""Where work is done: in processes of this machine, or (whoplays.cluster) on many. The work itself does not know.

Work is a function of a module and a list of items; results come in the order in which they are ready, each with the
number of its item. An item may be worked on twice (a process died in the middle), so work writes files whole, under
names that depend on the item alone.
"""

from __future__ import annotations

import contextlib
import multiprocessing.connection
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol, Self

from ..errors import WhoplaysError
from .environment import DECODE_APART, ONE_THREAD, inherited
from .interrupts import LOOK_S, deferred_interrupts

MOST_RESTARTS = 3  # of all worker processes, after one died


class Engine(Protocol):
    """Something that does work; to be used in a `with` statement."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """End; what has not begun is dropped."""

    def map(self, work: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """Yield (number of the item, `work(item)`), soonest first. What `work` raises is raised here."""


class Processes(Engine):
    """Worker processes on this machine, each on one thread."""

    def __init__(self, workers: int = 0) -> None:
        """workers: how many; 0 for one per core. None is started yet."""
        self._workers = workers or os.cpu_count() or 1
        self._held = contextlib.ExitStack()
        self._restarted = 0

    def __enter__(self) -> Self:
        self._held.enter_context(inherited(ONE_THREAD))
        self._start()
        return self

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(max_workers=self._workers, mp_context=context, initializer=_end_with_parent)

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """Wait for what is under way: a pool that is left to itself may end with a traceback of its own."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._held.close()

    def map(self, work: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """Yield results as they are ready; a few more items than there are workers are under way at a time.

        When a worker process dies, the work goes on in new ones that decode in processes of their own. Raises
        `WhoplaysError` when those die as well.
        """
        waiting = deque(range(len(items)))
        running: dict[Future[Any], int] = {}
        while waiting or running:
            with deferred_interrupts() as check:
                lost = self._submit(work, items, waiting, running)
                while not (done := wait(running, LOOK_S, FIRST_COMPLETED).done) and running:
                    check()
            for future in done:
                number = running.pop(future)
                try:
                    result = future.result()
                except BrokenProcessPool:
                    lost.append(number)
                    continue
                yield number, result
            if lost and not running:  # one that dies takes all with it
                with deferred_interrupts():
                    self._restart()
                waiting.extendleft(sorted(lost, reverse=True))

    def _submit(
        self, work: Callable[[Any], Any], items: Sequence[Any], waiting: deque[int], running: dict[Future[Any], int]
    ) -> list[int]:
        """Put more work under way; return what a broken pool does not take."""
        while waiting and len(running) < 2 * self._workers + 4:
            number = waiting.popleft()
            try:
                with _ignoring_interrupts():
                    running[self._pool.submit(work, items[number])] = number
            except BrokenProcessPool:
                return [number]
        return []

    def _restart(self) -> None:
        self._pool.shutdown(wait=True)
        if self._restarted == MOST_RESTARTS:
            raise WhoplaysError(
                "worker processes died again and again (out of memory?); run the same command again: what is done is kept"
            )
        if not self._restarted:
            self._held.enter_context(inherited({DECODE_APART: "1"}))
        self._restarted += 1
        self._start()


@contextlib.contextmanager
def _ignoring_interrupts() -> Iterator[None]:
    """Let processes that are started within ignore Ctrl-C, which a terminal sends to all: this one ends them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent() -> None:
    """In a worker: end when the process that gives the work is gone, kill -9 too; it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
