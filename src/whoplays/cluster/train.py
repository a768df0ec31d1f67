"""One training run in several processes, here or on many machines: Ray Train starts them, and anew when one dies.

They go through the epochs together (`whoplays.training.together`), each with shards of its own, and leave a checkpoint after
each. The calling process reports their progress, and at the end makes the model folder from the checkpoint, as one that
trained alone would.
"""

from __future__ import annotations

import math
import os
import shutil
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..dataset import Dataset
from ..errors import DatasetError, UsageError, WhoplaysError
from ..storage.address import Place, place
from ..training import recipes as training
from ..training.checkpoint import CHECKPOINT
from ..training.framework import check_backend
from ..training.together import Collective
from ..training.watch import Watcher
from .engine import LOCAL, Cluster, load_ray, short

ray: Any = load_ray()

from ray.train import FailureConfig, RunConfig, ScalingConfig, get_context  # noqa: E402 - needs Ray, which may be missing
from ray.train.backend import Backend, BackendConfig  # noqa: E402
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer  # noqa: E402
from ray.util.queue import Empty, Queue  # noqa: E402
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: E402

#: How often the processes are started anew before it counts as a fault of the run itself.
MOST_RESTARTS = 8

WAITS_S = 60.0  # without a message before missing cores are reported

POLL_S = 0.5  # how soon Ctrl-C is noticed

FAILED = "failed"  # the message when one of the processes gives up

NOTES = ".ray-train"  # a folder that Ray Train wants for itself; removed at the end


def train(
    dataset_folder: Place | str,
    *,
    recipe: str = "mfcc-cnn",
    out: Path | str,
    address: str = LOCAL,
    jobs: int = 0,
    resume: bool = False,
    watcher: Watcher | None = None,
    **settings: Any,
) -> Any:
    """Train as `whoplays.training.recipes.train` does, in `jobs` processes (0: one for each node) of the cluster at `address`.

    The batch size is that of all processes together. A process that dies, or is killed, costs the epoch that was under
    way. The data set and `out` must lie where every node sees them. Raises what `whoplays.training.recipes.train` raises, and
    `UsageError` for a cluster that cannot be had or is too small, `DatasetError` for fewer shards than processes.
    """
    if address.startswith("ray://"):
        raise UsageError(f"--cluster {address}: training starts on a node of the cluster; run it there with auto")
    check_backend(os.environ.get("KERAS_BACKEND", "tensorflow"))
    source, folder, reporter = place(dataset_folder), Path(out).absolute(), watcher or Watcher()
    if isinstance(source, Path):
        source = source.absolute()
    job = _Job(source, folder, training.chosen(recipe, settings))
    _check(job, jobs)

    def elsewhere() -> str:
        try:
            with Cluster(address, jobs=jobs) as cluster:
                _run(job, _placed(job, jobs, cluster), reporter)
        except KeyboardInterrupt:
            if not (folder / CHECKPOINT).exists():
                raise
            return "interrupted"
        finally:
            shutil.rmtree(folder / NOTES, ignore_errors=True)
        return ""

    return training.train(
        source, recipe=recipe, out=folder, resume=resume, watcher=reporter, elsewhere=elsewhere, **settings
    )


@dataclass(frozen=True)
class _Job:
    """What every process needs to know of the run; settings: the recipe's."""

    source: Place
    out: Path
    settings: Any


@dataclass(frozen=True)
class _Placed:
    """How many processes there are; how many cores Ray sets aside for each, and how many it computes on."""

    workers: int
    cores: int
    threads: int


def _check(job: _Job, jobs: int) -> None:
    """Raise for what cannot be shared out among so many processes."""
    if jobs > (shards := len(Dataset.open(job.source).shards_of("training"))):
        raise DatasetError(
            f"{job.source}: has {shards} shards of training, and each of {jobs} processes needs one of its own; "
            "give fewer --jobs, or build the data set with smaller shards (--shard-mb)"
        )
    if jobs > (batch := job.settings.batch_size):
        raise UsageError(f"--batch-size {batch}: {jobs} processes share a batch; each needs a row of it, or more")


