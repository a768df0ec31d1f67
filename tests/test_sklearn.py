"""The transformer of scikit-learn: the embeddings of `embed`, and what scikit-learn asks of a transformer."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import whoplays
from conftest import RATE, tone
from whoplays.errors import AudioError, ModelError, UsageError
from whoplays.examples import synth

pytest.importorskip("sklearn", reason="the extra sklearn is not installed")

from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Four recordings each of two families, made from formulas."""
    folder = tmp_path_factory.mktemp("few")
    found: dict[str, list[Path]] = {}
    for family in ("drums", "strings"):
        for take in range(4):
            path = folder / f"{family}{take}.wav"
            soundfile.write(path, synth.recording([family], duration_s=2, seed=take, sample_rate=RATE), RATE)
            found.setdefault(family, []).append(path)
    return found


def test_rows_are_embeddings_of_paths_files_and_samples(recordings: dict[str, list[Path]]) -> None:
    embedder = whoplays.sklearn.Embedder(jobs=2)
    path = recordings["drums"][0]
    samples, rate = soundfile.read(path)
    with path.open("rb") as file:
        rows = embedder.fit_transform([path, str(path), file, (samples, rate)])
    wanted = whoplays.load().embed(path)
    assert rows.shape == (4, 128) and rows.dtype == np.float32
    assert np.allclose(rows, wanted, atol=1e-5)
    assert not embedder.transform([(tone(440) * 0, RATE)]).any()
    assert embedder.transform([]).shape == (0, 128)
    assert len(embedder.get_feature_names_out()) == 128


def test_a_classifier_learns_from_three_and_names_the_fourth(recordings: dict[str, list[Path]]) -> None:
    few = [path for paths in recordings.values() for path in paths[:3]]
    model = make_pipeline(whoplays.sklearn.Embedder(), LogisticRegression()).fit(few, ["d"] * 3 + ["s"] * 3)
    assert list(model.predict([recordings["drums"][3], recordings["strings"][3]])) == ["d", "s"]
    again = pickle.loads(pickle.dumps(model))
    assert list(again.predict([recordings["strings"][3]])) == ["s"]


def test_it_is_a_transformer_like_others() -> None:
    recogniser = whoplays.load()
    embedder = whoplays.sklearn.Embedder(recogniser, jobs=1)
    assert set(embedder.get_params()) == {"model", "jobs", "device"}
    assert clone(whoplays.sklearn.Embedder("default", jobs=3)).get_params()["jobs"] == 3
    assert embedder.set_params(jobs=2).jobs == 2 and embedder.fit([]).recogniser_ is recogniser


def test_unusable_input_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="embedding"):
        whoplays.sklearn.Embedder(tiny_model).fit([])
    with pytest.raises(AudioError) as error:
        whoplays.sklearn.Embedder().fit_transform([tmp_path / "none.wav"])
    assert error.value.path == str(tmp_path / "none.wav")
    with pytest.raises(UsageError, match="takes a list"):
        whoplays.sklearn.Embedder().fit_transform("one.wav")


def test_without_scikit_learn_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['sklearn'] = sys.modules['sklearn.base'] = None\nimport whoplays; whoplays.sklearn"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode and "whoplays[sklearn]" in done.stderr.splitlines()[-1]
