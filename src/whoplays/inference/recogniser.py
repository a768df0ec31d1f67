"""Recogniser: recording -> Prediction. Base install only: no training framework, no librosa, no plotting."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from copy import copy
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from .. import features
from ..audio import quality, reading
from ..audio.times import Time, part
from ..errors import AudioError, ModelError, NotFiniteError, UsageError
from ..model import folder as model_folder
from ..model import thresholds
from ..model.config import ModelConfig
from ..model.pooling import attended
from ..model.thresholds import Threshold
from ..storage.files import sha256_of
from ..taxonomy.tree import Label
from . import embedding
from .prediction import Prediction, Segment
from .segmentation import likely_intervals
from .source import Source, check_source, opened
from .windows import Rows, Window, windows

if TYPE_CHECKING:
    from ..audio.decoder import Decoded

Array = NDArray[np.float32]
_Found = dict[str, Array]  # outputs of the network for one window

MIN_DURATION = 0.02  # seconds; less is a click, whatever made it


class NetworkOutputs(NamedTuple):
    """What a network gives over a recording: logits (steps, outputs), attention like them or None, lengths (steps,) in s."""

    logits: Array
    attention: NDArray[Any] | None
    lengths: NDArray[np.float64]


class Recogniser:
    """A model, ready to predict. Safe to use from several threads.

    Parameters
    ----------
    model : str or path, optional
        The model folder; None: the model inside the package.
    threads : int
        Of one call of the network.
    device : str
        "cpu", "auto", "cuda", "coreml", ...; `notice` says when it cannot be used.
    threshold : float or mapping of str to float, optional
        In place of the model's own: as of `with_threshold`.

    Raises
    ------
    ModelError
        When the folder cannot be used.
    UsageError
        For an unknown device or a threshold outside 0 to 1.
    """

    #: called with the seconds that are analysed, after each window
    on_progress: Callable[[float], None] | None = None

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        threads: int = 1,
        device: str = "cpu",
        threshold: Threshold | None = None,
    ) -> None:
        """Read the model folder."""
        self._opened_with = {"threads": threads, "device": device}
        self._bundle, self._network = model_folder.load(
            None if model is None else Path(model), threads=threads, device=device
        )
        self._config = self._bundle.config
        if threshold is not None:
            self._set_threshold(threshold)

    def __repr__(self) -> str:
        device = self._opened_with["device"]
        return f"<Recogniser {self.config.id}: {len(self.labels)} labels, {self.config.window_s:g} s windows, {device}>"

    def __copy__(self) -> Self:
        """Return another one that shares the network."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process opens the same model by: a network cannot be pickled."""
        return {
            **self._opened_with,
            "model": self._bundle.folder.resolve(),
            "sha256": dict(self._bundle.sha256),
            "thresholds": self._config.thresholds,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open the model again. Raises `ModelError` when it is not there, or is another one now."""
        Recogniser.__init__(self, state["model"], threads=state["threads"], device=state["device"])
        if self._bundle.sha256 != state["sha256"]:
            raise ModelError(f"{state['model']}: is not the model that was pickled; it was replaced since")
        self._config = replace(self._config, thresholds=state["thresholds"])

    def _set_threshold(self, threshold: Threshold) -> None:
        limits = thresholds.resolve(threshold, [label.id for label in self.labels], self._config.thresholds)
        self._config = replace(self._config, thresholds=limits)

    def with_threshold(self, threshold: Threshold) -> Self:
        """Return a recogniser with the same network and other thresholds.

        Parameters
        ----------
        threshold : float or mapping of str to float
            A number from 0 to 1 for all labels, or numbers by label id; the others keep theirs.

        Returns
        -------
        Recogniser

        Raises
        ------
        UsageError
            For a number outside 0 to 1, or a label that the model does not have.
        """
        other = copy(self)
        other._set_threshold(threshold)
        return other

    @property
    def notice(self) -> str:
        """What to tell people when the device that was asked for cannot be used; mostly empty."""
        return self._network.notice

    @property
    def config(self) -> ModelConfig:
        """The model's configuration, with the thresholds in use."""
        return self._config

    @property
    def fingerprint(self) -> str:
        """What tells this model from any other, or from itself with other thresholds: a SHA-256."""
        digest = sha256_of(self._bundle.folder / model_folder.CONFIG)
        if self._config.thresholds == self._bundle.config.thresholds:
            return digest
        return sha256(f"{digest} {self._config.thresholds}".encode()).hexdigest()

    @property
    def labels(self) -> tuple[Label, ...]:
        """What the model can detect, in its order."""
        return self.config.labels

    def logits(self, features: Array) -> Array:
        """Return the network's own numbers, before calibration.

        Parameters
        ----------
        features : ndarray, shape (batch, frames, width)
            As `whoplays.features.compute` gives them with the model's settings.

        Returns
        -------
        ndarray of float32, shape (batch, outputs)
        """
        return self._network.run(features)["logits"]

    def predict(
        self,
        source: Source,
        *,
        sample_rate: int | None = None,
        start: Time = 0.0,
        end: Time | None = None,
        duration: float | None = None,
        threshold: Threshold | None = None,
        track: int | None = None,
        strict: bool = False,
        embed: bool = False,
    ) -> Prediction:
        """Detect the instruments of one recording, or of a part of it. Only one window is held at a time.

        Parameters
        ----------
        source
            A path, a binary file that can seek, or samples (n,) or (n, channels) from -1 to 1 with their `sample_rate`.
        sample_rate
            Of samples, in Hz.
        start, end
            The part: seconds from the beginning of the recording, or text such as "1:15.5"; `end` None: to its end.
        duration
            Seconds of the part, in place of `end`.
        threshold
            For this call, as of `with_threshold`.
        track
            Which of several tracks with sound, from 1. None: the default one.
        strict
            Whether damage is an error. Otherwise silence stands for what cannot be decoded, and a warning names it.
        embed
            Whether the prediction has embeddings as well: `embedding` and `frame_embeddings`.

        Returns
        -------
        Prediction
            Its times count from the beginning of the recording.

        Raises
        ------
        AudioError
            For a recording that cannot be used, with its path in `path`; a missing file is a `FileNotFoundError` as well.
        UsageError
            For a call that cannot be meant.
        """
        check_source(source)
        start, duration = part(start, end, duration)
        if track is not None and track < 1:
            raise UsageError(f"track is {track}; tracks are numbered from 1")
        if threshold is not None:
            return self.with_threshold(threshold).predict(
                source, sample_rate=sample_rate, start=start, duration=duration, track=track, strict=strict, embed=embed
            )
        rate = self.config.features.sample_rate
        with opened(source, rate, sample_rate, start, duration, track=track, strict=strict) as (sound, path):
            return self._predict_sound(sound, path, start, embed=embed)

    def embed(
        self,
        source: Source,
        *,
        sample_rate: int | None = None,
        start: Time = 0.0,
        end: Time | None = None,
        duration: float | None = None,
        over_time: bool = False,
    ) -> Array:
        """Return a vector that describes how a recording sounds, for search and for models of your own.

        Parameters
        ----------
        source, sample_rate, start, end, duration
            As of `predict`.
        over_time
            Return a vector for each step (about 0.32 s) instead of one for the whole.

        Returns
        -------
        ndarray of float32, shape (width,) or (frames, width)
            Of unit length: the scalar product of two is their cosine similarity. Zeros for silence, and one row of
            zeros for samples that are NaN or infinite: those are similar to nothing.

        Raises
        ------
        ModelError
            When the model has no embedding.
        AudioError
            For a recording that cannot be used, as in `predict`.

        Examples
        --------
        >>> import numpy as np, whoplays
        >>> recogniser = whoplays.load()
        >>> tone = np.sin(np.arange(44100) * 0.06)
        >>> recogniser.embed(tone, sample_rate=44100).shape
        (128,)
        """
        self._network.require_embedding()
        try:
            found = self.predict(source, sample_rate=sample_rate, start=start, end=end, duration=duration, embed=True)
        except NotFiniteError:
            return np.zeros((1, self.embedding_width) if over_time else self.embedding_width, np.float32)
        vectors = found.frame_embeddings if over_time else found.embedding
        assert vectors is not None
        return vectors

    @property
    def network_checksum(self) -> str:
        """SHA-256 of the network: embeddings of the same one can be compared."""
        return self._bundle.sha256[model_folder.NETWORK]

    @property
    def embedding_width(self) -> int:
        """Values of an embedding; 0 where the model has none."""
        return self._network.embedding_width

    def predict_decoded(self, decoded: Decoded, path: str, *, start: float = 0.0, embed: bool = False) -> Prediction:
        """Predict what a process of its own decodes; the answer is that of `predict`.

        Parameters
        ----------
        decoded : Decoded
            Of audio/decoder.py.
        path : str
            Of the prediction.
        start : float
            Where the decoded part begins in the recording, in seconds.
        embed : bool
            As of `predict`.

        Returns
        -------
        Prediction

        Raises
        ------
        AudioError
            For a recording that cannot be used.
        """
        return self._predict_sound(decoded, path, start, embed=embed)

    def predict_stream(self, blocks: Iterable[NDArray[Any]], *, sample_rate: int) -> Prediction:
        """Predict samples as they come, to the last one; the answer is that of a file with the same samples.

        Parameters
        ----------
        blocks : iterable of ndarray, shape (n,) or (n, channels)
            Samples from -1 to 1.
        sample_rate : int
            Of the samples, in Hz.

        Returns
        -------
        Prediction

        Raises
        ------
        AudioError
            For samples that cannot be used: too few, not finite.
        """
        rate = self.config.features.sample_rate
        return self._predict_sound(reading.from_blocks(blocks, sample_rate, sample_rate=rate), "", 0.0)

    def _predict_sound(self, sound: reading.Sound, path: str, start: float, *, embed: bool = False) -> Prediction:
        rate = self.config.features.sample_rate
        if embed:
            self._network.require_embedding()
        embedded = Rows(np.float32) if embed else None
        found, times, repeated = self._network_outputs(sound.blocks(), embedded)
        duration = float(times[-1]) / rate
        if duration < MIN_DURATION:
            raise AudioError(
                f"has {duration:.3f} s of sound{f' after {start:g} s' if start else ''}; {MIN_DURATION} s are needed"
            )
        frames = self._frame_scores(found)
        scores = self.config.recording_scores(*(repeated or found))
        answer = self._prediction(path, duration, sound.sample_rate, scores, frames, start + times / rate)
        if embedded:
            rows = embedded.array()
            answer = replace(answer, embedding=embedding.whole(rows), frame_embeddings=embedding.unit(rows))
        return replace(answer, warnings=[*sound.warnings(duration), *_about(answer)])

    def network_outputs(self, samples: Array) -> NetworkOutputs:
        """Return what the scores of a recording are pooled from, for fitting another pooling.

        Parameters
        ----------
        samples : ndarray, shape (n,)
            Mono, at the model's own rate.

        Returns
        -------
        NetworkOutputs
            Of a recording shorter than a window, all steps of the window that it is repeated to.
        """
        found, _, repeated = self._network_outputs([samples])
        return repeated or found

    def _network_outputs(
        self, blocks: Iterable[Array], embedded: Rows | None = None
    ) -> tuple[NetworkOutputs, NDArray[np.float64], NetworkOutputs | None]:
        """Return the outputs over time, the borders of their steps in samples, and those of a short recording repeated.

        embedded: takes in the embedding of each step.
        """
        rate = self.config.features.sample_rate
        logits, attention, times = Rows(np.float32), Rows(np.float16), Rows(np.float64)
        repeated, n = None, 0
        for window in self._windows(blocks):
            found, starts, inside = self._run(window, embed=embedded is not None)
            if embedded is not None:
                embedded.add(found[model_folder.EMBEDDING][inside])
            logits.add(found["frame_logits"][inside])
            if "attention" in found:
                attention.add(found["attention"][inside])
            times.add(starts[inside])
            n = window.last
            if len(window.samples) < round(self.config.min_window_s * rate) and self.config.padding == "repeat":
                steps = len(found["frame_logits"])
                lengths = np.full(steps, self.config.min_window_s / steps)
                repeated = NetworkOutputs(found["frame_logits"], found.get("attention"), lengths)
        borders = np.append(times.array(), n)
        weights = attention.array() if n and self._network.attends else None
        return NetworkOutputs(logits.array(), weights, np.diff(borders) / rate), borders, repeated

    def _frame_scores(self, found: NetworkOutputs) -> Array:
        """Return scores over time (steps, labels), averaged as the model's timeline asks for."""
        logits, n = found.logits, len(self.labels)
        if span_s := self.config.timeline.span_s:
            weights = None if found.attention is None else found.attention[:, :n]
            logits = attended(logits[:, :n], weights, found.lengths, span_s).astype(np.float32)
        return self._network.frame_scores(logits)

    def _windows(self, blocks: Iterable[Array]) -> Iterator[Window]:
        rate = self.config.features.sample_rate
        for window in windows(blocks, round(self.config.window_s * rate), round(self.config.context_s * rate)):
            yield window
            if self.on_progress:
                self.on_progress(window.last / rate)

    def _run(self, window: Window, *, embed: bool = False) -> tuple[_Found, NDArray[np.float64], NDArray[np.bool_]]:
        """Return what the network gives for a window, where each step starts, in samples, and which it answers for."""
        samples = self._filled(window.samples)
        log_mel = self._features(samples)
        found: _Found = {name: values[0] for name, values in self._network.run(log_mel[None], embed=embed).items()}
        if embed:  # what is silent has zeros
            vectors = found[model_folder.EMBEDDING]
            heard = embedding.sounding(log_mel, len(vectors), self.config.features.log_offset)
            found[model_folder.EMBEDDING] = np.asarray(vectors * heard[:, None], dtype=np.float32)
        steps = len(found["frame_logits"])
        if steps == 1:
            return found, np.array([float(window.first)]), np.ones(1, dtype=bool)
        starts = window.start + np.arange(steps, dtype=np.float64) * (len(samples) / steps)
        return found, starts, (starts > window.first - 1) & (starts < window.last - 1)

    def latest_scores(self, samples: Array, span_s: float) -> dict[str, float]:
        """Return what plays at the end of a stretch of sound, for showing scores live.

        Parameters
        ----------
        samples : ndarray, shape (n,)
            Mono, at the model's own rate. Of more than a window, the last window counts.
        span_s : float
            The scores are means over so many seconds at the end, seen together with the sound before them.

        Returns
        -------
        dict
            Label -> score from 0 to 1; all 0 for less than `MIN_DURATION`.
        """
        rate = self.config.features.sample_rate
        samples = samples[-round(self.config.window_s * rate) :]
        if len(samples) < MIN_DURATION * rate:
            return {label.id: 0.0 for label in self.labels}
        found, starts, inside = self._run(Window(samples, 0, 0, len(samples)))
        last = max(1, int((starts[inside] > len(samples) - span_s * rate - 1).sum()))
        means = self._network.frame_scores(found["frame_logits"][inside][-last:]).mean(axis=0)
        return {label.id: round(float(score), 5) for label, score in zip(self.labels, means, strict=True)}

    def _features(self, samples: Array) -> Array:
        """Return the features of samples (n,) without the frame centred on their end, so that frames fill steps evenly."""
        settings = self.config.features
        found = features.compute(samples, settings)
        return found if settings.n_time_bins is not None else found[: max(1, len(samples) // settings.hop_length)]

    def _filled(self, samples: Array) -> Array:
        shortest = round(self.config.min_window_s * self.config.features.sample_rate)
        if not 0 < len(samples) < shortest:
            return samples
        if self.config.padding == "repeat":
            return np.resize(samples, shortest)
        return np.concatenate([samples, np.zeros(shortest - len(samples), dtype=np.float32)])

    def _prediction(
        self,
        path: str,
        duration: float,
        sample_rate: int,
        pooled: NDArray[Any],
        frames: Array,
        times: NDArray[np.float64],
    ) -> Prediction:
        scores = {label.id: round(float(score), 5) for label, score in zip(self.labels, pooled, strict=True)}
        limits = dict(zip(scores, self.config.thresholds, strict=True))
        lower = {label.id: limit for label, limit in zip(self.labels, self.config.maybe, strict=True)}
        playing = list(self.config.tree.expand(label for label, score in scores.items() if score >= limits[label]))
        likely = self.config.tree.expand(label for label, score in scores.items() if score >= lower[label])
        maybe = [label for label in likely if label not in playing]
        segments = self.segments(frames, times, playing)
        return Prediction(
            path,
            round(duration, 3),
            sample_rate,
            self.config.id,
            scores,
            playing,
            segments,
            frames,
            times,
            maybe=maybe,
            labels=self.labels,
        )

    def segments(self, frames: Array, times: NDArray[np.float64], labels: Collection[str]) -> list[Segment]:
        """Return when labels play that are known, or assumed, to play in the recording.

        Parameters
        ----------
        frames : ndarray, shape (steps, labels)
            Scores over time: `Prediction.frame_scores`.
        times : ndarray, shape (steps + 1,)
            The borders of the steps in seconds: `Prediction.frame_times`.
        labels : collection of str
            Their ids.

        Returns
        -------
        list of Segment
            Sorted by start, at one start in the model's order; each label has at least one.
        """
        found = [
            Segment(label.id, round(s.start, 2), round(s.end, 2), round(s.score, 4))
            for i, (label, limit) in enumerate(zip(self.labels, self.config.thresholds, strict=True))
            if label.id in labels
            for s in likely_intervals(frames[:, i], times, limit, self.config.timeline)
        ]
        return sorted(found, key=lambda segment: segment.start)


def _about(answer: Prediction) -> list[quality.QualityWarning]:
    return quality.about_answer(answer.playing, [(s.start, s.end) for s in answer.segments], answer.duration)
