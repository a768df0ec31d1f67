"""How well recognisers hear the five families in real recordings that no training has seen.

python -m bench recognition DATA [MODEL ...] [--half development|test] [--yamnet FOLDER] [--mn04 FOLDER] [--head MATERIAL]
    [--keep] [--pictures FOLDER] [--cache FOLDER]

DATA: a folder of training material with manifest.csv and real/ (see real.py for the tasks). MODEL: model folders; without
any, the one in the package. --keep writes the table to bench/results and to docs/default-model.md, with the picture of
what is heard for what. --pictures draws the worst clips, for looking at. --cache keeps scores, so that only what is new
is heard. The other recognisers bring no thresholds: theirs are those of the best F1 on the development half.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import whoplays
from bench.quality.peers import Scorer, mn04, yamnet
from bench.quality.real import HALVES, RATE, Figure, Heard, Recording, Tasks, duets, noises, real_recordings
from bench.quality.recognition_docs import draw_worst, keep_all
from whoplays import load
from whoplays.evaluation import metrics
from whoplays.taxonomy.catalogue import catalogue

FAMILY_IDS = catalogue().defaults

ARGUMENTS = ("DATA --keep",)


__all__ = ["Heard", "Listener", "duets", "judge", "listeners", "noises", "real_recordings"]

DRAWS = 1000
Array = NDArray[np.float32]


@dataclass
class Listener:
    """A recogniser: its name, what tells its scores from another's, samples at 32 kHz -> five scores, thresholds."""

    name: str
    key: str
    score: Scorer
    thresholds: tuple[float, ...] | None = None
    cache: Path | None = None
    _known: dict[str, list[float]] | None = field(default=None, repr=False)

    def hear(self, recordings: Sequence[Recording]) -> Array:
        """Return scores (recordings, families); what the cache holds is not heard again."""
        if self._known is None:
            self._known = json.loads(self._file.read_text()) if self.cache and self._file.exists() else {}
        names = [hashlib.sha256(recording.samples.tobytes()).hexdigest()[:24] for recording in recordings]
        new = [(n, r) for n, r in zip(names, recordings, strict=True) if n not in self._known]
        self._known |= {name: [float(value) for value in self.score(recording.samples)] for name, recording in new}
        if new and self.cache:
            self.cache.mkdir(parents=True, exist_ok=True)
            self._file.write_text(json.dumps(self._known))
        return np.array([self._known[name] for name in names], dtype=np.float32)

    @property
    def _file(self) -> Path:
        assert self.cache
        return self.cache / f"{hashlib.sha256(self.key.encode()).hexdigest()[:24]}.json"


def _sources(*names: str) -> str:
    """Return a checksum of parts of the package: a cache must not outlive the code that filled it."""
    root = Path(whoplays.__file__).parent
    return hashlib.sha256(b"".join((root / name).read_bytes() for name in names)).hexdigest()


def model_listener(folder: Path | None) -> Listener:
    """Return a model folder's listener (None: that of the one in the package)."""
    recogniser = load(folder)

    def score(samples: Array) -> Array:
        return np.array(list(recogniser.predict(samples, sample_rate=RATE).scores.values()), dtype=np.float32)

    name = recogniser.config.id if folder is None else folder.resolve().name
    key = recogniser.fingerprint + _sources(
        "audio/reading.py", "features.py", "model/folder.py", "inference/recogniser.py"
    )
    return Listener(name, key, score, recogniser.config.thresholds)


def _key(what: str, *files: Path) -> str:
    return what + "".join(hashlib.sha256(file.read_bytes()).hexdigest() for file in files)


def listeners(asked: argparse.Namespace) -> list[Listener]:
    """Return all that were asked for: models, then peers."""
    found = [model_listener(folder) for folder in asked.models or [None]]
    if asked.yamnet:
        for name, root_only in (("YAMNet, all classes", False), ("YAMNet, root class", True)):
            key = _key(name, asked.yamnet / "yamnet.tflite", Path(__file__).with_name("peers.py"))
            found.append(Listener(name, key, yamnet(asked.yamnet, root_only=root_only)))
    if asked.mn04:
        weights = (next(asked.mn04.glob("*.safetensors")), Path(__file__).with_name("peers.py"))
        found.append(Listener("mn04, all classes", _key("mn04", *weights), mn04(asked.mn04)))
        if asked.head:
            key = _key("mn04 with our head", *weights, asked.head / "head.npz")
            found.append(Listener("mn04 with our head", key, mn04(asked.mn04, head=asked.head)))
    for listener in found:
        listener.cache = asked.cache
    return found


def tuned(listener: Listener, tasks: Tasks) -> tuple[float, ...]:
    """Return a recogniser's own thresholds, or those of the best F1 on the development half, sums and silence included."""
    if listener.thresholds is not None:
        return listener.thresholds
    all_of = [*tasks.clips, *tasks.duets, *tasks.silent]
    return tuple(metrics.best_thresholds(np.stack([r.targets for r in all_of]), listener.hear(all_of)))


def hear(listener: Listener, tasks: Tasks, development: Tasks) -> Heard:
    """Score every recording of every task."""
    parts = (listener.hear(part) for part in (tasks.clips, tasks.duets, tasks.ensembles, tasks.silent))
    return Heard(listener.name, tuned(listener, development), *parts)


