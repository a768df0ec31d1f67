"""What bench/quality/recognition.py leaves behind: results, the tables of docs/explanation/default-model.md, pictures."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import soxr

from bench import EXPLANATION, measure
from bench.quality.real import FAMILY_IDS, RATE, Figure, Recording, Tasks
from bench.quality.songs import Song
from bench.quality.systems import Output, named_of
from whoplays import features, load
from whoplays.results.drawing import MUTED, STYLE, blank, write_figure
from whoplays.taxonomy.catalogue import catalogue

PAGE, PICTURE = EXPLANATION / "default-model.md", "default-model-{half}.png"
#: The rows of bench/results that the page shows, by what it calls them. All rows are in bench/RESULTS.md.
ON_PAGE = {
    "songs: exactly right": "whole song exactly right",
    "songs: named wrongly": "wrong families per song",
    "songs: missed": "missed families per song",
    "30 s of songs: exactly right": "30 s of a song exactly right",
    "10 s of songs: exactly right": "10 s of a song exactly right",
    "over time: F1": "F1 over time",
    "over time: onset and offset F1": "F1 of segments (onset and offset)",
    "one instrument alone: exactly right": "stem of one instrument exactly right",
    "bass or voice alone: anything named": "bass or voice stem: any of the five named",
    "twice in a row: largest change of a score": "song played twice: largest change of a score",
    "clips: exactly right": "clip exactly right",
    "solo: exactly it": "solo exactly right",
    "solo: found": "solo: instrument found",
    "clips: named wrongly": "wrong families per clip",
    "duets: exactly right": "duet exactly right",
    "duets: named wrongly": "wrong families per duet",
    "duets: missed": "missed families per duet",
    "ensembles: exactly right": "three families exactly right",
    "mixes: F1": "mix: F1",
    "false alarms: clips": "other sounds: any of the five named",
    "mAP": "mean average precision",
    "AP brass": "average precision: brass",
    "AP drums": "average precision: drums",
    "AP guitar": "average precision: guitar",
    "AP piano": "average precision: piano",
    "AP strings": "average precision: strings",
    "calibration error": "calibration error",
}
#: Peers that are in bench/RESULTS.md alone: more columns than these are not readable on a page.
OFF_PAGE = ("Jamendo musicnn", "MTT musicnn")
WORST = 8  # of each kind
IN_PICTURE = 3  # recognisers side by side
WINDS = ("saxophone", "clarinet", "flute", "oboe", "bassoon")
VOICES = ("voice", "speech", "singing")

Outputs = Mapping[str, Sequence[Output]]  # by the name of the task
Figures = Mapping[str, Mapping[str, Figure]]  # by recogniser and row of the table
#: One clip that is wrong: what kind of failure, the task, the clip's place in it, and the family.
Failure = tuple[str, str, int, int]


def worst_failures(outputs: Outputs, tasks: Tasks) -> dict[str, list[Failure]]:
    """Return what a recogniser gets wrong, the worst of each kind first."""
    found: dict[str, list[tuple[float, Failure]]] = {}
    for task in ("clips", "duets", "silent"):
        for place, (recording, output) in enumerate(zip(tasks.named()[task], outputs[task], strict=True)):
            if task == "silent" and recording.instrument != "noise":
                continue  # clips of other instruments are among the clips
            for family, target in enumerate(recording.targets):
                kind = ""
                if target == 1 and not output.named[family]:
                    kind = "missed" if task == "clips" else "duet: lost"
                elif target == 0 and output.named[family] and task != "duets":
                    kind = "mistaken for" if task == "clips" else "noise mistaken for"
                if kind:
                    gap = abs(float(target) - float(output.scores[family]))
                    found.setdefault(kind, []).append((-gap, (kind, task, place, family)))
    return {kind: [failure for _, failure in sorted(found[kind])[:WORST]] for kind in sorted(found)}


def draw_worst(outputs: Outputs, tasks: Tasks, model: Path | None, folder: Path) -> None:
    """Draw a model's worst clips of each kind: log-mel, and the scores of the families over time."""
    recogniser = load(model)
    settings = recogniser.config.features
    limits = dict(zip([label.id for label in recogniser.labels], recogniser.config.thresholds, strict=True))
    folder.mkdir(parents=True, exist_ok=True)
    for kind, found in worst_failures(outputs, tasks).items():
        with matplotlib.rc_context(STYLE):
            figure = blank(13, 1.9 * len(found) + 0.4)
            grid = figure.subplots(len(found), 2, squeeze=False, width_ratios=(2, 1))
            for (picture, curves), (_, task, place, family) in zip(grid, found, strict=True):
                recording, score = tasks.named()[task][place], outputs[task][place].scores[family]
                mel = features.compute(soxr.resample(recording.samples, RATE, settings.sample_rate), settings)
                seconds = recording.samples.size / RATE
                picture.imshow(
                    mel.T, origin="lower", aspect="auto", extent=(0, seconds, 0, settings.n_features), cmap="magma"
                )
                picture.set_title(f"{recording.path}: {FAMILY_IDS[family]} {score:.2f}", fontsize=8)
                prediction = recogniser.predict(recording.samples, sample_rate=RATE)
                middle = (prediction.frame_times[1:] + prediction.frame_times[:-1]) / 2
                for name in FAMILY_IDS:
                    scores = prediction.frame_scores[:, recogniser.config.tree.index(name)]
                    curves.plot(middle, scores, color=catalogue()[name].colour, label=name)
                curves.axhline(limits[FAMILY_IDS[family]], color=MUTED, linewidth=0.6, linestyle=":")
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


