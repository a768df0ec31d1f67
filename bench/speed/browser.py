"""The page of static files in Chromium beside the Python package: time to answer, download, and memory of an hour.

    python -m bench browser [--runs 15] [--minutes 60] [--files 100]

Needs Chromium, and the npm package as built (cd web && npm ci && npm run build).
"""

from __future__ import annotations

import argparse
import functools
import gzip
import http.server
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from playwright.sync_api import Browser, Page, sync_playwright

import whoplays
from bench.chromium import CHROMIUM, FLAGS, Memory, renderer_of, renderers
from bench.measure import keep
from whoplays.examples import synth
from whoplays.serve import static_page

ARGUMENTS = ("--runs 15",)
SMALL = "--runs 2 --minutes 1 --files 3"
RATE = 22050
LOAD = "import('./runtime/index.js').then(async (m) => { globalThis.recogniser = await m.load(); })"
SAMPLES = """async ([text, rate]) => {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  globalThis.samples = new Float32Array(bytes.buffer);
}"""
PREDICT = """async (rate) => {
  const begun = performance.now();
  await recogniser.predict(samples, { sampleRate: rate });
  return performance.now() - begun;
}"""


class _Host(http.server.SimpleHTTPRequestHandler):
    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, ".js": "text/javascript"}

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def hosted(folder: Path) -> Iterator[str]:
    handler = functools.partial(_Host, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def downloads(site: Path) -> list[dict[str, Any]]:
    """What a first visit fetches, as gzip; examples and decoders are fetched when they are needed."""
    needless = {*site.glob("examples/*"), *site.rglob("*.txt"), *site.glob("runtime/decode-*.js")}
    parts = {
        "ONNX Runtime": "runtime/ort*",
        "model": "runtime/model/*",
        "package": "runtime/*.js",
        "resampler": "runtime/speex*",
    }
    rows, rest = [], {path for path in site.rglob("*") if path.is_file()} - needless
    for name, pattern in [*parts.items(), ("page", "**/*")]:
        files = rest & set(site.glob(pattern))
        rest -= files
        packed = sum(len(gzip.compress(path.read_bytes(), 9)) for path in files) / 1e6
        rows.append({"what": f"download: {name}", "browser": f"{packed:.2f} MB", "Python": "", "aim": ""})
    whole = sum(float(one["browser"].split()[0]) for one in rows)
    return [
        *rows,
        {"what": "download, all of it", "browser": f"{whole:.2f} MB", "Python": "", "aim": "8 MB"},
        *decoders(site),
    ]


def decoders(site: Path) -> list[dict[str, Any]]:
    """What a recording fetches that the browser cannot decode, as gzip."""
    found = sorted(site.glob("runtime/decode-*.js"))
    sizes = {path.stem: len(gzip.compress(path.read_bytes(), 9)) / 1e6 for path in found}
    return [
        {"what": f"download when needed: {name}", "browser": f"{size:.2f} MB", "Python": "", "aim": ""}
        for name, size in sizes.items()
    ]


def first_answer(browser: Browser, address: str, file: Path, runs: int) -> list[dict[str, Any]]:
    """From a browser that has seen nothing of the page to the answer; and the command."""
    found, commands, found_spent, commands_spent = [], [], [], []
    for _ in range(runs):
        others = renderers(browser)
        context = browser.new_context()
        page = context.new_page()
        begun = time.perf_counter()
        page.goto(address)
        page.set_input_files("#file", str(file))
        page.wait_for_selector("#shown .result", timeout=120_000)
        found.append(time.perf_counter() - begun)
        found_spent.append(processor_time(renderers(browser) - others))
        context.close()
        begun, before = time.perf_counter(), _children_time()
        subprocess.run([sys.executable, "-m", "whoplays", "predict", str(file)], check=True, capture_output=True)
        commands.append(time.perf_counter() - begun)
        commands_spent.append(_children_time() - before)
    what = "first answer, cold: ten seconds of WAV"
    return [
        _row(what, found, commands, 1, "s", "2 s"),
        _row(f"{what}, processor time", found_spent, commands_spent, 1, "s", ""),
    ]


def _children_time() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _row(what: str, ours: list[float], peer: list[float], scale: float, unit: str, aim: str) -> dict[str, Any]:
    def median(values: list[float]) -> str:
        return f"{statistics.median(values) * scale:.3g} {unit} (least {min(values) * scale:.3g})"

    return {"what": what, "browser": median(ours), "Python": median(peer), "aim": aim}


def processor_time(pids: set[int]) -> float:
    """Return the seconds that processors have spent on processes."""
    spent = 0
    for path in (one for pid in pids for one in Path(f"/proc/{pid}/task").glob("*/schedstat")):
        with suppress(OSError):  # a thread that has ended
            spent += int(path.read_text().split()[0])
    return spent / 1e9


def warm(page: Page, pids: set[int], rate: int, runs: int, recogniser: whoplays.Recogniser) -> list[dict[str, Any]]:
    """Ten seconds of samples, in turn here and there: by the clock, and by what processors spent on it."""
    import base64

    samples = synth.recording(["guitar", "drums"], duration_s=10, seed=1, sample_rate=rate).astype(np.float32)
    page.evaluate(SAMPLES, [base64.b64encode(samples.tobytes()).decode(), rate])
    work: Callable[[], Any] = lambda: recogniser.predict(samples, sample_rate=rate)  # noqa: E731
    for _ in range(10):
        page.evaluate(PREDICT, rate), work()
    ours, peer, ours_spent, peer_spent = [], [], [], []
    for _ in range(runs):
        before = processor_time(pids)
        ours.append(page.evaluate(PREDICT, rate) / 1e3)
        ours_spent.append(processor_time(pids) - before)
        begun, before = time.perf_counter(), time.process_time()
        work()
        peer.append(time.perf_counter() - begun)
        peer_spent.append(time.process_time() - before)
    what = f"warm: ten seconds of samples at {rate} Hz"
    return [
        _row(what, ours, peer, 1e3, "ms", "60 ms"),
        _row(f"{what}, processor time", ours_spent, peer_spent, 1e3, "ms", ""),
    ]


def long_recording(page: Page, pids: set[int], minutes: int, folder: Path) -> list[dict[str, Any]]:
    path = folder / "long.wav"
    minute = synth.recording(["guitar", "drums"], duration_s=60, seed=1, sample_rate=48000).astype(np.float32)
    with soundfile.SoundFile(path, "w", 48000, 2, "PCM_16") as file:
        for _ in range(minutes):
            file.write(np.stack([minute, 0.5 * minute], axis=1))
    with Memory(pids) as memory:
        begun = time.perf_counter()
        page.set_input_files("#file", str(path))
        page.wait_for_selector("#shown .result:has-text('long.wav')", timeout=3_000_000)
        seconds = time.perf_counter() - begun
    what = f"{minutes} min of stereo at 48 kHz ({path.stat().st_size / 1e6:.0f} MB)"
    path.unlink()
    return [
        {
            "what": f"{what}: memory of the page's process",
            "browser": f"{memory.most_mb:.0f} MB",
            "Python": "",
            "aim": "500 MB",
        },
        {"what": f"{what}: time", "browser": f"{seconds:.0f} s", "Python": "", "aim": ""},
    ]


def in_a_row(page: Page, pids: set[int], count: int, folder: Path) -> dict[str, Any]:
    sound = synth.recording(["guitar"], duration_s=5, seed=1, sample_rate=44100).astype(np.float32)
    paths = [folder / f"{i}.flac" for i in range(count)]
    for path in paths:
        soundfile.write(path, sound, 44100)
    with Memory(pids) as memory:
        begun = time.perf_counter()
        page.set_input_files("#file", [str(path) for path in paths])
        page.wait_for_selector("#queue", state="hidden", timeout=600_000)
        seconds = time.perf_counter() - begun
    found = f"{seconds:.0f} s, {memory.most_mb:.0f} MB"
    return {"what": f"{count} files of 5 s in a row", "browser": found, "Python": "", "aim": ""}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--files", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder, site = Path(name), Path(name) / "site"
        static_page.build(site, static_page.find_runtime())
        short = folder / "ten.wav"
        sound = synth.recording(["guitar", "drums"], duration_s=10, seed=1, sample_rate=44100)
        soundfile.write(short, sound, 44100)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        with hosted(site) as address:
            rows = first_answer(browser, address, short, max(2, options.runs // 3))
            page = browser.new_page()
            page.goto(address)
            page.wait_for_selector("html[data-model]", timeout=120_000)
            pids = {renderer_of(browser, page)}
            page.evaluate(LOAD)
            recogniser = whoplays.load()
            for rate in (RATE, 44100, 48000):
                rows += warm(page, pids, rate, options.runs, recogniser)
            rows += downloads(site)
            page.reload()
            page.wait_for_selector("html[data-model]", timeout=120_000)
            rows.append(in_a_row(page, pids, options.files, folder))
            rows += long_recording(page, pids, options.minutes, folder)
            release = browser.version
        browser.close()
    keep(
        "browser",
        "The page of static files, in a browser",
        rows,
        peer="this package in Python, one thread",
        packages=("onnxruntime", "playwright"),
        remarks=f"Chromium {release}, one thread, over loopback. Processor time is listed too: "
        "other work on the machine lengthens it little. Downloads as gzip -9.",
    )
