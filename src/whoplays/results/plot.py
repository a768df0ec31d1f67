"""One recording looked at: its waveform, who plays when, and a pie or bars of its scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from ..audio import reading
from ..errors import AudioError
from ..storage.address import is_address
from ..taxonomy.messages import speaker
from ..taxonomy.tree import Tree
from .drawing import INK, MUTED, STYLE, WAVE, blank, kind_of, shortened, write_figure
from .overview import Outline

if TYPE_CHECKING:
    from ..inference.prediction import Prediction
    from ..model.config import ModelConfig

_COLUMNS = 1600  # of a waveform
RATE = 22_050  # Hz, of a waveform


class Curves(NamedTuple):
    """Scores over time: their borders (frames + 1,) in seconds, and label -> scores (frames,)."""

    times: NDArray[np.float64]
    scores: Mapping[str, NDArray[np.float32]]


def recording_figure(
    sound: Outline | Curves,
    scores: Mapping[str, float],
    *,
    exclusive: bool = True,
    span: tuple[float, float] = (0.0, 1.0),
    title: str = "",
    names: Mapping[str, str] | None = None,
    colours: Mapping[str, str] | None = None,
    segments: Iterable[tuple[str, float, float]] = (),
    thresholds: Mapping[str, float] | None = None,
    silent: bool = False,
    lang: str = "en",
) -> Figure:
    """Return a recording's waveform, with who plays when under it, and beside it a pie (or bars) of its scores.

    sound: its waveform, or what is drawn in place of one. scores: label id -> probability. exclusive: the scores share one
    unit (softmax) and make a pie; otherwise each has a bar of its own, with its threshold. span: seconds at which the
    sound begins and ends. names, colours: label id -> displayed name, and "#rrggbb". segments: (label id, start, end) in seconds.
    silent: whether it holds no sound, which is said where nothing plays.
    """
    names, segments, say = names or {}, list(segments), speaker("plot", lang)
    labels = list(scores)
    colours = {label: MUTED for label in labels} | dict(colours or {})
    with matplotlib.rc_context(STYLE):
        figure = blank(11, 3.9)
        grid = figure.add_gridspec(2, 2, width_ratios=(2.4, 1), height_ratios=(3, 1.15))
        wave, lanes, beside = (figure.add_subplot(grid[place]) for place in ((0, 0), (1, 0), (slice(None), 1)))
        if isinstance(sound, Curves):
            _draw_curves(wave, sound, colours, say)
        else:
            _draw_wave(wave, sound.levels(_COLUMNS), span, say)
        _draw_lanes(lanes, labels, names, colours, segments, span, say, say("silent" if silent else "none"))
        lanes.sharex(wave)
        wave.tick_params(labelbottom=False)
        wave.set_title(title)
        if exclusive:
            _draw_pie(beside, scores, names, colours)
        else:
            _draw_bars(beside, scores, names, colours, thresholds or {}, say)
    return figure


def _draw_wave(axes: Any, levels: NDArray[np.float32], span: tuple[float, float], say: Callable[..., str]) -> None:
    times = np.linspace(*span, len(levels), endpoint=False)
    axes.fill_between(times, -levels, levels, color=WAVE, linewidth=0.4, edgecolor=WAVE, step="post")
    top = 1.05 * (float(levels.max(initial=0)) or 1.0)
    axes.set(ylim=(-top, top), xlim=span, ylabel=say("amplitude"))
    axes.axhline(0, color=MUTED, linewidth=0.5)


def _draw_curves(axes: Any, curves: Curves, colours: Mapping[str, str], say: Callable[..., str]) -> None:
    """Draw scores over time as steps."""
    for label, values in curves.scores.items():
        axes.stairs(values, curves.times, color=colours[label], linewidth=1.4, baseline=None)
    axes.set(ylim=(0, 1.03), xlim=(float(curves.times[0]), float(curves.times[-1])), ylabel=say("score"))


def _draw_lanes(
    axes: Any,
    labels: Sequence[str],
    names: Mapping[str, str],
    colours: Mapping[str, str],
    segments: list[tuple[str, float, float]],
    span: tuple[float, float],
    say: Callable[..., str],
    nothing: str,
) -> None:
    shown = [label for label in labels if any(segment[0] == label for segment in segments)]
    for label, first, last in segments:
        axes.barh(shown.index(label), last - first, left=first, height=0.7, color=colours[label])
    axes.set(yticks=range(len(shown)), xlabel=say("seconds"), xlim=span, ylim=(max(len(shown), 2) - 0.4, -0.6))
    axes.set_yticklabels([names.get(label, label) for label in shown])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    if not shown:
        axes.text(0.5, 0.5, nothing, transform=axes.transAxes, ha="center", va="center", color=MUTED)


def _draw_pie(axes: Any, scores: Mapping[str, float], names: Mapping[str, str], colours: Mapping[str, str]) -> None:
    labels = list(scores)
    tints = [colours[label] for label in labels]
    shares = np.array([max(0.0, scores[label]) for label in labels])
    if shares.sum() > 0:
        axes.pie(
            shares, colors=tints, startangle=90, counterclock=False, wedgeprops={"linewidth": 1, "edgecolor": "white"}
        )
    handles = [
        Patch(color=tint, label=f"{names.get(label, label)} {scores[label]:.1%}")
        for label, tint in zip(labels, tints, strict=True)
    ]
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0.02), ncols=2, fontsize=9)


def _draw_bars(
    axes: Any,
    scores: Mapping[str, float],
    names: Mapping[str, str],
    colours: Mapping[str, str],
    thresholds: Mapping[str, float],
    say: Callable[..., str],
) -> None:
    labels = list(scores)
    for i, label in enumerate(labels):
        axes.barh(i, scores[label], height=0.62, color=colours[label])
        axes.annotate(
            f"{scores[label]:.2f}",
            (scores[label], i),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
        if label in thresholds:
            axes.plot([thresholds[label]] * 2, [i - 0.42, i + 0.42], color=INK, linewidth=1.4)
    axes.set(
        yticks=range(len(labels)),
        xlim=(0, 1.12),
        ylim=(len(labels) - 0.4, -0.6),
        title=say("scores" if thresholds else "scores_alone"),
    )
    axes.set_yticklabels([names.get(label, label) for label in labels])
    axes.set_xticks([0, 0.5, 1])
    axes.tick_params(axis="y", length=0)


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
    prediction, whose thresholds are drawn, or a pie where its scores share one unit.
    """
    start, duration = float(prediction.frame_times[0]), prediction.duration
    shown = [label.id for label in Tree(prediction.labels).outline([*prediction.playing, *prediction.maybe])]
    sound: Outline | Curves | None = None
    if not frames and prediction.path not in ("", "-") and not is_address(prediction.path):
        try:
            sound = Outline()
            for block in reading.stream(prediction.path, sample_rate=RATE, start=start, duration=duration, track=track):
                sound.add(block)
        except AudioError:
            sound = None  # it is not there any more
    if sound is None:
        columns = {label: prediction.frame_scores[:, i] for i, label in enumerate(prediction.scores) if label in shown}
        borders = prediction.frame_times if len(prediction.frame_scores) else np.array([start, start + duration])
        sound = Curves(borders, columns if len(prediction.frame_scores) else {})
    limits = dict(zip(prediction.scores, config.thresholds, strict=True)) if config else {}
    return recording_figure(
        sound,
        {label: prediction.scores[label] for label in shown},
        exclusive=config is not None and config.activation == "softmax",
        span=(start, start + duration),
        title=shortened(Path(prediction.path).name),
        names={label.id: label.name(lang) for label in prediction.labels},
        colours={label.id: label.colour for label in prediction.labels},
        segments=[(segment.label, segment.start, segment.end) for segment in prediction.segments],
        thresholds={label: limits[label] for label in shown if label in limits},
        silent=prediction.silent,
        lang=lang,
    )


def draw_recording(
    prediction: Prediction, config: ModelConfig, target: Path | str, *, track: int | None = None, lang: str = "en"
) -> None:
    """Draw a prediction of the model as PNG or SVG, as the name ends. Raises `UsageError` for another ending."""
    kind_of(target)  # before the recording is read
    write_figure(prediction_figure(prediction, config=config, track=track, lang=lang), target)
