"""`whoplays predict` on one 10 s file as a whole process, against a script that does the same with TensorFlow and librosa.

    python -m bench startup [MODEL] [--before CHECKOUT]

MODEL: a folder that `whoplays train --recipe mfcc-cnn` made; else the one that ships.

The peer is what the report's author would write: load the trained network with Keras, the file with librosa, compute MFCC,
predict. A second row compares with a bare Python that imports only what predicting cannot do without.

With --before the same commands of another checkout are the peer. All is processor time, which a busy machine hardly changes.
Modules are compiled before what is measured, as an installation has them compiled.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import soundfile

import whoplays
from bench.measure import keep, row
from whoplays.examples import synth

SAVE = """
import sys
from keras import Sequential, layers
Sequential([layers.Input((20, 20)), layers.Conv1D(64, 3, activation="relu"), layers.MaxPooling1D(2),
            layers.Conv1D(128, 3, activation="relu"), layers.MaxPooling1D(2), layers.Flatten(),
            layers.Dense(256, activation="relu"), layers.Dropout(0.5), layers.Dense(128, activation="relu"),
            layers.Dropout(0.5), layers.Dense(5, activation="softmax")]).save(sys.argv[1])
"""
PEER = """
import sys
import keras, librosa, numpy as np
model = keras.saving.load_model(sys.argv[1], compile=False)
samples, rate = librosa.load(sys.argv[2], sr=22050)
mfcc = librosa.feature.mfcc(y=samples, sr=rate, n_mfcc=20).T
edges = np.linspace(0, len(mfcc), 21).astype(int)
pooled = np.array([mfcc[a:b].mean(axis=0) for a, b in zip(edges, edges[1:])])
print(model.predict(pooled[None], verbose=0)[0])
"""
BARE = "import numpy, soundfile, onnxruntime"
BARE_NOTE = "peer: a bare Python that imports numpy, soundfile and onnxruntime and stops"
Pairs = tuple[list[float], list[float]]


def quiet(*command: str, source: Path | None = None) -> None:
    """Run a whole process; its output is thrown away, its failure is ours. source: the folder to import whoplays from."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **({"PYTHONPATH": str(source)} if source else {})}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # else each start would compile whoplays anew, and packages not
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)


def processor_s(*command: str, source: Path | None = None) -> float:
    """Run a whole process as `quiet` does, and return the processor time it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    quiet(*command, source=source)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def pairs(
    ours: Sequence[str], peer: Sequence[str], *, runs: int, sources: Sequence[Path | None] = (None, None)
) -> Pairs:
    """Return the processor time of two commands, run in turn, after one run of each that is not counted."""
    found = [(processor_s(*ours, source=sources[0]), processor_s(*peer, source=sources[1])) for _ in range(runs + 1)]
    ours_s, peer_s = zip(*found[1:], strict=True)
    return list(ours_s), list(peer_s)


def compare(other: Path) -> None:
    """Compare commands with those of another checkout, and with bare imports."""
    python, own = (sys.executable, "-P", "-m", "whoplays"), Path(whoplays.__file__).parents[1]
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/ten.wav"
        soundfile.write(file, synth.recording(["guitar"], duration_s=10, seed=1, sample_rate=44100), 44100)
        jobs = {
            "predict, one 10 s file": (*python, "predict", file),
            "predict --help": (*python, "predict", "--help"),
            "find --help": (*python, "find", "--help"),
        }
        rows = [
            row(what, *pairs(command, command, runs=15, sources=(own, other / "src")), note="peer: the other checkout")
            for what, command in jobs.items()
        ]
        what = "predict, one 10 s file"
        rows.append(
            row(what, *pairs(jobs[what], (sys.executable, "-c", BARE), runs=15, sources=(own, None)), note=BARE_NOTE)
        )
    keep(
        "startup_before",
        "Start-up: processor time, beside an earlier checkout",
        rows,
        peer="see rows",
        packages=("onnxruntime",),
        remarks="The earlier checkout read its command line with Typer, plain calls of predict with a second parser, and ran the "
        "network that shipped then. The machine was shared with other work.",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?")
    parser.add_argument("--before", type=Path, metavar="CHECKOUT")
    options = parser.parse_args()
    if options.before:
        compare(options.before)
        return
    model = options.model
    given = ["--model", model] if model else []
    which = "the report's model" if given else "the model that ships"
    with tempfile.TemporaryDirectory() as folder:
        file, network = f"{folder}/ten.wav", f"{folder}/network.keras"
        soundfile.write(file, synth.recording(["guitar"], duration_s=10, seed=1, sample_rate=44100), 44100)
        quiet(sys.executable, "-c", SAVE, network)
        command = str(Path(sys.executable).with_name("whoplays"))

        ours = (command, "predict", file, *given)
        rows = [
            row(
                f"{which}, whole process",
                *pairs(ours, (sys.executable, "-c", PEER, network, file), runs=5),
                aim="8x",
                note="peer: Python importing Keras (TensorFlow) and librosa",
            ),
            row(
                f"{which}, against imports alone",
                *pairs(ours, (sys.executable, "-c", BARE), runs=21),
                aim="0.62x (1.6 times the imports)",
                note=BARE_NOTE,
            ),
        ]
    keep(
        "startup",
        "Start-up: one 10 s file, processor time of the whole process",
        rows,
        peer="see rows",
        packages=("onnxruntime", "tensorflow", "keras", "librosa"),
    )
