"""Clips fetched by workers on many machines, with one polite budget for all: one `Pacer`, held by an actor.

Every call to a host waits for its turn there, so pace, places and Retry-After hold for the cluster as a whole. What one
machine runs is what the workers run; this process decides who is next and keeps the ledger.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ..errors import DownloadError, UsageError, WhoplaysError
from ..sources.audioset import PlannedClip
from ..sources.audioset.download.causes import Cause, ClipUnavailable
from ..sources.audioset.download.executor import Executor
from ..sources.audioset.download.fetch import Fetched, Fetcher
from ..sources.audioset.download.ledger import NAME as LEDGER
from ..sources.audioset.download.pacing import Pacer, Stopped
from ..sources.audioset.download.settings import Settings
from .engine import Cluster, differing, load_ray, short, versions_of

DEATHS = 3  # of workers over one clip, until it is taken for the cause
START_S = 120.0  # for a first worker to be ready
SEEN_S = 5.0  # for a file to be seen by all nodes
END_S = 10.0  # for what is under way to end
_LOOK_S = 0.05

#: What decides a clip's samples, beside what every work on a cluster must agree on.
DECIDING = ("yt-dlp", "imageio-ffmpeg")


class Pace(Pacer):
    """An actor: the one who gives leave. A worker that is lost gives back what it held."""

    def __init__(self, settings: Settings) -> None:
        """settings: of the run; every limit in them is one for all workers together."""
        super().__init__(per_host=settings.per_host or settings.jobs, pause_s=settings.pause_s)
        self._visits: dict[tuple[str, int], contextlib.ExitStack] = {}
        self._gone: set[str] = set()
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    def enter(self, worker: str, host: str) -> int | None:
        """Wait for a turn at `host`, and return the number to give it back with; None when the download ends."""
        visit = contextlib.ExitStack()
        try:
            visit.enter_context(self.visit(host))
        except Stopped:
            return None
        with self._lock:
            if worker not in self._gone:
                number = next(self._numbers)
                self._visits[worker, number] = visit
                return number
        visit.close()
        return None

    def leave(self, worker: str, number: int) -> None:
        """Give a turn back."""
        with self._lock:
            visit = self._visits.pop((worker, number), None)
        if visit:
            visit.close()

    def gone(self, worker: str) -> None:
        """Give back what a lost worker held, and give it nothing more."""
        with self._lock:
            self._gone.add(worker)
            visits = [self._visits.pop(key) for key in list(self._visits) if key[0] == worker]
        for visit in visits:
            visit.close()


class Worker:
    """An actor: fetches clips, several at a time, and asks the actor that holds the pacer for its turns."""

    def __init__(self, name: str, folder: Path, settings: Settings, pace: Any) -> None:
        """Take what is needed; see `ready`."""
        self._name, self._folder, self._settings, self._pace = name, folder, settings, pace
        self._lock = threading.Lock()
        self._made: Fetcher | None = None

    def ready(self, mark: str) -> tuple[str, dict[str, str]] | WhoplaysError:
        """Return the node's name and versions, or why no clip can be fetched here. mark: a file in the folder."""
        node = os.uname().nodename if hasattr(os, "uname") else "this machine"
        if not _appears(self._folder / mark):
            return UsageError(f"node {node} does not see {self._folder}; name a folder that all nodes share")
        try:
            self._fetcher()
        except WhoplaysError as error:
            return error
        return node, versions_of(DECIDING)

    def _fetcher(self) -> Fetcher:
        with self._lock:
            if not self._made:
                self._made = Fetcher(self._folder, self._settings, self)
            return self._made

    def fetch(self, clip: PlannedClip) -> Fetched | Exception:
        """Return what `Fetcher.fetch` returns, or what it raises: Ray would wrap that in errors of its own."""
        try:
            return self._fetcher().fetch(clip)
        except (ClipUnavailable, Stopped, WhoplaysError) as error:
            return error

    def stop(self) -> None:
        """End every ffmpeg."""
        if self._made:
            self._made.cutter.stop()

    @contextlib.contextmanager
    def visit(self, host: str) -> Iterator[None]:
        """Wait for a turn. Raises `Stopped`, and `DownloadError` when the actor is lost."""
        number = self._call(self._pace.enter, self._name, host)
        if number is None:
            raise Stopped
        try:
            yield
        finally:
            self._call(self._pace.leave, self._name, number)

    def hold(self, host: str, seconds: float) -> None:
        """Leave a host alone: all do."""
        self._call(self._pace.hold, host, seconds)

    def _call(self, method: Any, *words: Any) -> Any:
        ray = load_ray()
        try:
            return ray.get(method.remote(*words))
        except ray.exceptions.RayError as error:
            raise DownloadError(
                f"who keeps the pace of the cluster was lost ({short(error)}); start again: it goes on where it was"
            ) from None


def _appears(path: Path) -> bool:
    """Tell whether a file is there, or comes to be seen: a file system of many machines may take a moment."""
    until = time.monotonic() + SEEN_S
    while not path.exists():
        if time.monotonic() > until:
            return False
        time.sleep(_LOOK_S)
    return True


@dataclass(eq=False)
class _Hand:
    """A worker as this process knows it. busy: clips that it fetches."""

    name: str
    actor: Any
    busy: int = 0


@dataclass
class _Order:
    """A clip that a worker was given; deaths: of workers that had it before."""

    clip: PlannedClip
    promise: Future[Fetched]
    hand: _Hand
    deaths: int


