"""Chromium under measurement: its renderer processes, their memory, and the frames that it presents."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from bench.processes import memory_mb, proportional_mb

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--mute-audio", "--disable-background-networking"]


def processes(browser: Browser) -> dict[int, str]:
    """Return the browser's processes: id -> "renderer", "GPU" and so on."""
    session = browser.new_browser_cdp_session()
    found = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    return {process["id"]: process["type"] for process in found}


def renderers(browser: Browser) -> set[int]:
    """Return the ids of the browser's renderer processes."""
    return {pid for pid, kind in processes(browser).items() if kind == "renderer"}


def renderer_of(browser: Browser, page: Page) -> int:
    """Return the id of a page's process: the renderer that grows by what the page takes up."""
    before = {pid: private_mb(pid) for pid in renderers(browser)}
    page.evaluate("globalThis.taken = new Uint8Array(64 << 20).fill(1)")
    found = max(before, key=lambda pid: private_mb(pid) - before[pid])
    page.evaluate("delete globalThis.taken")
    page.context.new_cdp_session(page).send("HeapProfiler.collectGarbage")
    return found


def prefer(browser: Browser, nice: int) -> None:
    """Give all threads of the browser a niceness: it sets that of its renderers itself, whatever it was started with."""
    for pid in processes(browser):
        for thread in Path(f"/proc/{pid}/task").glob("*"):
            with contextlib.suppress(OSError):  # it ended
                os.setpriority(os.PRIO_PROCESS, int(thread.name), nice)


def private_mb(pid: int) -> float:
    """Return a process's memory in MB as Chromium's task manager shows it; 0 for one that ended."""
    try:
        return memory_mb(pid, "RssAnon:") + memory_mb(pid, "VmSwap:")
    except OSError:
        return 0.0


class Memory:
    """The greatest memory of processes while a block runs: shared pages counted by their share, and private alone."""

    def __init__(self, pids: set[int]) -> None:
        self.most_mb = self.most_private_mb = 0.0
        self._pids, self._ended = pids, threading.Event()

    def __enter__(self) -> Memory:
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._look()
        self._ended.set()

    def _watch(self) -> None:
        while not self._ended.wait(0.25):
            self._look()

    def _look(self) -> None:
        self.most_mb = max(self.most_mb, sum(map(proportional_mb, self._pids)))
        self.most_private_mb = max(self.most_private_mb, sum(map(private_mb, self._pids)))


def presented(browser: Browser, page: Page, work: Callable[[], Any]) -> tuple[Any, list[float]]:
    """Return what `work` returns, and the times in seconds at which the page's frames were presented while it ran."""
    events: list[dict[str, Any]] = []
    ended = threading.Event()
    session = browser.new_browser_cdp_session()
    session.on("Tracing.dataCollected", lambda part: events.extend(part["value"]))
    session.on("Tracing.tracingComplete", lambda _: ended.set())
    categories = ["disabled-by-default-devtools.timeline.frame", "devtools.timeline.frame"]
    session.send("Tracing.start", {"traceConfig": {"includedCategories": categories}})
    found = work()
    session.send("Tracing.end")
    while not ended.is_set():
        page.wait_for_timeout(50)  # which handles the session's events too
    session.detach()
    return found, sorted(event["ts"] / 1e6 for event in events if event["name"] == "DrawFrame")
