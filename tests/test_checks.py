"""Each warning is given for a recording made to deserve it, and not for the nearest one that does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

import whoplays
from conftest import RATE, tone
from whoplays.audio import quality, reading


def codes(samples: np.ndarray, rate: int = RATE) -> list[str]:
    recording = reading.from_samples(samples, rate, sample_rate=rate)
    assert sum(map(len, recording.blocks())) == len(samples)
    return [warning.code for warning in recording.warnings(len(samples) / rate)]


def noise(seconds: float = 3.0, rate: int = RATE, level: float = 0.1) -> np.ndarray:
    return (level * np.random.default_rng(1).standard_normal(round(seconds * rate))).astype(np.float32)


def test_a_clean_recording_has_none() -> None:
    for frequency in (30.0, 100.0, 1000.0):
        assert codes(tone(frequency, 3.0, level=1.0)) == []
    assert codes(noise()) == []
    assert codes(np.stack([noise(), 0.5 * noise()], axis=1)) == []


def test_clipped_is_flat_tops_and_not_a_high_peak() -> None:
    assert codes(np.clip(tone(200.0, 3.0, level=1.5), -1, 1)) == ["clipped"]
    integers = (np.clip(tone(200.0, 3.0, level=1.5), -1, 32767 / 32768) * 32768).astype(np.int16)
    assert codes(integers) == ["clipped"]
    clicks = noise()
    clicks[::5000] = 1.0
    assert codes(clicks) == []


def test_runs_are_counted_along_a_channel() -> None:
    flat = np.array([[1, 1, 1, 0, 1, 1, 1, 1], [1, 0, 1, 1, 0, 1, 1, 0]], dtype=bool).T
    assert quality._in_runs(flat) == 7


def test_levels() -> None:
    assert codes(np.zeros(3 * RATE, dtype=np.float32)) == ["silent"]
    assert codes(tone(440.0, 3.0, level=0.004)) == ["quiet"]
    assert codes(tone(440.0, 3.0, level=0.006)) == []


def test_layouts() -> None:
    one = noise()
    assert codes(np.stack([one, -one], axis=1)) == ["channels"]
    assert codes(np.stack([one, 0 * one], axis=1)) == ["channels"]
    assert codes(np.stack([one, one, one], axis=1)) == ["channels"]
    assert codes(np.stack([one, one], axis=1)) == []


def test_rates() -> None:
    assert codes(noise(rate=6000), 6000) == ["low_rate"]
    assert codes(noise(rate=8000), 8000) == []
    assert codes(noise(rate=40000), 40000) == ["sample_rate"]


@pytest.mark.parametrize("former", [8000, 16000])
def test_a_recording_that_was_once_at_a_lower_rate(former: int) -> None:
    low = noise(rate=former)
    for rate in (22050, 44100, 48000):
        assert codes(np.concatenate(list(reading.resampled([low], former, rate))), rate) == ["sample_rate"]


def test_short() -> None:
    assert codes(noise(0.9)) == ["short"]


def test_warnings_about_the_result() -> None:
    assert [c.code for c in quality.about_answer([], [], 10.0)] == ["nothing_detected"]
    assert [c.code for c in quality.about_answer(["drums"], [(1.0, 2.0), (1.5, 2.5)], 10.0)] == ["mostly_undetected"]
    assert quality.about_answer(["drums"], [(0.0, 2.0), (1.0, 3.0)], 10.0) == []


def test_silence_is_said_and_nothing_of_what_it_may_be(tiny_model: Path, tmp_path: Path) -> None:
    samples = np.zeros(3 * RATE, np.float32)
    soundfile.write(tmp_path / "a.wav", samples, RATE)
    recogniser = whoplays.load(tiny_model, threshold=1.0)
    for answer in (recogniser.predict(tmp_path / "a.wav"), recogniser.predict(samples, sample_rate=RATE)):
        assert answer.silent and "silence" in repr(answer)
        assert [warning.code for warning in answer.warnings] == ["silent"]
    result = recogniser.predict(tone(200.0, 3.0, level=0.1), sample_rate=RATE)
    assert not result.silent and "nothing_detected" in [warning.code for warning in result.warnings]


def test_they_are_in_the_prediction_however_it_is_made(tiny_model: Path, tmp_path: Path) -> None:
    recogniser = whoplays.load(tiny_model)
    samples = np.clip(tone(200.0, 3.0, level=1.5), -1, 1)
    soundfile.write(tmp_path / "a.wav", samples, RATE)
    answers = [
        recogniser.predict(tmp_path / "a.wav"),
        recogniser.predict(samples, sample_rate=RATE),
        recogniser.predict_stream([samples[:5000], samples[5000:]], sample_rate=RATE),
    ]
    for answer in answers:
        assert "clipped" in [w["code"] for w in answer.to_dict()["warnings"]]
        assert all(w["message"] and w["advice"] for w in answer.to_dict()["warnings"])


def test_what_is_not_finite_is_still_refused(tiny_model: Path) -> None:
    samples = noise()
    samples[RATE] = np.nan
    with pytest.raises(whoplays.WhoplaysError, match="NaN"):
        whoplays.load(tiny_model).predict(samples, sample_rate=RATE)


def test_real_recordings_are_rarely_warned_about(shared_data: Path) -> None:
    """Well-known test recordings: whatever is said of them has to be rare, or nobody reads it."""
    warned = []
    paths = sorted((shared_data / "real").rglob("*.ogg"))[::15]
    for path in paths:
        with reading.open_recording(path, sample_rate=RATE) as recording:
            list(recording.blocks())
        warned += [(path.name, w.code) for w in recording.warnings(10.0)]
    assert len(warned) <= 0.1 * len(paths), warned
