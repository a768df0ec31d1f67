"""Features against librosa, and against physics."""

from __future__ import annotations

import warnings

import librosa
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import RATE, tone
from whoplays import features
from whoplays.errors import ModelError
from whoplays.features import FeatureSettings


def noise(n: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(n)).astype(np.float32)


CASES = [
    (22050, 2048, 512, 128, 20, 0.0, None, None),
    (22050, 1024, 441, 64, 13, 30.0, 11000.0, None),
    (16000, 512, 160, 40, 13, 20.0, 7600.0, 400),
    (44100, 4096, 1024, 96, 40, 0.0, 16000.0, 2048),
    (8000, 256, 100, 23, 12, 0.0, None, 200),
    (32000, 1024, 320, 128, 20, 50.0, 14000.0, 800),
]


@pytest.mark.parametrize("htk", [False, True])
@pytest.mark.parametrize("seconds", [0.05, 0.731, 2.0])
@pytest.mark.parametrize(("rate", "n_fft", "hop", "n_mels", "n_mfcc", "fmin", "fmax", "win"), CASES)
def test_mel_and_mfcc_equal_librosa(rate, n_fft, hop, n_mels, n_mfcc, fmin, fmax, win, seconds, htk) -> None:
    samples = noise(int(seconds * rate)) + tone(440.0, int(seconds * rate) / rate, rate)[: int(seconds * rate)]
    common = {
        "sr": rate,
        "n_fft": n_fft,
        "hop_length": hop,
        "win_length": win,
        "n_mels": n_mels,
        "fmin": fmin,
        "fmax": fmax,
    }
    chosen = FeatureSettings(
        feature_type="mfcc", sample_rate=rate, n_fft=n_fft, hop_length=hop, win_length=win, n_mels=n_mels, fmin=fmin, fmax=fmax,
        n_mfcc=n_mfcc, htk=htk,
    )  # fmt: skip
    power = features.power_spectrum(samples, n_fft=n_fft, hop_length=hop, win_length=win)
    mel = librosa.feature.melspectrogram(y=samples, **common, htk=htk).T
    np.testing.assert_allclose(features.mel_power(power, chosen), mel, rtol=1e-3, atol=1e-6)
    mfcc = librosa.feature.mfcc(y=samples, **common, htk=htk, n_mfcc=n_mfcc).T
    np.testing.assert_allclose(features.compute(samples, chosen), mfcc, atol=1e-3)


