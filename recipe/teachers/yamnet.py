"""YAMNet: 521 of AudioSet's classes, every 0.48 s.

MobileNet v1 on patches of log-mel, by Google (tensorflow/models, research/audioset/yamnet; Apache-2.0), published with
8-bit weights for TensorFlow Lite; mAP .306 on AudioSet's evaluation set (before the rounding to 8 bits). The weights come
from a folder that the caller names; they are read to make targets and become no part of a model of ours.

Here the weights are the published ones and the arithmetic between them is float32, so scores are close to those of the
TensorFlow Lite file but not rounded: that one's logits come in steps of 0.35, and it says 0 for all below 0.002. Patches
overlap by half; their common spectra are computed once.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from . import tflite
from .base import Analysis, Array, Scores, Teacher, mean_score
from .graph import Graph
from .spectra import mel_power

_HOP = 160
_N_FFT = 512
_PATCH = 96
_PATCH_HOP = 48
#: Samples of a patch, a shorter recording is filled up with silence to them: 0.975 s.
_LEAST = 15600
_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)


class Yamnet(Teacher):
    """YAMNet.

    Parameters
    ----------
    folder : Path
        Holds `yamnet.tflite` and the names of its classes, `yamnet_class_map.csv`.
    """

    NAME: ClassVar[str] = "yamnet"
    SAMPLE_RATE: ClassVar[int] = 16000

    def __init__(self, folder: Path) -> None:
        """Read the weights. Raises `FileNotFoundError` or `ValueError` when the folder does not hold YAMNet."""
        with (Path(folder) / "yamnet_class_map.csv").open(newline="", encoding="utf-8") as table:
            self.classes = tuple(row["display_name"] for row in csv.DictReader(table))
        window, mel, *network = tflite.layers(Path(folder) / "yamnet.tflite")
        self._window = window.weights
        self._filters, self._floor = np.ascontiguousarray(mel.weights.T), mel.bias
        self._network = _network(network)

    def log_mel(self, samples: Array) -> Array:
        """Return the log-mel magnitudes (frames, 64), a frame every 10 ms, for samples (n,) at 16 kHz."""
        mel = mel_power(samples, self._window, _HOP, _N_FFT, self._filters, magnitude=True)
        return np.asarray(np.log(mel + self._floor), dtype=np.float32)

    def patch_logits(self, patches: Array) -> Array:
        """Return the logits (patches, 521) of patches (patches, 96, 64) of log-mel."""
        return np.asarray(self._network.run(None, {"patches": patches[:, None]})[0])

    def embed(self, samples: Array) -> Array:
        """Return the embedding (patches, 1024) of samples (n,) at 16 kHz: what its last layer reads."""
        patches, _ = self._patches(samples)
        return np.asarray(self._network.run(None, {"patches": patches[:, None]})[1])

    def analyse(self, samples: Array) -> Analysis:
        """Return the logits for mono samples (n,) at 16 kHz; see `Teacher.analyse`. The score of the whole is the mean."""
        patches, starts = self._patches(samples)
        logits = self.patch_logits(patches)
        times = (starts * _HOP + _LEAST / 2) / self.SAMPLE_RATE
        return Analysis(Scores(logits, times), mean_score(logits))

    def _patches(self, samples: Array) -> tuple[Array, NDArray[np.int64]]:
        """Return patches (n, 96, 64) of log-mel, and at which frame each begins."""
        samples = np.asarray(samples, dtype=np.float32)
        if samples.ndim != 1 or samples.size == 0:
            raise ValueError(f"a teacher takes mono samples of shape (n,), not {samples.shape}")
        log_mel = self.log_mel(np.pad(samples, (0, max(0, _LEAST - samples.size))))
        starts = np.arange(0, len(log_mel) - _PATCH + 1, _PATCH_HOP)
        return np.stack([log_mel[start : start + _PATCH] for start in starts]), starts


def _network(layers: list[tflite.Layer]) -> Any:
    """Return a session from `patches` (patches, 1, 96, 64) to logits (patches, 521) and embedding (patches, 1024)."""
    graph = Graph({"patches": ("patches", 1, _PATCH, 64)})

    def conv(x: str, layer: tflite.Layer, stride: int) -> str:
        depthwise = layer.kind == "depthwise"
        kernel = layer.weights.transpose((3, 0, 1, 2) if depthwise else (0, 3, 1, 2))
        size = kernel.shape[2]
        # TensorFlow's "same" for even sizes: with stride 2 the padding is all below and to the right.
        before = (size - stride) // 2 if size > stride else 0
        after = max(size - stride, 0) - before
        pads = [before, before, after, after]
        groups = kernel.shape[0] if depthwise else 1
        x = graph.conv(x, kernel, layer.bias, strides=[stride] * 2, pads=pads, group=groups)
        return graph.node("Clip", x, graph.constant(np.float32(0)), graph.constant(np.float32(6)))

    first, *separable, last = layers
    if len(separable) != 2 * len(_STRIDES) or last.kind != "linear":
        raise ValueError("the file does not hold YAMNet: its layers are others")
    x = conv("patches", first, 2)
    for depthwise, pointwise, stride in zip(separable[::2], separable[1::2], _STRIDES, strict=True):
        x = conv(conv(x, depthwise, stride), pointwise, 1)
    embedding = graph.node("Flatten", graph.node("GlobalAveragePool", x))
    return graph.session(graph.linear(embedding, last.weights, last.bias), embedding)
