"""The last layers of a network that the recipe `default` trained: taken off, looked at, put on again with other labels.

Such a network makes `hidden` (batch, steps, width) of a recording, and of that, for each label,

    frame_logits = hidden @ weights + bias                       over time
    logits = sum over steps of softmax(hidden @ attention + attention_bias) * frame_logits

so that, given how much each step counts, everything up to the logits is linear in what can be learnt anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..model.folder import EMBEDDING
from ..runtime.packages import needed

Array = NDArray[np.float32]
HIDDEN = "hidden"
#: What the name of a tensor ends with that scales another one's 16-bit integers to weights (`recipe.half`).
SCALE = "_scale_of_16_bits"
_DIRECTION = "embedding_direction"


@dataclass(frozen=True)
class Head:
    """Weights and attention, (width, labels) each, and their biases (labels,)."""

    weights: Array
    bias: Array
    attention: Array
    attention_bias: Array

    def pooled(self, hidden: Array) -> Array:
        """Return what each label's attention makes of hidden (batch, steps, width): (batch, labels, width)."""
        z = hidden @ self.attention + self.attention_bias
        share = np.exp(z - z.max(axis=1, keepdims=True))
        share /= share.sum(axis=1, keepdims=True)
        return np.asarray(np.einsum("bsl,bsw->blw", share, hidden))

    def joined(self, other: Head) -> Head:
        """Return a head with the labels of both, these first."""
        return Head(
            np.concatenate([self.weights, other.weights], axis=1),
            np.concatenate([self.bias, other.bias]),
            np.concatenate([self.attention, other.attention], axis=1),
            np.concatenate([self.attention_bias, other.attention_bias]),
        )

    def of(self, labels: list[int]) -> Head:
        """Return a head with some of the labels, in that order."""
        return Head(self.weights[:, labels], self.bias[labels], self.attention[:, labels], self.attention_bias[labels])


class Body:
    """A network without its head, ready to run."""

    def __init__(self, network: bytes) -> None:
        """Open what `split_head` gave."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 4
        self._session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])

    def hidden(self, x: Array, *, at_once: int = 16) -> Iterator[Array]:
        """Yield hidden (rows, steps, width) for some rows of x (n, frames, bands) at a time."""
        for first in range(0, len(x), at_once):
            yield self._session.run([HIDDEN], {"features": np.ascontiguousarray(x[first : first + at_once])})[0]


def split_head(network: bytes) -> tuple[bytes, Head]:
    """Return the body, features -> `hidden`, as ONNX, and the head. Raises `ModelError` for a network of another make."""
    onnx, model = _onnx(), opened(network)
    makers = {output: node for node in model.graph.node for output in node.output}
    numbers = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    try:
        weights, bias, hidden = _dense(makers, numbers, "frame_logits")
        attended = makers[_only(makers["logits"], "ReduceSum").input[0]]
        softmax = next(makers[name] for name in _only(attended, "Mul").input if name != "frame_logits")
        attention, attention_bias, same = _dense(makers, numbers, _only(softmax, "Softmax").input[0])
        if same != hidden:
            raise KeyError("attention")
    except (KeyError, StopIteration, IndexError):
        raise ModelError(
            "its network does not end as those of the recipe default do; train from another model"
        ) from None
    makers[hidden].output[list(makers[hidden].output).index(hidden)] = HIDDEN
    for node in model.graph.node:
        node.input[:] = [HIDDEN if name == hidden else name for name in node.input]
    if hidden == EMBEDDING:  # as the recipe default leaves it: the hidden layer itself
        model.graph.node.append(onnx.helper.make_node("Identity", [HIDDEN], [EMBEDDING]))
    _end_in(model, {HIDDEN: ["batch", "steps", weights.shape[0]], **_embedding(model, weights.shape[0])})
    return model.SerializeToString(deterministic=True), Head(weights, bias, attention, attention_bias)


def attach_head(body: bytes, head: Head) -> bytes:
    """Return a body that `split_head` gave, with this head, as ONNX."""
    onnx = _onnx()
    helper, model = onnx.helper, onnx.load_model_from_string(body)
    tensors = {"weights": head.weights, "bias": head.bias}
    tensors |= {"attention": head.attention, "attention_bias": head.attention_bias, "axis": np.array([1])}
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.asarray(value, np.int64 if name == "axis" else np.float32), f"head_{name}")
        for name, value in tensors.items()
    )
    model.graph.node.extend(
        [
            helper.make_node("MatMul", [HIDDEN, "head_weights"], ["head_product"]),
            helper.make_node("Add", ["head_product", "head_bias"], ["frame_logits"]),
            helper.make_node("MatMul", [HIDDEN, "head_attention"], ["head_asked"]),
            helper.make_node("Add", ["head_asked", "head_attention_bias"], ["attention"]),
            helper.make_node("Softmax", ["attention"], ["head_shares"], axis=1),
            helper.make_node("Mul", ["head_shares", "frame_logits"], ["head_weighed"]),
            helper.make_node("ReduceSum", ["head_weighed", "head_axis"], ["logits"], keepdims=0),
        ]
    )
    labels = len(head.bias)
    over_time = ["batch", "steps", labels]
    outputs = {"logits": ["batch", labels], "frame_logits": over_time, "attention": over_time}
    _end_in(model, outputs | _embedding(model, len(head.weights)))
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def with_input(body: bytes) -> bytes:
    """Return a body (`split_head`) whose hidden values go on with what the hidden layer reads: (batch, steps, hidden + in)."""
    onnx = _onnx()
    model = onnx.load_model_from_string(body)
    graph = model.graph
    given = _input(graph)
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [f"{HIDDEN}_itself" if name == HIDDEN else name for name in names]
    graph.node.append(onnx.helper.make_node("Concat", [f"{HIDDEN}_itself", given], [HIDDEN], axis=2))
    _end_in(model, {HIDDEN: ["batch", "steps", "width"]})
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
    onnx = _onnx()
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
    _end_in(model, {HIDDEN: ["batch", "steps", width], **_embedding(model, width)})
    return attach_head(model.SerializeToString(deterministic=True), head)


def with_direction(body: bytes, head: Head) -> tuple[bytes, Head, int]:
    """Let hidden values end with the direction of the embedding: a head then tells apart, at each step, what embeddings do.

    body, head: of `split_head`. Returns both anew, the head with weights of 0 for what is new, so that it gives what it gave; and
    the embedding's width.
    """
    onnx = _onnx()
    helper, model = onnx.helper, onnx.load_model_from_string(body)
    graph = model.graph
    hidden = len(head.weights)
    embedding = _embedding(model, hidden)
    given, width = (EMBEDDING, embedding[EMBEDDING][-1]) if embedding else (f"{HIDDEN}_itself", hidden)
    if any(_DIRECTION in node.output for node in graph.node):
        return body, head, width
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [f"{HIDDEN}_itself" if name == HIDDEN else name for name in names]
    tensors = {"axis": np.array([-1]), "least": np.array(1e-12, np.float32)}
    graph.initializer.extend(
        onnx.numpy_helper.from_array(value, f"{_DIRECTION}_{name}") for name, value in tensors.items()
    )
    for kind, values, made in (
        ("Mul", [given, given], f"{_DIRECTION}_squares"),
        ("ReduceSum", [f"{_DIRECTION}_squares", f"{_DIRECTION}_axis"], f"{_DIRECTION}_sum"),
        ("Add", [f"{_DIRECTION}_sum", f"{_DIRECTION}_least"], f"{_DIRECTION}_above_0"),
        ("Sqrt", [f"{_DIRECTION}_above_0"], f"{_DIRECTION}_length"),
        ("Div", [given, f"{_DIRECTION}_length"], _DIRECTION),
    ):
        graph.node.append(helper.make_node(kind, values, [made]))
    graph.node.append(helper.make_node("Concat", [f"{HIDDEN}_itself", _DIRECTION], [HIDDEN], axis=2))
    _end_in(model, {HIDDEN: ["batch", "steps", hidden + width], **embedding})
    wide = [np.pad(one, ((0, width), (0, 0))) for one in (head.weights, head.attention)]
    return model.SerializeToString(deterministic=True), Head(wide[0], head.bias, wide[1], head.attention_bias), width


def _embedding(model: Any, hidden: int) -> dict[str, list[Any]]:
    """Return the embedding's shape by its name, or nothing where the network has none. hidden: width of that layer."""
    maker = next((node for node in model.graph.node if EMBEDDING in node.output), None)
    if maker is None:
        return {}
    bias = [tensor.dims[0] for tensor in model.graph.initializer if tensor.name in maker.input]
    return {EMBEDDING: ["batch", "steps", bias[0] if bias else hidden]}


