"""What each part of the material and of the training is worth: the same short training on more and more of it.

python -m recipe.ablation DATA MATERIAL OUT [--font FILE ...] [--from MODEL] [--rows NAME ...] [--scenes 3072]
    [--epochs 10] [--steps 100] [--seeds 3] [--small] [--keep]

MATERIAL: rendered material with notes/ packed and validation/, and, for rows with music, what `python -m recipe label`
leaves. OUT: a folder that may grow to 3 GB (an estimate).
Each row adds to the one before it; all have as many scenes, drawn from the same seeds:

    notes     recorded notes, parts made up, dry
    midi      and parts from MIDI files, and soundfonts
    produced  and rooms, amplifiers, equalisers, compression, noise, codecs
    mn04      and music that one teacher, mn04, labelled
    ensemble  the same music, labelled by all teachers together
    base      and the network begins as the model --from
    families  as base, but only the five families are known: what the other labels give
    report    the recipe mfcc-cnn (20 x 20 MFCC, softmax) on the scenes of `produced` that hold exactly one family

Every shard, model and score is a file: stopped at any time, the same command goes on, and the table holds all that is done
(so the rows that decide may have more seeds than others). All rows get a first seed before any gets a second. Evaluated on
the development half of real/ and, but for mfcc-cnn, on validation scenes of held-out sources. With --keep it
writes the table; --small goes through all rows in minutes, for what it is worth.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from bench import measure
from bench.quality.real import FAMILY_IDS, Tasks
from bench.quality.recognition import evaluate_model
from whoplays import dataset
from whoplays.dataset.store import INDEX
from whoplays.evaluation import metrics
from whoplays.model import folder as model_folder
from whoplays.storage.files import write_atomically
from whoplays.training import material as store
from whoplays.training.material import clip_targets
from whoplays.training.recipes import Watcher, train

from . import soft_labels
from .jobs import render_scenes, songs_of
from .notes import SAMPLE_RATE, Library
from .scenes import Studio
from .train import SETTINGS

SHARD = 256
TOLD = ("mAP", "clips: F1", "mixes: F1", "duets: exactly right %", "false alarms: clips %")
SMALL = {"scenes": 16, "epochs": 1, "steps": 2, "seeds": 1}


@dataclass(frozen=True)
class Row:
    """One row: what its scenes are made of, and how it is trained. scenes: the row whose scenes it shares."""

    name: str
    scenes: str
    songs: bool = True
    produced: bool = True
    teachers: tuple[str, ...] = ()
    based: bool = False
    families: bool = False
    recipe: str = "default"


ALL = ("jamendo_musicnn", "mn04", "mtt_musicnn", "yamnet", "model")
ROWS = (
    Row("notes", "notes", songs=False, produced=False),
    Row("midi", "midi", produced=False),
    Row("produced", "produced"),
    Row("mn04", "produced", teachers=("mn04",)),
    Row("ensemble", "produced", teachers=ALL),
    Row("base", "produced", teachers=ALL, based=True),
    Row("families", "produced", teachers=ALL, based=True, families=True),
    Row("report", "produced", recipe="mfcc-cnn"),
)


def studio_of(row: Row, asked: argparse.Namespace) -> Studio:
    """Return what the row's scenes are drawn from."""
    songs = songs_of(asked.data, asked.material / "notes") if row.songs else []
    fonts = tuple(asked.font) if row.songs else ()
    return Studio(Library(asked.material / "notes"), songs, fonts, held_out=False, produced=row.produced)


