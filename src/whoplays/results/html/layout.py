"""Pages without scripts that open offline, in the clothes of the page: a frame, a table, a figure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib import resources

from ... import __version__
from ...taxonomy.messages import speaker
from .template import mark, style


def page(title: str, body: str, *, lang: str = "en") -> str:
    """Return a whole HTML page. body: HTML that was escaped where it had to be."""
    made = speaker("report", lang)("made", version=__version__)
    own = (resources.files(__package__) / "layout.css").read_text(encoding="utf-8")
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:"
    return (
        f'<!doctype html>\n<html lang="{escape(lang)}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f"<title>{escape(title)}</title>\n<style>{style()}{own}</style>\n</head>\n<body>\n"
        f'<header class="top"><span class="wordmark">{mark()}<span>whoplays</span></span></header>\n<main>\n{body}\n</main>\n'
        f'<footer class="foot">{escape(made)}</footer>\n</body>\n</html>\n'
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str = "", name: str = "") -> str:
    """Return a table; the first cell of each row heads it. Cells are HTML, all else plain text. name: for screen readers."""
    top = "".join(f'<th scope="col">{escape(name)}</th>' if name else "<td></td>" for name in header)
    lines = "".join(
        f'<tr><th scope="row">{row[0]}</th>' + "".join(f"<td>{cell}</td>" for cell in row[1:]) + "</tr>\n"
        for row in rows
    )
    heading = f"<caption>{escape(caption)}</caption>" if caption else ""
    name = escape(name or caption or ", ".join(filter(None, header)))
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{name}"><table>{heading}<thead><tr>{top}</tr></thead>\n'
        f"<tbody>\n{lines}</tbody></table></div>"
    )


def figure(picture: str, caption: str, *, narrow: bool = False) -> str:
    """Return a picture with its caption. picture: SVG; caption: plain text."""
    return f"<figure{' class=narrow' if narrow else ''}>{picture}<figcaption>{escape(caption)}</figcaption></figure>"
