"""Teachers against the references that lie beside their weights, and what joins them on made-up numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("safetensors", reason="safetensors reads the teachers' weights (extra distil)")

from recipe.teachers import (
    LABELS,
    MAPS,
    Ensemble,
    JamendoMusicnn,
    Mn04,
    MttMusicnn,
    Panel,
    Scores,
    Yamnet,
    musicnn,
    tflite,
)
from recipe.teachers.base import filled, mean_score, sigmoid
from recipe.teachers.labels import AUDIOSET
from recipe.teachers.mn04 import around
from recipe.teachers.panel import n_steps, on_grid, reduced
from recipe.teachers.spectra import kaldi_filters, mel_power, slaney_filters
from whoplays.taxonomy.catalogue import catalogue


@pytest.fixture(scope="module")
def panel(shared_peers: Path, shared_audioset: Path) -> Panel:
    return Panel.load(shared_peers, shared_audioset / "class_labels_indices.csv")


def _of(panel: Panel, kind: type) -> Any:
    return next(teacher for teacher in panel.teachers if isinstance(teacher, kind))


@pytest.fixture(scope="module")
def mn04(panel: Panel) -> Mn04:
    return _of(panel, Mn04)


@pytest.fixture(scope="module")
def yamnet(panel: Panel) -> Yamnet:
    return _of(panel, Yamnet)


@pytest.fixture(scope="module")
def jamendo(panel: Panel) -> JamendoMusicnn:
    return _of(panel, JamendoMusicnn)


@pytest.fixture(scope="module")
def mtt(panel: Panel) -> MttMusicnn:
    return _of(panel, MttMusicnn)


@pytest.fixture(scope="module")
def references(shared_peers: Path) -> dict[str, dict[str, np.ndarray]]:
    """The reference of each teacher that has one, by the teacher's name."""
    found = {}
    for path in sorted(shared_peers.glob("*/reference.npz")):
        with np.load(path, allow_pickle=False) as file:
            found[path.parent.name] = {name: file[name] for name in file.files}
    return found


def noise(seconds: float, rate: int, level: float = 0.1, seed: int = 0) -> np.ndarray:
    return (level * np.random.default_rng(seed).normal(size=round(seconds * rate))).astype(np.float32)


# --- mn04


@pytest.mark.parametrize("clip", [0, 1])
def test_mn04_embeds_and_classifies_as_its_reference(mn04, references, clip):
    reference = references["mn04"]
    embedding = mn04.embed_log_mel(reference[f"logmel{clip}"][None])[0].mean(axis=0)
    np.testing.assert_allclose(embedding, reference[f"embedding{clip}"], atol=2e-5)
    np.testing.assert_allclose(mn04.classify(embedding), reference[f"logits{clip}"], atol=2e-4)


@pytest.mark.parametrize("clip", [0, 1])
def test_mn04_matches_its_reference_on_a_recording(mn04, references, shared_data, clip):
    import soundfile
    import soxr

    reference = references["mn04"]
    recording = shared_data / str(reference[f"path{clip}"])
    samples, rate = soundfile.read(recording, dtype="float32", always_2d=True)
    samples = soxr.resample(samples.mean(axis=1), rate, mn04.SAMPLE_RATE)[: 10 * mn04.SAMPLE_RATE]
    np.testing.assert_allclose(mn04.log_mel(np.resize(samples, 320000)), reference[f"logmel{clip}"], atol=1e-4)
    np.testing.assert_allclose(mn04.clip(samples), reference[f"logits{clip}"], atol=1e-3)


def test_mn04_names_audiosets_classes(mn04):
    assert len(mn04.classes) == 527
    assert mn04.classes[140] == "Guitar"


def test_mn04_covers_a_long_recording_once(mn04):
    samples = noise(24.5, mn04.SAMPLE_RATE)
    logits, times = mn04.scores(samples)
    assert logits.shape == (len(times), 527)
    assert times[0] == 0
    assert 24.5 - 0.35 < times[-1] < 24.5
    assert np.diff(times).min() > 0.03
    assert np.diff(times).max() < 0.36
    first = mn04.embed(samples[:320000])
    np.testing.assert_allclose(mn04.classify(around(first, 9))[:20], logits[:20], atol=1e-3)


def test_mn04_repeats_a_short_recording_but_speaks_only_of_its_time(mn04):
    short = noise(2, mn04.SAMPLE_RATE)
    analysis = mn04.analyse(short)
    assert len(analysis.over_time.frame_times) == 7
    np.testing.assert_allclose(analysis.clip, mn04.clip(np.tile(short, 5)), atol=1e-4)


