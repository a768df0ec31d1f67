"""The shapes that go over the wire, for OpenAPI and for checking what comes in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from ..audio import times
from ..errors import UsageError

Seconds = Annotated[float, Field(ge=0, le=1e7, allow_inf_nan=False, description="Seconds from the recording's start.")]
Score = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Id = Annotated[str, Field(max_length=100)]


def seconds(value: Any) -> Any:
    """Return a time that a client gave in seconds. Raises `ValueError`, which is an answer of status 422."""
    try:
        return None if value is None else times.seconds(value)
    except UsageError as error:
        raise ValueError(str(error)) from None


_NUMBER = {"type": "number", "minimum": 0, "maximum": 1e6}
#: of a query's time: what reads it, and how OpenAPI describes it
TIME = (
    BeforeValidator(seconds),
    WithJsonSchema({"anyOf": [_NUMBER, {"type": "string", "pattern": f"^{times.CLOCK}$"}]}),
)

EXAMPLE: dict[str, Any] = {
    "path": "duet.flac",
    "duration": 12.34,
    "sample_rate": 44100,
    "model": "default@1",
    "scores": {"brass": 0.01, "drums": 0.03, "guitar": 0.94, "piano": 0.02, "strings": 0.91},
    "playing": ["guitar", "strings"],
    "segments": [{"label": "guitar", "start": 0.0, "end": 12.3, "score": 0.95}],
    "warnings": [],
    "schema": 1,
}


class Segment(BaseModel):
    """A stretch in which a label plays."""

    label: Id
    start: Seconds
    end: Seconds
    score: Score


class QualityWarning(BaseModel):
    """What in the recording could mislead."""

    code: Id
    message: Annotated[str, Field(max_length=1000)]
    advice: Annotated[str, Field(max_length=1000)]


Packed = Annotated[
    str, Field(max_length=1_000_000, description="With details=packed: a byte for each, 255 is 1, in base 64.")
]


class Details(BaseModel):
    """What a picture of the recording needs; only there on request."""

    start: Seconds
    end: Seconds
    peaks: Annotated[
        list[float] | Packed, Field(description="Outline: largest levels of even parts of the time analysed.")
    ]
    frame_scores: Annotated[dict[str, list[Score] | Packed], Field(description="Scores over time, on an even grid.")]
    segments: Annotated[list[Segment], Field(description="Of all labels that lower thresholds could show.")] = []
    active_ratio: Annotated[dict[str, Score], Field(description="Share of the time in which each label plays.")]


class Prediction(BaseModel):
    """What was detected in one recording: the same object as the command line's JSON line."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [EXAMPLE]})

    path: Annotated[str, Field(max_length=1000, description="The uploaded file's name.")]
    duration: Seconds
    sample_rate: Annotated[int, Field(ge=1, le=1_000_000, description="Hz")]
    model: Id
    scores: Annotated[dict[Id, Score], Field(max_length=1000, description="How likely it is that each label plays.")]
    playing: Annotated[list[Id], Field(max_length=1000, description="Labels whose score reaches the threshold.")]
    maybe: Annotated[list[Id], Field(max_length=1000, description="Those that miss it, but not by much.")] = []
    segments: Annotated[list[Segment], Field(max_length=100_000)]
    warnings: Annotated[list[QualityWarning], Field(max_length=100)] = []
    version: Annotated[int, Field(alias="schema", ge=1, description="Version of this object.")] = 1
    details: Annotated[Details | None, Field(exclude=True)] = None


class Failure(BaseModel):
    """A recording of a batch that could not be used."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"path": "a.mov", "error": "holds no sound, only video", "schema": 1}]}
    )

    path: Annotated[str, Field(max_length=1000)]
    error: Annotated[str, Field(max_length=1000)]
    version: Annotated[int, Field(alias="schema", ge=1, description="Version of this object.")] = 1


class Batch(BaseModel):
    """One entry for each file, in the order given."""

    results: list[Prediction | Failure]


class LabelName(BaseModel):
    """A label: its id, its family, what people call it, and its colour."""

    id: str
    parent: Annotated[str | None, Field(description="The family that it belongs to; null for a family.")]
    en: str
    pl: str
    colour: Annotated[str, Field(description="#rrggbb; instruments have shades of their family's.")]
    threshold: Annotated[float, Field(description="The score from which on it counts as playing.")]
    maybe: Annotated[float, Field(description="The lower one, from which on it may play.")]


class Limits(BaseModel):
    """How much can be sent at once."""

    max_upload_mb: int
    max_duration_s: float
    max_files: int


class OperatingPoint(BaseModel):
    """What moving all thresholds costs, as measured on real songs (see `model/thresholds.py`)."""

    position: Annotated[
        float, Field(ge=-1, le=1, description="-1: fewer mistakes; 0: the model's own; 1: misses nothing.")
    ]
    precision: Annotated[float, Field(ge=0, le=1, description="Of what is named, the ratio that plays.")]
    recall: Annotated[float, Field(ge=0, le=1, description="Of what plays, the ratio that is named.")]


def operating_points(training: Mapping[str, Any]) -> list[OperatingPoint]:
    """Return those that a model's facts about its training hold; none where they are missing or malformed."""
    try:
        return [OperatingPoint(**point) for point in training.get("operating_points", ())]
    except (TypeError, ValueError):
        return []


class Labels(BaseModel):
    """What the model can detect, in its order."""

    model: str
    labels: list[LabelName]
    limits: Limits
    operating_points: list[OperatingPoint] = []


class Health(BaseModel):
    """Whether recordings can be analysed."""

    status: str
    model: str
    version: str
    workers: int


class ToWrite(BaseModel):
    """Results to be written in another format."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"results": [EXAMPLE]}]})

    results: Annotated[list[Prediction | Failure], Field(min_length=1, max_length=1000)]
