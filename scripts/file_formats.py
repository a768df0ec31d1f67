"""The reference of file formats, docs/reference/file-formats.md, made from the JSON Schemas and the list of formats.

python scripts/file_formats.py            writes it
python scripts/file_formats.py --print    prints it instead
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from whoplays.results import formats, schemas

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "file-formats.md"
HEAD = """# File formats

For: builders. Made from the schemas by `python scripts/file_formats.py`.

Everything that whoplays writes for programs has a JSON Schema (draft 2020-12). `whoplays schema` lists them, `whoplays schema
result` prints one, and in Python `whoplays.results.schemas.read("result")` returns it; tests hold what the commands print against
them. A reader that is sure of what it reads (`pip install jsonschema`):

```python
import json
import jsonschema
from whoplays.results import schemas

for line in open("results.jsonl", encoding="utf-8"):  # whoplays predict --out
    jsonschema.validate(json.loads(line), schemas.read("result"))
```

`schema` (in model folders and data sets: `format`) is the version of what a file holds. It rises when a key changes
its meaning or goes; keys that are added do not raise it, so a reader must pass over keys it does not know. A table whose
version is higher than the installed whoplays knows is refused.

Numbers are decimal, times in seconds from the start of the recording, paths as they were given. Text is UTF-8; bytes of a file
name that are no UTF-8 are `\\udcXX` escapes in JSON and `\\xXX` in Parquet.

## Formats of results

| `--format` | file | holds |
|---|---|---|
"""
TABLES = """
A table (`--out`) is JSON lines, CSV or Parquet:

| column of a `.csv` table | |
|---|---|
| `path`, `duration`, `sample_rate`, `model` | as in a [result](#result) |
| `playing`, `maybe` | labels joined by `;` |
| one for each label | its score; named `score=LABEL` where the label has the name of another column |
| `error` | why there is no result; the columns of scores are empty then |
| `warnings` | their codes joined by `;` |
| `seen` | as in a [result](#result); only in a table, not in `--format csv` |

A `.parquet` table has the same columns with lists in place of joined text, and `segments`, a list of `label`, `start`, `end`,
`score`. Its metadata has `whoplays.labels`, a JSON list, and `whoplays.schema`. With `--frames` a CSV file has a row for each
frame instead: `path`, `start`, `end`, and a score for each label.
"""


def main() -> None:
    """Write or print the page."""
    text = "\n".join(lines()).rstrip() + "\n"
    if "--print" in sys.argv[1:]:
        sys.stdout.write(text)
    else:
        PAGE.write_text(text, encoding="utf-8")


def lines() -> Iterator[str]:
    """Yield the page's lines."""
    yield HEAD.rstrip()
    for name in formats.FORMATS:
        kind = formats.writer(name)
        about = " ".join((kind.__doc__ or "").split("\n\n")[0].split()).replace("|", "\\|")
        yield f"| `{name}` | `{kind.suffix}` | {about} |"
    yield TABLES
    for name in sorted(schemas.names(), key=lambda name: name != "result"):
        yield from section(name, schemas.read(name))


def section(name: str, schema: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of one schema."""
    yield from (f"## {name}", "", f"**{schema['title']}.** {schema['$comment']}.", "", schema["description"], "")
    parts = {"": schema, **schema.get("$defs", {})}
    for part, one in parts.items():
        if "properties" in one:
            if part:
                yield from (f"### {name}: {part}", "", one["description"], "")
            yield from ("| key | type | meaning |", "|---|---|---|", *rows(one, name), "")


def rows(schema: dict[str, Any], page: str, before: str = "") -> Iterator[str]:
    """Yield a row for each key of an object, those of objects within it below it. A key that may be missing is marked."""
    for key, one in schema["properties"].items():
        path = f"{before}{key}"
        missing = "" if key in schema.get("required", ()) else " *May be missing.*"
        meaning = one.get("description", "").replace("|", "\\|")
        yield f"| `{path}` | {kind_of(one, page)} | {meaning}{missing} |"
        inner = one.get("items", one.get("additionalProperties", one))
        mark = "[]." if "items" in one else ".*." if "additionalProperties" in one else "."
        if isinstance(inner, dict) and "properties" in inner:
            yield from rows(inner, page, path + mark)


def kind_of(schema: dict[str, Any], page: str) -> str:
    """Return what kind of value it is, in words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{page}-{name})"
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join("null" if value is None else f"`{value}`" for value in schema["enum"])
    if several := schema.get("anyOf"):
        return " or ".join(kind_of(one, page) for one in several)
    kinds = schema.get("type", "any")
    kind = " or ".join(kinds) if isinstance(kinds, list) else kinds
    if "items" in schema:
        return f"list of {kind_of(schema['items'], page)}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"object of {kind_of(schema['additionalProperties'], page)}"
    return str(kind)


if __name__ == "__main__":
    main()
