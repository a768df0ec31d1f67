"""Prediction -> text, JSON, CSV, Parquet, and labels for other programs. A format's module is loaded when it is asked for."""

from __future__ import annotations

from importlib import import_module

from ...errors import UsageError
from .base import Result, Writer, clock

__all__ = ["WRITERS", "Result", "Writer", "clock", "writer"]

#: name -> module here, class
WRITERS: dict[str, tuple[str, str]] = {
    "text": ("text", "Text"),
    "json": ("data", "Json"),
    "jsonl": ("data", "JsonLines"),
    "csv": ("data", "Csv"),
    "audacity": ("labels", "Audacity"),
    "jams": ("labels", "Jams"),
    "rttm": ("labels", "Rttm"),
}


def writer(name: str) -> type[Writer]:
    """Return the writer of that format. Raises `UsageError` for an unknown one."""
    if name not in WRITERS:
        raise UsageError(f"--format {name}: unknown; there are {', '.join(WRITERS)}")
    module, kind = WRITERS[name]
    found: type[Writer] = getattr(import_module(f".{module}", __name__), kind)
    return found
