"""Long commands under kill -9, full and read-only disks, I/O errors, vanished inputs and a clock that leaps.

A few rounds each; `python -m bench faults` does hundreds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from faults import harness, scenarios

from conftest import write_tiny_model

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[harness.Zygote]:
    try:
        started = harness.Zygote(tmp_path_factory.mktemp("zygote"))
    except RuntimeError as error:
        pytest.skip(str(error))
    yield started
    started.close()


@pytest.mark.parametrize(("suffix", "seed"), [(".jsonl", 1), (".parquet", 2)])
def test_a_table_of_results_survives_every_fault(
    suffix: str, seed: int, zygote: harness.Zygote, tmp_path: Path
) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow", reason="the extra tables is not installed")
    scenario = scenarios.predict(tmp_path / "work", suffix, write_tiny_model(tmp_path / "model"))
    # libsndfile goes on over a failed read of a WAV header, so those are for `bench faults`, which counts the outcomes
    scenario = replace(scenario, kinds=tuple(kind for kind in scenario.kinds if kind != "read"))
    problems, tried = harness.rounds(zygote, scenario, range(8), seed)
    assert problems == [] and sum(tried.values()) >= 8
