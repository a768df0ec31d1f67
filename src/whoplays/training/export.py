"""A trained Keras network -> ONNX, checked against Keras; and a model folder -> one ONNX file for other programs.

The network in a model folder ends in logits; the activation, with the calibration, is applied by whoever uses it.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError, UsageError
from ..model.config import ModelConfig
from ..model.folder import EMBEDDING, NETWORK, Network
from ..model.folder import read as read_model
from ..runtime.packages import needed
from ..storage.files import write_atomically
from .framework import load_keras

OPSET = 17
TOLERANCE = 1e-5  # of the largest logit, or of 1 where all are smaller
BATCH_SIZES = (1, 5)

Outputs = Mapping[str, NDArray[np.float32]]


def to_onnx(model: Any, *, frames: int | None, width: int, outputs: Sequence[str] = ("logits",)) -> bytes:
    """Return a Keras network as ONNX: `features` (batch, frames, width) -> the outputs of the layers that `outputs` names.

    frames None: any number of frames. The result was run beside Keras at batch sizes 1 and 5. Raises `ModelError` when the
    two differ by more than 1e-5 of the largest logit.
    """
    keras = load_keras()
    with needed("Export to ONNX", "train"):
        import tensorflow as tf
        import tf2onnx
    part = keras.Model(model.input, {name: model.get_layer(name).output for name in outputs}, name=model.name)
    signature = [tf.TensorSpec((None, frames, width), tf.float32, name="features")]
    function = tf.function(lambda features: part(features, training=False), input_signature=signature)
    with quiet():
        model, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=OPSET)
    _rename(model.graph)
    for value in [*model.graph.input, *model.graph.output]:
        for i, axis in enumerate(value.type.tensor_type.shape.dim):
            if not axis.dim_value:
                axis.dim_param = "batch" if i == 0 else f"{value.name}_{i}"
    model.producer_name, model.producer_version = "whoplays", ""
    model.graph.name, model.graph.doc_string = part.name, ""
    content = bytes(model.SerializeToString(deterministic=True))

    def reference(x: NDArray[np.float32]) -> Outputs:
        return {name: keras.ops.convert_to_numpy(value) for name, value in part(x, training=False).items()}

    check(content, reference, frames=frames, width=width)
    return content


def _rename(graph: Any) -> None:
    """Number what is inside in the order of use: names given on the way depend on what was converted before.

    Equal weights then give equal bytes, so a run that was interrupted can be held against one that was not.
    """
    names = {value.name: value.name for value in [*graph.input, *graph.output]}
    for number, node in enumerate(graph.node):
        for field in (node.input, node.output):
            for i, name in enumerate(field):
                if name:  # an empty one stands for an input that is left out
                    field[i] = names.setdefault(name, f"t{len(names)}")
        node.name = f"n{number}"
    used = sorted((i for i in graph.initializer if i.name in names), key=lambda i: int(names[i.name].removeprefix("t")))
    for initializer in used:
        initializer.name = names[initializer.name]
    kept = [type(i).FromString(i.SerializeToString()) for i in used]
    del graph.initializer[:], graph.value_info[:]
    graph.initializer.extend(kept)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back the converter's own talk; what fails still raises."""
    if os.environ.get("WHOPLAYS_DEBUG"):
        yield
        return
    before = logging.root.manager.disable
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(before)


