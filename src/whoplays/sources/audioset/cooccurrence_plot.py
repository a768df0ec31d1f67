"""How the labels of AudioSet hang together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from ...results.drawing import MUTED, STYLE, blank, shortened
from ...taxonomy.catalogue import catalogue

if TYPE_CHECKING:
    from . import Dependencies


def cooccurrence_figure(found: Dependencies) -> Figure:
    """Return how labels hang together: pairs of classes as a table of counts and lift, then each class's companions."""
    count = len(found.classes)
    columns = min(3, count + 1)
    with matplotlib.rc_context(STYLE):
        figure = blank(4.6 * columns, 3.5 * -(-(count + 1) // columns))
        panels = figure.subplots(-(-(count + 1) // columns), columns, squeeze=False).ravel()
        _draw_pairs(panels[0], found)
        most = max((pair.share_of_a for pairs in found.companions.values() for pair in pairs), default=1.0)
        tints = {label.id: label.colour for label in catalogue().labels_for(found.classes)}
        for axes, name in zip(panels[1:], found.classes, strict=False):
            _draw_companions(axes, found, name, tints[name], most)
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
            if not (pair := found.pair(a, names[j])):
                continue
            shade[i, j] = np.clip(np.log2(pair.lift), -3, 3) if pair.lift else -3
            cell_text = f"{pair.both:,}\n×{pair.lift:.1f}"
            axes.text(j, i, cell_text, ha="center", va="center", color="#10243a", fontsize=9)
    axes.imshow(shade, cmap="PuOr_r", vmin=-6, vmax=6)
    axes.set(xticks=range(len(names)), yticks=range(len(names)), title="Clips with both, and lift")
    axes.set_xticklabels(names, rotation=30)
    axes.set_yticklabels(names)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _draw_companions(axes: Any, found: Dependencies, name: str, tint: str, most: float) -> None:
    """Draw how many of a class's clips carry each of its companions, with the lift."""
    pairs = found.companions[name]
    shares = [100 * pair.share_of_a for pair in pairs]
    axes.barh(range(len(pairs)), shares, color=tint, height=0.7)
    for place, (pair, share) in enumerate(zip(pairs, shares, strict=True)):
        axes.text(share + 1.2 * most, place, f"×{pair.lift:.1f}", va="center", fontsize=8, color=MUTED)
    axes.set(yticks=range(len(pairs)), title=f"{name}: {found.clips[name]:,} clips", xlabel="% of them, and lift")
    axes.set_yticklabels([shortened(pair.name_b, 30) for pair in pairs], fontsize=9)
    axes.set_xlim(0, 115 * most or 1)
    axes.invert_yaxis()
