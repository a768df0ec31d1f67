"""Where work is done: in processes of this machine, or (whoplays.cluster) on many. The work itself does not know.

Work is a function of a module and a list of items; results come in the order in which they are ready, each with the
number of its item. An item may be worked on twice (a process died in the middle), so work writes files whole, under
names that depend on the item alone.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol, Self

from .errors import WhoplaysError

#: Set to 1 in every worker: the same arithmetic whatever their number, and no more threads than cores.
ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let processes that are started within compute on one thread each."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class Engine(Protocol):
    """Something that does work; to be used in a `with` statement."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """End; what has not begun is dropped."""

    def map(self, work: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """Yield (number of the item, `work(item)`), soonest first. What `work` raises is raised here."""


class Processes:
    """Worker processes on this machine, each on one thread."""

    def __init__(self, workers: int = 0) -> None:
        """workers: how many; 0 for one per core. None is started yet."""
        self._workers = workers or os.cpu_count() or 1
        self._held = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Start them as they are needed."""
        self._held.enter_context(one_thread())
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(max_workers=self._workers, mp_context=context)
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """Wait for what is under way, unless there was an error."""
        self._pool.shutdown(wait=kind is None, cancel_futures=True)
        self._held.close()

    def map(self, work: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """Yield results as they are ready; a few more items than there are workers are under way at a time.

        Raises `WhoplaysError` when a worker process dies.
        """
        running: dict[Future[Any], int] = {}
        following = 0
        try:
            while running or following < len(items):
                while following < len(items) and len(running) < 2 * self._workers + 4:
                    running[self._pool.submit(work, items[following])] = following
                    following += 1
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
        except BrokenProcessPool:
            raise WhoplaysError(
                "a worker process died (out of memory, or a decoder crashed); "
                "run the same command again: what is done is kept"
            ) from None
