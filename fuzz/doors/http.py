"""The server: raw requests to the application, with a stand-in for the worker processes (recordings have their own doors)."""

from __future__ import annotations

import asyncio
import json
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import mutate

from whoplays.serve.app import create_app
from whoplays.serve.pool import Pool
from whoplays.serve.settings import Settings

from . import Door
from .text import heard

PATIENCE_S = 60.0  # for one answer: endless ones are looked for, and a busy machine is none


class _StandIn(Pool):
    """Answers as the pool of workers does, from a file it reads."""

    async def predict(self, file: int, job: Any, progress: Any = None) -> dict[str, Any]:
        progress({"analysed": 1.0, "duration": None})
        with open(file, "rb", closefd=False) as content:
            content.read()
        return heard()[0].to_dict()


@lru_cache(maxsize=1)
def _app() -> Any:
    app = create_app(Settings(rate=0, max_upload_mb=1))
    app.state.pool = _StandIn(app.state.settings, app.state.metrics)
    app.middleware_stack = None
    for layer in app.user_middleware:
        layer.kwargs["pool"] = app.state.pool
    return app


@lru_cache(maxsize=1)
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


def _parsed(data: bytes) -> tuple[str, str, bytes, list[tuple[bytes, bytes]], bytes] | None:
    """Return method, path, query, headers and body of a raw request, as a server's own parser would pass them on."""
    head, _, body = data.partition(b"\n\n")
    first, *rest = head.split(b"\n")
    words = first.split(b" ")
    if len(words) != 2 or not words[0].isalpha() or not words[1].startswith(b"/"):
        return None
    path, _, query = words[1].partition(b"?")
    headers = [(n.strip().lower(), v.strip()) for n, sign, v in (line.partition(b":") for line in rest) if sign]
    if any(not name or b"\0" in name + value for name, value in headers):
        return None
    from urllib.parse import unquote

    return words[0].decode().upper(), unquote(path.decode("latin-1")), query, headers, body


def _request(data: bytes, scratch: Path) -> None:
    parsed = _parsed(data)
    if parsed is None:
        return
    method, path, query, headers, body = parsed
    scope = {
        **{"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "root_path": ""},
        **{"method": method, "path": path, "raw_path": path.encode("utf-8", "replace"), "query_string": query},
        **{"headers": headers, "client": ("127.0.0.1", 5), "server": ("127.0.0.1", 8000), "state": {}},
    }
    sent: list[dict[str, Any]] = []
    pieces = [body[i : i + 700] for i in range(0, len(body), 700)] or [b""]

    async def receive() -> dict[str, Any]:
        if pieces:
            return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}
        await asyncio.sleep(2 * PATIENCE_S)
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def answer() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await _app()(scope, receive, send)

    before, tempfile.tempdir = tempfile.tempdir, str(scratch)  # where uploads go
    try:
        _loop().run_until_complete(answer())
    finally:
        tempfile.tempdir = before
    _check(sent, method)


def _check(sent: list[dict[str, Any]], method: str) -> None:
    assert sent and sent[0]["type"] == "http.response.start", "no answer"
    status, headers = sent[0]["status"], dict(sent[0]["headers"])
    body = b"".join(message.get("body", b"") for message in sent[1:])
    assert status < 500, (status, body[:300])
    assert headers.get(b"x-content-type-options") == b"nosniff" and b"content-security-policy" in headers
    assert not any(b"\n" in value or b"\r" in value for value in headers.values()), headers
    if status >= 400 and method != "HEAD":
        problem = json.loads(body)
        assert headers[b"content-type"].startswith(b"application/problem+json"), headers
        assert problem["status"] == status and "\n" not in problem["detail"], problem
        assert "Traceback" not in problem["detail"]


_HOST = b"host: 127.0.0.1:8000\n"


def _multipart(path: bytes, field: bytes, *names: bytes, extra: bytes = b"") -> bytes:
    parts = b"".join(
        b'--b0\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\nContent-Type: audio/wav\r\n\r\nRIFF....\r\n'
        % (field, name)
        for name in names
    )
    head = b"POST %s\n%scontent-type: multipart/form-data; boundary=b0\n%s\n" % (path, _HOST, extra)
    return head + parts + b"--b0--\r\n"


def _seeds() -> list[bytes]:
    results = json.dumps({"results": [result.to_dict() for result in heard()[:1]]}).encode()
    return [
        _multipart(b"/v1/predict", b"file", b"a.wav"),
        _multipart(b"/v1/predict?start=1&end=2.5&details=true&format=csv&lang=pl", b"file", b"../../\xc3\xa9\x01.wav"),
        _multipart(
            b"/v1/predict", b"file", b"a.wav", extra=b"accept: text/event-stream\norigin: http://127.0.0.1:8000\n"
        ),
        _multipart(b"/v1/predict/batch", b"files", b"a.wav", b"b.wav"),
        *(
            b"POST /v1/write?format=%s\n" % form + _HOST + b"content-type: application/json\n\n" + results
            for form in (b"csv", b"jams", b"rttm", b"audacity", b"jsonl", b"text")
        ),
        *(
            b"GET %s\n" % path + _HOST + b"accept: */*\nif-none-match: x\ncontent-length: 0\n\n"
            for path in (
                b"/",
                b"/v1/labels",
                b"/healthz",
                b"/metrics",
                b"/page/app.js",
                b"/examples/x",
                b"/openapi.json",
            )
        ),
        b"OPTIONS /v1/predict\n" + _HOST + b"origin: http://x\naccess-control-request-method: POST\n\n",
    ]


def _change(data: bytes, rng: Any, **more: Any) -> bytes:
    """Change octets; in a request with JSON, mostly its values."""
    head, blank, body = data.partition(b"\n\n")
    if body.startswith(b"{") and rng.random() < 0.7:
        return head + blank + mutate.document(body, rng)
    return mutate.octets(data, rng, **more)


_TOKENS = (
    *(
        b"boundary=",
        b"--b0",
        b"--b0--\r\n",
        b"\r\n\r\n",
        b"filename*=UTF-8''%00",
        b'name="file"',
        b"Content-Disposition",
    ),
    *(b"%2e%2e/", b"%00", b"..%5c", b"host: evil", b"origin: null", b"content-length: 99999999999", b"start=nan"),
    *(b"transfer-encoding: chunked", b"content-type: application/x-www-form-urlencoded", b"end=1e308", b"start=-1"),
    *(b"content-type: application/json; charset=utf-16", b"charset=none", b"Content-Transfer-Encoding: base64\r\n"),
)

DOORS = [Door("http", _seeds, _request, _change, _TOKENS, quick=100, timeout=PATIENCE_S + 30)]
