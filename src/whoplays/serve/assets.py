"""The page and the example recordings, read once and held in memory: no request's path ever touches the file system."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from ..results.html.template import template

PACKAGE = Path(__file__).parents[1]
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

    @classmethod
    def of(cls, name: str, content: bytes) -> Asset:
        """Return the file of that name, whose ending is one of `TYPES`."""
        return cls(content, TYPES[name.rpartition(".")[2]], hashlib.sha256(content).hexdigest()[:16])


def _read(folder: Path) -> dict[str, Asset]:
    """Return name -> file of what is in a folder and below it, and is of one of `TYPES`."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix[1:] in TYPES)
    return {path.relative_to(folder).as_posix(): Asset.of(path.name, path.read_bytes()) for path in paths}


def page() -> dict[str, Asset]:
    """Return name -> file of the page, with the catalogue of messages that it speaks from, and an empty report to fill in."""
    found = _read(PACKAGE / "serve" / "page")
    messages = (PACKAGE / "taxonomy" / "messages.json").read_bytes()
    added = {"messages.json": messages, "report.html": template().encode()}
    return found | {name: Asset.of(name, content) for name, content in added.items()}


def examples() -> dict[str, Asset]:
    """Return name -> recording, and `index.json`: their names and who plays when as composed."""
    found = _read(PACKAGE / "examples")
    texts = json.loads(found["examples.json"].content)
    index = [{"name": name, **texts.get(name, {})} for name in found if name.endswith(".ogg")]
    return found | {"index.json": Asset.of("index.json", json.dumps(index).encode())}
