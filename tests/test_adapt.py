"""`train --from`: new labels in seconds, old ones untouched, no training framework."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import whoplays
from conftest import RATE, write_tiny_model
from recipe.layers import with_embedding
from whoplays import features
from whoplays.errors import DatasetError, ModelError, UsageError
from whoplays.examples import synth
from whoplays.model import folder as model_folder
from whoplays.taxonomy.catalogue import catalogue
from whoplays.training import heads, logistic
from whoplays.training.adapt import adapt
from whoplays.training.background import BACKGROUND, write_background

FAMILY_IDS = catalogue().defaults


def siren(seed: int, seconds: float = 2.0) -> np.ndarray:
    """A tone that climbs and falls: no family of the model's."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    sound = 0.3 * np.sin(2 * np.pi * (900 * t + 60 * np.sin(2 * np.pi * rng.uniform(2, 4) * t)))
    return np.asarray(sound, dtype=np.float32)


def ticks(seed: int, seconds: float = 2.0) -> np.ndarray:
    """A steady row of clicks."""
    x = np.zeros(round(seconds * RATE), dtype=np.float32)
    x[:: int(np.random.default_rng(seed).uniform(0.08, 0.12) * RATE)] = 0.8
    return x


def taught_body(network: bytes) -> tuple[bytes, heads.Head, int]:
    return heads.with_direction(*heads.split_head(network))


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("mine")
    for label, made in (("siren", siren), ("ticks", ticks)):
        (root / label).mkdir()
        for i in range(5):
            soundfile.write(root / label / f"{i}.wav", made(i), RATE)
    return root


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model in the package, with a background of sounds made from formulas."""
    folder = tmp_path_factory.mktemp("base") / "default"
    shutil.copytree(model_folder.DEFAULT, folder)
    body = heads.Body(taught_body((folder / model_folder.NETWORK).read_bytes())[0])
    recogniser = whoplays.load(folder)
    settings = recogniser.config.features
    sounds = [synth.recording([f], duration_s=10, seed=s, sample_rate=RATE) for f in FAMILY_IDS for s in range(3)]
    sounds.append(np.random.default_rng(0).normal(0, 0.05, 10 * RATE).astype(np.float32))
    x = np.stack([features.compute(s, settings)[:496] for s in sounds])
    write_background(folder, np.concatenate([hidden.mean(axis=1) for hidden in body.hidden(x)]))
    return folder


@pytest.fixture(scope="module")
def adapted(mine: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("adapted") / "model"
    done = adapt(mine, out, base=base)
    assert done.recordings == {"siren": 5, "ticks": 5} and done.learnt == ("siren", "ticks")
    assert min(done.average_precision.values()) > 0.9 and done.right[1] == 10 and done.right[0] >= 8
    return out


def test_a_network_split_and_joined_again_gives_the_same_outputs() -> None:
    network = model_folder.read().content(model_folder.NETWORK)
    body, head = heads.split_head(network)
    same, found = heads.split_head(heads.attach_head(body, head))
    assert same == body and all(
        np.array_equal(a, b) for a, b in zip(vars(found).values(), vars(head).values(), strict=True)
    )


def test_pooling_by_attention_and_the_head_make_the_logits() -> None:
    found = model_folder.read()
    body, head = heads.split_head(found.content(model_folder.NETWORK))
    x = np.random.default_rng(0).normal(-6, 3, (2, 320, found.config.features.n_features)).astype(np.float32)
    (hidden,) = heads.Body(body).hidden(x)
    logits = np.einsum("blw,wl->bl", head.pooled(hidden), head.weights) + head.bias
    np.testing.assert_allclose(logits, model_folder.Network(found).run(x)["logits"], atol=1e-4)


def test_new_labels_are_detected_and_old_scores_are_unchanged(adapted: Path, base: Path) -> None:
    taught, before = whoplays.load(adapted), whoplays.load(base)
    assert {label.id for label in taught.labels} == {*(label.id for label in before.labels), "siren", "ticks"}
    assert taught.predict(siren(77), sample_rate=RATE).playing == ["siren"]
    assert "ticks" in taught.predict(ticks(77), sample_rate=RATE).playing
    for families in (["guitar"], ["drums", "piano"]):
        x = synth.recording(families, duration_s=12, seed=50, sample_rate=RATE)
        then, now = before.predict(x, sample_rate=RATE), taught.predict(x, sample_rate=RATE)
        assert now.scores == pytest.approx(then.scores | {k: now.scores[k] for k in ("siren", "ticks")}, abs=2e-5)
        assert not {"siren", "ticks"} & set(now.playing)


def test_new_families_come_before_the_instruments_of_the_base(adapted: Path, base: Path) -> None:
    before, taught = model_folder.read(base).config, model_folder.read(adapted).config
    families = [family.id for family in before.tree.families]
    assert taught.tree.ids == (*families, "siren", "ticks", *before.tree.ids[len(families) :])
    assert len({label.colour for label in taught.labels}) == len(taught.labels)
    places = [taught.tree.index(label_id) for label_id in before.tree.ids]
    assert [taught.thresholds[i] for i in places] == list(before.thresholds)
    x = np.random.default_rng(0).normal(-6, 3, (2, 320, taught.features.n_features)).astype(np.float32)
    then, now = (model_folder.Network(model_folder.read(folder)).run(x)["logits"] for folder in (base, adapted))
    np.testing.assert_allclose(now[:, places], then[:, : len(places)], atol=1e-4)


def test_no_training_framework_is_loaded(mine: Path, tmp_path: Path) -> None:
    code = (
        f"import sys; from whoplays.training.adapt import adapt; adapt({str(mine)!r}, {str(tmp_path / 'out')!r});"
        "print([m for m in ('keras', 'tensorflow', 'torch', 'scipy', 'librosa') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_the_same_recordings_and_seed_give_the_same_model(
    mine: Path, base: Path, adapted: Path, tmp_path: Path
) -> None:
    again = adapt(mine, tmp_path / "again", base=base).folder
    assert (again / model_folder.NETWORK).read_bytes() == (adapted / model_folder.NETWORK).read_bytes()


def test_an_adapted_model_can_be_adapted_again_and_cut_down(mine: Path, adapted: Path, tmp_path: Path) -> None:
    shutil.copytree(mine / "siren", tmp_path / "mine" / "siren")
    shutil.copytree(mine / "ticks", tmp_path / "mine" / "clock")
    done = adapt(tmp_path / "mine", tmp_path / "out", base=adapted, only_mine=True, name="alarm")
    taught = whoplays.load(done.folder)
    assert taught.config.id == "alarm@1" and [label.id for label in taught.labels] == ["clock", "siren"]
    assert "siren" in taught.predict(siren(78), sample_rate=RATE).playing


def test_a_label_that_the_base_knows_moves_only_as_far_as_recordings_ask(base: Path, tmp_path: Path) -> None:
    (tmp_path / "mine" / "drums").mkdir(parents=True)
    (tmp_path / "mine" / "siren").mkdir()
    for i in range(4):
        hits = synth.recording(["drums"], duration_s=3, seed=i, sample_rate=RATE)
        soundfile.write(tmp_path / "mine" / "drums" / f"{i}.wav", hits, RATE)
        soundfile.write(tmp_path / "mine" / "siren" / f"{i}.wav", siren(i), RATE)
    taught = whoplays.load(adapt(tmp_path / "mine", tmp_path / "out", base=base).folder)
    other = synth.recording(["guitar"], duration_s=10, seed=9, sample_rate=RATE)
    for x in (synth.recording(["drums"], duration_s=10, seed=9, sample_rate=RATE), other):
        scores = [m.predict(x, sample_rate=RATE).scores for m in (whoplays.load(base), taught)]
        assert abs(scores[0]["drums"] - scores[1]["drums"]) < 0.15
        for label in set(scores[0]) - {"drums"}:
            assert scores[1][label] == pytest.approx(scores[0][label], abs=2e-5), label


def test_what_cannot_be_taught_is_said_in_one_line(mine: Path, base: Path, adapted: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds a finished model"):
        adapt(mine, adapted, base=base)
    with pytest.raises(ModelError, match="does not end as those of the recipe default"):
        adapt(mine, tmp_path / "out", base=write_tiny_model(tmp_path / "tiny"))
    (tmp_path / "one" / "siren").mkdir(parents=True)
    shutil.copy(mine / "siren" / "0.wav", tmp_path / "one" / "siren")
    with pytest.raises(DatasetError, match="siren has fewer than 2 recordings"):
        adapt(tmp_path / "one", tmp_path / "out", base=base)
    stale = tmp_path / "stale"
    shutil.copytree(base, stale)
    with np.load(stale / BACKGROUND) as kept:
        np.savez(stale / BACKGROUND, network=np.array(hashlib.sha256(b"other").hexdigest()), hidden=kept["hidden"])
    with pytest.raises(ModelError, match="belongs to another network"):
        adapt(mine, tmp_path / "out", base=stale)
    (stale / BACKGROUND).write_bytes(b"no archive")
    with pytest.raises(ModelError, match="cannot be read"):
        adapt(mine, tmp_path / "out", base=stale)


def test_the_model_in_the_package_has_a_background_of_its_own_network() -> None:
    with np.load(model_folder.DEFAULT / BACKGROUND) as kept:
        network = hashlib.sha256((model_folder.DEFAULT / model_folder.NETWORK).read_bytes()).hexdigest()
        assert str(kept["network"]) == network, "write it anew: python -m recipe background MODEL MATERIAL"
        width = len(taught_body(model_folder.read().content(model_folder.NETWORK))[1].weights)
        assert len(kept["hidden"]) >= 256 and kept["hidden"].shape[1] == width


def test_the_command_says_what_was_learnt(mine: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "whoplays",
        "train",
        str(mine),
        "--from",
        "default",
        "--out",
        str(tmp_path / "out"),
    ]
    answer = subprocess.run(command, capture_output=True, text=True)
    assert answer.returncode == 0 and not answer.stdout, answer.stderr
    assert "siren: 5 recordings; average precision" in answer.stderr
    refused = subprocess.run([*command[:-1], str(tmp_path / "b"), "--epochs", "3"], capture_output=True, text=True)
    assert refused.returncode == 2 and "--epochs says how a network is trained" in refused.stderr


def test_hidden_values_end_with_the_direction_of_the_embedding_and_the_head_says_the_same() -> None:
    found = model_folder.read()
    network = found.content(model_folder.NETWORK)
    x = np.random.default_rng(0).normal(-6, 3, (2, 320, found.config.features.n_features)).astype(np.float32)
    body, head, width = taught_body(network)
    before = model_folder.Network(found).run(x, embed=True)
    after = model_folder.Network(found, content=heads.attach_head(body, head)).run(x, embed=True)
    for name in ("logits", "frame_logits", "embedding"):
        np.testing.assert_allclose(after[name], before[name], atol=1e-4)
    (hidden,) = heads.Body(body).hidden(x)
    embedding = before["embedding"]
    length = np.linalg.norm(embedding, axis=-1, keepdims=True)
    assert width == embedding.shape[-1] and hidden.shape[-1] == len(head.weights)
    np.testing.assert_allclose(hidden[..., -width:], embedding / length, atol=1e-4)
    again = taught_body(heads.attach_head(body, head))
    assert again[0] == body and again[2] == width


def test_a_network_without_an_embedding_of_its_own_gives_the_direction_of_its_hidden_layer() -> None:
    body, head = heads.split_head(with_embedding(model_folder.read().content(model_folder.NETWORK), []))
    wide, padded, width = heads.with_direction(body, head)
    assert width == len(head.weights) and len(padded.weights) == 2 * width
    (hidden,) = heads.Body(wide).hidden(np.random.default_rng(0).normal(-6, 3, (1, 320, 64)).astype(np.float32))
    np.testing.assert_allclose(np.linalg.norm(hidden[..., -width:], axis=-1), 1, atol=1e-3)


def test_rows_that_count_more_pull_harder() -> None:
    x, y = np.array([[0.0], [1.0], [0.0], [1.0]]), np.array([0, 1, 1, 0])
    even = logistic.fit(x, y, penalty=1e-6)
    repeated = logistic.fit(np.concatenate([x, x[:2], x[:2]]), np.concatenate([y, y[:2], y[:2]]), penalty=1e-6)
    weighted = logistic.fit(x, y, weights=np.array([3, 3, 1, 1]), penalty=1e-6)
    np.testing.assert_allclose(even, 0, atol=1e-6)
    np.testing.assert_allclose(weighted, repeated, atol=1e-5)
