"""The page as a whole: head, summary of many recordings, then each of them, written as it is made."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import IO

import numpy as np

from ... import __version__
from ...inference.prediction import Failure, Prediction
from ...inference.recogniser import Recogniser
from ...storage.files import write_atomically
from ...taxonomy.messages import speaker
from ...taxonomy.tree import Label
from ..formats import Result
from ..formats.base import clock
from .layout import STYLE
from .recording import Section

MOST_SHOWN = 300  # recordings with pictures and a player
MOST_OPEN = 5  # of more recordings than that, each is closed at first
_FOLDER = Path(__file__).parent


def write(
    path: Path,
    results: Sequence[Result],
    recogniser: Recogniser,
    *,
    lang: str = "en",
    start: float = 0.0,
    why: bool = False,
) -> None:
    """Write the page, whole or not at all. start: seconds into each recording that was begun at. why: with occlusion.

    Raises `WhoplaysError` when it cannot be written. A recording that cannot be read again is told about on the page.
    """
    predictions = [result for result in results if isinstance(result, Prediction)]
    failed = [result for result in results if isinstance(result, Failure)]

    def content(file: IO[bytes]) -> None:
        def put(text: str) -> None:
            file.write(text.encode("utf-8", "replace"))

        put(_head(_title(predictions, failed, lang), lang))
        put(_opening(predictions, failed, recogniser, lang))
        shown = predictions[:MOST_SHOWN]
        for number, prediction in enumerate(shown, 1):
            section = Section(prediction, recogniser, path.parent, lang, start, why)
            section.make_room(len(shown))
            put(_folded(section, number, len(shown), lang))
        put(_end())

    write_atomically(path, content)


def _folded(section: Section, number: int, n: int, lang: str) -> str:
    """Return a section; of many, each is closed until someone opens it."""
    html = section.html(number)
    if n == 1:
        return html
    names = [label.name(lang) for label in section.shown if label.id in section.prediction.playing]
    told = f"{section.title} · {clock(section.prediction.duration)} · {', '.join(names) or speaker('report', lang)('nothing')}"
    opened = " open" if n <= MOST_OPEN else ""
    return f'<details class="one"{opened}><summary>{escape(told)}</summary>\n{html}</details>\n'


def _title(predictions: Sequence[Prediction], failed: Sequence[Failure], lang: str) -> str:
    if len(predictions) == 1 and not failed:
        return Path(predictions[0].path).name or "whoplays"
    return speaker("report", lang)("title", count=len(predictions))


def _head(title: str, lang: str) -> str:
    script = (_FOLDER / "page.js").read_text(encoding="utf-8")
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data: file: 'self'; "
        f"script-src 'sha256-{allowed}'; base-uri 'none'; form-action 'none'"
    )
    return (
        f'<!doctype html>\n<html lang="{escape(lang)}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n<title>{escape(title)}</title>\n'
        f"<style>{STYLE}{(_FOLDER / 'page.css').read_text(encoding='utf-8')}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(title)}</h1>\n"
    )


def _end() -> str:
    script = (_FOLDER / "page.js").read_text(encoding="utf-8")
    return f"<footer>whoplays {escape(__version__)}</footer>\n</main>\n<script>{script}</script>\n</body>\n</html>\n"


def _opening(predictions: Sequence[Prediction], failed: Sequence[Failure], recogniser: Recogniser, lang: str) -> str:
    say = speaker("report", lang)
    total = clock(sum(p.duration for p in predictions))
    parts = [
        f'<p class="lead">{escape(say("lead", count=len(predictions), length=total, model=recogniser.config.id))}</p>'
    ]
    if len(predictions) > 1:
        parts += [
            _counts(predictions, recogniser, lang),
            _together(predictions, recogniser, lang),
            _table(predictions, recogniser, lang),
        ]
    if failed:
        lines = "".join(f"<li><code>{escape(f.path)}</code>: {escape(f.error)}</li>" for f in failed)
        parts.append(f"<h2>{escape(say('failed', count=len(failed)))}</h2><ul>{lines}</ul>")
    if len(predictions) > MOST_SHOWN:
        parts.append(f"<p>{escape(say('shown', count=MOST_SHOWN))}</p>")
    return "\n".join(parts) + "\n"


def _counts(predictions: Sequence[Prediction], recogniser: Recogniser, lang: str) -> str:
    """Return a card for each family, and each instrument that plays: in how many recordings, and for how long."""
    cards = []
    for label in _shown(predictions, recogniser):
        playing = [p for p in predictions if label.id in p.playing]
        seconds = sum(p.shares()[label.id] * p.duration for p in playing)
        cards.append(
            f"<div><dt>{escape(label.name(lang))}</dt><dd>{len(playing)}</dd><dd><small>{clock(seconds)}</small></dd></div>"
        )
    return f'<dl class="cards">{"".join(cards)}</dl>'


def _shown(predictions: Sequence[Prediction], recogniser: Recogniser) -> tuple[Label, ...]:
    return recogniser.config.tree.outline({label for p in predictions for label in p.playing})


def _together(predictions: Sequence[Prediction], recogniser: Recogniser, lang: str) -> str:
    """Return a table of how many recordings have both families, each cell as dark as it is large.

    Instruments are left out: each plays together with its family.
    """
    families = recogniser.config.tree.families
    labels = [label.id for label in families]
    plays = np.array([[label in p.playing for label in labels] for p in predictions], dtype=int)
    both = plays.T @ plays
    most = max(int(both.max()), 1)
    names = [label.name(lang) for label in families]
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    rows = []
    for name, line in zip(names, both, strict=True):
        cells = "".join(
            f'<td class="cell" style="background:color-mix(in srgb, var(--mark) {round(60 * n / most)}%, transparent)">{n}</td>'
            for n in line
        )
        rows.append(f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>')
    say = speaker("report", lang)
    return (
        f"<h2>{escape(say('together'))}</h2>"
        f'<div class="scroll"><table><caption>{escape(say("together_told"))}</caption><thead><tr><td></td>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _table(predictions: Sequence[Prediction], recogniser: Recogniser, lang: str) -> str:
    say = speaker("report", lang)
    labels = _shown(predictions, recogniser)
    columns = [say("recording"), say("length"), *(label.name(lang) for label in labels), say("notes")]
    head = "".join(f'<th scope="col"><button type="button">{escape(name)}</button></th>' for name in columns)
    rows = "".join(_line(number, p, labels) for number, p in enumerate(predictions, 1))
    return (
        f'<h2>{escape(say("all"))}</h2><label class="search">{escape(say("search"))} <input type="search" id="search"></label>'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(say("all"))}">'
        f'<table id="all"><caption>{escape(say("sort"))}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def shortened(path: str, most: int = 48) -> str:
    """Return a path with at most `most` characters; its middle gives way, since its folder and its end say most."""
    end = round((most - 1) * 0.6)
    return path if len(path) <= most else f"{path[: most - 1 - end]}…{path[-end:]}"


def _line(number: int, prediction: Prediction, labels: Sequence[Label]) -> str:
    name, short = escape(prediction.path), escape(shortened(prediction.path))
    link = f'<a href="#r{number}">{short}</a>' if number <= MOST_SHOWN else short
    cells = []
    for label in labels:
        score = prediction.scores[label.id]
        plays = ' class="plays"' if label.id in prediction.playing else ""
        cells.append(f'<td{plays} data-key="{score}">{score:.2f}</td>')
    codes = ", ".join(warning.code for warning in prediction.warnings)
    return (
        f'<tr><th scope="row" data-key="{name}" title="{name}">{link}</th><td data-key="{prediction.duration}">'
        f"{clock(prediction.duration)}</td>{''.join(cells)}<td>{escape(codes)}</td></tr>\n"
    )
