"""musicnn, trained twice: on MTG-Jamendo's 50 tags and on MagnaTagATune's.

Pons and Serra, "musicnn: pre-trained convolutional neural networks for music audio tagging" (ISMIR late-breaking, 2019;
ISC), and Won, Ferraro, Bogdanov, Serra, "Evaluation of CNN-based automatic music tagging models" (SMC 2020; MIT). Filters
over bands ("timbral") and filters over time ("temporal"), each reduced to its maximum over the bands, then convolutions
over time; maximum and mean over time give the tags. The two differ in where their batch norms stand and in what the
temporal filters see. Their published weights come from a folder that the caller names; they are read to make targets and
become no part of a model of ours.

A network's input is 3 s. The windows of a recording overlap, and nearly all of the work is in the timbral filters, so these
run once over the recording, and a window takes its part. At the edges of a window alone they would see padding instead of
its neighbours, which sets many a maximum over time (scores differ by up to 0.15): these few frames are done for each window.
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .base import Analysis, Array, Scores, Teacher, filled, mean_score
from .graph import Graph
from .spectra import mel_power, slaney_filters

_RATE = 16000
_N_FFT = 512
_HOP = 256
_BANDS = 96
#: Frames at each edge of a window where the timbral filters (3 frames to either side) find what is true of it alone: those
#: that see padding or the window's first or last frame, whose spectrum holds reflected samples.
_EDGE = 4
_REACH = 3  # frames that the timbral filters see to either side
_EDGE_SEES = _EDGE + _REACH
#: Frames that the timbral filters take at a time, which bounds memory: 8 s take some 300 MB.
_AT_ONCE = 512

Weights = dict[str, Array]


class Filters(NamedTuple):
    """Filters over bands and frames, the maximum of each over bands, then norm_scale * relu(sign * maximum) + norm_shift.

    Attributes
    ----------
    kernel : array (out, 1, bands, frames)
    bias, sign, norm_scale, norm_shift : array (out,)
    """

    kernel: Array
    bias: Array
    sign: Array
    norm_scale: Array
    norm_shift: Array


class _Musicnn(Teacher):
    """What the two networks share: windows, the filters that run once over a recording, and the scores of the whole.

    Parameters
    ----------
    hop_s : float
        Seconds from one window of 3 s to the next; 3 is fastest, and without overlap.
    """

    SAMPLE_RATE: ClassVar[int] = _RATE
    #: Number of 16 ms frames in the network's input, and of the samples that they come from.
    FRAMES: ClassVar[int]
    LENGTH: ClassVar[int]

    def __init__(self, *, hop_s: float) -> None:
        if not hop_s * _RATE >= _HOP:
            raise ValueError(f"hop_s is {hop_s}; windows are at least a frame of {_HOP / _RATE} s apart")
        self.hop_s = hop_s

    @abstractmethod
    def log_mel(self, samples: Array) -> Array:
        """Return the network's input (frames, 96), a frame every 16 ms, for samples (n,) at 16 kHz."""

    @abstractmethod
    def _timbral(self, log_mel: Array) -> Array:
        """Return what the filters over bands find, (batch, 408, frames), in stretches (batch, frames, 96)."""

    @abstractmethod
    def _tags(self, timbral: Array, log_mel: Array) -> Array:
        """Return the logits (windows, 50) for windows of both, (windows, 408, `FRAMES`) and (windows, `FRAMES`, 96)."""

    def _windows(self, samples: Array, log_mel: Array, starts: NDArray[np.int_]) -> Array:
        """Return the input of each window (windows, `FRAMES`, 96) as if it were alone; `starts` are frames (windows,)."""
        return np.stack([log_mel[start : start + self.FRAMES] for start in starts])

    def window_logits(self, log_mel: Array) -> Array:
        """Return the logits (windows, 50) for inputs of separate windows (windows, `FRAMES`, 96)."""
        return self._tags(self._timbral(log_mel), log_mel)

    def analyse(self, samples: Array) -> Analysis:
        """Return the logits for mono samples (n,) at 16 kHz; see `Teacher.analyse`.

        A recording shorter than a window is repeated to one. The windows are spread evenly; the score of the whole is
        the mean of theirs.
        """
        samples = filled(samples, self.LENGTH)
        last = (samples.size - self.LENGTH) // _HOP
        count = 1 + int(np.ceil(last / (self.hop_s * _RATE / _HOP) - 0.1))  # no window more for a frame or two
        starts = np.rint(np.linspace(0, last, count)).astype(int)
        log_mel = self.log_mel(samples)
        windows = self._windows(samples, log_mel, starts)
        logits = (
            self.window_logits(windows) if count == 1 else self._tags(self._shared(log_mel, windows, starts), windows)
        )
        times = (starts * _HOP + self.LENGTH / 2) / _RATE
        return Analysis(Scores(logits, times), mean_score(logits))

    def _shared(self, log_mel: Array, windows: Array, starts: NDArray[np.int_]) -> Array:
        """Return what the filters over bands find in windows (windows, 408, `FRAMES`), with as little work as will do."""
        whole = np.concatenate(
            [self._stretch(log_mel, first, first + _AT_ONCE) for first in range(0, len(log_mel), _AT_ONCE)], axis=1
        )
        found = np.stack([whole[:, start : start + self.FRAMES] for start in starts])
        edges = self._timbral(np.concatenate([windows[:, :_EDGE_SEES], windows[:, -_EDGE_SEES:]]))
        found[:, :, :_EDGE] = edges[: len(starts), :, :_EDGE]
        found[:, :, -_EDGE:] = edges[len(starts) :, :, -_EDGE:]
        return found

    def _stretch(self, log_mel: Array, first: int, end: int) -> Array:
        """Return what the filters over bands find in frames `first` to `end` of an input (frames, 96): (408, frames)."""
        before = min(first, _REACH)
        found: Array = self._timbral(log_mel[None, first - before : end + _REACH])[0]
        return found[:, before : before + end - first]


