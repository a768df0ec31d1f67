"""An `Engine` whose work is done by Ray, on this machine or on a cluster.

Work goes out as plain tasks of Ray's, a bounded number at a time. Ray Data was measured against it: it takes the machine
that asks 13 ms a task instead of 0.9, and wants all the items at once (docs/guides/cluster.md).
"""

from __future__ import annotations

import itertools
import logging
import os
import pickle
import socket
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Self

from ..errors import UsageError, WhoplaysError
from ..runtime.environment import ONE_THREAD, inherited
from ..runtime.interrupts import handlers_kept
from ..runtime.packages import needed
from ..runtime.processes import Engine

LOCAL = "local"

#: Tasks that work is cut into, for each core: enough that the last ones end together, few enough that handing them out
#: (about a millisecond each, by one process) takes no time beside the work. And the most items in a task: results come
#: with its end, and when its process dies it is all done again.
TASKS_PER_CORE, ITEMS_PER_TASK = 32, 8

#: Tasks under way for each core: one that works, and others that its process goes on with. Memory is bounded by it.
UNDER_WAY_PER_CORE = 3

_CORES_COUNTED_S = 10.0  # how often the cores of a cluster are counted anew

#: What decides the bytes of features: a machine with another version would give other shards.
DECIDING = ("whoplays", "numpy", "soxr", "soundfile", "av")

_CONNECT_S = 10.0

_STARTS = 2  # Ray gives its node 30 s to come up, which a machine that is busy with other work may miss once

_STORE_MB = 256  # of the object store on this machine: plans and records, never sound


def load_ray() -> Any:
    """Return the `ray` module, quiet. Raises `MissingExtraError`."""
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    with needed("--cluster", "cluster"):
        import ray
    _keep_from_standard_output(ray._private.worker)
    return ray


def _keep_from_standard_output(worker: Any) -> None:
    """Send what Ray prints of dead workers, where results may go, to standard error; and only on request."""
    print_lines = worker.print_to_stdstream
    if getattr(print_lines, "ours", False):
        return

    def tell(data: dict[str, Any], *args: Any, **options: Any) -> None:
        if os.environ.get("WHOPLAYS_DEBUG"):
            print_lines({**data, "is_err": True}, *args, **options)

    tell.ours = True  # type: ignore[attr-defined]
    worker.print_to_stdstream = tell


