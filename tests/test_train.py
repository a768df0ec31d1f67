"""Training: the report's network and steps against plain Keras, the same result after a kill, and clear refusals."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import whoplays
from conftest import COMMAND_S, invoke
from whoplays.dataset import Dataset, Split
from whoplays.errors import DatasetError, MissingExtraError, ModelError, UsageError
from whoplays.evaluation import metrics
from whoplays.features import PRESETS
from whoplays.model import folder as model_folder
from whoplays.taxonomy.catalogue import catalogue
from whoplays.training.batches import chunks, shuffled_order
from whoplays.training.checkpoint import CHECKPOINT
from whoplays.training.framework import load_keras
from whoplays.training.mfcc_cnn import PLOT, MfccCnnRun, usable
from whoplays.training.recipes import train
from whoplays.training.run import HISTORY
from whoplays.training.settings import MfccCnnSettings
from whoplays.training.steps import SUMS, FusedSteps, Objective, Tally
from whoplays.training.watch import EarlyStopping, Watcher

keras = load_keras()

from whoplays.training.networks import CountedDropout, mfcc_cnn_network  # noqa: E402 - needs Keras, which is loaded quietly above


def made_split(n: int, *, labels: int = 3, seed: int = 0) -> Split:
    """Rows whose class shows in their level, with a little noise; every row a recording of its own."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, labels, n)
    x = (rng.normal(size=(n, 20, 20)) + 2 * classes[:, None, None]).astype(np.float32)
    zeros = np.zeros(n, np.float32)
    return Split("training", x, np.eye(labels, dtype=np.float32)[classes], np.arange(n), zeros, ("",) * n, zeros)


def run_steps(kind, model, split: Split, *, loss: str, batch_size: int = 2, rate: float = 1e-4) -> dict[str, float]:
    """One epoch in the order of the rows."""
    steps, tally = kind(model, keras.optimizers.Adam(rate), Objective(loss)), Tally()
    for chunk in chunks(split, np.arange(len(split)), batch_size=batch_size):
        tally.add(steps(chunk.features, chunk.targets, chunk.weights))
    return tally.figures()


@pytest.mark.parametrize("set_to", ["jax", "torch"])
def test_another_backend_is_refused_in_a_line(set_to: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", set_to)
    with pytest.raises(UsageError, match=f"KERAS_BACKEND={set_to}: whoplays trains with tensorflow only"):
        load_keras()


# -- the network -------------------------------------------------------------------------------------------------------


def test_the_network_is_the_reports() -> None:
    model = mfcc_cnn_network(20, 20, 5)
    shapes = {layer.name: tuple(layer.output.shape[1:]) for layer in model.layers}
    assert shapes["conv_1"] == (18, 64) and shapes["conv_2"] == (7, 128) and shapes["flatten"] == (384,)
    assert shapes["dense_3"] == (256,) and shapes["dense_4"] == (128,) and shapes["probabilities"] == (5,)
    weights = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    assert weights == (3 * 20 + 1) * 64 + (3 * 64 + 1) * 128 + 385 * 256 + 257 * 128 + 129 * 5
    squares = [float((np.asarray(model.get_layer(name).kernel) ** 2).sum()) for name in ("dense_3", "dense_4")]
    assert float(sum(model.losses)) == pytest.approx(0.001 * sum(squares), rel=1e-5)
    scores = np.asarray(model(np.random.default_rng(0).normal(size=(4, 20, 20)).astype(np.float32)))
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)


def test_equal_seeds_give_equal_networks_and_others_do_not() -> None:
    first, same, other = (mfcc_cnn_network(20, 20, 5, seed=seed).get_weights() for seed in (1, 1, 2))
    assert all((a == b).all() for a, b in zip(first, same, strict=True))
    assert not (first[0] == other[0]).all()


def test_dropout_drops_the_same_with_and_without_compilation() -> None:
    import tensorflow as tf

    ones = np.ones((300, 128), np.float32)
    eager, compiled = CountedDropout(0.3, seed=5), CountedDropout(0.3, seed=5)
    function = tf.function(lambda x: compiled(x, training=True), jit_compile=True)
    first, second = (np.asarray(eager(ones, training=True)) for _ in range(2))
    assert (first == function(ones).numpy()).all() and (second == function(ones).numpy()).all()
    assert not (first == second).all()
    for drawn in (first, second):
        assert (drawn == 0).mean() == pytest.approx(0.3, abs=0.01)
        assert drawn[drawn != 0] == pytest.approx(1 / 0.7)
        assert abs(np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1]) < 0.25  # neighbours know nothing of each other
    assert (np.asarray(eager(ones)) == ones).all()


