"""Ten recordings a label of three kinds of instruments: which of them plays, on recordings of a source that was left out.

python -m bench few_shot DATA [--from MODEL] [--draws 3] [--development] [--keep]

Tasks: winds, plucked strings and bowed strings; with --development others, by which the way of learning was chosen, and which are
not kept. In each draw one hand (a library or a player) of each instrument is left out, ten
recordings of the others are drawn, `train --from` learns them, and up to twelve recordings of those left out are
predicted; the same on the clips of these instruments in the development half of real/ (real.py). *Right*: of the
task's labels the one with the highest score is the instrument's; *exact*: it and no other of them plays. Of ukuleles there is one
source of eleven notes and no real clip: half of them are drawn to learn from, and the others stand for a source left out.

The package's model and its embedding were trained on these libraries (not on the real clips): a hand that is left out is new to
what is learnt here, not to the network.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from bench import measure
from bench.quality.real import RATE, real_recordings
from whoplays import load
from whoplays.training.adapt import adapt

ARGUMENTS = ("DATA --keep",)
TASKS = {
    "winds": ("flute", "clarinet", "saxophone"),
    "plucked strings": ("banjo", "mandolin", "ukulele"),
    "bowed strings": ("violin", "cello", "double-bass"),
}
DEVELOPMENT = {
    "brass": ("trumpet", "trombone", "french-horn", "tuba"),
    "double reeds and horn": ("oboe", "bassoon", "french-horn"),
    "guitars": ("acoustic-guitar", "electric-guitar", "bass-guitar"),
    "keyboards": ("acoustic-piano", "electric-piano", "organ"),
    "mallets and harp": ("glockenspiel", "xylophone", "harp"),
    "hand percussion": ("bongo", "shaker", "tambourine"),
    "drum kit": ("snare", "kick", "hihat-closed", "tom"),
    "one of each": ("trumpet", "acoustic-guitar", "acoustic-piano"),
}
#: Labels -> what the recorded notes are called, and real clips -> labels, where that differs.
NOTES = {
    "acoustic-guitar": "guitar-acoustic", "electric-guitar": "guitar-electric", "acoustic-piano": "piano-acoustic",
    "electric-piano": "piano-electric", "bass-guitar": "bass-electric",
}  # fmt: skip
REAL_NAMES = {
    "violin-or-fiddle": "violin", "flute-traversiere": "flute", "snare-drum": "snare", "bass-drum": "kick",
    "hi-hat": "hihat-closed", "piano": "acoustic-piano", "guitar": "acoustic-guitar",
}  # fmt: skip
KINDS = ("note", "phrase", "hit", "strum")
PER_LABEL, TESTED, FEWEST = 10, 12, 6


def sample_recordings(data: Path, instrument: str, rng: np.random.Generator) -> tuple[list[Path], list[Path]]:
    """Return recordings to learn from, spread over sources, and some of a hand that is left out."""
    hands: dict[str, dict[str, list[Path]]] = {}
    with (data / "manifest.csv").open(newline="") as table:
        for row in csv.DictReader(table):
            if row["kind"] in KINDS and row["instrument"] == NOTES.get(instrument, instrument):
                sources = hands.setdefault(row["source"].split("-")[0], {})
                sources.setdefault(row["source"], []).append(data / row["path"])
    counts = {hand: sum(map(len, sources.values())) for hand, sources in hands.items()}
    if len(hands) == 1:
        (only,) = (paths for sources in hands.values() for paths in sources.values())
        order = list(rng.permutation(len(only)))
        half = len(only) // 2
        return [only[i] for i in order[:half]], [only[i] for i in order[half:]]
    out = str(
        rng.choice(sorted(hand for hand, count in counts.items() if count >= 8 and sum(counts.values()) - count >= 10))
    )
    others = [paths for hand, sources in hands.items() if hand != out for paths in sources.values()]
    order = [others[i] for i in rng.permutation(len(others))]
    learnt = [paths[rng.integers(len(paths))] for paths in (order * PER_LABEL)[:PER_LABEL]]
    tested = [path for paths in hands[out].values() for path in paths]
    return learnt, [tested[i] for i in rng.permutation(len(tested))[:TESTED]]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--from", dest="base", type=Path)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--development", action="store_true", help="The tasks by which the way of learning was chosen.")
    parser.add_argument("--keep", action="store_true")
    args = parser.parse_args()
    if args.development and args.keep:
        parser.error("--development is not kept")
    clips = real_recordings(args.data, "development")
    rows = []
    for task, labels in (DEVELOPMENT if args.development else TASKS).items():
        found: dict[str, list[tuple[float, float]]] = {"source left out": [], "real": []}
        seconds, estimates = [], []
        for draw in range(args.draws):
            rng = np.random.default_rng(draw)
            with tempfile.TemporaryDirectory() as made:
                tests: dict[str, list[tuple[np.ndarray, str]]] = {name: [] for name in found}
                for label in labels:
                    learnt, tested = sample_recordings(args.data, label, rng)
                    (Path(made) / "mine" / label).mkdir(parents=True)
                    for i, path in enumerate(learnt):
                        shutil.copy(path, Path(made) / "mine" / label / f"{i}-{path.name}")
                    tests["source left out"] += [(soundfile.read(path, dtype="float32")[0], label) for path in tested]
                for clip in clips:
                    if (name := REAL_NAMES.get(clip.instrument, clip.instrument)) in labels:
                        tests["real"].append((clip.samples, name))
                begun = time.perf_counter()
                done = adapt(Path(made) / "mine", Path(made) / "model", base=args.base, seed=draw)
                seconds.append(time.perf_counter() - begun)
                estimates.append(done.right[0] / done.right[1])
                recogniser = load(Path(made) / "model")
                for name, examples in tests.items():
                    if len(examples) >= FEWEST:
                        found[name].append(evaluated(recogniser, examples, labels))
        row = {"task": f"{task}: {', '.join(labels)}"}
        for name, pairs in found.items():
            if pairs:
                right, exact = np.array(pairs).T
                row |= {f"{name}, right": _shown(right), f"{name}, exact": _shown(exact)}
            else:
                row |= {f"{name}, right": "-", f"{name}, exact": "-"}
        rows.append({**row, "estimate": _shown(np.array(estimates)), "seconds": f"{np.median(seconds):.0f}"})
        print(rows[-1], flush=True)
    if args.keep:
        measure.keep(
            "few_shot",
            f"{PER_LABEL} recordings a label, train --from",
            rows,
            peer="none",
            packages=("onnxruntime",),
            remarks=f"Mean of {args.draws} draws (least to most). Estimate: what train --from prints. The machine was shared.",
        )


def evaluated(recogniser, examples, labels) -> tuple[float, float]:  # type: ignore[no-untyped-def]
    """Return how many recordings are right and exact."""
    right, exact = [], []
    for samples, label in examples:
        answer = recogniser.predict(samples, sample_rate=RATE)
        right.append(max(labels, key=answer.scores.__getitem__) == label)
        exact.append({one for one in answer.playing if one in labels} == {label})
    return float(np.mean(right)), float(np.mean(exact))


def _shown(values: np.ndarray) -> str:
    return f"{values.mean():.2f} ({values.min():.2f}-{values.max():.2f})"


if __name__ == "__main__":
    main()
