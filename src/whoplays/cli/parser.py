"""The parser of every command: argparse, with errors of one line, suggestions, and help of one line for each option."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
from argparse import SUPPRESS, Action, ArgumentError, ArgumentTypeError, Namespace
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NoReturn

from ..errors import UsageError, did_you_mean

Option = Callable[..., Action]  # `add_option` to one group of a parser

VARIABLES = "WHOPLAYS_"  # how environment variables begin
MAX_WIDTH = 120  # columns of help
SHOWN_CHOICES = 7
_HELP_COLUMN = 36
_NUMBERS = re.compile(r"-[\d.]+(,-?[\d.]+)*$")  # -1 or -2,-1,0: a value, not an option


class Parser(argparse.ArgumentParser):
    """A command's arguments: positional ones may stand between options, and nothing is abbreviated."""

    example: str = ""
    more: str = ""

    def __init__(self, **settings: Any) -> None:
        """Take what `argparse.ArgumentParser` takes."""
        super().__init__(formatter_class=Help, allow_abbrev=False, exit_on_error=False, add_help=False, **settings)
        self._negative_number_matcher = _NUMBERS
        self._positionals.title, self._optionals.title = "Arguments", "Options"

    def group(self, title: str = "", **settings: Any) -> Option:
        """Return what adds arguments under a title of the help, or at its top: `add_option`, with these settings."""
        return partial(add_option, self.add_argument_group(title) if title else self, **settings)

    def general(self) -> None:
        """Add the options that every command has."""
        option = self.group("General options")
        option("-q --quiet", "Print results and errors only")
        option("-v --verbose", "Print the time taken, and the traceback of an unexpected error")
        option("-h --help", "Print this help and exit", action="help")

    def format_help(self) -> str:
        """Return usage, description, options by group, and an example."""
        formatter = self._get_formatter()
        formatter.add_usage(None, self._actions, [])
        formatter.add_text(self.description)
        formatter.add_text(self.more)
        for group in self._action_groups:
            formatter.start_section(group.title)
            formatter.add_arguments(group._group_actions)
            formatter.end_section()
        example = f"\nExample:\n  {self.example}\n" if self.example else ""
        return formatter.format_help() + example

    def parse(self, words: Sequence[str]) -> Namespace:
        """Return the values of a command line, without the command's name. `given`: those that it names.

        Raises `UsageError`.
        """
        words = list(words)
        if "--" in words:
            at = words.index("--")
            words[at:] = map(_Positional, words[at + 1 :])
        options = [word.partition("=")[0] for word in words if self._is_option(word)]
        if "-h" in options or "--help" in options:
            print(self.format_help(), end="")  # argparse drops errors of the stream
            self.exit()
        known = self._option_string_actions
        for option in options:
            if option not in known and option[:2] not in known:
                close = f"; the file of that name is ./{option}" if os.path.lexists(option) else ""
                long = (name for name in known if name.startswith("--"))
                self.error(f"unknown option {option}{close or did_you_mean(option, long)}")
        try:
            found, left = self.parse_known_intermixed_args(words)
        except ArgumentError as error:
            if error.argument_name is None:
                self.error(error.message)
            colon = ":" * error.message.startswith("expected")
            self.error(f"{error.argument_name.split('/')[-1]}{colon} {error.message}")
        if left:
            self.error(f"unexpected argument {left[0]}")
        found.given = {(known.get(option) or known[option[:2]]).dest for option in options}
        return found

    def _is_option(self, word: str) -> bool:
        return word[:1] == "-" and len(word) > 1 and self._parse_optional(word) is not None

    def _parse_optional(self, arg_string: str) -> Any:
        if isinstance(arg_string, _Positional) or _NUMBERS.match(arg_string):
            return None
        return super()._parse_optional(arg_string)

    def _get_values(self, action: Action, arg_strings: list[str]) -> Any:
        if action.option_strings and any(isinstance(word, _Positional) for word in arg_strings):
            raise ArgumentError(action, "expected one argument")
        return super()._get_values(action, arg_strings)

    def _check_value(self, action: Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            choices = [str(choice) for choice in action.choices]
            close = did_you_mean(str(value), choices, getattr(action, "renamed", None))
            raise ArgumentError(action, f"{value}: must be one of: {', '.join(choices)}{close}")

    def error(self, message: str) -> NoReturn:
        """Raise `UsageError` with the message and where to read more."""
        raise UsageError(f"{message} (see {self.prog} --help)")


def variable_of(name: str, command: str = "") -> str:
    """Return the environment variable of an option (without its dashes), for all commands or for one."""
    return VARIABLES + "_".join([*command.split(), name]).replace("-", "_").upper()


def add_option(
    group: argparse._ActionsContainer,
    named: str,
    about: str,
    *,
    shows_variable: bool = False,
    renamed: Mapping[str, str] | None = None,
    **settings: Any,
) -> Action:
    """Add an argument to a parser, or to a group of one, named as its usage shows it.

    "-o --out FILE" is an option with a value, "--strict" a switch; "MODEL", "[PATH]" and "[PATH...]" stand alone: one, one
    or none, any number. about: its help. shows_variable: name its environment variable there. renamed: its former choices, with
    what each is now. settings: others of `add_argument`; a repeatable option begins with none.
    """
    words = named.split()
    names = [word for word in words if word.startswith("-")]
    value = "".join(words[len(names) :])
    if not names:
        many = value.endswith("...]")
        if value.startswith("["):
            settings["nargs"] = "*" if many else "?"
        value = value.strip("[.]")
        settings.setdefault("dest", value.lower().partition(".")[0] + "s" * many)
    if value:
        settings["metavar"] = value
    else:
        settings.setdefault("action", "store_true")
    if settings.get("nargs") == "*" or settings.get("action") == "append":
        settings["default"] = []
    action = group.add_argument(*names, help=about, **settings)
    variable = variable_of(names[-1].lstrip("-")) if shows_variable else ""
    vars(action).update(named=named, renamed=renamed, variable=variable)
    return action


class _Positional(str):
    """A word after `--`: never an option, whatever it begins with."""


class Help(argparse.HelpFormatter):
    """Help with an option's names and value once, then what it does, its default and its environment variable."""

    def __init__(self, prog: str, **_: Any) -> None:
        """Fit the text to the terminal."""
        width = min(shutil.get_terminal_size().columns, MAX_WIDTH)
        super().__init__(prog, max_help_position=_HELP_COLUMN, width=width)

    def _format_usage(self, usage: Any, actions: Iterable[Action], groups: Any, prefix: Any) -> str:
        actions = list(actions)
        words = [one.option_strings[-1] + value_of(one) for one in actions if one.option_strings and one.required]
        words += [vars(one)["named"] for one in actions if not one.option_strings]
        return f"Usage: {' '.join([self._prog, *words, '[options]'])}\n\n"

    def _format_action_invocation(self, action: Action) -> str:
        if not action.option_strings:
            return str(action.metavar)
        short = action.option_strings[0].startswith("--")
        return ("    " if short else "") + ", ".join(action.option_strings) + value_of(action)

    def _expand_help(self, action: Action) -> str:
        return described(action)


def value_of(action: Action) -> str:
    """Return how the value of an option is written: " FILE", or "" for an option without one."""
    return "" if action.nargs == 0 else f" {action.metavar}"


def described(action: Action) -> str:
    """Return an option's help, with its choices, its default and its environment variable."""
    text = action.help or ""
    if action.choices is not None and len(list(action.choices)) <= SHOWN_CHOICES:
        text += f": {', '.join(map(str, action.choices))}"
    notes = []
    default = action.default
    if isinstance(default, (int, float, str)) and not isinstance(default, bool) and default not in ("", SUPPRESS):
        value = f"{default:g}" if isinstance(default, float) else str(default)
        notes.append(f"default: {value}")
    if variable := getattr(action, "variable", ""):
        notes.append(f"env: {variable}")
    return text + "".join(f" [{note}]" for note in notes)


def whole(low: int = 0, high: int | None = None) -> Callable[[str], int]:
    """Return what reads a whole number from `low` to `high`."""

    def read(text: str) -> int:
        with contextlib.suppress(ValueError):
            value = int(text)
            if value >= low and (high is None or value <= high):
                return value
        upper = "" if high is None else f" to {high:,}"
        raise ArgumentTypeError(f"{text}: must be a whole number from {low:,}{upper}")

    return read


def number(low: float = 0.0) -> Callable[[str], float]:
    """Return what reads a number from `low` on."""

    def read(text: str) -> float:
        with contextlib.suppress(ValueError):
            value = float(text)
            if low <= value < float("inf"):
                return value
        raise ArgumentTypeError(f"{text}: must be a number from {low:g}")

    return read


def time(text: str) -> float:
    """Read a time: seconds, or m:ss."""
    from ..audio.times import seconds

    try:
        return seconds(text)
    except UsageError as error:
        raise ArgumentTypeError(str(error)) from None


def numbers(text: str) -> tuple[float, ...]:
    """Read numbers separated by commas."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ArgumentTypeError(f"{text}: must be numbers separated by commas, such as -2,-1,0,1,2") from None
