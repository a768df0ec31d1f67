"""Recogniser: recording -> Prediction. Base install only: no training framework, no librosa, no plotting."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from .. import features
from ..audio import quality, reading
from ..errors import AudioError, UsageError
from ..model import folder as model_folder
from ..storage.files import sha256_of
from ..taxonomy.tree import Label
from .segmentation import TimelineSettings, stretches

if TYPE_CHECKING:
    from ..audio.decoder import Decoded

Array = NDArray[np.float32]
Source = str | os.PathLike[str] | IO[bytes] | NDArray[Any]

MIN_DURATION = 0.02  # seconds; less is a click, whatever made it


_LIKELIEST = TimelineSettings(low=1.0, max_gap_s=60.0, min_length_s=0.0)


@dataclass(frozen=True)
class Segment:
    """A maximal stretch in which a label plays: seconds from the start of the recording; score: the mean within."""

    label: str
    start: float
    end: float
    score: float

    def to_dict(self) -> dict[str, Any]:
        """Return the segment as the JSON line holds it."""
        return {"label": self.label, "start": self.start, "end": self.end, "score": self.score}


@dataclass(frozen=True)
class Prediction:
    """What was heard in one recording.

    path: as it was given ("-" for standard input, "" for samples). duration: seconds heard. sample_rate: of the recording.
    scores: label id -> probability that it plays at some time in the recording, in the model's order of labels.
    playing: the ids whose score reaches the model's threshold, and the families of such instruments.
    segments: when, sorted by start.
    curve: scores over time (steps, labels), step i from `edges[i]` to `edges[i + 1]` seconds.
    warnings: what in the recording could mislead (see audio/quality.py).
    """

    path: str
    duration: float
    sample_rate: int
    model: str
    scores: dict[str, float]
    playing: list[str]
    segments: list[Segment]
    curve: Array = field(repr=False, compare=False)
    edges: NDArray[np.float64] = field(repr=False, compare=False)
    warnings: list[quality.Caution] = field(default_factory=list)

    def shares(self) -> dict[str, float]:
        """Return, for each label, the share of the recording's time in which it plays (0 to 1)."""
        played = dict.fromkeys(self.scores, 0.0)
        for segment in self.segments:
            played[segment.label] += segment.end - segment.start
        return {label: min(1.0, seconds / max(self.duration, 1e-9)) for label, seconds in played.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return what `whoplays predict --format jsonl` prints as this recording's line."""
        return {
            "path": self.path,
            "duration": self.duration,
            "sample_rate": self.sample_rate,
            "model": self.model,
            "scores": dict(self.scores),
            "playing": list(self.playing),
            "segments": [segment.to_dict() for segment in self.segments],
            "warnings": [caution.to_dict() for caution in self.warnings],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote; scores over time are not in it, so `curve` is empty."""
        return cls(
            path=values["path"],
            duration=values["duration"],
            sample_rate=values["sample_rate"],
            model=values["model"],
            scores=dict(values["scores"]),
            playing=list(values["playing"]),
            segments=[Segment(**segment) for segment in values["segments"]],
            curve=np.zeros((0, len(values["scores"])), dtype=np.float32),
            edges=np.zeros(1),
            warnings=[quality.Caution(**caution) for caution in values.get("warnings", [])],
        )


@dataclass(frozen=True)
class Failure:
    """A recording that could not be used, and why."""

    path: str
    error: str

    def to_dict(self) -> dict[str, Any]:
        """Return this recording's JSON line."""
        return {"path": self.path, "error": self.error}


class Recogniser:
    """A model, ready to hear. Safe to use from several threads."""

    def __init__(self, model: str | os.PathLike[str] | None = None, *, threads: int = 1, device: str = "cpu") -> None:
        """Read the model folder (None: the model inside the package). Raises `ModelError`, `UsageError`.

        threads: of one call of the network. device: "cpu", "auto", "cuda", ... (model/device.py).
        """
        self._bundle, self._network = model_folder.load(
            None if model is None else Path(model), threads=threads, device=device
        )

    @property
    def notice(self) -> str:
        """What to tell people when the device that was asked for cannot be used; mostly empty."""
        return self._network.notice

    @property
    def config(self) -> model_folder.ModelConfig:
        """The model's configuration."""
        return self._bundle.config

    @property
    def fingerprint(self) -> str:
        """What tells this model from any other, or from itself with other thresholds: its configuration's SHA-256."""
        return sha256_of(self._bundle.folder / model_folder.CONFIG)

    @property
    def labels(self) -> tuple[Label, ...]:
        """What the model can hear, in its order."""
        return self.config.labels

    def logits(self, features: Array) -> Array:
        """Return the network's own numbers (batch, labels), before calibration, for features (batch, frames, width)."""
        return self._network.logits(features)[0]

    def predict(
        self, source: Source, *, sample_rate: int | None = None, start: float = 0.0, duration: float | None = None
    ) -> Prediction:
        """Hear one recording, or the part of it from `start` for `duration` seconds.

        source: a path, a binary file that can seek, or samples (n,) or (n, channels) from -1 to 1 with their
        `sample_rate` in Hz. Only one window is held at a time. Times in the result count from the start of the recording.
        Raises `AudioError` for a recording that cannot be used, `UsageError` for a call that cannot be meant.
        """
        if not 0 <= start < float("inf") or not (duration is None or 0 < duration < float("inf")):
            raise UsageError(
                f"a part from {start} s for {duration} s cannot be cut out; give 0 or more, and more than 0"
            )
        if isinstance(source, np.ndarray) or not isinstance(source, (str, os.PathLike)) and not hasattr(source, "read"):
            return self._predict_samples(np.asarray(source), sample_rate, start, duration)
        path = os.fspath(source) if isinstance(source, (str, os.PathLike)) else str(getattr(source, "name", "") or "")
        with reading.open_audio(source) as reader:
            meter = quality.Meter(reader.info.sample_rate)
            metered = quality.Metered(reader, meter)
            blocks = reading.stream(
                metered, sample_rate=self.config.features.sample_rate, start=start, duration=duration
            )
            return self._hear(blocks, path, meter, start)

    def _predict_samples(
        self, samples: NDArray[Any], sample_rate: int | None, start: float, duration: float | None
    ) -> Prediction:
        if sample_rate is None:
            raise UsageError("samples need their sample_rate: predict(samples, sample_rate=44100)")
        if not reading.MIN_RATE <= sample_rate <= reading.MAX_RATE:
            raise UsageError(
                f"sample_rate is {sample_rate} Hz; {reading.MIN_RATE} to {reading.MAX_RATE} Hz can be used"
            )
        first = round(start * sample_rate)
        last = None if duration is None else first + round(duration * sample_rate)
        one = reading.mono(samples)[first:last]
        meter = quality.Meter(int(sample_rate))
        for at in range(0, len(one), int(sample_rate)):
            meter.hear(samples[first:last][at : at + int(sample_rate)])
        blocks = reading.resampled([one], int(sample_rate), self.config.features.sample_rate)
        return self._hear(blocks, "", meter, start)

    def predict_decoded(self, decoded: Decoded, path: str, *, start: float = 0.0) -> Prediction:
        """Hear what a process of its own decodes (audio/decoder.py); the answer is that of `predict`. Raises `AudioError`."""
        return self._hear(decoded.blocks(), path, decoded, start)

    def predict_stream(self, blocks: Iterable[NDArray[Any]], *, sample_rate: int) -> Prediction:
        """Hear samples as they come: blocks (n,) or (n, channels) from -1 to 1 at `sample_rate` Hz, to the last one.

        The answer is that of a file with the same samples. Raises `AudioError`.
        """
        meter = quality.Meter(sample_rate)

        def heard() -> Iterator[Array]:
            for block in blocks:
                meter.hear(block)
                yield reading.mono(block)

        at_rate = reading.resampled(heard(), sample_rate, self.config.features.sample_rate)
        return self._hear(at_rate, "", meter, 0.0)

    def _hear(self, blocks: Iterable[Array], path: str, meter: quality.Meter | Decoded, start: float) -> Prediction:
        rate = self.config.features.sample_rate
        whole, curves, edges = _Rows(np.float32), _Rows(np.float32), _Rows(np.float64)
        at = 0  # samples heard so far
        for window in self._windows(blocks):
            scores, curve = self._hear_window(window)
            whole.add(scores[None])
            curves.add(curve)
            edges.add(start + (at + np.linspace(0, len(window), len(curve) + 1)[:-1]) / rate)
            at += len(window)
        if at / rate < MIN_DURATION:
            raise AudioError(
                f"has {at / rate:.3f} s of sound{f' after {start:g} s' if start else ''}; {MIN_DURATION} s are needed"
            )
        pooled = whole.array().max(axis=0) if self.config.pooling == "max" else whole.array().mean(axis=0)
        borders = np.append(edges.array(), start + at / rate)
        answer = self._prediction(path, at / rate, meter.sample_rate, pooled, curves.array(), borders)
        return replace(answer, warnings=[*meter.cautions(at / rate), *_about(answer)])

    def _windows(self, blocks: Iterable[Array]) -> Iterator[Array]:
        return reading.windows(blocks, round(self.config.window_s * self.config.features.sample_rate))

    def _hear_window(self, samples: Array) -> tuple[Array, Array]:
        """Return scores (labels,) and the curve (steps, labels) of samples (n,)."""
        whole, frames = self._network.probabilities(features.compute(self._filled(samples), self.config.features)[None])
        if frames is None:
            return whole[0], whole
        curve = frames[0]
        shortest = self.config.min_window_s * self.config.features.sample_rate
        if len(samples) < shortest:  # what was filled in is no time of the recording
            curve = curve[: max(1, round(len(curve) * len(samples) / shortest))]
        return whole[0], curve

    def _filled(self, samples: Array) -> Array:
        shortest = round(self.config.min_window_s * self.config.features.sample_rate)
        if not 0 < len(samples) < shortest:
            return samples
        if self.config.padding == "repeat":
            return np.resize(samples, shortest)
        return np.concatenate([samples, np.zeros(shortest - len(samples), dtype=np.float32)])

    def _prediction(
        self, path: str, duration: float, sample_rate: int, pooled: Array, curve: Array, edges: NDArray[np.float64]
    ) -> Prediction:
        pooled = self.config.tree.raise_families(pooled)
        scores = {label.id: round(float(score), 5) for label, score in zip(self.labels, pooled, strict=True)}
        limits = {label.id: limit for label, limit in zip(self.labels, self.config.thresholds, strict=True)}
        playing = list(self.config.tree.expand(label for label, score in scores.items() if score >= limits[label]))
        segments = [
            Segment(label.id, round(s.start, 2), round(s.end, 2), round(s.score, 4))
            for i, label in enumerate(self.labels)
            if label.id in playing
            for s in self._stretches(curve[:, i], edges, limits[label.id])
        ]
        segments.sort(key=lambda segment: segment.start)  # stable: at one start in the model's order
        return Prediction(
            path, round(duration, 3), sample_rate, self.config.id, scores, playing, segments, curve, edges
        )

    def _stretches(self, scores: Array, edges: NDArray[np.float64], threshold: float) -> list[Any]:
        # What plays, plays somewhere: where no moment reaches the threshold alone, the likeliest ones are taken.
        reached = min(threshold, 0.8 * float(scores.max()))
        found = stretches(scores, edges, threshold=reached, settings=self.config.timeline)
        return found or stretches(scores, edges, threshold=reached, settings=_LIKELIEST)


class _Rows:
    """An array that grows at its end, in one piece: small arrays for each window would hold the memory between them."""

    def __init__(self, dtype: type[np.floating]) -> None:
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


def _about(answer: Prediction) -> list[quality.Caution]:
    return quality.about_answer(answer.playing, [(s.start, s.end) for s in answer.segments], answer.duration)
