"""Live: PCM in, scores out, over a WebSocket.

The client says once {"sample_rate": 48000} (and "token", where one is required), then sends binary frames of little-endian
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
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from typing import Any

import numpy as np
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from ..audio.opening import MAX_RATE, MIN_RATE
from ..audio.reading import mono
from ..errors import WhoplaysError
from ..inference.live import Recent
from ..inference.prediction import Prediction
from ..inference.recogniser import Array, Recogniser
from ..runtime.arguments import fits
from .guard import IDLE_S
from .problems import Problem

FRAME_BYTES = 1 << 20
WAITING = 8  # frames between the socket and the thread
EVERY_S = 1.0  # of sound, between two scores


def add_live(app: FastAPI) -> None:
    """Add the route /v1/live."""
    settings, loading = app.state.settings, asyncio.Lock()
    places = asyncio.Semaphore(settings.live)
    loaded: Recogniser | None = None

    async def recogniser() -> Recogniser:
        """Return the model, loaded with the first session."""
        nonlocal loaded
        async with loading:
            if loaded is None:
                given = {"device": settings.device, "threshold": settings.threshold}
                loaded = await asyncio.to_thread(Recogniser, settings.model, **given)
        return loaded

    async def converse(socket: WebSocket) -> None:
        hello = await _hello(socket)
        if not settings.knows(str(hello.get("token") or "")):
            raise Problem("unauthorised", 'give {"token": ..., "sample_rate": ...} as the first message')
        rate: Any = hello.get("sample_rate")
        if not fits(rate, int) or not 0 < rate < 1e9:
            raise Problem("invalid", "sample_rate: a whole number of Hz is needed")
        if not MIN_RATE <= rate <= MAX_RATE:
            raise Problem("invalid", f"sample_rate {int(rate)}: {MIN_RATE} to {MAX_RATE} Hz can be used")
        session = _Session(socket, await recogniser(), int(rate), settings.max_duration_s)
        await socket.send_json({"type": "ready", "model": app.state.config.id})
        prediction = await session.predict()
        await socket.send_json({"type": "result", "result": prediction.to_dict() | {"path": "live"}})
        app.state.metrics.count("whoplays_live_seconds_total", prediction.duration)
        await socket.close()

    @app.websocket("/v1/live")
    async def live(socket: WebSocket) -> None:
        await socket.accept()
        try:
            if places.locked():
                raise Problem("busy", f"{settings.live} live sessions are open, which is the most; try again later")
            async with places:
                await converse(socket)
        except Problem as problem:
            await _refuse(socket, problem)
        except WhoplaysError as error:
            await _refuse(socket, Problem("not-a-recording", str(error)))
        except (WebSocketDisconnect, RuntimeError):
            return


async def _refuse(socket: WebSocket, problem: Problem) -> None:
    fields = {"problem": f"urn:whoplays:{problem.kind}", "title": problem.title, "detail": problem.detail}
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):
        await socket.send_json({"type": "problem", **fields})
        await socket.close(1008)


async def _received(socket: WebSocket, late: Problem) -> dict[str, Any]:
    """Return the client's next message. Raises `late` where none comes in time, `WebSocketDisconnect`."""
    try:
        async with asyncio.timeout(IDLE_S):
            message = await socket.receive()
    except TimeoutError:
        raise late from None
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code") or 1000)
    return dict(message)


async def _hello(socket: WebSocket) -> dict[str, Any]:
    message = await _received(socket, Problem("invalid", f"no first message within {IDLE_S:g} s"))
    try:
        return dict(json.loads((message.get("text") or "")[:10_000]))
    except (ValueError, TypeError):
        raise Problem("invalid", 'the first message is no JSON object such as {"sample_rate": 48000}') from None


class _Session:
    """A stream that comes in over a socket, and the thread that predicts from it."""

    def __init__(self, socket: WebSocket, recogniser: Recogniser, rate: int, most_s: float) -> None:
        self._socket, self._recogniser, self._rate, self._most_s = socket, recogniser, rate, most_s
        self._loop = asyncio.get_running_loop()
        self._pieces: asyncio.Queue[Array | None] = asyncio.Queue(WAITING)
        self._awaited: Future[Any] = Future()  # what the thread waits for

    async def predict(self) -> Prediction:
        """Return the prediction from all that comes. Raises `Problem`, `WhoplaysError`, `WebSocketDisconnect`."""
        work = asyncio.to_thread(self._recogniser.predict_stream, self._shown(), sample_rate=self._rate)
        predicting, reading = asyncio.create_task(work), asyncio.create_task(self._read())
        try:
            await asyncio.wait([predicting, reading], return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                reading.result()
            return await predicting
        finally:
            reading.cancel()
            while (
                not predicting.done()
            ):  # the thread runs out: it may wait for a piece, or for a client that does not read
                self._awaited.cancel()
                await asyncio.wait([predicting], timeout=0.05)
            with contextlib.suppress(BaseException):
                predicting.exception()

    def _wait_for(self, work: Coroutine[Any, Any, Any]) -> Any:
        self._awaited = asyncio.run_coroutine_threadsafe(work, self._loop)
        return self._awaited.result()

    def _shown(self) -> Iterator[Array]:
        """Yield, in the thread, what comes; about once a second, tell the scores of the time since the last ones."""
        recent, received, scored_at = Recent(self._recogniser, self._rate), 0, 0.0
        while (piece := self._wait_for(self._pieces.get())) is not None:
            recent.add(mono(piece))
            received += len(piece)
            at = received / self._rate
            if at - scored_at >= EVERY_S:
                scores = {"type": "scores", "at": round(at, 2), "scores": recent.scores(at - scored_at)}
                self._wait_for(self._socket.send_json(scores))
                scored_at = at
            yield piece

    async def _read(self) -> None:
        received = 0
        late = Problem("too-slow-upload", f"no frame for {IDLE_S:g} s")
        while (frame := (await _received(self._socket, late)).get("bytes")) is not None:
            if len(frame) > FRAME_BYTES or len(frame) % 4:
                detail = f"a frame of {len(frame)} bytes: 32-bit floats, at most {FRAME_BYTES} bytes, are needed"
                raise Problem("invalid", detail)
            piece = np.frombuffer(frame, dtype="<f4").astype(np.float32)
            received += len(piece)
            if received > self._most_s * self._rate:
                raise Problem("too-long", f"more than {self._most_s:g} s were sent, which is the most")
            await self._pieces.put(piece)
        await self._pieces.put(None)  # any text ends the stream