class Workers(Executor):
    """Actors on a cluster."""

    def __init__(self, cluster: Cluster, folder: Path, settings: Settings) -> None:
        """cluster: not entered yet. folder: one that every node sees. Raises `UsageError` for what a node cannot do."""
        if settings.access.cookies_from_browser:
            raise UsageError(
                "--cookies-from-browser reads a browser of one machine; give --cookies FILE with --cluster"
            )
        self._cluster, self._settings = cluster, settings
        self._folder = Path(os.path.abspath(folder))  # noqa: PTH100 - links are not followed
        self._hands: list[_Hand] = []
        self._orders: dict[Any, _Order] = {}
        self._names, self._until = itertools.count(), math.inf
        self._lock, self._over = threading.RLock(), threading.Event()

    def __enter__(self) -> Self:
        """Connect, and start the actors. Raises `UsageError` when there is no cluster, or a node cannot fetch."""
        self._cluster.__enter__()
        try:
            self._ray = load_ray()
            self._start()
        except BaseException:
            self._cluster.__exit__(None)
            raise
        self._watcher = threading.Thread(target=self._watch, name="watch", daemon=True)
        self._watcher.start()
        return self

    def _start(self) -> None:
        ray, jobs = self._ray, self._settings.jobs
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=True
        )
        # A thread for each call that waits for its turn, those of lost workers too, and some for what must not wait.
        threads = {"num_cpus": 0, "max_concurrency": 2 * jobs + 16}
        self._pace = ray.remote(Pace).options(scheduling_strategy=here, **threads).remote(self._settings)
        count = max(1, min(jobs, self._cluster.cores))
        self._slots = -(-jobs // count)
        hands = [self._hand() for _ in range(count)]
        starting = {hand.actor.ready.remote(LEDGER): hand for hand in hands}
        done, late = ray.wait(list(starting), num_returns=count, timeout=START_S)
        if not done:
            raise WhoplaysError(f"no core of the cluster was free for {START_S:g} s; wait until it has less to do")
        for ref in done:
            try:
                answer = ray.get(ref)
            except ray.exceptions.RayError as error:
                raise UsageError(f"--cluster {self._cluster.address}: a worker cannot start ({short(error)})") from None
            if isinstance(answer, WhoplaysError):
                raise answer
            node, there = answer
            if differs := differing(there, versions_of(DECIDING)):
                raise UsageError(
                    f"--cluster {self._cluster.address}: node {node} would fetch other samples ({differs}); "
                    "install the same versions there"
                )
        for ref in late:
            ray.kill(starting[ref].actor)
        self._hands = [starting[ref] for ref in done]

    def _hand(self) -> _Hand:
        """Start a worker, on the node that has the fewest."""
        name = f"worker {next(self._names)}"
        kind = self._ray.remote(Worker).options(
            num_cpus=1, max_concurrency=self._slots + 2, scheduling_strategy="SPREAD"
        )
        return _Hand(name, kind.remote(name, self._folder, self._settings, self._pace))

    def __exit__(self, *error: object) -> None:
        self.stop()
        self._until = time.monotonic() + END_S
        self._watcher.join()  # to its end: Ray ends a process one of whose threads calls it after its shutdown
        self._cluster.__exit__(None)

    def submit(self, clip: PlannedClip) -> Future[Fetched]:
        promise: Future[Fetched] = Future()
        self._send(clip, promise, 0)
        return promise

    def _send(self, clip: PlannedClip, promise: Future[Fetched], deaths: int) -> None:
        with self._lock:
            hand = min(self._hands, key=lambda hand: hand.busy)
            hand.busy += 1
            self._orders[hand.actor.fetch.remote(clip)] = _Order(clip, promise, hand, deaths)

    def answered(self, refusal: bool) -> None:
        self._pace.answered.remote(refusal).future().add_done_callback(self._slowed)

    def _slowed(self, added: Future[float]) -> None:
        if not added.cancelled() and added.exception() is None:
            self.extra_s = added.result()

    def stop(self) -> None:
        """Let nobody begin, and end what is under way."""
        if self._over.is_set():
            return
        self._over.set()
        with contextlib.suppress(self._ray.exceptions.RayError):
            self._pace.stop.remote()
            for hand in self._hands:
                hand.actor.stop.remote()

    def _watch(self) -> None:
        """Take in what workers tell, until the end and the last of them."""
        while not self._over.is_set() or (self._orders and time.monotonic() < self._until):
            with self._lock:
                refs = list(self._orders)
            if not refs:
                self._over.wait(_LOOK_S)
                continue
            for ref in self._ray.wait(refs, num_returns=1, timeout=_LOOK_S)[0]:
                with self._lock:
                    order = self._orders.pop(ref)
                    order.hand.busy -= 1
                self._take(order, ref)

    def _take(self, order: _Order, ref: Any) -> None:
        try:
            found: Fetched | Exception = self._ray.get(ref)
        except (self._ray.exceptions.RayActorError, self._ray.exceptions.ActorUnavailableError):
            self._replace(order)
        except self._ray.exceptions.RayError as error:
            message = f"work on the cluster failed ({short(error)}); start again: it goes on where it was"
            order.promise.set_exception(WhoplaysError(message))
        else:
            if isinstance(found, Exception):
                order.promise.set_exception(found)
            else:
                order.promise.set_result(found)

    def _replace(self, order: _Order) -> None:
        """A worker died: another takes its place, and its clip."""
        if self._over.is_set():
            order.promise.set_exception(Stopped())
            return
        with self._lock:
            if order.hand in self._hands:
                self._pace.gone.remote(order.hand.name)
                self._hands.remove(order.hand)
                self._ray.kill(order.hand.actor)  # if it only cannot be reached
                self._hands.append(self._hand())
        if order.deaths + 1 >= DEATHS:
            order.promise.set_exception(ClipUnavailable(Cause.OTHER, f"{DEATHS} workers died while they fetched it"))
        else:
            self._send(order.clip, order.promise, order.deaths + 1)
