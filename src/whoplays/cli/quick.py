"""The plain `whoplays predict FILE...`, read without the library that reads every other call.

Loading Typer, and Pydantic with it, takes as long as hearing 20 recordings of ten seconds. So a call that holds nothing
but names and the flags below, each once and with a value that cannot be misread, is read here. All else (help, slips,
other sub-commands) is left to Typer, which alone knows what to say about it. Both must come to the same `Request`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .predict_run import Request

_SHELL = "*?[~$%"  # on Windows the library expands these itself


def _number(text: str) -> float:
    whole, _, part = text.partition(".")
    if not all(digits.isascii() and digits.isdigit() for digits in (whole, part or "0")) or len(text) > 12:
        raise ValueError(text)
    return float(text)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        raise ValueError(text)
    return int(text)


#: flag -> field of the request, and what reads its value
_WITH_VALUE: dict[str, tuple[str, Callable[[str], Any]]] = {
    "--model": ("model", Path),
    "--format": ("format", str),
    "--out": ("out", Path),
    "--list": ("list_from", Path),
    "--report": ("report", Path),
    "--plot": ("plot", Path),
    "--start": ("start", _number),
    "--end": ("end", _number),
    "--jobs": ("jobs", _count),
    "--lang": ("lang", str),
    "--device": ("device", str),
}
_ALONE = {"--resume": "resume", "--retry": "retry", "--why": "why", "--write-tags": "write_tags"}


def read(arguments: list[str]) -> Request | None:
    """Return what a plain `predict` asks for, None for any other call."""
    if len(arguments) < 2 or arguments[0] != "predict" or not all(arguments):
        return None
    if os.name == "nt" and any(sign in argument for argument in arguments for sign in _SHELL):
        return None
    try:
        return _read(iter(arguments[1:]))
    except (ValueError, StopIteration):
        return None


def _read(words: Iterator[str]) -> Request:
    paths: list[str] = []
    given: dict[str, Any] = {}
    for word in words:
        if word == "-" or not word.startswith("-"):
            paths.append(word)
            continue
        flag, joined, value = word.partition("=")
        if flag in given:
            raise ValueError(f"{flag} twice")
        if flag in _ALONE and not joined:
            given[flag] = True
        elif flag in _WITH_VALUE:
            given[flag] = _plain(value if joined else next(words), _WITH_VALUE[flag][1])
        else:
            raise ValueError(word)
    return Request(paths, **{_field(flag): value for flag, value in given.items()})


def _field(flag: str) -> str:
    return _ALONE.get(flag) or _WITH_VALUE[flag][0]


def _plain(value: str, reads: Callable[[str], Any]) -> Any:
    if not value or (value.startswith("-") and value != "-"):
        raise ValueError(value)
    return reads(value)
