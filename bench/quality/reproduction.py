"""The report's recipe on other material: what a random split, pitch variants and a softmax do to its figures.

    python -m bench reproduction DATA [--work FOLDER] [--per-class 300] [--epochs 20] [--seeds 3] [--batch-size 2]

DATA: a folder of training material with manifest.csv: single notes and phrases to train on, kind "real" to test on.
Each cell (arm, seed) is kept in FOLDER as it is finished; run again, it goes on. Text: docs/explanation/report-reproduction.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.measure import FOLDER, keep
from whoplays import features
from whoplays.audio import reading
from whoplays.dataset import BuildSettings, Dataset, Split, build
from whoplays.evaluation import metrics
from whoplays.features import PRESETS
from whoplays.storage.files import write_json
from whoplays.taxonomy.catalogue import catalogue
from whoplays.training.mfcc_cnn import MfccCnnRun
from whoplays.training.settings import MfccCnnSettings
from whoplays.training.watch import Watcher

ARGUMENTS = ("DATA",)
SHIFTS = (-2.0, -1.0, 0.0, 1.0, 2.0)
NOTES = "kind=note,strum,hit,phrase"
FAMILIES = ("brass", "drums", "guitar", "piano", "strings")
T_95 = {2: 12.71, 3: 4.303, 4: 3.182, 5: 2.776}  # Student's t for n seeds, two-sided 95 %

#: The report's four recordings. Instruments are those of the manifest; None takes any of the family.
DUETS = {
    "piano + violin": (("piano", None), ("strings", ("violin", "violin-or-fiddle"))),
    "piano + trumpet": (("piano", None), ("brass", ("trumpet",))),
    "guitar + violin": (("guitar", None), ("strings", ("violin", "violin-or-fiddle"))),
    "guitar + drums": (("guitar", None), ("drums", None)),
}
DUETS_EACH, DUET_S = 60, 5.0

#: arm -> how rows are split, which pitch variants training sees, which loss, and whether it also trains on made-up duets.
ARMS: dict[str, dict[str, Any]] = {
    "random rows": {"split": "rows", "variants": "vocoder"},
    "random files": {"split": "files", "variants": "vocoder"},
    "by instrument": {"split": "recordings", "variants": "vocoder"},
    "no variants": {"split": "recordings", "variants": "none"},
    "one spectrum": {"split": "recordings", "variants": "spectrum"},
    "sigmoid": {"split": "recordings", "variants": "vocoder", "loss": "sigmoid"},
    "sigmoid, trained on duets": {"split": "recordings", "variants": "vocoder", "loss": "sigmoid", "duets": True},
}

#: Arms that are compared on duets of notes as well.
DUET_ARMS = ("by instrument", "sigmoid", "sigmoid, trained on duets")

#: Comparisons: figures of the first arm less those of the second, seed by seed (the same seed, the same split).
QUESTIONS = {
    "a random split of rows, against one by instrument": ("random rows", "by instrument"),
    "a random split of files, against one by instrument": ("random files", "by instrument"),
    "variants by phase vocoder, against none": ("by instrument", "no variants"),
    "variants from one spectrum, against none": ("one spectrum", "no variants"),
    "variants from one spectrum, against phase vocoder": ("one spectrum", "by instrument"),
    "sigmoid, against softmax": ("sigmoid", "by instrument"),
    "sigmoid trained on duets, against one that was not": ("sigmoid, trained on duets", "sigmoid"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "whoplays-reproduction")
    parser.add_argument("--per-class", type=int, default=300)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=2, help="the learning rate grows with it; 2 is the report's")
    parser.add_argument("--arms", type=int, default=len(ARMS), help="only the first so many")
    options = parser.parse_args()
    material = Material(options.data, options.work, options.per_class)
    arms = list(ARMS)[: options.arms]
    cells = [cell(material, arm, seed, options) for seed in range(options.seeds) for arm in arms]
    report(cells, options, material)


class Material:
    """Feature sets of notes by both methods, of real recordings, and of duets; built once into the work folder."""

    def __init__(self, data: Path, work: Path, per_class: int) -> None:
        self.data, self.work = data, work
        work.mkdir(parents=True, exist_ok=True)
        manifest = data / "manifest.csv"
        common: dict[str, Any] = {
            "per_class": per_class,
            "test": 0.0,
            "validation": 0.0,
            "pitch": SHIFTS,
            "where": (NOTES,),
        }
        self.notes = {}
        for method in ("spectrum", "vocoder"):
            folder = work / f"notes-{method}-{per_class}"
            build(
                manifest,
                folder,
                BuildSettings(**common, pitch_method=method, labels=FAMILIES),
                on_progress=_told(method),
            )
            self.notes[method] = Dataset.open(folder).split("training")
        settings = BuildSettings(per_class=0, test=1.0, validation=0.0, where=("kind=real",), labels=FAMILIES)
        build(manifest, work / "real", settings)
        self.real = Dataset.open(work / "real").split("test")
        self.rows = {row["path"]: row for row in _manifest(manifest)}

    def duets(self) -> tuple[Split, list[str]]:
        """Sums of two real recordings, each scaled to the same level, and the pairing of each."""
        kept = self.work / "duets.npz"
        if not kept.exists():
            found = list(self._made_duets())
            _keep_duets(kept, found)
        return _kept_duets(kept)

    def note_duets(self, split: Split, rows: np.ndarray, seed: int) -> tuple[Split, list[str]]:
        """The same pairings of families, from notes that were kept aside: the same kind of sound as in training."""
        kept = self.work / f"note-duets-{seed}.npz"
        if not kept.exists():
            rng, found = np.random.default_rng(seed), []
            for name, parts in DUETS.items():
                indices = [FAMILIES.index(family) for family, _ in parts]
                pools = [rows[split.targets[rows, i] == 1] for i in indices]
                target = np.isin(np.arange(len(FAMILIES)), indices).astype(np.float32)
                for _ in range(DUETS_EACH):
                    found.append((name, self.sum_of([split.paths[int(rng.choice(pool))] for pool in pools]), target))
            _keep_duets(kept, found)
        return _kept_duets(kept)

    def _made_duets(self) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        rng = np.random.default_rng(0)
        for name, parts in DUETS.items():
            pools = [self._pool(family, instruments) for family, instruments in parts]
            target = np.array([float(f in {family for family, _ in parts}) for f in FAMILIES], dtype=np.float32)
            for _ in range(DUETS_EACH):
                yield name, self.sum_of([str(rng.choice(pool)) for pool in pools]), target

    def sum_of(self, paths: list[str]) -> np.ndarray:
        """The report's features of several recordings together, each at the same level."""
        summed = np.sum([self._level(path) for path in paths], axis=0)
        return features.compute(summed.astype(np.float32), features.REPORT)

    def _pool(self, family: str, instruments: tuple[str, ...] | None) -> list[str]:
        """Recordings of one family alone, all cells known."""
        single = dict(zip(self.real.paths, metrics.single(self.real.targets), strict=True))
        there = dict(zip(self.real.paths, self.real.targets[:, FAMILIES.index(family)] == 1, strict=True))
        fits = [
            p
            for p in single
            if single[p] and there[p] and (not instruments or self.rows[p]["instrument"] in instruments)
        ]
        return sorted(fits)

    def _level(self, path: str) -> np.ndarray:
        """DUET_S of a recording, repeated where it is shorter, at an RMS of 0.05 where it sounds."""
        rate = features.REPORT.sample_rate
        samples = np.resize(reading.load(self.data / path, sample_rate=rate), round(DUET_S * rate))
        loud = samples[np.abs(samples) > 0.01 * np.abs(samples).max()]
        return samples * 0.05 / max(float(np.sqrt(np.mean(loud**2))), 1e-9)


