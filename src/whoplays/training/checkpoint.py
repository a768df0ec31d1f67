"""A training run's state after an epoch, in one file of plain arrays; nothing in it is ever run as code."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..storage.files import write_atomically

CHECKPOINT = "checkpoint.npz"
FORMAT = 1

Arrays = Sequence[NDArray[Any]]


@dataclass(frozen=True)
class Checkpoint:
    """identity: what the run is (settings, data); facts: history, facts of the data; groups of arrays by name."""

    identity: dict[str, Any]
    facts: dict[str, Any]
    groups: Mapping[str, Arrays]

    def write(self, folder: Path) -> None:
        """Write the file whole or not at all: a killed run leaves the epoch before."""
        header = json.dumps({"format": FORMAT, "identity": self.identity, "facts": self.facts})
        arrays: dict[str, Any] = {
            f"{name}.{i:04d}": array for name, group in self.groups.items() for i, array in enumerate(group)
        }
        arrays["json"] = np.frombuffer(header.encode(), dtype=np.uint8)
        write_atomically(folder / CHECKPOINT, lambda file: np.savez(file, **arrays))


def read(folder: Path) -> Checkpoint | None:
    """Return the checkpoint in a folder, None when there is none. Raises `ModelError` for one that cannot be read."""
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    try:
        with zipfile.ZipFile(path) as archive:  # what is stored, not packed: no more comes out than its size says
            entries = archive.infolist()
        packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
        if packed or sum(entry.file_size for entry in entries) > path.stat().st_size:
            raise ValueError("it holds packed data, which whoplays never writes")
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        header = json.loads(bytes(arrays.pop("json")).decode())
        if header["format"] != FORMAT:
            raise ModelError(
                f"{path}: is of format {header['format']}; this whoplays reads {FORMAT}; train into a new folder"
            )
        groups: dict[str, list[NDArray[Any]]] = {}
        for name in sorted(arrays):
            groups.setdefault(name.rpartition(".")[0], []).append(arrays[name])
        return Checkpoint(header["identity"], header["facts"], groups)
    except ModelError:
        raise
    except Exception as error:  # an archive can be damaged in more ways than its reader has kinds of errors
        raise ModelError(f"{path}: cannot be read ({error}); remove it and train anew") from None


def difference(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    """Return what differs between two runs' identities, in words: "batch_size 2 there, 32 here; seed ..."."""
    names = [name for name in {**theirs, **mine} if mine.get(name) != theirs.get(name)]
    return "; ".join(f"{name} {_short(theirs.get(name))} there, {_short(mine.get(name))} here" for name in names)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 24 else text[:12] + "..."
