"""The report as a file, and opened offline in a real Chromium: played, clicked, sorted, read out."""

from __future__ import annotations

import base64
import itertools
import json
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
from accessibility import assert_accessible

import whoplays
from conftest import RATE, tone, write_tiny_model
from whoplays.inference.prediction import Failure
from whoplays.results import html
from whoplays.results.html import pictures, template
from whoplays.taxonomy.catalogue import catalogue

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
    results = [recogniser.predict(path) for path in sorted(folder.iterdir())]
    html.write(folder / "r.html", [*results, Failure("bad.wav", "is <empty>")], recogniser, why=True)
    return folder / "r.html"


def facts_of(path: Path) -> Any:
    found = re.search(r'<script type="application/json" id="facts">(.*?)</script>', path.read_text(encoding="utf-8"))
    assert found
    return json.loads(found[1])


def test_it_is_one_file_that_requests_nothing(page_file: Path) -> None:
    text = page_file.read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    sources = re.findall(r'(?:src|href)="([^"]*)"|url\((?!#)([^)]*)\)', text)
    assert sources and all("".join(s).startswith(("data:", "#")) for s in sources), [str(s)[:80] for s in sources]
    assert (
        "<b>.wav" not in text
        and "is &lt;empty&gt;" in text
        and "import(" not in re.sub(r"/\*\*.*?\*/", "", text, flags=re.S)
    )
    assert [one["result"]["warnings"][0]["code"] for one in facts_of(page_file)["recordings"][2:3]] == ["clipped"]
    assert not re.search(r"https?://(?!www\.w3\.org)", re.sub(r"data:[^\"]*", "", text))


def test_names_in_it_can_be_no_placeholders(tiny_model: Path, tmp_path: Path) -> None:
    recogniser = whoplays.load(tiny_model)
    names = ["{facts}", "{list}.wav", "</script><b>", "{title} & {lang}"]
    html.write(tmp_path / "r.html", [Failure(name, "{facts} {list}") for name in names], recogniser)
    assert [(one["name"], one["error"]) for one in facts_of(tmp_path / "r.html")["recordings"]] == [
        (name, "{facts} {list}") for name in names
    ]
    html.write(tmp_path / "r.html", [Failure("{list}{facts}", "x")], recogniser)
    assert facts_of(tmp_path / "r.html")["recordings"][0]["name"] == "{list}{facts}"


def test_modules_become_one_script_without_imports() -> None:
    from whoplays.results.html.template import linked, template

    script = linked("offline")
    assert not re.search(r"^(import|export)\b", script, re.M)
    order = re.findall(r"^const (module_\w+) = await", script, re.M)
    assert len(order) == len(set(order)) and order[-1] == "module_offline"
    for use in re.finditer(r"\} = (module_\w+);", script):
        assert f"const {use[1]} = await" in script[: use.start()]
    assert [template().count(name) for name in ("{facts}", "{list}", "{lang}")] == [1, 1, 1]


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
    sounds = [one["sound"].partition(",") for one in facts_of(page_file)["recordings"][:3]]
    assert [kind for kind, _, _ in sounds] == [f"data:audio/{kind};base64" for kind in ("wav", "flac", "flac")]
    assert base64.b64decode(sounds[0][2]) == (page_file.parent / "low & <b>.wav").read_bytes()


