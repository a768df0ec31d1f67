"""Ray for real: two nodes of one core on this machine, workers, a node and a driver killed, and the same bytes after it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.processes import name_of
from conftest import command_without
from whoplays import dataset
from whoplays.dataset import BuildSettings
from whoplays.errors import UsageError, WhoplaysError
from whoplays.runtime.interrupts import SIGNALS

ray = pytest.importorskip("ray", reason="Ray is not installed (pip install 'whoplays[cluster]')")
pytestmark = pytest.mark.ray

from whoplays.cluster import Cluster  # noqa: E402
from whoplays.cluster.engine import load_ray  # noqa: E402
from whoplays.cluster.predict import predict_files  # noqa: E402

MANY_SHARDS = BuildSettings(pitch=(0.0, 1.0), test=0.25, validation=0.25, clips_per_shard=2)
WAIT_S = 900


ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


class Disturbed(Cluster):
    """A cluster in which something happens once the first shards are there: `happens` gets the pids of the workers."""

    def __init__(self, address: str, traces: Path, happens: Callable[[list[int]], None]) -> None:
        super().__init__(address)
        self.traces, self.happens, self.happened = traces, happens, False

    def map(self, work: Callable[[Any], Any], items: Any) -> Iterator[tuple[int, Any]]:
        traced = [(str(self.traces), work, item) for item in items]
        if name_of(work) != "make":
            yield from super().map(work, items)
            return
        for number, value in super().map(slowly, traced):
            if not self.happened:
                self.happened = True
                self.happens(workers_of(self.traces))
            yield number, value


def workers_of(traces: Path) -> list[int]:
    """The processes that left traces."""
    return sorted({int(path.name.split("-")[0]) for path in traces.iterdir()})


def slowly(traced: tuple[str, Callable[[Any], Any], Any]) -> Any:
    """Do the work, leave a trace of it, and take some time, so that a kill finds work under way."""
    folder, work, item = traced
    Path(folder, f"{os.getpid()}-{item.name}").touch()
    time.sleep(0.3)
    return work(item)


def test_workers_killed_under_way_lose_nothing_and_double_nothing(
    two_nodes: Any, class_folders: Path, tmp_path: Path
) -> None:
    dataset.build(class_folders, tmp_path / "local", MANY_SHARDS, jobs=2)
    (tmp_path / "traces").mkdir()
    killed: list[int] = []

    def kill(pids: list[int]) -> None:
        killed.extend(pids)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    engine = Disturbed(two_nodes.address, tmp_path / "traces", kill)
    dataset.build(class_folders, tmp_path / "cluster", MANY_SHARDS, engine=engine)
    assert killed, "no worker was killed: the test shows nothing"
    later = set(workers_of(tmp_path / "traces")) - set(killed)
    assert later, "nobody worked after the kill"
    assert contents(tmp_path / "local") == contents(tmp_path / "cluster")


def test_the_driver_killed_the_build_goes_on_anywhere_to_the_same_bytes(class_folders: Path, tmp_path: Path) -> None:
    """kill -9 of the driver of a build on Ray; then one machine finishes it without Ray."""
    dataset.build(class_folders, tmp_path / "whole", MANY_SHARDS, jobs=2)
    out = tmp_path / "killed"
    script = (
        "from whoplays.cluster import Cluster\nfrom whoplays.dataset import BuildSettings, build\n"
        f"build({str(class_folders)!r}, {str(out)!r}, {MANY_SHARDS!r}, engine=Cluster('local', jobs=1))"
    )
    process = subprocess.Popen([sys.executable, "-c", script], start_new_session=True, stderr=subprocess.PIPE)
    deadline = time.monotonic() + WAIT_S
    while not any(out.glob("*.npy")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(WAIT_S) == -signal.SIGKILL, process.stderr and process.stderr.read().decode()
    assert not (out / "dataset.json").exists()
    finished = [path.name for path in out.glob("*-*.json")]
    dataset.build(class_folders, out, MANY_SHARDS, jobs=1)
    assert contents(out) == contents(tmp_path / "whole")
    assert len(finished) < len([name for name in contents(out) if name.endswith(".npy")])


def test_a_cluster_predicts_what_one_machine_predicts(two_nodes: Any, tiny_model: Path, class_folders: Path) -> None:
    from whoplays.inference import batch
    from whoplays.inference.recogniser import Recogniser

    names = [str(path) for path in sorted(class_folders.rglob("*.wav"))] + ["missing.flac"]
    here = [result.to_dict() for result in batch.predict_files(Recogniser(tiny_model), names)]
    with Cluster(two_nodes.address) as engine:
        there = [result.to_dict() for result in predict_files(engine, tiny_model, names)]
        with pytest.raises(UsageError, match="standard input"):
            list(predict_files(engine, tiny_model, ["-"]))
    assert there == here
    assert there[-1]["error"].startswith("no such file")


def test_the_command_predicts_on_a_cluster(
    two_nodes: Any, tiny_model: Path, class_folders: Path, tmp_path: Path
) -> None:
    words = ["predict", str(class_folders / "drums"), "--model", str(tiny_model), "--out", str(tmp_path / "t.jsonl")]
    command = [sys.executable, "-m", "whoplays", *words, "--cluster", two_nodes.address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert len(rows) == 8 and all("scores" in row for row in rows)
    assert "Traceback" not in done.stderr and done.stderr.count("\n") <= 3, done.stderr


def test_ray_leaves_signals_to_the_program(two_nodes: Any) -> None:
    """Else SIGTERM would end the command at any instruction, without a word: `ray.init` sets a handler of its own."""
    before = [signal.getsignal(number) for number in SIGNALS]
    with Cluster(two_nodes.address):
        assert [signal.getsignal(number) for number in SIGNALS] == before


def test_errors_of_the_work_come_back_as_they_are(two_nodes: Any) -> None:
    with Cluster(two_nodes.address) as engine:
        with pytest.raises(WhoplaysError, match="no space on 3"):
            list(engine.map(complain, [1, 2, 3]))
        assert sorted(engine.map(double, range(20))) == [(i, 2 * i) for i in range(20)]
        assert list(engine.map(double, [])) == []


def complain(item: int) -> int:
    if item == 3:
        raise WhoplaysError("no space on 3")
    return item


def double(item: int) -> int:
    return 2 * item


def test_a_node_lost_under_way_loses_nothing(two_nodes: Any, class_folders: Path, tmp_path: Path) -> None:
    """The second node goes, raylet and workers, by SIGKILL."""
    dataset.build(class_folders, tmp_path / "local", MANY_SHARDS, jobs=2)
    (tmp_path / "traces").mkdir()
    node = two_nodes.add_node(num_cpus=1, object_store_memory=96 << 20, include_dashboard=False)
    engine = Disturbed(two_nodes.address, tmp_path / "traces", lambda pids: two_nodes.remove_node(node, False))
    dataset.build(class_folders, tmp_path / "cluster", MANY_SHARDS, engine=engine)
    assert engine.happened
    assert contents(tmp_path / "local") == contents(tmp_path / "cluster")


def test_an_address_without_ray_is_reported() -> None:
    with pytest.raises(UsageError, match=r"--cluster 127\.0\.0\.1:9: there is no Ray"), Cluster("127.0.0.1:9"):
        pass


def test_without_the_flag_nothing_of_ray_is_loaded(class_folders: Path, tiny_model: Path, tmp_path: Path) -> None:
    build = ["dataset", "build", str(class_folders), "--out", str(tmp_path / "set"), "--jobs", "1"]
    predict = ["predict", str(class_folders / "drums" / "take00.wav"), "--model", str(tiny_model)]
    for words in (build, predict):
        command_without(("ray", "fsspec", "upath"), words)


@pytest.mark.parametrize("debug", ["", "1"])
def test_messages_of_ray_about_dead_workers_stay_off_standard_output(monkeypatch, capsys, debug):
    monkeypatch.setenv("WHOPLAYS_DEBUG", debug)
    loaded = load_ray()
    assert load_ray()._private.worker.print_to_stdstream is loaded._private.worker.print_to_stdstream
    message = {"lines": ["A worker died"], "pid": "raylet", "is_err": False}
    loaded._private.worker.print_to_stdstream(message, ignore_prefix=False)
    out, err = capsys.readouterr()
    assert not out and ("A worker died" in err) == bool(debug)
