"""A page that opens offline about one recording looked at: its figure, scores and segments."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from .layout import figure, page, table

if TYPE_CHECKING:
    from ...inference.recogniser import Prediction
    from ...model.folder import ModelConfig


def recording_page(prediction: Prediction, config: ModelConfig, picture: str, *, name: str, lang: str = "en") -> str:
    """Return a page for one recording: its figure, scores and segments."""
    names = {label.id: label.name(lang) for label in config.labels}
    polish = lang == "pl"
    limits = dict(zip(prediction.scores, config.thresholds, strict=True))
    yes, no = ("tak", "nie") if polish else ("yes", "no")
    scores = [
        [escape(names[i]), f"{score:.3f}", f"{limits[i]:.3f}", yes if i in prediction.playing else no]
        for i, score in prediction.scores.items()
    ]
    stretches = [
        [escape(names[s.label]), f"{s.start:.2f}", f"{s.end:.2f}", f"{s.score:.2f}"] for s in prediction.segments
    ]
    lead = f"{prediction.duration:.2f} s, {prediction.sample_rate} Hz, model {prediction.model}"
    header = ["instrument", "wynik", "próg", "gra"] if polish else ["instrument", "score", "threshold", "plays"]
    body = [
        f"<h1>{escape(name)}</h1>",
        f'<p class="lead">{escape(lead)}</p>',
        figure(
            picture, ("Przebieg, kto kiedy gra, i wyniki." if polish else "Waveform, who plays when, and the scores.")
        ),
        table(header, scores),
    ]
    if stretches:
        times = ["instrument", "od (s)", "do (s)", "wynik"] if polish else ["instrument", "from (s)", "to (s)", "score"]
        body.append(table(times, stretches))
    return page(name, "\n".join(body), lang=lang)
