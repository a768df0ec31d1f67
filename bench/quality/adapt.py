"""Ten recordings a label: `train --from` against training from scratch, judged on real recordings that neither has heard.

python -m bench adapt DATA [--from MODEL] [--seeds 3] [--scratch report default] [--epochs 8] [--keep]

From DATA's recorded notes, ten of each label are drawn with each seed, spread over sources. New labels: clarinet, flute,
saxophone, which the model that ships does not name. Old labels: its five families. Judged on the development half of
real/ (real.py): mean average precision of the labels over all its clips. From scratch, `report` has 40 epochs at a learning
rate that suits so little material, `default` --epochs of 20 steps.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from bench import measure
from bench.quality.real import RATE, Recording, noises, real_recordings
from whoplays import dataset, load
from whoplays.evaluation import metrics
from whoplays.taxonomy.catalogue import catalogue
from whoplays.training.adapt import adapt
from whoplays.training.recipes import train

ARGUMENTS = ("DATA --keep",)

FAMILY_IDS = catalogue().defaults
NEW = ("clarinet", "flute", "saxophone")
PER_LABEL = 10


def drawn(data: Path, label: str, seed: int) -> list[Path]:
    """Return notes or phrases of a family or instrument, from as many sources as there are."""
    rng = np.random.default_rng([seed, *label.encode()])
    groups: dict[str, list[Path]] = {}
    with (data / "manifest.csv").open(newline="") as table:
        for row in csv.DictReader(table):
            column = "family" if label in FAMILY_IDS else "instrument"
            wanted = row["kind"] in ("note", "hit", "strum", "phrase") and row[column] == label
            if wanted and not row["instrument"].startswith("bass-electric"):
                groups.setdefault(row["source"], []).append(data / row["path"])
    order = [groups[name] for name in rng.permutation(sorted(groups))]
    return [group[rng.integers(len(group))] for group in (order * PER_LABEL)[:PER_LABEL]]


def class_folders(data: Path, labels: Sequence[str], seed: int, folder: Path) -> Path:
    """Copy what was drawn into a folder for each label."""
    for label in labels:
        (folder / label).mkdir(parents=True)
        for i, path in enumerate(drawn(data, label, seed)):
            shutil.copy(path, folder / label / f"{i}-{path.name}")
    return folder


def truth(recordings: Sequence[Recording], labels: Sequence[str]) -> np.ndarray:
    """Return targets (recordings, labels): families from the manifest, instruments by name."""
    return np.array(
        [
            [
                r.targets[FAMILY_IDS.index(label)] if label in FAMILY_IDS else float(label in r.instrument)
                for label in labels
            ]
            for r in recordings
        ]
    )


def judged(model: Path | None, recordings: Sequence[Recording], labels: Sequence[str]) -> float:
    """Return the mean average precision of some of a model's labels."""
    recogniser = load(model)
    found = [recogniser.predict(r.samples, sample_rate=RATE).scores for r in recordings]
    scores = np.array([[one[label] for label in labels] for one in found])
    return float(np.mean(metrics.average_precision(truth(recordings, labels), scores)))


def from_scratch(recipe: str, source: Path, folder: Path, seed: int, *, epochs: int) -> Path:
    """Train a recipe on the same ten recordings a label, with the variants in pitch that the report makes."""
    kind = "mfcc" if recipe == "mfcc-cnn" else "logmel"
    settings = dataset.BuildSettings(
        features=kind, pitch=(-2.0, -1.0, 0.0, 1.0, 2.0) if recipe == "mfcc-cnn" else (0.0,), test=0.0, validation=0.2
    )
    dataset.build(source, folder / "set", settings)
    given = {"learning_rate": 3e-4, "epochs": 40} if recipe == "mfcc-cnn" else {"epochs": epochs, "steps_per_epoch": 20}
    train(folder / "set", recipe=recipe, out=folder / "model", seed=seed, **given)
    return folder / "model"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--from", dest="base", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--scratch", nargs="*", choices=("mfcc-cnn", "default"), default=["mfcc-cnn"])
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--keep", action="store_true")
    asked = parser.parse_args()
    clips = [*real_recordings(asked.data, "development"), *noises(asked.data, "development")]
    before = judged(asked.base, clips, FAMILY_IDS)
    rows: list[dict[str, str]] = []
    for what, labels in (("new labels", NEW), ("old labels", FAMILY_IDS)):
        makers: dict[str, Callable[[Path, Path, int], Path]] = {
            "--from": lambda source, out, seed: adapt(source, out / "model", base=asked.base, seed=seed).folder
        }
        makers |= {
            f"{recipe} from scratch": partial(from_scratch, recipe, epochs=asked.epochs) for recipe in asked.scratch
        }
        for name, make in makers.items():
            found, kept, seconds = [], [], []
            for seed in range(asked.seeds):
                with tempfile.TemporaryDirectory() as made:
                    source = class_folders(asked.data, labels, seed, Path(made) / "mine")
                    begun = time.perf_counter()
                    model = make(source, Path(made), seed)
                    seconds.append(time.perf_counter() - begun)
                    found.append(judged(model, clips, labels))
                    kept.append(judged(model, clips, FAMILY_IDS) if name == "--from" else np.nan)
            rows.append(
                {
                    "task": f"{what}: {', '.join(labels)}",
                    "way": name,
                    "mAP of these labels": f"{np.mean(found):.3f} ({min(found):.3f}-{max(found):.3f})",
                    "mAP of the five families": "-"
                    if np.isnan(kept[0])
                    else f"{np.mean(kept):.3f} (before: {before:.3f})",
                    "seconds": f"{np.median(seconds):.0f}",
                }
            )
            print(rows[-1], flush=True)
    if asked.keep:
        measure.keep(
            "adapt",
            f"{PER_LABEL} recordings a label: --from against from scratch",
            rows,
            peer="the recipes, from scratch on the same recordings",
            packages=("onnxruntime", "keras", "tensorflow"),
            remarks=f"Mean and range of {asked.seeds} draws, on {len(clips)} clips of the development half. "
            f"By chance new labels would have {truth(clips, NEW).mean():.2f}. "
            "Seconds: wall, two cores, the machine not wholly idle.",
        )
