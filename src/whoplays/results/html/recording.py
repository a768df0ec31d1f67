"""One recording on the page: player, waveform, log-mel picture, timeline, pie, notes, and why."""

from __future__ import annotations

import io
import os
from html import escape
from pathlib import Path
from urllib.parse import quote

from ...audio import opening, reading
from ...errors import AudioError
from ...inference import explanation
from ...inference.prediction import Prediction
from ...inference.recogniser import Recogniser
from ...taxonomy.messages import speaker
from ..formats.base import clock
from . import pictures

EMBED_S, EMBED_BYTES = 120.0, 4 << 20  # a recording within both is put into the page
MOST_SOUND = 3 << 20  # of all recordings of a page together
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


class Section:
    """What the page says of one recording."""

    def __init__(
        self, prediction: Prediction, recogniser: Recogniser, folder: Path, lang: str, start: float, why: bool
    ) -> None:
        """folder: where the page will lie. start: seconds into the recording at which the analysed part begins."""
        self.prediction = prediction
        self.recogniser = recogniser
        self.folder = folder
        self.lang = lang
        self.start = start
        self.why = why
        self.say = speaker("report", lang)
        self.ids = [label.id for label in recogniser.labels]
        self.names = {label.id: label.name(lang) for label in recogniser.labels}
        self.shown = recogniser.config.tree.outline([*prediction.playing, *prediction.maybe])
        self.colours = {label.id: label.colour for label in recogniser.labels}
        self.embed_bytes, self.columns = EMBED_BYTES, pictures.COLUMNS
        self.title = Path(prediction.path).name or "-"

    def make_room(self, n: int) -> None:
        """Take no more than this one's part of a page with `n` recordings: sound beyond it is linked."""
        if n > 1:
            self.embed_bytes = min(EMBED_BYTES, MOST_SOUND // n)
            self.columns = max(160, min(pictures.COLUMNS, 12_000 // n))

    def html(self, number: int) -> str:
        """Return the section; number: of its anchor."""
        prediction = self.prediction
        about = f"{escape(prediction.path)}, {clock(prediction.duration)}, {prediction.sample_rate} Hz"
        parts = [
            f'<section class="recording" id="r{number}" aria-labelledby="h{number}" data-start="{self.start}" '
            f'data-length="{prediction.duration}">',
            f'<h2 id="h{number}">{escape(self.title)}</h2><p class="lead">{about}</p>',
            self._notes(),
            self._view(),
            f'<div class="facts">{self._pie()}{self._table()}</div>',
            self._reasons() if self.why else "",
            "</section>",
        ]
        return "\n".join(part for part in parts if part) + "\n"

    def _notes(self) -> str:
        lines = "".join(f"<li>{escape(warning.within(self.lang))}</li>" for warning in self.prediction.warnings)
        return f'<ul class="notes">{lines}</ul>' if lines else ""

    def _view(self) -> str:
        """Return the player, and the pictures over the timeline, with one line that follows the sound."""
        try:
            if self.prediction.path == "-":
                raise AudioError("it came from standard input")
            looks = pictures.look(
                self.prediction.path,
                self.recogniser.config.features,
                start=self.start,
                duration=self.prediction.duration,
                columns=self.columns,
            )
            player = self._player()
        except AudioError as error:
            told = f"<p>{escape(self.say('gone', why=error))}</p>"
            return f'{told}<div class="view">{self._lanes()}</div>'
        say = self.say
        mel = pictures.data_url(pictures.mel_png(looks.mel), "image/png")
        rows = (
            f'<span class="name">{escape(say("sound"))}</span>{pictures.wave_svg(looks, say("wave", name=self.title))}'
            f'<span class="name">{escape(say("pitch"))}</span><img src="{mel}" alt="{escape(say("mel", name=self.title))}">'
        )
        return f'{player}<div class="view">{rows}{self._lanes()}</div>'

    def _lanes(self) -> str:
        lanes = "".join(
            f'<span class="name">{escape(self.names[label])}</span><div class="lane" role="group" '
            f'aria-label="{escape(self.names[label])}">{self._buttons(label)}<div class="head"></div></div>'
            for label in (one.id for one in self.shown)
        )
        end = self.start + self.prediction.duration
        marks = "".join(f"<span>{clock(self.start + (end - self.start) * k / 4)}</span>" for k in range(5))
        return f'{lanes}<span></span><div class="times" aria-hidden="true">{marks}</div>'

    def _buttons(self, label: str) -> str:
        found = []
        for s in self.prediction.segments:
            if s.label != label:
                continue
            left = 100 * (s.start - self.start) / self.prediction.duration
            width = 100 * (s.end - s.start) / self.prediction.duration
            told = self.say(
                "jump", name=self.names[label], start=clock(s.start), end=clock(s.end), score=f"{s.score:.2f}"
            )
            place = f"left:{left:.2f}%;width:{width:.2f}%"
            ink = f"background:{self.colours[label]};opacity:{0.45 + 0.55 * s.score:.2f}"
            found.append(
                f'<button type="button" data-at="{s.start}" title="{escape(told)}" aria-label="{escape(told)}" '
                f'style="{place};{ink}"></button>'
            )
        return "".join(found)

    def _player(self) -> str:
        path = Path(self.prediction.path)
        kind = PLAYABLE.get(path.suffix.lower())
        told = ""
        whole = (opening.probe(path).duration or self.prediction.duration) if kind else self.prediction.duration
        if kind and whole <= EMBED_S and path.stat().st_size <= self.embed_bytes:
            source = pictures.data_url(path.read_bytes(), kind)
        elif not kind and self.start + self.prediction.duration <= min(EMBED_S, self.embed_bytes / FLAC_BYTES_PER_S):
            rate = self.recogniser.config.features.sample_rate
            source = pictures.data_url(as_flac(path, rate, self.start + self.prediction.duration), "audio/flac")
            told = self.say("as_model", rate=rate)
        else:
            source = _link(path, self.folder)
            told = self.say("linked", path=self.prediction.path)
        label = escape(self.say("player", name=self.title))
        note = f"<p><small>{escape(told)}</small></p>" if told else ""
        return f'<audio controls preload="metadata" aria-label="{label}" src="{escape(source)}"></audio>{note}'

    def _pie(self) -> str:
        shares = self.prediction.shares()
        families = [label.id for label in self.shown if label.parent is None]
        parts = [
            (self.names[label], shares[label] * self.prediction.duration, self.colours[label]) for label in families
        ]
        told = ", ".join(f"{self.names[label]} {shares[label]:.0%}" for label in families if shares[label])
        return pictures.pie_svg(parts, self.say("pie", shares=told))

    def _table(self) -> str:
        say = self.say
        shares = self.prediction.shares()
        limits = dict(zip(self.ids, self.recogniser.config.thresholds, strict=True))
        rows = []
        for label in (one.id for one in self.shown):
            plays = label in self.prediction.playing
            share = say("maybe") if label in self.prediction.maybe else f"{shares[label]:.0%}"
            jumps = "".join(self._jump(label, m) for m in explanation.moments(self.prediction, label)) if plays else ""
            rows.append(
                f'<tr><th scope="row"><span class="chip" style="background:{self.colours[label]}"></span>'
                f"{escape(self.names[label])}</th><td{' class=plays' if plays else ''}>{self.prediction.scores[label]:.3f}</td>"
                f"<td>{limits[label]:.2f}</td><td>{share}</td><td>{jumps}</td></tr>"
            )
        head = "".join(
            f'<th scope="col">{escape(say(key))}</th>' for key in ("label", "score", "threshold", "share", "telling")
        )
        return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'

    def _jump(self, label: str, moment: explanation.Moment) -> str:
        told = self.say(
            "jump",
            name=self.names[label],
            start=clock(moment.start),
            end=clock(moment.end),
            score=f"{moment.score:.2f}",
        )
        return (
            f'<button type="button" class="jump" data-at="{moment.start}" aria-label="{escape(told)}">'
            f"{clock(moment.start)}</button>"
        )

    def _reasons(self) -> str:
        """Return a picture for each label that plays: which patches its score hangs on."""
        figures = []
        for label in self.prediction.playing:
            try:
                found = explanation.occlude(self.recogniser, self.prediction.path, self.prediction, label)
            except AudioError:
                found = None
            if found is None:
                continue
            picture = pictures.data_url(pictures.heat_png(found.loss), "image/png")
            name = self.names[label]
            told = self.say("why_told", start=clock(found.start), end=clock(found.end))
            figures.append(
                f'<figure><img src="{picture}" alt="{escape(self.say("why_picture", name=name))}">'
                f"<figcaption><b>{escape(name)}</b>. {escape(told)}</figcaption></figure>"
            )
        return f'<h3>{escape(self.say("why"))}</h3><div class="why">{"".join(figures)}</div>' if figures else ""


def as_flac(path: Path, rate: int, duration: float) -> bytes:
    """Return the first `duration` seconds at `rate` Hz, in one channel, as FLAC. Raises `AudioError`."""
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
