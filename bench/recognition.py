"""How well recognisers hear the five families in real recordings that no training has seen.

python bench/recognition.py DATA [MODEL ...] [--half development|test] [--yamnet FOLDER] [--mn04 FOLDER] [--name NAME]

DATA: a folder of training material with manifest.csv and real/. MODEL: model folders; without any, the one in the
package. `real/` is split once, by recording: choose by the development half; the test half is for the table only.

Four tasks on that half: clips (labels of the manifest; an empty cell counts neither way), duets (two clips of different
families and recordings, equally loud, summed), and silence about what is no family: clips of other instruments, and
noise and voices from the part of noise/ that training leaves alone.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from peers import Scorer, mn04, yamnet

import results
from whoplays import load, metrics
from whoplays.labels import FAMILY_IDS
from whoplays.render.notes import Clip

RATE = 32000
#: Chosen once, among 300, so that each family has about as many positives in both halves.
SALT = 3
DUETS = 150
Array = NDArray[np.float32]


@dataclass(frozen=True)
class Recording:
    """A real clip: its samples at 32 kHz, the recording it is from, and its labels (NaN unknown)."""

    path: str
    source: str
    samples: Array
    targets: Array


def half_of(source: str) -> str:
    """Return the half of real/ that a recording belongs to."""
    return "test" if hashlib.sha256(f"{SALT}:{source}".encode()).digest()[0] & 1 else "development"


def real_recordings(data: Path, half: str) -> list[Recording]:
    """Return the clips of one half of real/."""
    found = []
    with (data / "manifest.csv").open(newline="") as table:
        for row in csv.DictReader(table):
            if row["kind"] == "real" and half_of(row["source"]) == half:
                targets = [float(row[family]) if row[family] else np.nan for family in FAMILY_IDS]
                samples, _ = soundfile.read(data / row["path"], dtype="float32")
                found.append(Recording(row["path"], row["source"], samples, np.array(targets, dtype=np.float32)))
    return found


def noises(data: Path, half: str) -> list[Recording]:
    """Return noises and voices that training leaves alone, half of them for each half."""
    found = []
    with (data / "manifest.csv").open(newline="") as table:
        for row in csv.DictReader(table):
            clip = Clip(row["path"], row["kind"], row["instrument"], row["source"], "", None, 0, 0)
            if row["kind"] == "noise" and clip.held_out and half_of(row["source"]) == half:
                samples, _ = soundfile.read(data / row["path"], dtype="float32")
                found.append(Recording(row["path"], row["source"], samples, np.zeros(5, dtype=np.float32)))
    return found


def duets(recordings: Sequence[Recording], *, count: int = DUETS, seed: int = 0) -> list[Recording]:
    """Return sums of two clips, each with one known family, spread evenly over pairs of families."""
    rng = np.random.default_rng(seed)
    solo: dict[int, list[Recording]] = {}
    for recording in recordings:
        if metrics.single(recording.targets[None])[0] and np.abs(recording.samples).max() > 1e-3:
            solo.setdefault(int(recording.targets.argmax()), []).append(recording)
    pairs = [(a, b) for a in sorted(solo) for b in sorted(solo) if a < b]
    found = []
    for i in range(count):
        one, other = (solo[family][rng.integers(len(solo[family]))] for family in pairs[i % len(pairs)])
        n = int(np.clip(max(one.samples.size, other.samples.size), RATE, 10 * RATE))
        whole = sum(np.resize(r.samples, n) / _loudness(np.resize(r.samples, n)) for r in (one, other))
        whole *= 0.5 / np.abs(whole).max()
        sources = "+".join(sorted((one.source, other.source)))
        found.append(
            Recording(
                f"{one.path} + {other.path}", sources, whole.astype(np.float32), np.fmax(one.targets, other.targets)
            )
        )
    return found


def _loudness(samples: Array) -> float:
    return float(np.sqrt(np.mean(np.square(samples)))) or 1.0


@dataclass(frozen=True)
class Heard:
    """A recogniser's scores on the tasks, and its thresholds."""

    name: str
    thresholds: tuple[float, ...]
    clips: Array
    duets: Array
    silent: Array


def model_scorer(folder: Path | None) -> tuple[str, tuple[float, ...], Scorer]:
    """Return name, thresholds and scorer of a model folder (None: the one in the package)."""
    recogniser = load(folder)

    def score(samples: Array) -> Array:
        return np.array(list(recogniser.predict(samples, sample_rate=RATE).scores.values()), dtype=np.float32)

    return recogniser.config.id if folder is None else folder.name, recogniser.config.thresholds, score


def hear(name: str, thresholds: Sequence[float], score: Scorer, tasks: Sequence[Sequence[Recording]]) -> Heard:
    """Score every recording of every task."""
    clips, sums, silent = (np.stack([score(r.samples) for r in task]) for task in tasks)
    return Heard(name, tuple(thresholds), clips, sums, silent)


def groups_of(recordings: Sequence[Recording]) -> NDArray[np.int64]:
    """Return a number for each recording that clips were cut from."""
    return np.unique([recording.source for recording in recordings], return_inverse=True)[1]