@pytest.mark.parametrize("top_db", [None, 30.0, 80.0])
def test_the_range_of_decibels_is_librosas(top_db: float | None) -> None:
    samples = np.concatenate([tone(440.0, 0.5), np.zeros(RATE // 2, np.float32)]) + noise(RATE) / 100
    chosen = FeatureSettings(
        feature_type="mfcc", n_fft=2048, hop_length=512, n_mels=128, fmin=0.0, fmax=None, top_db=top_db
    )
    mel = librosa.feature.melspectrogram(y=samples, sr=RATE, n_fft=2048, hop_length=512)
    wanted = librosa.feature.mfcc(S=librosa.power_to_db(mel, top_db=top_db), n_mfcc=20).T
    np.testing.assert_allclose(features.compute(samples, chosen), wanted, atol=1e-3)


@given(
    n=st.integers(1, 9000),
    n_fft=st.sampled_from([64, 255, 256, 400, 1000, 2048]),
    hop=st.integers(1, 500),
    seed=st.integers(0, 9),
)
def test_power_spectrum_equals_librosa_for_any_shape(n: int, n_fft: int, hop: int, seed: int) -> None:
    hop = min(hop, n_fft)
    ours = features.power_spectrum(noise(n, seed), n_fft=n_fft, hop_length=hop)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a frame longer than the samples
        theirs = np.abs(librosa.stft(noise(n, seed), n_fft=n_fft, hop_length=hop, pad_mode="constant")).T ** 2
    frames = min(len(ours), len(theirs))  # librosa gives one frame fewer for an odd n_fft and some lengths
    assert len(ours) - frames <= n_fft % 2
    np.testing.assert_allclose(ours[:frames], theirs[:frames], rtol=2e-3, atol=1e-4)


def test_a_constant_level_stays_constant_over_time() -> None:
    mel = features.compute(noise(5 * RATE), features.LOGMEL)[5:-5].mean(axis=1)
    assert mel.std() < 0.15


@pytest.mark.parametrize("preset", ["mfcc", "logmel"])
def test_a_tone_raised_3_semitones_peaks_where_the_higher_tone_does(preset: str) -> None:
    chosen = FeatureSettings(n_mels=128, n_fft=2048, hop_length=512, fmin=0, fmax=None, feature_type=preset)
    power = features.power_spectrum(tone(440.0), n_fft=2048, hop_length=512)
    higher = features.power_spectrum(tone(523.25), n_fft=2048, hop_length=512)
    raised = features.mel_power(power, chosen, semitones=3)[10]
    expected = features.mel_power(higher, chosen)[10]
    assert abs(int(raised.argmax()) - int(expected.argmax())) == 0
    assert raised.sum() == pytest.approx(expected.sum(), rel=0.15)


@given(shift=st.floats(-12, 12, allow_nan=False), midi=st.integers(60, 84))
def test_any_shift_moves_the_peak_by_that_much(shift: float, midi: int) -> None:
    chosen = FeatureSettings(n_mels=128, n_fft=4096, hop_length=1024, fmin=0, fmax=None)
    power = features.power_spectrum(tone(librosa.midi_to_hz(midi)), n_fft=4096, hop_length=1024)
    peak = int(features.mel_power(power, chosen, semitones=shift)[5].argmax())
    centres = librosa.mel_frequencies(130, fmin=0, fmax=RATE / 2)[1:-1]
    wanted = int(np.abs(centres - librosa.midi_to_hz(midi + shift)).argmin())
    assert abs(peak - wanted) <= 1


def test_shifted_noise_keeps_its_power() -> None:
    """Lowered by the ratio r, white noise is squeezed into r times the band: 1 / r times as strong within it."""
    power = features.power_spectrum(noise(4 * RATE), n_fft=2048, hop_length=512)
    plain = features.mel_power(power, features.REPORT)[:, :60].mean()
    for shift in (-2, 2):
        shifted = features.mel_power(power, features.REPORT, semitones=shift)[:, :60].mean()
        assert shifted == pytest.approx(plain * 2 ** (-shift / 12), rel=0.03)


def test_variants_come_from_one_spectrum_and_zero_is_the_sound_itself() -> None:
    samples = noise(RATE)
    variants = features.compute_variants(samples, features.REPORT, semitones=(-2, 0, 2))
    assert variants.shape == (3, 20, 20)
    assert variants.dtype == np.float32
    np.testing.assert_array_equal(variants[1], features.compute(samples, features.REPORT))
    power = features.power_spectrum(samples, n_fft=2048, hop_length=512)
    for variant, shift in zip(variants, (-2, 0, 2), strict=True):
        raised = features.mel_power(power, features.REPORT, semitones=shift)
        np.testing.assert_array_equal(variant, features.from_mel_power(raised, features.REPORT))
    assert np.abs(variants[0] - variants[2]).max() > 1


@given(n=st.integers(1, 900), steps=st.integers(1, 64))
def test_pooling_averages_every_frame_into_some_step(n: int, steps: int) -> None:
    matrix = features.pooling_matrix(n, steps)
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0, rtol=1e-5)
    assert (matrix.sum(axis=0) > 0).all()
    np.testing.assert_allclose(matrix @ np.full((n, 1), 3.0), 3.0, rtol=1e-5)


def test_pooling_keeps_the_order_of_time() -> None:
    pooled = features.pooling_matrix(431, 20) @ np.arange(431.0)
    assert (np.diff(pooled) > 0).all()


@pytest.mark.parametrize("seconds", [0.03, 1.0, 10.0, 14.9])
def test_the_mfcc_cnn_network_always_reads_20_by_20(seconds: float) -> None:
    assert features.compute(noise(int(seconds * RATE)), features.REPORT).shape == (20, 20)


def test_the_dct_is_orthonormal_and_shared_arrays_are_read_only() -> None:
    matrix = features.dct_matrix(128, 128)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(128), atol=1e-5)
    with pytest.raises(ValueError, match="read-only"):
        matrix[0, 0] = 1


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"feature_type": "cqt"}, "feature_type"),
        ({"hop_length": 0}, "hop_length"),
        ({"fmax": 12000.0}, "fmax"),
        ({"n_mfcc": 200, "feature_type": "mfcc"}, "n_mfcc"),
        ({"sample_rate": 10}, "sample_rate"),
        ({"n_time_bins": 0}, "n_time_bins"),
        ({"log_offset": 0.0}, "log_offset"),
        ({"colour": "red"}, "unknown colour"),
        ({"n_fft": "many"}, "n_fft is .many., not a whole number"),
    ],
)
def test_impossible_settings_are_refused_by_name(change: dict, word: str) -> None:
    with pytest.raises(ModelError, match=word):
        FeatureSettings.from_dict(features.LOGMEL.to_dict() | change)


def test_what_is_refused_names_all_that_is_known() -> None:
    with pytest.raises(
        ModelError, match=r"^feature settings: unknown colour; this version knows feature_type, fmax, fmin, "
    ):
        FeatureSettings.from_dict({"colour": "red"})
    with pytest.raises(ModelError, match=r"^feature settings are of an older form \(kind, steps; .* make it anew$"):
        FeatureSettings.from_dict({"kind": "mfcc", "steps": 20})
    with pytest.raises(ModelError, match=r"^feature settings: n_time_bins 0 is outside 1 to 100000$"):
        FeatureSettings(n_time_bins=0)


@pytest.mark.parametrize(
    ("name", "least", "most", "others"),
    [
        ("sample_rate", 1000, 768_000, {"fmax": None}),
        ("n_fft", 16, 65_536, {"hop_length": 1}),
        ("hop_length", 1, 1024, {}),
        ("win_length", 2, 1024, {}),
        ("n_mels", 1, 1024, {}),
        ("n_mfcc", 1, 64, {"feature_type": "mfcc"}),
        ("n_time_bins", 1, 100_000, {}),
    ],
)
def test_every_setting_has_its_limits(name: str, least: int, most: int, others: dict) -> None:
    for value in (least, most):
        assert getattr(FeatureSettings(**{**others, name: value}), name) == value
    for value in (least - 1, most + 1):
        with pytest.raises(ModelError, match=name):
            FeatureSettings(**{**others, name: value})


def test_without_a_highest_frequency_it_is_half_the_rate() -> None:
    assert FeatureSettings(fmin=11_000.0, fmax=None).fmax is None
    with pytest.raises(ModelError, match=r"11025\.0 Hz do not fit"):
        FeatureSettings(fmin=11_025.0, fmax=None)
    assert FeatureSettings(feature_type="logmel", n_mfcc=65).n_features == 64


def test_settings_survive_the_way_through_json() -> None:
    for chosen in features.PRESETS.values():
        assert FeatureSettings.from_dict(chosen.to_dict()) == chosen


def test_two_channels_are_refused_not_mixed_up() -> None:
    with pytest.raises(ValueError, match="one channel"):
        features.power_spectrum(np.zeros((2, 100), dtype=np.float32), n_fft=64, hop_length=16)
