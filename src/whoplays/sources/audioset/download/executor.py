"""Who fetches: threads of this process, or, through `whoplays.cluster.download`, workers on many machines."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Protocol, Self

from .. import PlannedClip
from .fetch import Fetched, Fetcher, RateLimiter
from .ffmpeg import Cutter, find_ffmpeg
from .pacing import Pacer
from .settings import Settings


class Executor(Protocol):
    """Fetches clips, as many at a time as it is given, politely; to be used in a `with` statement."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(self, *error: object) -> None:
        """End, and wait until nobody fetches any more."""

    def submit(self, clip: PlannedClip) -> Future[Fetched]:
        """Have a clip fetched. The future raises what `Fetcher.fetch` raises, and `WhoplaysError` when all is lost."""

    def answered(self, refusal: bool) -> None:
        """Note how the site answered (see `Pacer.answered`)."""

    @property
    def extra_s(self) -> float:
        """The pause that refusals have added up to, in seconds."""

    def stop(self) -> None:
        """Fetch nothing more; what is under way is ended."""


def fetcher(folder: Path, settings: Settings, turns: RateLimiter) -> Fetcher:
    """Return what fetches into a folder. turns: who gives leave to ask a host."""
    cutter = Cutter(
        find_ffmpeg(settings.ffmpeg),
        rate=settings.rate,
        channels=settings.channels,
        timeout_s=settings.timeout_s,
        proxy=settings.access.proxy,
    )
    access = replace(settings.access, timeout_s=min(settings.access.timeout_s, settings.timeout_s))
    return Fetcher(folder, settings.template, access, cutter, turns, ending=settings.ending)


def pacer(settings: Settings, stopped: threading.Event) -> Pacer:
    """Return the pacer of a run: one for all who fetch."""
    return Pacer(per_host=settings.per_host or settings.jobs, pause_s=settings.pause_s, stopped=stopped)


class Threads(Executor):
    """An executor on threads of this process."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        """Prepare; nothing is asked for yet. Raises `DownloadError` and `UsageError` for what cannot work."""
        self._stopped = threading.Event()
        self._pacer = pacer(settings, self._stopped)
        self._fetcher = fetcher(folder, settings, self._pacer)
        self._pool = ThreadPoolExecutor(settings.jobs, thread_name_prefix="fetch")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
        self._pool.shutdown()

    def submit(self, clip: PlannedClip) -> Future[Fetched]:
        return self._pool.submit(self._fetcher.fetch, clip)

    def answered(self, refusal: bool) -> None:
        self._pacer.answered(refusal)

    @property
    def extra_s(self) -> float:
        return self._pacer.extra_s

    def stop(self) -> None:
        """End every ffmpeg, and wake who waits for a turn."""
        self._stopped.set()
        self._fetcher.cutter.stop()
        self._pacer.wake()
