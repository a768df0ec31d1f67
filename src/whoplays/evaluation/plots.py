"""A training's history, a confusion matrix, and quality by label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..results.drawing import INK, MUTED, STYLE, blank
from ..taxonomy.messages import speaker

#: Figures of a history that lie between 0 and 1, and how they are drawn.
_QUALITY = {"accuracy": "#0072B2", "precision": "#D55E00", "recall": "#009E73", "map": "#CC79A7"}


def history_figure(rows: Sequence[Mapping[str, float]], *, best_epoch: int = 0, lang: str = "en") -> Figure:
    """Return the curves of a training: loss, and what there is of accuracy, precision, recall and mean average precision.

    rows: one an epoch, with `epoch` and figures by name; those that begin with `val_` are of validation rows.
    """
    say = speaker("evaluation", lang)
    loss = say("loss").capitalize()
    with matplotlib.rc_context(STYLE):
        figure = blank(9, 3.6)
        left, right = figure.subplots(1, 2)
        shown = _curves(left, rows, {"loss": INK}, lang), _curves(right, rows, _QUALITY, lang)
        left.set(title=say("kept", loss=loss, epoch=best_epoch) if best_epoch else loss, xlabel=say("epoch"))
        right.set(title=", ".join(shown[1]).capitalize(), xlabel=say("epoch"), ylim=(0, 1))
        for axes, names in zip((left, right), shown, strict=True):
            axes.grid(axis="y")
            axes.xaxis.get_major_locator().set_params(integer=True)
            if best_epoch:
                axes.axvline(best_epoch, color=MUTED, linewidth=1, linestyle=":")
            if names:
                axes.legend(fontsize=8)
    return figure


def _curves(axes: Any, rows: Sequence[Mapping[str, float]], tints: Mapping[str, str], lang: str) -> list[str]:
    """Draw each figure that the rows have, on training rows dashed, on validation rows full; return which were drawn."""
    marker, shown, say = "o" if len(rows) < 3 else "", [], speaker("evaluation", lang)
    for name, tint in tints.items():
        for key, where, look in ((name, "on_training", "--"), (f"val_{name}", "validation", "-")):
            points = [(row["epoch"], row[key]) for row in rows if row.get(key) is not None]
            if points:
                axes.plot(
                    *zip(*points, strict=True), look, color=tint, marker=marker, label=f"{say(name)}, {say(where)}"
                )
                shown.append(say(name))
    return list(dict.fromkeys(shown))


def confusion_figure(matrix: NDArray[np.integer], labels: Sequence[str], lang: str = "en") -> Figure:
    """Return counts (labels, labels), true by row, as a table shaded by the share of each row."""
    matrix, say = np.asarray(matrix), speaker("evaluation", lang)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    with matplotlib.rc_context(STYLE):
        size = 1.6 + 0.72 * len(labels)
        figure = blank(size + 0.6, size)
        axes = figure.subplots()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for i, j in np.ndindex(*matrix.shape):
            ink = "white" if shares[i, j] > 0.55 else "#10243a"  # on a blue of its own, in light and dark alike
            axes.text(j, i, f"{matrix[i, j]}\n{shares[i, j]:.0%}", ha="center", va="center", color=ink, fontsize=9)
        axes.set(xticks=range(len(labels)), yticks=range(len(labels)), xlabel=say("highest"), ylabel=say("plays"))
        axes.set_xticklabels(labels, rotation=30 if max(map(len, labels)) > 8 else 0)
        axes.set_yticklabels(labels)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    return figure


def bars_figure(
    values: Mapping[str, Mapping[str, float]],
    intervals: Mapping[str, Mapping[str, tuple[float, float]]],
) -> Figure:
    """Return bars by label, from 0 to 1, for each named figure, with intervals: values[figure][label]."""
    names, labels = list(values), list(next(iter(values.values())))
    tints = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9")
    with matplotlib.rc_context(STYLE):
        figure = blank(max(6.0, 1.2 * len(labels) + 2), 3.6)
        axes = figure.subplots()
        width = 0.8 / len(names)
        for n, name in enumerate(names):
            heights = np.array([values[name][label] for label in labels], dtype=float)
            bounds = np.array([intervals.get(name, {}).get(label, (np.nan, np.nan)) for label in labels], dtype=float)
            errors = np.clip(np.nan_to_num(np.stack([heights - bounds[:, 0], bounds[:, 1] - heights])), 0, None)
            places = np.arange(len(labels)) + (n - (len(names) - 1) / 2) * width
            axes.bar(places, np.nan_to_num(heights), width * 0.92, color=tints[n % len(tints)], label=name)
            axes.errorbar(places, np.nan_to_num(heights), yerr=errors, fmt="none", ecolor=INK, elinewidth=1, capsize=2)
        axes.set(xticks=range(len(labels)), ylim=(0, 1))
        axes.set_xticklabels(labels)
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        axes.legend(fontsize=8, ncols=len(names), loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure


def precision_recall_figure(
    curves: Mapping[str, Sequence[Sequence[float]]],
    thresholds: Mapping[str, float],
    tints: Mapping[str, str],
    lang: str = "en",
) -> Figure:
    """Return a small plot for each label of `tints` (its colour): its curve, and a dot at the model's own threshold.

    curves: points (threshold, recall, precision) by label, from the highest threshold on.
    """
    say = speaker("evaluation", lang)
    across = min(4, len(tints))
    down = -(-len(tints) // across)
    with matplotlib.rc_context(STYLE):
        figure = blank(2.4 * across, 2.2 * down)
        panels = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).ravel()
        for axes, (label, tint) in zip(panels, tints.items(), strict=False):
            axes.set(title=label, xlim=(0, 1.02), ylim=(0, 1.05), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
            axes.title.set_fontsize(9)
            axes.grid()
            points = np.array(curves[label])
            if not len(points):
                axes.text(0.5, 0.5, say("absent"), ha="center", fontsize=8, color=MUTED)
                continue
            axes.plot(points[:, 1], points[:, 2], color=tint, linewidth=2, drawstyle="steps-post")
            own = points[points[:, 0] >= thresholds[label]]
            if len(own):
                axes.plot(own[-1, 1], own[-1, 2], "o", color=INK, markersize=5)
        for axes in panels[len(tints) :]:
            axes.set_visible(False)
        figure.supxlabel(say("recall"), fontsize=9)
        figure.supylabel(say("precision"), fontsize=9)
    return figure


def reliability_figure(bins: Sequence[Mapping[str, float]], lang: str = "en") -> Figure:
    """Return how often labels play at scores of each size, and below it how many such scores there are."""
    say = speaker("evaluation", lang)
    with matplotlib.rc_context(STYLE):
        figure = blank(4.6, 4.8)
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3.4, 1))
        upper.plot((0, 1), (0, 1), "--", color=MUTED, linewidth=1)
        upper.plot([b["score"] for b in bins], [b["plays"] for b in bins], "o-", color="#0072B2", linewidth=2)
        upper.set(xlim=(0, 1), ylim=(0, 1.03), ylabel=say("ratio"))
        upper.grid()
        lower.bar(
            [(b["low"] + b["high"]) / 2 for b in bins],
            [b["cells"] for b in bins],
            0.092,
            color=MUTED,
            log=len(bins) > 0,
        )
        lower.set(xlabel=say("score"), ylabel=say("scores"))
    return figure
