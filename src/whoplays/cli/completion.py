"""`whoplays completion`."""

from __future__ import annotations

from argparse import Namespace

from ..errors import missing_extra
from .parser import Parser

SHELLS = ("bash", "zsh", "fish")


def add(parser: Parser) -> None:
    """Add the arguments of `completion`."""
    parser.set_defaults(run=_completion)
    parser.example = "whoplays completion bash > ~/.local/share/bash-completion/completions/whoplays"
    parser.more = (
        "Prints a script for the shell to load (extra: completion). Zsh: a file _whoplays in a folder of $fpath."
    )
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help="Shell")


def _completion(args: Namespace) -> None:
    try:
        import shtab
    except ImportError:
        raise missing_extra("shtab", "completion", "whoplays completion") from None
    from .commands import tree

    print(shtab.complete(tree(), shell=args.shell))