def render(row: Row, asked: argparse.Namespace) -> Path:
    """Write the row's scenes, shard by shard; return their folder."""
    folder: Path = asked.out / "scenes" / row.scenes
    size = min(SHARD, asked.scenes)
    render_scenes(studio_of(row, asked), folder, range(asked.scenes // size), rows=size)
    return folder


def material_of(row: Row, scenes: Path, asked: argparse.Namespace) -> Path:
    """Return a folder of material with the row's parts and the labels that it knows."""
    folder: Path = asked.out / "material" / row.name
    for name, source in (("training", scenes), ("validation", asked.material / "validation")):
        for path in store.shards(source):
            if not (folder / name / path.name).exists():
                store.write_shard(folder / name, path.stem, known(row, store.read([path])))
    if row.teachers:
        ensemble = soft_labels.fit(asked.material, row.teachers)
        for track in soft_labels.heard_tracks(asked.material):
            if not (folder / "music" / f"{track.name}.npz").exists():
                rows = soft_labels.labelled(asked.material, track, ensemble)
                store.write_shard(folder / "music", track.name, known(row, rows))
    return folder


def known(row: Row, rows: store.Rows) -> store.Rows:
    """Return the rows with all their labels, or with the five families alone."""
    if not row.families:
        return rows
    kept = [rows.labels.index(family) for family in FAMILY_IDS]
    return replace(rows, targets=rows.targets[..., kept], labels=FAMILY_IDS)


def solos(row: Row, asked: argparse.Namespace) -> Path:
    """Write the row's scenes with exactly one family as recordings, with a manifest, for the recipe mfcc-cnn."""
    folder: Path = asked.out / "solos"
    manifest = folder / "manifest.csv"
    if manifest.exists():
        return manifest
    folder.mkdir(parents=True, exist_ok=True)
    studio, lines = studio_of(row, asked), []
    for seed in range(asked.scenes):
        scene = studio.draw(seed)
        targets = clip_targets(scene.targets[None].astype(np.float32))[:, : len(FAMILY_IDS)]
        if metrics.single(targets)[0]:
            name = f"{seed:06d}.flac"
            soundfile.write(folder / name, np.clip(scene.samples, -1, 1), SAMPLE_RATE)
            lines.append([name, FAMILY_IDS[int(targets[0].argmax())]])
    with manifest.open("w", newline="") as file:
        csv.writer(file).writerows([["path", "family"], *lines])
    print(f"report: {len(lines)} scenes with one family", flush=True)
    return manifest


class Quiet(Watcher):
    """Prints every tenth epoch."""

    def epoch(self, row: dict[str, float], *, best: bool) -> None:
        """Print every tenth."""
        if row["epoch"] % 10 == 0:
            print("  ".join(f"{name} {value:.4g}" for name, value in row.items()), flush=True)


def trained(row: Row, seed: int, asked: argparse.Namespace) -> Path:
    """Train the row with a seed, or go on with it; return the model folder."""
    out: Path = asked.out / "models" / f"{row.name}-{seed}"
    if row.recipe == "mfcc-cnn":
        built = asked.out / "report-set"
        if not (built / INDEX).exists():
            pitch = (-2.0, -1.0, 0.0, 1.0, 2.0)
            manifest = solos(row, asked)
            dataset.build(manifest, built, dataset.BuildSettings(pitch=pitch, test=0.0, validation=0.1, per_class=0))
        train(built, recipe="mfcc-cnn", out=out, resume=True, seed=seed, watcher=Quiet())
        return out
    settings: dict[str, Any] = {"epochs": asked.epochs, "steps_per_epoch": asked.steps}
    if row.based:
        settings |= {"start_from": str(asked.base), "hidden": SETTINGS["hidden"]}
    material = material_of(row, render(row, asked), asked)
    train(material, recipe="default", out=out, resume=True, seed=seed, watcher=Quiet(), **settings)
    return out


def scored(row: Row, seed: int, asked: argparse.Namespace, tasks: Tasks) -> dict[str, float]:
    """Return the figures of a row and a seed; they are kept, and read the next time."""
    kept: Path = asked.out / "scores" / f"{row.name}-{seed}.json"
    if kept.exists():
        figures_before: dict[str, float] = json.loads(kept.read_text())
        return figures_before
    begun = time.monotonic()
    model = trained(row, seed, asked)
    figures = evaluate_model(model, tasks)
    found = {name: figures[name][0] for name in TOLD}
    if row.recipe == "default":
        found["validation scenes: mAP"] = on_scenes(model, asked.material)
    found["seconds"] = time.monotonic() - begun
    kept.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(kept, json.dumps(found, indent=1).encode())
    print(row.name, seed, {name: round(value, 3) for name, value in found.items()}, flush=True)
    return found


def on_scenes(model: Path, material: Path) -> float:
    """Return the mean average precision of the five families on the scenes of held-out sources."""
    network, rows = model_folder.Network(model_folder.read(model)), store.read(store.shards(material / "validation"))
    parts = np.array_split(rows.features, -(-len(rows) // 32))
    scores = np.concatenate([network.scores(part.astype(np.float32)) for part in parts])
    targets = clip_targets(rows.targets.astype(np.float32))[:, : len(FAMILY_IDS)]
    return float(np.nanmean(metrics.average_precision(targets, scores[:, : len(FAMILY_IDS)])))


def done(out: Path) -> dict[str, list[dict[str, float]]]:
    """Return the figures of all rows and seeds that are finished."""
    kept = {row.name: sorted((out / "scores").glob(f"{row.name}-*.json")) for row in ROWS}
    return {name: [json.loads(path.read_text()) for path in paths] for name, paths in kept.items() if paths}


def table(found: dict[str, list[dict[str, float]]]) -> list[dict[str, object]]:
    """Return a line for each row: the mean over seeds, and the range where there are several."""
    lines = []
    for name, runs in found.items():
        line: dict[str, object] = {"material": name, "seeds": len(runs)}
        for what in (*TOLD, "validation scenes: mAP"):
            values = [run[what] for run in runs if what in run]
            spread = f" ({min(values):.3f}-{max(values):.3f})" if len(values) > 1 else ""
            line[what.removesuffix(" %")] = f"{np.mean(values):.3f}{spread}" if values else "-"
        lines.append(line)
    return lines


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("material", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--from", dest="base", type=Path, help="model to begin as; needed for the rows base and families"
    )
    parser.add_argument("--font", type=Path, action="append", default=[], help="a soundfont; repeat for more")
    parser.add_argument("--rows", nargs="*", choices=[row.name for row in ROWS], default=[row.name for row in ROWS])
    parser.add_argument("--scenes", type=int, default=3072)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--small", action="store_true", help=f"as {SMALL}")
    parser.add_argument("--keep", action="store_true")
    asked = parser.parse_args()
    if asked.small:
        vars(asked).update(SMALL)
    if asked.base is None and any(row.based for row in ROWS if row.name in asked.rows):
        parser.error("the rows base and families need --from")
    tasks = Tasks.of(asked.data, "development")
    for seed in range(asked.seeds):
        for row in (row for row in ROWS if row.name in asked.rows):
            scored(row, seed, asked, tasks)
    lines = table(done(asked.out))
    print(json.dumps(lines, indent=1))
    if asked.keep:
        crops = asked.epochs * asked.steps * 64
        measure.keep(
            "ablation",
            "What each part of the material is worth",
            lines,
            peer="the row above",
            packages=("keras", "tensorflow"),
            remarks=f"{asked.scenes} scenes a row, {crops:,} crops; the mean over seeds and its range. Development half of "
            "real/; shares from 0 to 1. Validation scenes are of held-out sources.",
        )


if __name__ == "__main__":
    main()