# -- steps -------------------------------------------------------------------------------------------------------------


class PlainSteps:
    """Keras' own step, one call each: what the fused one is held against."""

    def __init__(self, model, optimizer, objective: Objective) -> None:
        def loss(targets, scores):
            return objective.loss(targets, scores, keras.ops.ones_like(targets[:, 0]))[0]

        def count(n: int):
            def counted(targets, scores):
                return objective.counts(targets, scores, keras.ops.ones_like(targets[:, 0]))[n]

            counted.__name__ = SUMS[2 + n]
            return counted

        self.model, self.exclusive = model, objective.exclusive
        model.compile(optimizer=optimizer, loss=loss, metrics=[count(n) for n in range(len(SUMS) - 2)])

    def __call__(self, features, targets, weights):
        total = np.zeros(len(SUMS))
        for x, y, w in zip(features, targets, weights, strict=True):
            used = w > 0
            if used.any():
                self.model.reset_metrics()
                found = self.model.train_on_batch(x[used], y[used], return_dict=True)
                weight = float(used.sum() if self.exclusive else np.isfinite(y[used]).sum())
                total += [float(found["loss"]) * weight, weight, *(float(found[name]) for name in SUMS[2:])]
        return total


def test_fused_steps_train_as_plain_fit_does() -> None:
    """Same initial weights, order and dropout as `model.fit`: equal losses, metrics and weights, a short last batch included."""
    split = made_split(301)
    ours, plain = mfcc_cnn_network(20, 20, 3), mfcc_cnn_network(20, 20, 3)
    plain.compile(keras.optimizers.Adam(1e-4), "categorical_crossentropy", metrics=["accuracy", "precision", "recall"])
    expected = plain.fit(np.asarray(split.features), split.targets, batch_size=2, shuffle=False, verbose=0).history
    found = run_steps(FusedSteps, ours, split, loss="softmax")
    for name in ("loss", "accuracy", "precision", "recall"):
        assert found[name] == pytest.approx(expected[name][0], rel=2e-3), name
    for a, b in zip(ours.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-4)


def test_fused_and_plain_steps_agree_where_labels_are_unknown() -> None:
    split = made_split(61)
    split.targets[::3, 1] = np.nan
    split.targets[7] = np.nan
    ours, plain = (mfcc_cnn_network(20, 20, 3, activation="sigmoid") for _ in range(2))
    found = run_steps(FusedSteps, ours, split, loss="sigmoid", batch_size=8)
    expected = run_steps(PlainSteps, plain, split, loss="sigmoid", batch_size=8)
    assert found == pytest.approx(expected, rel=2e-3)
    for a, b in zip(ours.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-4)


def test_a_sigmoids_loss_is_keras_own_where_all_is_known_and_ignores_what_is_not() -> None:
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.01, 0.99, (6, 3)).astype(np.float32)
    targets = (rng.random((6, 3)) < 0.5).astype(np.float32)
    ones, objective = np.ones(6, np.float32), Objective("sigmoid")
    expected = float(np.mean(keras.losses.binary_crossentropy(targets, scores)))
    assert float(objective.loss(targets, scores, ones)[0]) == pytest.approx(expected, rel=1e-5)
    targets[2, 1] = np.nan
    first = float(objective.loss(targets, scores, ones)[0])
    scores[2, 1] = 0.999
    assert float(objective.loss(targets, scores, ones)[0]) == first


def test_an_epoch_sees_every_row_once_in_an_order_of_its_own() -> None:
    split = made_split(157)
    order = shuffled_order(157, seed=3, epoch=2)
    assert (order == shuffled_order(157, seed=3, epoch=2)).all()
    assert not (order == shuffled_order(157, seed=3, epoch=3)).all()
    seen = [c.features[c.weights > 0] for c in chunks(split, order, batch_size=4)]
    np.testing.assert_array_equal(np.concatenate(seen), np.asarray(split.features)[order])


