"""A message's key, a language and values come in; what people read comes out: on terminals, in reports, figures and notes.

All of it lies in `messages.json`, group by group, each message in every language.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

LANGUAGES = ("en", "pl")
Say = Callable[..., str]  # of a message's key and its values: the message
#: Names of the values that hold a message of the group "reason".
REASONS = ("why", "cause", "how", "first", "second", "what")


@cache
def messages() -> dict[str, dict[str, dict[str, str]]]:
    """Return group -> key -> language -> template."""
    # importlib.resources would take longer to import than all else here
    text = Path(__file__).with_name("messages.json").read_text(encoding="utf-8")
    found: dict[str, dict[str, dict[str, str]]] = json.loads(text)
    return found


def speaker(group: str, lang: str = "en") -> Say:
    """Return a function of a key and values that fills in a message of one group.

    Parameters
    ----------
    group
        A part of the catalogue, such as "report".
    lang
        One of `LANGUAGES`.

    Returns
    -------
    Callable
        `say(key, **values)`. Raises `KeyError` for a key or a value that is missing.

    Examples
    --------
    >>> speaker("gap")("from", start="1.50")
    'from 1.50 s on'
    """
    known = messages()[group]

    def say(key: str, /, **values: object) -> str:
        return known[key][lang].format(**values)

    return say


def translated(text: str, lang: str, group: str) -> str:
    """Return an English message of a group in another language; unchanged where no message of the group fits.

    Values are taken from the text, so that results which were written in English can be read in any language.
    """
    if lang == "en":
        return text
    for fits, message in _patterns(group):
        if found := fits.fullmatch(text):
            values = {name: _within(name, value, lang) for name, value in found.groupdict().items()}
            return message[lang].format(**values)
    return text


def _within(name: str, value: str, lang: str) -> str:
    """Return a value of a message in another language: gaps and reasons are messages themselves."""
    if name in ("spans", "span"):
        return ", ".join(translated(one, lang, "gap") for one in value.split(", "))
    return translated(value, lang, "reason") if name in REASONS else value


def translated_line(text: str, lang: str) -> str:
    """Return an English line of the command in another language: a whole message, or a problem behind what has it.

    >>> translated_line("music: is a folder, not a recording", "pl")
    'music: to folder, a nie nagranie'
    """
    if (whole := translated(text, lang, "terminal")) != text:
        return whole
    # From the end on: a message may begin with a value, which is not to take more.
    for mark in reversed(list(re.finditer(r"^|: ", text))):
        if (problem := translated(text[mark.end() :], lang, "error")) != text[mark.end() :]:
            return text[: mark.end()] + problem
    return text


@cache
def _patterns(group: str) -> list[tuple[re.Pattern[str], dict[str, str]]]:
    """Return each message's English template as a pattern, those with most words of their own first."""
    known = sorted(messages()[group].values(), key=lambda message: -len(re.sub(r"\{\w+\}", "", message["en"])))
    return [(re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+?)", re.escape(one["en"]))), one) for one in known]
