"""For programs: JSON, one object a line or as an array, and CSV."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ...inference.prediction import Prediction, Result
from ...storage.files import csv_line
from .base import Writer

#: What some readers take for the end of a line and JSON does not escape: next line, line and paragraph separator.
_LINE_ENDS = {ord(character): f"\\u{ord(character):04x}" for character in "\x85\u2028\u2029"}


def to_json(value: Any, indent: int | None = None) -> str:
    """Return JSON that can be encoded: letters as they are, unless a file's name holds bytes that are no UTF-8."""
    text = json.dumps(value, ensure_ascii=False, indent=indent).translate(_LINE_ENDS)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, indent=indent)
    return text


def values_of(result: Result, frames: bool) -> dict[str, Any]:
    """Return a result's JSON object.

    frames: with `frame_times`, seconds (frames + 1), and `frame_scores`, a list (frames) for each label: a frame is from
    one time to the next.
    """
    values = result.to_dict()
    if frames and isinstance(result, Prediction):
        values["frame_times"] = [round(float(time), 3) for time in result.frame_times]
        columns = zip(result.scores, result.frame_scores.T, strict=True)
        values["frame_scores"] = {label: [round(float(score), 5) for score in column] for label, column in columns}
    return values


class JsonLines(Writer):
    """One JSON object a line, for each recording exactly one."""

    suffix = ".jsonl"
    has_frames = True

    def item(self, result: Result) -> str:
        return to_json(values_of(result, self.frames)) + "\n"


class Json(Writer):
    """A JSON array of those objects; a file for one recording alone holds its object."""

    suffix = ".json"
    has_frames = True
    grows = False
    _first = True

    def head(self) -> str:
        return "["

    def item(self, result: Result) -> str:
        comma, self._first = ("" if self._first else ","), False
        body = to_json(values_of(result, self.frames), indent=2)
        return f"{comma}\n" + "\n".join(f"  {line}" for line in body.split("\n"))

    def tail(self) -> str:
        return "\n]\n"

    def single(self, result: Result) -> str:
        return to_json(values_of(result, self.frames), indent=2) + "\n"


CSV_BEFORE = ("path", "duration", "sample_rate", "model", "playing", "maybe")
CSV_AFTER = ("error", "warnings")
_RESERVED = frozenset((*CSV_BEFORE, *CSV_AFTER, "segments", "seen"))
_SCORE = "score="  # no label holds =


def column_of(label: str) -> str:
    """Return the name of a label's column in a table: its id, or `score=ID` where another column has that name."""
    return _SCORE + label if label in _RESERVED else label


def label_of(column: str) -> str | None:
    """Return the label whose scores a column holds, None for a column of something else."""
    return None if column in _RESERVED else column.removeprefix(_SCORE)


class Csv(Writer):
    """One row a recording: path, duration, sample rate, model, playing, maybe, a column for each score, error, warnings.

    With `frames` one row a frame: path, start, end, a column for each score; none for a failure.
    """

    suffix = ".csv"
    has_frames = True

    def head(self) -> str:
        labels = [column_of(label.id) for label in self.labels]
        return csv_line(["path", "start", "end", *labels] if self.frames else [*CSV_BEFORE, *labels, *CSV_AFTER])

    def item(self, result: Result) -> str:
        if not self.frames:
            return csv_line(csv_cells(result.to_dict(), [label.id for label in self.labels]))
        if not isinstance(result, Prediction):
            return ""
        values = values_of(result, frames=True)
        times, columns = values["frame_times"], values["frame_scores"].values()
        rows = zip(times[:-1], times[1:], *columns, strict=True)
        return "".join(csv_line([result.path, *row]) for row in rows)


def csv_cells(line: Mapping[str, Any], labels: Sequence[str]) -> list[Any]:
    """Return the cells of a recording's JSON object; lists are joined by ";", warnings are their codes."""
    scores = line.get("scores", {})
    return [
        *(line.get(name, "") for name in CSV_BEFORE[:-2]),
        *(";".join(line.get(name, ())) for name in CSV_BEFORE[-2:]),
        *(scores.get(label, "") for label in labels),
        line.get("error", ""),
        ";".join(caution["code"] for caution in line.get("warnings", ())),
    ]
