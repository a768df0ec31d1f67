"""Runs the notebooks of the documentation, without Jupyter: each in a process of its own, cell by cell.

python scripts/notebooks.py [NAME...]            runs them (all of them), and writes what they show into them
python scripts/notebooks.py --check [NAME...]    runs them and changes nothing; exit status 1 when a cell fails or shows less

What the last line of a cell gives is shown as Jupyter shows it: as HTML, as a picture, or as text.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"


def main(words: list[str]) -> int:
    """Run the notebooks that are named; return the exit status."""
    check = "--check" in words
    if "--here" in words:
        return run(Path(words[-1]), check=check)
    names = [word for word in words if not word.startswith("-")] or sorted(path.stem for path in FOLDER.glob("*.ipynb"))
    flags = ["--check"] * check
    done = [subprocess.run([sys.executable, __file__, *flags, "--here", FOLDER / f"{name}.ipynb"]) for name in names]
    return max(one.returncode for one in done)


def run(path: Path, *, check: bool) -> int:
    """Run one notebook in this process."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    names: dict[str, Any] = {"__name__": "__main__"}
    number = 0
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        number += 1
        try:
            outputs = outputs_of("".join(cell["source"]), names, number)
        except Exception:
            print(f"{path.name}, cell {number}:\n{traceback.format_exc(limit=-3)}", file=sys.stderr)
            return 1
        if check and kinds(outputs) != kinds(cell["outputs"]):
            problem = f"shows {kinds(outputs)} and holds {kinds(cell['outputs'])}; run python scripts/notebooks.py"
            print(f"{path.name}, cell {number}: {problem}", file=sys.stderr)
            return 1
        cell["outputs"], cell["execution_count"] = outputs, number
    if not check:
        path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{path.name}: {number} cells")
    return 0


def outputs_of(code: str, names: dict[str, Any], number: int) -> list[dict[str, Any]]:
    """Run a cell, and return its outputs as a notebook holds them."""
    tree = ast.parse(code)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, f"cell {number}", "exec"), names)
        value = eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), names) if last else None
    found: list[dict[str, Any]] = []
    if printed.getvalue():
        found.append({"output_type": "stream", "name": "stdout", "text": printed.getvalue().splitlines(keepends=True)})
    if value is not None:
        data: dict[str, Any] = {"text/plain": repr(value).splitlines(keepends=True)}
        if html := getattr(value, "_repr_html_", lambda: None)():
            data["text/html"] = html.splitlines(keepends=True)
        if picture := getattr(value, "_repr_png_", lambda: None)():
            data["image/png"] = base64.b64encode(picture).decode()
        found.append({"output_type": "execute_result", "execution_count": number, "metadata": {}, "data": data})
    return plain(found)


def plain(value: Any) -> Any:
    """Return outputs without the place of this checkout in them."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value.replace(f"{FOLDER.parents[1] / 'src'}/", "") if isinstance(value, str) else value


def kinds(outputs: list[dict[str, Any]]) -> list[list[str]]:
    """Return of which kinds outputs are: what they show may differ in a digit."""
    return [sorted(one.get("data", [one.get("name", "")])) for one in outputs]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
