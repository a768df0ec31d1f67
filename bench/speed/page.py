"""The page in Chromium: memory of two hours in its tab, frames while panning, a thousand recordings in its table.

    python -m bench page [--minutes 120] [--files 1000] [--nice 0]

--nice: of the browser; -15 (as root) measures it on a machine that others use. Needs Chromium and
the extra serve. Private memory is what Chromium's task manager shows for the tab.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from playwright.sync_api import Browser, Page, sync_playwright

from bench.chromium import CHROMIUM, FLAGS, Memory, prefer, presented, renderer_of
from bench.measure import keep
from whoplays.examples import synth

SMALL = "--minutes 2 --files 12"
RATE = 32000
KINDS: tuple[list[str], ...] = (
    ["guitar", "drums"],
    ["strings", "piano"],
    ["brass"],
    ["guitar"],
    ["drums"],
    ["piano"],
    ["strings", "brass"],
    [],
)
ZOOMS = (1, 8, 64)
#: Drags the waveform a little in each frame, there and back; returns milliseconds between frames.
DRAG = """async (frames) => {
  const wave = document.querySelector(".wave"), box = wave.getBoundingClientRect(), y = box.top + 20;
  const point = (kind, x) => wave.dispatchEvent(new PointerEvent(kind, { pointerId: 1, clientX: x, clientY: y, bubbles: true }));
  const frame = () => new Promise(requestAnimationFrame);
  let x = box.left + box.width / 2;
  point("pointerdown", x);
  const times = [await frame()];
  for (let i = 0; i < frames; i++) {
    point("pointermove", (x += i < frames / 2 ? -4 : 4));
    times.push(await frame());
  }
  point("pointerup", x);
  return times.slice(1).map((time, i) => time - times[i]);
}"""
#: Does something to the table; returns milliseconds until what it changed was painted.
ACT = """async ([selector, kind, value]) => {
  const target = document.querySelector(selector), begun = performance.now();
  if (value !== null) target.value = value;
  if (kind === "click") target.click();
  else target.dispatchEvent(new Event(kind, { bubbles: true }));
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  return performance.now() - begun;
}"""


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Serve the model of the package without limits; yield the address."""
    words = [sys.executable, "-m", "whoplays", "serve", "--port", "0", "--rate", "0", "--max-upload-mb", "4096"]
    words += ["--max-duration", "86400", "--time-limit", "86400"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        found = re.search(r"http://\S+", process.stderr.readline())
        if not found:
            raise RuntimeError("the server did not start")
        try:
            yield found[0]
        finally:
            process.terminate()


def sound(number: int, seconds: float) -> Any:
    return synth.recording(KINDS[number % len(KINDS)], duration_s=seconds, seed=number, sample_rate=RATE)


def row(what: str, measured: str, aim: str = "") -> dict[str, str]:
    print(f"{what}: {measured}", file=sys.stderr)
    return {"what": what, "measured": measured, "aim": aim}


def opened(browser: Browser, address: str, nice: int) -> tuple[Page, set[int]]:
    """Open the page in a context of its own; return it and its process."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True).new_page()
    page.set_default_timeout(120_000)
    page.goto(address)
    page.locator(".example").first.wait_for()
    prefer(browser, nice)
    return page, {renderer_of(browser, page)}


def two_hours(browser: Browser, address: str, folder: Path, minutes: int, nice: int) -> list[dict[str, str]]:
    path = folder / "long.ogg"
    with soundfile.SoundFile(path, "w", RATE, 1, format="OGG", subtype="VORBIS") as file:
        pieces = [sound(i, 20).astype(np.float32) for i in range(24)]
        for i in range(3 * minutes):
            file.write(pieces[i % len(pieces)])
    page, pids = opened(browser, address, nice)
    what, rows = f"{minutes} min ({path.stat().st_size / 1e6:.0f} MB of Ogg)", []

    def watched(state: str, seconds: float, act: Any) -> None:
        with Memory(pids) as memory:
            act()
            page.wait_for_timeout(1000 * seconds)
        shown = f"{memory.most_private_mb:.0f} MB private, {memory.most_mb:.0f} MB with its share of shared pages"
        rows.append(row(f"{what}: most memory of the tab, {state}", shown, "150 MB"))

    def sent() -> None:
        page.set_input_files("#file", str(path))
        page.locator(".result").wait_for(timeout=3_600_000)

    def again() -> None:
        page.reload()
        page.locator(".timeline").wait_for()

    watched("empty", 2, lambda: None)
    rows[-1]["aim"] = ""
    watched("until it is shown", 5, sent)
    page.set_input_files("#file", str(path))
    page.locator(".play").wait_for()
    watched("playing", 10, page.locator(".play").click)
    page.locator(".play").click()
    prefer(browser, nice)
    rows += frames(browser, page, what)
    watched("reloading", 15, again)
    watched("20 s after the reload", 5, lambda: None)
    page.context.close()
    path.unlink()
    return rows


def frames(browser: Browser, page: Page, what: str, count: int = 300) -> list[dict[str, str]]:
    """Drag at several zooms: frames that the compositor presented, and time of the page's main thread."""
    rows = []
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def busy() -> float:
        figures = session.send("Performance.getMetrics")["metrics"]
        return float(next(one["value"] for one in figures if one["name"] == "TaskDuration"))

    for zoom in ZOOMS:
        page.keyboard.press("0")
        for _ in range(zoom.bit_length() - 1):
            page.keyboard.press("+")
        page.wait_for_timeout(500)
        before = busy()
        between, shown = presented(browser, page, lambda: page.evaluate(DRAG, count))
        used = 1000 * (busy() - before) / count
        wall = sum(between) / 1000
        inside = [b - a for a, b in itertools.pairwise(shown)]
        late = sum(1 for gap in between if gap > 1.5 * 1000 / 60) / len(between)
        measured = (
            f"{len(inside) / max(wall, 1e-9):.1f} frames/s presented; between two: median {statistics.median(between):.1f} ms, "
            f"95 % below {statistics.quantiles(between, n=20)[-1]:.1f} ms; {late:.0%} late; main thread {used:.1f} ms a frame"
        )
        rows.append(row(f"{what}: dragging at zoom {zoom}", measured, "60 frames/s"))
    return rows


def thousand(browser: Browser, address: str, folder: Path, count: int, nice: int) -> list[dict[str, str]]:
    shapes = [sound(i, 3).astype(np.float32) for i in range(40)]
    paths = []
    for i in range(count):
        path = folder / f"album {i // 12:02d} - take {i:04d}.ogg"
        if i == count // 2:
            path.write_bytes(b"no recording")
        else:
            soundfile.write(path, shapes[i % len(shapes)] * (1 - i / count / 2), RATE)
        paths.append(path)
    page, pids = opened(browser, address, nice)
    what = f"{count} recordings"
    with Memory(pids) as memory:
        begun = time.perf_counter()
        page.set_input_files("#file", [str(path) for path in paths])
        page.wait_for_function("n => document.querySelectorAll('#items tr').length === n", arg=count)
        listed = time.perf_counter() - begun
        page.wait_for_function("() => document.querySelector('#queue').hidden", timeout=3_600_000)
        done = time.perf_counter() - begun
    rows = [
        row(f"{what}: chosen, until all are listed", f"{1000 * listed:.0f} ms"),
        row(f"{what}: until all are analysed (3 s each)", f"{done:.0f} s, {1000 * done / count:.0f} ms each"),
        row(f"{what}: most memory of the tab until then", f"{memory.most_private_mb:.0f} MB private", "150 MB"),
    ]
    acts = {
        "sort by name": ["#list th[data-by=name] button", "click", None],
        "sort by what plays": ["#list th[data-by=plays] button", "click", None],
        "sort by score": ["#list th[data-by=sureness] button", "click", None],
        "filter: guitar and not piano": ["#filter", "input", "guitar and not piano"],
        "filter: take 00 (names)": ["#filter", "input", "take 00"],
        "filter removed": ["#filter", "input", ""],
        "select all": ["#all", "click", None],
        "select none": ["#all", "click", None],
        "all recordings together, opened": ["#collection summary", "click", None],
        "the control of thresholds moved": ["#sure-range", "input", "0.5"],
        "the control moved back": ["#sure-range", "input", "0"],
    }
    rows += [
        row(f"{what}: {name}, until painted", f"{page.evaluate(ACT, act):.0f} ms", "100 ms")
        for name, act in acts.items()
    ]
    for kind in ("csv", "json", "zip", "m3u"):
        begun = time.perf_counter()
        with page.expect_download() as waiting:
            page.locator(f"#export-{kind}").click()
        size = Path(waiting.value.path()).stat().st_size
        rows.append(
            row(f"{what}: export {kind}", f"{1000 * (time.perf_counter() - begun):.0f} ms, {size / 1e6:.2f} MB")
        )
    page.evaluate("document.querySelector('#all').click()")
    removed, undone = (
        page.evaluate(ACT, ["#remove-selected", "click", None]),
        page.evaluate(ACT, ["#undo-do", "click", None]),
    )
    rows.append(row(f"{what}: all removed, and brought back", f"{removed:.0f} ms, {undone:.0f} ms", "100 ms"))
    begun = time.perf_counter()
    page.reload()
    page.wait_for_function("n => document.querySelectorAll('#items tr').length === n", arg=count - 1)
    rows.append(
        row(f"{what}: reload, until all results are back", f"{1000 * (time.perf_counter() - begun):.0f} ms", "1 s")
    )
    page.context.close()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=120)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--nice", type=int, default=0, metavar="N")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder, address = Path(stack.enter_context(tempfile.TemporaryDirectory())), stack.enter_context(server())
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        release, before = browser.version, os.getloadavg()[0]
        rows = two_hours(browser, address, folder, options.minutes, options.nice)
        rows += thousand(browser, address, folder, options.files, options.nice)
        load = max(before, os.getloadavg()[0])
        browser.close()
    keep(
        "page",
        "The page of whoplays serve, in a browser",
        rows,
        peer="none",
        packages=("onnxruntime", "playwright"),
        remarks=f"Chromium {release} without a graphics processor: the processor draws its frames. Up to {load:.0f} processes "
        f"wanted a core meanwhile (load average), of which the server and the browser are two or three; nice {options.nice}.",
    )


if __name__ == "__main__":
    main()