def judge(heard: Heard, tasks: Sequence[Sequence[Recording]]) -> dict[str, object]:
    """Return one row of the table: a figure and, where it matters, its 95 % interval over recordings."""
    clips, pairs, _ = tasks
    targets = np.stack([recording.targets for recording in clips])
    found, spread = metrics.evaluate(
        targets, heard.clips, FAMILY_IDS, exclusive=False, thresholds=heard.thresholds, recordings=groups_of(clips)
    )
    at_half, _ = metrics.evaluate(targets, heard.clips, FAMILY_IDS, exclusive=False, draws=0)
    low, high = spread["average_precision_macro"]
    row: dict[str, object] = {
        "recogniser": heard.name,
        "mAP": f"{found['average_precision_macro']:.3f} ({low:.3f}-{high:.3f})",
    }
    row |= {f"AP {family}": f"{found[f'{family}/average_precision']:.3f}" for family in FAMILY_IDS}
    row["ROC-AUC"] = f"{found['roc_auc_macro']:.3f}"
    row["F1 at 0.5"], row["F1"] = f"{at_half['f1_macro']:.3f}", f"{found['f1_macro']:.3f}"
    truth = np.stack([pair.targets for pair in pairs]) == 1
    playing = heard.duets >= heard.thresholds
    top = np.argsort(-heard.duets, axis=1, kind="stable")[:, :2]
    row["duets: both"] = _share((playing | ~truth).all(axis=1))
    row["duets: exactly both"] = _share((playing == truth).all(axis=1))
    row["duets: top two"] = _share(np.take_along_axis(truth, top, axis=1).all(axis=1))
    row["false alarms: clips"] = _share((heard.silent >= heard.thresholds).any(axis=1))
    row["false alarms: scores"] = _share((heard.silent >= heard.thresholds).ravel())
    row["calibration error"] = f"{found['calibration_error']:.3f}"
    return row


def _share(right: NDArray[np.bool_]) -> str:
    """Return a percentage with its 95 % interval (Wilson 1927)."""
    n, p, z = right.size, float(right.mean()), 1.96
    middle, width = (p + z * z / (2 * n)), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = ((middle + sign * width) / (1 + z * z / n) for sign in (-1, 1))
    return f"{100 * p:.0f} % ({100 * max(0, low):.0f}-{100 * high:.0f})"


def worst(heard: Heard, recordings: Sequence[Recording], *, count: int = 12) -> list[str]:
    """Return the clips with the largest misses, for looking at: path, family, score, what was right."""
    found = []
    for recording, scores in zip(recordings, heard.clips, strict=True):
        for family, score, target in zip(FAMILY_IDS, scores, recording.targets, strict=True):
            if not np.isnan(target):
                found.append(
                    (abs(float(score) - float(target)), f"{recording.path}: {family} {score:.2f}, is {target:.0f}")
                )
    return [text for _, text in sorted(found, reverse=True)[:count]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("models", type=Path, nargs="*")
    parser.add_argument("--half", choices=("development", "test"), default="development")
    parser.add_argument("--yamnet", type=Path, help="folder of YAMNet's TensorFlow Lite file")
    parser.add_argument("--mn04", type=Path, help="folder of mn04's weights")
    parser.add_argument("--head", type=Path, help="folder of rendered material with a head for mn04's embedding")
    parser.add_argument("--name", default="", help="keep the table in bench/results under this name")
    parser.add_argument("--worst", action="store_true", help="name the clips with the largest misses")
    asked = parser.parse_args()

    clips = real_recordings(asked.data, asked.half)
    others = [clip for clip in clips if (clip.targets == 0).all()]
    tasks = (clips, duets(clips), [*others, *noises(asked.data, asked.half)])
    half = (0.5,) * len(FAMILY_IDS)
    scorers = [model_scorer(folder) for folder in asked.models or [None]]
    if asked.yamnet:
        scorers.append(("YAMNet, all classes of a family", half, yamnet(asked.yamnet)))
        scorers.append(("YAMNet, root class of a family", half, yamnet(asked.yamnet, root_only=True)))
    if asked.mn04:
        scorers.append(("mn04, all classes of a family", half, mn04(asked.mn04)))
        if asked.head:
            scorers.append(("mn04 with our head", half, mn04(asked.mn04, head=asked.head)))
    rows = []
    for name, thresholds, score in scorers:
        heard = hear(name, thresholds, score, tasks)
        rows.append(judge(heard, tasks))
        print(rows[-1], flush=True)
        if asked.worst:
            print("\n".join(worst(heard, clips)), flush=True)
    if asked.name:
        counts = f"{len(clips)} clips of {len(set(groups_of(clips)))} recordings, {len(tasks[1])} duets"
        remarks = f"{counts}, {len(tasks[2])} clips of no family. Intervals: 95 %, over recordings."
        # folders by their names: where they lie on this machine tells nobody anything
        sys.argv[1:] = [Path(word).name if "/" in word else word for word in sys.argv[1:]]
        results.keep(
            asked.name,
            f"Recognition on the {asked.half} half of real/",
            rows,
            peer="see rows",
            packages=("onnxruntime",),
            remarks=remarks,
        )


if __name__ == "__main__":
    main()
