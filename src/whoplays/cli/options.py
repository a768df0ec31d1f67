"""Options that several commands share."""

from __future__ import annotations

from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from ..errors import UsageError
from ..model.device import DEVICES
from ..taxonomy.messages import LANGUAGES
from .parser import Option, whole
from .settings import Configured

Settings = TypeVar("Settings")


def share(option: Option, *names: str) -> None:
    """Add options that several commands share."""
    for name in names:
        named, about, settings = SHARED[name]
        option(named, about, **settings)


def settings_of(kind: Callable[..., Settings], args: Namespace, **others: Any) -> Settings:
    """Return a dataclass whose fields are the arguments of the same names, where given, and `others`."""
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]  # its constructor, to the checker
    given = {name: value for name, value in vars(args).items() if name in names and value is not None}
    return kind(**(given | others))


def model_of(given: Path) -> Path | None:
    """Return a model folder; None, which is the model inside the package, for "default" where no folder has that name."""
    return None if str(given) == "default" and not given.exists() else given


def add_format(option: Option, *choices: str) -> None:
    """Add --format, for one of several ways to print a result: text, and others."""
    option("-f --format FORMAT", "Output format", choices=("text", *choices), default="text")


def threshold_of(values: list[tuple[str, float]]) -> dict[str, float] | None:
    """Return what `Recogniser` takes as its threshold; the last number of a label counts.

    A number for all labels on the command line sets aside the configured numbers of single labels.
    """
    from ..model.thresholds import ALL

    if isinstance(values, Configured) and any(label == ALL for label, _ in values[values.n_configured :]):
        return dict(values[values.n_configured :])
    return dict(values) or None


def _threshold(text: str) -> tuple[str, float]:
    from ..model.thresholds import parse

    try:
        return parse(text)
    except UsageError as error:
        raise ArgumentTypeError(str(error).removeprefix("threshold ")) from None


_DEVICES = ("auto", *DEVICES)

#: Options that several commands share: as they are named in the help, what it says, and settings of `add_option`.
SHARED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "list": ("--list FILE", "File of paths, one a line; - is standard input", {"dest": "list_from"}),
    "model": ("-m --model FOLDER", "Model folder; the model inside the package without it", {"type": Path}),
    "device": ("--device NAME", "Inference device; falls back to CPU", {"choices": _DEVICES, "default": "cpu"}),
    "threshold": (
        "--threshold N|LABEL=N",
        "Score from which labels play, 0 to 1; repeatable",
        {"type": _threshold, "action": "append", "shows_variable": True},
    ),
    "jobs": ("-j --jobs N", "Recordings in parallel; 0 for one per core", {"type": whole(), "default": 0}),
    "lang": ("--lang LANG", "Language of what is printed for people", {"choices": LANGUAGES, "default": "en"}),
}
