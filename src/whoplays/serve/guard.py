"""What every request passes before its route: who may call, how much, how often; and what every answer carries.

Plain ASGI, since all of it must happen before a body is read.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .assets import POLICY
from .pool import Pool
from .problems import MEDIA_TYPE, Problem
from .settings import Settings

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
}
#: What a page of an allowed origin may ask for (the origin itself is checked before).
PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Accept",
    "Access-Control-Max-Age": "600",
}
IDLE_S = 20.0  # between two pieces of a body
DRAIN_S = 20.0  # for what is left of a body that is not wanted: a client that still sends would not see the answer
CLIENTS = 10_000  # addresses that are remembered


def answer(problem: Problem) -> Response:
    """Return the HTTP response for the problem."""
    return JSONResponse(problem.to_dict(), problem.status, problem.response_headers(), MEDIA_TYPE)


class RateLimit:
    """So many a minute for each client address, in bursts of at most as many (token bucket)."""

    def __init__(self, per_minute: int) -> None:
        """per_minute: 0 for any number."""
        self.per_minute = per_minute
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, client: str, now: float) -> int:
        """Return 0 and count the call, or the seconds after which one is possible again."""
        if not self.per_minute:
            return 0
        left, since = self._left.pop(client, (float(self.per_minute), now))
        left = min(self.per_minute, left + (now - since) * self.per_minute / 60)
        allowed = left >= 1
        self._left[client] = (left - 1 if allowed else left, now)
        if len(self._left) > CLIENTS:
            self._left.popitem(last=False)
        return 0 if allowed else max(1, round((1 - left) * 60 / self.per_minute + 0.5))


class Guard:
    """The checks, in the order of what they cost."""

    def __init__(self, app: ASGIApp, *, pool: Pool) -> None:
        """app: what answers those who pass. pool: checked for room before an upload is read."""
        self.app, self.pool = app, pool
        self.settings, self.metrics = pool.settings, pool.metrics
        self.rate = RateLimit(pool.settings.rate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            self._check(scope, headers)
        except Problem as problem:
            await self._refuse(problem, scope, headers, receive, send)
            return
        if scope["type"] == "websocket":
            await self.app(scope, receive, send)
            return
        if scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            await Response(status_code=204, headers=PREFLIGHT)(scope, receive, self._dressed(scope, headers, send))
            return
        limited = _Body(receive, self.settings) if scope["method"] == "POST" else receive
        await self.app(scope, limited, self._dressed(scope, headers, send))

    def _check(self, scope: Scope, headers: dict[str, str]) -> None:
        path = scope["path"]
        self._check_host(headers.get("host", ""))
        self._check_origin(headers.get("origin"), headers.get("host", ""), scope["scheme"])
        uploads = scope["type"] == "websocket" or (scope["method"] == "POST" and path.startswith("/v1/predict"))
        if scope["type"] == "http" and scope["method"] != "OPTIONS" and (path.startswith("/v1/") or path == "/metrics"):
            kind, _, given = headers.get("authorization", "").partition(" ")
            known = kind.lower() == "bearer" and self.settings.knows(given.strip())
            if self.settings.token is not None and not known:
                raise Problem("unauthorised", "give the header Authorization: Bearer TOKEN")
        if scope["type"] == "http" and scope["method"] == "POST":
            length = headers.get("content-length", "")
            if length.isdecimal() and int(length[:18]) > self.settings.max_upload_bytes:
                raise _too_large(self.settings)
        if uploads:
            client = (scope.get("client") or ("",))[0]
            if wait := self.rate.wait(client, time.monotonic()):
                self.metrics.count("whoplays_turned_away_total", reason="rate")
                detail = f"more than {self.settings.rate} recordings in a minute; wait {wait} s"
                raise Problem("too-many", detail, retry_after=wait)
            if scope["type"] == "http" and self.pool.full:
                self.metrics.count("whoplays_turned_away_total", reason="queue")
                detail = "too many recordings are waiting; try again soon"
                raise Problem("busy", detail, retry_after=self.pool.patience())

    def _check_host(self, host: str) -> None:
        # A page of another site may bend its own name to this machine (DNS rebinding); it cannot bend the Host header.
        if not self.settings.loopback:
            return
        try:
            name = urlsplit(f"//{host}").hostname if host.isprintable() and "/" not in host else None
        except ValueError:  # no address at all
            name = None
        if name not in {"localhost", "127.0.0.1", "::1", self.settings.host, *self.settings.hosts}:
            raise Problem("wrong-host", f"{host[:100]!r} is not this server's name; name it with --host-name")

    def _check_origin(self, origin: str | None, host: str, scheme: str) -> None:
        if origin is None or origin in self.settings.cors:
            return
        try:
            here = urlsplit(origin).netloc == host
        except ValueError:  # no address at all
            here = False
        if not here:
            raise Problem("foreign-origin", f"pages of {origin[:100]} may not call; allow them with --cors")

    async def _refuse(
        self, problem: Problem, scope: Scope, headers: dict[str, str], receive: Receive, send: Send
    ) -> None:
        self.metrics.count("whoplays_requests_total", route="refused", status=str(problem.status))
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": problem.detail[:120]})
            return
        response = answer(problem)
        if not await _drained(receive, 2 * self.settings.max_upload_bytes):  # as much as a body without a length
            response.headers["Connection"] = "close"
        await response(scope, receive, self._dressed(scope, headers, send, counted=False))

    def _dressed(self, scope: Scope, request_headers: dict[str, str], send: Send, *, counted: bool = True) -> Send:
        """Return a `send` that adds the headers every answer carries, and counts it."""
        extra = dict(HEADERS)
        if (origin := request_headers.get("origin", "")) in self.settings.cors:
            shared = {"Cross-Origin-Resource-Policy": "cross-origin", "Access-Control-Allow-Origin": origin}
            extra |= {**shared, "Vary": "Origin"}

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(extra)
                if counted:
                    route = getattr(scope.get("route"), "path", "other")
                    self.metrics.count("whoplays_requests_total", route=route, status=str(message["status"]))
            await send(message)

        return dressed


def _too_large(settings: Settings) -> Problem:
    most = settings.max_upload_mb
    return Problem("too-large", f"the body has more than {most} MiB, which is the most that is read", limit_mb=most)


async def _drained(receive: Receive, most: int) -> bool:
    """Read what is left of a body, for a little while and at most so many bytes. Return whether that was all of it."""
    size = 0
    try:
        async with asyncio.timeout(DRAIN_S):
            while size <= most:
                message = await receive()
                size += len(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body"):
                    return True
    except TimeoutError:
        pass
    return False


class _Body:
    """A request's body, watched while it comes in: its size, the pauses, the time it takes in all."""

    def __init__(self, receive: Receive, settings: Settings) -> None:
        self._receive = receive
        self._settings = settings
        self._size = 0
        self._done = False
        self._ends = time.monotonic() + settings.upload_time_s

    async def __call__(self) -> Message:
        if self._done:
            return await self._receive()
        try:
            left = self._ends - time.monotonic()
            async with asyncio.timeout(min(IDLE_S, left)):
                message = await self._receive()
        except TimeoutError:
            self._done = True
            detail = f"no data for {IDLE_S:g} s, or not all of it within {self._settings.upload_time_s:g} s"
            raise Problem("too-slow-upload", detail) from None
        self._size += len(message.get("body", b""))
        self._done = message["type"] != "http.request" or not message.get("more_body")
        if self._size > self._settings.max_upload_bytes:
            if not self._done:
                self._done = True
                await _drained(self._receive, self._settings.max_upload_bytes)
            raise _too_large(self._settings)
        return message