@pytest.mark.parametrize(
    "losses", [[3, 2, 2.5, 2.4, 2.6], [1, 2, 3, 4, 5], [5, 4, 3, 2, 1], [2, 2, 2, 1, 1], [3, 3.1, 2.9, 3, 3]]
)
def test_it_stops_when_keras_would(losses: list[float]) -> None:
    peer = keras.callbacks.EarlyStopping("val_loss", patience=2, mode="min")
    model = keras.Sequential()
    model.stop_training = False
    peer.set_model(model)
    peer.on_train_begin()
    ours = EarlyStopping("val_loss", patience=2)
    for epoch, loss in enumerate(losses):
        ours.see({"epoch": epoch + 1, "val_loss": loss})
        peer.on_epoch_end(epoch, {"val_loss": loss})
        assert ours.over == peer.model.stop_training
        if ours.over:
            break
    assert ours.best == peer.best


# -- runs --------------------------------------------------------------------------------------------------------------


def test_training_learns_and_leaves_a_model_that_predicts(trained_model: Path, class_folders: Path) -> None:
    facts = json.loads((trained_model / "config.json").read_text())["training"]
    assert facts["validation"]["accuracy"] >= 0.8
    assert facts["history"][-1]["loss"] < facts["history"][0]["loss"]
    assert (trained_model / PLOT).read_bytes().startswith(b"\x89PNG")
    header, *lines = (trained_model / HISTORY).read_text().splitlines()
    assert header == "epoch,steps,seconds,loss,accuracy,precision,recall,val_loss,val_accuracy,val_precision,val_recall"
    assert len(lines) == len(facts["history"])
    assert not (trained_model / CHECKPOINT).exists()
    recogniser = whoplays.load(trained_model)
    right = 0
    for path in sorted(class_folders.glob("*/*.wav")):
        prediction = recogniser.predict(path)
        assert sum(prediction.scores.values()) == pytest.approx(1, abs=1e-4)
        right += max(prediction.scores, key=prediction.scores.get) == path.parent.name
    assert right >= 20  # of 24
    card = (trained_model / "card.md").read_text()
    assert "mfcc-cnn@1" in card and "drums, guitar, strings" in card


class Killed(BaseException):
    """As sudden as a kill: nothing catches it."""


class StopsAt(Watcher):
    """Raises in the middle of an epoch."""

    def __init__(self, epoch: int, kind: type[BaseException]) -> None:
        self.at, self.kind = epoch, kind

    def step(self, epoch: int, done: int, total: int, figures: dict[str, float]) -> None:
        if epoch == self.at:
            raise self.kind


FAST = {"epochs": 3, "learning_rate": 1e-4, "batch_size": 4, "seed": 7}


