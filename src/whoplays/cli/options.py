"""Options that several commands share."""

from __future__ import annotations

from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..taxonomy.messages import LANGUAGES
from .settings import Configured, variable_of

DEVICES = ("auto", "cpu", "cuda", "tensorrt", "migraphx", "coreml", "directml", "openvino")


def add_model(group: Any) -> Any:
    """Add --model."""
    return group.add_argument(
        "-m", "--model", type=Path, metavar="FOLDER", help="Model folder; the model inside the package without it"
    )


def model_of(given: Path) -> Path | None:
    """Return a model folder; None, which is the model inside the package, for "default" where no folder has that name."""
    return None if str(given) == "default" and not given.exists() else given


def add_threshold(group: Any) -> Any:
    """Add --threshold."""
    action = group.add_argument(
        "--threshold",
        type=_threshold,
        action="append",
        default=[],
        metavar="N|LABEL=N",
        help="Score from which labels play, 0 to 1; repeatable",
    )
    show_variable(action)
    return action


def show_variable(action: Any) -> None:
    """Name the option's environment variable in its help."""
    action.variable = variable_of(action.option_strings[-1].lstrip("-"))


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


def add_device(group: Any) -> Any:
    """Add --device."""
    text = "Inference device; falls back to CPU"
    return group.add_argument("--device", choices=DEVICES, default="cpu", metavar="NAME", help=text)


def add_language(group: Any) -> Any:
    """Add --lang."""
    return group.add_argument(
        "--lang", choices=LANGUAGES, default="en", metavar="LANG", help="Language of what is printed for people"
    )
