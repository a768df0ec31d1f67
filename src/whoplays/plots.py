"""Figures: a training's history, a confusion matrix, quality by label, a recording. The only user of matplotlib.

Figures are drawn without a screen. As SVG they have no background, their ink is `currentColor` and their text stays
text, so that a page shows them in its own light or dark colours and without loading anything.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from . import audio
from .colours import COLOURS as COLOURS
from .colours import colour
from .errors import UsageError
from .files import write_atomically
from .labels import Label

if TYPE_CHECKING:
    from .audioset import Dependencies
    from .bundle import ModelConfig
    from .predict import Prediction

_INK, _MUTED, _WAVE = "#1c2127", "#7d8590", "#6a7fa0"
_COLUMNS = 1600  # of a waveform

_STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 10,
    "svg.fonttype": "none",
    "svg.hashsalt": "whoplays",
    "text.color": _INK,
    "axes.edgecolor": _MUTED,
    "axes.labelcolor": _INK,
    "axes.titleweight": "bold",
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "grid.color": _MUTED,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
}


def _figure(width: float, height: float) -> Figure:
    """Return an empty figure, in inches. Sizes, fonts and colours are in force only while it is drawn and saved."""
    return Figure(figsize=(width, height), layout="constrained")


def _saved(figure: Figure, kind: str) -> bytes:
    content = io.BytesIO()
    with matplotlib.rc_context(_STYLE):
        if kind == "svg":
            figure.savefig(content, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        else:
            figure.savefig(content, format=kind, dpi=144, facecolor="white", metadata={"Software": None})
    return content.getvalue()


def svg(figure: Figure, *, description: str) -> str:
    """Return a figure as an <svg> element for a page: ink as `currentColor`, read out as `description`."""
    text = _saved(figure, "svg").decode()
    text = text[text.index("<svg") :].replace(_INK, "currentColor")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*pt"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*pt"', r"\1", text, count=1)
    text = text.replace("font: ", "font-family:inherit;font: ")
    described = escape(description)
    return _own_ids(text.replace("<svg", f'<svg role="img" aria-label="{described}"', 1), described)


def _own_ids(text: str, salt: str) -> str:
    """Make ids of one figure differ from those of another on the same page."""
    import hashlib

    mark = "f" + hashlib.blake2b((salt + text).encode(), digest_size=4).hexdigest()
    text = re.sub(r'\bid="([^"]+)"', rf'id="{mark}-\1"', text)
    return re.sub(r"(url\(#|href=\"#)", rf"\g<1>{mark}-", text)


def write_figure(figure: Figure, path: Path | str) -> None:
    """Write a figure as PNG or SVG, as the name ends. Raises `UsageError` for another ending."""
    path = Path(path)
    kind = path.suffix.lower().lstrip(".")
    if kind not in ("png", "svg"):
        raise UsageError(f"{path}: figures are written as .png, .svg or .html")
    write_atomically(path, _saved(figure, kind))


#: Figures of a history that lie between 0 and 1, and how they are drawn.
_QUALITY = {"accuracy": "#0072B2", "precision": "#D55E00", "recall": "#009E73", "map": "#CC79A7"}


def history_figure(rows: Sequence[Mapping[str, float]], *, best_epoch: int = 0) -> Figure:
    """Return the curves of a training: loss, and what there is of accuracy, precision, recall and mean average precision.

    rows: one an epoch, with `epoch` and figures by name; those that begin with `val_` are of validation rows.
    """
    with matplotlib.rc_context(_STYLE):
        figure = _figure(9, 3.6)
        left, right = figure.subplots(1, 2)
        shown = _curves(left, rows, {"loss": _INK}), _curves(right, rows, _QUALITY)
        left.set(title=f"Loss (dotted: epoch {best_epoch} was kept)" if best_epoch else "Loss", xlabel="epoch")
        right.set(title=", ".join(shown[1]).capitalize(), xlabel="epoch", ylim=(0, 1))
        for axes, names in zip((left, right), shown, strict=True):
            axes.grid(axis="y")
            axes.xaxis.get_major_locator().set_params(integer=True)
            if best_epoch:
                axes.axvline(best_epoch, color=_MUTED, linewidth=1, linestyle=":")
            if names:
                axes.legend(fontsize=8)
    return figure


def _curves(axes: Any, rows: Sequence[Mapping[str, float]], tints: Mapping[str, str]) -> list[str]:
    """Draw each figure that the rows have, on training rows dashed, on validation rows full; return which were drawn."""
    marker, shown = "o" if len(rows) < 3 else "", []
    for name, tint in tints.items():
        for key, where, look in ((name, "training", "--"), (f"val_{name}", "validation", "-")):
            points = [(row["epoch"], row[key]) for row in rows if row.get(key) is not None]
            if points:
                axes.plot(*zip(*points, strict=True), look, color=tint, marker=marker, label=f"{name}, {where}")
                shown.append(name)
    return list(dict.fromkeys(shown))


def confusion_figure(matrix: NDArray[np.integer], labels: Sequence[str]) -> Figure:
    """Return counts (labels, labels), true by row, as a table shaded by the share of each row."""
    matrix = np.asarray(matrix)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    with matplotlib.rc_context(_STYLE):
        size = 1.6 + 0.72 * len(labels)
        figure = _figure(size + 0.6, size)
        axes = figure.subplots()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for i, j in np.ndindex(*matrix.shape):
            ink = "white" if shares[i, j] > 0.55 else "#10243a"  # on a blue of its own, in light and dark alike
            axes.text(j, i, f"{matrix[i, j]}\n{shares[i, j]:.0%}", ha="center", va="center", color=ink, fontsize=9)
        axes.set(xticks=range(len(labels)), yticks=range(len(labels)), xlabel="highest score", ylabel="plays")
        axes.set_xticklabels(labels, rotation=30 if max(map(len, labels)) > 8 else 0)
        axes.set_yticklabels(labels)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    return figure


def bars_figure(
    values: Mapping[str, Mapping[str, float]],
    intervals: Mapping[str, Mapping[str, tuple[float, float]]],
    *,
    title: str = "",
) -> Figure:
    """Return bars by label, from 0 to 1, for each named figure, with intervals: values[figure][label]."""
    names, labels = list(values), list(next(iter(values.values())))
    tints = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9")
    with matplotlib.rc_context(_STYLE):
        figure = _figure(max(6.0, 1.2 * len(labels) + 2), 3.6)
        axes = figure.subplots()
        width = 0.8 / len(names)
        for n, name in enumerate(names):
            heights = np.array([values[name][label] for label in labels], dtype=float)
            bounds = np.array([intervals.get(name, {}).get(label, (np.nan, np.nan)) for label in labels], dtype=float)
            errors = np.clip(np.nan_to_num(np.stack([heights - bounds[:, 0], bounds[:, 1] - heights])), 0, None)
            places = np.arange(len(labels)) + (n - (len(names) - 1) / 2) * width
            axes.bar(places, np.nan_to_num(heights), width * 0.92, color=tints[n % len(tints)], label=name)
            axes.errorbar(places, np.nan_to_num(heights), yerr=errors, fmt="none", ecolor=_INK, elinewidth=1, capsize=2)
        axes.set(xticks=range(len(labels)), ylim=(0, 1), title=title)
        axes.set_xticklabels(labels)
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        axes.legend(fontsize=8, ncols=len(names), loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure


class Envelope:
    """The lowest and highest sample of each of some 1600 equal stretches of a recording, filled block by block."""

    def __init__(self, n_samples: int) -> None:
        """Prepare for n samples; a few more or less do no harm."""
        self.hop = max(1, -(-n_samples // _COLUMNS))
        self._rest = np.zeros(0, dtype=np.float32)
        self._parts: list[NDArray[np.float32]] = []

    def add(self, block: NDArray[np.float32]) -> None:
        """Take in the next samples (n,)."""
        samples = np.concatenate([self._rest, block])
        whole = len(samples) // self.hop * self.hop
        columns = samples[:whole].reshape(-1, self.hop)
        self._parts.append(
            np.stack([columns.min(axis=1), columns.max(axis=1)]) if whole else np.zeros((2, 0), np.float32)
        )
        self._rest = samples[whole:]

    def bounds(self) -> NDArray[np.float32]:
        """Return (2, columns)."""
        rest = [np.array([[self._rest.min()], [self._rest.max()]])] if len(self._rest) else []
        return np.concatenate([*self._parts, *rest], axis=1) if self._parts or rest else np.zeros((2, 0), np.float32)


def recording_figure(
    samples: NDArray[np.float32] | Envelope,
    sample_rate: int,
    scores: Mapping[str, float],
    *,
    exclusive: bool = True,
    start: float = 0.0,
    title: str = "",
    names: Mapping[str, str] | None = None,
    segments: Iterable[tuple[str, float, float]] = (),
    thresholds: Mapping[str, float] | None = None,
) -> Figure:
    """Return a recording's waveform, with who plays when under it, and beside it a pie (or bars) of its scores.

    samples: (n,) at sample_rate Hz, or their `Envelope`. scores: label id -> probability. exclusive: the scores share
    one unit (softmax) and make a pie; otherwise each has a bar of its own, with its threshold. start: seconds at which
    the samples begin. names: label id -> displayed name. segments: (label id, start, end) in seconds.
    """
    names, segments = names or {}, list(segments)
    labels = list(scores)
    with matplotlib.rc_context(_STYLE):
        figure = _figure(11, 3.9)
        grid = figure.add_gridspec(2, 2, width_ratios=(2.4, 1), height_ratios=(3, 1.15))
        wave, lanes, beside = (
            figure.add_subplot(grid[0, 0]),
            figure.add_subplot(grid[1, 0]),
            figure.add_subplot(grid[:, 1]),
        )
        end = _draw_wave(wave, samples, sample_rate, start)
        _draw_lanes(lanes, labels, names, segments, start, end)
        lanes.sharex(wave)
        wave.tick_params(labelbottom=False)
        wave.set_title(title)
        if exclusive:
            _draw_pie(beside, scores, names)
        else:
            _draw_bars(beside, scores, names, thresholds or {})
    return figure


def _draw_wave(axes: Any, samples: NDArray[np.float32] | Envelope, sample_rate: int, start: float) -> float:
    """Draw the waveform; return the second at which it ends."""
    if not isinstance(samples, Envelope):
        envelope = Envelope(len(samples))
        envelope.add(np.asarray(samples, dtype=np.float32))
        samples = envelope
    low, high = samples.bounds()
    times = start + np.arange(len(low)) * samples.hop / sample_rate
    axes.fill_between(times, low, high, color=_WAVE, linewidth=0.4, edgecolor=_WAVE)
    top = float(max(np.abs(low).max(initial=0), np.abs(high).max(initial=0))) or 1.0
    end = float(times[-1] + samples.hop / sample_rate) if len(times) else start + 1.0
    axes.set(ylim=(-1.05 * top, 1.05 * top), xlim=(start, end), ylabel="amplitude")
    axes.axhline(0, color=_MUTED, linewidth=0.5)
    return end


def _draw_lanes(
    axes: Any,
    labels: Sequence[str],
    names: Mapping[str, str],
    segments: list[tuple[str, float, float]],
    start: float,
    end: float,
) -> None:
    shown = [label for label in labels if any(segment[0] == label for segment in segments)]
    for label, first, last in segments:
        axes.barh(shown.index(label), last - first, left=first, height=0.7, color=colour(label, labels))
    axes.set(yticks=range(len(shown)), xlabel="seconds", xlim=(start, end), ylim=(max(len(shown), 2) - 0.4, -0.6))
    axes.set_yticklabels([names.get(label, label) for label in shown])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    if not shown:
        axes.text(
            0.5, 0.5, "no score reaches its threshold", transform=axes.transAxes, ha="center", va="center", color=_MUTED
        )


def _draw_pie(axes: Any, scores: Mapping[str, float], names: Mapping[str, str]) -> None:
    labels = list(scores)
    tints = [colour(label, labels) for label in labels]
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
    axes: Any, scores: Mapping[str, float], names: Mapping[str, str], thresholds: Mapping[str, float]
) -> None:
    labels = list(scores)
    for i, label in enumerate(labels):
        axes.barh(i, scores[label], height=0.62, color=colour(label, labels))
        axes.annotate(
            f"{scores[label]:.2f}",
            (scores[label], i),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
        if label in thresholds:
            axes.plot([thresholds[label]] * 2, [i - 0.42, i + 0.42], color=_INK, linewidth=1.4)
    axes.set(yticks=range(len(labels)), xlim=(0, 1.12), ylim=(len(labels) - 0.4, -0.6), title="Score, and threshold")
    axes.set_yticklabels([names.get(label, label) for label in labels])
    axes.set_xticks([0, 0.5, 1])
    axes.tick_params(axis="y", length=0)


def draw_recording(
    prediction: Prediction,
    config: ModelConfig,
    source: Path | str,
    target: Path | str,
    *,
    start: float = 0.0,
    duration: float | None = None,
    lang: str = "en",
) -> None:
    """Draw what was heard in a recording, or the part of it from `start` for `duration` seconds, as PNG, SVG or HTML.

    target: its ending says which. Raises `UsageError` for another one, `AudioError` when the recording cannot be read.
    """
    target = Path(target)
    if target.suffix.lower() not in (".png", ".svg", ".html", ".htm"):
        raise UsageError(f"{target}: figures are written as .png, .svg or .html")
    rate = config.features.sample_rate
    envelope = Envelope(round(prediction.duration * rate))
    with audio.open_audio(source) as reader:
        for block in audio.stream(reader, sample_rate=rate, start=start, duration=duration):
            envelope.add(block)
    names = {label.id: label.name(lang) for label in config.labels}
    figure = recording_figure(
        envelope,
        rate,
        prediction.scores,
        exclusive=config.activation == "softmax",
        start=start,
        title=_shortened(Path(source).name),
        names=names,
        segments=[(segment.family, segment.start, segment.end) for segment in prediction.segments],
        thresholds=dict(zip(prediction.scores, config.thresholds, strict=True)),
    )
    if target.suffix.lower() in (".png", ".svg"):
        write_figure(figure, target)
        return
    from .report_page import recording_page

    told = _told(prediction, config.labels, lang)
    picture = svg(figure, description=f"Waveform of {Path(source).name} and its scores: {told}")
    write_atomically(target, recording_page(prediction, config, picture, name=Path(source).name, lang=lang))


def _told(prediction: Prediction, labels: Sequence[Label], lang: str) -> str:
    return ", ".join(f"{label.name(lang)} {prediction.scores[label.id]:.2f}" for label in labels)


def _shortened(name: str, most: int = 70) -> str:
    """Return a file's name for a title, without what matplotlib would take for mathematics."""
    return (name if len(name) <= most else name[: most - 12] + "..." + name[-9:]).replace("$", r"\$")


