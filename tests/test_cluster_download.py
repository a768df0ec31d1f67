"""Clips fetched on a real Ray cluster from a real server: one budget for all, one ledger, and kills that change nothing.

And predictions on it, the command killed.
"""

from __future__ import annotations

import contextlib
import csv
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray", reason="Ray is not installed (pip install 'whoplays[cluster]')")
pytest.importorskip("yt_dlp", reason="the extra 'audioset' is not installed")

import ray
import soundfile
from standin import RATE, Site

from conftest import command_without
from whoplays.cluster import Cluster
from whoplays.cluster.download import Worker, Workers
from whoplays.errors import UsageError
from whoplays.examples import synth
from whoplays.sources.audioset import PlannedClip
from whoplays.sources.audioset.download import Access, Settings, Template, download, verify

pytestmark = pytest.mark.ray
WAIT_S = 900


@pytest.fixture(scope="module")
def address(two_nodes: Any) -> str:
    """A Ray cluster of two nodes with a core each."""
    return str(two_nodes.address)


def video(number: int) -> str:
    return f"{number:011d}"


def clips(count: int) -> list[PlannedClip]:
    return [PlannedClip(video(n), 8000, 18000, "piano", (), ("piano",), rank=n + 1) for n in range(count)]


def settings(site: Site, **changes: Any) -> Settings:
    usual: dict[str, Any] = {"jobs": 4, "backoff_s": 0.05, "attempts": 3, "timeout_s": 30.0, "rate": RATE}
    return Settings(template=Template(site.template), **usual | changes)


def contents(folder: Path) -> dict[str, bytes]:
    """The clips, and the manifest without the server's port."""
    found = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    return {
        name: content.rsplit(b"127.0.0.1:", 1)[0] if name == "manifest.csv" else content
        for name, content in found.items()
        if not name.startswith("ledger")
    }


def fetched_by(workers: Workers) -> Counter[str]:
    """Count which worker was given clips."""
    given: Counter[str] = Counter()
    send = workers._send

    def counted(*words: Any) -> None:
        send(*words)
        given.update([list(workers._orders.values())[-1].hand.name])

    workers._send = counted  # type: ignore[method-assign]
    return given


def test_a_cluster_fetches_what_one_machine_fetches_at_the_pace_of_one(address: str, tmp_path: Path) -> None:
    rules = {video(1): "429 once", video(3): "404", video(5): "media 429 once", video(6): "private", video(7): "slow"}
    with Site(rules) as site:
        download(clips(10), [], tmp_path / "here", settings(site))
        site.times.clear(), site.requests.clear()
        options = settings(site, pace_s=0.25)
        workers = Workers(Cluster(address), tmp_path / "there", options)
        given = fetched_by(workers)
        began = time.monotonic()
        outcome = download(clips(10), [], tmp_path / "there", options, executor=workers)
        times = list(site.times)
    assert outcome.fetched == 8 and outcome.states["piano"]["removed"] == outcome.states["piano"]["private"] == 1
    assert len(given) == 2 and all(given.values()), "one worker did it all: the test shows nothing"
    assert contents(tmp_path / "there") == contents(tmp_path / "here")
    assert verify(tmp_path / "there") == (8, [])
    # A visit asks for the page and then for the recording; it is visits that are a quarter of a second apart: 12 with
    # those that are tried again. Their turns are, so the last cannot arrive sooner, however late the first one does.
    assert len(times) >= 18 and times[-1] - began >= 0.25 * 11


@pytest.mark.parametrize(("pace", "places"), [(0.5, None), (0.0, 1)])
def test_the_budget_is_one_for_all_workers(address: str, tmp_path: Path, pace: float, places: int | None) -> None:
    with Site(lambda _: "redirect") as site:  # the page and the recording are separate requests
        options = settings(site, pace_s=pace, per_host=places)
        workers = Workers(Cluster(address), tmp_path, options)
        given = fetched_by(workers)
        began = time.monotonic()
        download(clips(8), [], tmp_path, options, executor=workers)
        pages = [path for path in site.requests if path.startswith("/watch")]
        times = site.times
    assert len(pages) == 8 and len(given) == 2
    if places:
        assert site.busiest == 1
    else:  # turns are half a second apart; a request can be later than its turn, so arrivals can lie closer together
        assert times[-1] - began >= 0.5 * 7


class Killing(Workers):
    """An executor of which a worker that fetches is killed once, after the first clip is there."""

    killed = 0

    def _take(self, order: Any, ref: Any) -> None:
        super()._take(order, ref)
        with self._lock:
            busy = [hand for hand in self._hands if hand.busy]
        if not self.killed and busy:
            pid = ray.get(busy[0].actor.__ray_call__.remote(_pid))
            os.kill(pid, signal.SIGKILL)
            (self._folder / "piano/.00000000009_8000.flac.abcdefgh.part").touch()  # as when it was writing
            self.killed = pid


def _pid(_: Any) -> int:
    return os.getpid()


