"""`whoplays web`."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from .options import share
from .output import say
from .parser import Parser


def add(parser: Parser) -> None:
    """Add the arguments of `web build`."""
    parser.set_defaults(run=_build)
    parser.example = "whoplays web build --out site"
    parser.more = "Any host of static files can serve the folder; recordings do not leave the reader's browser."
    option = parser.group()
    option("-o --out FOLDER", "Folder to write; an earlier build is replaced", type=Path, required=True)
    share(option, "model")
    without = "without it, node_modules/whoplays here, or a checkout's web/"
    option("--runtime FOLDER", f"Folder of the npm package whoplays; {without}", type=Path)


def _build(args: Namespace) -> None:
    from ..serve import static_page

    sizes = static_page.build(args.out, static_page.find_runtime(args.runtime), args.model)
    say(
        f"{args.out}: {len(sizes)} files, {sum(sizes.values()) / 1e6:.1f} MB; see it with: python -m http.server -d {args.out}"
    )
