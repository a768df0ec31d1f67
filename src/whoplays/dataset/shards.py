"""The files that rows are kept in, of two kinds; both are read memory-mapped.

`.npy`: features alone, (rows, frames, width); what each row is stands in the data set's rows.csv.
`.arrow` (Arrow IPC, not compressed, batches of some MB): features beside what each row is, so that a machine that
reads some shards needs to know nothing of the others. Written batch by batch: a large shard takes little memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import DatasetError
from ..runtime.packages import needed
from ..storage.address import Place
from ..storage.files import write_atomically
from .settings import BuildSettings
from .sources import Clip

Array = NDArray[np.float32]

Made = tuple[Clip, Array]  # a clip and the features of its rows (variants, frames, width)

BATCH_BYTES = 4 << 20
COLUMNS = ("path", "start_s", "duration_s", "recording", "labels", "semitones")


class Kind(Protocol):
    """How a shard is written and read."""

    suffix: str

    def write(self, path: Place, clips: Iterator[Made], pitch: Sequence[float], label_ids: Sequence[str]) -> str | None:
        """Write a shard whole or not at all; return its SHA-256, None when there is no row (and no file).

        pitch: semitones of each clip's variants. label_ids: in the order of the clips' targets.
        """

    def features(self, path: Path, shape: tuple[int, ...]) -> list[Array]:
        """Return the shard's features, memory-mapped, as one array or several (rows, *shape).

        Raises `DatasetError` when it cannot be read or holds something else.
        """


def kind(settings: BuildSettings) -> Kind:
    """Return the kind of shards that a build writes. Raises `MissingExtraError` when pyarrow is needed and missing."""
    if not settings.shard_mb:
        return Npy()
    _pyarrow()
    return Arrow()


def kind_of(path: Path) -> Kind:
    """Return the kind of a file, by its name."""
    return Arrow() if path.suffix == Arrow.suffix else Npy()


def labels_text(targets: Sequence[int | None], label_ids: Sequence[str]) -> str:
    """Return a row's labels as they are stored: "piano;strings", and "guitar?" for one that is not known."""
    return ";".join(
        label + ("?" if target is None else "") for label, target in zip(label_ids, targets, strict=True) if target != 0
    )


class Npy(Kind):
    """Features alone, as NumPy writes them."""

    suffix = ".npy"

    def write(self, path: Place, clips: Iterator[Made], pitch: Sequence[float], label_ids: Sequence[str]) -> str | None:
        parts = [features for _, features in clips]
        if not parts:
            return None
        array = np.concatenate(parts)
        return _write_hashed(path, lambda file: np.save(file, array, allow_pickle=False))

    def features(self, path: Path, shape: tuple[int, ...]) -> list[Array]:
        try:
            mapped = np.lib.format.open_memmap(path, mode="r")
        except Exception as error:  # NumPy reads a header as Python's literals, which raises kinds of every sort
            raise _unreadable(path, error) from None
        if mapped.shape[1:] != shape or mapped.dtype != np.float32:
            raise DatasetError(
                f"{path}: holds {mapped.dtype} {mapped.shape}; float32 (rows, {', '.join(map(str, shape))}) is needed"
            )
        return [mapped]


class Arrow(Kind):
    """Rows with all that is known of them."""

    suffix = ".arrow"

    def write(self, path: Place, clips: Iterator[Made], pitch: Sequence[float], label_ids: Sequence[str]) -> str | None:
        pa = _pyarrow()
        first = next(clips, None)
        if first is None:
            return None
        _, features = first
        size = features[0].size
        per_batch = max(1, BATCH_BYTES // features.nbytes)  # clips
        text, number = pa.string(), pa.float64()
        columns = [*zip(COLUMNS, (text, number, number, text, text, pa.float32()), strict=True)]
        columns += [("features", pa.list_(pa.float32(), size))]
        schema = pa.schema(columns, metadata={"shape": _shape_text(features.shape[1:])})

        def content(file: Any) -> None:
            with pa.ipc.new_file(file, schema) as writer:
                left = chain([first], clips)
                while group := list(islice(left, per_batch)):
                    writer.write_batch(_batch(pa, schema, group, pitch, label_ids))

        return _write_hashed(path, content)

    def features(self, path: Path, shape: tuple[int, ...]) -> list[Array]:
        pa = _pyarrow()
        try:
            reader = pa.ipc.open_file(pa.memory_map(str(path)))
            stored = (reader.schema.metadata or {}).get(b"shape", b"").decode()
            if stored != _shape_text(shape):
                raise DatasetError(f"{path}: holds features of shape ({stored}); ({_shape_text(shape)}) is needed")
            return [
                reader.get_batch(i).column("features").flatten().to_numpy(zero_copy_only=True).reshape(-1, *shape)
                for i in range(reader.num_record_batches)
            ]
        except (OSError, KeyError, ValueError, TypeError, pa.ArrowException) as error:
            raise _unreadable(path, error) from None

    def rows(self, path: Path) -> list[dict[str, Any]]:
        """Return what each row is, by the names in `COLUMNS`; the features are not touched."""
        pa = _pyarrow()
        try:
            with pa.memory_map(str(path)) as file:
                rows: list[dict[str, Any]] = pa.ipc.open_file(file).read_all().select(list(COLUMNS)).to_pylist()
                return rows
        except (OSError, KeyError, ValueError, TypeError, pa.ArrowException) as error:
            raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> DatasetError:
    reason = " ".join(str(error).split())[:200]
    return DatasetError(f"{path}: cannot be read ({reason}); build the data set again")


def _pyarrow() -> Any:
    with needed("a data set of Arrow shards", "tables"):
        import pyarrow
        import pyarrow.ipc
    return pyarrow


def _shape_text(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))


def _batch(pa: Any, schema: Any, group: Sequence[Made], pitch: Sequence[float], label_ids: Sequence[str]) -> Any:
    facts = [
        (clip.name, clip.start, clip.duration, clip.recording, labels_text(clip.targets, label_ids), shift)
        for clip, _ in group
        for shift in pitch
    ]
    values = np.concatenate([features for _, features in group]).reshape(-1)
    columns = [pa.array(column, schema.field(i).type) for i, column in enumerate(zip(*facts, strict=True))]
    width = schema.field("features").type.list_size
    return pa.record_batch([*columns, pa.FixedSizeListArray.from_arrays(pa.array(values), width)], schema=schema)


def _write_hashed(path: Place, content: Callable[[IO[bytes]], None]) -> str:
    """Write a file whole or not at all; return its SHA-256."""
    digest = ""

    def write(file: IO[bytes]) -> None:
        nonlocal digest
        content(file)
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # it asks for a buffered one

    write_atomically(path, write)
    return digest
