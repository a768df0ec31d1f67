"""The notebooks of the documentation: they run, and what they hold is what they show."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_holds_what_it_shows_and_nothing_of_the_machine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    notebook = json.loads(text)
    assert notebook["nbformat"] == 4 and len(text) < 400_000
    assert str(ROOT) not in text and "/home/" not in text
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert sum(bool(cell["outputs"]) for cell in code) >= len(code) - 1
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path) -> None:
    for name in ("pandas", "matplotlib", "onnx"):
        pytest.importorskip(name)
    words = [sys.executable, ROOT / "scripts" / "notebooks.py", "--check", path.stem]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("cell", ["1 / 0", "print(1)"])
def test_a_cell_that_fails_or_shows_other_output_is_reported(cell: str, tmp_path: Path) -> None:
    made = {"cell_type": "code", "id": "a", "metadata": {}, "source": [cell], "execution_count": 1, "outputs": []}
    (tmp_path / "bad.ipynb").write_text(
        json.dumps({"cells": [made], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    )
    words = [sys.executable, ROOT / "scripts" / "notebooks.py", "--check", "--here", tmp_path / "bad.ipynb"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 1 and "bad.ipynb, cell 1" in done.stderr
