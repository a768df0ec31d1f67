"""Embeddings: unit vectors, the same whichever way sound comes, zeros for silence, kept by models made from others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

import whoplays
from conftest import RATE, write_tiny_model
from recipe.layers import with_embedding, with_input
from whoplays.errors import MissingFileError, ModelError
from whoplays.examples import synth
from whoplays.inference import embedding
from whoplays.model import folder as model_folder
from whoplays.training import heads

WIDTH = 128


@pytest.fixture(scope="module")
def recogniser() -> whoplays.Recogniser:
    return whoplays.load("default")


def sound(family: str, seed: int = 0, seconds: float = 4.0) -> np.ndarray:
    return synth.recording([family], duration_s=seconds, seed=seed, sample_rate=RATE)


def test_a_recording_has_a_unit_vector(recogniser: whoplays.Recogniser, tmp_path: Path) -> None:
    samples = sound("piano")
    soundfile.write(tmp_path / "a.flac", samples, RATE)
    vector = recogniser.embed(samples, sample_rate=RATE)
    assert vector.shape == (WIDTH,) == (recogniser.embedding_width,)
    assert vector.dtype == np.float32
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert recogniser.embed(tmp_path / "a.flac") @ vector > 0.999


def test_over_time_each_step_has_one(recogniser: whoplays.Recogniser) -> None:
    samples = sound("guitar", seconds=25)
    steps = recogniser.embed(samples, sample_rate=RATE, over_time=True)
    prediction = recogniser.predict(samples, sample_rate=RATE)
    assert steps.shape == (len(prediction.frame_scores), WIDTH)
    assert np.allclose(np.linalg.norm(steps, axis=1), 1, atol=1e-5)


def test_the_same_instrument_is_closer_than_another(recogniser: whoplays.Recogniser) -> None:
    one, same, other = (
        recogniser.embed(sound(f, s), sample_rate=RATE) for f, s in (("drums", 0), ("drums", 1), ("piano", 0))
    )
    assert one @ same > one @ other


def test_silence_and_nan_are_zeros_and_do_not_count(recogniser: whoplays.Recogniser) -> None:
    silence = np.zeros(3 * RATE, dtype=np.float32)
    assert not recogniser.embed(silence, sample_rate=RATE).any()
    assert not recogniser.embed(silence, sample_rate=RATE, over_time=True).any()
    assert not recogniser.embed(np.full(RATE, np.nan), sample_rate=RATE).any()
    samples = sound("piano", seconds=20)
    rest = np.concatenate([samples, np.zeros(40 * RATE, dtype=np.float32)])
    assert recogniser.embed(rest, sample_rate=RATE) @ recogniser.embed(samples, sample_rate=RATE) > 0.98


def test_zeros_stay_zeros() -> None:
    assert not embedding.whole(np.zeros((4, 3), dtype=np.float32)).any()


def test_errors_name_what_is_wrong(recogniser: whoplays.Recogniser, tmp_path: Path) -> None:
    with pytest.raises(MissingFileError) as missing:
        recogniser.embed(tmp_path / "none.wav")
    assert missing.value.path == str(tmp_path / "none.wav")
    write_tiny_model(tmp_path / "tiny")
    with pytest.raises(ModelError, match="has no embedding"):
        whoplays.load(tmp_path / "tiny").embed(sound("piano"), sample_rate=RATE)


def test_another_head_leaves_the_embedding_as_it_is() -> None:
    network = model_folder.read().content(model_folder.NETWORK)
    body, head = heads.split_head(network)
    assert heads.attach_head(body, head.of([0, 1])) != network
    assert heads.attach_head(body, head) == network


@pytest.mark.parametrize("read", [with_input, bytes], ids=["hidden-and-input", "hidden"])
def test_an_embedding_can_be_put_in_place_of_another(read: Callable[[bytes], bytes]) -> None:
    bundle = model_folder.read()
    network, rng = bundle.content(model_folder.NETWORK), np.random.default_rng(0)
    x = rng.normal(-5, 3, (2, 160, 64)).astype(np.float32)
    given = np.concatenate(list(heads.Body(read(heads.split_head(network)[0])).hidden(x)))
    width = given.shape[-1]
    layers = [(rng.normal(size=size).astype(np.float32), rng.normal(size=size[1])) for size in ((width, 20), (20, 7))]
    once = with_embedding(network, layers)
    assert with_embedding(once, layers) == once
    before, after = model_folder.Network(bundle), model_folder.Network(bundle, content=once)
    assert all(np.array_equal(values, after.run(x)[name]) for name, values in before.run(x).items())
    (w0, b0), (w1, b1) = layers
    right = np.maximum(given @ w0.astype(np.float16).astype(np.float32) + b0, 0) @ w1.astype(np.float16) + b1
    assert np.allclose(after.run(x, embed=True)["embedding"], right, rtol=1e-3, atol=1e-3)
    single = model_folder.Network(bundle, content=with_embedding(once, layers[:1]))
    assert single.embedding_width == 20


def test_default_is_the_model_inside_the_package(recogniser: whoplays.Recogniser) -> None:
    assert recogniser.config.id == whoplays.load().config.id
    assert {"load", "Prediction", "Recogniser"} <= set(dir(whoplays))


def test_a_prediction_can_carry_the_embeddings(recogniser: whoplays.Recogniser) -> None:
    samples = sound("guitar", seconds=12)
    prediction = recogniser.predict(samples, sample_rate=RATE, embed=True)
    assert prediction.embedding is not None and prediction.frame_embeddings is not None
    assert np.allclose(prediction.embedding, recogniser.embed(samples, sample_rate=RATE), atol=1e-6)
    assert np.allclose(
        prediction.frame_embeddings, recogniser.embed(samples, sample_rate=RATE, over_time=True), atol=1e-6
    )
    plain = recogniser.predict(samples, sample_rate=RATE)
    assert plain == prediction and plain.embedding is None
