"""What is called telling has to be: the moments and patches where a sound was put."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import soundfile
from test_terminal import PREDICTION

import whoplays
from conftest import RATE, tone
from whoplays.inference import explanation


@pytest.fixture
def burst(tmp_path: Path) -> Path:
    """Fifteen seconds of near silence with a loud tone from 9 s to 11 s."""
    samples = (1e-3 * np.random.default_rng(1).standard_normal(15 * RATE)).astype(np.float32)
    samples[9 * RATE : 11 * RATE] += tone(300.0, 2.0)
    soundfile.write(tmp_path / "burst.wav", samples, RATE)
    return tmp_path / "burst.wav"


def test_the_strongest_moments_are_where_the_sound_is(tiny_model: Path, burst: Path) -> None:
    prediction = whoplays.load(tiny_model).predict(burst)
    best = explanation.moments(prediction, "brass", most=1)  # the lowest band
    assert best[0].start >= 8.9 and best[0].end <= 11.1


def test_moments_are_apart_and_best_first() -> None:
    found = explanation.moments(PREDICTION, "strings")
    assert [m.score for m in found] == sorted((m.score for m in found), reverse=True)
    assert all(m.start >= 5 and m.end <= 9.5 for m in found)
    starts = sorted(m.start for m in found)
    assert all(b - a > 1 for a, b in itertools.pairwise(starts))
    assert explanation.moments(whoplays.Prediction.from_dict(PREDICTION.to_dict()), "strings") == []


def test_occlusion_points_at_the_band_and_the_time(tiny_model: Path, burst: Path) -> None:
    recogniser = whoplays.load(tiny_model)
    found = explanation.occlude(recogniser, burst, recogniser.predict(burst), "brass")
    assert found is not None and found.end - found.start == pytest.approx(10.0)
    band, span = np.unravel_index(int(found.loss.argmax()), found.loss.shape)
    assert band == 0
    assert 8.9 <= found.start + span * explanation.PATCH_S <= 10.6
    assert found.loss[1:] == pytest.approx(0, abs=1e-5)  # other bands do not reach this logit


def test_short_recordings_are_explained_as_well(tiny_model: Path, tmp_path: Path) -> None:
    from conftest import write_tiny_model

    soundfile.write(tmp_path / "a.wav", tone(300.0, 1.4), RATE)
    recogniser = whoplays.load(write_tiny_model(tmp_path / "m", min_window_s=4.0, padding="repeat"))
    found = explanation.occlude(recogniser, tmp_path / "a.wav", recogniser.predict(tmp_path / "a.wav"), "brass")
    assert found is not None and (found.start, found.end) == (0.0, pytest.approx(1.4))
