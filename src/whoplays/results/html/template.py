"""The report's HTML, made of the page's own markup, style and scripts, so that both look and work alike.

What the page alone has (sending, the microphone) stands there between `<!-- page -->` and `<!-- /page -->`, and what the
report alone has in a comment that begins with `report`. Modules become one script, because a page that was opened from
a disk may load no others.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from functools import cache
from html import escape
from importlib import resources
from typing import Any

from ...taxonomy.messages import messages

SPOKEN = ("page", "report", "warning", "error", "gap")  # groups of messages that the scripts use
_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([\w-]+)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?function|const|class) ([\w$]+)", re.MULTILINE)


def _read(name: str) -> str:
    return (resources.files("whoplays") / "serve" / "page" / name).read_text(encoding="utf-8")


def linked(entry: str) -> str:
    """Return one script of a module of the page and all that it imports: each a function that gives what it exports.

    entry: the module's name, without ".js". Parts stand after those that they need. Raises `RuntimeError` where modules import
    each other in a circle.
    """
    parts: dict[str, str] = {}

    def add(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            raise RuntimeError(f"modules of the page import each other: {' > '.join((*above, name))}")
        if name in parts:
            return
        text = _read(f"js/{name}.js")
        for _, other in _IMPORT.findall(text):
            add(other, (*above, name))
        own = [found for _, found in _EXPORT.findall(text)]
        body = _IMPORT.sub(lambda m: f"const {{{m[1].replace(' as ', ': ')}}} = {_variable(m[2])};\n", text)
        body = _EXPORT.sub(r"\1 \2", body)
        given = f"return {{ {', '.join(own)} }};\n" if own else ""
        parts[name] = f"const {_variable(name)} = await (async () => {{\n{body}{given}}})();\n"

    add(entry, ())
    return "".join(parts.values())


def _variable(name: str) -> str:
    return "module_" + name.replace("-", "_")


def style() -> str:
    """Return the page's style sheet with its fonts inside."""

    def inside(font: re.Match[str]) -> str:
        content = (resources.files("whoplays") / "serve" / "page" / font[1]).read_bytes()
        return f"url(data:font/woff2;base64,{base64.b64encode(content).decode()})"

    return re.sub(r'url\("(fonts/[^"]+)"\)', inside, _read("page.css"))


def mark() -> str:
    """Return the mark of the page as an <svg> element."""
    found = re.search(r"<g id=.*</g>", _read("mark.svg"), re.DOTALL)
    return f'<svg viewBox="0 0 32 32" aria-hidden="true">{found[0] if found else ""}</svg>'


def as_json(value: Any) -> str:
    """Return JSON for a <script> element, which no text in it can end."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


@cache
def template() -> str:
    """Return the report without results: {facts} stands for its JSON, {title}, {list} and {lang} for HTML."""
    script = linked("offline")
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; media-src data: file: 'self'; "
        f"script-src 'sha256-{allowed}'; base-uri 'none'; form-action 'none'"
    )
    body = _read("index.html").partition("<body>")[2].partition("</body>")[0]
    body = re.sub(r"<!-- page -->.*?<!-- /page -->\n?", "", body, flags=re.DOTALL)
    body = re.sub(r"<!-- report\n|/report -->\n", "", body)
    body = re.sub(r'<a class="wordmark" href="\./"', '<a class="wordmark" href="#main"', body)
    body = re.sub(r"<svg[^>]*><use [^>]*></use></svg>", mark(), body)
    spoken = {group: messages()[group] for group in SPOKEN}
    return (
        '<!doctype html>\n<html lang="{lang}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="color-scheme" content="light dark">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n<title>{{title}}</title>\n'
        f'<style>{style()}</style>\n</head>\n<body class="has-work report">{body}'
        f'<script type="application/json" id="messages">{as_json(spoken)}</script>\n'
        '<script type="application/json" id="facts">{facts}</script>\n'
        f'<script type="module">{script}</script>\n</body>\n</html>\n'
    )


def filled(title: str, entries: list[str], lang: str) -> tuple[str, str]:
    """Return what comes before and after the report's facts. title, entries: plain text."""
    before, _, after = template().partition("{facts}")
    items = "".join(f"<li>{escape(entry)}</li>" for entry in entries)
    inside = {"title": escape(title), "lang": escape(lang), "list": items}
    return re.sub(r"\{(title|lang|list)\}", lambda found: inside[found[1]], before), after
