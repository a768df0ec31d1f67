"""What every decoder is here: a `Reader`, which gives blocks of samples at their times, and reports gaps between them."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..errors import AudioError, MissingExtraError
from ..runtime.packages import needed
from .clock import Block
from .parts import Gap

MAX_LEVEL = 1_000.0  # full scale is 1; beyond this the numbers are not floating-point audio


@dataclass(frozen=True)
class AudioInfo:
    """What a recording's headers say. duration: seconds, None where they do not tell; tracks: of sound, in one file."""

    duration: float | None
    sample_rate: int
    channels: int
    format: str
    tracks: int = 1
    track: int = 1


class Reader(ABC):
    """An open recording: `info`, `blocks()`, and after those the `gaps` between what they gave."""

    info: AudioInfo
    gaps: list[Gap]

    @abstractmethod
    def blocks(self, *, start: float = 0.0) -> Iterator[Block]:
        """Yield decoded blocks from `start` seconds on. Raises `AudioError`."""

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """Release what the decoder holds; the file itself is its owner's."""


def load_av() -> Any:
    """Return PyAV. Raises `AudioError` without it: recordings that do not need it can still be read."""
    try:
        with needed("reading it"):
            import av
    except MissingExtraError as error:
        raise AudioError(str(error)) from None
    return av


def one_line(error: BaseException) -> str:
    """Return what a decoder says, in short."""
    text = " ".join(str(getattr(error, "error_string", "") or getattr(error, "strerror", "") or error).split())
    if re.fullmatch(r"Error number -?\d+ occurred", text):  # FFmpeg has no words for it
        return "its decoder gave up"
    return re.sub(r"^Error opening .*?: ", "", text).rstrip(".")[:120] or type(error).__name__