class Cluster(Engine):
    """Ray, here or at an address, for as long as a `with` statement lasts.

    A worker that dies is replaced and its work done again. At most a few pieces of work for each core are under way.
    """

    def __init__(self, address: str = LOCAL, *, jobs: int = 0) -> None:
        """address: "local" starts Ray on this machine; else that of a cluster ("auto", "host:6379", "ray://host:10001").

        jobs: processes at a time; 0: as many as there are cores. Nothing is started yet. Raises `MissingExtraError`.
        """
        self.address, self.jobs = address, jobs
        self._ray: Any = load_ray()
        self._counted_at, self._found = -_CORES_COUNTED_S, 1

    def __enter__(self) -> Self:
        """Start Ray, or connect. Raises `UsageError` when there is no cluster at the address."""
        ray = self._ray
        for _ in range(_STARTS if self.address == LOCAL else 1):
            try:
                with handlers_kept():
                    self._start()
                break
            except Exception as error:  # of every kind; a node that does not come up in 30 s is a plain one
                ray.shutdown()
                why = f"--cluster {self.address}: there is no Ray to work with ({short(error)})"
        else:
            raise UsageError(why)
        try:
            if not os.environ.get("WHOPLAYS_DEBUG"):
                for logger in map(logging.getLogger, ("ray.train", "ray")):
                    logger.setLevel(logging.ERROR)
                    for handler in logger.handlers:
                        handler.setLevel(logging.ERROR)
            self._check_versions()
        except BaseException:
            ray.shutdown()
            raise
        return self

    def _start(self) -> None:
        options = {"logging_level": logging.ERROR, "log_to_driver": bool(os.environ.get("WHOPLAYS_DEBUG"))}
        if self.address == LOCAL:
            options |= {"num_cpus": self.jobs or os.cpu_count() or 1, "object_store_memory": _STORE_MB << 20}
            with inherited(ONE_THREAD):
                self._ray.init(address=LOCAL, include_dashboard=False, **options)
        else:
            host, _, port = self.address.rpartition("://")[2].rpartition(":")
            if host and port.isdecimal():  # or Ray would try for minutes where nothing listens
                socket.create_connection((host, int(port)), timeout=_CONNECT_S).close()
            self._ray.init(address=self.address, runtime_env={"env_vars": ONE_THREAD}, **options)

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self._ray.shutdown()

    @property
    def cores(self) -> int:
        """Cores of the cluster, as Ray counts them, or the requested jobs, whichever is less."""
        found = int(self._ray.cluster_resources().get("CPU", 1)) or 1
        return min(self.jobs or found, found)

    def _check_versions(self) -> None:
        """Refuse a cluster whose nodes would give other bytes. Raises `UsageError`."""
        if self.address == LOCAL:
            return
        ray, here = self._ray, versions()
        for node in (node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")):
            place = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            try:
                there = ray.get(ray.remote(versions).options(scheduling_strategy=place, num_cpus=0).remote())
            except ray.exceptions.RayError as error:
                if node["NodeID"] not in {other["NodeID"] for other in ray.nodes() if other["Alive"]}:
                    continue  # lost meanwhile
                raise UsageError(
                    f"--cluster {self.address}: node {node['NodeManagerAddress']} cannot run whoplays "
                    f"({short(error)}); install the same version there"
                ) from None
            if differs := differing(there, here):
                raise UsageError(
                    f"--cluster {self.address}: node {node['NodeManagerAddress']} would give other bytes "
                    f"({differs}); install the same versions there"
                )

    def map(self, work: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """Yield (number of the item, `work(item)`), soonest first, from processes of the cluster.

        Raises what `work` raises of our own errors, and `WhoplaysError` when work died several times.
        """
        if not items:
            return
        ray = self._ray
        given = ray.put(work)
        task = ray.remote(num_cpus=1, max_retries=3)(_worked)
        waiting = self._tasks(items)
        running: dict[Any, range] = {}
        try:
            while True:
                for numbers in itertools.islice(waiting, max(0, self._most() - len(running))):
                    running[task.remote(given, [_packed(items[number]) for number in numbers])] = numbers
                if not running:
                    return
                first, others = ray.wait(list(running), num_returns=1)
                first += ray.wait(others, num_returns=len(others), timeout=0)[0] if others else []
                for ready in first:
                    numbers = running.pop(ready)
                    for number, result in zip(numbers, ray.get(ready), strict=True):
                        failed, value = pickle.loads(zlib.decompress(result))
                        if failed:
                            raise value
                        yield number, value
        except ray.exceptions.RayError as error:
            raise WhoplaysError(
                f"work on the cluster failed ({short(error)}); run the same command again: what is done is kept"
            ) from None

    def _tasks(self, items: Sequence[Any]) -> Iterator[range]:
        """Yield the numbers of the items of each task."""
        size = min(ITEMS_PER_TASK, max(1, len(items) // (TASKS_PER_CORE * self.cores)))
        return (range(first, min(first + size, len(items))) for first in range(0, len(items), size))

    def _most(self) -> int:
        """Return how many tasks may be under way: as many as there are jobs, if that was requested."""
        if self.jobs:
            return self.jobs * (UNDER_WAY_PER_CORE if self.address == LOCAL else 1)
        if time.monotonic() - self._counted_at > _CORES_COUNTED_S:  # it may have grown
            self._counted_at, self._found = time.monotonic(), self.cores
        return UNDER_WAY_PER_CORE * self._found


def _worked(work: Callable[[Any], Any], items: Sequence[bytes]) -> list[bytes]:
    """Do some items' work, in a process of the cluster; our own errors are results, not failures."""
    results: list[bytes] = []
    for item in items:
        try:
            results.append(_packed((False, work(pickle.loads(zlib.decompress(item))))))
        except WhoplaysError as error:
            results.append(_packed((True, error)))
    return results


def _packed(value: Any) -> bytes:
    """Return a value as bytes for another process of the same run; clips' paths shrink to a tenth."""
    return zlib.compress(pickle.dumps(value), 1)


def versions() -> dict[str, str]:
    """Return the versions of what decides the bytes of features, of this process."""
    return {"python": ".".join(map(str, sys.version_info[:2])), **versions_of(DECIDING)}


def versions_of(packages: Sequence[str]) -> dict[str, str]:
    """Return the version of each package in this process."""
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def differing(there: dict[str, str], here: dict[str, str]) -> str:
    """Return in words what of the versions on a node is other than here; nothing when they are the same."""
    return "; ".join(f"{name} {there[name]} there, {here[name]} here" for name in here if there[name] != here[name])


def short(error: BaseException) -> str:
    """Return the last line of what an error says: Ray's own come with pages of traces."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:200]
