"""The default recipe on small material: it learns, survives a kill, and says clearly what it cannot train on."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import whoplays
from recipe import material as store
from recipe import warmstart
from recipe.material import MaterialPool, open_pools
from recipe.train import train as train_on_pools
from whoplays.dataset import BuildSettings, Dataset, build
from whoplays.errors import DatasetError, ModelError, UsageError
from whoplays.model import folder as model_folder
from whoplays.taxonomy.catalogue import catalogue
from whoplays.training.augment import FRAMES_PER_STEP
from whoplays.training.calibrate import platt
from whoplays.training.checkpoint import CHECKPOINT
from whoplays.training.default import DatasetPool
from whoplays.training.framework import load_keras
from whoplays.training.recipes import train
from whoplays.training.settings import DefaultSettings
from whoplays.training.watch import Trained, Watcher

keras = load_keras()


from whoplays.training.default import masked_crossentropy  # noqa: E402
from whoplays.training.networks import default_network  # noqa: E402 - needs Keras, which is loaded quietly above

FAMILIES = catalogue().defaults
SMALL = {"filters": (8, 8, 16, 16), "blocks": (0, 0, 0, 0), "hidden": 16, "batch_size": 16, "ema": 0.5}


@pytest.fixture(scope="module")
def dataset(class_folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "set"
    build(class_folders, out, BuildSettings(features="logmel", clip_s=2.0, validation=0.2), jobs=1)
    return out


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows whose family i sounds in band 10 i + 5, half of the time."""
    root, rng = tmp_path_factory.mktemp("material"), np.random.default_rng(0)
    for folder, n in (("training", 64), ("validation", 32)):
        families = rng.integers(0, 5, n)
        features = rng.normal(-9, 0.5, (n, 512, 64))
        targets = np.zeros((n, 32, 5))
        for row, family in enumerate(families):
            features[row, 256:, 10 * family + 5] = 0
            targets[row, 16:, family] = 1
        half = np.float16
        rows = store.Rows(
            features.astype(half), targets.astype(half), np.ones(n, np.float32), np.array(["row"] * n), FAMILIES
        )
        store.write_shard(root / folder, "a", rows)
    return root


