"""Tables of embeddings on disk: .npz for NumPy alone, .parquet for everything else. Written whole, read in place.

A row is a recording: its path, duration, embedding (float32, unit length; zeros for silence and for what could not be used), the
scores of the model's labels, why it could not be used, and what it was made from ("seen"; see resumable_table.py). With
embeddings over time there is also one for each step, and when it starts. The table names the model and the checksum of its
network: embeddings of different networks cannot be compared.

.npz holds, uncompressed: path, duration, embedding (n, width), scores (n, labels), error, seen; step_of (m,) the row of each
step, step_start (m,) in seconds and step_embedding (m, width), m 0 without embeddings over time; labels, model, network, schema.
.parquet has a column for each of the first, `score=LABEL` for each label, and `steps` and `step_start`, lists; the rest is in
its metadata.
"""

from __future__ import annotations

import base64
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError, WhoplaysError
from ..inference.prediction import Prediction
from ..inference.recogniser import Recogniser
from ..storage.files import write_atomically
from .resumable_table import Kind
from .table import load_pyarrow, storable

Array = NDArray[np.float32]
Row = dict[str, Any]

SUFFIXES = (".npz", ".parquet")
SCHEMA = 1
_METADATA = "whoplays.embedding"
_BATCH = 2_000  # rows of Parquet held at a time


def row_of(prediction: Prediction, network: str, *, over_time: bool) -> Row:
    """Return the row of a prediction with embeddings, as JSON can hold it: arrays as base64 of little-endian float32.

    network: the checksum of what made them.
    """
    assert prediction.embedding is not None and prediction.frame_embeddings is not None
    steps = prediction.frame_embeddings if over_time else prediction.frame_embeddings[:0]
    starts = prediction.frame_times[: len(steps)].astype(np.float32)
    arrays = {"embedding": prediction.embedding, "steps": steps, "step_start": starts}
    return {
        "path": prediction.path,
        "duration": prediction.duration,
        "model": prediction.model,
        "network": network,
        "scores": {label: float(score) for label, score in prediction.scores.items()},
        **{name: _text(values) for name, values in arrays.items()},
    }


@dataclass(frozen=True)
class Embeddings:
    """A table, with its arrays left on the disk where that is possible; see the module's text for the arrays."""

    path: NDArray[np.str_]
    duration: NDArray[np.float64]
    embedding: Array
    scores: Array
    error: NDArray[np.str_]
    seen: NDArray[np.str_]
    step_of: NDArray[np.int64]
    step_start: Array
    step_embedding: Array
    labels: tuple[str, ...]
    model: str
    network: str

    @property
    def width(self) -> int:
        """Values of an embedding."""
        return int(self.embedding.shape[1])

    def require(self, recogniser: Recogniser, name: Path | str) -> None:
        """Refuse to compare with embeddings of another network. name: of this table. Raises `UsageError`."""
        model, width = recogniser.config.id, recogniser.embedding_width
        if (self.network, self.width) == (recogniser.network_checksum, width):
            return
        other = f"{model} ({width} values)" if (model, width) != (self.model, self.width) else f"another {model}"
        raise UsageError(
            f"{name}: was made by {self.model} ({self.width} values) and cannot be compared with {other}; give --model, or "
            "make the table anew with whoplays embed"
        )


