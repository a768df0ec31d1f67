"""The figures of docs/explanation/performance.md, from what the benches last kept.

python -m bench figures     docs/explanation/performance-growth.png, docs/explanation/performance-shares.png
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib
from PIL import Image

from bench import EXPLANATION
from bench.measure import FOLDER
from whoplays.results.drawing import MUTED, STYLE, blank, write_figure
from whoplays.taxonomy.catalogue import catalogue

ARGUMENTS = ()  # drawn from kept results, on request
FIRST, SECOND = catalogue()["piano"].colour, catalogue()["drums"].colour


def rows(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((FOLDER / f"{name}.json").read_text())["rows"]
    return found


def number(value: Any) -> float:
    """A cell of a table: a number, or one written with commas."""
    return float(str(value).replace(",", ""))


def curve(axes: Any, points: list[tuple[float, float]], colour: str, label: str = "", above: int = 7) -> None:
    axes.plot(*zip(*points, strict=True), "o-", color=colour, label=label)
    for x, y in points:
        axes.annotate(f"{y:.3g}", (x, y), (0, above), textcoords="offset points", ha="center", fontsize=8, color=colour)


def columns(name: str, x: str, y: str) -> list[tuple[float, float]]:
    return [(number(row[x]), number(row[y])) for row in rows(name)]


def growth() -> Any:
    """What should stay flat: memory over a recording's length, cost and memory over the number of clips or rows."""
    plan = [row for row in rows("audioset_plan") if str(row["clips a class"]) == "3962"]
    panels = (
        ("Predicting: memory, MB", "hours of the recording", 300),
        ("Building: processor ms a clip", "clips", 0),
        ("Building: memory, MB", "clips", 0),
        ("AudioSet plan: microseconds a row", "rows of the list", 0),
    )
    with matplotlib.rc_context(STYLE):
        figure = blank(9.2, 5)
        predicting, cost, memory, planning = figure.subplots(2, 2).ravel()
        curve(predicting, columns("streaming_growth", "hours", "greatest memory, MB"), FIRST)
        curve(cost, columns("dataset_growth", "clips", "processor ms a clip"), FIRST)
        curve(memory, columns("dataset_growth", "clips", "greatest memory of a worker, MB"), FIRST, "a worker", -14)
        curve(memory, columns("dataset_growth", "clips", "of the process that plans, MB"), SECOND, "the one that plans")
        curve(planning, [(number(r["rows"]), 1e6 / number(r["rows a second"])) for r in plan], FIRST)
        for axes, (title, what, limit) in zip((predicting, cost, memory, planning), panels, strict=True):
            axes.set(xscale="log", title=title, xlabel=what)
            axes.margins(x=0.12)
            axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}" if x >= 1 else f"{x:g}")
            axes.grid(axis="y")
            axes.set_ylim(0, 1.35 * max(limit, *(y for line in axes.lines for y in line.get_ydata())))
            if limit:
                axes.axhline(limit, color=MUTED, linestyle=":")
                axes.annotate("aim", (0.02, limit), (0, 4), ("axes fraction", "data"), "offset points", color=MUTED)
        memory.legend(fontsize=8, loc="upper left")
    return figure


def shares() -> Any:
    """Where the time of predicting and of building goes."""
    with matplotlib.rc_context(STYLE):
        figure = blank(9.2, 3.8)
        for axes, name, title in zip(
            figure.subplots(1, 2),
            ("profile_predict", "profile_build"),
            ("Predicting 10 s, ms", "Building from 10 s, ms"),
            strict=True,
        ):
            parts = [row for row in rows(name) if row["ms a recording"] >= 0.1][::-1]
            names, values = [row["what"].split(":")[0] for row in parts], [row["ms a recording"] for row in parts]
            axes.barh(names, values, color=FIRST, height=0.7)
            for place, value in enumerate(values):
                axes.annotate(
                    f"{value:.2g}", (value, place), (4, 0), textcoords="offset points", va="center", fontsize=8
                )
            axes.set(title=title, xlim=(0, 1.15 * max(values)))
            axes.tick_params(axis="y", length=0, labelsize=8)
            axes.grid(axis="x")
    return figure


def main() -> None:
    for name, figure in (("growth", growth()), ("shares", shares())):
        path = Path(EXPLANATION, f"performance-{name}.png")
        write_figure(figure, path)
        Image.open(path).convert("RGB").quantize(48).save(path, optimize=True)  # a third of the bytes, no other look
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")
