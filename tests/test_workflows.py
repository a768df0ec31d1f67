"""The workflows in .github: what they run is in .ci, where it runs on any machine; and they may do no more than they need."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml")
ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
#: what only a hosted machine can do: hand files to a registry
REGISTRY = re.compile(r'npm publish |docker (login|tag|push) |echo "\$TOKEN" \| docker login|mkdir dist && mv made/')


def steps(path: Path) -> list[dict[str, Any]]:
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


def scripts(path: Path) -> list[str]:
    """The scripts that a workflow calls, those that a matrix names included."""
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values()
    named = [line for job in jobs for line in job.get("strategy", {}).get("matrix", {}).get("script", [])]
    lines = [step["run"] for job in jobs for step in job["steps"] if "run" in step and step["run"] != "$SCRIPT"]
    return [line for line in [*named, *lines] if not REGISTRY.match(line)]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_what_a_workflow_runs_is_a_script_of_ours(path: Path) -> None:
    for line in scripts(path):
        script = ROOT / line.split()[0]
        assert line.startswith(".ci/") and script.is_file() and os.access(script, os.X_OK), line
        if line.startswith(".ci/run "):
            assert f"  {line.split()[1]})" in (ROOT / ".ci/supply").read_text(encoding="utf-8"), line


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_says_that_it_never_ran_and_may_do_little(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# Never run yet."), "take this out when it has run"
    read = yaml.safe_load(text)
    assert read["permissions"] == {} and all("permissions" in job for job in read["jobs"].values())
    for step in steps(path):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False
        assert "${{" not in step.get("run", ""), "what an expression gives must come as a variable"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_what_a_workflow_uses_is_named_by_its_hash(path: Path) -> None:
    used = [line.split("uses: ")[1] for line in path.read_text(encoding="utf-8").splitlines() if "uses: " in line]
    pinned = re.compile(r"actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+|pypa/gh-action-pypi-publish@release/v1")
    assert used and not [line for line in used if not pinned.fullmatch(line)]


def test_every_system_and_python_that_the_package_names_is_tried() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text(encoding="utf-8"))
    matrix = workflow["jobs"]["tests"]["strategy"]["matrix"]
    named = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert matrix["python"] == named and {os.split("-")[0] for os in matrix["os"]} == {"ubuntu", "windows", "macos"}


def test_each_script_says_what_it_does() -> None:
    for path in (ROOT / ".ci").iterdir():
        if os.access(path, os.X_OK):
            first, second = path.read_text(encoding="utf-8").splitlines()[:2]
            assert first == "#!/usr/bin/env bash" and second.startswith("# "), path
