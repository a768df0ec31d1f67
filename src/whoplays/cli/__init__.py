"""A command line comes in; the work is called, results are printed, and an exit status goes out."""

from __future__ import annotations

from .main import main, run

__all__ = ["main", "run"]
