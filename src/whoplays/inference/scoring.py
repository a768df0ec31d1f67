"""Windows of a recording -> what the network gives for each step of time -> scores over time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import features
from ..audio.windows import Window
from ..model.folder import EMBEDDING, Network
from ..model.pooling import attended
from .embedding import sounding

Array = NDArray[np.float32]


class NetworkOutputs(NamedTuple):
    """What a network gives over a recording: logits (steps, outputs), attention like them or None, lengths (steps,) in s."""

    logits: Array
    attention: NDArray[Any] | None
    lengths: NDArray[np.float64]


class Analysis(NamedTuple):
    """A recording that has gone through the network.

    outputs: of its steps. borders: of those, (steps + 1,), in samples. repeated: of a recording that was repeated to fill a
    window, all steps of that window. vectors: embeddings (steps, width), where requested.
    """

    outputs: NetworkOutputs
    borders: NDArray[np.float64]
    repeated: NetworkOutputs | None
    vectors: Array | None


def analyse(network: Network, windows: Iterable[Window], *, embed: bool = False) -> Analysis:
    """Run the network on the windows of a recording, and put together what each answers for."""
    config = network.config
    rate = config.features.sample_rate
    logits, attention, vectors, starts = _Rows(np.float32), _Rows(np.float16), _Rows(np.float32), _Rows(np.float64)
    repeated, n = None, 0
    for window in windows:
        found, begins, inside = run(network, window, embed=embed)
        logits.add(found["frame_logits"][inside])
        if network.attends:
            attention.add(found["attention"][inside])
        if embed:
            vectors.add(found[EMBEDDING][inside])
        starts.add(begins[inside])
        n = window.last
        if len(window.samples) < round(config.min_window_s * rate) and config.padding == "repeat":
            steps = len(found["frame_logits"])
            lengths = np.full(steps, config.min_window_s / steps)
            repeated = NetworkOutputs(found["frame_logits"], found.get("attention"), lengths)
    borders = np.append(starts.array(), n)
    weights = attention.array() if n and network.attends else None
    outputs = NetworkOutputs(logits.array(), weights, np.diff(borders) / rate)
    return Analysis(outputs, borders, repeated, vectors.array() if embed else None)


def run(
    network: Network, window: Window, *, embed: bool = False
) -> tuple[dict[str, Array], NDArray[np.float64], NDArray[np.bool_]]:
    """Return what the network gives for a window, where each step starts, in samples, and which it answers for."""
    samples, config = window.samples, network.config
    missing = round(config.min_window_s * config.features.sample_rate) - len(samples)
    if missing > 0 and len(samples):
        repeated = config.padding == "repeat"
        samples = np.resize(samples, len(samples) + missing) if repeated else np.pad(samples, (0, missing))
    settings = config.features
    picture = features.compute(samples, settings)
    if settings.n_time_bins is None:  # without the frame centred on the end, so that frames fill steps evenly
        picture = picture[: max(1, len(samples) // settings.hop_length)]
    found = {name: values[0] for name, values in network.run(picture[None], embed=embed).items()}
    steps = len(found["frame_logits"])
    if embed:  # what is silent has zeros
        vectors = found[EMBEDDING]
        audible = sounding(picture, len(vectors), settings.log_offset)
        found[EMBEDDING] = np.asarray(vectors * audible[:, None], dtype=np.float32)
    if steps == 1:
        return found, np.array([float(window.first)]), np.ones(1, dtype=bool)
    starts = window.start + np.arange(steps, dtype=np.float64) * (len(samples) / steps)
    return found, starts, (starts > window.first - 1) & (starts < window.last - 1)


def frame_scores(network: Network, outputs: NetworkOutputs) -> Array:
    """Return scores over time (steps, labels), averaged as the model's timeline asks for."""
    logits, n = outputs.logits, len(network.config.labels)
    if span_s := network.config.timeline.span_s:
        weights = None if outputs.attention is None else outputs.attention[:, :n]
        logits = attended(logits[:, :n], weights, outputs.lengths, span_s).astype(np.float32)
    return network.frame_scores(logits)


class _Rows:
    """An array that grows at its end, in one piece: small arrays for each window would hold the memory between them."""

    def __init__(self, dtype: type[np.floating]) -> None:
        """dtype: of the rows."""
        self._dtype = dtype
        self._bytes = bytearray()
        self._width: tuple[int, ...] = ()

    def add(self, rows: NDArray[Any]) -> None:
        """Take in rows (n, ...)."""
        self._width = rows.shape[1:]
        self._bytes += rows.astype(self._dtype, copy=False).tobytes()

    def array(self) -> NDArray[Any]:
        """Return all rows; no more can be added while it is in use."""
        return np.frombuffer(self._bytes, self._dtype).reshape(-1, *self._width)
