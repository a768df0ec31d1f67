"""What each part of the material and of the training is worth: the same short training on more and more of it.

python -m recipe.ablation DATA MATERIAL OUT [--teacher FOLDER] [--font FILE ...] [--rows NAME ...] [--scenes 3072]
    [--epochs 10] [--steps 100] [--seeds 3] [--keep]

MATERIAL: rendered material with notes/ packed, validation/ and, for distillation, head.npz and music/. OUT: a folder that may
grow to 2 GB. Each row has as many scenes, drawn from the same seeds (those that a row leaves out are replaced by the next):

    notes         recorded notes, parts made up, dry; no other instruments, voices or noises
    midi          and parts from MIDI files, and soundfonts
    production    and rooms, amplifiers, equalisers, noise, codecs
    others        and what is none of the five: other instruments, voices, noises
    distillation  and the teacher's embedding beside the labels, and game music that the teacher labelled
    report        the report's recipe (20 x 20 MFCC, softmax) on the scenes of `others` that hold exactly one family

Every shard, model and score is a file: stopped at any time, the same command goes on, and the table holds all that is done
(so the rows that decide may have more seeds than others). All rows get a first seed before any gets a second. Judged on the
development half of real/ and, but for the report's recipe, on validation scenes of held-out sources. With --keep it
writes the table.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from bench import measure
from bench.quality.real import Tasks
from bench.quality.recognition import evaluate_model
from whoplays import dataset
from whoplays.dataset.store import INDEX
from whoplays.evaluation import metrics
from whoplays.model import folder as model_folder
from whoplays.storage.files import write_atomically
from whoplays.training import material as store
from whoplays.training.material import HEAD, clip_targets
from whoplays.training.recipes import Watcher, train

from .jobs import log_mel, songs_of
from .labels import LABELS
from .notes import SAMPLE_RATE, Library
from .scenes import STEPS, Scene, Studio
from .teacher import WIDTH, Teacher

SHARD = 256
SHIPPED_SCENES = 23_040  # of the shipped model's training
TOLD = ("mAP", "clips: F1", "duets: all found %", "duets: highest scores %", "false alarms: clips %")


@dataclass(frozen=True)
class Row:
    """One row: what its scenes are made of, and how it is trained. scenes: the row whose scenes it shares."""

    name: str
    scenes: str
    songs: bool = True
    produced: bool = True
    others: bool = True
    distilled: bool = False
    recipe: str = "default"


ROWS = (
    Row("notes", "notes", songs=False, produced=False, others=False),
    Row("midi", "midi", produced=False, others=False),
    Row("production", "production", others=False),
    Row("others", "others"),
    Row("distillation", "others", distilled=True),
    Row("report", "others", recipe="mfcc-cnn"),
)


def is_of_families(about: str) -> bool:
    """Return whether a scene holds families, bass and silence alone."""
    if about.startswith("noise"):
        return False
    if about.startswith("single"):
        return "/other/" not in about
    return not {"other", "voice"} & set(about.split(":")[0].split("+"))


def drawn(studio: Studio, row: Row, count: int) -> Iterator[tuple[int, Scene]]:
    """Yield `count` scenes with their seeds."""
    seed = found = 0
    while found < count:
        scene = studio.draw(seed)
        if row.others or is_of_families(scene.about):
            found += 1
            yield seed, scene
        seed += 1


def studio_of(row: Row, asked: argparse.Namespace) -> Studio:
    """Return what the row's scenes are drawn from."""
    songs = songs_of(asked.data, asked.material / "notes") if row.songs else []
    fonts = tuple(asked.font) if row.songs else ()
    return Studio(Library(asked.material / "notes"), songs, fonts, held_out=False, produced=row.produced)


