"""Measurements of whoplays, listed by `python -m bench`: recordings and peers come in, tables of results go out."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXPLANATION, FUZZ, TESTS = ROOT / "docs" / "explanation", ROOT / "fuzz", ROOT / "tests"


def command(name: str, *words: str) -> list[str]:
    """Return the command line that runs benchmark `name` in a process of its own."""
    return [sys.executable, "-m", "bench", name, *words]
