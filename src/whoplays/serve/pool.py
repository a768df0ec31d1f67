"""Worker processes for recordings: a few, warm, replaced when one dies or is killed; a bounded queue before them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..errors import ModelError
from ..model import folder as model_folder
from ..model.thresholds import resolve
from ..runtime.environment import ONE_THREAD
from .metrics import Metrics
from .problems import Problem
from .settings import Settings

START_S = 60.0  # for a worker to become ready
LOOK_S = 5.0  # between two looks whether there will be a worker at all
CANCEL_S = 2.0  # for a worker to stop by itself before it is killed
MAX_LINE = 32 << 20
Progress = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Job:
    """What to use of a recording: `duration` seconds from `start`, one track.

    details: with what a picture needs, as lists or "packed". threshold: label -> number in place of the server's
    (model/thresholds.py).
    """

    start: float = 0.0
    duration: float | None = None
    details: bool | str = False
    track: int | None = None
    strict: bool = False
    threshold: Mapping[str, float] | None = None


class Died(Exception):
    """The worker's process ended without an answer."""


@dataclass(eq=False)
class Worker:
    """The server's side of one process, which was started with the other end of `link`.

    lines, writer: what reads from `link` and closes it. ready: whether it has been warm.
    """

    process: subprocess.Popen[bytes]
    link: socket.socket
    lines: asyncio.StreamReader
    writer: asyncio.StreamWriter
    ready: bool = False

    @classmethod
    async def start(cls, settings: Settings) -> Worker:
        """Start a process; it says `ready` when it is warm."""
        ours, theirs = socket.socketpair()
        streams = await asyncio.open_unix_connection(sock=ours, limit=MAX_LINE)
        quiet = None if os.environ.get("WHOPLAYS_DEBUG") else subprocess.DEVNULL
        environment = {**os.environ, **ONE_THREAD}
        environment.pop("WHOPLAYS_TOKEN", None)  # what a worker does not know, it cannot give away
        with theirs:
            process = subprocess.Popen(
                # -P: nothing is imported from the folder that the server was started in
                [sys.executable, "-P", "-m", "whoplays.serve.worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=quiet,
                stderr=quiet,
                start_new_session=True,  # Ctrl-C is the server's to handle
                env=environment,
            )
        worker = cls(process, ours, *streams)
        model = None if settings.model is None else str(settings.model.resolve())
        order = {"model": model, "device": settings.device, "memory_mb": settings.memory_mb}
        worker._send({**order, "threshold": settings.threshold})
        return worker

    def _send(self, message: dict[str, Any], file: int | None = None) -> None:
        line = json.dumps(message).encode() + b"\n"  # always small, so it fits the socket's buffer whole
        try:
            socket.send_fds(self.link, [line], [] if file is None else [file])
        except OSError as error:
            raise Died from error

    async def receive(self) -> dict[str, Any]:
        """Return the next message. Raises `Died`."""
        try:
            message: dict[str, Any] = json.loads(await self.lines.readuntil(b"\n"))
            return message
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise Died from error

    async def predict(self, file: int, job: Job, max_duration_s: float, progress: Progress) -> dict[str, Any]:
        """Return the last message about the recording in the open file. Raises `Died`; when cancelled, stops its work."""
        self._send({**asdict(job), "max_duration_s": max_duration_s}, file)
        try:
            return await self._answer(progress)
        except asyncio.CancelledError:
            try:
                self._send({"cancel": True})
                async with asyncio.timeout(CANCEL_S):
                    await self._answer()
            except (Died, TimeoutError):
                self.kill()
            raise

    async def _answer(self, progress: Progress | None = None) -> dict[str, Any]:
        while True:
            message = await self.receive()
            if message["type"] != "progress":
                return message
            if progress:
                progress(message)

    @property
    def alive(self) -> bool:
        """Whether it can take a recording."""
        return self.process.poll() is None

    def kill(self) -> None:
        """End the process now, whatever it does."""
        with contextlib.suppress(OSError):
            self.process.kill()
        self.process.wait()
        self.writer.close()


class Pool:
    """`settings.jobs` workers and the queue before them."""

    def __init__(self, settings: Settings, metrics: Metrics, tell: Callable[[str], None] = lambda line: None) -> None:
        """Prepare; `start` starts the processes. tell: called once, with the line about a device that cannot be used."""
        self.settings = settings
        self.metrics = metrics
        self.notice = ""
        self._tell = tell
        self.waiting = 0
        self.unusable: str | None = None
        self._reported = ""
        self._free: asyncio.Queue[Worker] = asyncio.Queue()
        self._all: set[Worker] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def start(self) -> None:
        """Start the workers, and return at once: they become ready in the background."""
        for _ in range(self.settings.jobs):
            self._in_background()

    def _in_background(self) -> None:
        task = asyncio.create_task(self._add_worker())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _add_worker(self) -> None:
        pause, patience = 0.5, START_S
        while not self._closed:
            worker = await Worker.start(self.settings)
            self._all.add(worker)
            try:
                async with asyncio.timeout(patience):
                    message = await worker.receive()
                if message["type"] == "ready":
                    worker.ready, self.unusable = True, None
                    if not self.notice and (notice := str(message.get("notice", ""))):
                        self.notice = notice
                        self._tell(notice)
                    self._free.put_nowait(worker)
                    return
                self._cannot(str(message.get("detail")))
            except (Died, TimeoutError):
                self._cannot("a worker did not start")
                patience = min(600.0, 2 * patience)  # of a slow or busy machine
            except asyncio.CancelledError:
                self._drop(worker)
                raise
            self._drop(worker)
            await asyncio.sleep(pause)
            pause = min(30.0, 2 * pause)

    def _cannot(self, why: str) -> None:
        if why != self._reported:
            self._tell(f"a worker cannot be used, and is tried again: {why}")
        self._reported = why
        if not any(worker.ready for worker in self._all):
            self.unusable = why

    def _drop(self, worker: Worker) -> None:
        worker.kill()
        self._all.discard(worker)

    @property
    def ready(self) -> int:
        """Workers that wait for a recording."""
        return self._free.qsize()

    @property
    def full(self) -> bool:
        """Whether a recording sent now would be refused."""
        return self._free.empty() and self.waiting >= self.settings.queue

    async def predict(self, file: int, job: Job, progress: Progress = lambda message: None) -> dict[str, Any]:
        """Return the prediction's dictionary for the recording in an open file (its descriptor).

        Raises `Problem`: busy, not a recording, too long, too slow, too large in memory. Cancelling it ends the work.
        """
        self.check_usable()
        worker = await self._next_worker()
        begun = time.monotonic()
        try:
            async with asyncio.timeout(self.settings.time_limit_s):
                message = await worker.predict(file, job, self.settings.max_duration_s, progress)
        except TimeoutError:
            worker.kill()
            self.metrics.count("whoplays_workers_replaced_total", reason="time")
            raise Problem(
                "too-slow", f"was not analysed within {self.settings.time_limit_s:g} s; send a part"
            ) from None
        except Died:
            worker.kill()
            self.metrics.count("whoplays_workers_replaced_total", reason="died")
            raise Problem("not-a-recording", "cannot be decoded: the decoder broke down over it") from None
        else:
            if message.get("kind") == "memory":  # what is left of it is not to be relied on
                worker.kill()
        finally:
            if worker.alive:
                self._free.put_nowait(worker)
            else:
                self._drop(worker)
                if not self._closed:
                    self._in_background()
        self.metrics.time("whoplays_working_seconds", time.monotonic() - begun)
        return self._result_of(message)

    async def _next_worker(self) -> Worker:
        if self.full:
            self.metrics.count("whoplays_turned_away_total", reason="queue")
            raise Problem("busy", "too many recordings are waiting; try again soon", retry_after=self.patience())
        self.waiting += 1
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        return await self._free.get()
                self.check_usable()
        finally:
            self.waiting -= 1

    def check_usable(self) -> None:
        """Raise `Problem` while no worker can use the model."""
        if self.unusable:
            raise Problem("unavailable", f"the model cannot be used: {self.unusable}", retry_after=30)

    def patience(self) -> int:
        """Return the seconds after which a place in the queue is likely free."""
        each = self.metrics.mean("whoplays_working_seconds") or 1.0
        return max(1, min(60, round(each * (self.waiting + 1) / self.settings.jobs)))

    def _result_of(self, message: dict[str, Any]) -> dict[str, Any]:
        if message["type"] == "result":
            result: dict[str, Any] = message["result"]
            return result
        kind, detail = message.get("kind"), str(message.get("detail", ""))
        if kind == "memory":
            self.metrics.count("whoplays_workers_replaced_total", reason="memory")
            kind, detail = "not-a-recording", "cannot be decoded: it needs more memory than a recording may take"
        if kind in ("not-a-recording", "too-long"):
            raise Problem(kind, detail)
        raise Problem("internal", f"could not be analysed ({detail}); please report it")

    def close(self) -> None:
        """End all processes."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        for worker in list(self._all):
            self._drop(worker)


def check_model(settings: Settings) -> Any:
    """Return the model's configuration with the thresholds in use, without starting anything.

    Raises `ModelError`, `UsageError` for thresholds that do not fit the model.
    """
    try:
        config = model_folder.read(settings.model).config
        limits = resolve(settings.threshold, [label.id for label in config.labels], config.thresholds)
        return replace(config, thresholds=limits)
    except ModelError as error:
        raise ModelError(str(error) if settings.model else f"{error}; name one with --model") from None
