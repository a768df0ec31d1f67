"""What a recogniser answers: `Prediction`, with `Segment`s, or `Failure`. How they look elsewhere is in results/."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from ..audio.quality import QualityWarning, is_silent
from ..errors import UsageError, printable
from ..runtime.arguments import checked
from ..runtime.packages import needed
from ..taxonomy.tree import Label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float32]

SCHEMA = 1  # version of results as JSON: results/schemas/result.json


@dataclass(frozen=True)
class Segment:
    """A maximal span of time in which a label plays.

    Attributes
    ----------
    label : str
        Its id.
    start, end : float
        Seconds from the start of the recording.
    score : float
        The mean score within, 0 to 1.
    """

    label: str
    start: float
    end: float
    score: float

    def to_dict(self) -> dict[str, Any]:
        """Return the segment as the JSON line holds it."""
        return {"label": self.label, "start": self.start, "end": self.end, "score": self.score}


@dataclass(frozen=True, repr=False)
class Prediction:
    """What was detected in one recording. In a notebook it shows itself: a player, and lanes over time.

    Attributes
    ----------
    path : str
        As it was given; "-" for standard input, "" for samples.
    duration : float
        Seconds that were analysed.
    sample_rate : int
        Of the recording, in Hz.
    model : str
        Name and version, such as "default@5".
    scores : dict of str to float
        Label id -> probability that it plays at some time in the recording, in the model's order of labels.
    playing, maybe : list of str
        The ids whose score reaches the model's threshold, with the families of such instruments; and those that miss it, but
        not by much (the model's second, lower threshold).
    segments : list of Segment
        When those that play do, sorted by start.
    frame_scores : ndarray of float32, shape (steps, labels)
        Scores over time: step i lasts from `frame_times[i]` to `frame_times[i + 1]`.
    frame_times : ndarray of float64, shape (steps + 1,)
        In seconds.
    warnings : list of QualityWarning
        What in the recording could mislead.
    labels : tuple of Label
        Names and colours of the scores' labels, in their order, which is that of the columns of `frame_scores`.
    embedding, frame_embeddings : ndarray of float32, shape (width,) and (steps, width), or None
        Of the whole and of each step, when requested; see `Recogniser.embed`.
    """

    path: str
    duration: float
    sample_rate: int
    model: str
    scores: dict[str, float]
    playing: list[str]
    segments: list[Segment]
    frame_scores: Array = field(repr=False, compare=False)
    frame_times: NDArray[np.float64] = field(repr=False, compare=False)
    warnings: list[QualityWarning] = field(default_factory=list)
    maybe: list[str] = field(default_factory=list)
    labels: tuple[Label, ...] = field(default=(), compare=False)
    embedding: Array | None = field(default=None, compare=False)
    frame_embeddings: Array | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not self.labels:
            object.__setattr__(self, "labels", _labels_for(tuple(self.scores)))

    @property
    def silent(self) -> bool:
        """Whether the recording holds no sound."""
        return is_silent(self.warnings)

    def __repr__(self) -> str:
        by_score = sorted(self.playing, key=lambda label: -self.scores[label])
        found = ", ".join(f"{label} {self.scores[label]:.2f}" for label in by_score)
        doubt = f"; maybe {', '.join(self.maybe)}" if self.maybe else ""
        about = f"{self.path or '(samples)'}, {self.duration:g} s, {self.model}"
        return printable(f"<Prediction {about}: {found or ('silence' if self.silent else 'nothing plays')}{doubt}>")

    def _repr_html_(self) -> str:
        """Return what a notebook shows: title, player, lanes over time, in one piece that loads nothing."""
        return str(_results("html.snippet").snippet(self))

    @checked
    def plot(self, *, frames: bool = False, lang: str = "en") -> Figure:
        """Draw the recording: its waveform, what plays when, and the scores (extra: plot).

        Parameters
        ----------
        frames : bool
            Draw the scores over time in place of the waveform; so are samples, whose sound is not kept.
        lang : str
            Language of the words, "en" or "pl".

        Returns
        -------
        matplotlib.figure.Figure
            A notebook shows it; `savefig("song.png")` writes it.

        Raises
        ------
        MissingExtraError
            Without matplotlib.
        """
        with needed("plot()", "plot"):
            drawing = _results("plot")
        figure: Figure = drawing.prediction_figure(self, frames=frames, lang=lang)
        return figure

    @checked
    def frame_scores_frame(self, *, library: str | None = None) -> Any:
        """Return `frame_scores` as a table with a row for each step: start, end, and a column for each label.

        Parameters
        ----------
        library : str, optional
            "pandas" or "polars"; None: pandas where it is installed, else polars.

        Returns
        -------
        pandas.DataFrame or polars.DataFrame
        """
        return _results("dataframe").frames(self, library=library)

    def __hash__(self) -> int:
        """Return the same for equal predictions, so that they can be members of sets."""
        return hash((self.path, self.duration, self.model, frozenset(self.scores.items()), tuple(self.playing)))

    def active_ratio(self) -> dict[str, float]:
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
            "maybe": list(self.maybe),
            "segments": [segment.to_dict() for segment in self.segments],
            "warnings": [warning.to_dict() for warning in self.warnings],
            "schema": SCHEMA,
        }

    @classmethod
    @checked
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote; scores over time are not in it, so `frame_scores` is empty.

        Parameters
        ----------
        values : mapping
            A line of `whoplays predict --format jsonl`.

        Returns
        -------
        Prediction
        """
        return cls(
            **{name: values[name] for name in ("path", "duration", "sample_rate", "model")},
            scores=dict(values["scores"]),
            playing=list(values["playing"]),
            segments=[Segment(**segment) for segment in values["segments"]],
            frame_scores=np.zeros((0, len(values["scores"])), dtype=np.float32),
            frame_times=np.zeros(1),
            maybe=list(values.get("maybe", [])),
            warnings=[QualityWarning(**warning) for warning in values.get("warnings", [])],
        )


@dataclass(frozen=True)
class Failure:
    """A recording that could not be used.

    Attributes
    ----------
    path : str
        As it was given.
    error : str
        Why, in one line.
    """

    path: str
    error: str

    def to_dict(self) -> dict[str, Any]:
        """Return this recording's JSON line."""
        return {"path": self.path, "error": self.error, "schema": SCHEMA}


Result = Prediction | Failure


def result_of(values: Mapping[str, Any]) -> Result:
    """Return what `to_dict` was called on."""
    return Failure(values["path"], values["error"]) if "error" in values else Prediction.from_dict(values)


def _results(module: str) -> Any:
    """Return a module of results/, which is built on this one and so is loaded on first use."""
    return import_module(f"whoplays.results.{module}")


@lru_cache(maxsize=64)
def _labels_for(ids: tuple[str, ...]) -> tuple[Label, ...]:
    """Return the labels of scores whose model is not at hand: those of the catalogue, others by their id."""
    from ..taxonomy.catalogue import catalogue

    try:
        known = {label.id: label for label in catalogue().labels_for(ids)}
    except UsageError:  # an id that no label can have
        known = {}
    return tuple(known.get(one) or Label(one, None, one, one, "#7d8590") for one in ids)
