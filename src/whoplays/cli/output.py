"""How the command speaks to people."""

from __future__ import annotations

import sys

from ..errors import printable


def say(message: str) -> None:
    """Print one line for people: to standard error, so that standard output stays data."""
    print(printable(message), file=sys.stderr, flush=True)
