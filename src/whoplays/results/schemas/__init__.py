"""JSON Schemas (draft 2020-12) of what whoplays writes for programs, one file each: NAME.json.

They say what is there and allow what is not described, so that a file of a later version is valid as well.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ...errors import UsageError, did_you_mean

_FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Return the names of the schemas, sorted."""
    return sorted(path.stem for path in _FOLDER.glob("*.json"))


def text(name: str) -> str:
    """Return a schema as its file holds it. Raises `UsageError` for a name that no schema has."""
    known = names()
    if name not in known:
        raise UsageError(f"there is no schema {name}; there are {', '.join(known)}{did_you_mean(name, known)}")
    return (_FOLDER / f"{name}.json").read_text(encoding="utf-8")


def read(name: str) -> dict[str, Any]:
    """Return one of the schemas. Raises `UsageError` for a name that none has.

    >>> read("result")["title"]
    'Result of a recording'
    """
    found: dict[str, Any] = json.loads(text(name))
    return found