def check(
    content: bytes, reference: Callable[[NDArray[np.float32]], Outputs], *, frames: int | None, width: int
) -> float:
    """Run ONNX bytes beside `reference` on made-up features; return the largest difference, relative to the logits.

    Raises `ModelError` when it is over 1e-5, when names or shapes differ, or when something is not finite.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    worst = 0.0
    for batch, length in zip(BATCH_SIZES, (frames or 250, frames or 501), strict=True):
        x = (rng.normal(size=(batch, length, width)) * 5 - 5).astype(np.float32)
        expected = reference(x)
        found = dict(zip([o.name for o in session.get_outputs()], session.run(None, {"features": x}), strict=True))
        if set(found) != set(expected):
            raise ModelError(f"the exported network gives {sorted(found)}; {sorted(expected)} were expected")
        for name, value in expected.items():
            shape = found[name].shape
            if shape != value.shape:
                raise ModelError(f"the exported network's {name} has shape {shape}; {value.shape} was expected")
            gap = np.max(np.abs(found[name] - value)) / max(1.0, float(np.max(np.abs(value))))
            worst = max(worst, float(gap) if np.isfinite(gap) else float("inf"))
    if not worst <= TOLERANCE:
        raise ModelError(
            f"the exported network differs from the trained one by {worst:.1e} of its logits, over {TOLERANCE:.0e}"
        )
    return worst


def export(model_folder: Path | str | None, out: Path | str) -> dict[str, Any]:
    """Write a model folder as one self-describing ONNX file, and return its facts.

    The file reads `features` and gives `probabilities` (batch, labels) beside what the network itself gives;
    calibration and activation are inside. Its metadata hold the configuration (labels, feature settings, thresholds)
    as JSON under `whoplays`. It was run beside the model folder before it was written. Raises `ModelError`.
    """
    with needed("Export", "adapt"):
        import onnx
    found = read_model(model_folder)
    out = Path(out)
    if out.is_dir():
        raise UsageError(f"{out}: is a folder; name a file to write, such as {out / 'model.onnx'}")
    if out.suffix.lower() != ".onnx":
        raise UsageError(f"{out}: the file is named *.onnx")
    network = Network(found)
    model = onnx.load_model_from_string(found.content(NETWORK))
    _append_probabilities(model, found.config)
    entry = model.metadata_props.add()
    entry.key, entry.value = "whoplays", json.dumps(found.config.to_dict(), ensure_ascii=False)
    onnx.checker.check_model(model)
    content = model.SerializeToString()

    def reference(x: NDArray[np.float32]) -> Outputs:
        found = network.run(x, embed=bool(network.embedding_width))
        over_time = ("frame_logits", "attention") if network.over_time else ()
        given = [name for name in ("logits", *over_time, EMBEDDING) if name in found]
        return {"probabilities": network.probabilities(x)} | {name: found[name] for name in given}

    settings = found.config.features
    fixed = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value  # 0: any number
    frames = int(fixed) or settings.n_time_bins
    worst = check(content, reference, frames=frames, width=settings.n_features)
    write_atomically(out, content)
    return {"file": str(out), "bytes": len(content), "model": found.config.id, "difference": worst, "frames": frames}


def _append_probabilities(model: Any, config: ModelConfig) -> None:
    from onnx import TensorProto, helper, numpy_helper

    assert config.calibration is not None
    scale, bias = (np.array(values, dtype=np.float32) for values in (config.calibration.scale, config.calibration.bias))
    graph = model.graph
    whose = np.arange(len(config.labels))  # the outputs after them are no labels
    # A family has no less than its instruments: each label's own place, then those of what is below it.
    below = [[i, *(j for j in whose if config.labels[j].parent == config.labels[i].id)] for i in whose]
    most = max(map(len, below))
    groups = np.array([places + places[:1] * (most - len(places)) for places in below])
    values: dict[str, NDArray[Any]] = {"whoplays_scale": scale, "whoplays_bias": bias, "whoplays_labels": whose}
    values["whoplays_groups"] = groups
    last: list[str] = []
    axes = {"axes": [2]}
    if (
        next(one.version for one in model.opset_import if one.domain in ("", "ai.onnx")) >= 18
    ):  # axes are an input there
        values["whoplays_last"], last, axes = np.array([2]), ["whoplays_last"], {}
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in values.items())
    along: dict[str, Any] = {"axis": -1} if config.activation == "softmax" else {}
    for kind, given, made, name, options in (
        ("Gather", ["logits", "whoplays_labels"], "whoplays_logits", "gather", {"axis": 1}),
        ("Mul", ["whoplays_logits", "whoplays_scale"], "whoplays_scaled", "mul", {}),
        ("Add", ["whoplays_scaled", "whoplays_bias"], "whoplays_shifted", "add", {}),
        (config.activation.capitalize(), ["whoplays_shifted"], "whoplays_scores", "activation", along),
        ("Gather", ["whoplays_scores", "whoplays_groups"], "whoplays_grouped", "group", {"axis": 1}),
        ("ReduceMax", ["whoplays_grouped", *last], "probabilities", "raise", {"keepdims": 0, **axes}),
    ):
        graph.node.append(helper.make_node(kind, given, [made], name=f"whoplays_{name}", **options))
    shape: list[str | int | None] = ["batch", len(config.labels)]
    graph.output.append(helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, shape))
