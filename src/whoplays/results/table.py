"""Whole tables of results on disk: JSON lines, CSV, Parquet. Written whole, read back row by row.

A row is a recording's JSON object, and under "seen" what file it was made from (see resumable_table.py). CSV has no room for
segments; the other two hold everything. The only user of pyarrow.
"""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from ..errors import UsageError, WhoplaysError
from ..inference.prediction import SCHEMA
from ..runtime.packages import needed
from ..storage.files import csv_line, write_atomically
from .formats.data import CSV_AFTER, CSV_BEFORE, column_of, csv_cells, label_of, to_json
from .table_row import OtherTableError
from .table_row import check as check_row

Row = dict[str, Any]

SUFFIXES = (".jsonl", ".csv", ".parquet")
_BATCH = 5_000  # rows of Parquet held at a time


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
    readers = {".jsonl": _read_lines, ".csv": _read_csv, ".parquet": _read_parquet}
    try:
        for row in readers[path.suffix.lower()](path):
            check_row(row)
            yield row
    except FileNotFoundError:
        raise WhoplaysError(f"{path}: no such file") from None
    except OtherTableError as error:
        raise WhoplaysError(f"{path}: {error}") from None
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
        OSError,
        csv.Error,
    ) as error:
        told = " ".join(str(error).split())[:120]
        raise WhoplaysError(f"{path}: is not a table that whoplays predict --out wrote ({told})") from None


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
            yield _row(
                {label: cells[name] or None for name, label in columns.items()},
                path=cells["path"],
                error=cells.get("error"),
                duration=float(cells["duration"] or 0),
                sample_rate=int(cells["sample_rate"] or 0),
                model=cells["model"],
                playing=[name for name in cells["playing"].split(";") if name],
                maybe=[name for name in cells["maybe"].split(";") if name],
                segments=[],
                warnings=[
                    {"code": code, "message": "", "advice": ""}
                    for code in (cells.get("warnings") or "").split(";")
                    if code
                ],
                seen=cells.get("seen"),
            )


def _row(scores: dict[str, Any], *, path: str, error: str | None, seen: str | None, **facts: Any) -> Row:
    """Return the JSON object of one row, with its keys in their order."""
    if error:
        return {"path": path, "error": error, "schema": SCHEMA, "seen": seen or ""}
    known = {label: float(score) for label, score in scores.items() if score is not None}
    order = ("duration", "sample_rate", "model")
    return {
        "path": path,
        **{name: facts[name] for name in order},
        "scores": known,
        **{name: facts[name] for name in ("playing", "maybe", "segments", "warnings")},
        "schema": SCHEMA,
        "seen": seen or "",
    }


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
        for batch in _batched(rows):
            flat = [{**_columns(row), **row, "path": storable(row["path"])} for row in batch]
            writer.write_table(pa.Table.from_pylist(flat, schema=schema))


def _columns(row: Row) -> Row:
    return {column_of(label): score for label, score in row.get("scores", {}).items()}


def _batched(rows: Iterable[Row]) -> Iterator[tuple[Row, ...]]:
    rows = iter(rows)
    while batch := tuple(itertools.islice(rows, _BATCH)):
        yield batch


def storable(path: str) -> str:
    r"""Return a path that Parquet can hold: bytes of a name that are no UTF-8 are kept as \xNN."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _read_parquet(path: Path) -> Iterator[Row]:
    try:
        yield from _parquet_rows(path)
    except load_pyarrow().ArrowException as error:  # its kinds share no other ancestor
        raise ValueError(str(error)) from None


def _parquet_rows(path: Path) -> Iterator[Row]:
    pa = load_pyarrow()
    with path.open("rb") as raw, pa.parquet.ParquetFile(raw) as file:
        stored = (file.schema_arrow.metadata or {}).get(b"whoplays.labels")
        names = file.schema_arrow.names
        labels = json.loads(stored) if stored else list(filter(None, map(label_of, names)))
        for batch in file.iter_batches(batch_size=_BATCH):
            for cells in batch.to_pylist():
                facts = {name: cells[name] for name in ("duration", "sample_rate", "model")}
                lists = {name: cells[name] or [] for name in ("playing", "maybe", "segments", "warnings")}
                scores = {label: cells[column_of(label)] for label in labels}
                yield _row(scores, path=cells["path"], error=cells["error"], seen=cells["seen"], **facts, **lists)