def _placed(job: _Job, jobs: int, cluster: Cluster) -> _Placed:
    """Return how the processes are placed: as many cores as all can have. Raises `UsageError` for too small a cluster."""
    nodes = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    count = jobs or sum(cores > 0 for cores in nodes)
    _check(job, count)
    for cores in range(max(nodes), 0, -1):
        if sum(node // cores for node in nodes) >= count:
            own = max(1, (os.cpu_count() or 1) // count)  # on one machine Ray knows of workers, not of cores
            return _Placed(count, cores, own if cluster.address == LOCAL else cores)
    raise UsageError(f"--jobs {count}: the cluster at {cluster.address} has {sum(nodes)} cores; each needs one")


def _run(job: _Job, placed: _Placed, watcher: Watcher) -> None:
    """Let the processes go through the epochs, and report their messages. Raises their errors of our own."""
    shutil.rmtree(job.out / NOTES, ignore_errors=True)  # of a run that was killed
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    messages = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})  # lost with this node alone
    # In a process of its own: Ctrl-C comes here, and Ray ends a process one of whose threads calls it after its shutdown.
    fit = ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=here)(_fit)
    try:
        fitting = fit.remote(job, placed, messages)
        _pass_on(messages, fitting, placed, watcher)
        ray.get(fitting)
    except ray.exceptions.RayError as error:
        raise WhoplaysError(
            f"training on the cluster failed ({short(error)}); the same command with --resume goes on "
            "with the epochs that are done"
        ) from None


def _fit(job: _Job, placed: _Placed, messages: Any) -> None:
    """Start the processes, anew when one dies, until they are done."""
    DataParallelTrainer(
        _work,
        train_loop_config={"job": job, "threads": placed.threads, "messages": messages},
        backend_config=_Meeting(),
        scaling_config=ScalingConfig(
            num_workers=placed.workers, resources_per_worker={"CPU": placed.cores}, placement_strategy="SPREAD"
        ),
        run_config=RunConfig(
            name="run", storage_path=str(job.out / NOTES), failure_config=FailureConfig(max_failures=MOST_RESTARTS)
        ),
    ).fit()


def _pass_on(messages: Any, fitting: Any, placed: _Placed, watcher: Watcher) -> None:
    """Pass the messages on to the watcher until the processes are done. Raises an error of ours that one of them sent."""
    begun, last_message = 0, time.monotonic()
    while True:
        alive = not ray.wait([fitting], timeout=0)[0]  # checked first: messages sent before the end still count
        try:
            what, values, named = messages.get(timeout=POLL_S)
        except Empty:
            if not alive:
                return
            if time.monotonic() - last_message > WAITS_S:
                have, wanted = int(ray.cluster_resources().get("CPU", 0)), placed.workers * placed.cores
                last_message = time.monotonic()
                if have < wanted:  # a node was lost
                    watcher.say(
                        f"Waiting for {wanted} cores; the cluster has {have}. Ctrl-C keeps the epochs that are done."
                    )
                    last_message = math.inf
            continue
        last_message = time.monotonic()
        if what == FAILED:
            raise values[0]
        if what == "begin":
            begun += 1
            if begun > 1:
                watcher.say("A worker was lost; all begin again from the last checkpoint.")
        getattr(watcher, what)(*values, **named)


class _Meeting(BackendConfig):
    """Lets the processes know where they find each other, whenever they are started."""

    @property
    def backend_cls(self) -> Any:
        return _Addresses


class _Addresses(Backend):
    def on_start(self, worker_group: Any, backend_config: Any) -> None:
        worker_group.execute(_meet, worker_group.execute(_free_address))


_met: list[str] = []  # of this process: the addresses of all, by rank


def _free_address() -> str:
    host = ray.util.get_node_ip_address()
    with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as held:
        return f"[{host}]:{held.getsockname()[1]}" if ":" in host else f"{host}:{held.getsockname()[1]}"


def _meet(addresses: list[str]) -> None:
    _met[:] = addresses


def _work(config: dict[str, Any]) -> None:
    """Be one of the processes."""
    job, messages, rank = config["job"], config["messages"], get_context().get_world_rank()
    try:
        if not job.out.is_dir():
            node = ray.util.get_node_ip_address()
            raise UsageError(f"{job.out}: is not there on node {node}; --out must lie where every node sees it")
        communicator = Collective(_met, rank, threads=config["threads"])
        watcher = _Reporter(messages) if rank == 0 else Watcher()
        training.epochs(job.source, out=job.out, settings=job.settings, watcher=watcher, communicator=communicator)
    except WhoplaysError as error:  # trying again would not help
        messages.put((FAILED, (error,), {}))


class _Reporter(Watcher):
    """Sends the progress to another process."""

    def __init__(self, messages: Any) -> None:
        self._messages = messages

    def begin(self, facts: dict[str, Any]) -> None:
        self._messages.put(("begin", (facts,), {}))

    def step(self, epoch: int, done: int, total: int, figures: dict[str, float]) -> None:
        self._messages.put(("step", (epoch, done, total, figures), {}))

    def epoch(self, row: dict[str, float], *, best: bool) -> None:
        self._messages.put(("epoch", (row,), {"best": best}))

    def say(self, message: str) -> None:
        self._messages.put(("say", (message,), {}))
