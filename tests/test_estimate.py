"""What a cluster will cost: the arithmetic by its properties, the sample by what was really built, the command by its lines."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from conftest import command_without
from whoplays.cli.cluster import lines_of
from whoplays.cluster import estimate as estimates
from whoplays.cluster.estimate import Asked, Sample, build_sample, estimate, predict_sample
from whoplays.dataset import BuildSettings
from whoplays.errors import DatasetError, UsageError

SAMPLE = Sample(
    work="build",
    seconds=(0.02,) * 30,
    processor_s=0.6,
    sound_s=10.0,
    recordings=30,
    skipped=0,
    clips_per_recording=1.0,
    recording_bytes=320_000.0,
    output_bytes=128_000.0,
    rows=1.0,
    clips_per_piece=1048,
)
PRICED = Asked(clips=1, price=0.05, price_gb_month=0.02, price_gb=0.01, price_reads=0.4, price_writes=5.0)
WAITS_S = 120

some_seconds = st.lists(st.floats(1e-4, 100), min_size=2, max_size=40).map(tuple)
samples = st.builds(
    lambda seconds, share, per, piece: replace(
        SAMPLE, seconds=seconds, processor_s=share * sum(seconds), clips_per_recording=per, clips_per_piece=piece
    ),
    some_seconds,
    st.floats(0.01, 1),
    st.floats(1, 400),
    st.integers(1, 20_000),
)
some_asked = st.builds(
    lambda clips, nodes, cores: replace(PRICED, clips=clips, nodes=nodes, cores=cores),
    st.integers(1, 10_000_000),
    st.integers(1, 200),
    st.integers(1, 128),
)


def spreads(found: Any) -> list[dict[str, float]]:
    """Everything that is told with an interval."""
    if not isinstance(found, dict):
        return []
    return [found] if "expected" in found else [one for value in found.values() for one in spreads(value)]


@given(samples, some_asked)
@settings(max_examples=60, deadline=None)
def test_an_interval_holds_what_is_expected_and_all_is_a_number(sample: Sample, asked: Asked) -> None:
    found = estimate(sample, asked)
    assert len(spreads(found)) == 5
    for one in spreads(found):
        assert 0 < one["low"] <= one["expected"] <= one["high"] < math.inf
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert all(line.isprintable() for line in lines_of(found))


@given(samples, some_asked, st.integers(2, 50))
@settings(max_examples=60, deadline=None)
def test_more_clips_cost_more_and_work_grows_with_them(sample: Sample, asked: Asked, times: int) -> None:
    one, many = (estimate(sample, replace(asked, clips=asked.clips * n)) for n in (1, times))
    assert many["core_hours"]["expected"] == pytest.approx(times * one["core_hours"]["expected"])
    assert many["output_bytes"] == pytest.approx(times * one["output_bytes"])
    fewer_tasks = one["pieces_of_work"] * estimates.TASK_S / 3600  # more clips go to a worker in larger tasks
    for name in ("low", "expected", "high"):
        assert many["core_hours"][name] >= one["core_hours"][name]
        assert many["wall_hours"][name] >= one["wall_hours"][name] - fewer_tasks
    saved = fewer_tasks * asked.nodes * asked.cores * asked.price
    assert many["money"]["total"]["expected"] >= one["money"]["total"]["expected"] - saved


@given(samples, some_asked, st.integers(2, 50))
@settings(max_examples=60, deadline=None)
def test_more_cores_take_no_longer_and_never_less_than_a_share(sample: Sample, asked: Asked, times: int) -> None:
    assume(asked.nodes * times <= 10**6)
    few, many = (estimate(sample, replace(asked, nodes=asked.nodes * n)) for n in (1, times))
    assert many["core_hours"] == few["core_hours"]
    for name in ("low", "expected"):
        waited = estimates.START_S + many["driver"]["hours"] * 3600
        assert many["wall_hours"][name] * 3600 >= few["core_hours"][name] * 3600 / (asked.nodes * times * asked.cores)
        assert many["wall_hours"][name] * 3600 >= waited


def test_two_million_clips_by_hand() -> None:
    """20 ms at 90 %: 44,444 core-seconds; 160 cores; 1,909 shards, one to a task, each of 23.3 s."""
    found = estimate(SAMPLE, Asked(clips=2_000_000, nodes=20, cores=8, efficiency=0.9, price=0.05))
    assert found["core_hours"]["expected"] == pytest.approx(44_444.4 / 3600, rel=1e-4)
    driver = 2_000_000 * estimates.DRIVER_S_PER_CLIP + 1909 * estimates.TASK_S
    wall = estimates.START_S + driver + 44_444.4 / 160 + 0.5 * 44_444.4 / 1909
    assert found["wall_hours"]["expected"] == pytest.approx(wall / 3600, rel=1e-4)
    assert found["money"]["total"]["expected"] == pytest.approx(wall / 3600 * 160 * 0.05, rel=1e-4)
    assert found["output_bytes"] == 2_000_000 * 128_000
    assert found["pieces_of_work"] == 1909


def test_fewer_shards_than_cores_cannot_be_faster_than_a_shard() -> None:
    asked = Asked(clips=2096, nodes=20, cores=8, efficiency=0.9)
    found = estimate(SAMPLE, asked)
    assert found["wall_hours"]["low"] * 3600 >= 1048 * 0.02 / 0.9 * (1 - estimates.DOUBT)
    assert any("2 pieces of work cannot keep 160 cores busy" in line for line in lines_of(found))


def test_long_recordings_are_fetched_for_each_of_their_clips() -> None:
    short, long = (replace(SAMPLE, clips_per_recording=n, recording_bytes=n * 320_000.0) for n in (1.0, 30.0))
    one, other = (estimate(sample, Asked(clips=3000))["object_store"] for sample in (short, long))
    assert one["fetched_bytes"] == 2 * 3000 * 320_000
    assert other["fetched_bytes"] == (3000 + 100) * 30 * 320_000


def test_slow_storage_is_waited_for() -> None:
    """640 GB at 100 MB/s take 6,400 s, whatever the cores; the cores are paid meanwhile."""
    slow = Asked(clips=2_000_000, nodes=20, cores=8, bandwidth_mb_s=100, price=1.0)
    found, fast = estimate(SAMPLE, slow), estimate(SAMPLE, replace(slow, bandwidth_mb_s=0.0))
    assert found["wall_hours"]["low"] * 3600 == pytest.approx(
        6400 + estimates.START_S + found["driver"]["hours"] * 3600
    )
    assert found["core_hours"] == fast["core_hours"]
    assert found["money"]["cores"]["expected"] > 5 * fast["money"]["cores"]["expected"]
    assert found["read_bytes_per_s"] == pytest.approx(100e6)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"clips": 0}, "--clips 0"),
        ({"clips": 5, "nodes": 0}, "--nodes 0"),
        ({"clips": 5, "cores": 0}, "--cores 0"),
        ({"clips": 5, "efficiency": 1.5}, "--efficiency 1.5"),
        ({"clips": 5, "bandwidth_mb_s": -1.0}, "--bandwidth -1"),
        ({"clips": 5, "price_gb_month": -1.0}, "--price-gb-month -1"),
        ({"clips": 5, "price": math.nan}, "--price nan"),
    ],
)
def test_what_cannot_be_is_refused(values: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        Asked(**values)


def test_a_sample_is_what_a_build_would_make(class_folders: Path, tmp_path: Path) -> None:
    source = shutil.copytree(class_folders, tmp_path / "source")
    (source / "drums" / "broken.wav").write_bytes(b"no sound")
    every = BuildSettings(pitch=(0.0, 1.0), test=0.25, validation=0.25, clip_s=0.5)
    found = build_sample(source, every, recordings=100)
    assert (found.recordings, found.skipped) == (24, 1)
    assert found.clips_per_recording == 2  # 1.2 s in pieces of 0.5 s, the rest being too short
    assert found.rows == 1.5
    assert found.output_bytes == 1.5 * every.row_bytes
    assert found.recording_bytes == pytest.approx(44 + 2 * 1.2 * 22050)
    assert 0 < found.processor_s <= sum(found.seconds) * 1.001


def test_time_in_which_others_have_the_core_does_not_count() -> None:
    with estimates._Timed() as slept:
        time.sleep(0.3)
    assert slept.spent[0] >= 0.29 and slept.spent[1] < 0.2
    with estimates._Timed() as worked:
        sum(i * i for i in range(300_000))
    assert worked.spent[1] <= worked.spent[0]


def test_hearing_is_measured_too(class_folders: Path, tiny_model: Path) -> None:
    found = predict_sample(class_folders, tiny_model, recordings=3)
    assert len(found.seconds) == found.recordings == 3
    assert found.sound_s == pytest.approx(1.2, abs=0.01)
    assert 50 < found.output_bytes < 5000
    assert estimate(found, Asked(clips=1000))["object_store"]["writes"] == 0


def test_nothing_that_can_be_used_is_told(class_folders: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "take.wav").write_bytes(b"no sound")
    with pytest.raises(DatasetError, match="none of 2 recordings of the sample can be used"):
        build_sample(tmp_path, BuildSettings())
    with pytest.raises(UsageError, match="--sample 1"):
        build_sample(class_folders, BuildSettings(), recordings=1)


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "whoplays", "cluster", "estimate", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=WAITS_S)


def test_the_command_prints_json_without_ray(class_folders: Path) -> None:
    words = [str(class_folders), "--clips", "20000", "--nodes", "2", "--cores", "4", "--price", "0.05", "--json"]
    done = command_without(("ray",), ["cluster", "estimate", *words, "--sample", "3"])
    assert not done.stderr, done.stderr
    found = json.loads(done.stdout)
    assert (found["clips"], found["nodes"], found["cores_per_node"]) == (20_000, 2, 4)
    assert found["sample"]["recordings"] == 3 and found["money"]["total"]["expected"] > 0
    told = set((Path(__file__).parents[1] / "docs" / "explanation" / "cluster-size.md").read_text().split("`"))
    assert not set(found) - told, "docs/explanation/cluster-size.md does not tell of all of it"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nowhere", "--clips", "5"], "nowhere: no such folder or manifest"),
        ([".", "--clips", "5", "--work", "dance"], "--work dance: must be one of: build, predict"),
        ([".", "--clips", "5", "--price", "-1"], "--price -1: must be"),
    ],
)
def test_errors_are_one_line(words: list[str], told: str) -> None:
    done = run(*words)
    assert done.returncode in (1, 2) and not done.stdout
    assert done.stderr.count("\n") == 1 and told in done.stderr
