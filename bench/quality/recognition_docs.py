"""What bench/quality/recognition.py leaves behind: tables in bench/results and docs/default-model.md, and pictures to look at."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import soxr

from bench import DOCS, measure
from bench.quality.real import RATE, Figure, Heard, Recording, Tasks
from whoplays import features, load
from whoplays.results.drawing import MUTED, STYLE, blank, write_figure
from whoplays.storage.files import write_atomically
from whoplays.taxonomy.catalogue import catalogue

FAMILY_IDS = catalogue().defaults

PAGE, PICTURE = DOCS / "default-model.md", "default-model-{half}.png"
WORST = 8  # of each kind
WINDS = ("saxophone", "clarinet", "flute", "oboe", "bassoon")
VOICES = ("voice", "speech", "singing")

#: One clip judged wrongly: what kind of failure, which recording, which family, and its score by the first recogniser.
Failure = tuple[str, Recording, int, float]


def failures(heard: Heard, tasks: Tasks) -> list[Failure]:
    """Return what a recogniser gets wrong at its thresholds, by kind, the worst first."""
    found: list[Failure] = []
    parts: Sequence[tuple[str, list[Recording], Any]] = (
        ("", tasks.clips, heard.clips),
        ("duet: lost", tasks.duets, heard.duets),
        ("noise heard as", [r for r in tasks.silent if r.instrument == "noise"], _noise_scores(heard, tasks)),
    )
    for kind, recordings, scores in parts:
        for recording, row in zip(recordings, scores, strict=True):
            for family, (score, limit) in enumerate(zip(row, heard.thresholds, strict=True)):
                target = recording.targets[family]
                if target == 1 and score < limit:
                    found.append((kind or "missed", recording, family, float(score)))
                if target == 0 and score >= limit and kind != "duet: lost":
                    found.append((kind or "heard as", recording, family, float(score)))
    return sorted(found, key=lambda f: (f[0], -abs(float(f[1].targets[f[2]]) - f[3])))


def _noise_scores(heard: Heard, tasks: Tasks) -> Any:
    return heard.silent[[r.instrument == "noise" for r in tasks.silent]]


def _worst(heard: Heard, tasks: Tasks) -> dict[str, list[Failure]]:
    kinds: dict[str, list[Failure]] = {}
    for failure in failures(heard, tasks):
        kinds.setdefault(failure[0], []).append(failure)
    return {kind: found[:WORST] for kind, found in kinds.items()}


def draw_worst(heard: Sequence[Heard], tasks: Tasks, model: Path | None, folder: Path) -> None:
    """Draw the first recogniser's worst clips of each kind: log-mel, and the scores of the families over time."""
    recogniser = load(model)
    settings = recogniser.config.features
    folder.mkdir(parents=True, exist_ok=True)
    for kind, found in _worst(heard[0], tasks).items():
        with matplotlib.rc_context(STYLE):
            figure = blank(13, 1.9 * len(found) + 0.4)
            grid = figure.subplots(len(found), 2, squeeze=False, width_ratios=(2, 1))
            for (picture, curves), (_, recording, family, score) in zip(grid, found, strict=True):
                mel = features.compute(soxr.resample(recording.samples, RATE, settings.sample_rate), settings)
                seconds = recording.samples.size / RATE
                picture.imshow(
                    mel.T, origin="lower", aspect="auto", extent=(0, seconds, 0, settings.width), cmap="magma"
                )
                picture.set_title(f"{recording.path}: {FAMILY_IDS[family]} {score:.2f}", fontsize=8)
                answer = recogniser.predict(recording.samples, sample_rate=RATE)
                middle = (answer.edges[1:] + answer.edges[:-1]) / 2
                for i, name in enumerate(FAMILY_IDS):
                    curves.plot(middle, answer.curve[:, i], color=catalogue()[name].colour, label=name)
                curves.axhline(heard[0].thresholds[family], color=MUTED, linewidth=0.6, linestyle=":")
                curves.set(ylim=(0, 1), xlim=(0, seconds))
            grid[0, 1].legend(fontsize=7, ncols=5, loc="lower center", bbox_to_anchor=(0.5, 1.0))
            write_figure(figure, folder / f"worst-{re.sub('[^a-z]+', '-', kind)}.png")
    print(f"drew {', '.join(path.name for path in sorted(folder.glob('worst-*.png')))}")


def _group(recording: Recording) -> str:
    """Return what a recording is in the picture of confusions: a family, or a kind of what is none."""
    if recording.solo:
        return FAMILY_IDS[int(recording.targets.argmax())]
    if recording.instrument in VOICES:
        return "voices"
    if recording.instrument == "noise":
        return "noises"
    return "winds" if recording.instrument.startswith(WINDS) else "other instruments"


