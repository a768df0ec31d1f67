"""What a row of a table of results must be. Tables are files: anybody may have written one, or edited it."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

from ..inference.prediction import SCHEMA

_SEGMENT = {"label", "start", "end", "score"}
_CAUTION = {"code", "message", "advice"}


class OtherTableError(ValueError):
    """A row is of a form that is no longer read, or not yet."""


def check(row: Any) -> None:
    """Raise `ValueError`, saying what is wrong, for what is no recording's JSON object (see `Prediction.to_dict`)."""
    if not isinstance(row, Mapping):
        raise ValueError(f"a row is {_shown(row)}, no object")
    path = row.get("path")
    if not isinstance(path, str) or "\0" in path or not ("scores" in row or "error" in row):
        raise ValueError("a row has no path, or neither scores nor an error")
    os.fsencode(path)  # what no file name can be is a UnicodeEncodeError, and so a ValueError
    _need(isinstance(row.get("seen", ""), str), "seen", row)
    version = row.get("schema", SCHEMA)
    _need(type(version) is int and version >= 1, "schema", row)
    if version > SCHEMA:
        raise OtherTableError(
            f"its rows have schema {version}; this whoplays reads up to {SCHEMA}: pip install -U whoplays"
        )
    if "error" in row:
        _need(isinstance(row["error"], str), "error", row)
        return
    _need(isinstance(row.get("model"), str), "model", row)
    _need(_is_number(row.get("duration")), "duration", row)
    _need(type(row.get("sample_rate")) is int and 0 <= row["sample_rate"] < 1 << 40, "sample_rate", row)
    scores = row["scores"]
    _need(
        isinstance(scores, Mapping) and bool(scores) and all(_is_score(score) for score in scores.values()),
        "scores",
        row,
    )
    for name in ("playing", "maybe"):
        named = row.get(name, None if name == "playing" else [])
        _need(isinstance(named, list) and all(isinstance(p, str) and p in scores for p in named), name, row)
    segments = row.get("segments")
    _need(isinstance(segments, list) and all(_is_segment(s, scores) for s in segments), "segments", row)
    warnings = row.get("warnings", [])
    _need(isinstance(warnings, list) and all(map(_is_warning, warnings)), "warnings", row)


def _need(fine: bool, name: str, row: Mapping[str, Any]) -> None:
    if not fine:
        raise ValueError(f"{name} of {_shown(row['path'])} is {_shown(row.get(name))}")


def _shown(value: Any) -> str:
    return repr(value)[:60]


def _is_number(value: Any) -> bool:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    return 0 <= value < 1e12 and math.isfinite(value)


def _is_score(value: Any) -> bool:
    return _is_number(value) and value <= 1


def _is_segment(value: Any, scores: Mapping[str, Any]) -> bool:
    if isinstance(value, Mapping) and "family" in value:
        raise OtherTableError(
            'its segments have "family" in place of "label"; make the table anew: whoplays predict --out'
        )
    if not isinstance(value, Mapping) or set(value) != _SEGMENT:
        return False
    named = isinstance(value["label"], str) and value["label"] in scores
    return named and all(_is_number(value[name]) for name in ("start", "end")) and _is_score(value["score"])


def _is_warning(value: Any) -> bool:
    return (
        isinstance(value, Mapping) and set(value) == _CAUTION and all(isinstance(text, str) for text in value.values())
    )
