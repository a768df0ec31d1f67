"""Prediction -> text, JSON, CSV, Parquet, and labels for other programs. A format's module is loaded on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ...errors import UsageError

if TYPE_CHECKING:
    from .base import Writer

#: The formats of the command line and of HTTP: name -> module here, class, media type.
FORMATS: dict[str, tuple[str, str, str]] = {
    "text": ("text", "Text", "text/plain"),
    "json": ("data", "Json", "application/json"),
    "jsonl": ("data", "JsonLines", "application/jsonl"),
    "csv": ("data", "Csv", "text/csv"),
    "audacity": ("labels", "Audacity", "text/plain"),
    "sonic-visualiser": ("labels", "SonicVisualiser", "application/xml"),
    "jams": ("labels", "Jams", "application/vnd.jams+json"),
    "rttm": ("labels", "Rttm", "text/plain"),
}


def writer(name: str) -> type[Writer]:
    """Return the writer of that format. Raises `UsageError` for an unknown one."""
    if name not in FORMATS:
        raise UsageError(f"--format {name}: unknown; there are {', '.join(FORMATS)}")
    module, kind, _ = FORMATS[name]
    found: type[Writer] = getattr(import_module(f".{module}", __name__), kind)
    return found


def by_suffix() -> dict[str, str]:
    """Return how names of files end -> the format that they are in: the first whose files end so."""
    found: dict[str, str] = {}
    for name in FORMATS:
        found.setdefault(writer(name).suffix, name)
    return found
