"""Recogniser: recording -> Prediction. Base install only: no training framework, no librosa, no plotting."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from copy import copy
from dataclasses import replace
from hashlib import sha256
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..audio import quality, reading
from ..audio.times import Time, part
from ..audio.windows import Window, windows
from ..errors import AudioError, ModelError, NotFiniteError, UsageError
from ..model import folder as model_folder
from ..model import thresholds
from ..model.config import ModelConfig
from ..model.thresholds import Threshold
from ..runtime.arguments import checked
from ..storage.files import sha256_of
from ..taxonomy.tree import Label
from . import embedding, scoring
from .prediction import Prediction, Segment
from .scoring import NetworkOutputs
from .segmentation import intervals_by_label
from .source import Source, check_source, opened

Array = NDArray[np.float32]
MIN_DURATION = 0.02  # seconds; less is a click, whatever made it


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

    Attributes
    ----------
    on_window : callable, optional
        Called with each window before it is analysed, for showing progress; what it raises ends the prediction.

    Raises
    ------
    ModelError
        When the folder cannot be used.
    UsageError
        For an unknown device or a threshold outside 0 to 1.
    """

    on_window: Callable[[Window], None] | None = None

    @checked
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
        self._bundle, self._network = model_folder.load(model, threads=threads, device=device)
        self._config = self._bundle.config
        if threshold is not None:
            self._set_threshold(threshold)

    def __repr__(self) -> str:
        device = self._opened_with["device"]
        return f"<Recogniser {self.config.id}: {len(self.labels)} labels, {self.config.window_s:g} s windows, {device}>"

    def __copy__(self) -> Self:
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

    @checked
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
        """A message for the user when the requested device cannot be used; mostly empty."""
        return self._network.notice

    @property
    def config(self) -> ModelConfig:
        """The model's configuration, with the thresholds in use."""
        return self._config

    @property
    def fingerprint(self) -> str:
        """What distinguishes this model from any other, or from itself with other thresholds: a SHA-256."""
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

    @checked
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
        start
            Where the part begins: seconds from the beginning of the recording, or text such as "1:15.5".
        end
            Where it ends, in the same way. None: at the end of the recording.
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
        recogniser = self if threshold is None else self.with_threshold(threshold)
        rate = self.config.features.sample_rate
        excerpt: reading.Excerpt = {"start": start, "duration": duration, "track": track, "strict": strict}
        with opened(source, rate, sample_rate, excerpt) as (sound, path):
            return recogniser.predict_sound(sound, path, start=start, embed=embed)

    @checked
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
            As for `predict`.
        over_time
            Return a vector for each step (about 0.32 s) instead of one for the whole.

        Returns
        -------
        ndarray of float32, shape (width,) or (steps, width)
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

    def predict_sound(
        self, sound: reading.Sound, path: str = "", *, start: float = 0.0, embed: bool = False
    ) -> Prediction:
        """Predict from sound at the model's rate, as it comes.

        Parameters
        ----------
        sound : Sound
            Of audio/reading.py; or what a process of its own decodes.
        path : str
            Of the prediction.
        start : float
            Where the sound begins in the recording, in seconds.
        embed : bool
            As of `predict`.

        Returns
        -------
        Prediction

        Raises
        ------
        AudioError
            For sound that cannot be used.
        """
        if embed:
            self._network.require_embedding()
        found = scoring.analyse(self._network, self._windows(sound.blocks()), embed=embed)
        rate = self.config.features.sample_rate
        seconds = float(found.borders[-1]) / rate
        if seconds < MIN_DURATION:
            if not start:
                raise AudioError(f"has {seconds:.3f} s of sound; {MIN_DURATION} s are needed")
            if not seconds:
                raise AudioError(f"ends before {start:g} s, the time to start at")
            raise AudioError(f"has {seconds:.3f} s of sound after {start:g} s; {MIN_DURATION} s are needed")
        duration = round(seconds, 3)
        frames, times = scoring.frame_scores(self._network, found.outputs), start + found.borders / rate
        pooled = self.config.recording_scores(*(found.repeated or found.outputs))
        scores = {label.id: round(float(score), 5) for label, score in zip(self.labels, pooled, strict=True)}
        playing = self._reaching(scores, self.config.thresholds)
        maybe = [label for label in self._reaching(scores, self.config.maybe) if label not in playing]
        segments = self.segments(frames, times, playing)
        warnings = sound.warnings(seconds)
        if not quality.is_silent(warnings):
            warnings += quality.about_answer(playing, [(s.start, s.end) for s in segments], duration)
        return Prediction(
            path=path,
            duration=duration,
            sample_rate=sound.sample_rate,
            model=self.config.id,
            scores=scores,
            playing=playing,
            maybe=maybe,
            segments=segments,
            frame_scores=frames,
            frame_times=times,
            warnings=warnings,
            labels=self.labels,
            embedding=None if found.vectors is None else embedding.whole(found.vectors),
            frame_embeddings=None if found.vectors is None else embedding.unit(found.vectors),
        )

    def _windows(self, blocks: Iterable[Array]) -> Iterator[Window]:
        rate = self.config.features.sample_rate
        for window in windows(blocks, round(self.config.window_s * rate), round(self.config.context_s * rate)):
            if self.on_window:
                self.on_window(window)
            yield window

    def _reaching(self, scores: Mapping[str, float], limits: Iterable[float]) -> list[str]:
        """Return the labels whose score reaches its limit, with the families of such instruments."""
        pairs = zip(scores.items(), limits, strict=True)
        return list(self.config.tree.expand(label for (label, score), limit in pairs if score >= limit))

    @checked
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
        return self.predict_sound(reading.from_blocks(blocks, sample_rate, sample_rate=rate))

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
        found = scoring.analyse(self._network, self._windows([samples]))
        return found.repeated or found.outputs

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
        found, starts, inside = scoring.run(self._network, Window(samples, 0, 0, len(samples)))
        last = max(1, int((starts[inside] > len(samples) - span_s * rate - 1).sum()))
        means = self._network.frame_scores(found["frame_logits"][inside][-last:]).mean(axis=0)
        return {label.id: round(float(score), 5) for label, score in zip(self.labels, means, strict=True)}

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
            Sorted by start, at one start in the model's order; each label has at least one, an instrument's within its
            family's.
        """
        found = intervals_by_label(frames, times, labels, self.config)
        segments = [
            Segment(label, round(s.start, 2), round(s.end, 2), round(s.score, 4))
            for label, intervals in found.items()
            for s in intervals
        ]
        return sorted(segments, key=lambda segment: segment.start)
