"""Which families are named in songs and real recordings that no training has seen: our models and peers.

python -m bench recognition DATA [MODEL ...] [--half development|test] [--peers FOLDER --class-list FILE --cache FOLDER]
    [--keep] [--pictures FOLDER]

DATA: a folder of training material with manifest.csv, real/ (see real.py for the tasks) and songs/ (songs.py). MODEL: model
folders; without any, the one in the package. --peers: a folder with a folder for each teacher of `recipe.teachers`; what
they say is kept in --cache. --keep writes bench/results and the tables of docs/explanation/default-model.md, with the
confusion matrices; --pictures draws the worst clips. The test half is for the table alone: choose by the
development half.

Songs are evaluated whole, in cuts of 30 and of 10 seconds, and (ours) twice in a row and in halves; where times are known,
over time (`whoplays.evaluation.segments`); then each instrument of a song alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.quality.real import FAMILY_IDS, HALVES, Figure, Recording, Tasks
from bench.quality.recognition_docs import draw_worst, keep_half, keep_songs
from bench.quality.songs import CUTS_S, Song, song_lines, songs, stems
from bench.quality.systems import Model, Output, System, named_of, scores_of
from bench.quality.timeline import MEASURES
from whoplays.evaluation import metrics, segments, sets

ARGUMENTS = ("DATA --keep",)
SMALL = "DATA"
DRAWS = 1000
BASS_AND_VOICE = ("bass", "voice")
#: Metrics of named sets as they stand in the table; ratios as per cent where a name ends so.
SET_ROWS = {
    "exactly right %": "set_exact",
    "F1": "set_f1",
    "precision": "set_precision",
    "recall": "set_recall",
    "named wrongly": "set_wrong",
    "missed": "set_missed",
}


def targets_of(recordings: Sequence[Recording]) -> NDArray[np.float32]:
    """Return targets (recordings, families)."""
    return np.stack([recording.targets for recording in recordings])


def sources_of(recordings: Sequence[Recording]) -> NDArray[np.str_]:
    """Return (recordings, parts): what is resampled as a whole; a sum of fewer parts repeats its last one."""
    most = max(len(recording.sources) for recording in recordings)
    return np.array([(r.sources + r.sources[-1:] * most)[:most] for r in recordings])


def evaluate_songs(system: System, found: Sequence[Song], alone: Sequence[Recording]) -> dict[str, Figure]:
    """Return the figures of songs, and of their instruments alone, by name; for sets only songs of which all is known."""
    known = [song for song in found if song.fully_known]
    figures: dict[str, Figure] = {}
    parts = {"songs": [song.recording for song in known]}
    parts |= {f"{length} s of songs": [cut for song in known for cut in song.cuts(length)] for length in CUTS_S}
    for name, recordings in parts.items():
        figures |= _set_figures(name, recordings, system.outputs(recordings))
    figures |= _time_figures([song for song in found if song.activity], system)

    outputs = system.outputs(alone)
    figures |= _set_figures("one instrument alone", alone, outputs)
    rows = [i for i, stem in enumerate(alone) if stem.instrument in BASS_AND_VOICE]
    named = named_of(outputs)[rows]
    figures["bass or voice alone: anything named %"] = _ratio([alone[i] for i in rows], np.asarray(named.any(axis=1)))
    for i, family in enumerate(FAMILY_IDS):
        figures[f"bass or voice alone: {family} named, of {len(rows)}"] = _plain(named[:, i].sum())
    return figures


def evaluate_model(folder: Path | None, tasks: Tasks) -> dict[str, Figure]:
    """Return the figures of a model folder on one half of real/."""
    model = Model(folder)
    return evaluate_half({name: model.outputs(part) for name, part in tasks.named().items()}, tasks)


def evaluate_half(outputs: Mapping[str, Sequence[Output]], tasks: Tasks) -> dict[str, Figure]:
    """Return the figures of one half of real/ by name; `outputs` by the names of `Tasks.named`."""
    figures: dict[str, Figure] = {}
    named_tasks = tasks.named()
    sums = ("duets", "ensembles", "mixes")
    for name in ("clips", *sums):
        figures |= _set_figures(name, named_tasks[name], outputs[name])
    playing = named_of(outputs["silent"])
    figures["false alarms: clips %"] = _ratio(tasks.silent, np.asarray(playing.any(axis=1)))
    figures["false alarms: scores %"] = _ratio(tasks.silent, playing.mean(axis=1))

    solo = [i for i, clip in enumerate(tasks.clips) if clip.solo]
    alone, of_solo = [tasks.clips[i] for i in solo], [outputs["clips"][i] for i in solo]
    one, scores = targets_of(alone) == 1, scores_of(of_solo)
    figures["solo: found %"] = _ratio(alone, (named_of(of_solo) & one).any(axis=1))
    figures["solo: exactly it %"] = _ratio(alone, (named_of(of_solo) == one).all(axis=1))
    figures["solo: highest score %"] = _ratio(alone, scores.argmax(axis=1) == one.argmax(axis=1))
    for name in sums:
        truth = targets_of(named_tasks[name]) == 1
        order = np.argsort(-scores_of(outputs[name]), axis=1, kind="stable")
        top = np.arange(len(FAMILY_IDS)) < truth.sum(axis=1)[:, None]  # as many as play
        right = (np.take_along_axis(truth, order, axis=1) == top).all(axis=1)
        all_found = (named_of(outputs[name]) | ~truth).all(axis=1)
        figures[f"{name}: all found %"] = _ratio(named_tasks[name], all_found)
        figures[f"{name}: highest scores %"] = _ratio(named_tasks[name], right)

    ranked = _ranking(tasks.clips, outputs["clips"])
    figures["mAP"] = ranked["average_precision_macro"]
    figures |= {f"AP {family}": ranked[f"{family}/average_precision"] for family in FAMILY_IDS}
    for name in sums:
        figures[f"{name}: mAP"] = _ranking(named_tasks[name], outputs[name])["average_precision_macro"]
    figures["ROC-AUC"] = ranked["roc_auc_macro"]
    figures["calibration error"] = ranked["calibration_error"]
    return figures


def _set_figures(name: str, recordings: Sequence[Recording], outputs: Sequence[Output]) -> dict[str, Figure]:
    found, spread = sets.evaluate(
        targets_of(recordings), named_of(outputs), recordings=sources_of(recordings), draws=DRAWS
    )
    return {f"{name}: {row}": (found[metric], *spread[metric]) for row, metric in SET_ROWS.items()}


def _ranking(recordings: Sequence[Recording], outputs: Sequence[Output]) -> dict[str, Figure]:
    found, spread = metrics.evaluate(
        targets_of(recordings),
        scores_of(outputs),
        FAMILY_IDS,
        exclusive=False,
        recordings=sources_of(recordings),
        draws=DRAWS,
    )
    return {name: (value, *spread[name]) for name, value in found.items()}


def _time_figures(found: Sequence[Song], system: System) -> dict[str, Figure]:
    recordings = [song.recording for song in found]
    estimates = [output.timeline for output in system.outputs(recordings)]
    values, spread = segments.evaluate(
        [song.timeline() for song in found], estimates, recordings=sources_of(recordings), draws=DRAWS
    )
    return {f"over time: {row}": (values[metric], *spread[metric]) for row, metric in MEASURES.items()}


def stability(found: Sequence[Song], system: System) -> dict[str, Figure]:
    """Return how far scores move when a song plays twice in a row, and from a whole song to those of its halves in which
    the same families play."""
    whole = scores_of(system.outputs([song.recording for song in found]))
    twice = scores_of(system.outputs([song.twice() for song in found]))
    moved: list[float] = []
    for song, scores in zip(found, whole, strict=True):
        if song.activity:
            halves = song.halves()
            of_halves = scores_of(system.outputs(halves))
            same = targets_of(halves) == song.recording.targets
            moved += list(np.abs(of_halves - scores)[same])
    return {
        "twice in a row: largest change of a score": _plain(np.abs(twice - whole).max()),
        "half of a song: largest change of a score": _plain(max(moved)),
        "half of a song: mean change of a score": _plain(float(np.mean(moved))),
    }


def _ratio(recordings: Sequence[Recording], right: NDArray[np.floating] | NDArray[np.bool_]) -> Figure:
    """Return the mean of `right`, with the interval over recordings."""
    found, spread = metrics.bootstrap(
        lambda weights: {"ratio": metrics.ratio(weights @ right, weights.sum(axis=1))},
        len(right),
        sources_of(recordings),
        draws=DRAWS,
    )
    return found["ratio"], *spread["ratio"]


def _plain(value: float) -> Figure:
    return float(value), float("nan"), float("nan")


def summary(figures: Mapping[str, Figure]) -> str:
    """Return the figures that decide, in one line."""
    names = {
        "songs exact": "songs: exactly right %",
        "wrong a song": "songs: named wrongly",
        "missed a song": "songs: missed",
        "F1": "songs: F1",
        "10 s F1": "10 s of songs: F1",
        "mixes F1": "mixes: F1",
        "frames F1": "over time: F1",
        "segments": "over time: segments for each true one",
        "bass/voice": "bass or voice alone: anything named %",
        "duets exact": "duets: exactly right %",
        "alarms": "false alarms: clips %",
        "mAP": "mAP",
        "calibration": "calibration error",
    }
    return "  ".join(f"{short} {figures[name][0]:.3f}" for short, name in names.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("models", type=Path, nargs="*")
    parser.add_argument("--half", choices=HALVES, default="development")
    parser.add_argument("--peers", type=Path, help="folder with a folder for each teacher")
    parser.add_argument("--class-list", type=Path, help="AudioSet's class_labels_indices.csv, for --peers")
    parser.add_argument("--cache", type=Path, help="a folder to keep what the peers say in")
    parser.add_argument("--keep", action="store_true", help="write bench/results and docs/explanation/default-model.md")
    parser.add_argument(
        "--pictures", type=Path, help="a folder to draw the worst clips into; keep it out of the project"
    )
    args = parser.parse_args()
    if args.peers and not (args.class_list and args.cache):
        parser.error("--peers needs --class-list and --cache")

    found, alone = songs(args.data), stems(args.data)
    tasks = Tasks.of(args.data, args.half)
    systems: list[System] = [Model(folder) for folder in args.models or [None]]
    if args.peers:
        from bench.quality.peers import Examples, peers

        development = tasks if args.half == "development" else Tasks.of(args.data, "development")
        systems += peers(args.peers, args.class_list, args.cache, Examples.of(development.all(), found, CUTS_S))
    outputs: dict[str, dict[str, list[Output]]] = {}
    of_songs: dict[str, dict[str, Figure]] = {}
    of_half: dict[str, dict[str, Figure]] = {}
    for system in systems:
        print(f"\n{system.name}", *song_lines(found, system.outputs([s.recording for s in found])), sep="\n")
        outputs[system.name] = {name: system.outputs(part) for name, part in tasks.named().items()}
        of_songs[system.name] = evaluate_songs(system, found, alone)
        if isinstance(system, Model):
            of_songs[system.name] |= stability(found, system)
        of_half[system.name] = evaluate_half(outputs[system.name], tasks)
        print(summary(of_songs[system.name] | of_half[system.name]), flush=True)
    if args.pictures:
        draw_worst(outputs[systems[0].name], tasks, args.models[0] if args.models else None, args.pictures)
    if args.keep:
        keep_songs(of_songs, found, alone)
        keep_half(args.half, of_half, outputs, tasks)


if __name__ == "__main__":
    main()
