"""For programs: JSON, one object a line or as an array, and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from .base import Result, Writer


def to_json(value: Any, indent: int | None = None) -> str:
    """Return JSON that can be encoded: letters as they are, unless a file's name holds bytes that are no UTF-8."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, indent=indent)
    return text


class JsonLines(Writer):
    """One JSON object a line, as the contract has it."""

    def item(self, result: Result) -> str:
        """Return one physical line."""
        return to_json(result.to_dict()) + "\n"


class Json(Writer):
    """A JSON array of the same objects."""

    grows = False
    _first = True

    def head(self) -> str:
        """Open the array."""
        return "["

    def item(self, result: Result) -> str:
        """Return one object, indented."""
        comma, self._first = ("" if self._first else ","), False
        body = to_json(result.to_dict(), indent=2)
        return f"{comma}\n" + "\n".join(f"  {line}" for line in body.splitlines())

    def tail(self) -> str:
        """Close the array."""
        return "\n]\n"


CSV_BEFORE = ("path", "duration", "sample_rate", "model", "playing", "maybe")
CSV_AFTER = ("error", "warnings")


class Csv(Writer):
    """One row a recording: path, duration, sample rate, model, playing, maybe, a column for each score, error, warnings."""

    def head(self) -> str:
        """Return the header."""
        return csv_line([*CSV_BEFORE, *(label.id for label in self.labels), *CSV_AFTER])

    def item(self, result: Result) -> str:
        """Return one row."""
        return csv_line(csv_cells(result.to_dict(), [label.id for label in self.labels]))


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


def csv_line(cells: Sequence[Any]) -> str:
    """Return one line of CSV (RFC 4180, \\n at its end)."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
