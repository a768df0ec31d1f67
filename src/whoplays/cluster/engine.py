"""An `Engine` whose work is done by Ray Data, on this machine or on a cluster."""

from __future__ import annotations

import logging
import os
import pickle
import socket
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Self

from ..engine import ONE_THREAD, one_thread
from ..errors import UsageError, WhoplaysError, missing_extra

LOCAL = "local"

#: Tasks that work is cut into, for each core: enough that the last ones end together, few enough that handing them out
#: (some 15 ms each, by one process) takes no time beside the work. And the most items in a task: results come with
#: its end, and when its process dies it is all done again.
TASKS_PER_CORE, ITEMS_PER_TASK = 32, 8

#: What decides the bytes of features: a machine with another version would give other shards.
DECIDING = ("whoplays", "numpy", "soxr", "soundfile", "av")

_CONNECT_S = 10.0

_STORE_MB = 256  # of the object store on this machine: plans and records, never sound


def load_ray() -> Any:
    """Return the `ray` module with Ray Data, quiet. Raises `MissingExtraError`."""
    os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise missing_extra(error.name or "ray", "cluster", "--cluster") from None
    return ray


class Cluster:
    """Ray, here or at an address, for as long as a `with` statement lasts; an `Engine`.

    A worker that dies is replaced and its work done again. At most a few pieces of work for each core are under way.
    """

    def __init__(self, address: str = LOCAL, *, workers: int = 0) -> None:
        """address: "local" starts Ray on this machine; else that of a cluster ("auto", "host:6379", "ray://host:10001").

        workers: processes at a time; 0: as many as there are cores. Nothing is started yet.
        """
        self.address, self.workers = address, workers
        self._ray: Any = None

    def __enter__(self) -> Self:
        """Start Ray, or connect. Raises `MissingExtraError`, and `UsageError` when there is no cluster at the address."""
        ray = self._ray = load_ray()
        told = {"logging_level": logging.ERROR, "log_to_driver": bool(os.environ.get("WHOPLAYS_DEBUG"))}
        try:
            if self.address == LOCAL:
                cores = self.workers or os.cpu_count() or 1
                store = _STORE_MB << 20
                with one_thread():
                    ray.init(address=LOCAL, num_cpus=cores, include_dashboard=False, object_store_memory=store, **told)
            else:
                _look_for(self.address)
                env = {"env_vars": dict.fromkeys(ONE_THREAD, "1")}
                ray.init(address=self.address, runtime_env=env, **told)
        except (ConnectionError, ValueError, RuntimeError, OSError) as error:
            raise UsageError(f"--cluster {self.address}: there is no Ray to work with ({_short(error)})") from None
        try:
            self._quiet()
            self._check_versions()
        except BaseException:
            ray.shutdown()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """Leave the cluster; a local one is ended. What was under way is dropped."""
        self._ray.shutdown()

    @property
    def cores(self) -> int:
        """Cores of the cluster, as Ray counts them, or the workers asked for, whichever is less."""
        found = int(self._ray.cluster_resources().get("CPU", 1)) or 1
        return min(self.workers or found, found)

    def _quiet(self) -> None:
        context = self._ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        if not os.environ.get("WHOPLAYS_DEBUG"):
            for name in ("ray.data", "ray.train", "ray"):
                logging.getLogger(name).setLevel(logging.ERROR)
                for handler in logging.getLogger(name).handlers:
                    handler.setLevel(logging.ERROR)

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
                raise UsageError(
                    f"--cluster {self.address}: node {node['NodeManagerAddress']} cannot run whoplays "
                    f"({_short(error)}); install the same version there"
                ) from None
            differs = [f"{name} {there[name]} there, {here[name]} here" for name in here if there[name] != here[name]]
            if differs:
                raise UsageError(
                    f"--cluster {self.address}: node {node['NodeManagerAddress']} would give other bytes "
                    f"({'; '.join(differs)}); install the same versions there"
                )

    def map(self, work: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """Yield (number of the item, `work(item)`), soonest first, from processes of the cluster.

        Raises what `work` raises of our own errors, and `WhoplaysError` when work died several times.
        """
        if not items:
            return
        ray = self._ray
        rows = [{"number": number, "item": _packed(item)} for number, item in enumerate(items)]
        tasks = min(len(rows), max(TASKS_PER_CORE * self.cores, -(-len(rows) // ITEMS_PER_TASK)))
        data = ray.data.from_items(rows, override_num_blocks=tasks)
        del rows
        results = data.map(_worked, fn_args=(work,), concurrency=self.workers or None)
        try:
            for row in results.iter_rows():
                failed, value = pickle.loads(zlib.decompress(row["result"]))
                if failed:
                    raise value
                yield int(row["number"]), value
        except ray.exceptions.RayError as error:
            raise WhoplaysError(
                f"work on the cluster failed ({_short(error)}); run the same command again: what is done is kept"
            ) from None


def _worked(row: dict[str, Any], work: Callable[[Any], Any]) -> dict[str, Any]:
    """Do one item's work, in a process of the cluster; our own errors are results."""
    try:
        told: tuple[bool, Any] = (False, work(pickle.loads(zlib.decompress(row["item"]))))
    except WhoplaysError as error:
        told = (True, error)
    return {"number": row["number"], "result": _packed(told)}


def _packed(value: Any) -> bytes:
    """Return a value as bytes for another process of the same run; clips' paths shrink to a tenth."""
    return zlib.compress(pickle.dumps(value), 1)


def versions() -> dict[str, str]:
    """Return the versions of what decides the bytes of features, of this process."""
    found = {"python": ".".join(map(str, sys.version_info[:2]))}
    for name in DECIDING:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _look_for(address: str) -> None:
    """Raise `OSError` at once when nothing listens at host:port; Ray itself would try for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=_CONNECT_S).close()


def _short(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:200]