def _text(values: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f4").tobytes()).decode()


def _values(text: str) -> Array:
    return np.frombuffer(base64.b64decode(text, validate=True), dtype="<f4").astype(np.float32)


def check(path: Path) -> None:
    """Raise `UsageError` early when a table of that name cannot be written here: its ending, or pyarrow missing."""
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{path}: a table of embeddings is named {' or '.join('*' + suffix for suffix in SUFFIXES)}")
    if path.suffix.lower() == ".parquet":
        load_pyarrow()


def check_row(row: Any) -> None:
    """Raise `ValueError` for what is no row."""
    if not isinstance(row, Mapping) or not isinstance(row.get("path"), str) or not isinstance(row.get("seen", ""), str):
        raise ValueError("a row has no path")
    if isinstance(row.get("error"), str):
        return
    texts = ("model", "network", "embedding", "steps", "step_start")
    scores = row.get("scores")
    if not all(isinstance(row.get(name), str) for name in texts) or not isinstance(scores, Mapping):
        raise ValueError("a row has neither an embedding nor an error")
    if not all(isinstance(score, (int, float)) for score in (row.get("duration"), *scores.values())):
        raise ValueError("a row's scores are not numbers")
    width = len(_values(row["embedding"]))
    if not width or len(_values(row["steps"])) != width * len(_values(row["step_start"])):
        raise ValueError("a row's embeddings do not fit each other")


def write(path: Path, rows: Callable[[], Iterable[Row]], labels: Sequence[str]) -> None:
    """Write a table as its name ends, whole or not at all. Raises `UsageError` when rows are of different networks.

    path: its name ends in one of `SUFFIXES`. rows: called for an iterable, twice. labels: the model's.
    """
    made = {(row["model"], row["network"], len(_values(row["embedding"]))) for row in rows() if "error" not in row}
    if len(made) > 1:
        names = " and ".join(sorted(f"{model} ({width} values)" for model, _, width in made))
        raise UsageError(f"{path}: holds embeddings of {names}, which cannot be compared; start again with --overwrite")
    model, network, width = made.pop() if made else ("", "", 0)
    about = {"model": model, "network": network, "width": width, "labels": list(labels), "schema": SCHEMA}
    writer = _write_parquet if path.suffix.lower() == ".parquet" else _write_npz
    write_atomically(path, lambda file: writer(file, rows(), about))


def _write_npz(file: IO[bytes], rows: Iterable[Row], about: Row) -> None:
    width, labels = about["width"], about["labels"]
    columns: dict[str, list[Any]] = {name: [] for name in ("path", "duration", "error", "seen")}
    embedding, scores, step_of, starts, steps = (bytearray() for _ in range(5))
    for i, row in enumerate(rows):
        for name, missing in (("path", ""), ("duration", 0.0), ("error", ""), ("seen", "")):
            columns[name].append(storable(row[name]) if name == "path" else row.get(name, missing))
        embedding += _values(row["embedding"]).tobytes() if "embedding" in row else bytes(4 * width)
        scores += np.array([row.get("scores", {}).get(label, np.nan) for label in labels], np.float32).tobytes()
        begins = _values(row.get("step_start", ""))
        step_of += np.full(len(begins), i, np.int64).tobytes()
        starts += begins.tobytes()
        steps += _values(row.get("steps", "")).tobytes()
    n = len(columns["path"])
    text = {name: np.array(columns[name], dtype=str) for name in ("path", "error", "seen")}
    np.savez(
        file,
        **text,  # type: ignore[arg-type]  # NumPy types the names of arrays as flags
        duration=np.array(columns["duration"], np.float64),
        embedding=np.frombuffer(embedding, np.float32).reshape(n, width),
        scores=np.frombuffer(scores, np.float32).reshape(n, len(labels)),
        step_of=np.frombuffer(step_of, np.int64),
        step_start=np.frombuffer(starts, np.float32),
        step_embedding=np.frombuffer(steps, np.float32).reshape(len(step_of) // 8, width),
        labels=np.array(labels, dtype=str),
        **{name: np.array(about[name]) for name in ("model", "network", "schema")},  # type: ignore[arg-type]
    )


def _write_parquet(file: IO[bytes], rows: Iterable[Row], about: Row) -> None:
    pa = load_pyarrow()
    width, labels = max(1, about["width"]), about["labels"]
    vector = pa.list_(pa.float32(), width)
    columns = [("path", pa.string()), ("duration", pa.float64()), ("embedding", vector)]
    columns += [(f"score={label}", pa.float32()) for label in labels]
    columns += [("error", pa.string()), ("seen", pa.string()), ("step_start", pa.list_(pa.float32()))]
    schema = pa.schema([*columns, ("steps", pa.list_(vector))], metadata={_METADATA: json.dumps(about)})

    def cells(row: Row) -> Row:
        scores = {f"score={label}": row.get("scores", {}).get(label) for label in labels}
        found = {name: row.get(name) for name in ("duration", "error", "seen")}
        found["embedding"] = _values(row["embedding"]) if "embedding" in row else np.zeros(width, np.float32)
        found["step_start"] = _values(row.get("step_start", ""))
        found["steps"] = list(_values(row.get("steps", "")).reshape(-1, width))
        return {"path": storable(row["path"]), **scores, **found}

    with pa.parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        left = map(cells, rows)
        while batch := list(islice(left, _BATCH)):
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))


def load(path: Path) -> Embeddings:
    """Open a table that `whoplays embed --out` wrote. Raises `WhoplaysError` for another file, and for a later version."""
    check(path)
    try:
        found = _load_parquet(path) if path.suffix.lower() == ".parquet" else _load_npz(path)
        _check_shapes(found)
    except FileNotFoundError:
        raise WhoplaysError(f"{path}: no such file") from None
    except WhoplaysError:
        raise
    except Exception as error:  # damaged files make their readers raise errors of many kinds
        reason = " ".join(str(error).split())[:120]
        raise WhoplaysError(f"{path}: is not a table that whoplays embed --out wrote ({reason})") from None
    return found


def _check_version(schema: int) -> None:
    if schema > SCHEMA:
        raise ValueError(f"its schema is {schema}; this whoplays reads up to {SCHEMA}: pip install -U whoplays")


