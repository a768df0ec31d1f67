"""Options that several commands share."""

from __future__ import annotations

from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .parser import from_environment

DEVICES = ("auto", "cpu", "cuda", "tensorrt", "migraphx", "coreml", "directml", "openvino")
LANGUAGES = ("en", "pl")


def add_model(group: Any) -> Any:
    """Add --model."""
    return group.add_argument(
        "-m", "--model", type=Path, metavar="FOLDER", help="Model folder; the model inside the package without it"
    )


def add_threshold(group: Any) -> Any:
    """Add --threshold, which the environment may set."""
    action = group.add_argument(
        "--threshold",
        type=_threshold,
        action="append",
        default=[],
        metavar="N|LABEL=N",
        help="Score from which labels play, 0 to 1; repeatable",
    )
    from_environment(action, "WHOPLAYS_THRESHOLD")
    return action


def threshold_of(values: list[tuple[str, float]]) -> dict[str, float] | None:
    """Return what `Recogniser` takes as its threshold; the last number of a label counts."""
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
    return group.add_argument("--lang", choices=LANGUAGES, default="en", metavar="LANG", help="Language of label names")
