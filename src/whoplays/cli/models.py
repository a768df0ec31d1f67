"""`whoplays models`."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from ..errors import ModelError
from .output import warn
from .parser import Parser


def add(parser: Parser) -> None:
    """Add the arguments of `models check`."""
    parser.set_defaults(run=_check)
    parser.example = "whoplays models check my-model"
    parser.more = "Checks checksums, format and operators, then runs the network once in a sandbox."
    parser.group()("[FOLDER...]", "Model folders; the model inside the package without one", type=Path)


def _check(args: Namespace) -> int:
    from ..model import check
    from ..model import folder as model_folder

    failed = False
    for folder in args.folders or [model_folder.DEFAULT]:
        try:
            for line in check.check(folder):
                print(line)
            print(f"{folder}: good")
        except ModelError as error:
            failed = True
            warn(str(error))
    return 1 if failed else 0
