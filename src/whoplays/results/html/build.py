"""The report as a whole: what the page is told of a run, written recording by recording."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from ... import __version__
from ...inference.prediction import Failure, Prediction, Result
from ...inference.recogniser import Recogniser
from ...storage.files import write_atomically
from ...taxonomy.messages import speaker
from ..formats.base import clock
from .recording import Entry
from .template import as_json, filled

MOST_SHOWN = 300  # recordings with pictures and sound


def write(
    path: Path,
    results: Sequence[Result],
    recogniser: Recogniser,
    *,
    lang: str = "en",
    start: float = 0.0,
    why: bool = False,
) -> None:
    """Write the report, whole or not at all. A recording that cannot be read again says so on the page.

    results: what the run gave. recogniser: what made the predictions. lang: in which the page begins. start: seconds into each
    recording at which prediction began. why: add what each score hangs on (occlusion), which takes seconds a recording.
    Raises `WhoplaysError` when it cannot be written.
    """
    n = sum(isinstance(result, Prediction) for result in results)
    alone = Path(results[0].path).name or "whoplays" if len(results) == 1 else ""
    title = alone or speaker("report", lang)("title", count=len(results))
    before, after = filled(title, [_line(result, recogniser, lang) for result in results], lang)

    def content(file: IO[bytes]) -> None:
        def put(text: str) -> None:
            file.write(text.encode("utf-8", "replace"))

        put(before + as_json(_facts(recogniser, lang))[:-1] + ',"recordings":[')
        pictures = 0
        for i, result in enumerate(results):
            put("," if i else "")
            if isinstance(result, Failure):
                put(as_json({"name": result.path, "error": result.error}))
                continue
            pictures += 1
            entry = Entry(result, recogniser, path.parent, start)
            if pictures <= MOST_SHOWN:
                put(as_json(entry.whole(min(n, MOST_SHOWN), why=why)))
            else:
                put(as_json(entry.short(("shown", {"count": str(MOST_SHOWN)}))))
        put("]}" + after)

    write_atomically(path, content)


def _line(result: Result, recogniser: Recogniser, lang: str) -> str:
    """Return one recording as a line of text, for readers without scripts."""
    if isinstance(result, Failure):
        return f"{result.path}: {result.error}"
    names = [label.name(lang) for label in recogniser.labels if label.id in result.playing]
    none = speaker("text", lang)("silent") if result.silent else speaker("report", lang)("nothing")
    return f"{result.path} · {clock(result.duration)} · {', '.join(names) or none}"


def _facts(recogniser: Recogniser, lang: str) -> dict[str, Any]:
    """Return what is true of the whole report; `labels` as GET /v1/labels of a server gives them."""
    config = recogniser.config
    limits = zip(config.labels, config.thresholds, config.maybe, strict=True)
    points = config.training.get("operating_points")
    return {
        "lang": lang,
        "model": config.id,
        "version": __version__,
        "labels": [{**label.to_dict(), "threshold": plays, "maybe": maybe} for label, plays, maybe in limits],
        "points": points if isinstance(points, list) else [],
    }
