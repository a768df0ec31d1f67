"""Keep a model folder's weights in 16 bits: half the size, and scores that differ by less than 0.0001.

    python -m recipe half MODEL OUT

In this form the network in floating point lies in recipe/float. ONNX Runtime reads the weights as single precision, and so does
what trains on or writes integers (`training.heads.opened`). OUT may be MODEL.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from whoplays.model import folder as model_folder
from whoplays.training.heads import SCALE

#: Tensors of fewer numbers stay as they are: biases, norms, and the first convolution, which reads wide ranges.
LEAST = 1000
LEAST_SCALE = np.float32(1e-12)  # where all weights are 0


def halved(network: bytes) -> bytes:
    """Return an ONNX network that holds its larger weights as 16-bit integers, with a scale for each output of a layer."""
    model = onnx.load_model_from_string(network)
    made, nodes = [], []
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and np.prod(tensor.dims) >= LEAST:
            name, weights = tensor.name, numpy_helper.to_array(tensor)
            inputs = (0,) if weights.ndim == 2 else tuple(range(1, weights.ndim))  # a dense layer's; a convolution's
            scale = np.abs(weights).max(axis=inputs, keepdims=True) / np.float32(np.iinfo(np.int16).max) + LEAST_SCALE
            integers = np.rint(weights / scale).astype(np.int16)
            made += [
                numpy_helper.from_array(integers, f"{name}_integers"),
                numpy_helper.from_array(scale, name + SCALE),
            ]
            cast = helper.make_node("Cast", [f"{name}_integers"], [f"{name}_cast"], to=onnx.TensorProto.FLOAT)
            nodes += [cast, helper.make_node("Mul", [f"{name}_cast", name + SCALE], [name])]
        else:
            made.append(tensor)
    nodes += model.graph.node
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.initializer.extend(made)
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="MODEL")
    parser.add_argument("out", type=Path, metavar="OUT")
    args = parser.parse_args()
    found = model_folder.read(args.model)
    card = (found.folder / model_folder.CARD).read_text(encoding="utf-8")
    content = halved(found.content(model_folder.NETWORK))
    model_folder.write(args.out, found.config, content, card)
    print(f"{args.out}: {(args.out / model_folder.NETWORK).stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
