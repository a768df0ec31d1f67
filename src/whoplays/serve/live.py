"""Live: PCM in, scores out, over a WebSocket.

The client says once {"sample_rate": 48000} (and "token", where one is asked), then sends binary frames of little-endian
32-bit floating-point mono samples. About once a second of sound it gets {"type": "scores", "at": seconds, "scores": ...}
for the time since the message before; after {"type": "end"} it gets {"type": "result", ...}: the object that the same
samples give as a file.

One thread predicts; the socket is read no faster than the thread keeps up (a few frames wait between them), so a client
that sends too fast is slowed by TCP, and memory stays flat.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from ..audio.opening import MAX_RATE, MIN_RATE
from ..audio.reading import mono
from ..errors import WhoplaysError
from ..inference.live import Recent
from ..inference.recogniser import Array, Recogniser
from .guard import IDLE_S, Guard
from .problems import Problem

FRAME_BYTES = 1 << 20
WAITING = 8  # frames between the socket and the thread
EVERY_S = 1.0  # of sound, between two scores


def shown(
    recogniser: Recogniser, pieces: Iterator[Array], rate: int, tell: Callable[[dict[str, Any]], None]
) -> Iterator[Array]:
    """Yield the pieces (n,) of a stream at `rate` Hz; about once a second, tell the scores of the time since the last ones."""
    recent, received, told = Recent(recogniser, rate), 0, 0.0
    for piece in pieces:
        recent.add(mono(piece))
        received += len(piece)
        at = received / rate
        if at - told >= EVERY_S:
            tell({"type": "scores", "at": round(at, 2), "scores": recent.scores(at - told)})
            told = at
        yield piece


def samples_of(frame: bytes) -> Array:
    """Return the samples (n,) of a binary frame. Raises `Problem`."""
    if len(frame) > FRAME_BYTES or len(frame) % 4:
        raise Problem(
            "invalid", f"a frame of {len(frame)} bytes: 32-bit floats, at most {FRAME_BYTES} bytes, are needed"
        )
    return np.frombuffer(frame, dtype="<f4").astype(np.float32)


class _Door:
    """Who may come in: sessions at a time, and the model, loaded with the first."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        self.open = 0
        self._recogniser: Recogniser | None = None
        self._loading = asyncio.Lock()

    async def recogniser(self) -> Recogniser:
        async with self._loading:
            if self._recogniser is None:
                settings = self.app.state.settings
                self._recogniser = await asyncio.to_thread(
                    Recogniser, settings.model, device=settings.device, threshold=settings.threshold
                )
        return self._recogniser


def add_live(app: FastAPI) -> None:
    """Add the route /v1/live."""
    door = _Door(app)

    @app.websocket("/v1/live")
    async def live(socket: WebSocket) -> None:
        await socket.accept()
        try:
            if door.open >= app.state.settings.live:
                raise Problem("busy", f"{door.open} live sessions are open, which is the most; try again later")
            door.open += 1
            try:
                await _converse(app, door, socket)
            finally:
                door.open -= 1
        except Problem as problem:
            await _refuse(socket, problem)
        except WhoplaysError as error:
            await _refuse(socket, Problem("not-a-recording", str(error)))
        except (WebSocketDisconnect, RuntimeError):
            return


async def _refuse(socket: WebSocket, problem: Problem) -> None:
    told = {"problem": f"urn:whoplays:{problem.kind}", "title": problem.title, "detail": problem.detail}
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):
        await socket.send_json({"type": "problem", **told})
        await socket.close(1008)


