"""`whoplays completion`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from ..runtime.packages import needed
from .parser import Parser

SHELLS = ("bash", "zsh", "fish")


def add(parser: Parser) -> None:
    """Add the arguments of `completion`."""
    parser.set_defaults(run=_completion)
    parser.example = "whoplays completion bash > ~/.local/share/bash-completion/completions/whoplays"
    parser.more = (
        "Prints a script for the shell to load (extra: completion). Zsh: a file _whoplays in a folder of $fpath."
    )
    parser.group()("SHELL", "Shell", choices=SHELLS)


def _completion(args: Namespace) -> None:
    with needed("whoplays completion", "completion"):
        import shtab
    from .commands import tree

    root = tree()
    _complete_files(root, shtab.FILE, shtab.DIRECTORY)
    print(shtab.complete(root, args.shell))


def _complete_files(parser: ArgumentParser, file: Any, folder: Any) -> None:
    """Let arguments that are paths be completed with files or folders."""
    for action in parser._actions:
        if isinstance(action.choices, dict):  # commands
            for sub in action.choices.values():
                _complete_files(sub, file, folder)
        elif action.type is Path or (not action.option_strings and action.choices is None):
            action.complete = folder if action.metavar == "FOLDER" else file  # type: ignore[attr-defined]