def cooccurrence_figure(found: Dependencies) -> Figure:
    """Return how labels hang together: pairs of classes as a table of counts and lift, then each class's companions."""
    count = len(found.classes)
    columns = min(3, count + 1)
    with matplotlib.rc_context(_STYLE):
        figure = _figure(4.6 * columns, 3.5 * -(-(count + 1) // columns))
        panels = figure.subplots(-(-(count + 1) // columns), columns, squeeze=False).ravel()
        _draw_pairs(panels[0], found)
        most = max((pair.share_of_a for pairs in found.companions.values() for pair in pairs), default=1.0)
        for axes, name in zip(panels[1:], found.classes, strict=False):
            _draw_companions(axes, found, name, most)
        for axes in panels[count + 1 :]:
            axes.set_visible(False)
    return figure


def _draw_pairs(axes: Any, found: Dependencies) -> None:
    """Draw clips with both, and below it the lift, shaded from less than chance (blue) to more (orange)."""
    names = found.classes
    shade = np.full((len(names), len(names)), np.nan)
    for i, a in enumerate(names):
        axes.text(i, i, f"{found.clips[a]:,}", ha="center", va="center", fontsize=9, fontweight="bold")
        for j in range(i):
            pair = found.pair(a, names[j])
            shade[i, j] = np.clip(np.log2(pair.lift), -3, 3) if pair.lift else -3
            told = f"{pair.both:,}\n×{pair.lift:.1f}"
            axes.text(j, i, told, ha="center", va="center", color="#10243a", fontsize=9)
    axes.imshow(shade, cmap="PuOr_r", vmin=-6, vmax=6)
    axes.set(xticks=range(len(names)), yticks=range(len(names)), title="Clips with both, and lift")
    axes.set_xticklabels(names, rotation=30)
    axes.set_yticklabels(names)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _draw_companions(axes: Any, found: Dependencies, name: str, most: float) -> None:
    """Draw how many of a class's clips carry each of its companions, with the lift."""
    pairs = found.companions[name]
    shares = [100 * pair.share_of_a for pair in pairs]
    axes.barh(range(len(pairs)), shares, color=colour(name, found.classes), height=0.7)
    for place, (pair, share) in enumerate(zip(pairs, shares, strict=True)):
        axes.text(share + 1.2 * most, place, f"×{pair.lift:.1f}", va="center", fontsize=8, color=_MUTED)
    axes.set(yticks=range(len(pairs)), title=f"{name}: {found.clips[name]:,} clips", xlabel="% of them, and lift")
    axes.set_yticklabels([_shortened(pair.name_b, 30) for pair in pairs], fontsize=9)
    axes.set_xlim(0, 115 * most or 1)
    axes.invert_yaxis()