def test_mn04_refuses_a_span_without_a_middle(tmp_path):
    with pytest.raises(ValueError, match="odd"):
        Mn04(tmp_path, tmp_path / "classes.csv", span_steps=4)


def test_mn04_says_when_its_folder_is_empty(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"0 \.safetensors files"):
        Mn04(tmp_path, tmp_path / "classes.csv")


# --- YAMNet


def test_yamnet_agrees_with_its_own_file_in_tensorflow_lite(yamnet, references, shared_peers):
    """That one rounds to 8 bits after each layer, and its logits come in steps of 0.35."""
    lite = pytest.importorskip("tensorflow", reason="TensorFlow runs the .tflite file to compare with").lite
    interpreter = lite.Interpreter(
        str(shared_peers / "yamnet" / "yamnet.tflite"),
        num_threads=1,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    given, made = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    before = next(tensor for tensor in interpreter.get_tensor_details() if tensor["name"].endswith("fc/BiasAdd"))
    step, zero = before["quantization"]
    for clip in (0, 1):
        samples = references["jamendo_musicnn"][f"clip{clip}_first_3s_16k"]
        logits, times = yamnet.scores(samples)
        np.testing.assert_allclose(times, 0.4875 + 0.48 * np.arange(5))
        rounded, scores = [], []
        for start in range(0, samples.size - 15600 + 1, 7680):
            interpreter.set_tensor(given["index"], samples[start : start + 15600].reshape(given["shape"]))
            interpreter.invoke()
            rounded.append(step * (interpreter.get_tensor(before["index"])[0].astype(np.float32) - zero))
            scores.append(interpreter.get_tensor(made["index"])[0].copy())
        assert np.corrcoef(logits.ravel(), np.ravel(rounded))[0, 1] > 0.999
        assert np.std(logits - rounded) < step
        np.testing.assert_allclose(sigmoid(logits), scores, atol=0.1)
        np.testing.assert_allclose(sigmoid(logits).mean(axis=0), np.mean(scores, axis=0), atol=0.05)


def test_yamnet_fills_a_short_recording_with_silence(yamnet):
    short = noise(0.3, yamnet.SAMPLE_RATE)
    logits, times = yamnet.scores(short)
    assert logits.shape == (1, 521)
    assert times.tolist() == [0.4875]
    np.testing.assert_allclose(logits, yamnet.scores(np.pad(short, (0, 15600 - short.size))).logits, atol=1e-5)


def test_a_file_that_is_not_tensorflow_lite_is_refused(tmp_path):
    path = tmp_path / "yamnet.tflite"
    path.write_bytes(b"no FlatBuffers here")
    with pytest.raises(ValueError, match="not a TensorFlow Lite file"):
        tflite.layers(path)


# --- musicnn


def test_musicnn_names_its_references_tags(jamendo, mtt, references):
    for teacher in (jamendo, mtt):
        assert teacher.classes == tuple(references[teacher.NAME]["tags"])


@pytest.mark.parametrize("clip", [0, 1])
def test_jamendo_matches_its_reference(jamendo, references, clip):
    reference = references["jamendo_musicnn"]
    logits, times = jamendo.scores(reference[f"clip{clip}_first_3s_16k"])
    assert times.tolist() == [1.5]
    np.testing.assert_allclose(sigmoid(logits[0]), reference[f"clip{clip}_tags"], atol=2e-5)


@pytest.mark.parametrize("clip", [0, 1])
def test_mtt_matches_its_reference(mtt, references, clip):
    reference = references["mtt_musicnn"]
    log_mel = reference[f"clip{clip}_logmel"]
    np.testing.assert_allclose(mtt.window_logits(log_mel[None])[0], reference[f"clip{clip}_logits"], atol=2e-4)
    samples = references["jamendo_musicnn"][f"clip{clip}_first_3s_16k"]  # of the same recording
    # A power that lies between two numbers of float16 may be rounded either way: 1 in 2048.
    np.testing.assert_allclose(mtt.log_mel(samples)[: mtt.FRAMES], log_mel, atol=1e-3)


def test_jamendos_windows_are_as_pieces_alone(jamendo):
    samples = noise(5.3, jamendo.SAMPLE_RATE) * np.linspace(0, 1, 84800, dtype=np.float32)
    logits, times = jamendo.scores(samples)
    starts = np.rint(times * 16000 - 24000).astype(int)
    assert starts[0] == 0
    assert 84800 - 48000 - 256 < starts[-1] <= 84800 - 48000
    assert len(starts) == 4
    alone = [jamendo.clip(samples[start : start + 48000]) for start in starts]
    np.testing.assert_allclose(logits, alone, atol=1e-3)
    np.testing.assert_allclose(sigmoid(jamendo.clip(samples)), sigmoid(np.array(alone)).mean(axis=0), atol=1e-4)


def test_mtts_windows_are_as_patches_of_the_recordings_log_mel(mtt):
    samples = noise(5.3, mtt.SAMPLE_RATE) * np.linspace(0, 1, 84800, dtype=np.float32)
    log_mel = mtt.log_mel(samples)
    logits, times = mtt.scores(samples)
    starts = np.rint(times * 62.5 - 93).astype(int)
    assert (starts[0], starts[-1]) == (0, len(log_mel) - 187)
    patches = np.stack([log_mel[start : start + 187] for start in starts])
    np.testing.assert_allclose(logits, mtt.window_logits(patches), atol=1e-3)


def test_musicnns_windows_can_be_further_apart(shared_peers):
    samples = noise(10, 16000)
    teacher = JamendoMusicnn(shared_peers / "jamendo_musicnn", hop_s=3.0)
    np.testing.assert_allclose(teacher.scores(samples).frame_times, [1.5, 3.828, 6.164, 8.492], atol=0.01)
    with pytest.raises(ValueError, match="hop_s"):
        JamendoMusicnn(shared_peers / "jamendo_musicnn", hop_s=0.0)


def test_musicnn_repeats_a_short_recording(jamendo, mtt):
    short = noise(1, 16000)
    for teacher in (jamendo, mtt):
        np.testing.assert_allclose(teacher.clip(short), teacher.clip(np.resize(short, teacher.LENGTH)), atol=1e-4)


# --- all of them


def test_every_teacher_accepts_silence_and_a_few_samples(panel):
    for teacher in panel.teachers:
        for samples in (np.zeros(3 * teacher.SAMPLE_RATE, np.float32), noise(0.01, teacher.SAMPLE_RATE)):
            analysis = teacher.analyse(samples)
            assert np.isfinite(analysis.clip).all()
            assert np.isfinite(analysis.over_time.logits).all()
            assert analysis.over_time.logits.shape == (len(analysis.over_time.frame_times), len(teacher.classes))


@pytest.mark.parametrize("shape", [(0,), (16000, 2)])
def test_every_teacher_refuses_what_is_not_one_row_of_samples(panel, shape):
    for teacher in panel.teachers:
        with pytest.raises(ValueError, match="mono samples"):
            teacher.analyse(np.zeros(shape, np.float32))


def test_a_panel_brings_all_teachers_to_one_grid(panel):
    samples = noise(4, 32000)
    analyses = panel.label_clip(samples)
    assert list(analyses) == list(MAPS)
    grid, whole = panel.grid(samples), panel.whole(analyses)
    for name, logits in grid.items():
        assert logits.shape == (n_steps(samples.size), len(LABELS)) == (13, 36)
        known = np.array([label in MAPS[name] for label in LABELS])
        assert (np.isfinite(logits) == known).all()
        assert (np.isfinite(whole[name]) == known).all()


def test_a_panel_of_some_teachers(shared_peers):
    panel = Panel.load(shared_peers, Path("unused.csv"), names=["yamnet"], reduction="logsumexp")
    assert [teacher.NAME for teacher in panel.teachers] == ["yamnet"]
    analysis = panel.label_clip(noise(1, 32000))["yamnet"]
    logits = panel.label_logits("yamnet", analysis.clip)
    columns = [panel.teachers[0].classes.index(name) for name in MAPS["yamnet"]["organ"]]
    assert logits[LABELS.index("organ")] == pytest.approx(np.log(np.exp(analysis.clip[columns]).sum()), abs=1e-4)


# --- labels


def test_maps_speak_of_the_tree_alone_and_never_of_nothing():
    for labels in MAPS.values():
        assert set(labels) <= set(LABELS)
        assert all(labels.values())


def test_a_family_has_every_class_of_its_instruments():
    for labels in MAPS.values():
        for family in catalogue().families:
            for instrument in catalogue().instruments(family.id):
                assert set(labels.get(instrument.id, ())) <= set(labels.get(family.id, ()))


def test_no_class_speaks_for_two_families():
    for labels in MAPS.values():
        spoken = [name for family in catalogue().families for name in labels.get(family.id, ())]
        assert len(set(spoken)) == len(spoken)


def test_yamnets_map_is_audiosets_without_what_it_lacks():
    lacks = {name for label in AUDIOSET for name in AUDIOSET[label]} - {
        name for names in MAPS["yamnet"].values() for name in names
    }
    assert lacks == {"Male singing", "Female singing"}


# --- small parts


def test_mel_power_is_what_a_transform_of_each_frame_gives():
    samples, window = noise(0.2, 16000), np.hanning(400).astype(np.float32)
    filters = np.random.default_rng(1).uniform(size=(257, 5)).astype(np.float32)
    found = mel_power(samples, window, 160, 512, filters)
    frames = [samples[start : start + 400] * window for start in range(0, samples.size - 399, 160)]
    spectra = np.abs(np.fft.rfft(frames, 512))
    np.testing.assert_allclose(found, spectra**2 @ filters, rtol=1e-4)
    np.testing.assert_allclose(
        mel_power(samples, window, 160, 512, filters, magnitude=True), spectra @ filters, rtol=1e-4
    )


def test_slaney_filters_are_librosas():
    librosa = pytest.importorskip("librosa", reason="librosa draws the filters to compare with")
    expected = librosa.filters.mel(sr=16000, n_fft=512, n_mels=96).T
    np.testing.assert_allclose(slaney_filters(96, 512, 16000), expected, atol=1e-8)


def test_kaldi_filters_overlap_to_one():
    filters = kaldi_filters(128, 1024, 32000, 15000.0)
    assert filters.shape == (512, 128)
    inner = filters.sum(axis=1)[4:440]  # between the centres of the first and the last band
    np.testing.assert_allclose(inner, 1, atol=1e-5)


def test_mean_score_keeps_what_lies_far_below_zero():
    logits = np.array([[0.0, -30.0, 40.0], [2.0, -32.0, 40.0]], dtype=np.float32)
    expected = [np.log(0.69039854 / (1 - 0.69039854)), np.log((np.exp(-30) + np.exp(-32)) / 2), 40]
    np.testing.assert_allclose(mean_score(logits), expected, rtol=1e-5)


def test_samples_are_repeated_only_where_they_are_too_few():
    assert filled(np.array([1, 2, 3]), 5).tolist() == [1, 2, 3, 1, 2]
    assert filled(np.array([1.0, 2.0]), 2).dtype == np.float32
    with pytest.raises(ValueError, match="mono samples"):
        filled(np.zeros(0), 5)


def test_around_is_a_local_mean_that_holds_the_ends():
    steps = np.arange(6, dtype=np.float32)[:, None]
    assert around(steps, 3)[:, 0].tolist() == pytest.approx([1 / 3, 1, 2, 3, 4, 14 / 3])
    assert around(steps, 1)[:, 0].tolist() == [0, 1, 2, 3, 4, 5]


def test_reduction_of_classes_to_labels():
    logits = np.array([[1.0, 3.0, -2.0]], dtype=np.float32)
    columns = [[0, 1], [], [2]]
    np.testing.assert_array_equal(reduced(logits, columns, "max"), [[3, np.nan, -2]])
    summed = [[np.logaddexp(1, 3), np.nan, -2]]
    np.testing.assert_allclose(reduced(logits, columns, "logsumexp"), summed, rtol=1e-6)


def test_the_grid_is_linear_between_frames_and_held_at_the_ends():
    times = np.array([0.16, 0.8])
    logits = np.array([[0.0, np.nan], [2.0, np.nan]], dtype=np.float32)
    found = on_grid(Scores(logits, times), 5)
    np.testing.assert_allclose(found[:, 0], [0, 1, 2, 2, 2], atol=1e-6)
    assert np.isnan(found[:, 1]).all()
    np.testing.assert_array_equal(on_grid(Scores(logits[1:], times[1:]), 2)[:, 0], [2, 2])


@pytest.mark.parametrize(("n", "steps"), [(1, 1), (10240, 1), (10241, 2), (320000, 32)])
def test_steps_of_the_grid(n, steps):
    assert n_steps(n) == steps


# --- ensemble

NAMES = ("a", "b", "c", "d")


def made_up(n: int = 4000) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Two teachers, equally good, of very different levels; c is known to one, d to none, b has targets for half."""
    rng = np.random.default_rng(3)
    targets = (rng.uniform(size=(n, 4)) < 0.4).astype(np.float64)
    high = 4 * (targets - 0.5) + rng.normal(size=(n, 4)) * 2
    low = 0.1 * (2 * targets + rng.normal(size=(n, 4))) - 20
    high[:, 2:] = np.nan
    low[:, 3] = np.nan
    targets[::2, 1] = np.nan
    return {"high": high.astype(np.float32), "low": low.astype(np.float32)}, targets


def test_an_ensemble_is_calibrated_and_better_than_its_teachers():
    logits, targets = made_up()
    ensemble = Ensemble.fit(NAMES, logits, targets)
    scores = ensemble.scores(logits)
    for label in (0, 1, 2):
        known = np.isfinite(targets[:, label])
        assert scores[known, label].mean() == pytest.approx(targets[known, label].mean(), abs=0.01)
        sure = known & (scores[:, label] > 0.8)
        if sure.sum() > 200:
            assert targets[sure, label].mean() == pytest.approx(scores[sure, label].mean(), abs=0.04)

    def right(values: np.ndarray) -> float:
        """The share of pairs, one with the label and one without, that are in the right order."""
        has = targets[:, 0] == 1
        return float((values[has][:500, None] > values[~has][None, :500]).mean())

    assert right(scores[:, 0]) > max(right(logits["high"][:, 0]), right(logits["low"][:, 0])) + 0.01


def test_what_no_teacher_knows_stays_unknown():
    logits, targets = made_up()
    ensemble = Ensemble.fit(NAMES, logits, targets)
    assert np.isnan(ensemble.scores(logits)[:, 3]).all()
    assert np.isnan(ensemble.mean[:, 3]).all()
    assert np.isnan(ensemble.mean[0, 2])
    assert np.isfinite(ensemble.scores(logits)[:, :3]).all()


def test_a_label_without_examples_for_and_against_is_not_calibrated():
    logits, targets = made_up()
    targets[:, 0] = 1
    targets[:, 1] = np.nan
    ensemble = Ensemble.fit(NAMES, logits, targets)
    assert np.isnan(ensemble.scale[:2]).all()
    assert np.isfinite(ensemble.sum(logits)[:, :2]).all()


def test_an_ensemble_accepts_any_leading_shape_and_fewer_teachers():
    logits, targets = made_up()
    ensemble = Ensemble.fit(NAMES, logits, targets)
    one = {name: values[5] for name, values in logits.items()}
    np.testing.assert_allclose(ensemble.scores(one), ensemble.scores(logits)[5], rtol=1e-6)
    stacked = {name: values.reshape(40, 100, 4) for name, values in logits.items()}
    np.testing.assert_allclose(ensemble.scores(stacked).reshape(-1, 4), ensemble.scores(logits), rtol=1e-6)
    only_low = ensemble.sum({"low": logits["low"]})
    assert np.isfinite(only_low[:, :3]).all()
    both = ensemble.sum(logits)
    np.testing.assert_allclose(both[:, :2] - only_low[:, :2], ensemble.sum({"high": logits["high"]})[:, :2], atol=1e-4)


def test_a_teacher_that_was_not_fitted_is_refused():
    logits, targets = made_up()
    ensemble = Ensemble.fit(NAMES, logits, targets)
    with pytest.raises(ValueError, match="fitted on"):
        ensemble.scores({"other": logits["low"]})
    with pytest.raises(ValueError, match="same shape"):
        Ensemble.fit(NAMES, logits, targets[:-1])
    with pytest.raises(ValueError, match="same shape"):
        Ensemble.fit(NAMES, {}, targets)


def test_a_constant_teacher_does_no_harm():
    logits, targets = made_up()
    logits["low"][:, :3] = -7
    scores = Ensemble.fit(NAMES, logits, targets).scores(logits)
    assert np.isfinite(scores[:, :2]).all()


def test_an_ensemble_is_read_as_it_was_written(tmp_path):
    logits, targets = made_up()
    ensemble = Ensemble.fit(NAMES, logits, targets)
    ensemble.write(tmp_path / "ensemble.json")
    read = Ensemble.read(tmp_path / "ensemble.json")
    assert (read.labels, read.teachers) == (NAMES, ("high", "low"))
    np.testing.assert_array_equal(read.scores(logits), ensemble.scores(logits))
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(ValueError, match="no ensemble"):
        Ensemble.read(tmp_path / "other.json")


def test_musicnns_filters_take_a_recording_in_stretches_of_any_length(jamendo, mtt, monkeypatch):
    """Stretches bound memory; the filters see across their borders."""
    for teacher in (jamendo, mtt):
        samples = noise(7.3, teacher.SAMPLE_RATE)
        whole = teacher.scores(samples).logits
        monkeypatch.setattr(musicnn, "_AT_ONCE", 100)
        np.testing.assert_allclose(teacher.scores(samples).logits, whole, atol=1e-4)
        monkeypatch.undo()
