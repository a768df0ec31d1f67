"""The benchmark runner: what it lists, what it refuses, and that the docs name only benchmarks that exist."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.__main__ import GROUPS, Benchmark, benchmarks, run_group
from conftest import COMMAND_S

ROOT = Path(__file__).parents[1]


def bench(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=COMMAND_S)


def test_it_lists_every_benchmark_with_what_it_measures() -> None:
    done = bench()
    assert done.returncode == 0
    for benchmark in benchmarks().values():
        assert re.search(rf"^  {benchmark.name} +\S", done.stdout, re.MULTILINE), benchmark


def test_every_script_is_a_benchmark_or_used_by_one() -> None:
    scripts = {path.stem for group in GROUPS for path in (ROOT / "bench" / group).glob("[!_]*.py")}
    text = "\n".join(path.read_text() for path in (ROOT / "bench").rglob("*.py"))
    used = {
        name
        for name in scripts
        if re.search(rf"^ *from bench\.\w+(\.{name} import| import {name}\b)", text, re.MULTILINE)
    }
    assert scripts - set(benchmarks()) <= used


def test_an_unknown_name_is_answered_with_the_likeliest() -> None:
    done = bench("startupp")
    assert done.returncode == 2
    assert done.stderr == "no benchmark 'startupp': did you mean startup?\n"


def test_a_benchmark_without_a_small_version_says_so() -> None:
    done = bench("mutation", "--small")
    assert (done.returncode, done.stderr) == (2, "mutation has no small version\n")


def test_a_small_run_uses_the_given_folder(tmp_path: Path) -> None:
    done = bench("songs", "--small", str(tmp_path))
    missing = tmp_path / "songs" / "songs.csv"
    assert (done.returncode, done.stderr) == (
        1,
        f"{missing} is missing; give a folder of training material with songs/\n",
    )


def test_a_small_run_leaves_the_kept_results_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHOPLAYS_BENCH_OUT", str(tmp_path))
    before = (ROOT / "bench" / "RESULTS.md").read_bytes()
    done = bench("batched", "--small", "--runs", "1")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "results" / "batched.json").read_text())
    assert result["command"] == "python -m bench batched --runs 3 --sizes 4 --runs 1"
    assert result["machine"]["cores"] and len(result["rows"]) == 1
    assert "python -m bench batched" in (tmp_path / "RESULTS.md").read_text()
    assert (ROOT / "bench" / "RESULTS.md").read_bytes() == before


def test_a_group_runs_what_it_can_and_skips_what_needs_a_folder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = []
    monkeypatch.setattr(subprocess, "run", lambda words: ran.append(words[3:]) or subprocess.CompletedProcess(words, 0))
    group = [
        Benchmark("made", "speed", "", ("DATA --keep", "--seeds 1"), None),
        Benchmark("other", "speed", "", ("YAMNET",), None),
    ]
    run_group(group, "speed", ["--yamnet", "folder"])
    assert ran == [["made", "--seeds", "1"], ["other", "folder"]]
    assert "made: skipped, needs --data\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    "path",
    [
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        *sorted(p.relative_to(ROOT).as_posix() for p in (ROOT / "docs").rglob("*.md")),
    ],
)
def test_documents_name_benchmarks_that_exist(path: str) -> None:
    known = {*benchmarks(), *GROUPS, "NAME"}
    text = (ROOT / path).read_text(encoding="utf-8")
    assert set(re.findall(r"python -m bench (\w+)", text)) <= known
    assert not re.findall(r"bench/\w+\.py|bench/\w+/\w+\.py", re.sub(r"bench/__main__\.py", "", text))


def test_kept_results_name_commands_that_exist() -> None:
    known = benchmarks()
    for path in (ROOT / "bench" / "results").glob("*.json"):
        for module, name in re.findall(
            r"python -m (bench |recipe\.)(\w+)", json.loads(path.read_text()).get("command", "")
        ):
            if module == "bench ":
                assert name in known, path
            else:
                assert importlib.util.find_spec(f"recipe.{name}"), path


def imports_of(code: str) -> set[tuple[str, str]]:
    """Return (module, name) of all `from ... import` in a source, and in the programs that it holds as strings."""
    found: set[tuple[str, str]] = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {(node.module, alias.name) for alias in node.names}
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.search(r"^from \w", node.value, re.M):
            with contextlib.suppress(SyntaxError):  # text, not a program
                found |= imports_of(node.value)
    return found


def names_in(path: Path) -> set[str]:
    """Return what a module defines or imports at its top level."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


@pytest.mark.parametrize("folder", ["bench", "recipe", "scripts", "fuzz"])
def test_what_scripts_import_from_the_project_exists(folder: str) -> None:
    """No test runs most of them, so what is renamed in the package would break them unnoticed."""
    missing = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        for module, name in sorted(imports_of(path.read_text(encoding="utf-8"))):
            top, *rest = module.split(".")
            if top not in ("whoplays", "bench", "recipe"):
                continue
            target = (ROOT / "src" if top == "whoplays" else ROOT).joinpath(top, *rest)
            source = target / "__init__.py" if target.is_dir() else target.with_suffix(".py")
            submodule = (target / name).is_dir() or (target / f"{name}.py").exists()
            if not source.exists() or not (submodule or name in names_in(source)):
                missing.append(f"{path.relative_to(ROOT)}: from {module} import {name}")
    assert not missing, "\n".join(missing)
