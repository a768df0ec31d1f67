"""The layers of a network's embedding: what they may read, and the network with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whoplays.errors import ModelError
from whoplays.model.folder import EMBEDDING
from whoplays.training.heads import HIDDEN, attach_head, embedding_shape, end_in, load_onnx, split_head

Array = NDArray[np.float32]


def with_input(body: bytes) -> bytes:
    """Return a body (`split_head`) whose hidden values go on with what the hidden layer reads: (batch, steps, hidden + in)."""
    onnx = load_onnx()
    model = onnx.load_model_from_string(body)
    graph = model.graph
    given = _input(graph)
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [f"{HIDDEN}_itself" if name == HIDDEN else name for name in names]
    graph.node.append(onnx.helper.make_node("Concat", [f"{HIDDEN}_itself", given], [HIDDEN], axis=2))
    end_in(model, {HIDDEN: ["batch", "steps", "width"]})
    return bytes(model.SerializeToString(deterministic=True))


def _input(graph: Any) -> str:
    """Return the name of what the hidden layer reads, (batch, steps, in): before it was flattened and quantised for that."""
    makers = {output: node for node in graph.node for output in node.output}
    try:
        name, flat = HIDDEN, False
        while makers[name].op_type != "MatMul":
            flat |= makers[name].op_type == "Reshape"
            name = next(value for value in makers[name].input if value in makers)
        name = makers[name].input[0]
        while flat and makers[name].op_type != "Reshape":
            name = makers[name].input[0]
        return str(makers[name].input[0] if flat else name)
    except (KeyError, StopIteration, IndexError):
        raise ModelError("its hidden layer is not that of the recipe default") from None


def with_embedding(network: bytes, layers: Sequence[tuple[Array, Array]]) -> bytes:
    """Return a network with the output `embedding` (batch, steps, width), made of its hidden values by dense layers.

    Parameters
    ----------
    network : bytes
        ONNX, of the recipe default. An embedding that it has is replaced.
    layers : sequence of (weights, bias)
        Shapes (in, out) and (out,), the first of as many values as the hidden layer has, or as it has and reads
        (`with_input`); between them only what is above zero goes on. Weights are kept in half precision.

    Raises
    ------
    ModelError
        For a network of another make.
    """
    onnx = load_onnx()
    body, head = split_head(network)
    model = onnx.load_model_from_string(body)
    graph, helper = model.graph, onnx.helper
    nodes = [node for node in graph.node if not node.output[0].startswith(EMBEDDING)]
    tensors = [tensor for tensor in graph.initializer if not tensor.name.startswith(EMBEDDING)]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(tensors)
    values = HIDDEN
    if layers and len(layers[0][0]) > len(head.weights):
        values = f"{EMBEDDING}_input"
        graph.node.append(helper.make_node("Concat", [HIDDEN, _input(graph)], [values], axis=2))
    for i, (weights, bias) in enumerate(layers):
        name = f"{EMBEDDING}_{i}"
        for part, array in (("weights", np.asarray(weights, np.float16)), ("bias", np.asarray(bias, np.float32))):
            graph.initializer.append(onnx.numpy_helper.from_array(array, f"{name}_{part}"))
        last = i == len(layers) - 1
        graph.node.extend(
            [
                helper.make_node("Cast", [f"{name}_weights"], [f"{name}_single"], to=onnx.TensorProto.FLOAT),
                helper.make_node("MatMul", [values, f"{name}_single"], [f"{name}_product"]),
                helper.make_node("Add", [f"{name}_product", f"{name}_bias"], [EMBEDDING if last else f"{name}_sum"]),
            ]
        )
        if not last:
            values = f"{name}_values"
            graph.node.append(helper.make_node("Relu", [f"{name}_sum"], [values]))
    width = len(head.weights)
    end_in(model, {HIDDEN: ["batch", "steps", width], **embedding_shape(model, width)})
    return attach_head(model.SerializeToString(deterministic=True), head)
