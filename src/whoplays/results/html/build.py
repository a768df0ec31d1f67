"""What a report holds of a run, recording by recording: results, data for pictures, sound or its address, and explanations."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import numpy as np

from ... import __version__
from ...audio import opening, reading
from ...errors import AudioError
from ...inference import explanation
from ...inference.prediction import Failure, Prediction, Result
from ...inference.recogniser import Recogniser
from ...storage.files import write_atomically
from ...taxonomy.messages import speaker
from ..formats.base import clock
from ..overview import Overview, packed
from . import pictures
from .template import as_json, filled

MOST_SHOWN = 300  # recordings with pictures and sound
EMBED_S, EMBED_BYTES = 120.0, 4 << 20  # a recording within both is put into the page
MOST_SOUND = 3 << 20  # of all recordings of a page together
MOST_STEPS = 2400  # of scores over time
FLAC_BYTES_PER_S = 30_000  # about, at the model's rate
PLAYABLE = {
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".oga": "audio/ogg",
    ".opus": "audio/ogg",
    ".mp3": "audio/mpeg",
    ".m4a": "audio/mp4",
    ".mp4": "audio/mp4",
    ".webm": "audio/webm",
}
#: A message of the group "report" and its values: the page says it in its reader's language.
Note = tuple[str, dict[str, str]]


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
        shown = 0
        for i, result in enumerate(results):
            put("," if i else "")
            if isinstance(result, Failure):
                put(as_json({"name": result.path, "error": result.error}))
                continue
            shown += 1
            entry = Entry(result, recogniser, path.parent, start)
            if shown <= MOST_SHOWN:
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


class Entry:
    """What the report's scripts get for one recording (see serve/page/js/offline.js)."""

    def __init__(self, prediction: Prediction, recogniser: Recogniser, folder: Path, start: float) -> None:
        """folder: where the page will lie. start: seconds into the recording at which prediction began."""
        self.prediction = prediction
        self.recogniser = recogniser
        self.folder = folder
        self.start = start

    def short(self, note: Note | None) -> dict[str, Any]:
        """Return the entry without pictures and sound; note: why."""
        segments = [segment.to_dict() for segment in self.prediction.segments]
        part = {"start": self.start, "end": self.start + self.prediction.duration}
        details = {**part, "peaks": "", "frame_scores": {}, "segments": segments}
        result = self.prediction.to_dict()
        return {"name": self.prediction.path, "result": result, "sound": "", "note": note, "details": details}

    def whole(self, n: int, *, why: bool = False) -> dict[str, Any]:
        """Return all of the entry, as large as it may be where `n` recordings share the page; sound beyond is linked."""
        prediction, entry = self.prediction, self.short(None)
        details = entry["details"]
        columns = max(160, min(pictures.COLUMNS, 12_000 // n))
        steps = MOST_STEPS if n == 1 else 2 * columns
        view = Overview.of(self.recogniser, prediction, most_steps=steps, start=self.start)
        details |= {"start": view.start, "end": view.end, "segments": view.segments}
        if len(view.frame_scores):
            curves = dict(zip(prediction.scores, view.frame_scores.T, strict=True))
            shown = [*prediction.playing, *prediction.maybe]
            details["frame_scores"] = {label: packed(curves[label]) for label in shown}
        try:
            if prediction.path == "-":
                raise AudioError("it came from standard input")
            settings, part = self.recogniser.config.features, {"start": self.start, "duration": prediction.duration}
            peaks, mel = pictures.look(prediction.path, settings, **part, columns=columns)
            entry["sound"], entry["note"] = self._sound(min(EMBED_BYTES, MOST_SOUND // n) if n > 1 else EMBED_BYTES)
        except AudioError as error:
            entry["note"] = ("gone", {"why": str(error)})
            return entry
        details |= {"peaks": packed(peaks), "mel": pictures.data_url(pictures.mel_png(mel), "image/png")}
        if why:
            details["why"] = self._reasons()
        return entry

    def _sound(self, most: int) -> tuple[str, Note | None]:
        """Return the sound's address, which holds it where it has no more than `most` bytes, and a word about it."""
        path = Path(self.prediction.path)
        kind = PLAYABLE.get(path.suffix.lower())
        predicted_s = self.prediction.duration
        whole = (opening.probe(path).duration or predicted_s) if kind else predicted_s
        if kind and whole <= EMBED_S and path.stat().st_size <= most:
            return pictures.data_url(path.read_bytes(), kind), None
        if not kind and self.start + predicted_s <= min(EMBED_S, most / FLAC_BYTES_PER_S):
            rate = self.recogniser.config.features.sample_rate
            content = as_flac(path, rate, self.start + predicted_s)
            return pictures.data_url(content, "audio/flac"), ("as_model", {"rate": str(rate)})
        return _link(path, self.folder), ("linked", {"path": self.prediction.path})

    def _reasons(self) -> list[dict[str, Any]]:
        """Return, for each label that plays, which patches of the spectrogram its score hangs on."""
        found = []
        for label in self.prediction.playing:
            try:
                one = explanation.occlude(self.recogniser, self.prediction.path, self.prediction, label)
            except AudioError:
                one = None
            if one:
                loss = np.round(one.loss, 3).tolist()
                found.append({"label": label, "start": one.start, "end": one.end, "loss": loss})
        return found


def as_flac(path: Path, rate: int, duration: float) -> bytes:
    """Return the first `duration` seconds of a recording as FLAC, mono at `rate` Hz."""
    import soundfile

    content = io.BytesIO()
    soundfile.write(content, reading.load(path, sample_rate=rate, duration=duration), rate, format="FLAC")
    return content.getvalue()


def _link(path: Path, folder: Path) -> str:
    """Return the recording's address from the page: relative where it can be."""
    try:
        return quote(os.path.relpath(path, folder).replace(os.sep, "/"))
    except ValueError:  # another drive
        return path.resolve().as_uri()
