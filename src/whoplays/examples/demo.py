"""The demonstration, offline.

`predict`: the example recordings -> predictions and a page. `train`: synthetic recordings -> data set -> training -> evaluation
-> a prediction of a duet.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import WhoplaysError, missing_extra
from ..storage.files import make_folder, write_atomically
from . import synth

if TYPE_CHECKING:
    from ..inference.prediction import Prediction
    from ..inference.recogniser import Recogniser

RECORDINGS_PER_CLASS = 36
SECONDS = 3.0
RATE = 22050
DUET = ("guitar", "drums")
EXAMPLES = Path(__file__).parent
PAGE = "report.html"

#: The report's learning rate is for 80,000 examples; the demo has a few hundred, so it takes larger steps.
LEARNING_RATE = 1e-3
EPOCHS = 20


@dataclass(frozen=True)
class Demo:
    """What the demo made: the folder, the trained network's accuracy on the test part, and the scores of the duet."""

    folder: Path
    accuracy: float
    interval: tuple[float, float]
    duet: dict[str, float]
    examples: list[dict[str, Any]]


@dataclass(frozen=True)
class Example:
    """A prediction of an example recording. composed: when its instruments play as written, such as "piano 0:00-0:17"."""

    prediction: Prediction
    composed: str


def predict(folder: Path, recogniser: Recogniser) -> Iterator[Example]:
    """Yield the examples as they are predicted, then write the page about them to `folder`.

    Raises
    ------
    WhoplaysError
        When the folder holds something else than a demo.
    """
    from ..results import html
    from ..results.formats.base import clock

    _claim(folder)
    listed = json.loads((EXAMPLES / "examples.json").read_text(encoding="utf-8"))
    predictions = []
    for name in sorted(listed):
        predictions.append(recogniser.predict(EXAMPLES / name))
        parts = [f"{label} {clock(start)}-{clock(end)}" for label, start, end in listed[name]["playing"]]
        yield Example(predictions[-1], ", ".join(parts))
    html.write(folder / PAGE, predictions, recogniser)


def train(folder: Path, *, seed: int = 0, tell: Callable[[str], None] = lambda line: None) -> Demo:
    """Make everything in `folder`, telling each stage; what an earlier run finished there is used again.

    Raises `MissingExtraError` without the extra `train`, `WhoplaysError` when the folder holds something else.
    """
    from .. import dataset
    from ..inference.recogniser import Recogniser
    from ..training.framework import load_keras

    load_keras()  # reports at once that it is missing
    try:
        from ..evaluation import evaluate
        from ..results.plot import draw_recording
        from ..training import recipes
    except ImportError as error:
        raise missing_extra((error.name or "matplotlib").split(".")[0], "train", "demo") from None

    _claim(folder)
    tell(f"1. Recordings: {RECORDINGS_PER_CLASS} of each family, made from formulas")
    _record(folder / "recordings", seed)
    tell("2. Data set: split by recording; 5 pitch variants to train on")
    settings = dataset.BuildSettings(pitch=(-2, -1, 0, 1, 2), seed=seed)
    summary = dataset.build(folder / "recordings", folder / "dataset", settings)
    tell(f"3. Training: the report's network, on {summary.rows['training']} examples")
    recipes.train(
        folder / "dataset",
        recipe="mfcc-cnn",
        out=folder / "model",
        resume=True,
        epochs=EPOCHS,
        learning_rate=LEARNING_RATE,
        seed=seed,
    )
    tell("4. Test: on recordings that it has never met")
    evaluation = evaluate.evaluate(folder / "model", folder / "dataset", folder / "report")
    tell(f"5. One recording looked at: a duet of {' and '.join(DUET)}")
    duet = folder / "duet.flac"
    _write(duet, synth.recording(DUET, duration_s=10.0, seed=[seed, 1000], sample_rate=RATE))
    recogniser = Recogniser(folder / "model")
    prediction = recogniser.predict(duet)
    draw_recording(prediction, recogniser.config, duet, folder / "duet.png")
    shipped = Recogniser()
    examples = [shipped.predict(path).to_dict() for path in sorted(EXAMPLES.glob("*.ogg"))]
    lines = "".join(json.dumps(line | {"path": Path(line["path"]).name}) + "\n" for line in examples)
    write_atomically(folder / "examples.jsonl", lines)
    low, high = evaluation.facts["intervals"]["accuracy"]
    return Demo(folder, evaluation.facts["metrics"]["accuracy"], (low, high), prediction.scores, examples)


def _claim(folder: Path) -> None:
    mark = folder / ".whoplays-demo"
    make_folder(folder)
    if not mark.exists():
        if any(folder.iterdir()):
            raise WhoplaysError(f"{folder}: is not empty, and no demo made it; name another folder with --out")
        write_atomically(mark, "made by whoplays demo\n")


def _record(folder: Path, seed: int) -> None:
    for c, family in enumerate(synth.PLAYERS):
        make_folder(folder / family)
        for i in range(RECORDINGS_PER_CLASS):
            path = folder / family / f"{family}-{i:02d}.flac"
            if not path.exists():
                _write(path, synth.recording([family], duration_s=SECONDS, seed=[seed, c, i], sample_rate=RATE))


def _write(path: Path, samples: Any) -> None:
    import soundfile

    write_atomically(path, lambda file: soundfile.write(file, samples, RATE, format="FLAC"), durable=False)
