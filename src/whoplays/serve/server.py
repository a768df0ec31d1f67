"""Running the application: one address, one process that answers, a word when it is ready."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from ..errors import UsageError
from .app import create_app
from .settings import Settings

HEADERS_S = 10.0  # for a request's head to arrive
STOP_S = 30  # for work at hand when the server is stopped
CONNECTIONS = 1000
IDLE_S = 30  # of a connection between two requests: far more than clients keep theirs (httpx: 5 s), or both would end at once


class _Protocol(H11Protocol):
    """HTTP/1.1 that gives a client a few seconds to say what it wants. h11 itself bounds the size of a head."""

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._patience = self.loop.call_later(HEADERS_S, transport.close)

    def data_received(self, data: bytes) -> None:
        if self._idle() and self._patience is None:
            self._patience = self.loop.call_later(HEADERS_S, self.transport.close)
        super().data_received(data)
        if not self._idle():
            self._settle()

    def connection_lost(self, exc: Exception | None) -> None:
        self._settle()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: Any) -> None:
        self._settle()
        super().handle_websocket_upgrade(event)

    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _settle(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


class _Server(uvicorn.Server):
    ready: Callable[[], None] = staticmethod(lambda: None)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready()


def listening(settings: Settings) -> socket.socket:
    """Return a socket that listens at the address. Raises `UsageError` with the reason when it cannot."""
    host = settings.host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, settings.port), family=family, backlog=1024)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(
            f"{settings.host}:{settings.port} cannot be listened at ({reason}); try another --port"
        ) from None


def build(settings: Settings, tell: Callable[[str], None] = lambda line: None) -> uvicorn.Server:
    """Return a server for these settings, to be run on `listening(settings)`. tell: see `Pool`. Raises `ModelError`."""
    config = uvicorn.Config(
        create_app(settings, tell),
        http=_Protocol,
        ws="websockets-sansio",
        ws_max_size=1 << 20,
        ws_max_queue=4,
        ws_per_message_deflate=False,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=settings.proxy,
        forwarded_allow_ips="*" if settings.proxy else None,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=STOP_S,
    )
    return _Server(config)


def run(settings: Settings, ready: Callable[[str], None], tell: Callable[[str], None] = lambda line: None) -> None:
    """Serve until stopped (Ctrl-C, SIGTERM: work at hand is finished first). ready: called once with the address.

    tell: called once, with the line about a device that cannot be used, if so.

    Raises `UsageError` on a system whose processes cannot hand open files to each other (Windows).
    """
    if not hasattr(socket, "send_fds"):
        raise UsageError(
            "serve needs Linux or macOS (workers get recordings as open files); on Windows use the container"
        )
    server = build(settings, tell)
    with listening(settings) as door:
        port = door.getsockname()[1]
        host = f"[{settings.host.strip('[]')}]" if ":" in settings.host else settings.host
        server.ready = lambda: ready(f"http://{host}:{port}/")  # type: ignore[attr-defined]
        with contextlib.suppress(KeyboardInterrupt):  # raised again after an orderly end, which is how servers end
            server.run(sockets=[door])
