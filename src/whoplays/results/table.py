"""Whole tables of results on disk: JSON lines, CSV, Parquet. Written whole, read back row by row.

A row is a recording's JSON object, and under "seen" what file it was made from (see resumable_table.py). CSV has no room for
segments; the other two hold everything. Anybody may have written a table, or edited it, so each row is looked at. The only
user of pyarrow.
"""

from __future__ import annotations

import csv
import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from ..errors import UsageError, WhoplaysError
from ..inference.prediction import SCHEMA
from ..runtime.packages import needed
from ..storage.files import csv_line, write_atomically
from .formats.data import CSV_AFTER, CSV_BEFORE, column_of, csv_cells, label_of, to_json

Row = dict[str, Any]

SUFFIXES = (".jsonl", ".csv", ".parquet")
_BATCH = 5_000  # rows of Parquet held at a time
_SEGMENT = {"label", "start", "end", "score"}
_CAUTION = {"code", "message", "advice"}
_LISTS = ("playing", "maybe", "warnings")  # in CSV joined by ;


def check(path: Path) -> None:
    """Raise `UsageError` early when a table of that name cannot be written here: its ending, or pyarrow missing."""
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{path}: a table of results is named {', '.join('*' + suffix for suffix in SUFFIXES)}")
    if path.suffix.lower() == ".parquet":
        load_pyarrow()


def write(path: Path, rows: Callable[[], Iterable[Row]], labels: Sequence[str]) -> None:
    """Write a table as its name ends, whole or not at all. rows: called for an iterable, once."""
    check(path)
    writers = {".jsonl": _write_lines, ".csv": _write_csv, ".parquet": _write_parquet}
    write_atomically(path, lambda file: writers[path.suffix.lower()](file, rows(), labels))


def read(path: Path) -> Iterator[Row]:
    """Yield a table's rows in order. Raises `WhoplaysError` for a file that is no table of results."""
    check(path)
    damaged: tuple[type[Exception], ...] = (ValueError, KeyError, TypeError, AttributeError, OverflowError)
    damaged += (RecursionError, OSError, csv.Error)
    if path.suffix.lower() == ".parquet":
        damaged += (load_pyarrow().ArrowException,)  # its kinds share no other ancestor
    readers = {".jsonl": _read_lines, ".csv": _read_csv, ".parquet": _read_parquet}
    try:
        for row in readers[path.suffix.lower()](path):
            check_row(row)
            yield row
    except FileNotFoundError:
        raise WhoplaysError(f"{path}: no such file") from None
    except OtherTableError as error:
        raise WhoplaysError(f"{path}: {error}") from None
    except damaged as error:
        reason = " ".join(str(error).split())[:120]
        raise WhoplaysError(f"{path}: is not a table that whoplays predict --out wrote ({reason})") from None


def _write_lines(file: IO[bytes], rows: Iterable[Row], labels: Sequence[str]) -> None:
    for row in rows:
        file.write(to_json(row).encode() + b"\n")


def _read_lines(path: Path) -> Iterator[Row]:
    with path.open("rb") as file:
        for line in file:
            yield json.loads(line)


def _write_csv(file: IO[bytes], rows: Iterable[Row], labels: Sequence[str]) -> None:
    file.write(csv_line([*CSV_BEFORE, *map(column_of, labels), *CSV_AFTER, "seen"]).encode())
    for row in rows:
        file.write(csv_line([*csv_cells(row, labels), row.get("seen", "")]).encode("utf-8", "surrogateescape"))


def _read_csv(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        reader = csv.DictReader(file)
        missing = set(CSV_BEFORE) - set(reader.fieldnames or ())
        if missing:
            raise ValueError(f"no column {', '.join(sorted(missing))}")
        columns = {name: label for name in reader.fieldnames or () if (label := label_of(name)) is not None}
        for cells in reader:
            lists = {name: list(filter(None, (cells.get(name) or "").split(";"))) for name in _LISTS}
            known = {"error": "", "seen": "", **cells, **lists, "segments": []}
            known["warnings"] = [{"code": code, "message": "", "advice": ""} for code in lists["warnings"]]
            known["duration"], known["sample_rate"] = float(cells["duration"] or 0), int(cells["sample_rate"] or 0)
            yield _row(known, {label: cells[name] or None for name, label in columns.items()})


def _row(cells: Row, scores: Row) -> Row:
    """Return the JSON object of a row, with its keys in their order."""
    last = {"schema": SCHEMA, "seen": cells["seen"] or ""}
    if cells["error"]:
        return {"path": cells["path"], "error": cells["error"], **last}
    facts = {name: cells[name] for name in ("path", "duration", "sample_rate", "model")}
    facts["scores"] = {label: float(score) for label, score in scores.items() if score is not None}
    return facts | {name: cells[name] or [] for name in ("playing", "maybe", "segments", "warnings")} | last


def load_pyarrow() -> Any:
    """Return pyarrow. Raises `MissingExtraError` without it."""
    with needed("a .parquet file", "tables"):
        import pyarrow
        import pyarrow.parquet
    return pyarrow


def _schema(labels: Sequence[str]) -> Any:
    """Return the columns: as in CSV, with lists and structures in place of joined text."""
    pa = load_pyarrow()
    text = pa.string()
    segment = pa.struct([("label", text), ("start", pa.float64()), ("end", pa.float64()), ("score", pa.float64())])
    caution = pa.struct([("code", text), ("message", text), ("advice", text)])
    columns = [
        ("path", text),
        ("duration", pa.float64()),
        ("sample_rate", pa.int64()),
        ("model", text),
        ("playing", pa.list_(text)),
        ("maybe", pa.list_(text)),
        *((column_of(label), pa.float64()) for label in labels),
        ("segments", pa.list_(segment)),
        ("error", text),
        ("warnings", pa.list_(caution)),
        ("seen", text),
    ]
    return pa.schema(columns, metadata={"whoplays.labels": json.dumps(list(labels)), "whoplays.schema": str(SCHEMA)})


def _write_parquet(file: IO[bytes], rows: Iterable[Row], labels: Sequence[str]) -> None:
    pa = load_pyarrow()
    schema = _schema(labels)
    with pa.parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        left = iter(rows)
        while batch := list(itertools.islice(left, _BATCH)):
            scores = ({column_of(label): score for label, score in row.get("scores", {}).items()} for row in batch)
            flat = [{**own, **row, "path": storable(row["path"])} for own, row in zip(scores, batch, strict=True)]
            writer.write_table(pa.Table.from_pylist(flat, schema=schema))


def storable(path: str) -> str:
    r"""Return a path that Parquet can hold: bytes of a name that are no UTF-8 are kept as \xNN."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _read_parquet(path: Path) -> Iterator[Row]:
    pa = load_pyarrow()
    with path.open("rb") as raw, pa.parquet.ParquetFile(raw) as file:
        stored = (file.schema_arrow.metadata or {}).get(b"whoplays.labels")
        names = file.schema_arrow.names
        labels = json.loads(stored) if stored else list(filter(None, map(label_of, names)))
        for batch in file.iter_batches(batch_size=_BATCH):
            for cells in batch.to_pylist():
                yield _row(cells, {label: cells[column_of(label)] for label in labels})


class OtherTableError(ValueError):
    """A row is of a form that is no longer read, or not yet."""


def check_row(row: Any) -> None:
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
    _need(isinstance(scores, Mapping) and bool(scores) and all(map(_is_score, scores.values())), "scores", row)
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
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e12  # NaN is neither


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
    texts = isinstance(value, Mapping) and set(value) == _CAUTION
    return texts and all(isinstance(text, str) for text in value.values())
