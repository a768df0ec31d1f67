"""The model inside the package: small, whole, fast, and on sounds made here it says what it said when it was shipped."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import whoplays
from conftest import COMMAND_S
from whoplays import examples
from whoplays.examples import synth
from whoplays.model import folder as model_folder
from whoplays.taxonomy.catalogue import catalogue

FAMILY_IDS = catalogue().defaults

RATE = 22050
EXAMPLES = Path(examples.__file__).parent
GOLDEN = Path(__file__).parent / "default-model.json"


def sounds() -> dict[str, np.ndarray]:
    """Recordings made from formulas: each family alone, a duet, a short note, hiss, and nothing."""
    made = {family: synth.recording([family], duration_s=6, seed=7, sample_rate=RATE) for family in FAMILY_IDS}
    made["drums+piano"] = synth.recording(["drums", "piano"], duration_s=12, seed=3, sample_rate=RATE)
    made["short strings"] = synth.recording(["strings"], duration_s=0.6, seed=2, sample_rate=RATE)
    made["hiss"] = np.random.default_rng(0).normal(0, 0.01, 5 * RATE).astype(np.float32)
    made["nothing"] = np.zeros(5 * RATE, dtype=np.float32)
    return made


@pytest.fixture(scope="module")
def scores() -> dict[str, dict[str, float]]:
    recogniser = whoplays.load()
    return {name: recogniser.predict(x, sample_rate=RATE).scores for name, x in sounds().items()}


def test_scores_are_those_it_was_shipped_with(scores: dict[str, dict[str, float]]) -> None:
    golden = json.loads(GOLDEN.read_text())
    assert golden["model"] == whoplays.load().config.id
    for name, found in scores.items():
        assert found == pytest.approx(golden["scores"][name], abs=2e-3), name


def test_hiss_and_silence_are_nothing(scores: dict[str, dict[str, float]]) -> None:
    config = whoplays.load().config
    limits = dict(zip(config.tree.ids, config.thresholds, strict=True))
    for name in ("hiss", "nothing"):
        assert all(score < limits[label] for label, score in scores[name].items())


def test_it_is_small_and_says_what_it_is() -> None:
    folder = model_folder.DEFAULT
    assert (folder / model_folder.NETWORK).stat().st_size < 5_000_000
    config = model_folder.read().config
    assert config.tree.ids[: len(FAMILY_IDS)] == FAMILY_IDS and config.activation == "sigmoid"
    assert all(lower <= limit for lower, limit in zip(config.maybe, config.thresholds, strict=True))
    card = (folder / model_folder.CARD).read_text()
    assert all(word in card for word in ("Material", "Teacher", "Quality", "Known failures"))


def test_loudness_hardly_matters() -> None:
    recogniser = whoplays.load()
    whole = sounds()["drums+piano"]
    loud, quiet = (recogniser.predict(whole * gain, sample_rate=RATE).scores for gain in (1.0, 0.1))
    for family in FAMILY_IDS:
        assert loud[family] == pytest.approx(quiet[family], abs=0.35)


@pytest.mark.parametrize("name", ["band.ogg", "brass-quartet.ogg", "violin-and-piano.ogg"])
def test_scores_do_not_grow_with_length(name: str) -> None:
    """Twice in a row, and ten times: what is left comes from where windows and steps fall."""
    recogniser = whoplays.load()
    samples, rate = soundfile.read(EXAMPLES / name, dtype="float32")
    once = recogniser.predict(samples, sample_rate=rate)
    for times in (2, 10):
        longer = recogniser.predict(np.concatenate([samples] * times), sample_rate=rate)
        assert longer.scores == pytest.approx(once.scores, abs=0.06)
        assert longer.playing == once.playing


def write_golden() -> None:
    """Keep what the model says now: run once, when a model is swapped in (python tests/test_default_model.py)."""
    recogniser = whoplays.load()
    found = {name: recogniser.predict(x, sample_rate=RATE).scores for name, x in sounds().items()}
    GOLDEN.write_text(json.dumps({"model": recogniser.config.id, "scores": found}, indent=1) + "\n")


if __name__ == "__main__":
    write_golden()


@pytest.mark.slow
def test_what_commands_print_in_the_docs_is_what_they_print() -> None:
    script = Path(__file__).parents[1] / "scripts" / "outputs.py"
    checked = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, timeout=COMMAND_S)
    assert checked.returncode == 0, f"run python scripts/outputs.py: {checked.stdout} differ {checked.stderr}"


def test_the_page_shows_the_measured_cost_of_thresholds_of_this_model() -> None:
    """`python -m bench operating_points DATA --keep` writes both."""
    found = json.loads((Path(__file__).parents[1] / "bench" / "results" / "operating_points.json").read_text())
    config = model_folder.read().config
    assert found["title"].endswith(f"({config.id})")
    assert [{name: round(value, 3) for name, value in row.items()} for row in found["rows"]] == config.training[
        "operating_points"
    ]