def confusion_figure(heard: Sequence[Heard], tasks: Tasks) -> Any:
    """Return how often each family reaches its threshold (columns) when something plays alone (rows), by recogniser."""
    judged = [(clip, row) for clip, row in enumerate(tasks.clips) if row.solo]
    kinds = [_group(clip) for _, clip in judged] + [_group(clip) for clip in tasks.silent]
    order = (*FAMILY_IDS, "winds", "other instruments", "voices", "noises")
    groups = [group for group in order if group in kinds]
    with matplotlib.rc_context(STYLE):
        figure = blank(4.6 * len(heard) + 1.2, 5.4)
        for panel, (axes, one) in enumerate(zip(figure.subplots(1, len(heard), squeeze=False)[0], heard, strict=True)):
            playing = np.concatenate([one.clips[[i for i, _ in judged]], one.silent]) >= np.array(one.thresholds)
            columns = np.column_stack([playing, ~playing.any(axis=1)])
            table = np.array([columns[[kind == group for kind in kinds]].mean(axis=0) for group in groups])
            axes.imshow(table, cmap="Blues", vmin=0, vmax=1, aspect="auto")
            for i, j in np.ndindex(*table.shape):
                ink = "white" if table[i, j] > 0.55 else "#10243a"
                axes.text(j, i, f"{table[i, j]:.0%}", ha="center", va="center", color=ink, fontsize=8)
            axes.set(xticks=range(len(FAMILY_IDS) + 1), yticks=range(len(groups)), title=one.name, xlabel="heard")
            axes.set_xticklabels([*FAMILY_IDS, "nothing"], rotation=30)
            counts = [f"{group} ({kinds.count(group)})" for group in groups]
            axes.set_yticklabels(counts if panel == 0 else [])
            axes.tick_params(length=0)
            axes.spines[:].set_visible(False)
    return figure


def _cell(name: str, figure: Figure) -> str:
    value, low, high = figure
    if name.endswith("%"):
        return f"{100 * value:.0f} % ({100 * low:.0f}-{100 * high:.0f})"
    return f"{value:.3f} ({low:.3f}-{high:.3f})"


def keep_all(half: str, heard: Sequence[Heard], figures: Mapping[str, Mapping[str, Figure]], tasks: Tasks) -> None:
    """Write bench/results, and this half's part of the page on the model, with its picture."""
    names = list(figures[heard[0].name])
    rows: list[dict[str, Any]] = [
        {"measure": name.removesuffix(" %"), **{one.name: _cell(name, figures[one.name][name]) for one in heard}}
        for name in names
    ]
    sources = {source for clip in tasks.clips for source in clip.sources}
    remarks = (
        f"{len(tasks.clips)} clips of {len(sources)} recordings, {len(tasks.duets)} duets, {len(tasks.ensembles)} sums of "
        f"three, {len(tasks.silent)} clips of no family. In brackets: 95 %, over recordings."
    )
    kept: dict[str, Any] = {"peer": "see columns", "packages": ("onnxruntime",)}
    measure.keep(f"recognition-{half}", f"Recognition on the {half} half of real/", rows, remarks=remarks, **kept)
    others = [(one, _lookup(one, tasks)) for one in heard]
    worst = [
        {"failure": f"{kind} {FAMILY_IDS[family]}", "clip": recording.path}
        | {one.name: f"{score_of(recording)[family]:.2f}" for one, score_of in others}
        for kind, found in _worst(heard[0], tasks).items()
        for _, recording, family, _ in found
    ]
    title = f"What {heard[0].name} gets most wrong on the {half} half of real/"
    measure.keep(f"recognition-worst-{half}", title, worst, remarks="Scores of that family.", **kept)
    picture = PICTURE.format(half=half)
    shown = [one for one in heard if "root" not in one.name and one.name != "mn04, all classes"]
    write_figure(confusion_figure(shown, tasks), DOCS / picture)
    write_section(PAGE, half, _section(half, rows, remarks, picture))


def _lookup(one: Heard, tasks: Tasks) -> Callable[[Recording], Any]:
    pairs = ((tasks.clips, one.clips), (tasks.duets, one.duets), (tasks.silent, one.silent))
    known = {r.path: row for recordings, scores in pairs for r, row in zip(recordings, scores, strict=True)}
    return lambda recording: known[recording.path]


def _section(half: str, rows: Sequence[Mapping[str, Any]], remarks: str, picture: str) -> str:
    shown = [row for row in rows if not row["measure"].startswith("ROC-AUC ")]
    columns = list(shown[0])
    lines = ["| " + " | ".join(["", *columns[1:]]) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(str(row[name]) for name in columns) + " |" for row in shown]
    told = f"![What is heard for what on the {half} half: rows play alone, columns reach their thresholds]({picture})"
    return "\n".join([*lines, "", remarks, "", told])


def write_section(page: Path, half: str, text: str) -> None:
    """Replace what stands on `page` between the two markers of a half. Raises `ValueError` where they are missing."""
    begin, end = f"<!-- measured: {half} -->", f"<!-- end: {half} -->"
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{page.name} lacks the lines {begin} and {end}, between which the table goes")
    write_atomically(page, f"{before}{begin}\n{text}\n{end}{after}")
