"""`export --int8`: a quarter of the size, nearly the same answers."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import whoplays
from conftest import RATE, write_tiny_model
from recipe import warmstart
from recipe.half import halved
from whoplays.errors import ModelError, UsageError
from whoplays.examples import synth
from whoplays.model import folder as model_folder
from whoplays.training.heads import opened
from whoplays.training.quantise import quantise

#: The model in the package before it was made small.
FLOAT = Path(__file__).parents[1] / "recipe" / "float"
#: Between the scores of its two forms.
GAP = 0.08


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("small")
    (root / "mine").mkdir()
    for i, cast in enumerate((["drums"], ["guitar", "piano"], ["strings"], ["brass"])):
        x = synth.recording(cast, duration_s=6, seed=i, sample_rate=RATE)
        soundfile.write(root / "mine" / f"{i}.wav", x, RATE)
    facts = quantise(FLOAT, root / "model", root / "mine")
    single = opened(model_folder.read(FLOAT).content(model_folder.NETWORK)).SerializeToString()
    assert facts["bytes"] < 0.36 * len(single)  # the embedding stays as it is
    assert facts["difference"] < 0.2
    return root / "model"


def test_a_quarter_of_the_size_gives_nearly_the_same_scores(small: Path) -> None:
    plain, whole = whoplays.load(FLOAT), whoplays.load(small)
    assert whole.config.id == plain.config.id.replace("@", "-int8@") and whole.labels == plain.labels
    gaps = []
    for i, cast in enumerate((["drums", "strings"], ["guitar"], ["piano"], ["brass", "drums"], [])):
        x = synth.recording(cast, duration_s=10, seed=90 + i, sample_rate=RATE)
        one, other = (list(m.predict(x, sample_rate=RATE).scores.values()) for m in (plain, whole))
        gaps.append(np.abs(np.subtract(one, other)))
    assert np.mean(gaps) < 0.03 and np.max(gaps) < 0.25


def test_the_model_in_the_package_is_the_one_in_floating_point_made_small() -> None:
    small, plain = whoplays.load(), whoplays.load(FLOAT)
    assert model_folder.read().content(model_folder.NETWORK).count(b"QuantizeLinear")
    assert small.config.pooling == plain.config.pooling and small.config.thresholds == plain.config.thresholds
    limits = dict(zip(small.config.tree.ids, small.config.thresholds, strict=True))
    for seed, cast in enumerate((["drums", "strings"], ["guitar"], ["piano", "brass"])):
        x = synth.recording(cast, duration_s=10, seed=seed, sample_rate=RATE)
        one, other = (m.predict(x, sample_rate=RATE) for m in (small, plain))
        assert one.scores == pytest.approx(other.scores, abs=GAP)
        for label in set(one.playing) ^ set(other.playing):
            assert one.scores[label] == pytest.approx(limits[label], abs=GAP), "only what is near its threshold differs"


def test_weights_in_16_bits_give_the_same_scores_and_come_back(tmp_path: Path) -> None:
    found = model_folder.read(FLOAT)
    single = opened(found.content(model_folder.NETWORK)).SerializeToString()
    half = halved(single)
    assert len(half) < 0.6 * len(single), "not quite half: the first layer of the embedding has 16 bits already"
    for name, network in (("single", single), ("half", half)):
        model_folder.write(tmp_path / name, found.config, network, "# a card")
    single_model, half_model = (whoplays.load(tmp_path / name) for name in ("single", "half"))
    x = synth.recording(["drums", "strings"], duration_s=10, seed=1, sample_rate=RATE)
    one, other = (m.predict(x, sample_rate=RATE).scores for m in (single_model, half_model))
    assert one == pytest.approx(other, abs=1e-4)
    before, after = warmstart.read(tmp_path / "single"), warmstart.read(tmp_path / "half")
    assert np.abs(before.dense - after.dense).max() < np.abs(before.dense).max() / 30_000
    for (kernel, bias), (again, same) in zip(before.convolutions, after.convolutions, strict=True):
        assert np.abs(kernel - again).max() < np.abs(kernel).max() / 30_000 and np.array_equal(bias, same)


def test_what_cannot_be_made_smaller_is_said(small: Path, tmp_path: Path) -> None:
    for done in (small, None):
        with pytest.raises(ModelError, match="8-bit integers"):
            quantise(done, tmp_path / "out")
    with pytest.raises(ModelError, match="has no convolutions"):
        quantise(write_tiny_model(tmp_path / "tiny"), tmp_path / "out")
    with pytest.raises(UsageError, match="holds a finished model"):
        quantise(FLOAT, small)
    with pytest.raises(UsageError, match="is not a folder"):
        quantise(FLOAT, tmp_path / "out", tmp_path / "nothing")


def test_the_command_writes_a_folder_that_predict_reads(tmp_path: Path, duet: Path) -> None:
    source = tmp_path / "model"
    shutil.copytree(FLOAT, source)
    mine = tmp_path / "mine"
    mine.mkdir()
    shutil.copy(duet, mine)
    command = [sys.executable, "-m", "whoplays", "export", str(source), "--out", str(tmp_path / "out")]
    answer = subprocess.run([*command, "--int8", "--like", str(mine)], capture_output=True, text=True)
    assert answer.returncode == 0 and "bytes in" in answer.stderr, answer.stderr
    assert whoplays.load(tmp_path / "out").predict(duet).scores
    refused = subprocess.run([*command, "--like", str(mine)], capture_output=True, text=True)
    assert refused.returncode == 2 and "--like is for --int8" in refused.stderr
