"""From file, stream or samples to an answer, with a model whose weights are known."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

import whoplays
from conftest import RATE, tone, write_tiny_model
from whoplays.audio import reading
from whoplays.errors import AudioError, ModelError, UsageError
from whoplays.model import folder as model_folder
from whoplays.model.config import ModelConfig
from whoplays.taxonomy.catalogue import catalogue

FAMILY_IDS = catalogue().defaults


@pytest.fixture(scope="module")
def recogniser(tiny_model: Path) -> whoplays.Recogniser:
    return whoplays.load(tiny_model)


def test_a_file_its_bytes_and_its_samples_score_the_same(recogniser, duet: Path) -> None:
    samples, rate = soundfile.read(duet, dtype="float32")
    from_path = recogniser.predict(duet)
    from_samples = recogniser.predict(samples, sample_rate=rate)
    with duet.open("rb") as file:
        from_file = recogniser.predict(file)
    from_text = recogniser.predict(str(duet))
    assert from_path.scores == from_samples.scores == from_file.scores == from_text.scores
    assert from_path.segments == from_samples.segments
    assert from_path.path == str(duet)
    assert from_path.sample_rate == rate
    assert from_path.duration == pytest.approx(12.0)
    assert list(from_path.scores) == list(FAMILY_IDS)


def test_stereo_integers_and_other_rates_score_nearly_the_same(recogniser, duet: Path) -> None:
    samples, rate = soundfile.read(duet, dtype="float32")
    plain = recogniser.predict(samples, sample_rate=rate).scores
    stereo = recogniser.predict(np.stack([samples, samples], axis=1), sample_rate=rate).scores
    integers = recogniser.predict((samples * 32767).astype(np.int16), sample_rate=rate).scores
    double = recogniser.predict(
        np.concatenate(list(reading.resampled([samples], rate, 2 * rate))), sample_rate=2 * rate
    ).scores
    for family, score in plain.items():
        assert stereo[family] == pytest.approx(score, abs=1e-4)
        assert integers[family] == pytest.approx(score, abs=1e-3)
        assert double[family] == pytest.approx(score, abs=0.02)


def test_a_long_recording_is_that_of_its_windows(recogniser) -> None:
    """Cut at the borders of windows, the parts score moment for moment what the whole scored."""
    samples = np.concatenate([tone(f, 10.0) for f in (200, 1000, 4000)] + [tone(3000, 3.0)])
    whole = recogniser.predict(samples, sample_rate=RATE)
    parts = [recogniser.predict(samples[a : a + 220500], sample_rate=RATE) for a in (0, 220500, 441000)]
    for i, part in enumerate(parts):
        middle = (part.frame_times[:-1] > 1) & (part.frame_times[:-1] < 9)
        there = np.isin(np.round(whole.frame_times[:-1], 4), np.round(part.frame_times[:-1][middle] + 10 * i, 4))
        np.testing.assert_allclose(whole.frame_scores[there], part.frame_scores[middle], atol=1e-4)
    assert len(whole.frame_times) == len(whole.frame_scores) + 1
    assert (np.diff(whole.frame_times) > 0).all()
    assert whole.frame_times[0] == 0 and whole.frame_times[-1] == pytest.approx(33.0)


def test_all_of_a_long_recording_counts(tmp_path: Path) -> None:
    """Also where short recordings are repeated to a whole window: the first window is no short recording."""
    folder = write_tiny_model(tmp_path / "m", window_s=4.0, min_window_s=4.0, context_s=1.0, padding="repeat")
    model = whoplays.load(folder)
    samples = np.concatenate([tone(200, 6.0), tone(4000, 6.0)])
    first, second, both = (
        model.predict(x, sample_rate=RATE).scores for x in (samples[: 6 * RATE], samples[6 * RATE :], samples)
    )
    for label, score in both.items():
        assert score == pytest.approx((first[label] + second[label]) / 2, abs=0.03)


def test_scores_do_not_grow_with_length(recogniser, duet: Path) -> None:
    samples, rate = soundfile.read(duet, dtype="float32")
    once = recogniser.predict(samples, sample_rate=rate).scores
    for times in (2, 7):
        longer = recogniser.predict(np.tile(samples, times), sample_rate=rate).scores
        assert longer == pytest.approx(once, abs=0.02)


def test_segments_follow_the_sound(recogniser) -> None:
    """The third band is driven from 4 s to 9 s: its family plays then, and no other ever does."""
    edges = [100.0, 11000.0]
    samples = np.concatenate([np.zeros(4 * RATE), tone(1500.0, 5.0, level=0.9), np.zeros(6 * RATE)]).astype(np.float32)
    result = recogniser.predict(samples, sample_rate=RATE)
    loudest = max(result.scores, key=lambda family: float(result.frame_scores[:, FAMILY_IDS.index(family)].max()))
    curve = result.frame_scores[:, FAMILY_IDS.index(loudest)]
    playing = curve > 0.5
    times = (result.frame_times[:-1] + result.frame_times[1:]) / 2
    assert edges and playing[(times > 4.6) & (times < 8.4)].all()
    assert not playing[(times < 3.4) | (times > 10)].any()


def test_a_part_counts_time_from_the_start_of_the_recording(recogniser, duet: Path) -> None:
    part = recogniser.predict(duet, start=3.0, duration=4.0)
    assert part.duration == pytest.approx(4.0)
    assert part.frame_times[0] == pytest.approx(3.0)
    assert all(3.0 <= s.start < s.end <= 7.01 for s in part.segments)
    samples, rate = soundfile.read(duet, dtype="float32")
    assert recogniser.predict(samples, sample_rate=rate, start=3.0, duration=4.0).scores == part.scores


def test_short_recordings_are_filled_up_as_the_model_says(tmp_path: Path) -> None:
    blip = tone(1500.0, 0.3, level=0.9)
    repeating = whoplays.load(write_tiny_model(tmp_path / "repeat", min_window_s=2.0, padding="repeat"))
    repeated = repeating.predict(np.resize(blip, 2 * RATE), sample_rate=RATE)
    assert repeating.predict(blip, sample_rate=RATE).scores == repeated.scores
    padding = whoplays.load(write_tiny_model(tmp_path / "zeros", min_window_s=2.0, padding="zeros"))
    padded = padding.predict(np.pad(blip, (0, 2 * RATE - len(blip))), sample_rate=RATE)
    alone = padding.predict(blip, sample_rate=RATE)
    np.testing.assert_array_equal(alone.frame_scores, padded.frame_scores[: len(alone.frame_scores)])
    for model in (repeating, padding):
        assert model.predict(blip, sample_rate=RATE).frame_times[-1] == pytest.approx(0.3)


def test_the_dictionary_is_the_contract(recogniser, duet: Path) -> None:
    line = json.loads(json.dumps(recogniser.predict(duet).to_dict()))
    assert list(line) == [
        "path",
        "duration",
        "sample_rate",
        "model",
        "scores",
        "playing",
        "maybe",
        "segments",
        "warnings",
        "schema",
    ]
    assert line["model"] == "tiny@1"
    assert all(0 <= score <= 1 for score in line["scores"].values())
    assert line["playing"] == [f for f in FAMILY_IDS if line["scores"][f] >= 0.5]
    assert {s["label"] for s in line["segments"]} == set(line["playing"])
    assert [s["start"] for s in line["segments"]] == sorted(s["start"] for s in line["segments"])


def test_a_dictionary_is_read_back(recogniser, duet: Path) -> None:
    result = recogniser.predict(duet)
    again = whoplays.Prediction.from_dict(json.loads(json.dumps(result.to_dict())))
    assert again == result
    assert again.active_ratio() == result.active_ratio()


@pytest.mark.parametrize("size", [160, 4410, 100_000])
def test_samples_that_come_bit_by_bit_score_like_the_file(recogniser, duet: Path, size: int) -> None:
    samples, rate = soundfile.read(duet, dtype="float32")
    pieces = (samples[at : at + size] for at in range(0, len(samples), size))
    streamed, read = recogniser.predict_stream(pieces, sample_rate=rate), recogniser.predict(duet)
    assert streamed.scores == pytest.approx(read.scores, abs=1e-4)
    assert streamed.playing == read.playing and streamed.segments == read.segments


def test_shares_of_playing_time(recogniser, duet: Path) -> None:
    result = recogniser.predict(duet)
    shares = result.active_ratio()
    assert list(shares) == list(FAMILY_IDS)
    assert all((shares[f] > 0) == (f in result.playing) for f in FAMILY_IDS)
    assert max(shares.values()) <= 1


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (np.zeros(0), "0.000 s of sound"),
        (np.zeros(100), "s of sound"),
        (np.full(RATE, np.nan), "NaN"),
        (np.full(RATE, 20000.0), "full scale is 1"),
        (np.zeros((5, RATE)), "shape"),
    ],
)
def test_samples_that_cannot_be_used(recogniser, samples: np.ndarray, words: str) -> None:
    with pytest.raises(AudioError, match=words):
        recogniser.predict(samples, sample_rate=RATE)


def test_calls_that_cannot_be_meant(recogniser, duet: Path) -> None:
    with pytest.raises(UsageError, match="need their sample_rate"):
        recogniser.predict(np.zeros(RATE))
    with pytest.raises(UsageError, match="1000 to 768000"):
        recogniser.predict(np.zeros(RATE), sample_rate=10)
    with pytest.raises(UsageError, match="is not a time"):
        recogniser.predict(duet, start=-1)
    with pytest.raises(AudioError, match="ends before 60 s"):
        recogniser.predict(duet, start=60)
    with pytest.raises(AudioError, match="is not a recording"):
        recogniser.predict(io.BytesIO(b"x" * 1000))


def test_a_start_behind_the_end_and_a_text_with_a_sound_files_name_are_refused(
    recogniser, duet: Path, tmp_path: Path
) -> None:
    with pytest.raises(AudioError, match="ends before 1000 s, the time to start at"):
        recogniser.predict(duet, start=1000)
    (tmp_path / "notes.flac").write_text("hello text\n")
    with pytest.raises(AudioError, match="is not a recording that can be read"):
        recogniser.predict(tmp_path / "notes.flac")


def test_silence_is_an_answer(recogniser) -> None:
    result = recogniser.predict(np.zeros(3 * RATE), sample_rate=RATE)
    assert result.playing == [] and result.segments == []


# --- model folders


def change_config(folder: Path, **changes) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": 99}, "format 99"),
        ({"format": None}, "no format number"),
        ({"activation": "tanh"}, "activation"),
        ({"pooling": {"share": 2, "scale": [1] * 5, "bias": [0] * 5}}, "pooling"),
        ({"thresholds": [0.5]}, "thresholds"),
        ({"thresholds": [0.5, 0.5, 0.5, 0.5, 7]}, "thresholds"),
        ({"calibration": {"scale": [1], "bias": [0]}}, "calibration"),
        ({"labels": [{"id": "a", "parent": None, "en": "a", "pl": "a", "colour": "#000000"}]}, "1 thresholds"),
        ({"labels": "many"}, "wrong kind"),
        ({"features": {"kind": "cqt"}}, "kind"),
        ({"sha256": {"model.onnx": "0"}}, "checksum"),
        ({"window_s": 1e9}, "window_s"),
    ],
)
def test_a_folder_that_does_not_fit_is_refused(tmp_path: Path, changes: dict, words: str) -> None:
    folder = write_tiny_model(tmp_path / "model")
    change_config(folder, **changes)
    with pytest.raises(ModelError, match=words) as caught:
        whoplays.load(folder)
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)


def test_missing_and_damaged_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such model folder"):
        whoplays.load(tmp_path / "nowhere")
    folder = write_tiny_model(tmp_path / "model")
    (folder / "model.onnx").write_bytes(b"not a network")
    with pytest.raises(ModelError, match="checksum"):
        whoplays.load(folder)
    model_folder.write(
        folder,
        ModelConfig.from_dict(json.loads((folder / "config.json").read_text())),
        b"not a network",
        "card",
    )
    with pytest.raises(ModelError, match="is no ONNX file"):
        whoplays.load(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelError, match="not JSON"):
        whoplays.load(folder)
    (folder / "config.json").unlink()
    with pytest.raises(ModelError, match=r"config.json is missing"):
        whoplays.load(folder)


def test_a_network_of_another_shape_is_refused(tmp_path: Path) -> None:
    from whoplays.features import FeatureSettings

    folder = write_tiny_model(tmp_path / "model", features=FeatureSettings(n_mels=6))
    with pytest.raises(ModelError, match="reads 5 values a frame, its configuration says 6"):
        whoplays.load(folder)


def test_configuration_survives_the_way_through_json(tiny_model: Path, tmp_path: Path) -> None:
    config = model_folder.read(tiny_model).config
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_an_error_carries_the_path_and_a_missing_file_is_one_for_python_too(tiny_model: Path, tmp_path: Path) -> None:
    import errno

    recogniser = whoplays.load(tiny_model)
    (tmp_path / "text.wav").write_text("no sound")
    for path, kind in ((tmp_path / "missing.wav", FileNotFoundError), (tmp_path / "text.wav", AudioError)):
        with pytest.raises(kind) as caught:
            recogniser.predict(path)
        assert isinstance(caught.value, AudioError) and caught.value.path == str(path)
        assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError) as missing:
        recogniser.predict("missing.wav")
    assert missing.value.errno == errno.ENOENT and missing.value.problem == "no such file"
    with pytest.raises(AudioError) as nameless:
        recogniser.predict(np.zeros(3, dtype=np.float32), sample_rate=44100)
    assert nameless.value.path == ""


def test_several_paths_are_refused_in_words_and_predictions_are_members_of_sets(tiny_model: Path, duet: Path) -> None:
    recogniser = whoplays.load(tiny_model)
    for several in ([str(duet), "b.wav"], (duet, duet)):
        with pytest.raises(UsageError, match="2 paths were given"):
            recogniser.predict(several)
    for wrong, words in (
        *(
            (None, r"source is None \(NoneType\); it takes a path"),
            (b"a.wav", r"source is b'a.wav' \(bytes\); it takes a path"),
            ([[0.1], [0.1, 0.2]], "this list is none"),
        ),
        *((io.StringIO("text"), "in binary mode"), (np.array(["a"]), "this ndarray is none")),
    ):
        with pytest.raises(UsageError, match=words):
            recogniser.predict(wrong, sample_rate=44100)
    with pytest.raises(AudioError, match="an empty path was given"):
        recogniser.predict("")
    once, again = recogniser.predict(duet), recogniser.predict(duet)
    assert once == again and len({once, again}) == 1


@pytest.mark.parametrize("address", ["https://example.org/a.mp3", "http://x/y.wav", "FTP://x/y.wav", "rtsp://x/y"])
def test_an_address_is_not_fetched_and_that_is_said(address: str, tiny_model: Path) -> None:
    from whoplays.inference.batch import predict_files

    [failure] = predict_files(whoplays.load(tiny_model), [address])
    assert failure.path == address
    assert failure.error == "addresses are not fetched; download the recording and give the file"


def test_a_drive_is_no_address(recogniser) -> None:
    with pytest.raises(FileNotFoundError):
        recogniser.predict("c:/missing.wav")
    with pytest.raises(AudioError, match="addresses are not fetched"):
        recogniser.predict("https://example.org/a.wav")
