"""A stronger network as a teacher: EfficientAT's mn04_as, whose embedding a network of ours learns to match.

Schmid, Koutini, Widmer, "Efficient Large-Scale Audio Tagging via Transformer-to-CNN Knowledge Distillation" (ICASSP
2023): MobileNetV3-Large of width 0.4, trained on AudioSet. Its weights come from a folder that the caller names; they
are read to make targets and never become part of a model of ours. Needs torch and safetensors.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whoplays.errors import RenderError, missing_extra

Array = NDArray[np.float32]

SAMPLE_RATE = 32000
HOP = 320
#: Mel frames that become one step of the embedding: 0.32 s.
FRAMES_PER_STEP = 32
WIDTH = 384
#: AudioSet's classes (by place in its list of 527) of each family. No bass guitar, organ, synthesiser, timpani, tabla.
FAMILY_CLASSES = {
    "brass": (185, 186, 187, 188),  # brass instrument, French horn, trumpet, trombone
    "drums": (
        162,
        163,
        164,
        165,
        166,
        167,
        168,
        171,
        172,
    ),  # kit, machine, drum, snare, rimshot, roll, bass drum, cymbal, hi-hat
    "guitar": (140, 141, 143, 144, 145, 146),  # guitar, electric, acoustic, steel and slide, tapping, strum
    "piano": (153, 154),  # piano, electric piano
    "strings": (189, 190, 191, 192, 193, 194),  # bowed, section, violin and fiddle, pizzicato, cello, double bass
}
_STRIDES = (1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1)
_LAST_RELU_BLOCK = 6


class Teacher:
    """mn04_as, read from `folder` (one .safetensors file). `threads` limits torch."""

    def __init__(self, folder: Path, *, threads: int = 1) -> None:
        """Read the weights. Raises `MissingExtraError` without torch, `RenderError` when the folder does not fit."""
        try:
            import torch
            from safetensors.torch import load_file
        except ImportError:
            raise missing_extra("torch and safetensors", "distil", "the teacher network") from None
        files = sorted(Path(folder).glob("*.safetensors"))
        if len(files) != 1:
            raise RenderError(f"{folder} holds {len(files)} .safetensors files; a teacher's folder holds one")
        torch.set_num_threads(threads)
        self._torch = torch
        self._weights = {name: value.float() for name, value in load_file(files[0]).items()}
        self._fold_norms()
        self._filters = torch.from_numpy(_kaldi_filters())
        window = np.zeros(1024, dtype=np.float32)
        window[112:912] = np.hanning(800)
        self._window = torch.from_numpy(window)

    def _fold_norms(self) -> None:
        """Multiply every batch norm into the convolution before it: half the work."""
        weights, folded = self._weights, {}
        for name in [n for n in weights if n.endswith("running_var")]:
            norm = name.removesuffix(".running_var")
            stem, index = norm.rsplit(".", 1)
            conv = f"{stem}.{int(index) - 1}"
            scale = weights[f"{norm}.weight"] / (weights[f"{norm}.running_var"] + 1e-3).sqrt()
            folded[f"{conv}.weight"] = weights[f"{conv}.weight"] * scale[:, None, None, None]
            folded[f"{conv}.bias"] = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
        weights.update(folded)

    def log_mel(self, samples: Any) -> Any:
        """Return the network's input (batch, 1, 128, frames) for samples (batch, n) at 32 kHz."""
        torch = self._torch
        samples = torch.as_tensor(samples)
        emphasised = samples[:, 1:] - 0.97 * samples[:, :-1]
        spectrum = torch.stft(
            emphasised, 1024, HOP, window=self._window, center=True, pad_mode="reflect", return_complex=True
        )
        power = torch.view_as_real(spectrum).square().sum(-1)
        mel = torch.einsum("mf,bft->bmt", self._filters, power)
        return (((mel + 1e-5).log() + 4.5) / 5)[:, None]

    def feature_map(self, log_mel: Any) -> Any:
        """Return the last feature map (batch, 384, bands, steps) of `log_mel`."""
        torch, weights = self._torch, self._weights
        functional = torch.nn.functional

        def conv(x: Any, name: str, *, stride: int = 1, grouped: bool = False) -> Any:
            kernel = weights[f"{name}.weight"]
            groups = kernel.shape[0] if grouped else 1
            bias = weights.get(f"{name}.bias")
            return functional.conv2d(x, kernel, bias, stride, kernel.shape[-1] // 2, 1, groups)

        def squeeze(x: Any, name: str) -> Any:
            pooled = x.mean((2, 3))
            hidden = functional.linear(pooled, weights[f"{name}.fc1.weight"], weights[f"{name}.fc1.bias"]).relu()
            gate = functional.linear(hidden, weights[f"{name}.fc2.weight"], weights[f"{name}.fc2.bias"]).sigmoid()
            return x * gate[:, :, None, None]

        x = functional.hardswish(conv(log_mel, "features.0.0", stride=2))
        for block, stride in enumerate(_STRIDES, start=1):
            activation = functional.relu if block <= _LAST_RELU_BLOCK else functional.hardswish
            before, prefix, layer = x, f"features.{block}.block", 0
            if block > 1:
                x = activation(conv(x, f"{prefix}.0.0"))
                layer = 1
            x = activation(conv(x, f"{prefix}.{layer}.0", stride=stride, grouped=True))
            layer += 1
            gate = next((n for n in weights if n.startswith(f"{prefix}.{layer}.") and ".fc1.weight" in n), None)
            if gate is not None:
                x = squeeze(x, gate.removesuffix(".fc1.weight"))
                layer += 1
            x = conv(x, f"{prefix}.{layer}.0")
            if stride == 1 and x.shape[1] == before.shape[1]:
                x = x + before
        return functional.hardswish(conv(x, "features.16.0"))

    def embed(self, samples: Array) -> Array:
        """Return the embedding over time (batch, steps, 384) of samples (batch, n) at 32 kHz; its mean is the clip's."""
        with self._torch.inference_mode():
            steps: Array = self.feature_map(self.log_mel(samples)).mean(2).transpose(1, 2).contiguous().numpy()
            return steps

    def scores(self, embedding: Array) -> Array:
        """Return the logits (batch, 527) of AudioSet's classes for mean embeddings (batch, 384)."""
        functional, weights = self._torch.nn.functional, self._weights
        with self._torch.inference_mode():
            x = self._torch.as_tensor(np.asarray(embedding, dtype=np.float32))
            linear = sorted({n.rsplit(".", 1)[0] for n in weights if n.startswith("classifier.")})
            x = functional.hardswish(functional.linear(x, weights[f"{linear[0]}.weight"], weights[f"{linear[0]}.bias"]))
            logits: Array = functional.linear(x, weights[f"{linear[1]}.weight"], weights[f"{linear[1]}.bias"]).numpy()
            return logits


def _kaldi_filters(bands: int = 128, top_hz: float = 15000.0) -> Array:
    """Return triangular filters (bands, 513) on Kaldi's mel scale, triangles drawn in mels."""
    mels = 1127.0 * np.log1p(np.arange(512) * SAMPLE_RATE / 1024 / 700.0)
    edges = np.linspace(0.0, 1127.0 * np.log1p(top_hz / 700.0), bands + 2)
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    filters = np.maximum(0.0, np.minimum((mels - left) / (centre - left), (right - mels) / (right - centre)))
    return np.pad(filters, ((0, 0), (0, 1))).astype(np.float32)


def family_logits(logits: Array) -> Array:
    """Return (..., 5): for each family the greatest logit of its classes, from logits (..., 527)."""
    return np.stack([logits[..., list(classes)].max(axis=-1) for classes in FAMILY_CLASSES.values()], axis=-1)
