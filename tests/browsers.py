"""Firefox and WebKitGTK, driven by the protocols they come with: WebDriver BiDi, and WebDriver."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest

STARTUP_S = 300  # on a busy machine too


class Browser(Protocol):
    """One page of a browser."""

    def open(self, address: str) -> None:
        """Go to an address, and wait until it is loaded."""

    def value(self, script: str) -> Any:
        """Return what an expression of JavaScript gives, which JSON can hold."""

    def choose(self, selector: str, paths: Sequence[Path]) -> None:
        """Give files to an input."""


def wait(browser: Browser, script: str, seconds: float = 240) -> Any:
    """Return what an expression gives as soon as that is true."""
    until = time.monotonic() + seconds
    while not (found := browser.value(script)):
        assert time.monotonic() < until, f"{script} did not come true"
        time.sleep(0.5)
    return found


def _soon(look: Callable[[], Any]) -> Any:
    """Return what is found, once it is."""
    until = time.monotonic() + STARTUP_S
    while time.monotonic() < until:
        if found := look():
            return found
        time.sleep(0.2)
    raise AssertionError("the browser did not start")


@contextlib.contextmanager
def _running(command: list[str], **more: Any) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, text=True, start_new_session=True, **more)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class _Firefox:
    def __init__(self, socket: Any) -> None:
        self._socket, self._calls = socket, 0
        self._call("session.new", capabilities={})
        self._page = self._call("browsingContext.getTree")["contexts"][0]["context"]

    def open(self, address: str) -> None:
        self._call("browsingContext.navigate", context=self._page, url=address, wait="complete")

    def value(self, script: str) -> Any:
        return json.loads(self._evaluate(f"JSON.stringify({script})").get("value", "null"))

    def choose(self, selector: str, paths: Sequence[Path]) -> None:
        node = self._evaluate(f"document.querySelector({json.dumps(selector)})")["sharedId"]
        self._call(
            "input.setFiles", context=self._page, element={"sharedId": node}, files=[str(path) for path in paths]
        )

    def _evaluate(self, expression: str) -> dict[str, Any]:
        answer = self._call(
            "script.evaluate", expression=expression, target={"context": self._page}, awaitPromise=False
        )
        assert answer["type"] == "success", answer
        return answer["result"]

    def _call(self, method: str, **params: Any) -> Any:
        self._calls += 1
        self._socket.send(json.dumps({"id": self._calls, "method": method, "params": params}))
        while (answer := json.loads(self._socket.recv(STARTUP_S))).get("id") != self._calls:
            continue
        assert answer["type"] == "success", answer
        return answer["result"]


@contextlib.contextmanager
def firefox(folder: Path) -> Iterator[Browser]:
    """Run Firefox with a new profile."""
    client = pytest.importorskip("websockets.sync.client", reason="websockets is not installed")
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    if program is None:
        pytest.skip("no Firefox is installed (Debian: apt-get install firefox-esr)")
    command = [program, "--headless", "--no-remote", "--profile", str(folder), "--remote-debugging-port", "0"]
    log = folder / "firefox.log"
    with log.open("w") as said, _running(command, stderr=said, env={**os.environ, "HOME": str(folder)}):
        address = _soon(lambda: re.search(r"WebDriver BiDi listening on (ws://\S+)", log.read_text(errors="replace")))[
            1
        ]
        with client.connect(f"{address}/session", open_timeout=STARTUP_S, max_size=None) as connection:
            yield _Firefox(connection)


class _WebKit:
    _ELEMENT = "element-6066-11e4-a52e-4f735466cecf"

    def __init__(self, address: str, program: str) -> None:
        self._address = address
        options = {"binary": program, "args": ["--automation"]}
        wanted = {"alwaysMatch": {"browserName": "MiniBrowser", "webkitgtk:browserOptions": options}}
        self._address += f"/session/{self._post('/session', capabilities=wanted)['sessionId']}"

    def open(self, address: str) -> None:
        self._post("/url", url=address)

    def value(self, script: str) -> Any:
        return self._post("/execute/sync", script=f"return {script}", args=[])

    def choose(self, selector: str, paths: Sequence[Path]) -> None:
        element = self._post("/element", using="css selector", value=selector)[self._ELEMENT]
        self._post(f"/element/{element}/value", text="\n".join(str(path) for path in paths))

    def _post(self, path: str, **params: Any) -> Any:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._address + path, json.dumps(params).encode(), headers)
        with urllib.request.urlopen(request, timeout=300) as answer:
            return json.load(answer)["value"]


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def webkit(folder: Path) -> Iterator[Browser]:
    """Run WebKitGTK's small browser on a screen of its own."""
    programs = sorted(Path("/usr/lib").glob("*/webkit2gtk-4*/MiniBrowser"))
    if not programs or not shutil.which("WebKitWebDriver") or not shutil.which("Xvfb"):
        pytest.skip("no WebKitGTK is installed (Debian: apt-get install webkit2gtk-driver xvfb)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    read, write = os.pipe()
    screen = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1280x1024x24", "-nolisten", "tcp"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with _running(screen, pass_fds=(write,), **quiet), os.fdopen(read) as number:
        os.close(write)
        env = {**os.environ, "DISPLAY": f":{number.readline().strip()}", "HOME": str(folder), "GDK_BACKEND": "x11"}
        env |= {"WEBKIT_DISABLE_COMPOSITING_MODE": "1", "WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1"}  # as root
        with _running(["WebKitWebDriver", f"--port={port}"], env=env, **quiet):
            _soon(lambda: _answers(port))
            yield _WebKit(f"http://127.0.0.1:{port}", str(programs[-1]))
