"""Who fetches: threads of this process, or, through `whoplays.cluster.download`, workers on many machines."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, Self

from .. import PlannedClip
from .fetch import Fetched, Fetcher
from .pacing import Pacer
from .settings import Settings


class Executor(Protocol):
    """Fetches clips, as many at a time as it is given, politely; to be used in a `with` statement.

    extra_s: what refusals add to the pause between two calls, in seconds.
    """

    extra_s: float = 0.0

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(self, *error: object) -> None:
        """End, and wait until nobody fetches any more."""

    def submit(self, clip: PlannedClip) -> Future[Fetched]:
        """Have a clip fetched. The future raises what `Fetcher.fetch` raises, and `WhoplaysError` when all is lost."""

    def answered(self, refusal: bool) -> None:
        """Note how the site answered (see `Pacer.answered`)."""

    def stop(self) -> None:
        """Fetch nothing more; what is under way is ended."""


class Threads(Executor):
    """An executor on threads of this process."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        """Prepare; nothing is requested yet. Raises `DownloadError` and `UsageError` for what cannot work."""
        self._pacer = Pacer(per_host=settings.per_host or settings.jobs, pause_s=settings.pause_s)
        self._fetcher = Fetcher(folder, settings, self._pacer)
        self._pool = ThreadPoolExecutor(settings.jobs, thread_name_prefix="fetch")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
        self._pool.shutdown()

    def submit(self, clip: PlannedClip) -> Future[Fetched]:
        return self._pool.submit(self._fetcher.fetch, clip)

    def answered(self, refusal: bool) -> None:
        self.extra_s = self._pacer.answered(refusal)

    def stop(self) -> None:
        """End every ffmpeg, and wake who waits for a turn."""
        self._fetcher.cutter.stop()
        self._pacer.stop()
