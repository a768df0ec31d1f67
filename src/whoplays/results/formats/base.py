"""What every output format is: a `Writer` that gets results one by one and gives text for each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from ...inference.prediction import Failure, Prediction, Result
from ...taxonomy.tree import Label


class Writer(ABC):
    """One output format. `head` and `tail` frame the whole; `item` is the text of one recording."""

    #: how the name of a file in this format ends
    suffix: str
    #: whether it can hold the scores of each frame, where `frames` is set
    has_frames = False
    frames = False
    #: whether one file can hold several recordings
    many = True
    #: whether more recordings can follow without the whole becoming invalid
    grows = True

    def __init__(self, labels: Sequence[Label], lang: str = "en") -> None:
        """labels: the model's. lang: of names in formats for people."""
        self.labels = labels
        self.lang = lang

    def head(self) -> str:
        """Return what comes before the first recording."""
        return ""

    @abstractmethod
    def item(self, result: Result) -> str:
        """Return one recording's text."""

    def tail(self) -> str:
        """Return what comes after the last recording."""
        return ""

    def single(self, result: Result) -> str:
        """Return the text of a file that holds this recording alone."""
        return self.head() + self.item(result) + self.tail()


class PredictionWriter(Writer):
    """A format without a place for recordings that could not be used."""

    def item(self, result: Result) -> str:
        return "" if isinstance(result, Failure) else self.prediction(result)

    @abstractmethod
    def prediction(self, result: Prediction) -> str:
        """Return the text of a recording that could be used."""


def span(start: float, end: float) -> str:
    """Return 75.4 to 80.2 s as "1:15-1:20"; what would begin and end at one second as "1:15.2-1:15.4"."""
    if clock(start) != clock(end):
        return f"{clock(start)}-{clock(end)}"
    digits = 1 if round(end, 1) > round(start, 1) else 2
    times = (round(start, digits), round(end, digits))
    return "-".join(clock(int(time)) + f"{time % 1:.{digits}f}"[1:] for time in times)


def clock(seconds: float) -> str:
    """Return 75.4 as "1:15" and 4000 as "1:06:40"."""
    whole = int(seconds + 0.5)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"
