"""How all figures look, and how they become a file or a part of a page."""

from __future__ import annotations

import hashlib
import io
import re
from html import escape
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from ..errors import UsageError
from ..storage.files import write_atomically

INK, MUTED, WAVE = "#1c2127", "#7d8590", "#6a7fa0"

STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 10,
    "svg.fonttype": "none",
    "svg.hashsalt": "whoplays",
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titleweight": "bold",
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": MUTED,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
}


class Picture(Figure):
    """A figure that a notebook shows without pyplot."""

    def _repr_png_(self) -> bytes:
        return saved(self, "png")


def blank(width: float, height: float) -> Figure:
    """Return an empty figure, in inches. Sizes, fonts and colours are in force only while it is drawn and saved."""
    return Picture(figsize=(width, height), layout="constrained")


def saved(figure: Figure, kind: str) -> bytes:
    """Return a figure as the bytes of a file of that kind: "svg", without a background, or "png", on white."""
    content = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        if kind == "svg":
            figure.savefig(content, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        else:
            figure.savefig(content, format=kind, dpi=144, facecolor="white", metadata={"Software": None})
    return content.getvalue()


def svg(figure: Figure, *, description: str) -> str:
    """Return a figure as an <svg> element for a page: ink as `currentColor`, read out as `description`."""
    text = saved(figure, "svg").decode()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*pt"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*pt"', r"\1", text, count=1)
    text = text.replace("font: ", "font-family:inherit;font: ")
    described = escape(description)
    text = text.replace("<svg", f'<svg role="img" aria-label="{described}"', 1)
    # Ids of one figure must differ from those of another on the same page.
    mark = "f" + hashlib.blake2b((described + text).encode(), digest_size=4).hexdigest()
    text = re.sub(r'\bid="([^"]+)"', rf'id="{mark}-\1"', text)
    return re.sub(r"(url\(#|href=\"#)", rf"\g<1>{mark}-", text)


def write_figure(figure: Figure, path: Path | str) -> None:
    """Write a figure as PNG or SVG, as the name ends. Raises `UsageError` for another ending."""
    write_atomically(Path(path), saved(figure, kind_of(path)))


def kind_of(path: Path | str) -> str:
    """Return "png" or "svg", as a figure's name ends. Raises `UsageError` for another ending."""
    kind = Path(path).suffix.lower().lstrip(".")
    if kind not in ("png", "svg"):
        raise UsageError(f"{path}: figures are written as .png or .svg (--report writes a page)")
    return kind


def shortened(name: str, most: int = 70) -> str:
    """Return a file's name for a title, without what matplotlib would take for mathematics."""
    return (name if len(name) <= most else name[: most - 12] + "..." + name[-9:]).replace("$", r"\$")
