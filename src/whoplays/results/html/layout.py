"""Pages without scripts that open offline, in the clothes of the page: a frame, a table, a figure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ... import __version__
from ...taxonomy.messages import speaker
from .template import mark, style

#: What such pages have beside the page's own style sheet.
_STYLE = """
main > h2 { font-size: 1.3rem; margin: 2.6rem 0 0.7rem; }
h1 { font-size: clamp(1.7rem, 5vw, 2.6rem); overflow-wrap: anywhere; }
main .lead { margin: 0.6rem 0 1.6rem; max-width: none; font-size: 1rem; }
main > p, main li { max-width: 46rem; margin-bottom: 0.4rem; }
main > ul { list-style: disc; padding-left: 1.2rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(12.5rem, 44%), 1fr)); gap: 0.8rem; margin: 1.2rem 0; }
.cards div { background: var(--card); border: 1px solid var(--line); border-radius: var(--round); padding: 0.8rem 1rem; }
.cards dt { color: var(--soft); font-size: 0.875rem; }
.cards dd { margin: 0; font: 700 1.6rem/1.3 var(--display); font-variant-numeric: tabular-nums; }
.cards small { display: block; font: 400 0.8rem/1.4 var(--text); color: var(--soft); }
figure { margin: 1rem 0; padding: 1rem 1.2rem; background: var(--card); border: 1px solid var(--line); border-radius: var(--round); overflow-x: auto; }
figure svg { width: 100%; height: auto; max-height: 60rem; color: var(--ink); font-family: inherit; }
figure.narrow svg { max-width: 31rem; }
figcaption, caption { color: var(--soft); font-size: 0.9rem; max-width: 46rem; text-align: left; }
.scroll { overflow-x: auto; }
.scroll table { font-size: 0.93rem; }
.scroll tr { color: var(--ink); }
.scroll td { white-space: nowrap; padding-left: 1rem; }
td small { color: var(--soft); }
code { background: var(--faint); padding: 0.1em 0.3em; border-radius: 0.25em; overflow-wrap: anywhere; }
@media (max-width: 46rem) { figure:not(.narrow) svg { min-width: 34rem; } .cards dd { font-size: 1.3rem; } }
@media print { figure, table { break-inside: avoid; } }
"""  # noqa: E501 - style sheet


def page(title: str, body: str, *, lang: str = "en") -> str:
    """Return a whole HTML page. body: HTML that was escaped where it had to be."""
    made = speaker("report", lang)("made", version=__version__)
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:"
    return (
        f'<!doctype html>\n<html lang="{escape(lang)}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f"<title>{escape(title)}</title>\n<style>{style()}{_STYLE}</style>\n</head>\n<body>\n"
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
    told = f"<caption>{escape(caption)}</caption>" if caption else ""
    name = escape(name or caption or ", ".join(filter(None, header)))
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{name}"><table>{told}<thead><tr>{top}</tr></thead>\n'
        f"<tbody>\n{lines}</tbody></table></div>"
    )


def figure(picture: str, caption: str, *, narrow: bool = False) -> str:
    """Return a picture with its caption. picture: SVG; caption: plain text."""
    return f"<figure{' class=narrow' if narrow else ''}>{picture}<figcaption>{escape(caption)}</figcaption></figure>"