def confusion_figure(outputs: Mapping[str, Outputs], tasks: Tasks) -> Any:
    """Return how often each family is named (columns) when something plays alone (rows), by recogniser."""
    solo = [i for i, clip in enumerate(tasks.clips) if clip.solo]
    kinds = [_group(tasks.clips[i]) for i in solo] + [_group(clip) for clip in tasks.silent]
    order = (*FAMILY_IDS, "winds", "other instruments", "voices", "noises")
    groups = [group for group in order if group in kinds]
    with matplotlib.rc_context(STYLE):
        figure = blank(4.6 * len(outputs) + 1.2, 5.4)
        panels = figure.subplots(1, len(outputs), squeeze=False)[0]
        for panel, (axes, (name, one)) in enumerate(zip(panels, outputs.items(), strict=True)):
            playing = np.concatenate([named_of(one["clips"])[solo], named_of(one["silent"])])
            columns = np.column_stack([playing, ~playing.any(axis=1)])
            table = np.array([columns[[kind == group for kind in kinds]].mean(axis=0) for group in groups])
            axes.imshow(table, cmap="Blues", vmin=0, vmax=1, aspect="auto")
            for i, j in np.ndindex(*table.shape):
                ink = "white" if table[i, j] > 0.55 else "#10243a"
                axes.text(j, i, f"{table[i, j]:.0%}", ha="center", va="center", color=ink, fontsize=8)
            axes.set(xticks=range(len(FAMILY_IDS) + 1), yticks=range(len(groups)), title=name, xlabel="named")
            axes.set_xticklabels([*FAMILY_IDS, "nothing"], rotation=30)
            counts = [f"{group} ({kinds.count(group)})" for group in groups]
            axes.set_yticklabels(counts if panel == 0 else [])
            axes.tick_params(length=0)
            axes.spines[:].set_visible(False)
    return figure


def cell(row: str, figure: Figure) -> str:
    """Return a figure as the table shows it, with its interval where it has one."""
    value, low, high = figure
    if re.search(r", of \d+$", row):
        return f"{value:.0f}"
    if np.isnan(value):
        return "-"
    percent = row.endswith("%")
    text = f"{100 * value:.0f} %" if percent else f"{value:.3f}"
    if np.isnan(low):
        return text
    return f"{text} ({100 * low:.0f}-{100 * high:.0f})" if percent else f"{text} ({low:.3f}-{high:.3f})"


