"""Results in the formats that the command line writes, by the same writers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import Response

from ..inference.prediction import result_of
from ..results.formats import FORMATS, writer
from ..taxonomy.tree import Label
from .problems import Problem


def written(results: Sequence[Mapping[str, Any]], form: str, labels: Sequence[Label], lang: str) -> Response:
    """Return the results as a file to save. Raises `Problem` where the format, or this model, does not know them."""
    kind = writer(form)
    if len(results) > 1 and not kind.many:
        raise Problem("invalid", f"format: {form} holds one recording, and there are {len(results)}")
    known = {label.id for label in labels}
    for result in (one for one in results if "error" not in one):
        named = {*result["playing"], *(segment["label"] for segment in result["segments"])}
        if set(result["scores"]) != known or not named <= known:
            told = f"results: this model scores {', '.join(sorted(known))}, neither more nor fewer"
            raise Problem("invalid", told[:300])
    chosen = kind(labels, lang)
    text = chosen.head() + "".join(chosen.item(result_of(result)) for result in results) + chosen.tail()
    headers = {"Content-Disposition": f'attachment; filename="whoplays{kind.suffix}"', "Cache-Control": "no-store"}
    return Response(text.encode(), media_type=FORMATS[form][2], headers=headers)
