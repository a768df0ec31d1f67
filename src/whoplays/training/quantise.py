"""A model folder -> another with the same network in 8-bit integers (INT8): a quarter of the size, nearly the same scores.

Weights get a scale for each channel, what flows between layers one for each tensor, from the ranges seen on some
recordings. Weights use 7 bits of the 8: processors without VNNI add two products in 16 bits, which could overflow. The
first convolution, which reads features of a wide range, sums, and the last layers from the hidden values on, where a score
is made from the outputs, stay as they are: they are small, and most of what would be lost is lost there.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import features
from ..audio import reading
from ..audio.search import search
from ..errors import AudioError, DatasetError, ModelError, UsageError
from ..examples import synth
from ..model import folder as model_folder
from ..model import onnxfile
from ..model.config import ModelConfig
from ..model.folder import EMBEDDING
from ..runtime.packages import needed
from .export import quiet
from .heads import opened

Array = NDArray[np.float32]

WINDOWS = 64  # that ranges are taken from
SUFFIX = "-int8"


def quantise(model: Path | str | None, out: Path | str, recordings: Path | str | None = None) -> dict[str, Any]:
    """Write `model` (None: the one inside the package) in 8-bit integers to the folder `out`, and return its facts.

    recordings: a folder of recordings like those it is for; without one, sounds made from formulas are taken. The
    result is run beside the original before it is written. Raises `ModelError`, `UsageError`.
    """
    found, out = model_folder.read(model), Path(out)
    if (out / model_folder.CONFIG).exists():
        raise UsageError(f"{out}: holds a finished model; name another folder")
    operators = onnxfile.inspect(found.content(model_folder.NETWORK)).operators
    if operators["DequantizeLinear"]:
        raise ModelError("the model is in 8-bit integers (INT8) already")
    if not operators["Conv"]:
        raise ModelError("the network has no convolutions; 8-bit integers would not make it smaller")
    sounds = _recorded(Path(recordings), found.config) if recordings is not None else _made(found.config)
    windows = [features.compute(x, found.config.features)[None] for x in islice(sounds, WINDOWS)]
    if not windows:
        raise DatasetError(f"{recordings}: has no recording that can be read")
    return quantise_on(found, out, windows)


def quantise_on(found: model_folder.Bundle, out: Path, windows: Sequence[Array]) -> dict[str, Any]:
    """Do as `quantise` does, with ranges from windows of features (rows, frames, width)."""
    model_folder.Network(found)  # looks through the file, and refuses what is no model
    content = _in_whole_numbers(found.content(model_folder.NETWORK), windows)
    config = replace(
        found.config,
        name=found.config.name.removesuffix(SUFFIX) + SUFFIX,
        training={"recipe": "quantised", "from": found.config.id, "base": dict(found.config.training)},
    )
    original = (found.folder / model_folder.CARD).read_text(encoding="utf-8", errors="replace")
    card = (
        f"# {config.id}\n\n{found.config.id} in 8-bit integers (`whoplays export --int8`). Of that model:\n\n{original}"
    )
    model_folder.write(out, config, content, card)
    plain, whole = model_folder.Network(found), model_folder.Network(model_folder.read(out))
    gap = max(float(np.abs(plain.scores(x) - whole.scores(x)).max()) for x in windows)
    sizes = (found.network.stat().st_size, len(content))
    return {"folder": str(out), "model": config.id, "bytes": sizes[1], "bytes_before": sizes[0], "difference": gap}


def _recorded(folder: Path, config: ModelConfig) -> Iterator[Array]:
    if not folder.is_dir():
        raise UsageError(f"{folder}: is not a folder; name one with recordings")
    for path in search(folder).recordings:
        try:
            samples = reading.load(path, sample_rate=config.features.sample_rate, duration=config.window_s)
        except AudioError:
            continue
        if len(samples):
            yield np.resize(samples, round(config.window_s * config.features.sample_rate))


def _made(config: ModelConfig) -> Iterator[Array]:
    """Yield each family alone and in pairs, made from formulas, at levels from loud to soft; then hiss and silence."""
    rate, length = config.features.sample_rate, config.window_s
    casts = [[a] for a in synth.PLAYERS] + [[a, b] for a in synth.PLAYERS for b in synth.PLAYERS if a < b]
    for seed in range(2):
        for i, cast in enumerate(casts):
            made = synth.recording(cast, duration_s=length / 2, seed=[seed, i], sample_rate=rate)
            yield (np.resize(made, round(length * rate)) * np.float32(10 ** -(i % 4 / 2))).astype(np.float32)
    yield np.random.default_rng(0).normal(0, 0.1, round(length * rate)).astype(np.float32)
    yield np.zeros(round(length * rate), dtype=np.float32)


def _in_whole_numbers(network: bytes, windows: Sequence[Array]) -> bytes:
    with needed("Export to 8-bit integers", "adapt"):
        model = opened(network)
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # ONNX Runtime has no types
        """Hands out the windows."""

        left = iter([{"features": window} for window in windows])

        def get_next(self) -> dict[str, Array] | None:
            """Return the next one, or None."""
            return next(self.left, None)

    with tempfile.TemporaryDirectory() as folder, quiet():
        target = Path(folder) / model_folder.NETWORK
        first = next(node for node in model.graph.node if node.op_type == "Conv")
        quantize_static(
            model,
            target,
            Reader(),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            op_types_to_quantize=["Conv", "Relu", "MatMul"],
            nodes_to_exclude=[first.name, *_last_layers(model)],
        )
        return target.read_bytes()


def _last_layers(model: Any) -> list[str]:
    """Return the nodes from the values of the last hidden layer on: all after the third last product of matrices.

    Products of an embedding beside the labels do not count.
    """
    nodes = list(model.graph.node)
    counted = [
        not output.startswith(f"{EMBEDDING}_") and output != EMBEDDING for output in (n.output[0] for n in nodes)
    ]
    products = [i for i, node in enumerate(nodes) if node.op_type in ("MatMul", "Gemm") and counted[i]]
    first = products[-3] + 1 if len(products) > 2 else len(nodes)
    return [node.name for node in nodes[first:]]
