"""The command reference, docs/reference/command-line.md, made from the parser.

python scripts/command_line.py            writes it
python scripts/command_line.py --print    prints it instead
"""

from __future__ import annotations

import sys
import textwrap
from argparse import Action
from collections.abc import Iterator
from pathlib import Path

from whoplays.cli import commands
from whoplays.cli.parser import Parser, described, value_of

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "command-line.md"
WIDTH = 92  # columns of code that the site shows without scrolling
HEAD = """# The command line

For: everyone who looks up an option.

Made from the parser by `python scripts/command_line.py`; `whoplays COMMAND --help` prints the same.

Every command also has `-q`, `--quiet` (print results and errors only), `-v`, `--verbose` (print the time taken, and the
traceback of an unexpected error) and `-h`, `--help`; `whoplays --version` prints the version. Options may stand before,
between and after other arguments; what follows `--` is not an option. Results are on standard output, messages and progress
on standard error. Exit status: 0 all good; 1 some recording, or the work, failed; 2 wrong usage; 130 interrupted.

Shell completion (extra: `completion`): `whoplays completion bash|zsh|fish`.
"""


def main() -> None:
    """Write or print the page."""
    text = "\n".join([HEAD, *overview(), *(line for name in commands.COMMANDS for line in section(name))])
    if "--print" in sys.argv[1:]:
        sys.stdout.write(text)
    else:
        PAGE.write_text(text, encoding="utf-8")


def overview() -> Iterator[str]:
    """Yield a table of the commands."""
    for title, members in commands.GROUPS.items():
        yield from (f"| {title} | |", "|---|---|")
        yield from (
            f"| [`{name}`](#{name.replace(' ', '-')}) | {command.summary} |" for name, command in members.items()
        )
        yield ""


def section(name: str) -> Iterator[str]:
    """Yield the lines of one command."""
    parser: Parser = commands.parser_of(name)
    more = f" {parser.more}" if parser.more else ""
    yield from (f"## {name}", "", f"{parser.description}{more}", "")
    usage = parser.format_help().splitlines()[0].removeprefix("Usage: ")
    yield from ("```sh", folded(usage, ""), f"# for example\n{folded(parser.example, chr(92))}", "```", "")
    for group in parser._action_groups:
        if group._group_actions and group.title != "General options":
            yield from (f"| {group.title} | |", "|---|---|")
            yield from (f"| {shown(action)} | {escaped(described(action))} |" for action in group._group_actions)
            yield ""


def folded(line: str, end: str) -> str:
    """Return a command in lines that fit on the page, each but the last with `end`."""
    lines = textwrap.wrap(line, WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
    return (f" {end}\n" if end else "\n").join(lines)


def shown(action: Action) -> str:
    """Return an argument's names as code."""
    if not action.option_strings:
        return f"`{action.metavar}`"
    *short, last = action.option_strings
    return ", ".join(f"`{escaped(name)}`" for name in [*short, last + value_of(action)])


def escaped(text: str) -> str:
    """Return text that can stand in a cell."""
    return text.replace("|", "\\|").replace("[", "\\[")


if __name__ == "__main__":
    main()
