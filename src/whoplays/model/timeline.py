"""How a model's scores over time become segments; `inference/segmentation.py` does it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from ..errors import ModelError


@dataclass(frozen=True, kw_only=True)
class TimelineSettings:
    """How scores become segments; a model carries its own.

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
