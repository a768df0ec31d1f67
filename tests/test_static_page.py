"""`whoplays web build`: a folder of static files and a browser give the command's answer, with no network at all."""

from __future__ import annotations

import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browsers
import numpy as np
import pytest
import soundfile

import whoplays
from whoplays.errors import ModelError, UsageError
from whoplays.examples import synth
from whoplays.serve import static_page

ROOT = Path(__file__).parents[1]
WEB = ROOT / "web"
EXAMPLES = sorted((ROOT / "src" / "whoplays" / "examples").glob("*.ogg"))
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
MOST_DIFFERENCE = 0.02  # of a score, from equal files
MOST_BELOW = 0.05  # from files below the model's rate: the edge of their band is where resamplers differ


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    """What stands for the npm package's built files."""
    built = tmp_path / "package" / "dist"
    built.mkdir(parents=True)
    for name in ("worker.js", "index.js", "ort.wasm", "index.d.ts"):
        (built / name).write_text(name)
    (tmp_path / "package" / "package.json").write_text(json.dumps({"version": whoplays.__version__}))
    return built


def test_the_folder_is_complete_and_names_no_other_host(runtime: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    sizes = static_page.build(out, runtime)
    there = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert there == set(sizes)
    assert {"index.html", "service-worker.js", "manifest.webmanifest", "runtime/ort.wasm"} <= there
    assert "runtime/index.d.ts" not in there and (out / "runtime/model/model.onnx").stat().st_size > 1_000_000
    listed = json.loads((out / "files.js").read_text().removeprefix("self.site = ").rstrip(";\n"))
    assert set(listed["files"]) == there - {"files.js"}
    html = (out / "index.html").read_text()
    assert "page/js/static.js" in html and "serve.js" not in html
    for path in [*out.glob("*.*"), *out.glob("page/js/*.js")]:
        assert not re.search(r"https?://(?!www\.w3\.org/)", path.read_text()), path.name
    for address in re.findall(r'(?:src|href)="([^"#]+)', html):
        assert not address.startswith("/") and (address == "./" or (out / address).is_file())


def test_the_policy_allows_webassembly_and_nothing_else_beyond_this_host() -> None:
    rules = dict(rule.split(" ", 1) for rule in static_page.POLICY.split("; "))
    assert rules["script-src"] == "'self' 'wasm-unsafe-eval'" and rules["default-src"] == "'none'"
    assert rules["connect-src"] == rules["worker-src"] == rules["style-src"] == "'self'"


def test_an_earlier_build_is_replaced_and_other_folders_are_not(runtime: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    static_page.build(out, runtime)
    first = (out / "files.js").read_text()
    (runtime / "worker.js").rename(runtime / "chunk-new.js")
    static_page.build(out, runtime)
    assert (out / "files.js").read_text() != first and not (out / "runtime/worker.js").exists()
    other = tmp_path / "other"
    other.mkdir()
    (other / "letter.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds other files"):
        static_page.build(other, runtime)
    assert [path.name for path in other.iterdir()] == ["letter.txt"]


def test_a_missing_or_other_runtime_is_reported_with_advice(runtime: Path, tmp_path: Path) -> None:
    assert static_page.find_runtime(runtime.parent) == static_page.find_runtime(runtime) == runtime
    with pytest.raises(UsageError, match="npm install whoplays"):
        static_page.find_runtime(tmp_path)
    (runtime.parent / "package.json").write_text('{"version": "0.0.1"}')
    with pytest.raises(UsageError, match=r"is of whoplays 0\.0\.1"):
        static_page.find_runtime(runtime)


def test_a_model_that_a_browser_cannot_run_is_refused(
    runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from whoplays.model import folder

    bundle = folder.read()
    odd = replace(bundle.config, features=replace(bundle.config.features, n_fft=1000))
    monkeypatch.setattr(folder, "read", lambda model: replace(bundle, config=odd))
    with pytest.raises(ModelError, match="power of two"):
        static_page.build(tmp_path / "site", runtime)
    assert not (tmp_path / "site").exists()


# In Chromium


class _Quiet(http.server.SimpleHTTPRequestHandler):
    server: _Host
    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, ".js": "text/javascript"}

    def log_message(self, *_: Any) -> None:
        self.server.requested.append(self.path)


class _Host(http.server.ThreadingHTTPServer):
    """A host of static files that knows nothing of the page, and keeps the requested paths."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
        self.requested: list[str] = []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page, built from the npm package, some folders below a host's root."""
    if not shutil.which("npm") or not (WEB / "node_modules").is_dir():
        pytest.skip("Node, or the npm package's dependencies (cd web && npm ci), are not installed")
    done = subprocess.run(["npm", "run", "build"], cwd=WEB, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    out = tmp_path_factory.mktemp("host") / "some" / "where"
    command = [sys.executable, "-m", "whoplays", "web", "build", "--out", str(out), "--runtime", str(WEB)]
    subprocess.run(command, check=True, capture_output=True)
    return out


@pytest.fixture
def host(site: Path) -> Iterator[_Host]:
    with _Host(site.parents[1]) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--mute-audio"]
    samples, rate = soundfile.read(EXAMPLES[0], dtype="float32")
    soundfile.write(tmp_path / "microphone.wav", samples, rate)
    flags += ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    flags += [f"--use-file-for-fake-audio-capture={tmp_path / 'microphone.wav'}"]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser.new_context(accept_downloads=True)
        browser.close()


def opened(context: Any, host: _Host) -> Any:
    """Return the page, once its model is there; what the browser complains about is kept in `page.complaints`."""
    page = context.new_page()
    page.complaints = []
    page.on("console", lambda message: message.type == "error" and page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.goto(f"http://127.0.0.1:{host.server_port}/some/where/")
    page.wait_for_selector("html[data-model]", timeout=120_000)
    return page


def results(page: Any, paths: list[Path], folder: Path) -> dict[str, dict[str, Any]]:
    """Give recordings to the page, all at once; return what its JSON export says of each."""
    page.set_input_files("#file", [str(path) for path in paths])
    page.wait_for_selector("#queue", state="hidden", timeout=300_000)
    with page.expect_download() as download:
        page.click("#export-json")
    download.value.save_as(folder / "results.json")
    return {one["path"]: one for one in json.loads((folder / "results.json").read_text())}


#: What plays, seconds, Hz, gain of each channel, file.
RECORDINGS: list[tuple[list[str], float, int, list[float], str]] = [
    (["guitar", "drums"], 12.0, 44100, [1.0, 0.5], "guitar-drums.wav"),
    (["strings"], 180.0, 22050, [1.0], "strings.flac"),
    (["piano"], 0.2, 44100, [1.0], "piano.wav"),
    (["brass"], 1.5, 8000, [1.0], "brass.wav"),
    (["piano", "strings"], 31.0, 96000, [1.0, 0.7], "piano-strings.flac"),
    (["drums"], 7.0, 16000, [1.0], "drums.flac"),
    (["guitar"], 20.5, 11025, [1.0, 1.0], "guitar.wav"),
    (["brass", "drums", "guitar"], 24.0, 48000, [0.3, 1.0], "brass-drums-guitar.opus"),
    (["strings", "brass"], 9.0, 32000, [1.0], "strings-brass.mp3"),
    (["piano", "drums"], 25.0, 44100, [1.0, 0.9], "piano-drums.m4a"),
    (["guitar", "strings"], 15.0, 24000, [1.0], "guitar-strings.ogg"),
    (["brass"], 10.3, 88200, [1.0, -1.0], "cancelled.flac"),
    (["drums", "piano", "strings"], 30.0, 48000, [1.0, 0.5, 0.2, 0.1], "four-channels.wav"),
    (["guitar"], 3.0, 44100, [1.0, 0.0], "one-side.aiff"),
    (["piano"], 13.0, 48000, [1.0, 0.6], "piano.caf"),
    (["strings"], 5.0, 22050, [40.0], "clipped.wav"),
    ([], 4.0, 44100, [1.0], "room.wav"),
]


def recordings(folder: Path, names: tuple[str, ...] | None = None) -> list[Path]:
    """Write the recordings of those names; None: all."""
    found = []
    for seed, (families, seconds, rate, gains, name) in enumerate(RECORDINGS):
        if names and name not in names:
            continue
        sound = synth.recording(families, duration_s=seconds, seed=seed, sample_rate=rate)
        samples = np.clip(sound[:, None] * np.array(gains, np.float32), -1, 1)
        path = folder / name
        if path.suffix == ".m4a":
            _encode(path, "aac", "fltp", samples, rate)
        elif path.suffix == ".opus":
            soundfile.write(path, samples, rate, format="OGG", subtype="OPUS")
        else:
            soundfile.write(path, samples, rate)
        found.append(path)
    return found


def _encode(path: Path, codec: str, sample_format: str, samples: np.ndarray, rate: int) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout="stereo", bit_rate=160_000)
        stream.codec_context.format = sample_format
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T), format="fltp", layout="stereo")
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


#: What no browser decodes: FFmpeg's encoder, its format of samples, Hz, file, and the file that decodes it.
FOREIGN = [
    ("wmav2", "fltp", 44100, "second.wma", "decode-wma.js"),
    ("wmav1", "fltp", 22050, "first.wma", "decode-wma.js"),
    ("wavpack", "s16p", 48000, "lossless.wv", "decode-wavpack.js"),
    ("ac3", "fltp", 48000, "film.mp4", "decode-ac3.js"),
    ("eac3", "fltp", 44100, "film.ts", "decode-ac3.js"),
]


def foreign(folder: Path) -> list[Path]:
    """Write recordings in formats that no browser decodes."""
    for seed, (codec, sample_format, rate, name, _) in enumerate(FOREIGN):
        sound = synth.recording(["guitar", "drums"], duration_s=11.0, seed=seed, sample_rate=rate)
        samples = (sound[:, None] * np.array([1.0, 0.6])).astype(np.float32)
        _encode(folder / name, codec, sample_format, samples, rate)
    return [folder / name for *_, name, _ in FOREIGN]


@pytest.mark.browser
@pytest.mark.slow
def test_static_files_and_a_browser_give_the_commands_answer_without_any_network(
    site: Path, host: _Host, context: Any, tmp_path: Path
) -> None:
    paths = [*EXAMPLES, *recordings(tmp_path)]
    assert len(paths) == 20
    paths += foreign(tmp_path)
    page = opened(context, host)
    page.evaluate("navigator.serviceWorker.ready.then(() => {})")
    page.wait_for_timeout(500)
    host.shutdown()
    host.server_close()
    context.set_offline(True)
    page.reload()
    page.wait_for_selector("html[data-model]", timeout=120_000)
    network: list[str] = []
    panel = context.new_cdp_session(page)
    panel.on("Network.requestWillBeSent", lambda event: network.append(event["request"]["url"]))
    panel.send("Network.enable")
    found = results(page, paths, tmp_path)
    page.wait_for_timeout(200)
    assert [address for address in network if not address.startswith("blob:")] == []
    assert page.complaints == []
    assert [one for one in found.values() if "error" in one] == []
    for expected in whoplays.predict_many([str(path) for path in paths]):
        mine = found[Path(expected.path).name]
        assert mine["playing"] == list(expected.playing), expected.path
        most = MOST_DIFFERENCE if expected.sample_rate >= 22050 else MOST_BELOW
        for label, score in expected.scores.items():
            assert mine["scores"][label] == pytest.approx(score, abs=most), (expected.path, label)
        assert mine["duration"] == pytest.approx(expected.duration, abs=0.002), expected.path
        assert [one["code"] for one in mine["warnings"]] == [one.code for one in expected.warnings], expected.path


@pytest.mark.browser
@pytest.mark.slow
def test_a_decoder_is_fetched_when_a_file_comes_that_needs_it(host: _Host, context: Any, tmp_path: Path) -> None:
    page = opened(context.browser.new_context(accept_downloads=True, service_workers="block"), host)
    fetched = lambda: [path.rpartition("/")[2] for path in host.requested if "/decode-" in path]  # noqa: E731
    assert fetched() == []
    found = results(page, foreign(tmp_path), tmp_path)
    assert all("playing" in found[name] for *_, name, _ in FOREIGN)
    assert set(fetched()) == {needed for *_, needed in FOREIGN}
    lossless, second = (tmp_path / name for name in ("lossless.wv", "second.wma"))
    bad = {name: tmp_path / name for name in ("hit.wv", "endless.wv", "head.wma", "tape.ape")}
    content = bytearray(lossless.read_bytes())
    content[60_000:60_100] = bytes(100)
    bad["hit.wv"].write_bytes(content)
    with bad["endless.wv"].open("wb") as file:
        file.write(lossless.read_bytes())
        file.truncate(1 << 30)  # sparse
    bad["head.wma"].write_bytes(second.read_bytes()[:500])
    bad["tape.ape"].write_bytes(b"MAC " + bytes(500))
    noise = np.random.default_rng(1).uniform(-0.3, 0.3, (200 * 48000, 2)).astype(np.float32)
    _encode(tmp_path / "long.wv", "wavpack", "s16p", noise, 48000)  # 36 MB, more than its decoder keeps
    found = results(page, [*bad.values(), tmp_path / "long.wv"], tmp_path)
    assert found["long.wv"].get("duration") == 200.0, found["long.wv"]
    errors = {name: found[name]["error"] for name in bad}
    assert errors["hit.wv"].startswith("Cannot be decoded (WavPack: corrupt block")
    assert errors["endless.wv"] == "Cannot be decoded (it goes on without sound); is it damaged?"
    assert errors["head.wma"] == "Cannot be decoded (its beginning is cut off); is it damaged?"
    assert errors["tape.ape"] == "Is Monkey's Audio, which browsers cannot decode; convert it to WAV or FLAC"


@pytest.mark.browser
@pytest.mark.slow
def test_what_cannot_be_used_gets_a_line_in_both_languages_and_the_others_go_on(
    host: _Host, context: Any, tmp_path: Path
) -> None:
    import av

    bad = {
        name: tmp_path / name for name in ("empty.wav", "letter.mp3", "film.mp4", "huge.wav", "cut.flac", "long.wav")
    }
    bad["empty.wav"].touch()
    bad["letter.mp3"].write_text("Dear Sir or Madam, " * 500)
    with av.open(str(bad["film.mp4"]), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 64
        for _ in range(10):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8))))
        container.mux(stream.encode(None))
    with bad["huge.wav"].open("wb") as file:
        file.truncate(4 << 30)  # sparse
    bad["cut.flac"].write_bytes(b"fLaC" + bytes(100))
    samples = np.zeros(8000, np.int16)
    soundfile.write(bad["long.wav"], samples, 8000)
    with bad["long.wav"].open("r+b") as file:  # of fifteen hours by its header and its size
        size = 15 * 3600 * 16000
        file.seek(4), file.write((36 + size).to_bytes(4, "little"))
        file.seek(40), file.write(size.to_bytes(4, "little"))
        file.truncate(44 + size)
    page = opened(context, host)
    found = results(page, [*bad.values(), EXAMPLES[0]], tmp_path)
    assert found[EXAMPLES[0].name]["playing"]
    errors = {name: found[name]["error"] for name in bad}
    assert errors["empty.wav"] == "Is empty (0 bytes)"
    assert errors["letter.mp3"].startswith("Is not a recording that can be read")
    assert errors["film.mp4"] == "Holds no sound, only video"
    assert errors["huge.wav"] == "This file has 4,096 MB; at most 2048 MB can be analysed."
    assert errors["long.wav"].startswith("Is longer than 12 hours")
    assert all("\n" not in line and len(line) < 200 for line in errors.values())
    page.click("[data-lang=pl]")
    assert "jest pusty" in results(page, [_copy(bad["empty.wav"], "other.wav")], tmp_path)["other.wav"]["error"].lower()


