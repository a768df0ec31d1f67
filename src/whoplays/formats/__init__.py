"""Prediction -> text, JSON, CSV, Parquet, and labels for other programs."""

from __future__ import annotations

from ..errors import UsageError
from .base import Result, Writer, clock
from .data import Csv, Json, JsonLines
from .labels import Audacity, Jams, Rttm
from .text import Text

__all__ = ["WRITERS", "JsonLines", "Result", "Text", "Writer", "clock", "writer"]

WRITERS: dict[str, type[Writer]] = {
    "text": Text,
    "json": Json,
    "jsonl": JsonLines,
    "csv": Csv,
    "audacity": Audacity,
    "jams": Jams,
    "rttm": Rttm,
}


def writer(name: str) -> type[Writer]:
    """Return the writer of that format. Raises `UsageError` for an unknown one."""
    if name not in WRITERS:
        raise UsageError(f"--format {name}: unknown; there are {', '.join(WRITERS)}")
    return WRITERS[name]
