"""Defaults that people set once: a configuration file and environment variables stand in for options that are not given.

An option's value is the first there is of: the command line, `WHOPLAYS_COMMAND_OPTION`, `WHOPLAYS_OPTION`, the command's
table in the file, the file's top, what is built in. Repeatable options of the command line add to those set here.
"""

from __future__ import annotations

import os
import sys
from argparse import SUPPRESS, Action, ArgumentError, ArgumentTypeError
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import UsageError, did_you_mean
from .parser import Parser, variable_of

Parsers = Mapping[str, Callable[[], Parser]]

BUILT_IN = "built in"
FILE = "WHOPLAYS_CONFIG"  # names another file

#: Settings that no option has, with what they are. The file's top or the variable sets them for every command.
GENERAL = {
    "cache": "Folder for what is fetched from object stores",
    "labels": "File of labels in place of the package's",
    "store-patience-s": "Seconds to retry an object store that fails",
    "debug": "Tracebacks, and what libraries print",
}

#: What one call reads, writes, continues or asks: not a default.
_READS = ("help", "list", "start", "end", "track", "watch", "from", "like", "labels", "name", "path", "paths", "inputs")
_WRITES = ("resume", "overwrite", "retry", "out", "out-dir", "report", "why", "plot", "playlist", "dry-run", "changed")
ONE_CALL = frozenset((*_READS, *_WRITES))
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
SECRET = ("token",)


class Setting(NamedTuple):
    """An option's value without the command line, and where it comes from: a variable, a place in the file, or BUILT_IN."""

    value: Any
    source: str


def file_path(system: str = sys.platform) -> Path:
    """Return where the configuration file is, whether or not it exists: the platform's place, or what WHOPLAYS_CONFIG names."""
    if named := os.environ.get(FILE):
        return Path(named)
    if home := os.environ.get("XDG_CONFIG_HOME"):
        return Path(home, "whoplays", "config.toml")
    if system == "win32":
        return Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming") / "whoplays" / "config.toml"
    own = "Library/Application Support" if system == "darwin" else ".config"
    return Path.home() / own / "whoplays" / "config.toml"


def read_file() -> dict[str, Any]:
    """Return what the configuration file holds; nothing where there is none. Raises `UsageError`."""
    path = file_path()
    if not path.exists():
        if os.environ.get(FILE):
            raise UsageError(f"{FILE} names {path}, which does not exist")
        return {}
    import tomllib

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: the configuration cannot be read ({error.strerror or error})") from None
    except ValueError as error:  # no TOML, or no UTF-8
        raise UsageError(f"{path}: the configuration is not valid TOML ({error})") from None


def set_general(held: Mapping[str, Any]) -> None:
    """Set the variables of `GENERAL` that the file holds and the environment does not."""
    for name in GENERAL:
        value = held.get(name)
        if value is None or variable_of(name) in os.environ:
            continue
        if name in ("cache", "labels"):
            value = _placed(str(value))
        os.environ[variable_of(name)] = ("1" if value else "") if isinstance(value, bool) else str(value)


def options(parser: Parser) -> dict[str, Action]:
    """Return the options that can be set beforehand, by name (without the dashes)."""
    settable = [one for one in parser._actions if one.option_strings and not one.required and one.help != SUPPRESS]
    named = {action.option_strings[-1].lstrip("-"): action for action in settable}
    return {name: action for name, action in named.items() if name not in ONE_CALL}


def table_of(held: Mapping[str, Any], command: str) -> Mapping[str, Any]:
    """Return a command's table: [serve], or [audioset.plan]."""
    for word in command.split():
        held = held.get(word, {}) if isinstance(held, Mapping) else {}
    return held if isinstance(held, Mapping) else {}


def resolve(parser: Parser, action: Action, name: str, command: str, held: Mapping[str, Any]) -> Setting:
    """Return the value of a command's option where the command line does not give it. Raises `UsageError`."""
    for variable in (variable_of(name, command), variable_of(name)):
        if text := os.environ.get(variable):
            words: Any = text.split() if isinstance(action.default, list) else text
            return Setting(_read(parser, action, words, variable), variable)
    for table, title in ((table_of(held, command), f"[{command.replace(' ', '.')}] "), (held, "")):
        for key in (name, name.replace("-", "_")):
            if key in table:
                where = f"{file_path()}: {title}{key}"
                return Setting(_read(parser, action, _as_words(action, table[key], where), where), where)
    return Setting(action.default, BUILT_IN)