def _copy(path: Path, name: str) -> Path:
    return Path(shutil.copy(path, path.with_name(name)))


@pytest.mark.browser
@pytest.mark.slow
def test_a_model_with_wrong_checksums_is_reported_in_the_page(
    site: Path, host: _Host, context: Any, tmp_path: Path
) -> None:
    broken = site.parent / "broken"
    shutil.copytree(site, broken)
    network = broken / "runtime" / "model" / "model.onnx"
    network.write_bytes(network.read_bytes()[:-1] + b"x")
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{host.server_port}/some/broken/")
    page.wait_for_selector("#limits.trouble", timeout=60_000)
    assert "checksum" in page.inner_text("#limits")


@pytest.mark.browser
@pytest.mark.slow
def test_the_microphone_is_recognised_live_in_the_page(host: _Host, context: Any) -> None:
    page = opened(context, host)
    page.click("#record")
    page.wait_for_selector("#lanes .live-score", timeout=60_000)
    page.click("#stop")
    page.wait_for_selector("#shown .result", timeout=60_000)
    assert page.complaints == []


# In other browsers

PREDICT = """(async () => {
  const recogniser = await (await import("./runtime/index.js")).load();
  const found = {};
  for (const file of document.getElementById("given").files) {
    const { scores, playing } = await recogniser.predict(file).catch((error) => ({ scores: {}, playing: error.message }));
    found[file.name] = { scores, playing };
  }
  globalThis.found = found;
})()"""
UNCOMPRESSED = ("guitar-drums.wav", "one-side.aiff", "piano.caf")
COMPRESSED = ("drums.flac", "strings-brass.mp3", "piano-drums.m4a", "guitar-strings.ogg", "brass-drums-guitar.opus")
#: The decoders of WebKitGTK are GStreamer's, which differ from machine to machine.
OTHERS = [(browsers.firefox, UNCOMPRESSED + COMPRESSED), (browsers.webkit, UNCOMPRESSED)]


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize(("run", "names"), OTHERS, ids=["firefox", "webkit"])
def test_another_browser_gives_the_commands_answer(
    host: _Host, tmp_path: Path, run: Any, names: tuple[str, ...]
) -> None:
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    paths = recordings(sounds, names)
    with run(tmp_path) as browser:
        browser.open(f"http://127.0.0.1:{host.server_port}/some/where/")
        browsers.wait(browser, "document.documentElement.dataset.model")
        browser.choose("#file", [paths[0]])
        browsers.wait(browser, f"document.querySelector('#shown .result')?.innerText.includes('{paths[0].name}')")
        browser.value("document.body.insertAdjacentHTML('beforeend', '<input type=file id=given multiple>')")
        browser.choose("#given", paths)
        browser.value(f"void {PREDICT}")
        found = browsers.wait(browser, "globalThis.found")
    for expected in whoplays.predict_many([str(path) for path in paths]):
        mine = found[Path(expected.path).name]
        assert mine["playing"] == list(expected.playing), expected.path
        for label, score in expected.scores.items():
            assert mine["scores"][label] == pytest.approx(score, abs=MOST_DIFFERENCE), (expected.path, label)
