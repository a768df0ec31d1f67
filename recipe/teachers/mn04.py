"""EfficientAT's mn04_as: AudioSet's 527 classes, and an embedding over time that is good to learn from.

Schmid, Koutini, Widmer, "Efficient Large-Scale Audio Tagging via Transformer-to-CNN Knowledge Distillation" (ICASSP
2023): MobileNetV3-Large of width 0.4, distilled from transformers; mAP .432 on AudioSet's evaluation set. Its published
weights (MIT) come from a folder that the caller names; they are read to make targets and become no part of a model of
ours.
"""

from __future__ import annotations

import csv
import itertools
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .base import Analysis, Array, Scores, Teacher, filled
from .graph import Graph
from .spectra import kaldi_filters, mel_power

#: Seconds from one step of the embedding to the next: 32 mel frames.
STEP_S = 0.32

_PIECE_S = 10
_HOP = 320
_N_FFT = 1024
_WINDOW = 800
_BANDS = 128
_STRIDES = (1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1)
_LAST_RELU_BLOCK = 6
_EPSILON = 1e-3

Weights = dict[str, Array]


class Mn04(Teacher):
    """mn04_as.

    Parameters
    ----------
    folder : Path
        Holds one .safetensors file, the tensors of the published checkpoint by their names.
    class_list : Path
        AudioSet's `class_labels_indices.csv`, for the names of the classes.
    span_steps : int
        Odd number of steps of `STEP_S` that a logit over time covers: 9 are about 3 s.
    """

    NAME: ClassVar[str] = "mn04"
    SAMPLE_RATE: ClassVar[int] = 32000

    def __init__(self, folder: Path, class_list: Path, *, span_steps: int = 9) -> None:
        """Read the weights. Raises `FileNotFoundError` or `ValueError` when the folder or the list does not fit."""
        if span_steps < 1 or span_steps % 2 == 0:
            raise ValueError(f"span_steps is {span_steps}; an odd number has a step in its middle")
        files = sorted(Path(folder).glob("*.safetensors"))
        if len(files) != 1:
            raise FileNotFoundError(f"{folder} holds {len(files)} .safetensors files; mn04's folder holds one")
        from safetensors.numpy import load_file  # only those who train the packaged model need it

        weights: Weights = load_file(files[0])
        with Path(class_list).open(newline="", encoding="utf-8") as table:
            self.classes = tuple(row["display_name"] for row in csv.DictReader(table))
        self.span_steps = span_steps
        self._hidden = weights["classifier.2.weight"].T, weights["classifier.2.bias"]
        self._last = weights["classifier.5.weight"].T, weights["classifier.5.bias"]
        if len(self.classes) != self._last[1].size:
            raise ValueError(f"{class_list} names {len(self.classes)} classes; the network has {self._last[1].size}")
        self._network = _network(weights)
        self._filters = kaldi_filters(_BANDS, _N_FFT, self.SAMPLE_RATE, 15000.0)
        self._window = np.hanning(_WINDOW).astype(np.float32)

    def log_mel(self, samples: Array) -> Array:
        """Return the network's input (bands, frames), a frame every 10 ms, for samples (n,) at 32 kHz."""
        emphasised = samples[1:] - np.float32(0.97) * samples[:-1]
        # The window is narrower than the transform: its zeros left and right change phases alone.
        padded = np.pad(emphasised, _N_FFT // 2, mode="reflect")
        outside = (_N_FFT - _WINDOW) // 2
        mel = mel_power(padded[outside : padded.size - outside], self._window, _HOP, _N_FFT, self._filters)
        return np.ascontiguousarray((np.log(mel + np.float32(1e-5)) + np.float32(4.5)).T / np.float32(5))

    def embed_log_mel(self, log_mel: Array) -> Array:
        """Return the embedding over time (batch, steps, 384) for inputs (batch, bands, frames) of the network."""
        found: Array = self._network.run(None, {"log_mel": log_mel[:, None]})[0]
        return np.ascontiguousarray(found.transpose(0, 2, 1))

    def embed(self, samples: Array) -> Array:
        """Return the embedding over time (steps, 384) of a piece of at most 10 s, samples (n,) at 32 kHz.

        Step i is centred on `STEP_S` * i seconds; the mean over the steps is the embedding of the piece. A shorter piece
        should first be repeated to 10 s, the length that the network was trained on.
        """
        return np.asarray(self.embed_log_mel(self.log_mel(np.asarray(samples, np.float32))[None])[0])

    def classify(self, embedding: Array) -> Array:
        """Return the logits (..., 527) of AudioSet's classes for embeddings (..., 384)."""
        hidden = embedding @ self._hidden[0] + self._hidden[1]
        hidden *= np.clip(hidden / np.float32(6) + np.float32(0.5), 0, 1)
        return np.asarray(hidden @ self._last[0] + self._last[1], dtype=np.float32)

    def analyse(self, samples: Array) -> Analysis:
        """Return the logits for mono samples (n,) at 32 kHz; see `Teacher.analyse`.

        A recording is cut into pieces of 10 s, the last one ending with it; a shorter one is repeated. The logits of
        the whole are the greatest over the pieces, each classified by its mean embedding.
        """
        piece = _PIECE_S * self.SAMPLE_RATE
        whole = filled(samples, piece)
        starts = list(range(0, whole.size - piece + 1, piece))
        if starts[-1] + piece < whole.size:
            starts.append(whole.size - piece)
        steps = [self.embed(whole[start : start + piece]) for start in starts]
        clip = self.classify(np.stack([each.mean(axis=0) for each in steps])).max(axis=0)
        embedding, times = self._joined(steps, starts)
        inside = times < len(samples) / self.SAMPLE_RATE
        return Analysis(Scores(self.classify(around(embedding[inside], self.span_steps)), times[inside]), clip)

    def _joined(self, steps: list[Array], starts: list[int]) -> tuple[Array, NDArray[np.float64]]:
        """Return the embeddings of all pieces in a row (steps, 384), without what two pieces share, and their times."""
        times = [
            start / self.SAMPLE_RATE + STEP_S * np.arange(len(each)) for start, each in zip(starts, steps, strict=True)
        ]
        new = [np.ones(len(times[0]), dtype=bool)]
        new += [after > before[-1] + STEP_S / 8 for before, after in itertools.pairwise(times)]
        embedding = np.concatenate([each[kept] for each, kept in zip(steps, new, strict=True)])
        return embedding, np.concatenate([each[kept] for each, kept in zip(times, new, strict=True)])


def around(embedding: Array, span: int) -> Array:
    """Return, for each of the steps (steps, width), the mean over the `span` steps round it; the ends are held."""
    padded = np.pad(embedding, ((span // 2 + 1, span // 2), (0, 0)), mode="edge").astype(np.float64)
    summed = np.cumsum(padded, axis=0)
    return ((summed[span:] - summed[:-span]) / span).astype(np.float32)


def _folded(weights: Weights) -> Weights:
    """Return the convolutions with every batch norm multiplied into the one before it."""
    folded = dict(weights)
    for name in [n for n in weights if n.endswith("running_var")]:
        norm = name.removesuffix(".running_var")
        stem, index = norm.rsplit(".", 1)
        conv = f"{stem}.{int(index) - 1}"
        scale = weights[f"{norm}.weight"] / np.sqrt(weights[f"{norm}.running_var"] + _EPSILON)
        folded[f"{conv}.weight"] = weights[f"{conv}.weight"] * scale[:, None, None, None]
        folded[f"{conv}.bias"] = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
    return folded


def _network(weights: Weights) -> Any:
    """Return a session from `log_mel` (batch, 1, bands, frames) to the embedding over time (batch, 384, steps)."""
    weights = _folded(weights)
    graph = Graph({"log_mel": ("batch", 1, _BANDS, "frames")})

    def conv(x: str, name: str, *, stride: int = 1, grouped: bool = False) -> str:
        kernel = weights[f"{name}.weight"]
        half = kernel.shape[-1] // 2
        groups = kernel.shape[0] if grouped else 1
        return graph.conv(x, kernel, weights[f"{name}.bias"], strides=[stride] * 2, pads=[half] * 4, group=groups)

    def hard_swish(x: str) -> str:
        return graph.node("HardSwish", x)

    def relu(x: str) -> str:
        return graph.node("Relu", x)

    def squeeze(x: str, name: str) -> str:
        gate = graph.node("GlobalAveragePool", x)
        for layer, operator in (("fc1", "Relu"), ("fc2", "Sigmoid")):
            kernel = weights[f"{name}.{layer}.weight"][:, :, None, None]
            gate = graph.node(operator, graph.conv(gate, kernel, weights[f"{name}.{layer}.bias"]))
        return graph.node("Mul", x, gate)

    x = hard_swish(conv("log_mel", "features.0.0", stride=2))
    channels = weights["features.0.0.weight"].shape[0]
    for block, stride in enumerate(_STRIDES, start=1):
        activation = relu if block <= _LAST_RELU_BLOCK else hard_swish
        before, channels_before, prefix, layer = x, channels, f"features.{block}.block", 0
        if block > 1:
            x = activation(conv(x, f"{prefix}.0.0"))
            layer = 1
        x = activation(conv(x, f"{prefix}.{layer}.0", stride=stride, grouped=True))
        layer += 1
        gate = f"{prefix}.{layer}.conc_se_layers.0"
        if f"{gate}.fc1.weight" in weights:
            x = squeeze(x, gate)
            layer += 1
        x = conv(x, f"{prefix}.{layer}.0")
        channels = weights[f"{prefix}.{layer}.0.weight"].shape[0]
        if stride == 1 and channels == channels_before:
            x = graph.node("Add", x, before)
    x = hard_swish(conv(x, "features.16.0"))
    return graph.session(graph.node("ReduceMean", x, axes=[2], keepdims=0))
