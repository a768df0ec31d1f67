"""Write a model in 8-bit integers, under its own name: the form in which the default model ships.

python -m recipe integers FLOAT OUT MATERIAL

FLOAT: the model folder in floating point. OUT: the folder to write. Ranges are measured on scenes of
MATERIAL's training part. What follows: decisions
(`python -m recipe decide`), then its background (`python -m recipe background`).
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whoplays.model import folder as model_folder
from whoplays.training.quantise import WINDOWS, quantise_on

from . import material as store

#: Shards of scenes, spread over all, that windows come from.
SHARDS = 8


def windows(material: Path) -> list[NDArray[np.float32]]:
    """Return features (1, frames, bands) of some scenes of training."""
    shards = store.shards(material / "training")
    chosen = [shards[i] for i in np.linspace(0, len(shards) - 1, SHARDS).astype(int)]
    found = [store.read([path]).features[: WINDOWS // SHARDS].astype(np.float32) for path in chosen]
    return [row[None] for rows in found for row in rows]


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="MODEL")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("material", type=Path, metavar="MATERIAL")
    args = parser.parse_args()
    plain = model_folder.read(args.model)
    with tempfile.TemporaryDirectory() as made:
        facts = quantise_on(plain, Path(made) / "model", windows(args.material))
        content = model_folder.read(Path(made) / "model").content(model_folder.NETWORK)
    card = (plain.folder / model_folder.CARD).read_text(encoding="utf-8")
    model_folder.write(args.out, plain.config, content, card)
    print(
        f"{facts['bytes_before']:,} bytes became {facts['bytes']:,}; a window's scores differ by {facts['difference']:.3f}"
    )


if __name__ == "__main__":
    main()