@pytest.mark.parametrize("places", [1, 4])
def test_a_worker_killed_under_way_loses_nothing_and_gives_its_place_back(
    address: str, tmp_path: Path, places: int
) -> None:
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with Site(lambda _: "slow") as site:
        options = settings(site, per_host=places)
        download(clips(5), [], tmp_path / "here", options)
        from whoplays.cluster import Cluster

        workers = Killing(Cluster(address), tmp_path / "there", options)
        outcome = download(clips(5), [], tmp_path / "there", options, executor=workers)
    assert workers.killed, "no worker was killed: the test shows nothing"
    assert outcome.fetched == 5 and not outcome.why_stopped
    assert contents(tmp_path / "there") == contents(tmp_path / "here")


def write_plan(path: Path, count: int) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("video_id", "start_s", "end_s", "family", "labels"))
        writer.writerows((video(n), "8.000", "18.000", "piano", "") for n in range(count))


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert condition()


def test_the_driver_killed_the_download_goes_on_anywhere(address: str, tmp_path: Path) -> None:
    write_plan(tmp_path / "plan.csv", 5)
    folder = tmp_path / "clips"
    with Site(lambda _: "slow") as site:
        words = ["audioset", "download", str(tmp_path / "plan.csv"), "--out", str(folder), "--source", site.template]
        words += ["--rate", str(RATE), "--jobs", "2"]
        command = [sys.executable, "-m", "whoplays", *words]
        process = subprocess.Popen(
            [*command, "--cluster", address], start_new_session=True, stderr=subprocess.PIPE, text=True
        )
        with contextlib.suppress(AssertionError):
            wait_for(lambda: process.poll() is not None or len(list(folder.glob("piano/*.flac"))) >= 2)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert process.returncode == -signal.SIGKILL, process.stderr and process.stderr.read()
        assert len(list(folder.glob("piano/*.flac"))) < 5
        again = subprocess.run([*command, "--cluster", address], capture_output=True, text=True, timeout=WAIT_S)
        assert again.returncode == 0 and "Traceback" not in again.stderr, again.stderr
        options = Settings(template=Template(site.template), jobs=4, rate=RATE)
        download(clips(5), [], tmp_path / "undisturbed", options)
    assert verify(folder) == (5, [])
    with (folder / "manifest.csv").open(newline="") as file:
        listed = [(row["path"], row["sha256"]) for row in csv.DictReader(file)]
    with (tmp_path / "undisturbed/manifest.csv").open(newline="") as file:
        assert listed == [(row["path"], row["sha256"]) for row in csv.DictReader(file)]


def test_what_a_cluster_cannot_do_is_refused(tmp_path: Path) -> None:
    options = Settings(template=Template("http://127.0.0.1:9/{video_id}"))
    worker = Worker("one", tmp_path, options, None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("whoplays.cluster.download.SEEN_S", 0.0)
        assert "does not see" in str(worker.ready("ledger.sqlite"))
    with pytest.raises(UsageError, match="give --cookies FILE with --cluster"):
        Workers(Cluster("local"), tmp_path, Settings(access=Access(cookies_from_browser=("firefox", None, None, None))))
    with pytest.raises(UsageError, match="there is no Ray to work with"):
        download(clips(1), [], tmp_path, options, executor=Workers(Cluster("127.0.0.1:9"), tmp_path, options))


def test_without_the_flag_nothing_of_ray_is_loaded(tmp_path: Path) -> None:
    write_plan(tmp_path / "plan.csv", 1)
    with Site() as site:
        words = ["audioset", "download", str(tmp_path / "plan.csv"), "--out", str(tmp_path / "clips")]
        command_without(("ray", "fsspec", "s3fs"), [*words, "--source", site.template])


# ---------------------------------------------------------------- predicting


def test_a_driver_killed_while_predicting_resumes_to_the_same_table(
    address: str, tiny_model: Path, tmp_path: Path
) -> None:
    """kill -9 of `predict --cluster` once its first results are on disk; then --resume, and the table of an undisturbed run."""
    samples = synth.recording(["guitar"], duration_s=10, seed=1, sample_rate=22050)
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in" / "take000.wav", samples, 22050)
    for number in range(1, 128):
        os.link(tmp_path / "in" / "take000.wav", tmp_path / "in" / f"take{number:03d}.wav")
    out, journal = tmp_path / "killed.jsonl", tmp_path / "killed.jsonl.journal"
    words = ["predict", str(tmp_path / "in"), "--model", str(tiny_model), "--jobs", "2"]
    command = [sys.executable, "-m", "whoplays", *words]
    process = subprocess.Popen(
        [*command, "--out", str(out), "--cluster", address], start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    with contextlib.suppress(AssertionError):
        wait_for(lambda: process.poll() is not None or (journal.exists() and journal.stat().st_size > 0))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL, process.stderr and process.stderr.read()
    assert not out.exists()
    done = len(journal.read_bytes().splitlines())
    again = subprocess.run(
        [*command, "--out", str(out), "--resume", "--cluster", address], capture_output=True, text=True, timeout=WAIT_S
    )
    assert again.returncode == 0, again.stderr
    assert 0 < done < 128 and " of 128 recordings are done and unchanged" in again.stderr
    subprocess.run([*command, "--out", str(tmp_path / "whole.jsonl")], check=True, capture_output=True, timeout=WAIT_S)
    assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
