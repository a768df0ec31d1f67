"""What `whoplays` does with its arguments, and how errors reach people.

A plain `predict` goes straight to work (see quick.py); for everything else the sub-command's module is loaded.
"""

from __future__ import annotations

import os
import sys

from ..errors import WhoplaysError
from .output import say


def _silence_decoders() -> None:
    """Keep standard error for what Python writes: libmpg123 and others print there what they think of a file."""
    try:
        if sys.stderr.fileno() != 2:
            return
        ours = os.fdopen(os.dup(2), "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace")
    except (OSError, ValueError, AttributeError):  # closed, or none
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    sys.stderr = ours


def _run(arguments: list[str]) -> int:
    from . import quick

    if request := quick.read(arguments):
        from .predict_run import run

        return run(request)
    from . import commands

    commands.load(arguments[0] if arguments else "")
    try:
        return int(commands.app(standalone_mode=True) or 0)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else (0 if stop.code is None else 1)


def main() -> None:
    """Run the command. Our own errors become one line on standard error; nobody sees a traceback unless WHOPLAYS_DEBUG is set."""
    debug = bool(os.environ.get("WHOPLAYS_DEBUG"))
    if not debug and sys.argv[1:2] == ["predict"]:
        _silence_decoders()
    try:
        status = _run(sys.argv[1:])
        if status == 130:  # the library below takes the interrupt, and says nothing
            say("whoplays: stopped")
    except WhoplaysError as error:
        if debug:
            raise
        say(f"whoplays: {error}")
        status = error.exit_status
    except KeyboardInterrupt:
        say("whoplays: stopped")
        status = 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 141
    except Exception as error:
        if debug:
            raise
        what = " ".join(str(error).split())[:300]
        say(f"whoplays: unexpected {type(error).__name__}: {what} (WHOPLAYS_DEBUG=1 shows where; please report it)")
        status = 1
    sys.exit(status)