def _told(what: str) -> Any:
    def report(done: int, total: int) -> None:
        if done % 256 == 0:
            print(f"{what}: {done} of {total} clips", file=sys.stderr, flush=True)

    return report


def _manifest(path: Path) -> list[dict[str, str]]:
    import csv

    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _keep_duets(kept: Path, found: list[tuple[str, np.ndarray, np.ndarray]]) -> None:
    """Write (pairing, features, targets) of each duet."""
    names, features, targets = zip(*found, strict=True)
    np.savez(kept, features=features, targets=targets, names=names)


def _kept_duets(kept: Path) -> tuple[Split, list[str]]:
    with np.load(kept, allow_pickle=False) as file:
        return _split(file["features"], file["targets"]), [str(name) for name in file["names"]]


def _split(x: np.ndarray, y: np.ndarray, recordings: np.ndarray | None = None) -> Split:
    """Rows in memory with a split's face."""
    n = len(x)
    groups = np.arange(n) if recordings is None else recordings
    return Split(
        "made",
        np.asarray(x, np.float32),  # type: ignore[arg-type]  # rows in memory support what is used of those on disk
        np.asarray(y, np.float32),
        groups,
        np.zeros(n, np.float32),
        ("",) * n,
        np.zeros(n, np.float32),
    )


