"""A stand-in for the site: a real HTTP server on loopback that serves recordings, and goes wrong by rule.

    with Site({"aaaaaaaaaaa": "404", "bbbbbbbbbbb": "429 twice"}) as site:
        site.template        # http://127.0.0.1:PORT/watch/{video_id}

A recording is 24 s long; second n holds a tone of TONE_HZ + n * STEP_HZ, so that a test can detect which part it got.
Every rule answers for one video; ids without a rule get the recording. `once` and `twice` rules heal.
"""

from __future__ import annotations

import contextlib
import functools
import io
import re
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import soundfile

RATE = 16000
SECONDS = 24
TONE_HZ, STEP_HZ = 400.0, 50.0

PAGES = {
    "private": "This video is private",
    "private page": "Private video. Sign in if you've been granted access to this video",
    "removed page": "Video unavailable. This video has been removed by the uploader",
    "account": "This video is no longer available because the account associated with it has been terminated",
    "age": "Sign in to confirm your age. This video may be inappropriate for some users",
    "country": "The uploader has not made this video available in your country",
    "bot": "Sign in to confirm you're not a bot",
    "other page": "Welcome to our home page. Have a nice day",
}


#: What becomes of a clip under each rule: "done", or the name of the cause that is true of it.
OUTCOMES = {
    "recording": "done",
    "no ranges": "done",
    "wav": "done",
    "clip": "done",
    "clip ogg": "done",
    "inverted": "done",
    "m4a": "done",
    "plain": "done",
    "wrong type": "done",
    "slow": "done",
    "redirect": "done",
    "embed": "done",
    "429 once": "done",
    "503 once": "done",
    "500 once": "done",
    "reset once": "done",
    "stall once": "done",
    "media 429 once": "done",
    "404": "removed",
    "410": "removed",
    "removed page": "removed",
    "account": "removed",
    "private": "private",
    "private page": "private",
    "age": "age",
    "country": "country",
    "451": "country",
    "bot": "bot-check",
    "403": "throttled",
    "429": "throttled",
    "media 403": "throttled",
    "500": "network",
    "reset": "network",
    "dead": "network",
    "stall": "network",
    "no sound": "no-audio",
    "empty audio": "no-audio",
    "nothing": "no-audio",
    "short": "truncated",
    "media short": "truncated",
    "silence": "silent",
    "ends early": "wrong-length",
    "noise bytes": "undecodable",
    "page as audio": "undecodable",
    "other page": "undecodable",
    "loop": "other",
}


@functools.cache
def recording(
    seconds: float = SECONDS, container: str = "FLAC", level: float = 0.3, *, inverted: bool = False
) -> bytes:
    """The bytes of a recording: one steady tone for each second, half a step sharper than the second before.

    inverted: with a second channel that is the first one turned round.
    """
    second = np.arange(int(seconds * RATE)) // RATE
    phase = 2 * np.pi * np.cumsum(TONE_HZ + STEP_HZ * second) / RATE
    file = io.BytesIO()
    samples = (level * np.sin(phase)).astype(np.float32)
    soundfile.write(file, np.stack([samples, -samples], axis=1) if inverted else samples, RATE, format=container)
    return file.getvalue()


@functools.cache
def video_without_sound() -> bytes:
    """A short Matroska video with a picture and no sound."""
    words = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        "color=s=32x32:d=20",
        "-c:v",
        "mpeg4",
        "-f",
        "matroska",
        "-",
    ]
    return subprocess.run(words, check=True, capture_output=True).stdout


