"""What a model carries beside its weights, as `config.json` holds it: labels, features, windows, thresholds, calibration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError, require
from ..features import FeatureSettings
from ..taxonomy.tree import Label, Tree
from .pooling import Pooling

FORMAT = 2
MAX_NUMBERS = 1 << 28  # of a window's samples, spectrum or pooling: 1 GiB
MAX_NAME = 100  # characters of the model's name and version


@dataclass(frozen=True)
class Calibration:
    """probability = activation(scale * logit + bias), one pair a label (Platt 1999; scale alone is temperature scaling)."""

    scale: tuple[float, ...]
    bias: tuple[float, ...]

    def to_dict(self) -> dict[str, list[float]]:
        """Return what `config.json` holds."""
        return {"scale": list(self.scale), "bias": list(self.bias)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` returned. Raises `KeyError`, `TypeError` or `ValueError` for anything else."""
        return cls(*(tuple(float(v) for v in values[name]) for name in ("scale", "bias")))

    @classmethod
    def identity(cls, n_labels: int) -> Self:
        """Return the calibration that changes nothing."""
        return cls((1.0,) * n_labels, (0.0,) * n_labels)


@dataclass(frozen=True, kw_only=True)
class TimelineSettings:
    """How scores over time become segments (inference/segmentation.py); a model carries its own.

    span_s: seconds over which scores are first averaged, weighted by the network's attention (model/pooling.py); 0 for none.
    threshold: the score at which a label that plays in the recording starts; None for the label's own threshold.
    low: the lower threshold as a share of the upper one. max_gap_s: rests up to this long are closed.
    min_length_s: intervals shorter than this are dropped (unless the recording itself is shorter).
    """

    span_s: float = 0.0
    threshold: float | None = None
    low: float = 0.6
    max_gap_s: float = 0.8
    min_length_s: float = 0.5

    def __post_init__(self) -> None:
        lengths = (self.span_s, self.max_gap_s, self.min_length_s)
        limits = (self.low, 1.0 if self.threshold is None else self.threshold)
        if not (all(0 < limit <= 1 for limit in limits) and all(0 <= length <= 60 for length in lengths)):
            raise ModelError(f"timeline settings are out of range: {self}")

    def to_dict(self) -> dict[str, float | None]:
        """Return the settings as JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Read what `to_dict` wrote. Raises `ModelError` for unknown names."""
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise ModelError(f"timeline settings: unknown {', '.join(unknown)}")
        given: dict[str, Any] = {name: None if value is None else float(value) for name, value in values.items()}
        return cls(**given)


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """All that a model carries beside its weights.

    activation: "sigmoid" (independent) or "softmax" (the labels share one unit of probability).
    window_s: seconds the network reads at once. context_s: seconds at each end of a window that it does not answer for;
    the windows before and after do. context: what the network's outputs after the labels stand for: trained, not good
    enough to be named, but known to the pooling's correction. pooling: from scores over time to the score of a recording
    (None: their mean).
    min_window_s, padding: a recording shorter than `min_window_s` is filled up, with "zeros" or by "repeat".
    thresholds: a label plays from its score upwards; maybe: it may play from this lower one upwards (() for none).
    calibration: of the network's logits for a whole window. frame_calibration: of those over time.
    training: facts for people (material, seed, epochs, quality); nothing reads them to decide.
    """

    name: str
    version: str
    labels: tuple[Label, ...]
    activation: str = "sigmoid"
    features: FeatureSettings
    window_s: float = 10.0
    min_window_s: float = 0.0
    padding: str = "zeros"
    context_s: float = 0.0
    context: tuple[str, ...] = ()
    pooling: Pooling | None = None
    thresholds: tuple[float, ...] = ()
    maybe: tuple[float, ...] = ()
    calibration: Calibration | None = None
    frame_calibration: Calibration | None = None
    timeline: TimelineSettings = field(default_factory=TimelineSettings)
    training: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Fill in what was left out, and refuse what does not fit together."""
        n = len(self.labels)
        if not self.thresholds:
            object.__setattr__(self, "thresholds", (0.5,) * n)
        lower = zip(self.maybe or self.thresholds, self.thresholds, strict=False)
        object.__setattr__(self, "maybe", tuple(min(pair) for pair in lower))
        if self.pooling is None:
            object.__setattr__(self, "pooling", Pooling.plain(n))
        if self.calibration is None:
            object.__setattr__(self, "calibration", Calibration.identity(n))
        if self.frame_calibration is None:
            object.__setattr__(self, "frame_calibration", self.calibration)
        try:
            tree = Tree(self.labels)
        except ValueError as error:
            raise ModelError(f"model configuration: {error}") from None
        assert self.pooling and self.calibration and self.frame_calibration
        pooling, outputs = self.pooling, n + len(self.context)
        pairs = [p for c in (self.calibration, self.frame_calibration, pooling) for p in (c.scale, c.bias)]
        checks = [
            (1 <= n <= 1000, f"{n} labels; 1 to 1000 are possible"),
            (
                all(0 < len(text) <= MAX_NAME and text.isprintable() for text in (self.name, self.version)),
                f"a name is empty, longer than {MAX_NAME} or not one printable line",
            ),
            (self.activation in ("sigmoid", "softmax"), f"activation is {self.activation!r}, not sigmoid or softmax"),
            (
                self.activation == "sigmoid" or len(tree.families) == n,
                "the labels of a softmax exclude each other, so none can be below another; sigmoid is needed",
            ),
            (0 <= pooling.share <= 1, f"pooling takes a share of {pooling.share} of the time, not 0 to 1"),
            (0 <= pooling.span_s <= 600, f"pooling averages over {pooling.span_s} s; 0 to 600 s are possible"),
            (
                len(pooling.correction) in (0, n)
                and all(len(row) == outputs and all(map(math.isfinite, row)) for row in pooling.correction),
                f"pooling's correction needs {n} rows of {outputs} finite numbers",
            ),
            (self.padding in ("zeros", "repeat"), f"padding is {self.padding!r}, not zeros or repeat"),
            (0.1 <= self.window_s <= 600, f"window_s is {self.window_s}; 0.1 to 600 s are possible"),
            (0 <= self.context_s <= 0.4 * self.window_s, f"context_s {self.context_s} is outside 0 to 0.4 of window_s"),
            (0 <= self.min_window_s <= self.window_s, f"min_window_s {self.min_window_s} is outside 0 to window_s"),
            (
                not 0.1 <= self.window_s <= 600 or _numbers(self.features, self.window_s) <= MAX_NUMBERS,
                f"a window of {self.window_s} s makes more than {MAX_NUMBERS:,} numbers with its features' settings",
            ),
            (
                len(self.thresholds) == n and all(0 <= t <= 1 for t in self.thresholds),
                f"{n} thresholds from 0 to 1 are needed",
            ),
            (
                len(self.maybe) == n and all(0 <= m <= 1 for m in self.maybe),
                f"{n} numbers from 0 to 1 are needed for maybe",
            ),
            (
                all(len(p) == n and all(map(math.isfinite, p)) for p in pairs),
                f"calibration needs {n} finite numbers each",
            ),
        ]
        require(checks, ModelError, "model configuration: {}")

    @cached_property
    def tree(self) -> Tree:
        """The labels as a tree."""
        return Tree(self.labels)

    def recording_scores(
        self, logits: NDArray[np.floating[Any]], attention: NDArray[np.floating[Any]] | None, lengths: NDArray[Any]
    ) -> NDArray[np.floating[Any]]:
        """Return a recording's scores (labels,) from the network's numbers over time; arguments as of `Pooling.scores`.

        No family has less than one of its instruments.
        """
        assert self.pooling
        return self.tree.raise_families(self.pooling.scores(logits, attention, lengths, activation=self.activation))

    @property
    def id(self) -> str:
        """name@version, as predictions name the model."""
        return f"{self.name}@{self.version}"

    def to_dict(self) -> dict[str, Any]:
        """Return what `config.json` holds (without the checksums)."""
        return {"format": FORMAT, **{one.name: _as_json(getattr(self, one.name)) for one in fields(self)}}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Read what `to_dict` wrote. Raises `ModelError` for another format, a missing or an impossible value."""
        version = values.get("format")
        if not isinstance(version, int) or isinstance(version, bool) or version < 1:
            raise ModelError("config.json has no format number; it was not written by whoplays")
        if version > FORMAT:
            raise ModelError(
                f"the model is of format {version}; this whoplays reads format {FORMAT}: pip install -U whoplays"
            )
        if version < FORMAT:
            raise ModelError(f"the model is of format {version}; this whoplays reads format {FORMAT}: train it again")
        try:
            return cls(
                name=_text(values["name"]),
                version=_text(values["version"]),
                labels=tuple(Label.from_dict(label) for label in values["labels"]),
                activation=values["activation"],
                features=FeatureSettings.from_dict(values["features"]),
                window_s=float(values["window_s"]),
                min_window_s=float(values.get("min_window_s", 0.0)),
                padding=values.get("padding", "zeros"),
                context_s=float(values.get("context_s", 0.0)),
                context=tuple(_text(v) for v in values.get("context", ())),
                pooling=Pooling.from_dict(values["pooling"]),
                thresholds=tuple(float(v) for v in values["thresholds"]),
                maybe=tuple(float(v) for v in values.get("maybe", ())),
                calibration=Calibration.from_dict(values["calibration"]),
                frame_calibration=Calibration.from_dict(values.get("frame_calibration") or values["calibration"]),
                timeline=TimelineSettings.from_dict(values.get("timeline", {})),
                training=dict(values.get("training", {})),
            )
        except KeyError as error:
            raise ModelError(f"config.json lacks {error.args[0]!r}") from None
        except (TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ModelError(f"config.json holds a value of the wrong kind ({error})") from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"text is needed, not {str(value)[:40]!r}")
    return value


def _numbers(settings: FeatureSettings, window_s: float) -> float:
    """Return the greatest number of values that predicting a window (at most 3/2 of `window_s`) holds at once."""
    samples = 1.5 * window_s * settings.sample_rate
    frames = 1 + samples / settings.hop_length
    return max(samples, frames * (1 + settings.n_fft // 2), frames * (settings.n_time_bins or 0))


def _as_json(value: Any) -> Any:
    """Return a field as JSON holds it: what has a `to_dict` by that, tuples as lists."""
    if hasattr(value, "to_dict"):
        return value.to_dict()
    return list(map(_as_json, value)) if isinstance(value, tuple) else value