def _judged(
    recordings: Sequence[Recording], scores: Array, thresholds: Sequence[float] | None = None
) -> dict[str, Figure]:
    """Return all of `metrics.evaluate`, each with its interval over recordings."""
    found, spread = metrics.evaluate(
        np.stack([recording.targets for recording in recordings]),
        scores,
        FAMILY_IDS,
        exclusive=False,
        thresholds=thresholds,
        recordings=np.array([recording.sources for recording in recordings]),
        draws=DRAWS,
    )
    return {name: (value, *spread[name]) for name, value in found.items()}


def _share(recordings: Sequence[Recording], right: NDArray[np.bool_]) -> Figure:
    """Return how many of `right` are true, with the interval over recordings."""
    sources = np.array([recording.sources for recording in recordings])
    drawn = [w @ right / np.maximum(w.sum(axis=1), 1e-9) for w in metrics.drawn(sources, DRAWS)]
    return float(right.mean()), *metrics.interval(np.concatenate(drawn))


def judge(heard: Heard, tasks: Tasks) -> dict[str, Figure]:
    """Return every figure of the table by name; shares are from 0 to 1."""
    limits = np.array(heard.thresholds)
    clips, half = _judged(tasks.clips, heard.clips, limits), _judged(tasks.clips, heard.clips)
    row = {"mAP": clips["average_precision_macro"]}
    row |= {f"AP {family}": clips[f"{family}/average_precision"] for family in FAMILY_IDS}
    row |= {"ROC-AUC": clips["roc_auc_macro"]}
    row |= {f"ROC-AUC {family}": clips[f"{family}/roc_auc"] for family in FAMILY_IDS}
    row |= {"F1 at 0.5": half["f1_macro"], "F1 at its thresholds": clips["f1_macro"]}
    row["calibration error"] = clips["calibration_error"]

    solo = [i for i, clip in enumerate(tasks.clips) if clip.solo]
    alone = [tasks.clips[i] for i in solo]
    one = np.stack([clip.targets for clip in alone]) == 1
    playing = heard.clips[solo] >= limits
    top = heard.clips[solo].argmax(axis=1) == one.argmax(axis=1)
    row["solo: found %"] = _share(alone, (playing & one).any(axis=1))
    row["solo: exactly it %"] = _share(alone, (playing == one).all(axis=1))
    row["solo: highest score %"] = _share(alone, top)
    for name, recordings, scores in (
        ("duets", tasks.duets, heard.duets),
        ("ensembles", tasks.ensembles, heard.ensembles),
    ):
        truth = np.stack([recording.targets for recording in recordings]) == 1
        playing = scores >= limits
        found = _judged(recordings, scores, limits)
        order = np.argsort(-scores, axis=1, kind="stable")[:, : int(truth[0].sum())]
        row[f"{name}: mAP"], row[f"{name}: F1"] = found["average_precision_macro"], found["f1_macro"]
        row[f"{name}: all found %"] = _share(recordings, (playing | ~truth).all(axis=1))
        row[f"{name}: exactly those %"] = _share(recordings, (playing == truth).all(axis=1))
        row[f"{name}: highest scores %"] = _share(recordings, np.take_along_axis(truth, order, axis=1).all(axis=1))
    row["false alarms: clips %"] = _share(tasks.silent, (heard.silent >= limits).any(axis=1))
    row["false alarms: scores %"] = _share(tasks.silent, (heard.silent >= limits).mean(axis=1))
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("models", type=Path, nargs="*")
    parser.add_argument("--half", choices=HALVES, default="development")
    parser.add_argument("--yamnet", type=Path, help="folder of YAMNet's TensorFlow Lite file")
    parser.add_argument("--mn04", type=Path, help="folder of mn04's weights")
    parser.add_argument("--head", type=Path, help="folder of rendered material with a head for mn04's embedding")
    parser.add_argument("--keep", action="store_true", help="write bench/results and docs/default-model.md")
    parser.add_argument(
        "--pictures", type=Path, help="a folder to draw the worst clips into; keep it out of the project"
    )
    parser.add_argument("--cache", type=Path, help="a folder to keep scores in")
    asked = parser.parse_args()

    tasks = Tasks.of(asked.data, asked.half)
    development = tasks if asked.half == "development" else Tasks.of(asked.data, "development")
    heard, figures = [], {}
    for listener in listeners(asked):
        heard.append(hear(listener, tasks, development))
        figures[listener.name] = judge(heard[-1], tasks)
        told = ("mAP", "duets: all found %", "duets: highest scores %", "false alarms: clips %", "calibration error")
        print(listener.name, *(f"{name} {figures[listener.name][name][0]:.3f}" for name in told), sep="  ", flush=True)
    if asked.pictures:
        draw_worst(heard, tasks, asked.models[0] if asked.models else None, asked.pictures)
    if asked.keep:
        # folders by their names: where they lie on this machine tells nobody anything
        words = [
            w
            for w in sys.argv[1:]
            if w not in ("--keep", "--pictures", "--cache", str(asked.pictures), str(asked.cache))
        ]
        sys.argv[1:] = [Path(word).name if "/" in word else word for word in words]
        keep_all(asked.half, heard, figures, tasks)
