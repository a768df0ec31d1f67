"""From an upload to a result: asks the pool, counts, and stops when the client is gone."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import FastAPI, Request, UploadFile

from .pool import Job
from .problems import Problem

POLL_S = 0.25  # between two looks at whether the client is still there
NAME_LENGTH = 255


def name_of(upload: UploadFile) -> str:
    """Return the name that a client gave a recording: to tell, never to open."""
    name = "".join(c for c in (upload.filename or "") if c.isprintable()).replace("\\", "/").rpartition("/")[2]
    return name[:NAME_LENGTH] or "recording"


async def predict_upload(
    app: FastAPI, upload: UploadFile, job: Job, progress: Callable[[dict[str, Any]], None] = lambda message: None
) -> dict[str, Any]:
    """Return the prediction's dictionary under the upload's name. Raises `Problem`."""
    if not upload.size:
        raise Problem("not-a-recording", "is empty (0 bytes)")
    begun = time.monotonic()
    upload.file.seek(0)
    # fileno moves a small one out of memory
    result: dict[str, Any] = await app.state.pool.predict(upload.file.fileno(), job, progress)
    metrics = app.state.metrics
    metrics.time("whoplays_prediction_seconds", time.monotonic() - begun)
    metrics.count("whoplays_recordings_total")
    metrics.count("whoplays_audio_seconds_total", result["duration"])
    return result | {"path": name_of(upload)}


async def while_connected(request: Request, work: Coroutine[Any, Any, Any]) -> Any:
    """Return the work's result; end the work when the client closes its connection."""
    task = asyncio.create_task(work)
    try:
        while not (await asyncio.wait([task], timeout=POLL_S))[0]:
            if await request.is_disconnected():
                raise Problem("bad-request", "the client went away")
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
