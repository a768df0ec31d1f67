"""Give a model folder its background: what its network makes of scenes of the material that it was trained on.

python -m recipe background MODEL MATERIAL [--scenes 384]

`whoplays train --from MODEL` needs it as examples of what is none of the new labels. Only scenes without other instruments and
voices are used: those may be what a user wants to teach.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from whoplays.model import folder as model_folder
from whoplays.training import heads
from whoplays.training.background import BACKGROUND, write_background

from . import material as store
from .labels import LABELS, TREE


def is_free(targets: np.ndarray) -> np.ndarray:
    """Return which scenes (n,) hold none but the five families, bass, noise and silence, from targets over time."""
    others = [i for i, label in enumerate(LABELS) if TREE.family_of(label) not in (*TREE.defaults, "bass")]
    return np.asarray((targets[..., others] == 0).all(axis=(1, 2)))


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="MODEL")
    parser.add_argument("material", type=Path, metavar="MATERIAL")
    parser.add_argument("--scenes", type=int, default=384)
    args = parser.parse_args()
    network = model_folder.read(args.model).content(model_folder.NETWORK)
    body = heads.Body(heads.with_direction(*heads.split_head(network))[0])
    shards = store.shards(args.material / "training")
    found: list[np.ndarray] = []
    per_shard = -(-args.scenes // len(shards))
    for path in shards:
        rows = store.read([path])
        free = np.flatnonzero(is_free(rows.targets))[:per_shard]
        found += [hidden.mean(axis=1) for hidden in body.hidden(rows.features[free].astype(np.float32))]
    hidden = np.concatenate(found)[: args.scenes]
    write_background(args.model, hidden)
    print(f"{len(hidden)} scenes, {(args.model / BACKGROUND).stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
