"""The network of a model folder: what passes the look at it is opened and made to hear."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import mutate
import numpy as np

from whoplays.errors import ModelError
from whoplays.features import FeatureSettings
from whoplays.model import folder as model_folder
from whoplays.model import onnxfile
from whoplays.model.config import ModelConfig
from whoplays.taxonomy.catalogue import catalogue

from . import Door, told_in_one_line

FAMILIES = catalogue().labels_for(catalogue().defaults)


def _look(data: bytes, scratch: Path) -> None:
    try:
        assert onnxfile.inspect(data).nodes >= 0
    except ModelError as error:
        told_in_one_line(error)


def _open(data: bytes, scratch: Path) -> None:
    import hashlib

    (scratch / model_folder.NETWORK).write_bytes(data)
    values = json.loads(_config()) | {"sha256": {model_folder.NETWORK: hashlib.sha256(data).hexdigest()}}
    (scratch / model_folder.CONFIG).write_text(json.dumps(values))
    try:
        network = model_folder.Network(model_folder.read(scratch))
        whole = network.probabilities(np.zeros((2, 60, 5), dtype=np.float32))
        assert whole.shape == (2, 5) and (whole >= 0).all() and (whole <= 1).all()
    except ModelError as error:
        told_in_one_line(error)


@lru_cache(maxsize=1)
def _config() -> str:
    features = FeatureSettings(n_mels=5, fmin=100, fmax=10000)
    return json.dumps(ModelConfig(name="m", version="1", labels=FAMILIES, features=features).to_dict())


def _seeds() -> list[bytes]:
    """Return networks with what real ones have: convolution, pooling, recurrence, a branch, quantised weights, constants."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)

    def weights(name: str, *shape: int):
        return numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name)

    branch = [
        helper.make_graph(
            [helper.make_node(kind, ["mean"], [f"{kind}_out"])],
            kind,
            [],
            [helper.make_tensor_value_info(f"{kind}_out", TensorProto.FLOAT, None)],
        )
        for kind in ("Relu", "Neg")
    ]
    nodes = {
        "convolution": [
            helper.make_node("Transpose", ["features"], ["c"], perm=[0, 2, 1]),
            helper.make_node("Conv", ["c", "w", "b"], ["d"], pads=[1, 1]),
            helper.make_node("Relu", ["d"], ["e"]),
            helper.make_node("AveragePool", ["e"], ["p"], kernel_shape=[20], strides=[20], ceil_mode=1),
            helper.make_node("Transpose", ["p"], ["frame_logits"], perm=[0, 2, 1]),
            helper.make_node("ReduceMean", ["e"], ["logits"], axes=[2], keepdims=0),
        ],
        "recurrence": [
            helper.make_node("Transpose", ["features"], ["t"], perm=[1, 0, 2]),
            helper.make_node("GRU", ["t", "gw", "gr"], ["y", "h"], hidden_size=5),
            helper.make_node("Squeeze", ["h", "zero"], ["logits"]),
        ],
        "branch": [
            helper.make_node("ReduceMean", ["features"], ["mean"], axes=[1], keepdims=0),
            helper.make_node("Constant", [], ["yes"], value=helper.make_tensor("yes", TensorProto.BOOL, [], [True])),
            helper.make_node("If", ["yes"], ["logits"], then_branch=branch[0], else_branch=branch[1]),
        ],
        "quantised": [
            helper.make_node("DequantizeLinear", ["q", "scale"], ["m"]),
            helper.make_node("ReduceMean", ["features"], ["mean"], axes=[1], keepdims=0),
            helper.make_node("MatMul", ["mean", "m"], ["logits"]),
        ],
    }
    held = {
        "convolution": [weights("w", 5, 5, 3), weights("b", 5)],
        "recurrence": [
            weights("gw", 1, 15, 5),
            weights("gr", 1, 15, 5),
            numpy_helper.from_array(np.array([0]), "zero"),
        ],
        "branch": [],
        "quantised": [
            numpy_helper.from_array(rng.integers(-9, 9, (5, 5)).astype(np.int8), "q"),
            numpy_helper.from_array(np.float32(0.1), "scale"),
        ],
    }
    found = []
    for name in nodes:
        outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 5])]
        if name == "convolution":
            outputs.append(helper.make_tensor_value_info("frame_logits", TensorProto.FLOAT, ["n", "steps", 5]))
        reads = [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", "frames", 5])]
        graph = helper.make_graph(nodes[name], name, reads, outputs, held[name])
        found.append(
            helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
        )
    return found


DOORS = [
    Door(
        "network-look", _seeds, _look, mutate.octets, (b"Loop", b"\x6a\x00", b"\x70\x01", b"com.microsoft"), quick=200
    ),
    Door("network", _seeds, _open, mutate.message, quick=60, timeout=20.0, memory=5 << 30),
]
