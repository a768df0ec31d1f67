"""Prediction -> text, JSON, CSV, and labels for other programs. Writing to strings; nothing here opens a file.

A `Writer` gets its results one by one and gives text for each, so that a pipe sees the first before the last is heard.
"""

from __future__ import annotations

import csv
import io
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from . import __version__
from .errors import UsageError
from .labels import Label
from .predict import Failure, Prediction

Result = Prediction | Failure


class Writer(ABC):
    """One output format. `head` and `tail` frame the whole; `item` is the text of one recording."""

    #: whether one file can hold several recordings
    many = True
    #: whether a recording that could not be used has its place in the output
    shows_failures = True

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


class JsonLines(Writer):
    """One JSON object a line, as the contract has it."""

    def item(self, result: Result) -> str:
        """Return one physical line."""
        return json.dumps(result.to_dict(), ensure_ascii=False) + "\n"


class Json(Writer):
    """A JSON array of the same objects."""

    _first = True

    def head(self) -> str:
        """Open the array."""
        return "["

    def item(self, result: Result) -> str:
        """Return one object, indented."""
        comma, self._first = ("" if self._first else ","), False
        body = json.dumps(result.to_dict(), ensure_ascii=False, indent=2)
        return f"{comma}\n" + "\n".join(f"  {line}" for line in body.splitlines())

    def tail(self) -> str:
        """Close the array."""
        return "\n]\n"


class Csv(Writer):
    """One row a recording: path, duration, sample rate, model, playing, a column for each score, error."""

    def head(self) -> str:
        """Return the header."""
        columns = ["path", "duration", "sample_rate", "model", "playing", *(label.id for label in self.labels), "error"]
        return self._row(columns)

    def item(self, result: Result) -> str:
        """Return one row."""
        if isinstance(result, Failure):
            return self._row([result.path, "", "", "", "", *("" for _ in self.labels), result.error])
        scores = [result.scores[label.id] for label in self.labels]
        start = [result.path, result.duration, result.sample_rate, result.model, ";".join(result.playing)]
        return self._row([*start, *scores, ""])

    @staticmethod
    def _row(cells: Sequence[Any]) -> str:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerow(cells)
        return text.getvalue()


class Audacity(Writer):
    """Audacity's label track: start, end, text, separated by tabs, seconds (File > Import > Labels)."""

    many = False
    shows_failures = False

    def item(self, result: Result) -> str:
        """Return a line for each segment."""
        if isinstance(result, Failure):
            return ""
        names = {label.id: label.name(self.lang) for label in self.labels}
        return "".join(f"{s.start:.6f}\t{s.end:.6f}\t{names[s.family]} {s.score:.2f}\n" for s in result.segments)


class Rttm(Writer):
    """NIST's Rich Transcription Time Marked: a SPEAKER line for each segment, the family as the speaker (NIST RT-09)."""

    shows_failures = False

    def item(self, result: Result) -> str:
        """Return a line for each segment; white space in the recording's name becomes _."""
        if isinstance(result, Failure):
            return ""
        name = "_".join(result.path.split()) or "-"
        return "".join(
            f"SPEAKER {name} 1 {s.start:.3f} {s.end - s.start:.3f} <NA> <NA> {s.family} {s.score:.4f} <NA>\n"
            for s in result.segments
        )


class Jams(Writer):
    """JAMS 0.3 (Humphrey et al. 2014): one `tag_open` annotation with a tag for each segment, and one of whole-file scores."""

    many = False
    shows_failures = False

    def item(self, result: Result) -> str:
        """Return the document."""
        if isinstance(result, Failure):
            return ""
        when = [self._observation(s.start, s.end - s.start, s.family, s.score) for s in result.segments]
        whole = [self._observation(0.0, result.duration, label, score) for label, score in result.scores.items()]
        document = {
            "annotations": [
                self._annotation(result, when, "segments"),
                self._annotation(result, whole, "whole recording"),
            ],
            "file_metadata": {
                "title": result.path,
                "artist": "",
                "release": "",
                "duration": result.duration,
                "identifiers": {},
                "jams_version": "0.3.4",
            },
            "sandbox": {},
        }
        return json.dumps(document, ensure_ascii=False, indent=2) + "\n"

    @staticmethod
    def _observation(start: float, duration: float, value: str, confidence: float) -> dict[str, Any]:
        return {"time": start, "duration": round(duration, 3), "value": value, "confidence": confidence}

    @staticmethod
    def _annotation(result: Prediction, data: list[dict[str, Any]], what: str) -> dict[str, Any]:
        curator = {"name": "", "email": ""}
        about = {
            "annotation_tools": f"whoplays {__version__}",
            "annotation_rules": what,
            "annotator": {},
            "corpus": "",
            "curator": curator,
            "data_source": f"program: {result.model}",
            "validation": "",
            "version": "1",
        }
        return {
            "namespace": "tag_open",
            "annotation_metadata": about,
            "data": data,
            "time": 0,
            "duration": result.duration,
            "sandbox": {},
        }


class Text(Writer):
    """For people: a line a recording, then a line a family that plays, with its times."""

    shows_failures = False

    def item(self, result: Result) -> str:
        """Return the recording's lines, plain ASCII but for names."""
        if isinstance(result, Failure):
            return ""
        names = {label.id: label.name(self.lang) for label in self.labels}
        lines = [f"{result.path or '(samples)'}  {clock(result.duration)}"]
        if not result.playing:
            best = max(result.scores, key=lambda label: result.scores[label])
            none = "nothing it knows" if self.lang == "en" else "nic znajomego"
            lines.append(f"  {none} (highest: {names[best]} {result.scores[best]:.2f})")
        width = max((len(names[label]) for label in result.playing), default=0)
        for label in sorted(result.playing, key=lambda label: -result.scores[label]):
            times = [f"{clock(s.start)}-{clock(s.end)}" for s in result.segments if s.family == label]
            shown = ", ".join(times[:6]) + (f" and {len(times) - 6} more" if len(times) > 6 else "")
            lines.append(f"  {names[label]:<{width}}  {result.scores[label]:.2f}  {shown}")
        return "\n".join(lines) + "\n"


def clock(seconds: float) -> str:
    """Return 75.4 as "1:15" and 4000 as "1:06:40"."""
    whole = int(seconds + 0.5)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


WRITERS: dict[str, type[Writer]] = {
    "text": Text,
    "json": Json,
    "jsonl": JsonLines,
    "csv": Csv,
    "audacity": Audacity,
    "jams": Jams,
    "rttm": Rttm,
}


def writer(name: str) -> type[Writer]:
    """Return the writer of that format. Raises `UsageError` for an unknown one."""
    if name not in WRITERS:
        raise UsageError(f"--format {name}: unknown; there are {', '.join(WRITERS)}")
    return WRITERS[name]
