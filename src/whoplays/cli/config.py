"""`whoplays config`."""

from __future__ import annotations

import os
from argparse import Namespace
from itertools import groupby
from operator import itemgetter
from typing import Any

from ..errors import UsageError, did_you_mean, printable
from . import settings
from .options import add_format
from .output import say, warn
from .parser import VARIABLES, Parser, variable_of

SCHEMA = 1  # version of --format json: results/schemas/settings.json


def add(parser: Parser) -> None:
    """Add the arguments of `config`."""
    parser.set_defaults(run=_config)
    parser.example = "whoplays config predict --changed"
    parser.more = (
        "A value is the first there is of: command line, WHOPLAYS_COMMAND_OPTION, WHOPLAYS_OPTION, [command] of the file,"
        " top of the file, built in."
    )
    option = parser.group()
    option("[COMMAND...]", "Command to show; all without it", dest="command")
    option("--changed", "Show only what is not built in")
    option("--path", "Print where the configuration file is, and exit")
    add_format(option, "json", "toml")


def _config(args: Namespace) -> int:
    """Return the exit status: 2 when a key or a value of the file or the environment cannot be used."""
    path = settings.file_path()
    if args.path:
        print(path)
        return 0
    rows, problems = _collected(args)
    if args.format == "json":
        from ..results.formats.data import to_json

        keys = ("command", "name", "value", "source")
        named = [dict(zip(keys, row, strict=True)) for row in rows]
        about = {"schema": SCHEMA, "file": str(path), "exists": path.exists()}
        print(to_json({**about, "settings": named, "problems": problems}, 2))
    elif args.format == "toml":
        _print_toml(rows)
    else:
        say(f"Configuration file: {path}{'' if path.exists() else ' (does not exist)'}")
        _print_text(rows)
    for problem in problems:
        warn(problem)
    return UsageError.exit_status if problems else 0


Row = tuple[str, str, Any, str]  # command, name, value, source


def _collected(args: Namespace) -> tuple[list[Row], list[str]]:
    """Return the settings of the requested commands, and everything that cannot be used, one line each."""
    from .commands import parsers

    known, chosen = parsers(), " ".join(args.command)
    names = [name for name in known if name != "config" and (not chosen or f"{name} ".startswith(f"{chosen} "))]
    if not names:
        close = did_you_mean(chosen, known)
        raise UsageError(f"config {chosen}: there is no such command{close} (see whoplays --help)")
    problems: list[str] = []
    held: dict[str, Any] = {}
    try:
        held = settings.read_file()
    except UsageError as error:
        problems.append(str(error))
    rows: list[Row] = []
    variables = {settings.FILE, *map(variable_of, settings.GENERAL)}
    if not chosen:
        rows += [("", name, *_general(name, held)) for name in settings.GENERAL]
    for command, make in known.items():
        parser = make()
        for option in settings.options(parser):
            variables |= {variable_of(option), variable_of(option, command)}
        if command not in names:
            continue
        problems += settings.unknown_keys(parser, command, held, known)
        for option, action in settings.options(parser).items():
            try:
                setting = settings.resolve(parser, action, option, command, held)
            except UsageError as error:
                problems.append(str(error))
            else:
                shown = "(hidden)" if setting.value and option in settings.SECRET else _plain(setting.value)
                rows.append((command, option, shown, setting.source))
    for variable in sorted(set(os.environ) - variables):
        close = did_you_mean(variable, [name.lower() for name in variables])
        if close and variable.startswith(VARIABLES):
            problems.append(f"{variable}: no such setting; did you mean {close[15:-1].upper()}?")
    if args.changed:
        rows = [row for row in rows if row[3] != settings.BUILT_IN]
    return rows, list(dict.fromkeys(problems))


def _general(name: str, held: dict[str, Any]) -> tuple[Any, str]:
    variable = variable_of(name)
    if variable in os.environ:
        return os.environ[variable], variable
    if name in held:
        return held[name], f"{settings.file_path()}: {name}"
    return None, settings.BUILT_IN


def _plain(value: Any) -> Any:
    """Return a value as JSON holds it; thresholds as they are written."""
    if isinstance(value, (list, tuple)):
        pairs = [f"{one[0]}={one[1]:g}" if isinstance(one, tuple) else one for one in value]
        return [pair.removeprefix("*=") if isinstance(pair, str) else pair for pair in pairs]
    return value if isinstance(value, (bool, int, float, str)) or value is None else str(value)


def _print_text(rows: list[Row]) -> None:
    shown = [(command, name, _text(value), source) for command, name, value, source in rows]
    wide = [max((len(row[column]) for row in shown), default=0) for column in (1, 2)]
    for number, (command, group) in enumerate(groupby(shown, itemgetter(0))):
        print("\n" * bool(number) + (command or "all commands"))
        for _, name, value, source in group:
            print(f"  {name:<{wide[0]}}  {printable(value):<{wide[1]}}  {printable(source)}")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        value = " ".join(map(str, value))
    return "-" if value is None or value == "" else str(value)


def _print_toml(rows: list[Row]) -> None:
    """Print a file to begin with: what is built in stands in comments."""
    from ..results.formats.data import to_json

    last = ""
    for command, name, value, source in rows:
        if command != last:
            print(f"\n[{command.replace(' ', '.')}]")
            last = command
        empty = value is None or value == "(hidden)"
        mark = "# " if source == settings.BUILT_IN or empty else ""
        print(f"{mark}{name} = {'' if empty else to_json(value)}".rstrip())