def render(row: Row, asked: argparse.Namespace) -> Path:
    """Write the row's scenes, shard by shard, with the teacher's embedding where a row will need it; return their folder."""
    folder: Path = asked.out / "scenes" / row.scenes
    size = min(SHARD, asked.scenes)
    names = [f"scenes-{number:05d}" for number in range(asked.scenes // size)]
    if all((folder / f"{name}.npz").exists() for name in names):
        return folder
    teacher = Teacher(asked.teacher) if asked.teacher and row.others else None
    waiting: list[tuple[NDArray[Any], NDArray[Any], NDArray[Any], str]] = []
    begun, number = time.monotonic(), 0
    for done, (_, scene) in enumerate(drawn(studio_of(row, asked), row, len(names) * size), start=1):
        if not (folder / f"{names[number]}.npz").exists():
            waiting.append((log_mel(scene.samples), scene.targets, _embedded(teacher, scene), scene.about))
        if done % size == 0:
            if waiting:
                features, targets, embedding, about = zip(*waiting, strict=True)
                rows = (np.stack(features), np.stack(targets).astype(np.float16), np.stack(embedding), np.array(about))
                store.write_shard(folder, names[number], store.Rows(*rows))
                each = 1e3 * (time.monotonic() - begun) / done
                print(f"{row.scenes}: {names[number]}, {each:.0f} ms a scene", flush=True)
            waiting, number = [], number + 1
    return folder


def _embedded(teacher: Teacher | None, scene: Scene) -> np.ndarray:
    if teacher is None:
        return np.full((STEPS, WIDTH), np.nan, dtype=np.float16)
    return teacher.embed(scene.samples[None])[0, :STEPS].astype(np.float16)


def material_of(row: Row, scenes: Path, asked: argparse.Namespace) -> Path:
    """Return a folder of material with the row's parts: links to scenes, validation and, distilled, the head and music.

    Of the music there is as much for each scene as in the shipped model's training.
    """
    folder: Path = asked.out / "material" / row.name
    folder.mkdir(parents=True, exist_ok=True)
    parts = {"training": scenes, "validation": asked.material / "validation"}
    if row.distilled:
        music = sorted((asked.material / "music").glob("*.npz"))
        kept = music[: max(1, round(len(music) * asked.scenes / SHIPPED_SCENES))]
        parts |= {HEAD: asked.material / HEAD, **{f"music/{path.name}": path for path in kept}}
    for name, target in parts.items():
        link = folder / name
        link.parent.mkdir(exist_ok=True)
        if not link.exists():
            link.symlink_to(os.path.relpath(target.resolve(), link.parent.resolve()))
    return folder


def solos(row: Row, asked: argparse.Namespace) -> Path:
    """Write the row's scenes with exactly one family as recordings, with a manifest, for the report's recipe."""
    folder: Path = asked.out / "solos"
    manifest = folder / "manifest.csv"
    if manifest.exists():
        return manifest
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for seed, scene in drawn(studio_of(row, asked), row, asked.scenes):
        targets = clip_targets(scene.targets[None].astype(np.float32))
        if metrics.single(targets)[0]:
            name = f"{seed:06d}.flac"
            soundfile.write(folder / name, np.clip(scene.samples, -1, 1), SAMPLE_RATE)
            lines.append([name, LABELS[int(targets[0].argmax())]])
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
    settings = {"epochs": asked.epochs, "steps_per_epoch": asked.steps}
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
    """Return the mean average precision on the scenes of held-out sources."""
    network, rows = model_folder.Network(model_folder.read(model)), store.read(store.shards(material / "validation"))
    parts = np.array_split(rows.features, -(-len(rows) // 32))
    scores = np.concatenate([network.scores(part.astype(np.float32)) for part in parts])
    return float(np.mean(metrics.average_precision(clip_targets(rows.targets.astype(np.float32)), scores)))


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
    parser.add_argument("--teacher", type=Path, help="folder of the teacher's weights; needed for distillation")
    parser.add_argument("--font", type=Path, action="append", default=[], help="a soundfont; repeat for more")
    parser.add_argument("--rows", nargs="*", choices=[row.name for row in ROWS], default=[row.name for row in ROWS])
    parser.add_argument("--scenes", type=int, default=3072)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--keep", action="store_true")
    asked = parser.parse_args()
    if asked.teacher is None and "distillation" in asked.rows:
        parser.error("the row distillation needs --teacher")
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
            "real/; shares from 0 to 1. Validation scenes are of held-out sources and hold all that `others` has.",
        )


if __name__ == "__main__":
    main()
