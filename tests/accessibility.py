"""axe-core, from its npm package, on a page that is open in Chromium."""

from __future__ import annotations

import functools
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from conftest import COMMAND_S


@functools.cache
def axe(folder: Path) -> str:
    """Return axe-core's script."""
    if not shutil.which("npm"):
        pytest.skip("npm, which brings axe-core, is not installed")
    try:
        command = ["npm", "pack", "axe-core@4", "--silent"]
        packed = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=COMMAND_S)
    except subprocess.SubprocessError:
        pytest.skip("axe-core cannot be had from the npm registry")
    with tarfile.open(folder / packed.stdout.split()[-1]) as archive:
        file = archive.extractfile("package/axe.min.js")
        assert file
        return file.read().decode()


def assert_accessible(page: Any, folder: Path) -> None:
    """Nothing moderate, serious or critical. folder: for the package."""
    page.evaluate(axe(folder))  # through the debugger, which the page's policy does not bind
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']}).then(r => r.violations)")
    serious = [(v["id"], v["impact"], [n["html"][:120] for n in v["nodes"]][:3]) for v in found]
    assert not [v for v in serious if v[1] in ("serious", "critical", "moderate")], serious
