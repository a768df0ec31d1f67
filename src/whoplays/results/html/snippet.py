"""What a notebook shows of a prediction: a player and lanes over time, as one piece of HTML without script."""

from __future__ import annotations

import os
from html import escape
from pathlib import Path

from ...errors import AudioError
from ...inference.prediction import Prediction
from ...storage.address import is_address
from ...taxonomy.tree import Label, Tree
from ..formats.base import clock, span
from . import pictures
from .build import EMBED_BYTES, EMBED_S, FLAC_BYTES_PER_S, PLAYABLE, as_flac

SOUND_RATE = 22_050  # Hz, of what a browser cannot play as it is
_WIDTH, _NAMES, _ROW = 800, 170, 24  # of the picture: all of it, the column of names, a lane


def snippet(prediction: Prediction) -> str:
    """Return the HTML: it escapes every name, loads nothing, and follows the notebook's light or dark colours."""
    title = os.path.basename(prediction.path) or "samples"  # noqa: PTH119 - an address is no path
    about = f"{clock(prediction.duration)} · {prediction.model}"
    notes = "".join(f"<li>{escape(warning.within('en'))}</li>" for warning in prediction.warnings)
    return (
        f'<div class="whoplays" style="max-width:60rem"><p><b>{escape(title)}</b> {escape(about)}</p>'
        f"{_player(prediction)}{_lanes(prediction)}{f'<ul>{notes}</ul>' if notes else ''}</div>"
    )


def _player(prediction: Prediction) -> str:
    """Return a player that holds the sound, or nothing where that is too long, is not there any more, or never was."""
    path = Path(prediction.path)
    end = float(prediction.frame_times[-1]) or prediction.duration
    try:
        if prediction.path in ("", "-") or is_address(prediction.path) or not path.is_file() or end > EMBED_S:
            return ""
        kind = PLAYABLE.get(path.suffix.lower())
        if kind and path.stat().st_size <= EMBED_BYTES:
            source = pictures.data_url(path.read_bytes(), kind)
        elif end <= EMBED_BYTES / FLAC_BYTES_PER_S:
            source = pictures.data_url(as_flac(path, SOUND_RATE, end), "audio/flac")
        else:
            return ""
    except (OSError, AudioError):
        return ""
    return f'<audio controls preload="metadata" style="width:100%" src="{source}"></audio>'


def _lanes(prediction: Prediction) -> str:
    """Return a picture with a lane for each label that plays, and for those that may."""
    tree = Tree(prediction.labels)
    shown, _ = tree.divide([*prediction.playing, *prediction.maybe])
    if not shown:
        best = max(prediction.scores, key=lambda label: prediction.scores[label])
        name = tree[best].name()
        return (
            f"<p>Nothing reaches its threshold; the highest score is {escape(name)} {prediction.scores[best]:.2f}.</p>"
        )
    start = float(prediction.frame_times[0])
    rows = "".join(_lane(prediction, label, i * _ROW, start) for i, label in enumerate(shown))
    bottom = len(shown) * _ROW
    marks = "".join(
        f'<text x="{_x(k / 4):.0f}" y="{bottom + 16}" text-anchor="{("start", "middle", "middle", "middle", "end")[k]}" '
        f'opacity=".7">{clock(start + prediction.duration * k / 4)}</text>'
        for k in range(5)
    )
    summary = ", ".join(f"{label.name()} {prediction.scores[label.id]:.2f}" for label in shown)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {bottom + 22}" style="width:100%" role="img" aria-label="{escape(summary)}" '
        f'fill="currentColor" font-family="sans-serif" font-size="13">{rows}{marks}</svg>'
    )


def _lane(prediction: Prediction, label: Label, top: int, start: float) -> str:
    doubt = "?" if label.id in prediction.maybe else ""
    indent = 14 if label.parent else 0
    found = [
        f'<text x="{indent}" y="{top + 16}">{escape(label.name())}</text>'
        f'<text x="{_NAMES - 10}" y="{top + 16}" text-anchor="end">{prediction.scores[label.id]:.2f}{doubt}</text>'
        f'<rect x="{_NAMES}" y="{top + 4}" width="{_WIDTH - _NAMES}" height="{_ROW - 8}" opacity=".08"/>'
    ]
    for segment in prediction.segments:
        if segment.label == label.id:
            left = _x((segment.start - start) / prediction.duration)
            right = _x((segment.end - start) / prediction.duration)
            tooltip = f"{label.name()} {span(segment.start, segment.end)}, {segment.score:.2f}"
            found.append(
                f'<rect x="{left:.1f}" y="{top + 4}" width="{max(1.0, right - left):.1f}" height="{_ROW - 8}" rx="2" '
                f'fill="{label.colour}" fill-opacity="{0.45 + 0.55 * segment.score:.2f}"><title>{escape(tooltip)}</title></rect>'
            )
    return "".join(found)


def _x(ratio: float) -> float:
    return _NAMES + (_WIDTH - _NAMES) * min(1.0, max(0.0, ratio))
