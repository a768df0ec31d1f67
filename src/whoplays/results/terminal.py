"""A recording on a terminal: a row for each label, its score, its share of the time, and a strip of when it plays.

The strip is read without colour: where a label plays a block, as high as its score and its part of the cell's time;
elsewhere a dot.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from ..inference.prediction import Prediction
from ..inference.segmentation import over_cells
from ..taxonomy.tree import Label, Tree
from .formats.base import clock

BLOCKS, ASCII = "▁▂▃▄▅▆▇█", "_.-=+*%#"
REST, ASCII_REST = "·", "."
DARKEST = 120  # of a colour's brightness, 0 to 255, for dark grounds
NARROWEST = 40


@dataclass(frozen=True)
class Look:
    """What the terminal can show. width: columns."""

    width: int = 80
    colour: bool = False
    unicode: bool = True

    @classmethod
    def of(cls, stream: TextIO) -> Look | None:
        """Return the look of `stream`, or None if it is no terminal. NO_COLOR, TERM and COLUMNS are heeded."""
        if not stream.isatty():
            return None
        colour = not os.environ.get("NO_COLOR") and os.environ.get("TERM", "") not in ("", "dumb")
        encodes = (stream.encoding or "").lower().replace("-", "") in ("utf8", "utf16", "utf32")
        return cls(max(NARROWEST, shutil.get_terminal_size().columns), colour, encodes)


def strip(prediction: Prediction, labels: Sequence[Label], look: Look, lang: str = "en") -> list[str]:
    """Return the lines of one recording: a row for each label that plays, or may play, then the time; none without such."""
    tree = Tree(labels)
    shown, _ = tree.divide([*prediction.playing, *prediction.maybe])
    if not shown:
        return []
    names = [_cut("  " * bool(label.parent) + label.name(lang), look.width // 3, look.unicode) for label in shown]
    wide = max(map(len, names))
    cells = look.width - wide - 17
    levels = levels_over(prediction, labels, cells)
    shares = prediction.active_ratio()
    blocks, rest = (BLOCKS, REST) if look.unicode else (ASCII, ASCII_REST)
    rows = []
    for name, label in zip(names, shown, strict=True):
        plays = label.id in prediction.playing
        share = f"{shares[label.id]:.0%}" if plays else "-"
        mark = "?" if label.id in prediction.maybe else " "
        head = f"  {name:<{wide}} {mark}{prediction.scores[label.id]:.2f}  {share:>4}  "
        row = "".join(blocks[min(7, int(v * 8))] if v > 0 else rest for v in levels[tree.index(label.id)])
        if look.colour:
            begin = f"{head}\x1b[38;5;{_of_256(label.colour)}m" if plays else f"\x1b[2m{head}"
            rows.append(f"{begin}{row}\x1b[0m")
        else:
            rows.append(head + row)
    return [*rows, " " * (wide + 16) + _axis(prediction, cells)]


def levels_over(prediction: Prediction, labels: Sequence[Label], cells: int) -> NDArray[np.float64]:
    """Return (labels, cells): the mean score in each cell of time in which the label plays, 0 in others.

    Where it plays in a part of the cell, that is the score times this part: above 0 however short it is.
    """
    start = float(prediction.frame_times[0])
    borders = np.linspace(start, start + prediction.duration, cells + 1)
    levels, played = np.zeros((len(labels), cells)), np.zeros((len(labels), cells))
    places = {label.id: i for i, label in enumerate(labels)}
    for segment in prediction.segments:
        i = places[segment.label]
        overlap = np.minimum(borders[1:], segment.end) - np.maximum(borders[:-1], segment.start)
        part = np.maximum(0.0, overlap) / np.diff(borders)
        played[i] += part
        levels[i] += part * segment.score
    if len(prediction.frame_scores):
        scores = over_cells(prediction.frame_scores, prediction.frame_times, borders)
        levels = np.where(played > 0.999, scores.T, levels)
    return np.where(played > 0, np.maximum(1e-6, levels), 0.0)


def live_line(
    scores: Mapping[str, float], labels: Sequence[Label], at: float, level_db: float, look: Look, lang: str = "en"
) -> str:
    """Return one line of what plays now: time, level, and the likeliest families that fit, a block each, as high as its score."""
    blocks = BLOCKS if look.unicode else ASCII
    families = [label for label in labels if label.parent is None]
    names = {label: _cut(label.name(lang), max(2, look.width - 26), look.unicode) for label in families}
    likeliest = sorted(families, key=lambda label: -scores[label.id])
    ends = itertools.accumulate(len(names[label]) + 9 for label in likeliest)
    shown = {label for label, end in zip(likeliest, ends, strict=True) if end <= look.width - 15}
    parts = []
    for label in families:
        if label in shown:
            score = scores[label.id]
            block = blocks[min(7, int(score * 8))]
            if look.colour:
                block = f"\x1b[38;5;{_of_256(label.colour)}m{block}\x1b[0m"
            parts.append(f"{names[label]} {block} {score:.2f}")
    return f"{clock(at):>5} {level_db:>4.0f} dB  " + "  ".join(parts)


def _of_256(colour: str) -> int:
    """Return the nearest of a terminal's 256 colours to "#rrggbb", lightened where a dark ground would swallow it."""
    channels = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    light = 0.2126 * channels[0] + 0.7152 * channels[1] + 0.0722 * channels[2]
    share = max(0.0, (DARKEST - light) / (255 - light))
    levels = (0, 95, 135, 175, 215, 255)
    red, green, blue = (
        min(range(6), key=lambda i: abs(levels[i] - channel - (255 - channel) * share)) for channel in channels
    )
    return 16 + 36 * red + 6 * green + blue


def _axis(prediction: Prediction, cells: int) -> str:
    start = float(prediction.frame_times[0])
    parts = 4 if cells >= 60 else 2 if cells >= 24 else 1
    marks = [clock(start + prediction.duration * k / parts) for k in range(parts + 1)]
    line = [" "] * cells
    for k, mark in enumerate(marks):
        at = max(0, min(cells - len(mark), round(cells * k / parts) - (len(mark) // 2 if 0 < k < parts else 0)))
        line[at : at + len(mark)] = mark
    return "".join(line).rstrip()


def _cut(name: str, most: int, unicode: bool) -> str:
    end = "…" if unicode else "~"
    return name if len(name) <= most else name[: most - 1] + end
