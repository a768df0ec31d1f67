"""Figures: the right numbers and times in them, several on one page, and files as their names end."""

from __future__ import annotations

import re
import struct
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

import whoplays
from conftest import RATE, tone
from whoplays.audio.quality import QualityWarning
from whoplays.errors import UsageError
from whoplays.evaluation.plots import bars_figure, confusion_figure, history_figure
from whoplays.features import FeatureSettings
from whoplays.inference.prediction import Prediction, Segment
from whoplays.model.config import ModelConfig
from whoplays.results.drawing import svg, write_figure
from whoplays.results.overview import Outline
from whoplays.results.plot import draw_recording, prediction_figure

SCORES = {"brass": 0.05, "drums": 0.05, "guitar": 0.6, "piano": 0.1, "strings": 0.2}
ROWS = [{"epoch": e, "loss": 3 / e, "accuracy": 0.5, "precision": 0.5, "recall": 0.4} for e in (1, 2, 3)]


def texts(svg: str) -> list[str]:
    return [
        "".join(element.itertext()).strip() for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    ]


def outline(samples: np.ndarray) -> Outline:
    found = Outline()
    found.add(samples)
    return found


def prediction(path: Path | str, *segments: Segment, warnings: Sequence[QualityWarning] = ()) -> Prediction:
    """Of two seconds of a recording, from its third on."""
    playing, times = [segment.label for segment in segments], np.array([3.0, 4.0, 5.0])
    frames = np.tile(np.array([*SCORES.values()], np.float32), (2, 1))
    return Prediction(str(path), 2.0, RATE, "m@1", SCORES, playing, list(segments), frames, times, list(warnings))


def config(found: Prediction, activation: str) -> ModelConfig:
    limits = tuple(np.linspace(0.3, 0.5, len(SCORES)).tolist())
    about = {"name": "m", "version": "1", "labels": found.labels, "features": FeatureSettings()}
    return ModelConfig(**about, activation=activation, thresholds=limits)


def test_the_pie_shows_the_shares_and_the_waveform_the_range_of_time(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(440.0, 6.0), RATE)
    found = prediction(tmp_path / "a.wav", Segment("guitar", 3.0, 4.5, 0.6))
    figure = prediction_figure(found, config=config(found, "softmax"))
    wave, lanes, pie = figure.axes
    assert wave.get_xlim() == pytest.approx((3.0, 5.0), abs=0.01)
    assert lanes.patches[0].get_x() == 3.0 and lanes.patches[0].get_width() == pytest.approx(1.5)
    degrees = [wedge.theta2 - wedge.theta1 for wedge in pie.patches]
    assert degrees == pytest.approx([360 * share for share in SCORES.values()], abs=0.01)
    shown = texts(svg(figure, description="a pie"))
    assert "guitar 60.0%" in shown and "a.wav" in shown and "seconds" in shown


def test_of_silence_the_plot_says_so() -> None:
    silence = QualityWarning("silent", "", "")
    for warnings, words in (([silence], "silence"), ([], "no score reaches its threshold")):
        assert words in texts(svg(prediction_figure(prediction("", warnings=warnings)), description="x"))


def test_independent_scores_are_bars_with_their_thresholds() -> None:
    found = prediction("gone.wav")
    figure = prediction_figure(found, config=config(found, "sigmoid"))
    curves, _, bars = figure.axes
    assert [bar.get_width() for bar in bars.patches] == pytest.approx(list(SCORES.values()))
    assert [line.get_xdata()[0] for line in bars.lines] == pytest.approx(np.linspace(0.3, 0.5, 5))
    assert [step.get_data().values[0] for step in curves.patches] == pytest.approx(list(SCORES.values()))


def test_an_outline_keeps_peaks_whatever_the_blocks() -> None:
    samples = np.random.default_rng(0).normal(size=100_000).astype(np.float32)
    samples[54_321] = 9.0
    whole, pieces = outline(samples), Outline()
    for part in np.split(samples, [10, 11, 5000, 77_777]):
        pieces.add(part)
    np.testing.assert_array_equal(whole.levels(1000), pieces.levels(1000))
    assert len(whole.levels(1000)) == -(-100_000 // 256) and len(whole.levels(100)) == 100
    assert whole.levels(100).max() == 9.0 and not len(Outline().levels(100))


def test_the_confusion_matrix_holds_its_counts() -> None:
    matrix = np.array([[8, 2], [0, 0]])
    shown = texts(svg(confusion_figure(matrix, ["drums", "guitar"]), description="a matrix"))
    assert {"8", "80%", "2", "20%", "drums", "guitar"} <= {part for text in shown for part in text.split()}


def test_the_history_has_a_curve_for_each_figure_that_is_there() -> None:
    without = history_figure(ROWS)
    rows = [row | {f"val_{k}": v for k, v in row.items() if k != "epoch"} for row in ROWS]
    assert len(without.axes[0].lines) == 1 and len(history_figure(rows, best_epoch=2).axes[0].lines) == 3
    assert list(without.axes[0].lines[0].get_ydata()) == [3.0, 1.5, 1.0]
    other = history_figure([{"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": 0.5, "val_map": 0.7}])
    assert [line.get_label() for line in other.axes[1].lines] == ["map, validation"]


def test_bars_show_values_and_intervals() -> None:
    figure = bars_figure({"F1": {"a": 0.5, "b": float("nan")}}, {"F1": {"a": (0.4, 0.7)}})
    assert [bar.get_height() for bar in figure.axes[0].patches] == [0.5, 0.0]
    assert figure.axes[0].collections[0].get_segments()[0][:, 1].tolist() == pytest.approx([0.4, 0.7])


def test_an_svg_stands_on_its_own_and_beside_others() -> None:
    one, other = (svg(history_figure(rows), description="<a & b>") for rows in (ROWS, ROWS[:2]))
    ids = [set(re.findall(r'\bid="([^"]+)"', text)) for text in (one, other)]
    assert not ids[0] & ids[1]
    assert set(re.findall(r"url\(#([^)]+)\)", one)) <= ids[0]
    assert 'aria-label="&lt;a &amp; b&gt;"' in one and "currentColor" in one and "<metadata" not in one
    assert svg(history_figure(ROWS), description="x") == svg(history_figure(ROWS), description="x")


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_a_recording_is_drawn_as_its_name_ends(ending: str, trained_model: Path, duet: Path, tmp_path: Path) -> None:
    recogniser = whoplays.load(trained_model)
    prediction = recogniser.predict(duet, start=2.0, duration=6.0)
    target = tmp_path / f"out.{ending}"
    draw_recording(prediction, recogniser.config, target, lang="pl")
    content = target.read_bytes()
    if ending == "png":
        assert content.startswith(b"\x89PNG") and struct.unpack(">II", content[16:24])[0] >= 1200
    else:
        written = texts(content.decode())
        assert "duet.flac" in written and "sekundy" in written


def test_names_that_look_like_mathematics_or_markup_are_drawn_as_they_are(trained_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "$a_1$ <b>&.wav"
    soundfile.write(path, tone(440.0), RATE)
    recogniser = whoplays.load(trained_model)
    draw_recording(recogniser.predict(path), recogniser.config, tmp_path / "out.svg")
    content = (tmp_path / "out.svg").read_text(encoding="utf-8")
    assert "<b>" not in content and "$a_1$ <b>&.wav" in texts(content)


@pytest.mark.parametrize("name", ["out.pdf", "out", "out.png.txt"])
def test_other_endings_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.png or \.svg"):
        write_figure(history_figure(ROWS), tmp_path / name)
    assert list(tmp_path.iterdir()) == []