class JamendoMusicnn(_Musicnn):
    """musicnn trained on MTG-Jamendo.

    Parameters
    ----------
    folder : Path
        Holds `jamendo_musicnn.safetensors`, the tensors of the published checkpoint by their names.
    hop_s : float
        Seconds from one window of 3 s to the next.
    """

    NAME: ClassVar[str] = "jamendo_musicnn"
    FRAMES: ClassVar[int] = 188
    LENGTH: ClassVar[int] = 48000
    classes: tuple[str, ...] = (
        *("genre---alternative", "genre---ambient", "genre---atmospheric", "genre---chillout", "genre---classical"),
        *("genre---dance", "genre---downtempo", "genre---easylistening", "genre---electronic", "genre---experimental"),
        *("genre---folk", "genre---funk", "genre---hiphop", "genre---house", "genre---indie"),
        *("genre---instrumentalpop", "genre---jazz", "genre---lounge", "genre---metal", "genre---newage"),
        *("genre---orchestral", "genre---pop", "genre---popfolk", "genre---poprock", "genre---reggae"),
        *("genre---rock", "genre---soundtrack"),
        *("genre---techno", "genre---trance", "genre---triphop", "genre---world", "instrument---acousticguitar"),
        *("instrument---bass", "instrument---computer", "instrument---drummachine", "instrument---drums"),
        *("instrument---electricguitar", "instrument---electricpiano", "instrument---guitar", "instrument---keyboard"),
        *("instrument---piano", "instrument---strings", "instrument---synthesizer", "instrument---violin"),
        *("instrument---voice", "mood/theme---emotional", "mood/theme---energetic", "mood/theme---film"),
        *("mood/theme---happy", "mood/theme---relaxing"),
    )

    def __init__(self, folder: Path, *, hop_s: float = 1.0) -> None:
        """Read the weights. Raises `FileNotFoundError` when the folder does not hold them."""
        super().__init__(hop_s=hop_s)
        from safetensors.numpy import load_file  # only those who train the packaged model need it

        weights: Weights = load_file(Path(folder) / "jamendo_musicnn.safetensors")
        self._filters = weights["spec.mel_scale.fb"]
        self._window = weights["spec.spectrogram.window"]
        scale, shift = _norm(weights, "spec_bn")
        self._scale, self._shift = np.float32(10 * scale[0]), np.float32(shift[0])
        self._timbres = _timbral_session([_jamendo_filters(weights, f"layers.{i}") for i in (0, 1)])
        self._network = _jamendo_network(weights)

    def log_mel(self, samples: Array) -> Array:
        """Return the network's input (frames, 96), a frame every 16 ms, for samples (n,) at 16 kHz."""
        padded = np.pad(samples, _N_FFT // 2, mode="reflect")
        mel = mel_power(padded, self._window, _HOP, _N_FFT, self._filters)
        return np.log10(np.maximum(mel, np.float32(1e-10))) * self._scale + self._shift

    def _windows(self, samples: Array, log_mel: Array, starts: NDArray[np.int_]) -> Array:
        """Return windows whose first and last frame hold reflected samples, as those of a piece of 3 s do."""
        windows = super()._windows(samples, log_mel, starts)
        for window, start in zip(windows, starts * _HOP, strict=True):
            window[0] = self.log_mel(samples[start : start + _N_FFT])[0]
            end = start + self.LENGTH
            window[-1] = self.log_mel(samples[end - self.LENGTH % _HOP - _N_FFT : end])[-1]
        return windows

    def _timbral(self, log_mel: Array) -> Array:
        return np.asarray(self._timbres.run(None, {"bands": log_mel.transpose(0, 2, 1)[:, None]})[0])

    def _tags(self, timbral: Array, log_mel: Array) -> Array:
        level = np.ascontiguousarray(log_mel.mean(axis=2)[:, None])
        return np.asarray(self._network.run(None, {"timbral": timbral, "level": level})[0])


class MttMusicnn(_Musicnn):
    """musicnn trained on MagnaTagATune: MTT_musicnn of the package musicnn 0.1.0.

    Parameters
    ----------
    folder : Path
        Holds `mtt_musicnn.npz`, the published weights by their names.
    hop_s : float
        Seconds from one window of 3 s to the next.
    """

    NAME: ClassVar[str] = "mtt_musicnn"
    FRAMES: ClassVar[int] = 187
    LENGTH: ClassVar[int] = 186 * _HOP
    classes: tuple[str, ...] = (
        *("guitar", "classical", "slow", "techno", "strings", "drums", "electronic", "rock", "fast", "piano"),
        *("ambient", "beat", "violin", "vocal", "synth", "female", "indian", "opera", "male", "singing", "vocals"),
        *(
            "no vocals",
            "harpsichord",
            "loud",
            "quiet",
            "flute",
            "woman",
            "male vocal",
            "no vocal",
            "pop",
            "soft",
            "sitar",
        ),
        *(
            "solo",
            "man",
            "classic",
            "choir",
            "voice",
            "new age",
            "dance",
            "male voice",
            "female vocal",
            "beats",
            "harp",
        ),
        *("cello", "no voice", "weird", "country", "metal", "female voice", "choral"),
    )

    def __init__(self, folder: Path, *, hop_s: float = 1.0) -> None:
        """Read the weights. Raises `FileNotFoundError` when the folder does not hold them."""
        super().__init__(hop_s=hop_s)
        with np.load(Path(folder) / "mtt_musicnn.npz", allow_pickle=False) as file:
            weights: Weights = {name: file[name] for name in file.files}
        self._filters = slaney_filters(_BANDS, _N_FFT, _RATE)
        self._window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_N_FFT) / _N_FFT)).astype(np.float32)
        scale, shift = _mtt_norm(weights, 0)
        self._scale, self._shift = np.float32(scale[0]), np.float32(shift[0])
        self._timbres = _timbral_session([_mtt_filters(weights, i) for i in (0, 1)])
        self._network = _mtt_network(weights)

    def log_mel(self, samples: Array) -> Array:
        """Return the network's input (frames, 96), a frame every 16 ms, for samples (n,) at 16 kHz.

        The powers are rounded to float16, as they were when the network was trained.
        """
        mel = mel_power(np.pad(samples, _N_FFT // 2), self._window, _HOP, _N_FFT, self._filters)
        rounded = np.minimum(mel, np.finfo(np.float16).max).astype(np.float16).astype(np.float32)
        return np.asarray(np.log10(np.float32(10000) * rounded + np.float32(1)), dtype=np.float32)

    def _timbral(self, log_mel: Array) -> Array:
        bands = (log_mel * self._scale + self._shift).transpose(0, 2, 1)
        return np.asarray(self._timbres.run(None, {"bands": bands[:, None]})[0])

    def _tags(self, timbral: Array, log_mel: Array) -> Array:
        bands = log_mel[:, None] * self._scale + self._shift
        return np.asarray(self._network.run(None, {"timbral": timbral, "bands": bands})[0])


def _timbral_session(layers: list[Filters]) -> Any:
    """Return a session from `bands` (batch, 1, 96, frames) to what all layers find, (batch, out, frames)."""
    graph = Graph({"bands": ("batch", 1, _BANDS, "frames")})
    found = []
    for layer in layers:
        height = layer.kernel.shape[2]
        x = graph.conv("bands", layer.kernel, layer.bias, pads=[0, 3, 0, 3])
        x = graph.node("MaxPool", x, kernel_shape=[_BANDS - height + 1, 1])
        found.append(_after_maximum(graph, x, layer))
    x = graph.node("Concat", *found, axis=1)
    return graph.session(graph.node("Squeeze", x, graph.constant(np.array([2]))))


def _after_maximum(graph: Graph, x: str, layer: Filters) -> str:
    shape = (1, -1, 1, 1)
    if (layer.sign < 0).any():
        x = graph.node("Mul", x, graph.constant(layer.sign.reshape(shape)))
    x = graph.node("Relu", x)
    if (layer.norm_scale != 1).any() or layer.norm_shift.any():
        x = graph.node("Mul", x, graph.constant(layer.norm_scale.reshape(shape)))
        x = graph.node("Add", x, graph.constant(layer.norm_shift.reshape(shape)))
    return x


def _norm(weights: Weights, name: str) -> tuple[Array, Array]:
    """Return scale and shift of a batch norm by torch's names, of any shape (channels,)."""
    scale = weights[f"{name}.weight"] / np.sqrt(weights[f"{name}.running_var"] + 1e-5)
    return scale, weights[f"{name}.bias"] - weights[f"{name}.running_mean"] * scale


def _jamendo_folded(weights: Weights, name: str) -> tuple[Array, Array]:
    """Return kernel and bias of a convolution with the batch norm after it multiplied in."""
    scale, shift = _norm(weights, f"{name}.bn")
    kernel = weights[f"{name}.conv.weight"]
    return kernel * scale.reshape(-1, *[1] * (kernel.ndim - 1)), weights[f"{name}.conv.bias"] * scale + shift


def _jamendo_filters(weights: Weights, name: str) -> Filters:
    kernel, bias = _jamendo_folded(weights, name)
    one = np.ones_like(bias)
    return Filters(kernel, bias, one, one, 0 * one)


def _jamendo_network(weights: Weights) -> Any:
    """Return a session from `timbral` (windows, 408, 188) and `level` (windows, 1, 188), the mean over bands, to logits."""
    graph = Graph({"timbral": ("windows", 408, JamendoMusicnn.FRAMES), "level": ("windows", 1, JamendoMusicnn.FRAMES)})

    def conv(x: str, name: str) -> str:
        kernel, bias = _jamendo_folded(weights, name)
        half = kernel.shape[2] // 2
        return graph.node("Relu", graph.conv(x, kernel, bias, pads=[half, half]))

    layers = [graph.node("Concat", "timbral", *[conv("level", f"layers.{i}") for i in (2, 3, 4)], axis=1)]
    layers.append(conv(layers[0], "layer1"))
    layers.append(graph.node("Add", conv(layers[1], "layer2"), layers[1]))
    layers.append(graph.node("Add", conv(layers[2], "layer3"), layers[2]))
    x = graph.node("Concat", *layers, axis=1)
    pooled = graph.node("Concat", *[graph.node(kind, x) for kind in ("GlobalMaxPool", "GlobalAveragePool")], axis=1)
    scale, shift = _norm(weights, "bn")
    kernel, bias = weights["dense1.weight"] * scale[:, None], weights["dense1.bias"] * scale + shift
    hidden = graph.node("Relu", graph.linear(graph.node("Flatten", pooled), kernel, bias))
    return graph.session(graph.linear(hidden, weights["dense2.weight"], weights["dense2.bias"]))


def _mtt_norm(weights: Weights, index: int) -> tuple[Array, Array]:
    """Return scale and shift (channels,) of a batch norm by TensorFlow's names."""
    name = "batch_normalization" + (f"_{index}" if index else "")
    scale = weights[f"{name}/gamma"] / np.sqrt(weights[f"{name}/moving_variance"] + 1e-3)
    return scale, weights[f"{name}/beta"] - weights[f"{name}/moving_mean"] * scale


def _mtt_conv(weights: Weights, index: int) -> tuple[Array, Array]:
    """Return kernel (out, in, bands, frames) and bias (out,) of a convolution; stored are (frames, bands, in, out)."""
    name = "conv2d" + (f"_{index}" if index else "")
    return np.ascontiguousarray(weights[f"{name}/kernel"].transpose(3, 2, 1, 0)), weights[f"{name}/bias"]


def _mtt_filters(weights: Weights, index: int) -> Filters:
    """Return convolution `index`, ReLU and the batch norm after it so that the maximum over bands can be taken first.

    A batch norm of negative scale makes the maximum of the least value: that one is found by the filter turned round.
    """
    kernel, bias = _mtt_conv(weights, index)
    scale, shift = _mtt_norm(weights, index + 1)
    sign = np.where(scale < 0, np.float32(-1), np.float32(1))
    return Filters(kernel * sign[:, None, None, None], bias * sign, sign, scale, shift)


def _mtt_network(weights: Weights) -> Any:
    """Return a session from `timbral` (windows, 408, 187) and `bands` (windows, 1, 187, 96) to logits (windows, 50)."""
    frames = MttMusicnn.FRAMES
    graph = Graph({"timbral": ("windows", 408, frames), "bands": ("windows", 1, frames, _BANDS)})
    layers = [
        graph.node("Concat", "timbral", *[_mtt_temporal(graph, _mtt_filters(weights, i)) for i in (2, 3, 4)], axis=1)
    ]
    for i in (5, 6, 7):
        kernel, bias = _mtt_conv(weights, i)
        kernel = kernel[:, 0]  # as if its bands were channels
        scale, shift = _mtt_norm(weights, i + 1)
        x = graph.node("Relu", graph.conv(layers[-1], kernel, bias, pads=[3, 3]))
        x = graph.node("Mul", x, graph.constant(scale[:, None]))
        x = graph.node("Add", x, graph.constant(shift[:, None]))
        layers.append(x if i == 5 else graph.node("Add", x, layers[-1]))
    x = graph.node("Concat", *layers, axis=1)
    pooled = graph.node("Concat", *[graph.node(kind, x) for kind in ("GlobalMaxPool", "GlobalAveragePool")], axis=2)
    scale, shift = _mtt_norm(weights, 9)
    kernel = weights["dense/kernel"].T
    x = graph.linear(graph.node("Flatten", pooled), kernel * scale, weights["dense/bias"] + kernel @ shift)
    scale, shift = _mtt_norm(weights, 10)
    kernel = weights["dense_1/kernel"].T
    x = graph.linear(graph.node("Relu", x), kernel * scale, weights["dense_1/bias"] + kernel @ shift)
    return graph.session(x)


def _mtt_temporal(graph: Graph, layer: Filters) -> str:
    """Add filters over time, the same on each band, and their maximum over bands: (windows, out, frames)."""
    kernel = layer.kernel.transpose(0, 1, 3, 2)
    length = kernel.shape[2]
    x = graph.conv("bands", kernel, layer.bias, pads=[(length - 1) // 2, 0, length // 2, 0])
    x = graph.node("ReduceMax", x, axes=[3], keepdims=1)
    return graph.node("Squeeze", _after_maximum(graph, x, layer), graph.constant(np.array([3])))