def initializers(network: bytes) -> tuple[list[Any], dict[str, Array]]:
    """Return the nodes of an ONNX network in order, and its constants by name."""
    onnx, graph = _onnx(), opened(network).graph
    return list(graph.node), {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}


def opened(network: bytes) -> Any:
    """Return a network as `onnx.ModelProto`, its weights in single precision where they are kept as 16-bit integers."""
    onnx = _onnx()
    model = onnx.load_model_from_string(network)
    graph, makers = model.graph, {node.output[0]: node for node in model.graph.node}
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for tensor in [tensor for tensor in graph.initializer if tensor.name.endswith(SCALE)]:
        made = makers[tensor.name.removesuffix(SCALE)]
        cast = makers[made.input[0]]
        integers, scale = tensors[cast.input[0]], onnx.numpy_helper.to_array(tensor)
        tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(integers) * scale, made.output[0]))
        graph.initializer.remove(integers)
        graph.node.remove(cast)
        graph.node.remove(made)
    return model


def _onnx() -> Any:
    with needed("Training from a model", "adapt"):
        import onnx
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper
    return onnx


def _only(node: Any, kind: str) -> Any:
    if node.op_type != kind:
        raise KeyError(kind)
    return node


def _dense(makers: dict[str, Any], numbers: dict[str, Array], name: str) -> tuple[Array, Array, str]:
    """Return weights, bias and the input's name of the dense layer that makes `name`, with or without flattening around it."""
    add = _only(makers[name], "Add")
    bias = next(value for value in add.input if value in numbers)
    product = makers[next(value for value in add.input if value not in numbers)]
    if product.op_type == "Reshape":
        product = makers[product.input[0]]
    given, weights = _only(product, "MatMul").input
    if given in makers and makers[given].op_type == "Reshape":
        given = makers[given].input[0]
    return numbers[weights].astype(np.float32), numbers[bias].astype(np.float32), given


def _end_in(model: Any, outputs: dict[str, list[Any]]) -> None:
    """Make these the outputs, and drop what none of them needs."""
    onnx, graph = _onnx(), model.graph
    needed, kept = set(outputs), []
    for node in reversed(graph.node):
        if needed & set(node.output):
            needed |= set(node.input)
            kept.append(node)
    nodes, tensors = kept[::-1], [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.node[:], graph.initializer[:], graph.output[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend(tensors)
    graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in outputs.items()
    )
