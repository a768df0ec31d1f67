"""The report as a file, and opened offline in a real Chromium: heard, clicked, sorted, read out."""

from __future__ import annotations

import base64
import itertools
import os
import re
import shutil
import struct
import zlib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import whoplays
from conftest import RATE, tone, write_tiny_model
from whoplays.inference.prediction import Failure
from whoplays.results import html
from whoplays.results.html import pictures

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--mute-audio", "--disable-background-networking", "--disable-quic"]


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page about three recordings, one of them with a name that would break it, and a failure."""
    folder = tmp_path_factory.mktemp("report")
    low = np.concatenate([tone(200.0, 4.0, level=0.9), np.zeros(4 * RATE, dtype=np.float32)])
    soundfile.write(folder / "low & <b>.wav", low, RATE)
    soundfile.write(folder / "other.aiff", np.concatenate([low[::-1], low]), RATE)
    soundfile.write(folder / "third.flac", np.clip(2 * low, -1, 1), RATE)
    model = write_tiny_model(tmp_path_factory.mktemp("reporting") / "model", thresholds=(0.01,) * 5)
    recogniser = whoplays.load(model)
    heard = [recogniser.predict(path) for path in sorted(folder.iterdir())]
    html.write(folder / "r.html", [*heard, Failure("bad.wav", "is <empty>")], recogniser, why=True)
    return folder / "r.html"


def test_it_is_one_file_that_asks_for_nothing(page_file: Path) -> None:
    text = page_file.read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    sources = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert sources and all(s.startswith(("data:", "#")) for s in sources), [s[:80] for s in sources]
    assert "<b>.wav" not in text and "is &lt;empty&gt;" in text
    assert "clipped" in text
    assert not re.search(r"https?://(?!www\.w3\.org)", re.sub(r"data:[^\"]*", "", text))


def test_its_tags_are_closed(page_file: Path) -> None:
    class Reader(HTMLParser):
        open: list[str] = []

        def handle_starttag(self, tag: str, attrs: Any) -> None:
            if tag not in ("meta", "img", "br", "link", "input"):
                self.open.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert self.open.pop() == tag

    reader = Reader()
    reader.feed(page_file.read_text(encoding="utf-8"))
    assert reader.open == []


def test_the_sound_inside_is_the_recording(page_file: Path) -> None:
    found = re.findall(r'<audio[^>]*src="data:(audio/\w+);base64,([^"]+)"', page_file.read_text())
    assert [kind for kind, _ in found] == ["audio/wav", "audio/flac", "audio/flac"]
    assert base64.b64decode(found[0][1]) == (page_file.parent / "low & <b>.wav").read_bytes()


def test_a_long_recording_is_linked(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from whoplays.results.html import recording

    monkeypatch.setattr(recording, "EMBED_S", 1.0)
    (tmp_path / "a b").mkdir()
    soundfile.write(tmp_path / "a b" / "x#1.wav", tone(440.0, 2.0), RATE)
    recogniser = whoplays.load(tiny_model)
    html.write(tmp_path / "r.html", [recogniser.predict(tmp_path / "a b" / "x#1.wav")], recogniser, lang="pl")
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert 'src="a%20b/x%231.wav"' in text and "jest odtwarzane z" in text


def test_what_is_gone_is_told(tiny_model: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", tone(200.0, 2.0, level=0.9), RATE)
    recogniser = whoplays.load(tiny_model)
    prediction = recogniser.predict(tmp_path / "x.wav")
    (tmp_path / "x.wav").unlink()
    html.write(tmp_path / "r.html", [prediction], recogniser, why=True)
    assert "no such file" in (tmp_path / "r.html").read_text()


def test_many_recordings_are_closed_and_light(tiny_model: Path, tmp_path: Path) -> None:
    recogniser = whoplays.load(tiny_model)
    soundfile.write(tmp_path / "x.flac", np.random.default_rng(0).normal(0, 0.1, 2 * RATE), RATE)
    prediction = recogniser.predict(tmp_path / "x.flac")
    sizes = {}
    for n in (100, 110):
        html.write(tmp_path / "r.html", [prediction] * n, recogniser)
        text = (tmp_path / "r.html").read_text()
        assert text.count('<details class="one"><summary>x.flac · 0:02 · ') == n
        sizes[n] = len(text.encode())
    each = (sizes[110] - sizes[100]) / 10  # of noise, whose pictures are the largest
    assert sizes[100] + 200 * each < 6e6, each


def test_a_long_path_gives_way_in_its_middle() -> None:
    from whoplays.results.html.build import shortened

    assert shortened("a/b.wav") == "a/b.wav"
    found = shortened("a" * 50 + "/" + "b" * 50 + ".wav")
    assert len(found) == 48 and found.startswith("aaa") and found.endswith("bbb.wav") and "…" in found


def test_a_png_is_read_back() -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    content = pictures.png(pixels, np.zeros((256, 3), dtype=np.uint8))
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    at, chunks = 8, {}
    while at < len(content):
        (size,) = struct.unpack(">I", content[at : at + 4])
        name, body = content[at + 4 : at + 8], content[at + 8 : at + 8 + size]
        assert struct.unpack(">I", content[at + 8 + size : at + 12 + size])[0] == zlib.crc32(name + body)
        chunks[name] = body
        at += 12 + size
    assert struct.unpack(">II", chunks[b"IHDR"][:8]) == (4, 3)
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), dtype=np.uint8).reshape(3, 5)
    np.testing.assert_array_equal(lines[:, 1:], pixels)


def test_pictures_show_where_the_sound_is(tmp_path: Path) -> None:
    from whoplays.features import FeatureSettings

    samples = np.concatenate([np.zeros(RATE * 3), tone(1000.0, 3.0, level=0.8)]).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, RATE)
    looks = pictures.look(tmp_path / "a.wav", FeatureSettings(), start=0.0, duration=6.0, columns=60)
    assert np.abs(looks.high[:29]).max() < 0.01 and looks.high[31:].min() > 0.7
    assert looks.low[31:].max() < -0.7
    assert looks.mel[:28].max() < -60 and looks.mel[32:].max(axis=1).min() > -3
    brightest = set(looks.mel[32:58].argmax(axis=1))
    assert len(brightest) == 1


# --- in the browser


@pytest.fixture
def page(page_file: Path) -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        opened = browser.new_page()
        problems: list[str] = []
        opened.on("pageerror", lambda error: problems.append(str(error)))
        opened.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        opened.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else problems.append(r.url))
        opened.goto(page_file.as_uri())
        yield opened
        browser.close()
    assert problems == []


@pytest.mark.browser
def test_a_click_jumps_there_and_the_keyboard_as_well(page: Any) -> None:
    section = page.locator("section.recording").nth(1)
    button = section.locator(".lane button").first
    button.click()
    at = float(button.get_attribute("data-at"))
    page.wait_for_function("([n, at]) => document.querySelectorAll('audio')[n].currentTime >= at", arg=[1, at])
    jump = section.locator("button.jump").first
    jump.focus()
    page.keyboard.press("Enter")
    at = float(jump.get_attribute("data-at"))
    page.wait_for_function(
        "([n, at]) => Math.abs(document.querySelectorAll('audio')[n].currentTime - at) < 5", arg=[1, at]
    )
    assert section.get_attribute("data-last") == jump.get_attribute("data-at")


@pytest.mark.browser
def test_the_table_sorts_both_ways(page: Any) -> None:
    heads = page.locator("#all th button")
    column = heads.count() - 2
    heads.nth(column).click()
    cells = page.locator(f"#all tbody td:nth-child({column + 1})")
    scores = [float(text) for text in cells.all_inner_texts()]
    assert scores == sorted(scores, reverse=True)
    heads.nth(column).click()
    assert [float(text) for text in cells.all_inner_texts()] == sorted(scores)
    assert page.locator("#all th").nth(column).get_attribute("aria-sort") == "ascending"


@pytest.mark.browser
def test_everything_has_a_name_for_screen_readers(page: Any) -> None:
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('button, audio, img, svg')].filter(
            e => !(e.getAttribute('aria-label') || e.getAttribute('alt') || e.textContent.trim())).map(e => e.outerHTML)"""
    )
    assert nameless == []
    assert page.evaluate("document.documentElement.lang") == "en"
    heads = page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(h => Number(h.tagName[1]))")
    assert heads[0] == 1 and all(b - a <= 1 for a, b in itertools.pairwise(heads))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.browser
