"""Results in the formats that the command line writes, by the same writers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from ..inference.prediction import Failure, Prediction
from ..results.formats import writer
from ..taxonomy.tree import Label
from .problems import Problem


@dataclass(frozen=True)
class Form:
    """How a format travels."""

    media_type: str
    suffix: str


FORMATS = {
    "json": Form("application/json", "json"),
    "jsonl": Form("application/jsonl", "jsonl"),
    "csv": Form("text/csv", "csv"),
    "audacity": Form("text/plain", "txt"),
    "jams": Form("application/vnd.jams+json", "jams"),
    "rttm": Form("text/plain", "rttm"),
    "text": Form("text/plain", "txt"),
}


def result_of(values: Mapping[str, Any]) -> Prediction | Failure:
    """Return what `to_dict` was called on."""
    return Failure(values["path"], values["error"]) if "error" in values else Prediction.from_dict(values)


def written(results: Sequence[Mapping[str, Any]], form: str, labels: Sequence[Label], lang: str) -> Response:
    """Return the results as a file to save. Raises `Problem` where the format, or this model, does not know them."""
    kind = writer(form)
    if len(results) > 1 and not kind.many:
        raise Problem("invalid", f"format: {form} holds one recording, and there are {len(results)}")
    for result in results:
        _check(result, {label.id for label in labels})
    chosen = kind(labels, lang)
    text = chosen.head() + "".join(chosen.item(result_of(result)) for result in results) + chosen.tail()
    told = FORMATS[form]
    headers = {
        "Content-Disposition": f'attachment; filename="whoplays.{told.suffix}"',
        "Cache-Control": "no-store",
    }
    return Response(text.encode(), media_type=told.media_type, headers=headers)


def _check(result: Mapping[str, Any], known: set[str]) -> None:
    if "error" in result:
        return
    named = {*result["playing"], *(segment["label"] for segment in result["segments"])}
    if set(result["scores"]) != known or not named <= known:
        raise Problem("invalid", f"results: this model scores {', '.join(sorted(known))}, neither more nor fewer"[:300])
