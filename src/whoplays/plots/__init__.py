"""Figures. The only user of matplotlib.

`quality` draws a training's history, a confusion matrix and quality by label, `recording` one recording looked at,
`pairs` how AudioSet's labels hang together; `drawing` says how all of them look.

Figures are drawn without a screen. As SVG they have no background, their ink is `currentColor` and their text stays
text, so that a page shows them in its own light or dark colours and without loading anything.
"""

from ..colours import COLOURS, colour
from .drawing import svg, write_figure
from .pairs import cooccurrence_figure
from .quality import bars_figure, confusion_figure, history_figure
from .recording import Envelope, draw_recording, recording_figure

__all__ = [
    "COLOURS",
    "Envelope",
    "bars_figure",
    "colour",
    "confusion_figure",
    "cooccurrence_figure",
    "draw_recording",
    "history_figure",
    "recording_figure",
    "svg",
    "write_figure",
]
