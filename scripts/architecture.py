"""The drawing of the architecture, docs/explanation/architecture.svg, made from the imports.

python scripts/architecture.py            writes it
python scripts/architecture.py --check    exit status 1 when it is not of this code

A box is a room (a folder of src/whoplays) with what its docstring says first. Every room stands above those that it imports.
Of the arrows, those are drawn that do not follow from others.
"""

from __future__ import annotations

import ast
import sys
import textwrap
from collections.abc import Iterable
from graphlib import TopologicalSorter
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "whoplays"
PICTURE = ROOT / "docs" / "explanation" / "architecture.svg"
BOX, GAP = (214, 92), (26, 62)
#: small things that nearly everything uses, and the one that knows all commands: without arrows
LEFT_OUT = {"errors", "taxonomy", "__init__", "examples", "pretrained"}


def rooms() -> dict[str, str]:
    """Return each room, or module beside the rooms, with the first sentence of its docstring."""
    found = {}
    for path in sorted([*SOURCE.glob("*/__init__.py"), *SOURCE.glob("*.py")]):
        name = path.parent.name if path.name == "__init__.py" and path.parent != SOURCE else path.stem
        if name not in LEFT_OUT and not name.startswith("_"):
            text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            found[name] = text.split("\n\n")[0].replace("\n", " ").split(". ")[0].rstrip(".:")
    return found


def imports(names: Iterable[str]) -> dict[str, set[str]]:
    """Return what each room imports of the others, in functions and for types too."""
    graph: dict[str, set[str]] = {name: set() for name in sorted(names)}
    for path in SOURCE.rglob("*.py"):
        room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        if room not in graph:
            continue
        inside = path.relative_to(SOURCE).parent.parts
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom) or not node.level:
                continue
            above = inside[: len(inside) - node.level + 1]
            for alias in node.names:
                target = (*above, *(node.module or "").split("."), alias.name)
                first = next((part for part in target if part), "")
                if first in graph and first != room:
                    graph[room].add(first)
    return graph


def layers(graph: dict[str, set[str]]) -> dict[str, int]:
    """Return how far each room is above those that import nothing."""
    depth: dict[str, int] = {}
    for name in TopologicalSorter(graph).static_order():
        depth[name] = 1 + max((depth[other] for other in graph[name]), default=-1)
    return depth


def needed(graph: dict[str, set[str]]) -> set[tuple[str, str]]:
    """Return the arrows that do not follow from others (the transitive reduction)."""

    def reached(name: str) -> set[str]:
        return graph[name] | {far for near in graph[name] for far in reached(near)}

    return {
        (room, other)
        for room, others in graph.items()
        for other in others
        if not any(other in reached(between) for between in others - {other})
    }


def drawing() -> str:
    """Return the picture."""
    names = rooms()
    graph = imports(names)
    depth = layers(graph)
    rows: list[list[str]] = [[] for _ in range(max(depth.values()) + 1)]
    for name in sorted(names):
        rows[depth[name]].append(name)
    widest = max(map(len, rows))
    width = widest * (BOX[0] + GAP[0]) + GAP[0]
    height = len(rows) * (BOX[1] + GAP[1]) + GAP[1]
    place: dict[str, tuple[float, float]] = {}
    for level, row in enumerate(rows):  # from below: a room stands over the middle of what it imports
        wanted = {name: [place[other][0] for other in graph[name]] for name in row}
        row.sort(key=lambda name: (sum(wanted[name]) / len(wanted[name]) if wanted[name] else 0, name))
        left = (width - len(row) * (BOX[0] + GAP[0]) + GAP[0]) / 2
        for column, name in enumerate(row):
            place[name] = (left + column * (BOX[0] + GAP[0]), height - (level + 1) * (BOX[1] + GAP[1]))
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" role="img" '
        'aria-label="The rooms of whoplays and what they import">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#546e7a"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for room, other in sorted(needed(graph)):
        (x1, y1), (x2, y2) = place[room], place[other]
        start, end = (x1 + BOX[0] / 2, y1 + BOX[1]), (x2 + BOX[0] / 2, y2 - 2)
        bend = (end[1] - start[1]) / 2
        turns = ((start[0], start[1] + bend), (end[0], end[1] - bend), end)
        path = f"M{start[0]:.0f} {start[1]:.0f}C" + " ".join(f"{x:.0f} {y:.0f}" for x, y in turns)
        look = 'fill="none" stroke="#90a4ae" stroke-width="1.4" marker-end="url(#tip)"'
        lines.append(f'<path d="{path}" {look}/>')
    for name, (x, y) in sorted(place.items()):
        lines.append(
            f'<rect x="{x:.0f}" y="{y:.0f}" width="{BOX[0]}" height="{BOX[1]}" rx="6" fill="#eceff1" stroke="#546e7a"/>'
        )
        lines.append(
            f'<text x="{x + 10:.0f}" y="{y + 20:.0f}" font-size="15" font-weight="bold" fill="#263238">{name}</text>'
        )
        for number, line in enumerate(textwrap.wrap(names[name].replace("`", ""), 33, max_lines=4, placeholder=" ...")):
            words = f'x="{x + 10:.0f}" y="{y + 37 + 14 * number:.0f}" font-size="11" fill="#37474f"'
            lines.append(f"<text {words}>{escape(line)}</text>")
    return "\n".join([*lines, "</svg>"]) + "\n"


def main() -> None:
    """Write, or check."""
    if "--check" not in sys.argv[1:]:
        PICTURE.write_text(drawing(), encoding="utf-8")
    elif PICTURE.read_text(encoding="utf-8") != drawing():
        raise SystemExit("docs/explanation/architecture.svg is of other code; run python scripts/architecture.py")


if __name__ == "__main__":
    main()