# -- the network -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [15, 16, 17, 250, 501])
def test_any_length_gives_a_step_for_every_sixteen_frames(frames: int) -> None:
    network = default_network(64, 5, filters=(4, 4, 4, 4), blocks=(0, 0, 0, 1), hidden=8)
    made = network(np.zeros((2, frames, 64), dtype=np.float32), training=False)
    assert tuple(made["logits"].shape) == (2, 5)
    assert tuple(made["frame_logits"].shape) == (2, -(-frames // FRAMES_PER_STEP), 5)


def test_what_ships_is_small() -> None:
    assert default_network(64, 5).count_params() <= 1_200_000


def test_a_recordings_logit_lies_between_those_over_time() -> None:
    network = default_network(64, 5, filters=(4, 4, 4, 4), blocks=(0, 0, 0, 0), hidden=8)
    made = network(np.random.default_rng(0).normal(size=(1, 320, 64)).astype(np.float32), training=False)
    over_time = np.asarray(made["frame_logits"])
    assert (np.asarray(made["logits"]) <= over_time.max(axis=1) + 1e-5).all()
    assert (np.asarray(made["logits"]) >= over_time.min(axis=1) - 1e-5).all()


def test_unknown_targets_count_neither_way() -> None:
    logits, loss = np.array([[0.3, -2.0, 5.0]], dtype=np.float32), masked_crossentropy()
    all_known = float(loss(np.float32([[1, 0]]), logits[:, :2]))
    assert float(loss(np.float32([[1, 0, np.nan]]), logits)) == pytest.approx(all_known)
    assert all_known == pytest.approx(np.mean([np.log1p(np.exp(-0.3)), np.log1p(np.exp(-2.0))]), rel=1e-5)
    assert float(loss(np.float32([[np.nan] * 3]), logits)) == 0


def test_a_label_counts_by_its_weight() -> None:
    logits, weighted = np.array([[0.3, -2.0]], dtype=np.float32), masked_crossentropy([3.0, 1.0])
    each = np.array([np.log1p(np.exp(-0.3)), np.log1p(np.exp(-2.0))])
    assert float(weighted(np.float32([[1, 0]]), logits)) == pytest.approx((each * [3, 1]).sum() / 4, rel=1e-5)
    assert float(weighted(np.float32([[np.nan, 0]]), logits)) == pytest.approx(each[1], rel=1e-5)


# -- where examples come from ------------------------------------------------------------------------------------------


def test_a_data_set_says_nothing_about_when(dataset: Path) -> None:
    pool = DatasetPool(Dataset.open(dataset), "training")
    crops = pool.crops(np.arange(3), np.array([0, 1, 2]), 4)
    assert crops.features.shape == (3, 64, 64) and crops.steps.shape == (3, 4, 3)
    assert np.isnan(crops.steps[crops.clip[:, None].repeat(4, axis=1) == 1]).all()
    assert (crops.steps[crops.clip[:, None].repeat(4, axis=1) == 0] == 0).all()


def test_crops_of_material_carry_the_labels_of_their_time(material: Path) -> None:
    pool = MaterialPool(material, ("training",))
    early, late = (pool.crops(np.arange(10), np.full(10, at * FRAMES_PER_STEP), 8) for at in (0, 20))
    assert not early.clip.any() and (late.clip.sum(axis=1) == 1).all()
    rows = store.read(store.shards(material / "training"))
    for frame, step in (
        (320, 20),
        (327, 20),
        (328, 21),
    ):  # a step's label is that of the row's step it shares most with
        crops = pool.crops(np.arange(10), np.full(10, frame), 8)
        np.testing.assert_array_equal(crops.features, rows.features[:10, frame : frame + 128].astype(np.float32))
        np.testing.assert_array_equal(crops.steps, rows.targets[:10, step : step + 8].astype(np.float32))


def test_new_shards_are_included(material: Path, tmp_path: Path) -> None:
    rows = store.read(store.shards(material / "training"))
    store.write_shard(tmp_path / "training", "a", rows)
    pool = MaterialPool(tmp_path, ("training",))
    store.write_shard(tmp_path / "training", "b", rows)
    pool.refresh()
    pool.refresh()
    assert len(pool) == 2 * len(rows)


def test_rows_are_sampled_by_weight_and_folders_equally(material: Path, tmp_path: Path) -> None:
    rows = store.read(store.shards(material / "training"))
    weight = np.zeros(len(rows), dtype=np.float32)
    weight[:2] = 3, 1
    store.write_shard(tmp_path / "training", "a", rows)
    store.write_shard(tmp_path / "music", "a", replace(rows, weight=weight))
    pool = MaterialPool(tmp_path, ("training", "music"))
    drawn = pool.draw(np.random.default_rng(0), 4000)
    music = drawn[drawn >= len(rows)] - len(rows)
    assert len(music) == 2000 and set(music) == {0, 1}
    assert (music == 0).mean() == pytest.approx(0.75, abs=0.03)
    assert len(set(drawn)) == len(rows) + 2  # all scenes


def test_shards_with_other_labels_are_refused(material: Path, tmp_path: Path) -> None:
    rows = store.read(store.shards(material / "training"))
    store.write_shard(tmp_path / "training", "a", rows)
    pool = MaterialPool(tmp_path, ("training",))
    assert [label.id for label in pool.labels] == list(FAMILIES)
    store.write_shard(tmp_path / "training", "b", replace(rows, labels=(*FAMILIES[:4], "voice")))
    with pytest.raises(DatasetError, match="other labels"):
        pool.refresh()


def test_features_of_another_kind_are_refused(class_folders: Path, tmp_path: Path) -> None:
    build(class_folders, tmp_path / "set", BuildSettings(features="mfcc"), jobs=1)
    with pytest.raises(DatasetError, match="--features logmel"):
        train(tmp_path / "set", recipe="default", out=tmp_path / "model")


def test_an_unknown_setting_is_named(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="dropuot"):
        train(dataset, recipe="default", out=tmp_path / "model", dropuot=0.1)


# -- training ----------------------------------------------------------------------------------------------------------


def train_on(material: Path, out: Path, **settings: Any) -> Trained:
    names = ("resume", "watcher", "start")
    others = {name: settings.pop(name) for name in names if name in settings}
    return train_on_pools(open_pools(material), out, DefaultSettings(**settings), **others)


@pytest.mark.slow
def test_it_learns_what_is_in_the_material(material: Path, tmp_path: Path) -> None:
    done = train_on(
        material,
        tmp_path / "m",
        epochs=3,
        steps_per_epoch=40,
        learning_rate=2e-2,
        mix=0.2,
        **SMALL,
    )
    assert done.history[-1]["loss"] < done.history[0]["loss"]
    assert done.history[-1]["val_map"] > 0.6  # chance: about 0.25
    config = model_folder.read(tmp_path / "m").config
    assert config.padding == "repeat" and config.min_window_s == config.window_s
    assert not (tmp_path / "m" / CHECKPOINT).exists()


@pytest.mark.slow
def test_a_data_set_becomes_a_model_that_predicts(dataset: Path, class_folders: Path, tmp_path: Path) -> None:
    train(dataset, recipe="default", out=tmp_path / "m", epochs=1, steps_per_epoch=5, **SMALL)
    recogniser = whoplays.load(tmp_path / "m")
    for path in sorted(class_folders.rglob("*.wav"))[:2]:
        prediction = recogniser.predict(path)
        assert list(prediction.scores) == ["drums", "guitar", "strings"]
        assert all(0 <= score <= 1 for score in prediction.scores.values())


def test_the_rate_falls_and_rises_once_more() -> None:
    settings = DefaultSettings(epochs=100, restart=40, learning_rate=2e-3)
    rates = [settings.rate_after(epoch) for epoch in range(1, 101)]
    assert rates[0] == max(rates) == pytest.approx(2e-3, rel=0.01)
    assert rates[39] == pytest.approx(2e-5) and rates[99] == pytest.approx(1e-5)
    assert rates[40] == max(rates[40:]) == pytest.approx(1e-3, rel=0.01)
    assert all(a > b for part in (rates[:40], rates[40:]) for a, b in itertools.pairwise(part))
    with pytest.raises(UsageError, match="restart 100: 0 to 99"):
        DefaultSettings(epochs=100, restart=100)


@pytest.fixture(scope="module")
def base(material: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("base") / "m"
    train_on(material, out, epochs=1, steps_per_epoch=10, learning_rate=2e-2, **SMALL)
    return out


@pytest.mark.parametrize(
    ("filters", "hidden"), [(SMALL["filters"], 16), (SMALL["filters"], 24), ((8, 12, 20, 48), 24)], ids=str
)
def test_a_warm_start_gives_what_its_base_gives(
    material: Path, base: Path, filters: tuple[int, ...], hidden: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warmstart, "NOISE", 0.0)
    model = warmstart.widened(warmstart.read(base), filters, SMALL["blocks"], hidden)
    features = store.read(store.shards(material / "training")).features[:32].astype(np.float32)
    labels = catalogue().labels_for(("strings", "brass", "drums", "guitar", "piano", "voice", "violin"))
    shape = {"filters": filters, "blocks": SMALL["blocks"], "hidden": hidden}
    network = default_network(64, len(labels), mean=model.mean, variance=model.variance, dropout=0.0, **shape)
    warmstart.transfer(network, model, labels, features)
    found = model_folder.Network(model_folder.read(base)).run(features)
    ids = [label.id for label in labels]
    places = [ids.index(family) for family in model.labels]
    for training in (False, True):  # the norms' statistics are those of the batch
        made = network(features, training=training)
        for name in ("logits", "frame_logits"):
            np.testing.assert_allclose(np.asarray(made[name])[..., places], found[name], atol=5e-3)
    new = np.asarray(network(features, training=False)["frame_logits"])[..., [ids.index("voice"), ids.index("violin")]]
    assert new.mean() == pytest.approx(warmstart.NEW_BIAS, abs=1.5)


def test_a_base_of_another_shape_is_refused(material: Path, base: Path, tmp_path: Path) -> None:
    narrower = SMALL | {"filters": (4, 8, 8, 8)}
    with pytest.raises(ModelError, match="other filters"):
        train_on(material, tmp_path / "m", start=warmstart.read(base), **narrower)


@pytest.mark.slow
def test_training_begins_as_its_base(material: Path, base: Path, tmp_path: Path) -> None:
    settings = {"start": warmstart.read(base), "label_weights": {"brass": 2.0}, **SMALL}
    train_on(material, tmp_path / "m", epochs=1, steps_per_epoch=1, learning_rate=1e-9, **settings)
    features = store.read(store.shards(material / "validation")).features.astype(np.float32)
    one, other = (model_folder.Network(model_folder.read(m)).run(features)["logits"] for m in (base, tmp_path / "m"))
    np.testing.assert_allclose(one, other, atol=0.02)
    trained = model_folder.read(tmp_path / "m").config.training["settings"]
    assert trained["start_from"] == "default@1" and trained["label_weights"] == {"brass": 2.0}


class Killed(Watcher):
    """Stops the run as a kill would, right after an epoch."""

    def epoch(self, row: dict[str, float], *, best: bool) -> None:
        raise SystemExit


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_model(material: Path, tmp_path: Path) -> None:
    settings = {"epochs": 2, "steps_per_epoch": 3, **SMALL}
    train_on(material, tmp_path / "whole", **settings)
    with pytest.raises(SystemExit):
        train_on(material, tmp_path / "killed", watcher=Killed(), **settings)
    with pytest.raises(UsageError, match="--resume"):
        train_on(material, tmp_path / "killed", **settings)
    train_on(material, tmp_path / "killed", resume=True, **settings)
    x = np.random.default_rng(0).normal(-6, 3, (2, 300, 64)).astype(np.float32)
    whole, killed = (
        model_folder.Network(model_folder.read(tmp_path / name)).run(x)["logits"] for name in ("whole", "killed")
    )
    np.testing.assert_allclose(killed, whole, atol=1e-4)
    assert train_on(material, tmp_path / "killed", resume=True, **settings).already_there
    with pytest.raises(UsageError, match="holds a model of another run"):
        train_on(material, tmp_path / "killed", resume=True, **(settings | {"mix": 0.1}))


@pytest.mark.slow
def test_another_runs_checkpoint_is_refused(material: Path, tmp_path: Path) -> None:
    settings = {"epochs": 2, "steps_per_epoch": 2, **SMALL}
    with pytest.raises(SystemExit):
        train_on(material, tmp_path / "m", watcher=Killed(), **settings)
    with pytest.raises(UsageError, match="another run"):
        train_on(material, tmp_path / "m", resume=True, **(settings | {"mix": 0.1}))


# -- calibration -------------------------------------------------------------------------------------------------------


def test_platt_finds_the_scale_that_was_lost() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(0, 2, (4000, 2))
    targets = (rng.random(true.shape) < 1 / (1 + np.exp(-true))).astype(np.float32)
    targets[:50] = np.nan
    found = platt(((true - [0.5, -1]) / [3, 0.5]).astype(np.float32), targets)
    np.testing.assert_allclose(found.scale, [3, 0.5], rtol=0.1)
    np.testing.assert_allclose(found.bias, [0.5, -1], atol=0.15)


def test_a_label_that_never_sounds_is_left_as_it_is() -> None:
    found = platt(np.zeros((10, 1), dtype=np.float32), np.zeros((10, 1), dtype=np.float32))
    assert (found.scale, found.bias) == ((1.0,), (0.0,))