@functools.cache
def as_m4a() -> bytes:
    """The recording as AAC in MP4, as ffmpeg writes it by default: the index comes last."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.m4a"
        words = [
            imageio_ffmpeg.get_ffmpeg_exe(),
            "-v",
            "error",
            "-f",
            "flac",
            "-i",
            "-",
            "-c:a",
            "aac",
            "-f",
            "mp4",
            str(path),
        ]
        subprocess.run(words, input=recording(), check=True, capture_output=True)
        return path.read_bytes()


def make_ready() -> None:
    """Make what takes time to make, before a clock runs."""
    as_m4a(), video_without_sound(), recording()


class Site:
    """The server. rules: video id -> rule, or a function of the id. requests: how often each path was requested."""

    def __init__(self, rules=None, *, certificate: Path | None = None, latency_s=0.0, stall_s=3.0) -> None:
        self.rules = rules or {}
        self.latency_s, self.stall_s = latency_s, stall_s
        self.playlist = ""
        self.requests: Counter[str] = Counter()
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []
        self.busy = self.busiest = 0
        self.lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.scheme = "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self.scheme = "https"

    @property
    def address(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self._server.server_port}"

    @property
    def template(self) -> str:
        return self.address + "/watch/{video_id}"

    def rule(self, video_id: str) -> str:
        found = self.rules(video_id) if callable(self.rules) else self.rules.get(video_id)
        return found or "recording"

    def __enter__(self) -> Site:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self):
        site = self

        class Handler(_Handler):
            pass

        Handler.site = site
        return Handler


class _Handler(BaseHTTPRequestHandler):
    site: Site
    protocol_version = "HTTP/1.1"
    timeout = 20

    def log_message(self, *_) -> None:
        pass

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, ssl.SSLError, TimeoutError):
            self.close_connection = True

    def do_GET(self) -> None:
        path = re.sub(r"^http://[^/]+", "", self.path)  # a proxy gets the whole URL
        kind, _, name = path.partition("?")[0].strip("/").partition("/")
        video_id = name[:11]
        with self.site.lock:
            self.site.requests[self.path] += 1
            seen = self.site.requests[self.path]
            self.site.headers.append(dict(self.headers))
            self.site.times.append(time.monotonic())
            self.site.busy += 1
            self.site.busiest = max(self.site.busiest, self.site.busy)
        try:
            time.sleep(self.site.latency_s)
            # The media of a page or of a redirect lies under /media, and goes wrong by rules of its own.
            rule = self.site.rule(video_id)
            if kind == "media":
                rule = rule.removeprefix("media ") if rule.startswith("media ") else "recording"
            elif rule.startswith("media "):
                rule = "embed"
            self.answer(rule, video_id, seen)
        finally:
            with self.site.lock:
                self.site.busy -= 1

    def answer(self, rule: str, video_id: str, seen: int) -> None:
        if rule.endswith(" once"):
            rule = rule.removesuffix(" once") if seen <= 1 else "recording"
        elif rule.endswith(" twice"):
            rule = rule.removesuffix(" twice") if seen <= 2 else "recording"
        if rule in PAGES:
            return self.page(PAGES[rule])
        if rule.isdigit():
            extra = {"Retry-After": "1"} if rule == "429" else {}
            return self.send(int(rule), b"<html><body>no</body></html>", "text/html", extra)
        return getattr(self, "rule_" + rule.replace(" ", "_"))(video_id)

    # -- rules

    def rule_recording(self, _) -> None:
        self.send(200, recording(), "audio/flac", ranges=True)

    def rule_no_ranges(self, _) -> None:
        self.send(200, recording(), "audio/flac")

    def rule_wav(self, _) -> None:
        self.send(200, recording(container="WAV"), "audio/wav", ranges=True)

    def rule_clip(self, _) -> None:
        """A mirror that holds just the ten seconds."""
        self.send(200, recording(10.0), "audio/flac", ranges=True)

    def rule_clip_ogg(self, _) -> None:
        self.send(200, recording(10.0, "OGG"), "audio/ogg", ranges=True)

    def rule_m4a(self, _) -> None:
        """What the site serves, with its index at the end."""
        self.send(200, as_m4a(), "audio/mp4", ranges=True)

    def rule_plain(self, _) -> None:
        """An old server: it says neither how much comes nor what it is, and closes the line at the end."""
        self.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n" + recording())
        self.hang_up()

    def rule_ends_early(self, _) -> None:
        self.send(200, recording(5.0), "audio/flac", ranges=True)

    def rule_silence(self, _) -> None:
        self.send(200, recording(level=0.0), "audio/flac", ranges=True)

    def rule_inverted(self, _) -> None:
        """Stereo of which one channel is wired the wrong way."""
        self.send(200, recording(inverted=True), "audio/flac", ranges=True)

    def rule_empty_audio(self, _) -> None:
        self.send(200, recording(0.0, "WAV"), "audio/wav")

    def rule_nothing(self, _) -> None:
        self.send(200, b"", "audio/flac")

    def rule_noise_bytes(self, _) -> None:
        self.send(200, np.random.default_rng(0).bytes(50_000), "audio/flac")

    def rule_page_as_audio(self, _) -> None:
        self.send(200, b"<!doctype html><html><body>Hello</body></html>" * 20, "audio/flac")

    def rule_wrong_type(self, _) -> None:
        self.send(200, recording(), "text/plain", ranges=True)

    def rule_no_sound(self, _) -> None:
        self.send(200, video_without_sound(), "video/x-matroska", ranges=True)

    def rule_slow(self, video_id) -> None:
        time.sleep(0.7)
        self.rule_recording(video_id)

    def rule_redirect(self, video_id) -> None:
        self.send(302, b"", "text/html", {"Location": f"/media/{video_id}"})

    def rule_playlist(self, _) -> None:
        self.send(200, self.site.playlist.encode(), "application/vnd.apple.mpegurl")

    def rule_loop(self, video_id) -> None:
        self.send(302, b"", "text/html", {"Location": f"/watch/{video_id}"})

    def rule_embed(self, video_id) -> None:
        self.page(f'<video src="{self.site.address}/media/{video_id}.flac"></video>')

    def rule_short(self, _) -> None:
        """Promise the whole body, send a part of it, hang up."""
        body = recording()
        self.send_response(200)
        self.send_header("Content-Type", "audio/flac")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 8])
        self.hang_up()

    def rule_stall(self, _) -> None:
        body = recording()
        self.send_response(200)
        self.send_header("Content-Type", "audio/flac")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:200])
        self.wfile.flush()
        time.sleep(self.site.stall_s)
        self.hang_up()

    def rule_dead(self, _) -> None:
        """Accept the call and say nothing."""
        time.sleep(self.site.stall_s)
        self.hang_up()

    def rule_reset(self, _) -> None:
        self.hang_up()

    # -- answers

    def page(self, words: str) -> None:
        self.send(
            200,
            f"<!doctype html><html><head><title>Site</title></head><body>{words}</body></html>".encode(),
            "text/html",
        )

    def send(self, status: int, body: bytes, content_type: str, extra=None, ranges: bool = False) -> None:
        start = self.range_start() if ranges else 0
        part = body[start:]
        self.send_response(206 if start and status == 200 else status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(part)))
        if ranges:
            self.send_header("Accept-Ranges", "bytes")
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        for name, value in (extra or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(part)

    def range_start(self) -> int:
        header = self.headers.get("Range", "")
        digits = header.removeprefix("bytes=").partition("-")[0]
        return int(digits) if digits.isdigit() else 0

    def hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
