"""The background of a model: what its network makes of scenes of the material that it was trained on.

It lies in the model folder, and `whoplays train --from` (adapt.py) learns new labels against it. It holds no sound.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..model import folder as model_folder
from ..storage.files import write_atomically

Array = NDArray[np.float32]

BACKGROUND = "background.npz"
MAX_BACKGROUND_BYTES = 16 << 20


def background_of(found: model_folder.Bundle, width: int) -> Array:
    """Return hidden values, averaged over time, (scenes, width) of the base's material; none where it carries none.

    width: of the hidden layer with the embedding's direction (`heads.with_direction`).
    """
    path = found.folder / BACKGROUND
    if not path.is_file() or path.stat().st_size > MAX_BACKGROUND_BYTES:
        return np.zeros((0, width), dtype=np.float32)
    try:
        content = path.read_bytes()
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > 16 * MAX_BACKGROUND_BYTES:
                raise ValueError("more would come out of it than any background holds")
        with np.load(io.BytesIO(content), allow_pickle=False) as kept:
            right = str(kept["network"]) == hashlib.sha256(found.content(model_folder.NETWORK)).hexdigest()
            values: Array = kept["hidden"].astype(np.float32)
    except Exception as error:  # an archive can be damaged in more ways than its reader has kinds of errors
        raise ModelError(f"{path}: cannot be read ({error}); remove it, or copy the folder again") from None
    if not right:
        raise ModelError(
            f"{path}: belongs to another network; remove it, or write it anew (in a checkout: python -m recipe background)"
        )
    if values.shape[1:] != (width,) or not np.isfinite(values).all():
        raise ModelError(f"{path}: holds no table of {width} columns of numbers; remove it, or copy the folder again")
    return values


def write_background(folder: Path, hidden: Array) -> None:
    """Give a model folder its background: hidden values averaged over time, (scenes, width), kept in half precision."""
    network = hashlib.sha256((folder / model_folder.NETWORK).read_bytes()).hexdigest()
    write_atomically(
        folder / BACKGROUND,
        lambda file: np.savez_compressed(file, network=np.array(network), hidden=hidden.astype(np.float16)),
    )
