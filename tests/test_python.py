"""Python as its users find it: many recordings, tables, pictures, notebooks, times, errors, and examples that are typed."""

from __future__ import annotations

import copy
import json
import math
import multiprocessing
import os
import pickle
import re
import shutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

import whoplays
from conftest import RATE, invoke, tone, write_tiny_model
from whoplays.audio.times import part, seconds
from whoplays.errors import ModelError, UsageError
from whoplays.inference.prediction import Failure, Prediction, Segment

ROOT = Path(__file__).parents[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three recordings, the second of which is none."""
    music = tmp_path / "music"
    music.mkdir()
    for name, frequency in (("a.wav", 300), ("c.flac", 3000)):
        soundfile.write(music / name, tone(frequency, 3.0), RATE)
    (music / "b.wav").write_bytes(b"no recording")
    return music


# Many recordings


def test_many_recordings_come_in_order_with_failures_as_values(folder: Path, tiny_model: Path) -> None:
    progress_calls: list[tuple[int, int]] = []
    found = list(
        whoplays.predict_many(folder, model=tiny_model, jobs=3, progress=lambda *done: progress_calls.append(done))
    )
    assert [Path(one.path).name for one in found] == ["a.wav", "b.wav", "c.flac"]
    assert isinstance(found[1], whoplays.Failure) and found[1].error
    assert progress_calls == [(1, 3), (2, 3), (3, 3)]
    recogniser = whoplays.load(tiny_model)
    assert found[0] == recogniser.predict(folder / "a.wav")
    again = list(whoplays.predict_many([folder / "a.wav", folder / "c.flac"], model=recogniser, jobs=1))
    assert again == [found[0], found[2]]


def test_a_call_that_cannot_be_meant_fails_before_the_first_result(tiny_model: Path, tmp_path: Path) -> None:
    for wrong in ({"jobs": -1}, {"start": "later"}, {"start": 5, "end": 2}, {"threshold": {"kazoo": 0.5}}):
        with pytest.raises(UsageError):
            whoplays.predict_many([tmp_path / "a.wav"], model=tiny_model, **wrong)
    with pytest.raises(ModelError):
        whoplays.predict_many([], model=tmp_path / "none")
    assert list(whoplays.predict_many([], model=tiny_model)) == []


def predicted(recogniser: whoplays.Recogniser, path: Path) -> Prediction:
    return recogniser.predict(path)


def test_a_recogniser_goes_to_other_processes(folder: Path, tiny_model: Path) -> None:
    recogniser = whoplays.load(tiny_model, threshold={"brass": 0.9})
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        found = pool.submit(predicted, recogniser, folder / "a.wav").result()
    assert found == recogniser.predict(folder / "a.wav")
    again = pickle.loads(pickle.dumps(recogniser))
    assert again.config.thresholds == recogniser.config.thresholds != whoplays.load(tiny_model).config.thresholds
    assert copy.copy(recogniser)._network is recogniser._network


def test_a_model_that_was_replaced_is_not_unpickled(tmp_path: Path) -> None:
    pickled = pickle.dumps(whoplays.load(write_tiny_model(tmp_path / "m")))
    from whoplays.model import folder as model_folder

    bundle = model_folder.read(tmp_path / "m")
    model_folder.write(tmp_path / "m", bundle.config, bundle.content(model_folder.NETWORK), "# Another card")
    with pytest.raises(ModelError, match="replaced since"):
        pickle.loads(pickled)


# Tables


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_tables(library: str, folder: Path, tiny_model: Path) -> None:
    pytest.importorskip(library)
    found = list(whoplays.predict_many(folder, model=tiny_model, threshold=0.01))
    table = whoplays.to_dataframe(found, library=library)
    assert type(table).__module__.startswith(library)
    assert list(table["path"]) == [one.path for one in found]
    assert list(next(iter(table["playing"]))) == found[0].playing and list(table["error"])[1] == found[1].error
    assert math.isclose(list(table["guitar"])[2], found[2].scores["guitar"])
    segments = whoplays.to_dataframe(iter(found), rows="segments", library=library)
    assert list(segments["label"]) == [s.label for one in found if isinstance(one, Prediction) for s in one.segments]
    frames = whoplays.to_dataframe(found, rows="frames", library=library)
    assert len(frames) == len(found[0].frame_scores) + len(found[2].frame_scores)
    alone = found[0].frame_scores_frame(library=library)
    assert list(alone.columns) == ["start", "end", *found[0].scores]
    assert np.array_equal(np.asarray(alone["end"]), found[0].frame_times[1:])
    assert np.array_equal(np.asarray(alone["piano"]), found[0].frame_scores[:, 3].astype(float))


def test_tables_of_nothing_and_of_one() -> None:
    assert len(whoplays.to_dataframe([])) == len(whoplays.to_dataframe([], rows="frames")) == 0
    assert list(whoplays.to_dataframe(Failure("a", "empty"))["error"]) == ["empty"]
    for wrong in ({"rows": "notes"}, {"library": "excel"}):
        with pytest.raises(UsageError, match="must be one of"):
            whoplays.to_dataframe([], **wrong)


def test_without_pandas_it_is_polars_and_without_both_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert type(whoplays.to_dataframe([])).__module__.startswith("polars")
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(whoplays.MissingExtraError, match=r"whoplays\[dataframe\]"):
        whoplays.to_dataframe([])


# What it looks like


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_a_notebook_shows_lanes_and_a_player_that_load_nothing(folder: Path, tiny_model: Path) -> None:
    prediction = whoplays.load(tiny_model, threshold=0.01).predict(folder / "a.wav")
    tags = Tags(prediction._repr_html_()).found
    names = [name for name, _ in tags]
    assert names.count("svg") == names.count("audio") == 1 and "script" not in names
    assert all((values.get("src") or "data:").startswith("data:") for _, values in tags)
    assert not any(name.startswith("on") or name == "href" for _, values in tags for name in values)
    coloured = [values for name, values in tags if name == "rect" and "fill" in values]
    assert len(coloured) == len(prediction.segments) > 0
    (folder / "a.wav").unlink()
    assert "audio" not in [name for name, _ in Tags(prediction._repr_html_()).found]


def test_what_a_notebook_shows_is_escaped_and_needs_no_file() -> None:
    frames = np.zeros((0, 1), np.float32)
    hostile = Prediction(
        "<img src=x>.wav", 2.0, 8000, "<b>", {"<i>": 0.9}, ["<i>"], [Segment("<i>", 0, 2, 0.9)], frames, np.zeros(1)
    )
    names = [name for name, _ in Tags(hostile._repr_html_()).found]
    assert not {"img", "i"} & set(names) and names.count("b") == 1
    quiet = Prediction("", 2.0, 8000, "m@1", {"brass": 0.1}, [], [], frames, np.zeros(1))
    assert "the highest score is brass 0.10" in quiet._repr_html_()


def test_plots(folder: Path, tiny_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    recogniser = whoplays.load(tiny_model, threshold=0.01)
    prediction = recogniser.predict(folder / "a.wav", start=1)
    for figure in (prediction.plot(), prediction.plot(frames=True, lang="pl")):
        assert figure._repr_png_().startswith(b"\x89PNG")
        assert figure.axes[0].get_xlim() == pytest.approx((1.0, 3.0), abs=0.05)
    samples = recogniser.predict(tone(300, 3.0), sample_rate=RATE)
    for one in (samples, Prediction.from_dict(prediction.to_dict()), Prediction.from_dict(samples.to_dict())):
        one.plot().savefig(tmp_path / "a.png")


def test_everything_public_says_what_it_is(folder: Path, tiny_model: Path) -> None:
    recogniser = whoplays.load(tiny_model)
    assert repr(recogniser) == "<Recogniser tiny@1: 5 labels, 10 s windows, cpu>"
    prediction = recogniser.predict(folder / "a.wav", threshold=0.01)
    assert repr(prediction).startswith(f"<Prediction {folder / 'a.wav'}, 3 s, tiny@1: ") and "\n" not in repr(
        prediction
    )
    assert repr(whoplays.hf.pipeline(model=tiny_model)) == "<audio-classification by tiny@1, top_k=5>"
    for one in (recogniser, prediction, *prediction.segments[:1], Failure("a", "b")):
        assert " at 0x" not in repr(one)
    assert set(whoplays.__all__) <= set(dir(whoplays))
    for name in whoplays.__all__:
        assert getattr(whoplays, name).__doc__ or name == "__version__"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        whoplays.nothing  # noqa: B018


# Times


@given(st.integers(0, 9), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_times_as_a_clock_shows_them(hours: int, minutes: int, whole: int, thousandths: int) -> None:
    wanted = hours * 3600 + minutes * 60 + whole + thousandths / 1000
    assert seconds(f"{hours}:{minutes:02d}:{whole:02d}.{thousandths:03d}") == pytest.approx(wanted)
    assert seconds(f"{60 * hours + minutes}:{whole:02d}.{thousandths:03d}") == pytest.approx(wanted)
    assert seconds(wanted) == seconds(str(wanted)) == pytest.approx(wanted)


@pytest.mark.parametrize(
    "wrong", ["", "1:", ":30", "1:60", "-1", "-1:00", "nan", "inf", "1:2:3:4", "1h", True, None, -0.1, "1:5", "１:00"]
)
def test_what_is_no_time(wrong: object) -> None:
    with pytest.raises(UsageError, match="is not a time"):
        seconds(wrong)  # type: ignore[arg-type]


def test_parts() -> None:
    assert (
        part("1:00", "1:30", None) == (60.0, 30.0)
        and part(0, None, 5) == (0.0, 5)
        and part(0, None, None) == (0.0, None)
    )
    for wrong in ((0, 5, 5.0), (5, 5, None), (0, None, 0.0), (0, None, math.inf)):
        with pytest.raises(UsageError):
            part(*wrong)


def test_times_are_alike_in_python_and_command(tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    soundfile.write(path, tone(300, 70.0), RATE)
    recogniser = whoplays.load(tiny_model)
    prediction = recogniser.predict(path, start="1:01", end="1:03.5")
    assert (
        prediction == recogniser.predict(path, start=61, end=63.5) == recogniser.predict(path, start=61.0, duration=2.5)
    )
    command = invoke("predict", path, "--model", tiny_model, "--start", "1:01", "--end", "1:03.5", "-f", "jsonl")
    assert Prediction.from_dict(json.loads(command.stdout)) == prediction
    wrong = invoke("predict", path, "--model", tiny_model, "--start", "1:60")
    assert wrong.status == 2 and "--start 1:60: is not a time" in wrong.stderr


# Errors


def test_errors_carry_the_path(tiny_model: Path, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.flac")
    with pytest.raises(FileNotFoundError) as audio:
        whoplays.load(tiny_model).predict(missing)
    assert isinstance(audio.value, whoplays.AudioError) and audio.value.path == missing
    with pytest.raises(ModelError) as model:
        whoplays.load(tmp_path / "none")
    assert model.value.path == str(tmp_path / "none")
    with pytest.raises(UsageError) as usage:
        whoplays.load(tiny_model, threshold=3)
    assert usage.value.path == ""


# Examples


def blocks() -> dict[str, str]:
    """The Python of each page, its blocks one after another, as a reader would run them."""
    found = {}
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        code = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        if code:
            found[re.sub(r"\W", "_", str(page.relative_to(ROOT)))] = "\n".join(code)
    return found


@pytest.mark.slow
def test_the_examples_of_the_pages_have_right_types(tmp_path: Path) -> None:
    for name, code in blocks().items():
        (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
    assert len(list(tmp_path.glob("*.py"))) >= 5
    words = ["--ignore-missing-imports", "--check-untyped-defs", "--config-file", "", "--cache-dir", tmp_path / "cache"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *words, *sorted(tmp_path.glob("*.py"))],
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def test_the_examples_of_the_guide_run(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "src" / "whoplays" / "examples", tmp_path / "src" / "whoplays" / "examples")
    code = blocks()["docs_guides_python_md"]
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert (
        lines[0].startswith("<Prediction src/whoplays/examples/band.ogg, ")
        and lines[-1] == "missing.flac | no such file"
    )
    promised = re.search(r"^# (<Prediction [^>]*>)$", code, re.MULTILINE)
    assert promised and promised[1].replace("\n# ", "") == lines[0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda r, x: r.predict(x, sample_rate="x"),
            "predict: sample_rate is 'x' (str); it takes a whole number or None",
        ),
        (lambda r, x: r.predict(None), "predict: source is None (NoneType); it takes a path, an open file or samples"),
        (lambda r, x: r.predict(x, sample_rate=RATE, track="1"), "predict: track is '1' (str)"),
        (lambda r, x: r.predict(x, sample_rate=RATE, track=True), "predict: track is True (bool)"),
        (lambda r, x: r.predict(x, sample_rate=RATE, strict="no"), "strict is 'no' (str); it takes True or False"),
        (
            lambda r, x: r.predict(x, sample_rate=RATE, start=[1]),
            "start is [1] (list); it takes seconds from 0, or m:ss",
        ),
        (lambda r, x: r.embed(x, over_time="x"), "embed: over_time is 'x' (str)"),
        (
            lambda r, x: r.predict_stream(3, sample_rate=RATE),
            "blocks is 3 (int); it takes a list (each item: an array)",
        ),
        (
            lambda r, x: r.with_threshold("x"),
            "threshold is 'x' (str); it takes a number from 0 to 1, or {label: number}",
        ),
        (lambda r, x: whoplays.load(3), "model is 3 (int); it takes a path or None"),
        (lambda r, x: whoplays.load(device=None), "device is None (NoneType); it takes text"),
        (
            lambda r, x: whoplays.predict_many(3, model=r),
            "predict_many: paths is 3 (int); it takes a list (each item: a path)",
        ),
        (lambda r, x: whoplays.predict_many(["a", 3], model=r), "paths is ['a', 3] (list)"),
        (lambda r, x: whoplays.predict_many("a", model=r, jobs="2"), "jobs is '2' (str); it takes a whole number"),
        (
            lambda r, x: whoplays.predict_many("a", model=r, progress=3),
            "progress is 3 (int); it takes a function or None",
        ),
        (lambda r, x: whoplays.predict_many("a", model=3), "model is 3 (int); it takes a path, a Recogniser or None"),
        (lambda r, x: whoplays.to_dataframe("x" * 99), f"results is '{'x' * 56}... (str); it takes"),
        (lambda r, x: whoplays.Prediction.from_dict(3), "from_dict: values is 3 (int); it takes a mapping"),
        (lambda r, x: r.predict(x, sample_rate=RATE).plot(lang=3), "plot: lang is 3 (int); it takes text"),
    ],
)
def test_an_argument_of_a_wrong_type_is_named(tiny_model: Path, call: Any, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        call(whoplays.load(tiny_model), tone(440.0, 1.0))
    assert message in str(caught.value)


def test_arguments_that_python_treats_as_equal_are_accepted(tiny_model: Path, duet: Path) -> None:
    recogniser, samples = whoplays.load(str(tiny_model)), tone(440.0, 1.0)
    assert recogniser.predict(samples.tolist(), sample_rate=float(RATE), strict=0).duration == 1.0
    assert recogniser.predict(samples, sample_rate=np.int64(RATE), start=np.float32(0.5)).duration == 0.5
    assert [r.path for r in whoplays.predict_many(iter([duet]), model=recogniser, jobs=np.int32(1))] == [str(duet)]
    with pytest.raises(TypeError, match="unexpected keyword argument 'foo'"):
        recogniser.predict(samples, foo=1)
