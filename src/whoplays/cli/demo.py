"""`whoplays demo`: example recordings -> predictions and a page; with --train, the whole way from recordings to a model."""

from __future__ import annotations

import json
import sys
import webbrowser
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import WhoplaysError
from ..runtime.packages import check_installed
from ..storage.files import make_folder, write_atomically
from .output import say
from .parser import Parser, whole

EXAMPLES = Path(__file__).parents[1] / "examples"
PAGE = "report.html"
RECORDINGS_PER_CLASS = 36
SECONDS = 3.0
RATE = 22050
DUET = ("guitar", "drums")
#: The report's learning rate is for 80,000 examples; the demo has a few hundred, so it takes larger steps.
LEARNING_RATE = 1e-3
EPOCHS = 20


def add(parser: Parser) -> None:
    """Add the arguments of `demo`."""
    parser.set_defaults(run=_demo)
    parser.example = "whoplays demo --open"
    parser.more = (
        "Detects the instruments of three example recordings and writes a page about them, in seconds. "
        "With --train, goes the whole way of the student report instead: makes recordings, builds a data set, trains, "
        "evaluates and predicts, in about a minute (extra: train)."
    )
    option = parser.group()
    option("-o --out FOLDER", "Folder to make everything in", type=Path, default=Path("whoplays-demo"))
    option("--open", "Open the page in the browser")
    option("--train", "Train a model on synthetic recordings, and evaluate it")
    option("--seed N", "Random seed of --train", type=whole(), default=0)


def _demo(args: Namespace) -> None:
    page = train(args.out, args.seed) if args.train else predict(args.out)
    if args.open:
        webbrowser.open(page.resolve().as_uri())


def predict(folder: Path) -> Path:
    """Print what plays in the example recordings, as it is found, and return the page about them in `folder`."""
    from ..inference.recogniser import Recogniser
    from ..results import html
    from ..results.formats.base import clock
    from ..results.formats.text import Text
    from ..results.terminal import Look

    recogniser = Recogniser()
    _claim(folder)
    shown = Text(recogniser.labels, look=Look.of(sys.stdout))
    predictions = []
    for name, facts in sorted(json.loads((EXAMPLES / "examples.json").read_text(encoding="utf-8")).items()):
        predictions.append(recogniser.predict(EXAMPLES / name))
        composed = ", ".join(f"{label} {clock(start)}-{clock(end)}" for label, start, end in facts["playing"])
        sys.stdout.write(shown.item(replace(predictions[-1], path=name)))
        sys.stdout.write(f"  as composed: {composed}\n\n")
    html.write(folder / PAGE, predictions, recogniser)
    say(f"Written to {folder / PAGE}: player, pictures and times; whoplays demo --open opens it")
    say("Next: whoplays predict YOUR-RECORDING.mp3")
    say("      whoplays demo --train: the whole way from recordings to a model of your own")
    return folder / PAGE


def train(folder: Path, seed: int) -> Path:
    """Go the whole way in `folder`, telling each stage, and return the page of the evaluation.

    What an earlier run finished there is used again. Raises `MissingExtraError` without the extra `train`.
    """
    check_installed("demo --train", "train", "keras", "tensorflow", "tf2onnx", "onnx", "matplotlib")
    from .. import dataset
    from ..evaluation import evaluate
    from ..examples import synth
    from ..inference.recogniser import Recogniser
    from ..results.plot import draw_recording
    from ..training import recipes
    from ..training.framework import load_keras

    load_keras()  # reports at once that it cannot be loaded
    _claim(folder)
    say(f"1. Recordings: {RECORDINGS_PER_CLASS} of each family, made from formulas")
    for c, family in enumerate(synth.PLAYERS):
        make_folder(folder / "recordings" / family)
        for i in range(RECORDINGS_PER_CLASS):
            path = folder / "recordings" / family / f"{family}-{i:02d}.flac"
            if not path.exists():
                _write(path, synth.recording([family], duration_s=SECONDS, seed=[seed, c, i], sample_rate=RATE))
    say("2. Data set: split by recording; 5 pitch variants to train on")
    settings = dataset.BuildSettings(pitch=(-2, -1, 0, 1, 2), seed=seed)
    summary = dataset.build(folder / "recordings", folder / "dataset", settings)
    say(f"3. Training: the report's network, on {summary.rows['training']} examples")
    recipes.train(
        folder / "dataset",
        recipe="mfcc-cnn",
        out=folder / "model",
        resume=True,
        epochs=EPOCHS,
        learning_rate=LEARNING_RATE,
        seed=seed,
    )
    say("4. Test: on recordings that it has never met")
    facts = evaluate.evaluate(folder / "model", folder / "dataset", folder / "report").facts
    say(f"5. One recording looked at: a duet of {' and '.join(DUET)}")
    _write(folder / "duet.flac", synth.recording(DUET, duration_s=10.0, seed=[seed, 1000], sample_rate=RATE))
    recogniser = Recogniser(folder / "model")
    duet = recogniser.predict(folder / "duet.flac")
    draw_recording(duet, recogniser.config, folder / "duet.png")
    low, high = facts["intervals"]["accuracy"]
    accuracy = f"accuracy {facts['metrics']['accuracy']:.2f}"
    say("")
    say(f"The network trained here: {accuracy} on the test part (95 % interval {low:.2f} to {high:.2f}).")
    say(f"Its softmax divides the duet: {', '.join(f'{label} {p:.2f}' for label, p in duet.scores.items())}.")
    say("The model that comes with the package, on its example recordings:")
    shipped = Recogniser()
    for path in sorted(EXAMPLES.glob("*.ogg")):
        say(f"  {path.name:<22} {', '.join(shipped.predict(path).playing) or 'none of its labels'}")
    say("")
    say(f"Made in {folder}: recordings, dataset, model, report/report.html, duet.png")
    say("(from synthetic audio: its figures show the process, not the quality)")
    say("Next: whoplays predict YOUR-RECORDING.mp3")
    say("      whoplays dataset build FOLDER-OF-CLASSES --out DATASET")
    return folder / "report" / "report.html"


def _claim(folder: Path) -> None:
    """Make the folder, or refuse one that no demo made."""
    mark = folder / ".whoplays-demo"
    make_folder(folder)
    if not mark.exists():
        if any(folder.iterdir()):
            raise WhoplaysError(f"{folder}: is not empty, and no demo made it; name another folder with --out")
        write_atomically(mark, "made by whoplays demo\n")


def _write(path: Path, samples: Any) -> None:
    import soundfile

    write_atomically(path, lambda file: soundfile.write(file, samples, RATE, format="FLAC"), durable=False)