def _load_npz(path: Path) -> Embeddings:
    with zipfile.ZipFile(path) as archive:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise ValueError("it is compressed")
    with np.load(path, allow_pickle=False) as kept:
        _check_version(int(kept["schema"]))
        names = ("path", "duration", "scores", "error", "seen", "step_of", "step_start")
        arrays: Row = {name: kept[name] for name in names}
        texts: Row = {name: str(kept[name]) for name in ("model", "network")}
        labels = tuple(map(str, kept["labels"]))
    for name in ("embedding", "step_embedding"):
        arrays[name] = _in_place(path, name)
    return Embeddings(**arrays, labels=labels, **texts)


def _in_place(path: Path, name: str) -> Array:
    """Return an array of an uncompressed .npz without reading it: what is needed is read when it is."""
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
        inside, begin = file.tell(), archive.getinfo(f"{name}.npy").header_offset
        size = archive.getinfo(f"{name}.npy").file_size
    if dtype != np.float32 or len(shape) != 2 or fortran or size != inside + 4 * shape[0] * shape[1]:
        raise ValueError(f"{name} is not a table of numbers")
    if not size - inside:
        return np.zeros(shape, np.float32)
    with path.open("rb") as raw:
        raw.seek(begin + 26)  # the local header: lengths of the member's name and of what follows it
        skipped = sum(int.from_bytes(raw.read(2), "little") for _ in range(2))
    return np.memmap(path, np.float32, "r", begin + 30 + skipped + inside, shape)


def _load_parquet(path: Path) -> Embeddings:
    pa = load_pyarrow()
    with path.open("rb") as raw:
        table = pa.parquet.read_table(raw)
    about = json.loads((table.schema.metadata or {})[_METADATA.encode()])
    _check_version(about["schema"])
    width, labels = int(about["width"]), tuple(about["labels"])

    def text(name: str) -> NDArray[np.str_]:
        return np.array([value or "" for value in table[name].to_pylist()], dtype=str)

    def numbers(column: Any) -> NDArray[Any]:
        return np.asarray(column.to_numpy(zero_copy_only=False))

    vectors, starts, steps = (table[name].combine_chunks() for name in ("embedding", "step_start", "steps"))
    scores = [numbers(table[f"score={label}"]).astype(np.float32) for label in labels]
    return Embeddings(
        path=text("path"),
        duration=np.nan_to_num(numbers(table["duration"]).astype(np.float64)),
        embedding=numbers(vectors.flatten()).reshape(-1, max(1, width)).astype(np.float32, copy=False),
        scores=np.stack(scores, axis=1) if labels else np.zeros((table.num_rows, 0), np.float32),
        error=text("error"),
        seen=text("seen"),
        step_of=np.repeat(np.arange(table.num_rows), np.diff(numbers(starts.offsets))),
        step_start=numbers(starts.flatten()).astype(np.float32, copy=False),
        step_embedding=numbers(steps.flatten().flatten()).reshape(-1, max(1, width)).astype(np.float32, copy=False),
        labels=labels,
        model=str(about["model"]),
        network=str(about["network"]),
    )


def _check_shapes(found: Embeddings) -> None:
    n, m, width = len(found.path), len(found.step_of), found.embedding.shape[1]
    shapes = {"duration": (n,), "embedding": (n, width), "scores": (n, len(found.labels)), "error": (n,), "seen": (n,)}
    shapes |= {"step_start": (m,), "step_embedding": (m, width)} if m else {}
    for name, shape in shapes.items():
        if getattr(found, name).shape != shape:
            raise ValueError(f"{name} has the shape {getattr(found, name).shape}, not {shape}")
    if m and (found.step_of.min() < 0 or found.step_of.max() >= n or (np.diff(found.step_of) < 0).any()):
        raise ValueError("its steps are not in the order of its rows")


def read(path: Path) -> Iterator[Row]:
    """Yield a table's rows in order, as `row_of` gives them, with what they were made from."""
    found = load(path)
    borders = np.searchsorted(found.step_of, np.arange(len(found.path) + 1))
    for i, name in enumerate(found.path.tolist()):
        row: Row = {"path": name, "seen": str(found.seen[i])}
        if error := str(found.error[i]):
            yield {**row, "error": error}
            continue
        steps = slice(borders[i], borders[i + 1])
        row |= {"duration": float(found.duration[i]), "model": found.model, "network": found.network}
        row["scores"] = {label: float(score) for label, score in zip(found.labels, found.scores[i], strict=True)}
        row |= {"embedding": _text(found.embedding[i]), "steps": _text(found.step_embedding[steps])}
        yield {**row, "step_start": _text(found.step_start[steps])}


#: For `resumable_table.Collection`.
EMBEDDINGS = Kind(check, write, read, check_row)
