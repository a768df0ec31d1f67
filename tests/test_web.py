"""The npm package in web/: its test vectors are what this package computes, and its own tests pass where Node is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import whoplays

ROOT = Path(__file__).parents[1]
WEB = ROOT / "web"


def test_the_vectors_are_what_the_package_computes() -> None:
    command = [sys.executable, "scripts/web_vectors.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_npm_package_has_this_version_and_names_no_registry() -> None:
    assert json.loads((WEB / "package.json").read_text())["version"] == whoplays.__version__
    lock = json.loads((WEB / "package-lock.json").read_text())
    assert lock["version"] == whoplays.__version__ and not any("resolved" in one for one in lock["packages"].values())


def test_the_types_of_the_pages_scripts_fit(tmp_path: Path) -> None:
    """TypeScript reads what comments in the scripts of `serve/page/js` say about types."""
    compiler = WEB / "node_modules" / ".bin" / "tsc"
    if not shutil.which("node") or not compiler.is_file():
        pytest.skip("Node, or TypeScript (cd web && npm ci), is not installed")
    done = subprocess.run([compiler, "-p", WEB / "tsconfig.page.json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    (tmp_path / "wrong.js").write_text("Math.max('1').toFixed(2)")
    wrong = [compiler, "--noEmit", "--allowJs", "--checkJs", "--strict", "wrong.js"]
    done = subprocess.run(wrong, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "TS2345" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("script", ["check", "test"])
def test_the_npm_package_passes_its_own_tests(script: str) -> None:
    if not shutil.which("npm"):
        pytest.skip("Node and npm are not installed")
    if not (WEB / "node_modules").is_dir():
        pytest.skip("the npm package's dependencies are not installed (cd web && npm ci)")
    env = os.environ | {"WHOPLAYS_PYTHON": sys.executable, "PYTHONPATH": str(ROOT / "src")}
    subprocess.run(["npm", "run", "build"], cwd=WEB, capture_output=True, check=True)
    done = subprocess.run(["npm", "run", script], cwd=WEB, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