def table_rows(figures: Figures) -> list[dict[str, str]]:
    """Return the table's rows: a measure, and a column for each recogniser."""
    names = next(iter(figures.values()))
    return [
        {
            "measure": name.removesuffix(" %"),
            **{s: cell(name, one[name]) if name in one else "-" for s, one in figures.items()},
        }
        for name in names
    ]


def keep_songs(figures: Figures, songs: Sequence[Song], alone: Sequence[Recording]) -> None:
    """Write bench/results/recognition-songs.json, and the first table of the page on the model."""
    known, timed = [song for song in songs if song.fully_known], [song for song in songs if song.activity]
    remarks = (
        f"{len(known)} songs of which every family is known. Over time: {len(timed)} songs, in frames of 0.1 s; segments "
        "match with onsets within 0.5 s and offsets within 0.5 s or half of the true segment. One instrument alone: "
        f"{len(alone)} stems of these songs. In brackets: 95 % intervals over songs. Peers are calibrated and have the "
        "thresholds of their best F1 on the development half and the other songs."
    )
    _keep("songs", "Recognition on whole songs", table_rows(figures), remarks)


def keep_half(half: str, figures: Figures, outputs: Mapping[str, Outputs], tasks: Tasks) -> None:
    """Write bench/results, and this half's part of the page on the model, with its picture."""
    sources = {source for clip in tasks.clips for source in clip.sources}
    remarks = (
        f"{len(tasks.clips)} clips of {len(sources)} recordings, {len(tasks.duets)} duets, {len(tasks.ensembles)} sums of "
        f"three, {len(tasks.mixes)} mixes, {len(tasks.silent)} clips of no family. In brackets: 95 % intervals over "
        "recordings."
    )
    first, *_ = outputs
    title = f"What {first} gets most wrong on the {half} half of real/"
    worst = [
        {"failure": f"{kind} {FAMILY_IDS[family]}", "clip": tasks.named()[task][place].path}
        | {name: f"{one[task][place].scores[family]:.2f}" for name, one in outputs.items()}
        for found in worst_failures(outputs[first], tasks).values()
        for kind, task, place, family in found
    ]
    measure.keep(
        f"recognition-worst-{half}",
        title,
        worst,
        peer="see columns",
        packages=("onnxruntime",),
        remarks="Scores of that family.",
    )
    picture = PICTURE.format(half=half)
    shown = [*list(outputs)[: IN_PICTURE - 1], *list(outputs)[IN_PICTURE - 1 :][-1:]]
    write_figure(confusion_figure({name: outputs[name] for name in shown}, tasks), EXPLANATION / picture)
    image = f"![What is named for what on the {half} half: rows play alone, columns are named]({picture})"
    _keep(half, f"Recognition on the {half} half of real/", table_rows(figures), remarks, image)


def _keep(name: str, title: str, rows: list[dict[str, str]], remarks: str, *below: str) -> None:
    measure.keep(f"recognition-{name}", title, rows, peer="see columns", packages=("onnxruntime",), remarks=remarks)
    measure.write_section(PAGE, name, "\n\n".join([page_table(rows), remarks, *below]))


def page_table(rows: Sequence[Mapping[str, str]]) -> str:
    """Return the table of the page on the model: what a reader needs of the rows in bench/results."""
    systems = [column for column in rows[0] if column not in ("measure", *OFF_PAGE)]
    lines = ["| " + " | ".join(["", *systems]) + " |", "|" + "---|" * (len(systems) + 1)]
    found = {row["measure"]: row for row in rows}
    for key, name in ON_PAGE.items():
        if key in found:
            lines.append("| " + " | ".join([name, *(found[key][system] for system in systems)]) + " |")
    return "\n".join(lines)
