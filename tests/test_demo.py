"""The whole way, small, and the instruments it is made of."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from conftest import COMMAND_S, RATE, write_tiny_model
from whoplays.cli import demo
from whoplays.errors import UsageError, WhoplaysError
from whoplays.examples import synth


@pytest.mark.parametrize("family", synth.PLAYERS)
def test_each_family_is_audible_and_the_same_for_a_seed(family: str) -> None:
    samples = synth.recording([family], duration_s=2, seed=4, sample_rate=RATE)
    assert samples.shape == (2 * RATE,) and samples.dtype == np.float32
    assert 0.05 < np.abs(samples).max() < 1
    np.testing.assert_array_equal(samples, synth.recording([family], duration_s=2, seed=4, sample_rate=RATE))
    assert not np.array_equal(samples, synth.recording([family], duration_s=2, seed=5, sample_rate=RATE))


def test_nobody_plays_in_an_empty_room() -> None:
    assert np.abs(synth.recording([], duration_s=1, seed=0)).max() < 0.02
    with pytest.raises(UsageError, match="no formula for kazoo"):
        synth.recording(["kazoo"])


def test_drums_are_struck_and_strings_are_bowed() -> None:
    """The crest factor of what is struck is well above that of what is bowed."""

    def crest(family: str) -> float:
        found = [synth.recording([family], duration_s=2, seed=i) for i in range(8)]
        return float(np.median([np.abs(x).max() / np.sqrt(np.mean(x**2)) for x in found]))

    assert crest("drums") > 1.5 * crest("strings")


@pytest.mark.slow
def test_the_demo_goes_the_whole_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "RECORDINGS_PER_CLASS", 10)
    monkeypatch.setattr(demo, "SECONDS", 1.0)
    monkeypatch.setattr(demo, "EPOCHS", 2)
    monkeypatch.setattr("whoplays.model.folder.DEFAULT", write_tiny_model(tmp_path / "shipped"))
    assert demo.train(tmp_path / "demo", 0) == tmp_path / "demo" / "report" / "report.html"
    printed = capsys.readouterr().err
    assert [line[:2] for line in printed.splitlines()[:5]] == ["1.", "2.", "3.", "4.", "5."]
    accuracy, low, high = map(float, re.search(r"accuracy (\S+) on .* interval (\S+) to (\S+)\)", printed).groups())
    assert 0 <= low <= accuracy <= high <= 1
    duet = re.search(r"divides the duet: (.*)\.", printed)[1].split(", ")
    assert sum(float(part.split()[-1]) for part in duet) == pytest.approx(1, abs=0.03)
    assert printed.count(".ogg ") == 3
    for name in (
        "duet.png",
        "duet.flac",
        "report/report.html",
        "report/metrics.json",
        "model/model.onnx",
    ):
        assert (tmp_path / "demo" / name).stat().st_size > 100, name
    demo.train(tmp_path / "demo", 0)
    again = capsys.readouterr().err
    assert printed.partition("The network trained here")[2] == again.partition("The network trained here")[2]


def test_the_demo_leaves_other_peoples_folders_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(WhoplaysError, match="no demo made it"):
        demo.train(tmp_path, 0)


def run_without(packages: tuple[str, ...], *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command where these packages are not installed."""
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({packages!r})); sys.argv = ['whoplays', *{words!r}];"
        "from whoplays.cli import main; main()"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=COMMAND_S)


def test_the_plain_demo_predicts_what_was_composed_and_writes_a_page(tmp_path: Path) -> None:
    missing = ("keras", "tensorflow", "matplotlib", "onnx", "librosa")
    done = run_without(missing, "demo", "--out", str(tmp_path / "d"))
    assert done.returncode == 0, done.stderr
    assert "as composed: piano 0:00-0:18, strings 0:05-0:18" in done.stdout
    assert (tmp_path / "d" / demo.PAGE).read_text().count('"sound":"data:audio/ogg;base64,') == 3
    for shown in done.stdout.strip().split("\n\n"):
        found, composed = re.split("  maybe|  not found", shown)[0], shown.split("  as composed: ")[1]
        for part in composed.split(", "):
            assert part.split()[0] in found


def test_without_the_extra_it_says_how_to_get_it(tmp_path: Path) -> None:
    missing = ("keras", "matplotlib", "onnx", "sklearn", "librosa")
    done = run_without(missing, "demo", "--train", "--out", str(tmp_path / "d"))
    assert done.returncode == 2
    assert "'whoplays[train]'" in done.stderr
    assert "Traceback" not in done.stderr