def test_a_long_recording_is_linked(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from whoplays.results.html import build

    monkeypatch.setattr(build, "EMBED_S", 1.0)
    (tmp_path / "a b").mkdir()
    soundfile.write(tmp_path / "a b" / "x#1.wav", tone(440.0, 2.0), RATE)
    recogniser = whoplays.load(tiny_model)
    html.write(tmp_path / "r.html", [recogniser.predict(tmp_path / "a b" / "x#1.wav")], recogniser, lang="pl")
    (entry,) = facts_of(tmp_path / "r.html")["recordings"]
    assert entry["sound"] == "a%20b/x%231.wav" and entry["note"] == [
        "linked",
        {"path": str(tmp_path / "a b" / "x#1.wav")},
    ]


def test_what_is_gone_says_so(tiny_model: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", tone(200.0, 2.0, level=0.9), RATE)
    recogniser = whoplays.load(tiny_model)
    prediction = recogniser.predict(tmp_path / "x.wav")
    (tmp_path / "x.wav").unlink()
    html.write(tmp_path / "r.html", [prediction], recogniser, why=True)
    (entry,) = facts_of(tmp_path / "r.html")["recordings"]
    assert "no such file" in entry["note"][1]["why"] and entry["details"]["segments"]


def test_the_facts_are_the_prediction(tiny_model: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", tone(200.0, 3.0, level=0.9), RATE)
    recogniser = whoplays.load(tiny_model, threshold=0.01)
    prediction = recogniser.predict(tmp_path / "x.wav")
    html.write(tmp_path / "r.html", [prediction], recogniser)
    facts = facts_of(tmp_path / "r.html")
    (entry,) = facts["recordings"]
    assert whoplays.Prediction.from_dict(entry["result"]).to_dict() == prediction.to_dict()
    assert [label["threshold"] for label in facts["labels"]] == list(recogniser.config.thresholds)
    curve = np.frombuffer(base64.b64decode(entry["details"]["frame_scores"][prediction.playing[0]]), dtype=np.uint8)
    expected = prediction.frame_scores[:, list(prediction.scores).index(prediction.playing[0])]
    np.testing.assert_allclose(curve / 255, expected, atol=0.003)


def test_three_hundred_recordings_are_light(tiny_model: Path, tmp_path: Path) -> None:
    recogniser = whoplays.load(tiny_model)
    soundfile.write(tmp_path / "x.flac", np.random.default_rng(0).normal(0, 0.1, 2 * RATE), RATE)
    prediction = recogniser.predict(tmp_path / "x.flac")
    sizes = {}
    for n in (100, 110):
        html.write(tmp_path / "r.html", [prediction] * n, recogniser)
        sizes[n] = (tmp_path / "r.html").stat().st_size
    each = (sizes[110] - sizes[100]) / 10  # of noise, whose pictures are the largest
    assert sizes[100] + 200 * each < 6e6, each


def test_more_recordings_than_that_have_no_pictures(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from whoplays.results.html import build

    monkeypatch.setattr(build, "MOST_SHOWN", 2)
    recogniser = whoplays.load(tiny_model)
    soundfile.write(tmp_path / "x.wav", tone(200.0, 2.0, level=0.9), RATE)
    html.write(tmp_path / "r.html", [recogniser.predict(tmp_path / "x.wav")] * 3, recogniser)
    entries = facts_of(tmp_path / "r.html")["recordings"]
    assert ["mel" in one["details"] for one in entries] == [True, True, False]
    assert entries[2]["note"] == ["shown", {"count": "2"}] and entries[2]["result"] == entries[0]["result"]


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
    peaks, mel = pictures.look(tmp_path / "a.wav", FeatureSettings(), start=0.0, duration=6.0, columns=60)
    assert peaks[:29].max() < 0.01 and peaks[31:].min() > 0.7
    assert mel[:28].max() < -60 and mel[32:].max(axis=1).min() > -3
    brightest = set(mel[32:58].argmax(axis=1))
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


def open_one(page: Any, number: int) -> Any:
    page.locator("#items .item").nth(number).click()
    page.locator(".result").wait_for()
    return page.locator(".result")


@pytest.mark.browser
def test_a_recording_is_opened_from_the_table_and_played_from_a_segment(page: Any) -> None:
    assert page.locator("#shown").inner_text() == ""  # nothing is unpacked before
    result = open_one(page, 1)
    assert result.locator(".pitch img").count() == 1
    at = "Number(document.querySelector('.player input[type=range]').value)"
    result.locator(".wave").click()  # in its middle
    page.wait_for_function(f"() => Math.abs({at} - 8) < 0.3")
    segment = result.locator(".stretch").first
    minutes, seconds = re.findall(r"(\d+):(\d\d) to", segment.get_attribute("aria-label"))[0]
    segment.click(position={"x": 2, "y": 2})
    page.wait_for_function(f"() => Math.abs({at} - {60 * int(minutes) + int(seconds)}) <= 0.6")
    result.locator(".moment").first.focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Pause").wait_for()
    page.keyboard.press("Space")


@pytest.mark.browser
def test_why_is_laid_over_the_spectrogram(page: Any) -> None:
    result = open_one(page, 0)
    assert result.locator(".pitch .patches rect").count() > 1
    assert "takes the score down" in result.locator(".why-legend").inner_text()
    result.locator(".why-row select").select_option("-1")
    assert result.locator(".pitch .patches").count() == 0 and result.locator(".why-legend").is_hidden()


@pytest.mark.browser
def test_the_table_sorts_filters_and_shows_what_plays_together(page: Any) -> None:
    names = page.locator("#items .item")
    page.locator("[data-by=length] button").click()
    page.locator("[data-by=length] button").click()
    assert names.first.text_content() == "other.aiff"  # rows out of sight have no inner text
    assert page.locator("#list th[data-by=length]").get_attribute("aria-sort") == "descending"
    assert page.locator(".item.failed").count() == 1 and page.locator(".remove").count() == 0
    page.locator("#filter").fill("path *.flac")
    assert names.count() == 1
    assert page.locator(".counts tbody tr").count() > 1
    pair = page.locator(".pairs button").first
    pair.click()
    assert " and " in page.locator("#filter").input_value() and names.count() == int(pair.inner_text())


@pytest.mark.browser
def test_by_keyboard_alone(page: Any) -> None:
    focused = "() => document.activeElement.className"
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate(focused).startswith("item"):
            break
    page.keyboard.press("Enter")
    page.locator(".result").wait_for()
    first = page.locator(".result .file-name").inner_text()
    assert page.evaluate(focused).startswith("item")  # still in the table
    page.keyboard.press("j")
    page.wait_for_function("(name) => document.querySelector('.result .file-name').textContent !== name", arg=first)
    page.keyboard.press("+")
    page.wait_for_function("() => document.querySelector('.timeline').style.getPropertyValue('--zoom') === '2'")
    page.keyboard.press("?")
    page.locator("#help[open]").wait_for()
    page.keyboard.press("Escape")
    assert page.locator("#help[open]").count() == 0


@pytest.mark.browser
def test_axe_finds_nothing_in_it(page: Any, tmp_path: Path) -> None:
    open_one(page, 0)
    assert_accessible(page, tmp_path)
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")  # colours that fade are measured halfway
    assert_accessible(page, tmp_path)


@pytest.mark.browser
def test_three_hundred_recordings_open_at_once(page: Any, tiny_model: Path, tmp_path: Path) -> None:
    recogniser = whoplays.load(tiny_model, threshold=0.01)
    soundfile.write(tmp_path / "x.flac", np.random.default_rng(0).normal(0, 0.1, 2 * RATE), RATE)
    html.write(tmp_path / "r.html", [recogniser.predict(tmp_path / "x.flac")] * 300, recogniser)
    chromium = page.context.new_cdp_session(page)
    chromium.send("Performance.enable", {"timeDomain": "threadTicks"})  # not what others do on the machine

    def spent() -> float:
        figures = chromium.send("Performance.getMetrics")["metrics"]
        return float(next(one["value"] for one in figures if one["name"] == "TaskDuration"))

    page.goto((tmp_path / "r.html").as_uri())
    opening = spent()
    assert page.locator("#items tr").count() == 300 and page.locator("#shown *").count() == 0
    before = spent()
    open_one(page, 250)
    print(opening, spent() - before)
    assert opening < 1.5 and spent() - before < 0.5


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 768, 1280])
def test_who_plays_together_works_for_forty_labels(page: Any, width: int, tmp_path: Path) -> None:
    """All of the tree and four labels of a user's own, each pair in one recording: a cell each, and nothing overflows."""
    own = [
        {"id": f"own-{i}", "parent": None, "en": f"my own sound {i}", "pl": f"mój {i}", "colour": "#888888"}
        for i in range(4)
    ]
    labels = [*(label.to_dict() for label in catalogue().labels), *own]
    ids, limits = [label["id"] for label in labels], {"threshold": 0.5, "maybe": 0.3}
    assert len(ids) == 40
    found = {"path": "a.flac", "duration": 9.0, "sample_rate": 44100, "model": "made@1", "scores": dict.fromkeys(ids, 0.9),
             "playing": ids, "maybe": [], "segments": [], "warnings": []}  # fmt: skip
    recording = {"name": "a.flac", "result": found, "sound": "", "note": None, "details": {}}
    facts = {"lang": "pl", "model": "made@1", "version": "1", "points": [], "labels": [label | limits for label in labels],
             "recordings": [recording, recording]}  # fmt: skip
    before, after = template.filled("two", [], "pl")
    (tmp_path / "r.html").write_text(before + template.as_json(facts) + after, encoding="utf-8")
    page.set_viewport_size({"width": width, "height": 900})
    page.goto((tmp_path / "r.html").as_uri())
    related = sum(label["parent"] is not None for label in labels)
    assert page.locator(".pairs button").count() == 40 * 39 // 2 - related
    assert page.locator(".pairs tfoot th").count() == page.locator(".pairs tbody tr").count() == 39
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    heads = page.locator(".pairs tbody th")
    page.locator("#collection .scroll").evaluate("e => e.scrollBy(10000, 0)")
    assert all(box["x"] >= 0 for box in (heads.nth(i).bounding_box() for i in (0, 20, 38)))  # names stay


@pytest.mark.browser
def test_it_speaks_polish(page: Any) -> None:
    page.locator("[data-lang=pl]").click()
    assert page.locator("h1").inner_text() == "Nagrania: 4" and page.evaluate("document.documentElement.lang") == "pl"
    assert "Kto gra razem" in page.locator("#collection").inner_text()


@pytest.mark.browser
def test_everything_has_a_name_for_screen_readers(page: Any) -> None:
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('button, audio, img, svg')].filter(
            e => !(e.textContent.trim() || ['aria-hidden', 'aria-label', 'alt'].some(name => e.getAttribute(name)))
        ).map(e => e.outerHTML)"""
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
def test_it_fits_screens_of_all_sizes(page: Any) -> None:
    page.locator("[data-lang=pl]").click()  # whose names are longer
    for width in (390, 768, 1280, 1920):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        open_one(page, 0)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


# --- the command


def test_the_command_writes_it_for_fresh_and_for_kept_results(tiny_model: Path, tmp_path: Path) -> None:
    from test_cli import run

    soundfile.write(tmp_path / "a.wav", tone(200.0, 2.0, level=0.9), RATE)
    common = [tmp_path / "a.wav", "--model", tiny_model, "--report", tmp_path / "r.html"]
    printed = run("predict", *common, "--why", "--format", "jsonl")
    assert printed.returncode == 0 and printed.stdout.count("\n") == 1, printed.stderr
    (entry,) = facts_of(tmp_path / "r.html")["recordings"]
    assert {one["label"] for one in entry["details"]["why"]} == set(entry["result"]["playing"])
    for _ in range(2):
        kept = run("predict", *common, "--out", tmp_path / "r.csv", "--resume")
        assert kept.returncode == 0, kept.stderr
        assert facts_of(tmp_path / "r.html")["recordings"][0]["details"]["mel"].startswith("data:image/png")
    assert run("predict", tmp_path / "a.wav", "--why").returncode == 2
