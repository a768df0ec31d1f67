"""What pages that open offline look like: the style sheet, the frame of a page, a table, a figure."""

# ruff: noqa: E501 - style sheet

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ... import __version__

#: The style sheet of every page, light and dark.
STYLE = """
:root { color-scheme: light dark; --ink: #1c2127; --soft: #59636e; --line: #d5dae0; --paper: #fff; --card: #f6f8fa; --mark: #0b62a8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ed; --soft: #9aa4af; --line: #343b44; --paper: #14181d; --card: #1c2128; --mark: #6cb6ff; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, "Segoe UI", Roboto, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.6rem 0 .6rem; }
p, li { max-width: 46rem; }
.lead { color: var(--soft); margin: 0 0 1.6rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(12.5rem, 44%), 1fr)); gap: .8rem; margin: 1.2rem 0; padding: 0; }
.cards div { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .8rem 1rem; }
.cards dt { color: var(--soft); font-size: .85rem; }
.cards dd { margin: 0; font-size: 1.65rem; font-variant-numeric: tabular-nums; }
.cards small { display: block; font-size: .8rem; color: var(--soft); }
figure { margin: 1rem 0; overflow-x: auto; }
figure svg { width: 100%; height: auto; max-height: 34rem; color: var(--ink); font-family: inherit; }
figure.narrow svg { max-width: 31rem; }
@media (max-width: 40rem) { figure:not(.narrow) svg { min-width: 38rem; } .cards dd { font-size: 1.35rem; } }
figcaption { color: var(--soft); font-size: .9rem; max-width: 46rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .93rem; margin: .6rem 0; }
caption { text-align: left; color: var(--soft); padding-bottom: .3rem; }
th, td { padding: .34rem .8rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child { text-align: left; }
thead th { color: var(--soft); font-weight: 600; }
td small { color: var(--soft); }
code { background: var(--card); padding: .1em .3em; border-radius: .25em; overflow-wrap: anywhere; }
footer { margin-top: 3rem; color: var(--soft); font-size: .85rem; border-top: 1px solid var(--line); padding-top: .8rem; }
@media print { body { font-size: 11pt; } main { padding: 0; } h2 { break-after: avoid; } figure, table { break-inside: avoid; } }
"""


def page(title: str, body: str, *, lang: str = "en") -> str:
    """Return a whole HTML page. body: HTML that was escaped where it had to be."""
    return (
        f'<!doctype html>\n<html lang="{escape(lang)}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n"
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n"
        f"<footer>Made by whoplays {escape(__version__)}.</footer>\n</main>\n</body>\n</html>\n"
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str = "") -> str:
    """Return a table; the first cell of each row heads it. Cells are HTML; header and caption are plain text."""
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    lines = "".join(
        f'<tr><th scope="row">{row[0]}</th>' + "".join(f"<td>{cell}</td>" for cell in row[1:]) + "</tr>\n"
        for row in rows
    )
    told = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f'<div class="scroll"><table>{told}<thead><tr>{top}</tr></thead>\n<tbody>\n{lines}</tbody></table></div>'


def figure(picture: str, caption: str, *, narrow: bool = False) -> str:
    """Return a picture with its caption. picture: SVG; caption: plain text."""
    return f"<figure{' class=narrow' if narrow else ''}>{picture}<figcaption>{escape(caption)}</figcaption></figure>"
