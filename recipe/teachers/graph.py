"""A small builder for ONNX graphs: networks are put together from their weights when they are loaded.

So a teacher runs in ONNX Runtime, on one thread, without the framework in which it was trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import ArrayLike, NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[np.float32]

_OPSET = 17
_IR_VERSION = 9


class Graph:
    """Collects nodes and constants; a value is known by its name.

    Parameters
    ----------
    inputs : mapping of str to sequence of int or str
        Name and shape of each input. A text stands for a size that may change from run to run.
    """

    def __init__(self, inputs: Mapping[str, Sequence[int | str]]) -> None:
        """Start a graph that has its inputs and no nodes."""
        self._inputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, list(s)) for n, s in inputs.items()]
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def constant(self, value: ArrayLike) -> str:
        """Store an array and return its name; floating-point numbers become float32."""
        values = np.asarray(value)
        if values.dtype.kind == "f":
            values = values.astype(np.float32)
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(values, order="C"), name))
        return name

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node of one output and return the output's name."""
        name = f"{operator}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def conv(self, x: str, weight: Array, bias: Array | None = None, **attributes: Any) -> str:
        """Add a convolution: `weight` is (out, in / groups, *kernel), `bias` is (out,)."""
        constants = [self.constant(value) for value in (weight, bias) if value is not None]
        return self.node("Conv", x, *constants, kernel_shape=weight.shape[2:], **attributes)

    def linear(self, x: str, weight: Array, bias: Array) -> str:
        """Add x @ weight.T + bias: x (rows, in), `weight` (out, in), `bias` (out,)."""
        return self.node("Gemm", x, self.constant(weight), self.constant(bias), transB=1)

    def session(self, *outputs: str) -> onnxruntime.InferenceSession:
        """Return a session that gives `outputs`, in this order, on one thread of the processor."""
        made = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        graph = helper.make_graph(self._nodes, "teacher", self._inputs, made, self._constants)
        opsets = [helper.make_opsetid("", _OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(
            model.SerializeToString(), sess_options=options, providers=["CPUExecutionProvider"]
        )
