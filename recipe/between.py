"""Write the network between the one that training began as and the one that it ended as: what was learnt, and less forgotten.

    python -m recipe between BASE TRAINED OUT [--share 0.85]

BASE: the model folder that training began as. TRAINED: what training made of it, perhaps wider. OUT gets weights that lie a
share of the way from BASE's, widened as training did, to TRAINED's (WiSE-FT: Wortsman, CVPR 2022). All else of it is
TRAINED's; its decisions follow (`python -m recipe decide`).
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whoplays.model import folder as model_folder
from whoplays.training import export
from whoplays.training.heads import Head
from whoplays.training.networks import default_network

from . import warmstart
from .warmstart import Base

Array = NDArray[np.float32]


def between(base: Base, trained: Base, share: float) -> Base:
    """Return the weights that lie a share of the way from `base` to `trained`, for trained's labels; both of one shape."""
    head = base.head.of([base.labels.index(label) for label in trained.labels])

    def mix(a: Array, b: Array) -> Array:
        return ((1 - share) * a + share * b).astype(np.float32)

    layers = zip(base.convolutions, trained.convolutions, strict=True)
    return replace(
        trained,
        convolutions=[(mix(k, kernel), mix(b, bias)) for (k, b), (kernel, bias) in layers],
        dense=mix(base.dense, trained.dense),
        dense_scale=mix(base.dense_scale, trained.dense_scale),
        dense_bias=mix(base.dense_bias, trained.dense_bias),
        head=Head(
            mix(head.weights, trained.head.weights),
            mix(head.bias, trained.head.bias),
            mix(head.attention, trained.head.attention),
            mix(head.attention_bias, trained.head.attention_bias),
        ),
    )


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("base", "trained", "out"):
        parser.add_argument(name, type=Path, metavar=name.upper())
    parser.add_argument("--share", type=float, default=0.85)
    args = parser.parse_args()
    found = model_folder.read(args.trained)
    settings, trained = found.config.training["settings"], warmstart.read(args.trained)
    shape = {name: settings[name] for name in ("filters", "blocks", "hidden")}
    base = warmstart.widened(warmstart.read(args.base), *shape.values(), seed=settings["seed"])
    made = between(base, trained, args.share)
    bands, labels = len(made.mean), found.config.labels
    network = default_network(bands, len(made.labels), mean=made.mean, variance=made.variance, **shape)
    rng = np.random.default_rng(0)
    sample = rng.normal(made.mean, np.sqrt(made.variance), (64, 256, bands)).astype(np.float32)
    warmstart.transfer(network, made, labels, sample)
    outputs = ("logits", "frame_logits", "attention", model_folder.EMBEDDING)
    content = export.to_onnx(network, frames=None, width=bands, outputs=outputs)
    model_folder.write(args.out, found.config, content, (args.trained / model_folder.CARD).read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
