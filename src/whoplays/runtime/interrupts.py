"""Ctrl-C and SIGTERM at a safe point, instead of between any two instructions.

Python runs a signal's handler in the main thread wherever that is. A `KeyboardInterrupt` out of the middle of
`concurrent.futures.wait`, of a `Condition` or of a queue leaves their locks held, and every other thread waits for them
for ever; out of foreign code it surfaces as an error of that code's.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)
LOOK_S = 0.25  # who waits for other threads looks so often whether it is to stop


@contextlib.contextmanager
def handlers_kept() -> Iterator[dict[int, Any]]:
    """Put back at the end what Ctrl-C and SIGTERM do here: foreign code (`ray.init`) sets handlers of its own.

    Yields the handlers by signal: none outside the main thread, where none can be set, nor those that are not Python's.
    """
    main = threading.current_thread() is threading.main_thread()
    handlers = {number: signal.getsignal(number) for number in SIGNALS if main}
    before: dict[int, Any] = {number: handler for number, handler in handlers.items() if handler is not None}
    try:
        yield before
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def deferred_interrupts() -> Iterator[Callable[[], None]]:
    """Make Ctrl-C and SIGTERM wait until the function that is yielded is called, or the end.

    They then do what they would have done at once: raise `KeyboardInterrupt`, unless the program has it otherwise. A
    second one does not wait. A signal that is ignored, or ends the process by itself, stays as it is; outside the main
    thread nothing is changed: signals do not come there.
    """
    received: list[int] = []
    answered = 0

    def remember(number: int, frame: Any) -> None:
        received.append(number)
        if len(received) > 1:
            check()

    def check() -> None:
        nonlocal answered
        while answered < len(received):
            answered += 1
            before[received[answered - 1]](received[answered - 1], None)

    with handlers_kept() as before:
        for number, handler in before.items():
            if callable(handler):
                signal.signal(number, remember)
        yield check
    check()


@contextlib.contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM raise `KeyboardInterrupt`, as Ctrl-C does, where it would end the process at once."""
    with handlers_kept() as before:
        if before.get(signal.SIGTERM) == signal.SIG_DFL:
            signal.signal(signal.SIGTERM, signal.default_int_handler)
        yield