def divided(split: Split, how: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row indices of training, validation and test: 70, 10 and 20 % of rows, of files, or of each class's recordings."""
    if how == "rows":
        unit = np.arange(len(split))
    else:
        names = (
            [f"{p}@{s}" for p, s in zip(split.paths, split.starts, strict=True)] if how == "files" else split.recordings
        )
        unit = np.unique(names, return_inverse=True)[1]
    rng = np.random.default_rng(seed)
    place = np.empty(len(split), dtype=int)
    classes = split.targets.argmax(axis=1)
    for family in np.unique(classes):  # the same shares of each class on every side
        mine = np.flatnonzero(classes == family)
        units, sizes = np.unique(unit[mine], return_counts=True)
        order = rng.permutation(len(units))
        ends = np.cumsum(sizes[order]) / sizes.sum()
        side = dict(zip(units[order], np.searchsorted([0.2, 0.3], ends - 1e-9), strict=True))
        if how == "recordings":  # few and of unequal size: each side has at least one
            for wanted, u in zip((0, 1, 2), units[order][:3], strict=False):
                if wanted not in side.values():
                    side[u] = wanted
        place[mine] = [side[u] for u in unit[mine]]
    return np.flatnonzero(place == 2), np.flatnonzero(place == 1), np.flatnonzero(place == 0)


def cell(material: Material, arm: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Train one arm with one seed, unless that was done; evaluate it on rows kept aside, real recordings and duets."""
    name = f"{arm.replace(' ', '-').replace(',', '')}-{seed}-{options.epochs}-{options.batch_size}.json"
    kept = material.work / name
    if kept.exists():
        kept_result: dict[str, Any] = json.loads(kept.read_text())
        return kept_result
    chosen: dict[str, Any] = {"loss": "softmax", "duets": False} | ARMS[arm]
    split = material.notes["spectrum" if chosen["variants"] == "spectrum" else "vocoder"]
    training, validation, test = divided(split, chosen["split"], seed)
    factor = 1
    if chosen["variants"] == "none":  # as many steps as the others, over a fifth of the rows
        training, factor = training[split.semitones[training] == 0], len(SHIFTS)
    if chosen["split"] == "recordings":  # no pitch variants where it is evaluated
        validation, test = (rows[split.semitones[rows] == 0] for rows in (validation, test))
    source, rows = (split, training) if not chosen["duets"] else _with_duets(material, split, training, seed)
    run = _run(source.take(rows), split.take(validation), chosen["loss"], seed, options, factor)
    run.go()
    result: dict[str, Any] = {
        "arm": arm,
        "seed": seed,
        "epochs": run.done,
        "best_epoch": run.stopping.best_epoch,
        "rows": len(rows),
    }
    result |= {"kept aside": evaluate(run, split.take(test)), "real": evaluate(run, _usable(material.real))}
    duets, names = material.duets()
    result["duets"] = duets_judged(run.scores(duets), duets.targets, names)
    if arm in DUET_ARMS:
        duets, names = material.note_duets(split, test, seed)
        result["note duets"] = duets_judged(run.scores(duets), duets.targets, names)
    write_json(kept, result)
    print(
        f"{arm} {seed}: {result['kept aside']['accuracy']:.3f} aside, {result['real']['accuracy']:.3f} real",
        file=sys.stderr,
    )
    return result


def _with_duets(material: Material, split: Split, rows: np.ndarray, seed: int) -> tuple[Split, np.ndarray]:
    """A quarter of the rows replaced by sums of two notes of different families, from the same training recordings."""
    kept = material.work / f"training-duets-{seed}-{len(rows)}.npz"
    if not kept.exists():
        rng = np.random.default_rng(seed + 1000)
        replaced = rng.permutation(len(rows))[: len(rows) // 4]
        classes = split.targets[rows].argmax(axis=1)
        partners = [int(rng.choice(np.flatnonzero(classes != classes[i]))) for i in replaced]
        summed = [
            material.sum_of([split.paths[rows[i]], split.paths[rows[j]]])
            for i, j in zip(replaced, partners, strict=True)
        ]
        np.savez(kept, replaced=replaced, partners=partners, features=summed)
    x, y = split.features[rows], split.targets[rows].copy()
    with np.load(kept, allow_pickle=False) as file:
        x[file["replaced"]] = file["features"]
        y[file["replaced"]] = np.fmax(y[file["replaced"]], y[file["partners"]])
    return _split(x, y), np.arange(len(rows))


def _run(
    training: Split, validation: Split, loss: Any, seed: int, options: argparse.Namespace, factor: int
) -> MfccCnnRun:
    settings = MfccCnnSettings(
        epochs=options.epochs * factor,
        batch_size=options.batch_size,
        learning_rate=1e-5 * options.batch_size / 2,
        patience=10 * factor,
        loss=loss,
        seed=seed,
    )
    described = Dataset(Path(), PRESETS["mfcc"], catalogue().labels_for(FAMILIES), {})
    run = MfccCnnRun(described, training, validation, settings, Path(tempfile.mkdtemp()), Watcher())
    run.begin()
    return run


def _usable(split: Split) -> Split:
    """Real recordings with exactly one family and every cell known."""
    return split.take(np.flatnonzero(metrics.single(split.targets)))


def evaluate(run: MfccCnnRun, split: Split) -> dict[str, Any]:
    """The report's figures, and what a mean over families says where families are of unequal size."""
    scores = run.scores(split)
    figures, intervals = metrics.evaluate(
        split.targets, scores, FAMILIES, exclusive=True, recordings=split.recordings, draws=500
    )
    matrix = metrics.confusion_matrix(split.targets, scores)
    names = ("accuracy", "precision", "recall", "average_precision_macro")
    found = {name: figures[name] for name in names} | {"interval": list(intervals["accuracy"]), "rows": len(split)}
    found["balanced_accuracy"] = float(np.mean(np.diag(matrix) / np.maximum(matrix.sum(axis=1), 1)))
    return found | {"confusion": matrix.tolist()}


def duets_judged(scores: np.ndarray, targets: np.ndarray, names: list[str]) -> dict[str, Any]:
    """By pairing: how often the two highest scores are the two that play, and how often both are over 0.5."""
    order = np.argsort(-scores, axis=1)
    there = targets == 1
    top = there[np.arange(len(scores)), order[:, 0]]
    pair = top & there[np.arange(len(scores)), order[:, 1]]
    both: NDArray[np.bool_] = np.all(np.where(there, scores, 1.0) > 0.5, axis=1)
    exact: NDArray[np.bool_] = both & ~np.any(np.where(there, 0.0, scores) > 0.5, axis=1)
    found: dict[str, Any] = {}
    for name in (*DUETS, "all"):
        mine = np.array([name in (n, "all") for n in names])
        found[name] = {
            "highest plays": float(top[mine].mean()),
            "two highest are the pair": float(pair[mine].mean()),
            "both over 0.5": float(both[mine].mean()),
            "the pair and nothing else over 0.5": float(exact[mine].mean()),
        }
    found["all"]["average_precision_macro"] = float(np.nanmean(metrics.average_precision(targets, scores)))
    return found


def mean_and_interval(values: list[float]) -> tuple[float, float]:
    """The mean over seeds, and half the width of its 95 % interval (Student's t)."""
    if len(values) < 2:
        return values[0], float("nan")
    return statistics.mean(values), T_95.get(len(values), 2.6) * statistics.stdev(values) / len(values) ** 0.5


def report(cells: list[dict[str, Any]], options: Any, material: Material) -> None:
    """Write bench/results/reproduction.json and print the tables."""
    rows = []
    for arm in dict.fromkeys(c["arm"] for c in cells):
        mine = [c for c in cells if c["arm"] == arm]

        def over(*path: str, mine: list[dict[str, Any]] = mine) -> str:
            return _over(mine, path)

        rows.append(
            {
                "arm": arm,
                "kept aside: accuracy": over("kept aside", "accuracy"),
                "real: accuracy": over("real", "accuracy"),
                "real: mean over families": over("real", "balanced_accuracy"),
                "real: mAP": over("real", "average_precision_macro"),
                "duets: two highest are the pair": over("duets", "all", "two highest are the pair"),
                "duets: both over 0.5": over("duets", "all", "both over 0.5"),
                "duets: mAP": over("duets", "all", "average_precision_macro"),
            }
        )
    duet_rows = [
        {"arm": arm, **{f"{name}": _over(mine, ("note duets", "all", name)) for name in mine[0]["note duets"]["all"]}}
        for arm in DUET_ARMS
        if (mine := [c for c in cells if c["arm"] == arm])
    ]
    (FOLDER / "cells").mkdir(parents=True, exist_ok=True)
    name = "reproduction"
    write_json(FOLDER / "cells" / f"{name}.json", {"cells": cells})
    real = len(_usable(material.real))
    notes = len(material.notes["vocoder"])
    sizes = f"{notes} rows of notes with variants, {real} rows of real recordings"
    keep(
        name,
        f"The report's recipe on other material, batch {options.batch_size}",
        rows,
        peer="none: arms of one experiment",
        packages=("keras", "tensorflow-cpu", "librosa"),
        remarks=f"{options.seeds} seeds, at most {options.epochs} epochs, batch {options.batch_size}, Adam "
        f"{1e-5 * options.batch_size / 2:.0e}; mean and 95 % interval over seeds (Student's t). {sizes}. "
        f"Every cell: bench/results/cells/{name}.json.",
    )
    keep(
        "reproduction_differences",
        "The report's recipe on other material: differences",
        differences(cells),
        peer="none: arms of the experiment above",
        packages=("keras", "tensorflow-cpu"),
        remarks="Differences of figures, seed by seed; mean and 95 % interval over seeds (Student's t).",
    )
    keep(
        "reproduction_duets",
        "Softmax and sigmoid on summed pairs of notes that were kept aside",
        duet_rows,
        peer="none: arms of the experiment above",
        packages=("keras", "tensorflow-cpu"),
        remarks=f"{DUETS_EACH} sums for each of the report's four pairings of families, {options.seeds} seeds.",
    )


def differences(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each question that both of its arms were run for."""
    by_seed = {(c["arm"], c["seed"]): c for c in cells}
    seeds = sorted({c["seed"] for c in cells})
    figures = {
        "kept aside: accuracy": ("kept aside", "accuracy"),
        "real: accuracy": ("real", "accuracy"),
        "real: mean over families": ("real", "balanced_accuracy"),
        "real: mAP": ("real", "average_precision_macro"),
        "duets of real: mAP": ("duets", "all", "average_precision_macro"),
        "duets of notes: mAP": ("note duets", "all", "average_precision_macro"),
    }
    rows = []
    for question, (one, other) in QUESTIONS.items():
        pairs = [(by_seed[one, s], by_seed[other, s]) for s in seeds if (one, s) in by_seed and (other, s) in by_seed]
        if pairs:
            rows.append({"first less second": question} | {name: _less(pairs, path) for name, path in figures.items()})
    return rows


def _less(pairs: list[tuple[dict[str, Any], dict[str, Any]]], path: tuple[str, ...]) -> str:
    if not all(path[0] in c for pair in pairs for c in pair):
        return ""
    mean, half = mean_and_interval([_at(a, path) - _at(b, path) for a, b in pairs])
    return f"{mean:+.3f} ± {half:.3f}"


def _over(cells: list[dict[str, Any]], path: tuple[str, ...]) -> str:
    mean, half = mean_and_interval([_at(c, path) for c in cells])
    return f"{mean:.3f} ± {half:.3f}"


def _at(value: Any, path: tuple[str, ...]) -> float:
    for name in path:
        value = value[name]
    return float(value)
