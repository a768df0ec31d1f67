"""Hooks of the documentation site (mkdocs.yml): pages that live outside docs/, and the reference that is made from code.

Pages of docs/ link to files of the checkout, so that they can be read there too. A link to a page that the site has as well
leads to it; one to any other file becomes its name.
"""

from __future__ import annotations

import json
import os
import re
import textwrap
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

from whoplays.results import schemas

ROOT = Path(__file__).parents[1]
#: page of the site -> file of the checkout
OUTSIDE = {
    "project/contributing.md": "CONTRIBUTING.md",
    "project/changes.md": "CHANGELOG.md",
    "project/measurements.md": "bench/RESULTS.md",
    "project/recipe.md": "recipe/README.md",
    **{
        f"notebooks/{path.stem}.md": f"docs/notebooks/{path.name}" for path in (ROOT / "docs/notebooks").glob("*.ipynb")
    },
}
_SHIM = "https://unpkg.com/iframe-worker/shim"
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
_CODE = re.compile(r"<code>([^<]+)</code>")
_OPTION = re.compile(r"(?<![\w-])--?[a-z][\w-]*")
_SHORT = 24  # letters of code that a line has room for
_INTERVAL = re.compile(r"(-?\d[\d.]*(?: %)?) (\(-?\d[\d.]*(?:-| to )-?\d[\d.]*\)|± \d[\d.]*)")
_CELL = re.compile(r"<td[^>]*>.*?</td>", re.DOTALL)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that live elsewhere."""
    for page, source in OUTSIDE.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=notebook_page(text) if source.endswith(".ipynb") else text))
    files.append(File.generated(config, "reference/http.md", content=http_page()))
    for name in schemas.names():
        files.append(File.generated(config, f"schemas/{name}.schema.json", content=schemas.text(name)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Lead links that leave docs/ to the page of the site that shows their target, or make them text."""
    name = page.file.src_uri
    source = Path(OUTSIDE.get(name, f"docs/{name}"))
    pages = {outside: site for site, outside in OUTSIDE.items()}

    def led(match: re.Match[str]) -> str:
        target, _, anchor = match[3].partition("#")
        if not target or "://" in target or target.startswith("mailto:"):
            return match[0]
        path = os.path.normpath(source.parent / target).replace(os.sep, "/")
        if not (ROOT / path).exists() and path != "docs/reference/http.md" and not path.startswith("docs/project/"):
            return match[0]  # reported by the strict build
        site = pages.get(path, path.removeprefix("docs/") if path.startswith("docs/") else "")
        if not site:
            return match[2] if match[2].startswith("`") else f"`{path}`"
        way = os.path.relpath(site, Path(name).parent).replace(os.sep, "/")
        return f"{match[1]}[{match[2]}]({way}{'#' + anchor if anchor else ''})"

    return _LINK.sub(led, markdown)


def notebook_page(text: str) -> str:
    """Return a notebook as a page: its text, its code, and what the code shows."""
    parts = []
    for cell in json.loads(text)["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        for output in cell.get("outputs", ()):
            data = {
                kind: "".join(value) for kind, value in output.get("data", {"text/plain": output.get("text")}).items()
            }
            if "image/png" in data:
                parts.append(f'<p><img alt="what the cell shows" src="data:image/png;base64,{data["image/png"]}"></p>')
            else:
                table = data.get("text/html", "").replace(
                    ' border="1" class="dataframe"', ""
                )  # so that it looks as all tables do
                text = "\n".join(
                    textwrap.fill(line, 88) if len(line) > 88 else line for line in data["text/plain"].splitlines()
                )
                parts.append(table or f"```text\n{text}\n```")
    return "\n\n".join(parts) + "\n"


def http_page() -> str:
    """Return the reference of the HTTP interface, made from its OpenAPI description."""
    from whoplays.serve.app import create_app

    document = create_app().openapi()
    lines = ["# HTTP", "", "For: builders. Made from `GET /openapi.json` of the server. How to run it: "]
    lines[-1] += "[the page and the server](../guides/serve.md)."
    lines += ["", "## Calls"]
    for path, calls in document["paths"].items():
        for method, call in calls.items():
            lines += [
                "",
                f"### `{method.upper()} {path}`",
                "",
                call.get("summary", ""),
                "",
                call.get("description", ""),
            ]
            if rows := call.get("parameters"):
                lines += ["", "| parameter | in | type | meaning |", "|---|---|---|---|"]
                lines += [f"| `{one['name']}` | {one['in']} | {_type(one['schema'])} | {_cell(one)} |" for one in rows]
            lines += ["", "| status | answer |", "|---|---|"]
            lines += [f"| {status} | {_cell(answer)} |" for status, answer in call["responses"].items()]
    lines += ["", "## Schemas"]
    for name, schema in document["components"]["schemas"].items():
        if name.startswith("Body_"):  # FastAPI's name for the fields of an upload, which the call's text names
            continue
        lines += ["", f"### {name}", "", schema.get("description", ""), ""]
        if fields := schema.get("properties"):
            lines += ["| field | type | meaning |", "|---|---|---|"]
            lines += [f"| `{field}` | {_type(one)} | {_cell(one)} |" for field, one in fields.items()]
    return "\n".join(lines) + "\n"


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if several := schema.get("anyOf"):
        return " or ".join(map(_type, several))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return str(schema.get("type", "any"))


def _cell(described: dict[str, Any]) -> str:
    return " ".join(str(described.get("description", "")).split()).replace("|", "\\|")


def on_page_content(html: str, page: Any, config: Any, files: Files) -> str:
    """Keep in one piece what no line should be broken in: short code, options, and in tables a figure and its interval."""

    def code(found: re.Match[str]) -> str:
        text = found[1].replace("\\|", "|")  # as GitHub needs it in tables
        if len(text) <= _SHORT:
            return f'<code class="whole">{text}</code>'
        text = _OPTION.sub(r'<span class="whole">\g<0></span>', text)
        return f"<code>{text}</code>"

    def figures(cell: re.Match[str]) -> str:
        return _INTERVAL.sub(r'<span class="whole">\1</span> <span class="whole interval">\2</span>', cell[0])

    return _CELL.sub(figures, _CODE.sub(code, html))


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Name the page's language, and load what search needs from the site itself: the theme would fetch it from elsewhere."""
    if page.file.src_uri.startswith("pl/"):
        output = output.replace('<html lang="en"', '<html lang="pl"', 1)
    way = os.path.relpath("assets/iframe-worker.js", Path(page.file.dest_uri).parent).replace(os.sep, "/")
    return output.replace(_SHIM, way)


def on_post_template(output: str, template_name: str, config: Any) -> str:
    """Do the same for the page of an address that does not exist."""
    return output.replace(_SHIM, "/assets/iframe-worker.js")
