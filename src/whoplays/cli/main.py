"""The `whoplays` command: its sub-commands, and how errors reach people."""

from __future__ import annotations

import os
import sys

import typer

from .. import __version__
from ..errors import WhoplaysError

app = typer.Typer(
    name="whoplays",
    help="Hears which instrument families play in a recording, and when.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"whoplays {__version__}")
        raise typer.Exit()


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", help="Print the version and stop.", callback=_print_version, is_eager=True
    ),
) -> None:
    pass


def say(message: str) -> None:
    """Print one line for people: to standard error, so that standard output stays data."""
    print(message, file=sys.stderr, flush=True)


def _run() -> int:
    try:
        status = app(standalone_mode=True)
        return int(status or 0)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else (0 if stop.code is None else 1)


def main() -> None:
    """Run the command. Our own errors become one line on standard error; nobody sees a traceback unless WHOPLAYS_DEBUG is set."""
    debug = bool(os.environ.get("WHOPLAYS_DEBUG"))
    try:
        status = _run()
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
