"""Export: ONNX equals Keras and the model folder, at several batch sizes; a difference is noticed, not passed on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from conftest import invoke
from whoplays.errors import ModelError, UsageError
from whoplays.model import folder as model_folder
from whoplays.model.config import ModelConfig
from whoplays.training import export
from whoplays.training.framework import load_keras

keras = load_keras()


@pytest.fixture(scope="module")
def over_time() -> keras.Model:
    """A network that accepts any number of frames and gives scores over time."""
    features = x = keras.Input((None, 8), name="features")
    x = keras.layers.Conv1D(6, 3, padding="same", activation="relu")(x)
    x = keras.layers.BatchNormalization()(x)
    frames = keras.layers.Dense(3, name="frames")(keras.layers.AveragePooling1D(4)(x))
    return keras.Model(
        features, keras.layers.Activation("sigmoid")(keras.layers.GlobalMaxPooling1D(name="logits")(frames))
    )


@pytest.mark.parametrize("batch", [1, 5])
def test_onnx_gives_keras_numbers_over_time(over_time, batch: int) -> None:
    content = export.to_onnx(over_time, frames=None, width=8, outputs=("logits", "frames"))
    session = onnxruntime.InferenceSession(content)
    x = np.random.default_rng(batch).normal(size=(batch, 37 * batch, 8)).astype(np.float32)
    logits, frames = session.run(["logits", "frames"], {"features": x})
    part = keras.Model(over_time.input, [over_time.get_layer("logits").output, over_time.get_layer("frames").output])
    expected = [np.asarray(value) for value in part(x, training=False)]
    np.testing.assert_allclose(logits, expected[0], atol=1e-5)
    np.testing.assert_allclose(frames, expected[1], atol=1e-5)


def test_a_network_that_changed_on_the_way_is_noticed(over_time) -> None:
    content = export.to_onnx(over_time, frames=None, width=8)

    def slightly_off(x: np.ndarray) -> dict[str, np.ndarray]:
        part = keras.Model(over_time.input, over_time.get_layer("logits").output)
        return {"logits": np.asarray(part(x, training=False)) * 1.001}

    with pytest.raises(ModelError, match="differs from the trained one"):
        export.check(content, slightly_off, frames=None, width=8)
    with pytest.raises(ModelError, match=r"gives \['logits'\]"):
        export.check(content, lambda x: {"other": x}, frames=None, width=8)


@pytest.mark.parametrize("name", ["trained_model", "tiny_model"])
def test_an_exported_file_gives_the_folders_probabilities(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    folder = request.getfixturevalue(name)
    facts = export.export(folder, tmp_path / "model.onnx")
    assert facts["difference"] <= 1e-5
    session = onnxruntime.InferenceSession((tmp_path / "model.onnx").read_bytes())
    network = model_folder.Network(model_folder.read(folder))
    settings = network.config.features
    for batch in (1, 5):
        x = (
            np.random.default_rng(batch)
            .normal(size=(batch, settings.n_time_bins or 120, settings.n_features))
            .astype(np.float32)
        )
        found = session.run(["probabilities"], {"features": x})[0]
        np.testing.assert_allclose(found, network.probabilities(x), atol=1e-5)
    metadata = json.loads(session.get_modelmeta().custom_metadata_map["whoplays"])
    assert ModelConfig.from_dict(metadata).labels == network.config.labels


def test_bad_calls_are_one_line(trained_model: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder; name a file"):
        export.export(trained_model, tmp_path)
    with pytest.raises(ModelError, match="no such model folder"):
        export.export(tmp_path / "missing", tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_the_command_exports(trained_model: Path, tmp_path: Path) -> None:
    done = invoke("export", trained_model, "--out", tmp_path / "m.onnx")
    assert done.status == 0 and "Checked at batch sizes 1 and 5" in done.stderr


def test_equal_weights_give_equal_bytes() -> None:
    from whoplays.training.networks import mfcc_cnn_network

    first, second = (export.to_onnx(mfcc_cnn_network(20, 20, 3, seed=4), frames=20, width=20) for _ in range(2))
    assert first == second
    assert first != export.to_onnx(mfcc_cnn_network(20, 20, 3, seed=5), frames=20, width=20)


def test_the_model_that_ships_can_be_named(tmp_path: Path) -> None:
    done = invoke("export", "default", "--out", tmp_path / "m.onnx")
    assert done.status == 0 and done.stderr.startswith("default@"), done.stderr
