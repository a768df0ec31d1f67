"""The last layers of a network that the recipe `default` trained: taken off, looked at, put on again with other labels.

Such a network makes `hidden` (batch, steps, width) of a recording, and of that, for each label,

    frame_logits = hidden @ weights + bias                       over time
    logits = sum over steps of softmax(hidden @ attention + attention_bias) * frame_logits

so that, given how much each step counts, everything up to the logits is linear in what can be learnt anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..model.folder import EMBEDDING
from ..runtime.packages import needed

Array = NDArray[np.float32]
HIDDEN = "hidden"
ROWS_AT_ONCE = 16
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
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Head(*(np.concatenate(pair, axis=-1) for pair in pairs))

    def of(self, labels: list[int]) -> Head:
        """Return a head with some of the labels, in that order."""
        return Head(*(values[..., labels] for values in vars(self).values()))


class Body:
    """A network without its head, ready to run."""

    def __init__(self, network: bytes) -> None:
        """Open what `split_head` gave."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 4
        self._session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])

    def hidden(self, x: Array) -> Iterator[Array]:
        """Yield hidden (rows, steps, width) for some rows of x (n, frames, bands) at a time."""
        for first in range(0, len(x), ROWS_AT_ONCE):
            yield self._session.run([HIDDEN], {"features": np.ascontiguousarray(x[first : first + ROWS_AT_ONCE])})[0]


def split_head(network: bytes) -> tuple[bytes, Head]:
    """Return the body, features -> `hidden`, as ONNX, and the head. Raises `ModelError` for a network of another make."""
    onnx, model = load_onnx(), opened(network)
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
    end_in(model, {HIDDEN: ["batch", "steps", weights.shape[0]], **embedding_shape(model, weights.shape[0])})
    return model.SerializeToString(deterministic=True), Head(weights, bias, attention, attention_bias)


def attach_head(body: bytes, head: Head) -> bytes:
    """Return a body that `split_head` gave, with this head, as ONNX."""
    onnx = load_onnx()
    helper, model = onnx.helper, onnx.load_model_from_string(body)
    tensors = {name: np.asarray(values, np.float32) for name, values in vars(head).items()} | {"axis": np.array([1])}
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(value, f"head_{name}") for name, value in tensors.items()
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
    end_in(model, outputs | embedding_shape(model, len(head.weights)))
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def with_direction(body: bytes, head: Head) -> tuple[bytes, Head, int]:
    """Let hidden values end with the direction of the embedding: a head then separates, at each step, what embeddings separate.

    body, head: of `split_head`. Returns both anew, the head with weights of 0 for what is new, so that it gives what it gave; and
    the embedding's width.
    """
    onnx = load_onnx()
    helper, model = onnx.helper, onnx.load_model_from_string(body)
    graph = model.graph
    hidden = len(head.weights)
    embedding = embedding_shape(model, hidden)
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
    end_in(model, {HIDDEN: ["batch", "steps", hidden + width], **embedding})
    wide = [np.pad(one, ((0, width), (0, 0))) for one in (head.weights, head.attention)]
    return model.SerializeToString(deterministic=True), Head(wide[0], head.bias, wide[1], head.attention_bias), width


def embedding_shape(model: Any, hidden: int) -> dict[str, list[Any]]:
    """Return the embedding's shape by its name, or nothing where the network has none. hidden: width of that layer."""
    maker = next((node for node in model.graph.node if EMBEDDING in node.output), None)
    if maker is None:
        return {}
    bias = [tensor.dims[0] for tensor in model.graph.initializer if tensor.name in maker.input]
    return {EMBEDDING: ["batch", "steps", bias[0] if bias else hidden]}


def opened(network: bytes) -> Any:
    """Return a network as `onnx.ModelProto`, its weights in single precision where they are kept as 16-bit integers."""
    onnx = load_onnx()
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


def load_onnx() -> Any:
    """Return `onnx`. Raises `MissingExtraError`."""
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


def end_in(model: Any, outputs: dict[str, list[Any]]) -> None:
    """Make these the outputs, and drop what none of them needs."""
    onnx, graph = load_onnx(), model.graph
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
