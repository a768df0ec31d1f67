"""The page and the example recordings, read once and held in memory: no request's path ever touches the file system."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

from ..results.html.template import template

#: Scripts, styles, pictures and calls from the page's own host alone; recordings from memory (blob:).
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; media-src 'self' blob:; worker-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "woff2": "font/woff2",
    "txt": "text/plain; charset=utf-8",
    "json": "application/json",
    "ogg": "audio/ogg",
}


@dataclass(frozen=True)
class Asset:
    """A file of the page. tag: changes with its content."""

    content: bytes
    media_type: str
    tag: str


def _read(folder: Any, prefix: str, found: dict[str, Asset]) -> None:
    for entry in folder.iterdir():
        if entry.is_dir():
            _read(entry, f"{prefix}{entry.name}/", found)
        elif entry.name.rpartition(".")[2] in TYPES:
            _add(found, prefix + entry.name, entry.read_bytes())


def _add(found: dict[str, Asset], name: str, content: bytes) -> None:
    found[name] = Asset(content, TYPES[name.rpartition(".")[2]], hashlib.sha256(content).hexdigest()[:16])


def page() -> dict[str, Asset]:
    """Return name -> file of the page, with the catalogue of messages that it speaks from, and an empty report to fill in."""
    found: dict[str, Asset] = {}
    _read(resources.files("whoplays.serve") / "page", "", found)
    _add(found, "messages.json", (resources.files("whoplays.taxonomy") / "messages.json").read_bytes())
    _add(found, "report.html", template().encode())
    return found


def examples() -> dict[str, Asset]:
    """Return name -> recording, and `index.json`: their names and who plays when as composed."""
    found: dict[str, Asset] = {}
    folder = resources.files("whoplays") / "examples"
    if not folder.is_dir():
        return found
    _read(folder, "", found)
    told = json.loads(found["examples.json"].content) if "examples.json" in found else {}
    index = [{"name": name, **told.get(name, {})} for name in found if name.endswith(".ogg")]
    _add(found, "index.json", json.dumps(sorted(index, key=lambda entry: str(entry["name"]))).encode())
    return found
