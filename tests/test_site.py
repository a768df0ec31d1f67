"""The documentation site: it builds strictly, a broken link stops it, and it loads nothing from elsewhere."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def build(root: Path, out: Path) -> subprocess.CompletedProcess[str]:
    for name in ("material", "mkdocstrings", "fastapi"):
        pytest.importorskip(name, reason=f"{name} is not installed (pip install -r .ci/docs-requirements)")
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT / "src")}
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)]
    return subprocess.run(words, cwd=root, env=environment, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_the_site_builds_strictly_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    done = build(ROOT, tmp_path / "site")
    assert done.returncode == 0, done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"<(script|img)[^>]+src=\"?https?://|<link[^>]+stylesheet[^>]+https?://", text), page
    assert "v1/predict" in (tmp_path / "site" / "reference" / "http.html").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("link", ["no-such-page.md", "guides/predict.md#no-such-heading", "../no-such-file.py"])
def test_a_broken_link_stops_the_build(tmp_path: Path, link: str) -> None:
    copy = tmp_path / "copy"
    for name in ("docs", "scripts", "src", "bench", "recipe"):
        left_out = shutil.ignore_patterns("__pycache__", "*.onnx", "*.json", "cells")
        shutil.copytree(ROOT / name, copy / name, ignore=left_out if name != "docs" else None)
    for name in ("mkdocs.yml", "README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        shutil.copyfile(ROOT / name, copy / name)
    index = copy / "docs" / "index.md"
    index.write_text(index.read_text(encoding="utf-8") + f"\n[broken]({link})\n", encoding="utf-8")
    done = build(copy, tmp_path / "site")
    assert done.returncode != 0 and link.split("#")[-1].removeprefix("../") in done.stderr


@pytest.mark.parametrize("name", ["architecture.py", "badges.py"])
def test_what_is_drawn_from_the_code_is_of_this_code(name: str) -> None:
    script = ROOT / "scripts" / name
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_each_page_says_who_it_is_for() -> None:
    pages = [
        path
        for path in (ROOT / "docs").rglob("*.md")
        if path.parent.name != "pl" and path != ROOT / "docs" / "index.md"
    ]
    assert len(pages) > 20
    silent = [path.name for path in pages if not re.search(r"(?m)^For: ", path.read_text(encoding="utf-8")[:600])]
    assert not silent


def test_what_the_guarantees_name_exists() -> None:
    text = (ROOT / "docs" / "explanation" / "guarantees.md").read_text(encoding="utf-8")
    tests = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("*.py")}
    defined = set(re.findall(r"def (test_\w+)", "".join(tests.values())))
    named = set(re.findall(r"\btest_\w+(?:\.py)?", text))
    assert len(named) > 40
    assert not sorted(name for name in named if name not in defined and name not in tests)
    paths = re.findall(r"`((?:tests|src|scripts|fuzz|web)/[\w./-]+)", text)
    assert not sorted(path for path in paths if not (ROOT / path).exists())


@pytest.mark.browser
@pytest.mark.slow
def test_search_works_from_a_folder_without_a_server(tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or pytest.skip("Chromium is not installed")
    done = build(ROOT, tmp_path / "site")
    assert done.returncode == 0, done.stderr
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto((tmp_path / "site" / "index.html").as_uri(), wait_until="networkidle")
        page.locator("input.md-search__input").click()
        page.keyboard.type("playlist", delay=50)
        page.wait_for_function("document.querySelectorAll('.md-search-result__item').length > 2", timeout=60_000)
        browser.close()
    assert asked and not [url for url in asked if not url.startswith("file:")]


def test_every_option_that_guides_and_tutorials_name_exists() -> None:
    from whoplays.cli import commands

    known = {
        option
        for name in commands.COMMANDS
        for one in commands.parser_of(name)._actions
        for option in one.option_strings
    }
    other = re.compile(r"python -m |pip|docker|uvx?|yt-dlp|curl|npm|\.ci/")  # lines about other programs
    named: dict[str, str] = {}
    for path in [
        ROOT / "README.md",
        *(ROOT / "docs" / "guides").glob("*.md"),
        *(ROOT / "docs" / "tutorials").glob("*.md"),
    ]:
        text = re.sub(r"`python -m [^`]*`", "", path.read_text(encoding="utf-8"))
        for line in text.splitlines():
            if not other.search(line):
                named |= dict.fromkeys(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", line), path.name)
    assert len(named) > 60
    known |= {option.replace("--", "--no-", 1) for option in known}
    assert not [f"{where}: {option}" for option, where in named.items() if option not in known]