@pytest.fixture(scope="module")
def in_one_go(small_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("one") / "model"
    train(small_dataset, out=out, **FAST)
    return out


def comparable(folder: Path) -> tuple[bytes, list[dict[str, float]]]:
    """The network, and the history without the time it took."""
    history = json.loads((folder / "config.json").read_text())["training"]["history"]
    return (folder / "model.onnx").read_bytes(), [{k: v for k, v in row.items() if k != "seconds"} for row in history]


def test_a_killed_run_goes_on_to_the_very_same_result(small_dataset: Path, in_one_go: Path, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        train(small_dataset, out=tmp_path, watcher=StopsAt(3, Killed), **FAST)
    assert (tmp_path / CHECKPOINT).exists() and not (tmp_path / "config.json").exists()
    with pytest.raises(UsageError, match="--resume"):
        train(small_dataset, out=tmp_path, **FAST)
    train(small_dataset, out=tmp_path, resume=True, **FAST)
    assert comparable(tmp_path) == comparable(in_one_go)
    again = train(small_dataset, out=tmp_path, resume=True, **FAST)
    assert again.already_there


def test_ctrl_c_keeps_the_best_so_far_and_can_go_on(small_dataset: Path, in_one_go: Path, tmp_path: Path) -> None:
    done = train(small_dataset, out=tmp_path, watcher=StopsAt(2, KeyboardInterrupt), **FAST)
    assert done.stopped == "interrupted" and len(done.history) == 1
    assert whoplays.load(tmp_path).labels
    train(small_dataset, out=tmp_path, resume=True, **FAST)
    assert comparable(tmp_path) == comparable(in_one_go)


def test_ctrl_c_before_anything_was_learnt_leaves_nothing(small_dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(small_dataset, out=tmp_path, watcher=StopsAt(1, KeyboardInterrupt), **FAST)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_another_run_is_refused(small_dataset: Path, in_one_go: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds a finished model; name another folder"):
        train(small_dataset, out=in_one_go, **FAST)
    with pytest.raises(UsageError, match=r"seed 7 there, 8 here"):
        train(small_dataset, out=in_one_go, resume=True, **(FAST | {"seed": 8}))
    with pytest.raises(Killed):
        train(small_dataset, out=tmp_path, watcher=StopsAt(2, Killed), **FAST)
    with pytest.raises(UsageError, match=r"batch_size 4 there, 2 here"):
        train(small_dataset, out=tmp_path, resume=True, **(FAST | {"batch_size": 2}))
    (tmp_path / CHECKPOINT).write_bytes(b"PK broken")
    with pytest.raises(ModelError, match="cannot be read"):
        train(small_dataset, out=tmp_path, resume=True, **FAST)


def test_a_softmax_trains_on_rows_with_one_label_and_a_sigmoid_on_all_known_labels() -> None:
    split = made_split(4)
    split.targets[:] = [[1, 0, 0], [1, 1, 0], [1, 0, np.nan], [np.nan] * 3]
    for loss, rows in (("softmax", [0]), ("sigmoid", [0, 1, 2])):
        found = usable(split, loss)
        assert found.recordings.tolist() == rows
        np.testing.assert_array_equal(found.features, split.features[rows])


def test_a_sigmoid_gets_its_thresholds_from_validation(small_dataset: Path, tmp_path: Path) -> None:
    train(small_dataset, out=tmp_path, loss="sigmoid", **(FAST | {"epochs": 2}))
    config = model_folder.read(tmp_path).config
    assert config.activation == "sigmoid"
    part = Dataset.open(small_dataset).split("validation")
    scores = model_folder.Network(model_folder.read(tmp_path)).scores(part.features[:])
    np.testing.assert_allclose(config.thresholds, metrics.best_thresholds(part.targets, scores), atol=1e-3)


@pytest.mark.parametrize(
    "settings",
    [
        {"epochs": 0}, {"batch_size": 0}, {"learning_rate": 0.0}, {"learning_rate": float("nan")}, {"patience": 0},
        {"l2": -1.0}, {"dropout": 1.0}, {"loss": "hinge"}, {"seed": -1}, {"name": "a/b"},
    ],
    ids=str,
)  # fmt: skip
def test_settings_that_cannot_be_are_refused(settings: dict) -> None:
    with pytest.raises(UsageError, match=f"--{next(iter(settings)).replace('_', '-')} .* is possible"):
        MfccCnnSettings(**settings)


def test_an_unknown_recipe_or_setting_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="must be one of: mfcc-cnn, default"):
        train(tmp_path, out=tmp_path, recipe="jazz")
    with pytest.raises(UsageError, match="momentum: not a setting"):
        train(tmp_path, out=tmp_path, momentum=0.9)
    with pytest.raises(DatasetError, match="no finished data set"):
        train(tmp_path, out=tmp_path / "model")


def test_a_diverging_loss_is_reported(tmp_path: Path) -> None:
    split = made_split(8)
    split.features[:] = 1e38
    data_set = Dataset(tmp_path, PRESETS["mfcc"], catalogue().labels_for(("drums", "guitar", "piano")), {})
    settings = MfccCnnSettings(epochs=2, batch_size=4, learning_rate=1.0)
    run = MfccCnnRun(data_set, split, split, settings, tmp_path, Watcher())
    run.begin()
    with pytest.raises(ModelError, match="no longer finite in epoch 1; use a smaller --learning-rate"):
        run.go()
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(MissingExtraError, match=r"needs keras, .* install .*'whoplays\[train\]'"):
        load_keras()


def test_the_command_trains_goes_on_and_says_what_it_left(small_dataset: Path, tmp_path: Path) -> None:
    arguments = [
        "train",
        str(small_dataset),
        "--out",
        str(tmp_path / "m"),
        "--epochs",
        "1",
        "--learning-rate",
        "0.0001",
    ]
    first = invoke(*arguments)
    assert first.status == 0 and first.stdout == ""
    assert "36 training rows, 6 validation rows" in first.stderr and "epoch   1/1" in first.stderr
    assert "Next: whoplays evaluate" in first.stderr
    assert "nothing to do" in invoke(*arguments, "--resume").stderr
    assert invoke(*arguments).status == UsageError.exit_status


def test_loading_the_framework_is_silent() -> None:
    code = "from whoplays.training.framework import load_keras; k = load_keras(); k.ops.ones(2) + 1"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=COMMAND_S)
    assert done.returncode == 0 and done.stdout == "" and done.stderr == ""