def test_light_and_dark_can_be_read(page: Any, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    ink, paper = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )

    def brightness(colour: str) -> float:
        return sum(int(v) for v in re.findall(r"\d+", colour)[:3]) / 765

    assert abs(brightness(ink) - brightness(paper)) > 0.6
    assert (brightness(paper) > 0.5) == (scheme == "light")


@pytest.mark.browser
def test_it_fits_a_telephone(page: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


# --- the command


def test_the_command_writes_it_for_fresh_and_for_kept_results(tiny_model: Path, tmp_path: Path) -> None:
    from test_cli import run

    soundfile.write(tmp_path / "a.wav", tone(200.0, 2.0, level=0.9), RATE)
    common = [tmp_path / "a.wav", "--model", tiny_model, "--report", tmp_path / "r.html"]
    printed = run("predict", *common, "--why", "--format", "jsonl")
    assert printed.returncode == 0 and printed.stdout.count("\n") == 1, printed.stderr
    assert "What the scores hang on" in (tmp_path / "r.html").read_text()
    for _ in range(2):
        kept = run("predict", *common, "--out", tmp_path / "r.csv", "--resume")
        assert kept.returncode == 0, kept.stderr
        assert 'aria-label="Player for a.wav"' in (tmp_path / "r.html").read_text()
    assert run("predict", tmp_path / "a.wav", "--why").returncode == 2