def _as_words(action: Action, value: Any, where: str) -> Any:
    """Return a value of the file as the words that a command line would have; a flag's stays what it is."""
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise UsageError(f"{where} {value}: must be true or false")
        return "1" if value else "0"
    if isinstance(value, dict) and isinstance(action.default, list):
        value = [f"{key}={part}" for key, part in value.items()]
    parts = value if isinstance(value, list) else [value]
    if not all(isinstance(part, (str, int, float)) and not isinstance(part, bool) for part in parts):
        raise UsageError(f"{where} {value}: must be text or a number, or a list of them")
    words = [str(part) for part in parts]
    if action.type is Path:
        words = list(map(_placed, words))
    if isinstance(action.default, list):
        return [word for part in words for word in part.split()]
    return ",".join(words)


def _placed(path: str) -> str:
    """Return a path of the file: ~ is one's home, and relative ones are beside the file."""
    return str(file_path().parent / Path(path).expanduser())


def _read(parser: Parser, action: Action, words: Any, where: str) -> Any:
    if action.nargs == 0:
        if words.lower() not in (*_TRUE, *_FALSE):
            raise UsageError(f"{where} {words}: must be one of: {', '.join((*_TRUE, *_FALSE))}")
        return (words.lower() in _TRUE) == bool(action.const)
    if isinstance(words, list):
        return [_value(parser, action, word, where) for word in words]
    return _value(parser, action, words, where)


def _value(parser: Parser, action: Action, word: str, where: str) -> Any:
    try:
        value = action.type(word) if callable(action.type) else word
        parser._check_value(action, value)
    except (ArgumentTypeError, ArgumentError) as error:
        problem = error.message if isinstance(error, ArgumentError) else str(error)
        raise UsageError(f"{where} {problem}") from None
    return value


class Configured(list[Any]):
    """The configured values of a repeatable option, to which the command line adds; `n_configured` of them are configured."""

    n_configured = 0


def apply(parser: Parser, command: str, parsers: Parsers) -> None:
    """Make what is configured the defaults of a command's options. parsers: every command's name, and what makes its parser.

    Raises `UsageError` for a file that cannot be read, a key that no command knows, or a value that the option cannot have.
    """
    held = read_file()
    if held:
        if unknown := next(unknown_keys(parser, command, held, parsers), ""):
            raise UsageError(unknown)
        set_general(held)
    for name, action in options(parser).items():
        setting = resolve(parser, action, name, command, held)
        if setting.source == BUILT_IN:
            continue
        action.default = setting.value
        if isinstance(setting.value, list):
            action.default = Configured(setting.value)
            action.default.n_configured = len(setting.value)
        if action.nargs == 0 and setting.value != bool(not action.const):
            opposite = "store_false" if action.const else "store_true"
            parser.add_argument(f"--no-{name}", dest=action.dest, action=opposite, default=SUPPRESS, help=SUPPRESS)


def unknown_keys(parser: Parser, command: str, held: Mapping[str, Any], parsers: Parsers) -> Iterator[str]:
    """Yield a line for each key of a command's table, and of the file's top, that is not an option."""
    own = set(options(parser))
    for key in table_of(held, command):
        if key.replace("_", "-") not in own and f"{command} {key}" not in parsers:
            yield _unknown(f"[{command.replace(' ', '.')}] {key}", key, own)
    known = {*GENERAL, *own, *(name.split()[0] for name in parsers)}
    if all(key.replace("_", "-") in known for key in held):
        return
    known.update(name for other in parsers for name in options(parsers[other]()))  # loads them all
    for key in held:
        if key.replace("_", "-") not in known:
            yield _unknown(key, key, known)


def _unknown(shown: str, key: str, known: Collection[str]) -> str:
    return f"{file_path()}: unknown key {shown}{did_you_mean(key, sorted(known))} (see whoplays config)"
