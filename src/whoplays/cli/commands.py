"""The commands of `whoplays`, by group: the module of each, which is loaded when the command is called, and its summary."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import NamedTuple, NoReturn

from .. import __version__
from ..errors import UsageError, did_you_mean
from . import settings
from .parser import Parser

DESCRIPTION = "Detects which instruments play in a recording, and when."


class Command(NamedTuple):
    """module: in this package; its function `add_NAME` (`add` where the module has one command) adds the arguments."""

    module: str
    summary: str


GROUPS: dict[str, dict[str, Command]] = {
    "Detect instruments": {
        "predict": Command("predict", "Detect which instruments play in recordings, and when"),
        "listen": Command("listen", "Detect instruments from the microphone, live"),
        "serve": Command("serve", "Open a web page and an HTTP interface"),
        "find": Command("find", "Search a table of results for instruments"),
        "embed": Command("embed", "Write embeddings of recordings: vectors that describe how they sound"),
        "similar": Command("embed", "Find recordings that sound alike, and files that hold the same one"),
    },
    "Train and evaluate": {
        "dataset build": Command("dataset", "Build a split set of features from class folders or a manifest"),
        "train": Command("train", "Train a model on a data set, or adapt one to your own labels"),
        "evaluate": Command("evaluate", "Evaluate a model on a data set: metrics.json and report.html"),
        "export": Command("export", "Write a model folder as one ONNX file, or as an INT8 model"),
        "models check": Command("models", "Check model folders without trusting them"),
    },
    "Get recordings from AudioSet": {
        "audioset plan": Command("audioset", "Choose clips by label, balanced, one of each video"),
        "audioset inspect": Command("audioset", "Show which labels occur on the same clips"),
        "audioset download": Command("audioset", "Download the clips of a plan; a later run continues"),
        "audioset verify": Command("audioset", "Check the files of a download against its manifest"),
    },
    "More": {
        "demo": Command("demo", "Detect the instruments of example recordings, or train on synthetic ones; offline"),
        "config": Command("config", "Show the defaults in use, and where each comes from"),
        "web build": Command("web", "Write the page as static files: the model runs in the reader's browser"),
        "schema": Command("schema", "Print the JSON Schema of an output"),
        "completion": Command("completion", "Print shell completion for bash, zsh or fish"),
    },
}
COMMANDS = {name: command for group in GROUPS.values() for name, command in group.items()}


def parse(words: Sequence[str]) -> Namespace:
    """Return the values of a command line; `run` is the function that does the work.

    Raises `UsageError` for wrong usage, `SystemExit` once help or the version is printed.
    """
    for length in (2, 1):
        name = " ".join(words[:length])
        if name in COMMANDS and len(words) >= length:
            parser = parser_of(name)
            rest = words[length:]
            if name != "config" and not {"-h", "--help"} & set(rest):  # help shows what is built in
                settings.apply(parser, name, parsers())
            return parser.parse(rest)
    overview(words)


def parsers() -> settings.Parsers:
    """Return, by name, what makes the parser of each command."""
    return {name: partial(parser_of, name) for name in COMMANDS}


def parser_of(name: str) -> Parser:
    """Return the parser of one command, loading its module alone."""
    parser = Parser(prog=f"whoplays {name}", description=f"{COMMANDS[name].summary}.")
    fill(parser, name)
    return parser


def fill(parser: Parser, name: str) -> None:
    """Add a command's arguments to its parser."""
    last = name.split()[-1]
    loaded = import_module(f".{COMMANDS[name].module}", __package__)
    add = getattr(loaded, "add", None) or getattr(loaded, f"add_{last}")
    add(parser)
    parser.general()


def overview(words: Sequence[str]) -> NoReturn:
    """Print the version, or the help of all commands or of those with one first word. Raises `UsageError` for a slip."""
    first = words[0] if words else ""
    members = [name for name in COMMANDS if name.startswith(f"{first} ")]
    if first == "--version":
        print(f"whoplays {__version__}")
        raise SystemExit(0)
    if first in ("", "-h", "--help") or (members and words[1:2] in ([], ["-h"], ["--help"])):
        wanted = first in ("-h", "--help") or bool(words[1:])
        print(_help(members), end="", file=sys.stdout if wanted else sys.stderr)
        raise SystemExit(0 if wanted else UsageError.exit_status)
    if first.startswith("-"):
        raise UsageError(f"unknown option {first}{did_you_mean(first, ['--help', '--version'])} (see whoplays --help)")
    if members:
        known = [name.split()[1] for name in members]
        close = did_you_mean(words[1], known)
        raise UsageError(f"unknown command {first} {words[1]}: must be one of: {', '.join(known)}{close}")
    names = dict.fromkeys(part for name in COMMANDS for part in (name.split()[0], name))
    raise UsageError(f"unknown command {first}{did_you_mean(first, names)} (see whoplays --help)")


def _help(members: Sequence[str]) -> str:
    prefix = f" {members[0].split()[0]}" if members else ""
    lines = [f"Usage: whoplays{prefix or ' COMMAND'}{' COMMAND' * bool(prefix)} [options]", "", DESCRIPTION]
    for title, commands in GROUPS.items():
        shown = [name for name in commands if not members or name in members]
        if shown:
            lines += ["", f"{title}:", *(f"  {name:<18} {commands[name].summary}" for name in shown)]
    lines += [
        "",
        "Options:",
        "  --version          Print the version and exit",
        "  -h, --help         Print this help and exit",
    ]
    return "\n".join([*lines, "", "Help for a command: whoplays COMMAND --help", ""])


def tree() -> Parser:
    """Return one parser with all commands under it, for shell completion and the command reference."""
    root = Parser(prog="whoplays", description=DESCRIPTION)
    option = root.group()
    option("--version", "Print the version and exit", action="version", version=__version__)
    option("-h --help", "Print this help and exit", action="help")
    level = root.add_subparsers(dest="command", parser_class=Parser, metavar="COMMAND")
    groups = {}
    for name, command in COMMANDS.items():
        first, _, second = name.partition(" ")
        if second and first not in groups:
            groups[first] = level.add_parser(first, help=first).add_subparsers(parser_class=Parser, metavar="COMMAND")
        place = groups[first] if second else level
        parser = place.add_parser(
            second or first, help=command.summary, prog=f"whoplays {name}", description=f"{command.summary}."
        )
        fill(parser, name)
    return root
