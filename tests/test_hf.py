"""`whoplays.hf.pipeline`: the shape of Hugging Face's pipeline, the scores of `predict`."""

from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import whoplays
from conftest import COMMAND_S


def test_labels_with_scores_the_likeliest_first(tiny_model: Path, duet: Path) -> None:
    classify = whoplays.hf.pipeline("audio-classification", tiny_model, top_k=3)
    scores = whoplays.load(tiny_model).predict(duet).scores
    found = classify(str(duet))
    assert len(found) == 3 and [one["score"] for one in found] == sorted(scores.values(), reverse=True)[:3]
    assert all(scores[one["label"]] == one["score"] for one in found)
    assert {one["label"] for one in classify(duet, top_k=None)} == set(scores)


def test_a_list_a_file_in_memory_and_samples(tiny_model: Path, duet: Path) -> None:
    classify = whoplays.hf.pipeline(model=tiny_model)
    samples, rate = soundfile.read(duet, dtype="float32")
    one = classify(duet)
    answers = classify(
        [duet, duet.read_bytes(), {"array": samples, "sampling_rate": rate}, {"raw": samples, "sampling_rate": rate}]
    )
    for answer in answers:
        assert [x["label"] for x in answer] == [x["label"] for x in one]
        np.testing.assert_allclose([x["score"] for x in answer], [x["score"] for x in one], atol=1e-4)
    assert classify([]) == []


def test_what_cannot_be_meant_is_one_line(tiny_model: Path, tmp_path: Path) -> None:
    classify = whoplays.hf.pipeline(model=tiny_model)
    for wrong, words in ((np.zeros(9), "need their rate"), ({"array": np.zeros(9)}, "sampling_rate, and has array")):
        with pytest.raises(whoplays.WhoplaysError, match=words):
            classify(wrong)
    with pytest.raises(whoplays.WhoplaysError, match="must be audio-classification"):
        whoplays.hf.pipeline("text-generation")
    with pytest.raises(whoplays.WhoplaysError, match="top_k is 0"):
        classify("a.wav", top_k=0)
    with pytest.raises(FileNotFoundError, match=r"none\.wav"):
        classify(tmp_path / "none.wav")


def test_the_example_is_true(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[1])
    assert doctest.testmod(whoplays.hf).failed == 0


def test_it_is_imported_like_a_module_and_loaded_when_it_is_used() -> None:
    code = (
        "import sys, whoplays.hf, whoplays.sklearn; loaded = [n for n in sys.modules if n.startswith('whoplays.inference')]; "
        "from whoplays.hf import pipeline; print(loaded, pipeline is whoplays.hf.pipeline, pipeline.__module__)"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=COMMAND_S
    ).stdout
    assert printed == "[] True whoplays.inference.hf\n"
