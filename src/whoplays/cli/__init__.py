"""The command line: parse, call, print, exit status. The work is done elsewhere, and imported only when it is asked for."""

from __future__ import annotations

from typing import Any

from .main import main

__all__ = ["app", "main"]


def __getattr__(name: str) -> Any:
    if name == "app":  # with all its commands: for help, tests and the docs; a call loads only its own
        from . import commands

        commands.load()
        return commands.app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
