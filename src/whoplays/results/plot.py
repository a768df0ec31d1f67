"""One recording looked at: its waveform, who plays when, and a pie or bars of its scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from ..audio import reading
from ..errors import AudioError
from ..storage.address import is_address
from ..taxonomy.messages import Say, speaker
from ..taxonomy.tree import Label, Tree
from .drawing import INK, MUTED, STYLE, WAVE, blank, kind_of, shortened, write_figure
from .overview import Outline

if TYPE_CHECKING:
    from ..inference.prediction import Prediction
    from ..model.config import ModelConfig

_COLUMNS = 1600  # of a waveform
RATE = 22_050  # Hz, of a waveform

Span = tuple[float, float]


def prediction_figure(
    prediction: Prediction,
    *,
    frames: bool = False,
    config: ModelConfig | None = None,
    track: int | None = None,
    lang: str = "en",
) -> Figure:
    """Return what `Prediction.plot` returns: every family and the instruments that play or may, with the recording's sound.

    Where that is not at hand, or with `frames`, scores over time are drawn in its place. config: of the model that made the
    prediction, whose thresholds are drawn, or a pie where its scores share one unit (softmax).
    """
    shown, say = Tree(prediction.labels).outline([*prediction.playing, *prediction.maybe]), speaker("plot", lang)
    names = [label.name(lang) for label in shown]
    start = float(prediction.frame_times[0])
    span = (start, start + prediction.duration)
    outline = None if frames else _outline(prediction, span, track)
    with matplotlib.rc_context(STYLE):
        figure = blank(11, 3.9)
        grid = figure.add_gridspec(2, 2, width_ratios=(2.4, 1), height_ratios=(3, 1.15))
        wave, lanes, beside = (figure.add_subplot(grid[place]) for place in ((0, 0), (1, 0), (slice(None), 1)))
        if outline is None:
            _draw_curves(wave, prediction, shown, span, say)
        else:
            _draw_wave(wave, outline.levels(_COLUMNS), span, say)
        _draw_lanes(lanes, prediction, shown, names, span, say)
        lanes.sharex(wave)
        wave.tick_params(labelbottom=False)
        wave.set_title(shortened(Path(prediction.path).name))
        scores = [prediction.scores[label.id] for label in shown]
        if config and config.activation == "softmax":
            _draw_pie(beside, shown, names, scores)
        else:
            limits = dict(zip(prediction.scores, config.thresholds, strict=True)) if config else {}
            _draw_bars(beside, shown, names, scores, [limits[label.id] for label in shown if limits], say)
    return figure


def _outline(prediction: Prediction, span: Span, track: int | None) -> Outline | None:
    """Return the outline of the recording; None where there is none, or it is not there any more."""
    if prediction.path in ("", "-") or is_address(prediction.path):
        return None
    found = Outline()
    try:
        for block in reading.stream(
            prediction.path, sample_rate=RATE, start=span[0], duration=prediction.duration, track=track
        ):
            found.add(block)
    except AudioError:
        return None
    return found


def _draw_wave(axes: Any, levels: NDArray[np.float32], span: Span, say: Say) -> None:
    times = np.linspace(*span, len(levels), endpoint=False)
    axes.fill_between(times, -levels, levels, color=WAVE, linewidth=0.4, edgecolor=WAVE, step="post")
    top = 1.05 * (float(levels.max(initial=0)) or 1.0)
    axes.set(ylim=(-top, top), xlim=span, ylabel=say("amplitude"))
    axes.axhline(0, color=MUTED, linewidth=0.5)


def _draw_curves(axes: Any, prediction: Prediction, shown: Sequence[Label], span: Span, say: Say) -> None:
    """Draw scores over time as steps."""
    times = prediction.frame_times
    if len(prediction.frame_scores):
        for label, values in zip(prediction.labels, prediction.frame_scores.T, strict=True):
            if label in shown:
                axes.stairs(values, times, color=label.colour, linewidth=1.4, baseline=None)
        span = (float(times[0]), float(times[-1]))
    axes.set(ylim=(0, 1.03), xlim=span, ylabel=say("score"))


def _draw_lanes(
    axes: Any, prediction: Prediction, shown: Sequence[Label], names: Sequence[str], span: Span, say: Say
) -> None:
    playing = {segment.label for segment in prediction.segments}
    lanes = [(label, name) for label, name in zip(shown, names, strict=True) if label.id in playing]
    rows = {label.id: row for row, (label, _) in enumerate(lanes)}
    for segment in prediction.segments:
        row = rows[segment.label]
        axes.barh(row, segment.end - segment.start, left=segment.start, height=0.7, color=lanes[row][0].colour)
    axes.set(yticks=range(len(lanes)), xlabel=say("seconds"), xlim=span, ylim=(max(len(lanes), 2) - 0.4, -0.6))
    axes.set_yticklabels([name for _, name in lanes])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    if not lanes:
        nothing = say("silent" if prediction.silent else "none")
        axes.text(0.5, 0.5, nothing, transform=axes.transAxes, ha="center", va="center", color=MUTED)


def _draw_pie(axes: Any, shown: Sequence[Label], names: Sequence[str], scores: Sequence[float]) -> None:
    tints = [label.colour for label in shown]
    if sum(scores) > 0:
        edges = {"linewidth": 1, "edgecolor": "white"}
        axes.pie(np.array(scores), colors=tints, startangle=90, counterclock=False, wedgeprops=edges)
    handles = [
        Patch(color=tint, label=f"{name} {score:.1%}") for tint, name, score in zip(tints, names, scores, strict=True)
    ]
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0.02), ncols=2, fontsize=9)


def _draw_bars(
    axes: Any,
    shown: Sequence[Label],
    names: Sequence[str],
    scores: Sequence[float],
    thresholds: Sequence[float],
    say: Say,
) -> None:
    for row, (label, score) in enumerate(zip(shown, scores, strict=True)):
        axes.barh(row, score, height=0.62, color=label.colour)
        place = {"xytext": (4, 0), "textcoords": "offset points", "va": "center"}
        axes.annotate(f"{score:.2f}", (score, row), **place, fontsize=9)
    for row, threshold in enumerate(thresholds):
        axes.plot([threshold] * 2, [row - 0.42, row + 0.42], color=INK, linewidth=1.4)
    title = say("scores" if thresholds else "scores_alone")
    axes.set(yticks=range(len(shown)), xlim=(0, 1.12), ylim=(len(shown) - 0.4, -0.6), title=title)
    axes.set_yticklabels(names)
    axes.set_xticks([0, 0.5, 1])
    axes.tick_params(axis="y", length=0)


def draw_recording(
    prediction: Prediction, config: ModelConfig, target: Path | str, *, track: int | None = None, lang: str = "en"
) -> None:
    """Draw a prediction of the model as PNG or SVG, as the name ends. Raises `UsageError` for another ending."""
    kind_of(target)  # before the recording is read
    write_figure(prediction_figure(prediction, config=config, track=track, lang=lang), target)
