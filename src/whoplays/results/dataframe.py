"""Results -> a table in memory: pandas or polars, whichever is there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from importlib import import_module
from typing import Any

from ..errors import UsageError
from ..inference.prediction import Failure, Prediction, Result
from ..runtime.arguments import checked
from ..runtime.packages import needed
from .formats.data import CSV_AFTER, CSV_BEFORE, column_of

LIBRARIES = ("pandas", "polars")
ROWS = ("recordings", "segments", "frames")

Columns = dict[str, list[Any]]


@checked
def to_dataframe(results: Iterable[Result] | Result, *, rows: str = "recordings", library: str | None = None) -> Any:
    """Return results as a table.

    Parameters
    ----------
    results : iterable of Prediction or Failure, or one of them
        Such as `predict_many` yields.
    rows : str
        "recordings": a row for each, with a column for each label's score, and `error` for those that failed; "segments":
        path, label, start, end, score; "frames": path, start, end, and a column for each label's score.
    library : str, optional
        "pandas" or "polars"; None: pandas where it is installed, else polars.

    Returns
    -------
    pandas.DataFrame or polars.DataFrame
        The same columns as a table of `whoplays predict --out`, lists as lists. A label that has the name of another
        column is `score=LABEL`.

    Raises
    ------
    UsageError
        For another word of `rows` or `library`; `MissingExtraError` when the library is not installed.

    Examples
    --------
    >>> import whoplays
    >>> found = whoplays.predict_many(["src/whoplays/examples/band.ogg", "missing.wav"])
    >>> table = whoplays.to_dataframe(found)
    >>> round(float(table["drums"][0]), 1), table["error"][1]
    (0.9, 'no such file')
    """
    if rows not in ROWS:
        raise UsageError(f"rows {rows}: must be one of: {', '.join(ROWS)}")
    make = _library(library)
    given = [results] if isinstance(results, (Prediction, Failure)) else list(results)
    known = [one for one in given if isinstance(one, Prediction)]
    if rows == "recordings":
        return make(_recordings(given))
    if rows == "frames":
        return make(_joined([{"path": [one.path] * len(one.frame_scores), **_frames(one)} for one in known]))
    found = [(one.path, s.label, s.start, s.end, s.score) for one in known for s in one.segments]
    return make({name: [row[i] for row in found] for i, name in enumerate(("path", "label", "start", "end", "score"))})


def frames(prediction: Prediction, *, library: str | None = None) -> Any:
    """Return one recording's scores over time: start, end, and a column for each label."""
    return _library(library)(_frames(prediction))


def _library(name: str | None) -> Any:
    """Return what makes a table of columns. Raises `UsageError` or `MissingExtraError`."""
    if name is not None and name not in LIBRARIES:
        raise UsageError(f"library {name}: must be one of: {', '.join(LIBRARIES)}")
    for one in LIBRARIES if name is None else (name,):
        with contextlib.suppress(ModuleNotFoundError):
            return import_module(one).DataFrame
    with needed("a table", "dataframe", package="polars" if name == "polars" else ""):
        return import_module(name or LIBRARIES[0]).DataFrame


def _recordings(results: list[Result]) -> Columns:
    labels = dict.fromkeys(label for one in results if isinstance(one, Prediction) for label in one.scores)
    columns: Columns = {name: [] for name in (*CSV_BEFORE, *map(column_of, labels), *CSV_AFTER)}
    for one in results:
        row = one.to_dict()
        for name in CSV_BEFORE:
            columns[name].append(row.get(name))
        for label in labels:
            columns[column_of(label)].append(row.get("scores", {}).get(label))
        columns["error"].append(row.get("error"))
        columns["warnings"].append([warning["code"] for warning in row.get("warnings", ())])
    return columns


def _frames(prediction: Prediction) -> Columns:
    times, scores = prediction.frame_times, prediction.frame_scores
    named_scores = {column_of(label): scores[:, i].tolist() for i, label in enumerate(prediction.scores)}
    return {"start": times[: len(scores)].tolist(), "end": times[1:].tolist(), **named_scores}


def _joined(parts: list[Columns]) -> Columns:
    names = dict.fromkeys(name for part in parts for name in part)
    if not parts:
        return {"path": [], "start": [], "end": []}
    return {name: [value for part in parts for value in part.get(name, [None] * len(part["path"]))] for name in names}
