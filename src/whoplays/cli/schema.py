"""`whoplays schema`."""

from __future__ import annotations

import sys
from argparse import Namespace

from .parser import Parser


def add(parser: Parser) -> None:
    """Add the arguments of `schema`."""
    parser.set_defaults(run=_schema)
    parser.example = "whoplays schema result > result.schema.json"
    parser.more = "docs/reference/file-formats.md describes the same in words."
    parser.group()("[NAME]", "Schema to print; without it, the names and what each is of", default="")


def _schema(args: Namespace) -> None:
    from ..results import schemas

    if args.name:
        sys.stdout.write(schemas.text(args.name))
        return
    names = schemas.names()
    wide = max(map(len, names))
    for name in names:
        print(f"{name:<{wide}}  {schemas.read(name)['$comment']}")
