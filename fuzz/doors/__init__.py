"""The doors: everything that reads what somebody else wrote. A door knows valid input, how to change it, what to do with it."""

from __future__ import annotations

import importlib
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class Mutate(Protocol):
    """Valid input -> input to try."""

    def __call__(
        self, data: bytes, rng: random.Random, *, tokens: Sequence[bytes] = (), others: Sequence[bytes] = ()
    ) -> bytes:
        """Return the changed input."""


@dataclass(frozen=True)
class Door:
    """One way in.

    seeds: valid inputs. run: takes an input and a scratch folder; an exception that it lets through is a finding.
    quick: how many inputs the bounded run in CI tries. timeout: seconds after which one input counts as a finding.
    """

    name: str
    seeds: Callable[[], list[bytes]]
    run: Callable[[bytes, Path], None]
    mutate: Mutate
    tokens: tuple[bytes, ...] = ()
    quick: int = 300
    timeout: float = 10.0
    memory: int = 1 << 30  # bytes beyond what the door takes before the first input


_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MODULES = ("text", "benchmarks", "documents", "sound", "tagging", "network", "http")


def doors() -> dict[str, Door]:
    """Return all doors by name. Modules are loaded here, since some need much."""
    found = [door for name in _MODULES for door in importlib.import_module(f"{__name__}.{name}").DOORS]
    return {door.name: door for door in found}


def told_in_one_line(error: Exception) -> None:
    """Refuse an error text that is no one line for people."""
    text = str(error)
    if not text or _CONTROL.search(text):
        raise AssertionError(f"an error is told as {text!r}") from error
