"""The documentation site: it builds strictly, a broken link stops it, and it loads nothing from elsewhere."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import COMMAND_S

ROOT = Path(__file__).parents[1]


def build(root: Path, out: Path) -> subprocess.CompletedProcess[str]:
    for name in ("material", "mkdocstrings", "fastapi"):
        pytest.importorskip(name, reason=f"{name} is not installed (pip install -r .ci/docs-requirements)")
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT / "src")}
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)]
    return subprocess.run(words, cwd=root, env=environment, capture_output=True, text=True, timeout=COMMAND_S)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the site, built once."""
    folder = tmp_path_factory.mktemp("docs") / "site"
    done = build(ROOT, folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_the_site_builds_strictly_and_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"<(script|img)[^>]+src=\"?https?://|<link[^>]+stylesheet[^>]+https?://", text), page
    assert "v1/predict" in (site / "reference" / "http.html").read_text(encoding="utf-8")


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
def test_generated_diagrams_match_the_code(name: str) -> None:
    script = ROOT / "scripts" / name
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, timeout=COMMAND_S)
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


@pytest.fixture
def tab() -> Iterator[Any]:
    """Return a page of a browser."""
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or pytest.skip("Chromium is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield browser.new_page()
        browser.close()


@pytest.mark.browser
@pytest.mark.slow
def test_search_works_from_a_folder_without_a_server(site: Path, tab: Any) -> None:
    requested: list[str] = []
    tab.on("request", lambda request: requested.append(request.url))
    tab.goto((site / "index.html").as_uri(), wait_until="networkidle")
    for word, place in (
        ("threshold", "guides/predict"),
        ("saxophone", "explanation/default-model"),
        ("docker", "guides/"),
    ):
        tab.locator("input.md-search__input").click()
        tab.locator("input.md-search__input").fill("")
        tab.keyboard.type(word, delay=50)
        found = f"a.md-search-result__link[href*='{place}']"
        tab.wait_for_function("link => document.querySelector(link)", arg=found, timeout=60_000)
    assert requested and not [url for url in requested if not url.startswith("file:")]


#: What is wrong with a page as it is shown: it or a code block is cut off, headings skip a level, pictures are missing.
LOOK = """(whole) => {
  const wrong = [], width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > width) wrong.push("wider than the window");
  for (const code of document.querySelectorAll("article pre > code"))
    if (whole && code.scrollWidth > code.clientWidth + 1) wrong.push("code is cut off: " + code.innerText.slice(0, 80));
  const levels = [...document.querySelectorAll("article :is(h1, h2, h3, h4, h5)")].map((one) => Number(one.tagName[1]));
  if (levels.filter((level) => level === 1).length !== 1) wrong.push("not one h1");
  if (levels.some((level, i) => i && level > levels[i - 1] + 1)) wrong.push("headings skip a level");
  for (const picture of document.querySelectorAll("article img"))
    if (!picture.naturalWidth || !picture.alt) wrong.push("picture without content or text: " + picture.src);
  if (/\\bundefined\\b|\\[object /.test(document.body.innerText)) wrong.push("a value without text");
  return wrong;
}"""


@pytest.mark.browser
@pytest.mark.slow
def test_every_page_fits_a_phone_and_a_screen(site: Path, tab: Any) -> None:
    wrong = {}
    for width in (390, 1280):  # code may scroll on a phone
        tab.set_viewport_size({"width": width, "height": 900})
        for path in sorted(site.rglob("*.html")):
            tab.goto(path.as_uri(), wait_until="load")
            if found := tab.evaluate(LOOK, width > 1000):
                wrong[f"{path.relative_to(site)} at {width}"] = found
    assert not wrong


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