async def _converse(app: FastAPI, door: _Door, socket: WebSocket) -> None:
    settings = app.state.settings
    hello = await _text(socket)
    guard = Guard(app, settings=settings, metrics=app.state.metrics, pool=app.state.pool)
    if not guard.knows(str(hello.get("token") or "")):
        raise Problem("unauthorised", 'give {"token": ..., "sample_rate": ...} as the first message')
    rate = hello.get("sample_rate")
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 < rate < 1e9 or rate != int(rate):
        raise Problem("invalid", "sample_rate: a whole number of Hz is needed")
    if not MIN_RATE <= rate <= MAX_RATE:
        raise Problem("invalid", f"sample_rate {int(rate)}: {MIN_RATE} to {MAX_RATE} Hz can be used")
    loop = asyncio.get_running_loop()
    out: asyncio.Queue[dict[str, Any]] = asyncio.Queue(64)
    pieces: asyncio.Queue[Array | None] = asyncio.Queue(WAITING)

    def tell(message: dict[str, Any]) -> None:
        asyncio.run_coroutine_threadsafe(out.put(message), loop).result()

    recogniser = await door.recogniser()

    def arriving() -> Iterator[Array]:
        while (piece := asyncio.run_coroutine_threadsafe(pieces.get(), loop).result()) is not None:
            yield piece

    await socket.send_json({"type": "ready", "model": app.state.config.id})
    heard = shown(recogniser, arriving(), int(rate), tell)
    predicting = asyncio.create_task(asyncio.to_thread(recogniser.predict_stream, heard, sample_rate=int(rate)))
    sending = asyncio.create_task(_send_all(socket, out))
    reading = asyncio.create_task(_read_all(socket, pieces, int(rate), settings.max_duration_s))
    try:
        await asyncio.wait([predicting, reading], return_when=asyncio.FIRST_COMPLETED)
        if reading.done():
            reading.result()
        prediction = await predicting
        await out.join()
        await socket.send_json({"type": "result", "result": prediction.to_dict() | {"path": "live"}})
        app.state.metrics.count("whoplays_live_seconds_total", prediction.duration)
        await socket.close()
    finally:
        await _end(predicting, pieces, (sending, reading), out)


async def _end(
    predicting: asyncio.Task[Any],
    pieces: asyncio.Queue[Any],
    others: tuple[asyncio.Task[Any], ...],
    out: asyncio.Queue[Any],
) -> None:
    """Stop the tasks, and let the thread run out: it may wait for a piece, or for room to tell."""
    for task in others:
        task.cancel()
    while not predicting.done():
        while not pieces.empty():
            pieces.get_nowait()
        while not out.empty():
            out.get_nowait()
        with contextlib.suppress(asyncio.QueueFull):
            pieces.put_nowait(None)
        await asyncio.wait([predicting], timeout=0.05)
    with contextlib.suppress(BaseException):
        predicting.exception()


async def _text(socket: WebSocket) -> dict[str, Any]:
    try:
        async with asyncio.timeout(IDLE_S):
            message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code") or 1000)
        return dict(json.loads((message.get("text") or "")[:10_000]))
    except TimeoutError:
        raise Problem("invalid", f"no first message came within {IDLE_S:g} s") from None
    except (ValueError, TypeError):
        raise Problem("invalid", 'the first message is no JSON object such as {"sample_rate": 48000}') from None


async def _read_all(socket: WebSocket, pieces: asyncio.Queue[Array | None], rate: int, most: float) -> None:
    received = 0
    while True:
        try:
            async with asyncio.timeout(IDLE_S):
                message = await socket.receive()
        except TimeoutError:
            raise Problem("too-slow-upload", f"no frame came for {IDLE_S:g} s") from None
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code") or 1000)
        if (frame := message.get("bytes")) is None:
            await pieces.put(None)  # any text ends the stream
            return
        piece = samples_of(frame)
        received += len(piece)
        if received > most * rate:
            raise Problem("too-long", f"more than {most:g} s came, which is the most")
        await pieces.put(piece)


async def _send_all(socket: WebSocket, out: asyncio.Queue[dict[str, Any]]) -> None:
    while True:
        message = await out.get()
        try:
            await socket.send_json(message)
        finally:
            out.task_done()
