"""`whoplays demo`."""

from __future__ import annotations

import sys
import webbrowser
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

from .output import say
from .parser import Parser, whole


def add(parser: Parser) -> None:
    """Add the arguments of `demo`."""
    parser.set_defaults(run=_demo)
    parser.example = "whoplays demo --open"
    parser.more = (
        "Detects the instruments of three example recordings and writes a page about them, in seconds. "
        "With --train, goes the whole way of the student report instead: makes recordings, builds a data set, trains, "
        "evaluates and predicts, in about a minute (extra: train)."
    )
    parser.add_argument(
        "-o", "--out", type=Path, default=Path("whoplays-demo"), metavar="FOLDER", help="Folder to make everything in"
    )
    parser.add_argument("--open", action="store_true", help="Open the page in the browser")
    parser.add_argument("--train", action="store_true", help="Train a model on synthetic recordings, and evaluate it")
    parser.add_argument("--seed", type=whole(), default=0, metavar="N", help="Random seed of --train")


def _demo(args: Namespace) -> None:
    page = _train(args) if args.train else _predict(args)
    if args.open:
        webbrowser.open(page.resolve().as_uri())


def _predict(args: Namespace) -> Path:
    from ..examples import demo
    from ..inference.recogniser import Recogniser
    from ..results.formats.text import Text
    from ..results.terminal import Look

    recogniser = Recogniser()
    shown = Text(recogniser.labels, look=Look.of(sys.stdout))
    for example in demo.predict(args.out, recogniser):
        named = replace(example.prediction, path=Path(example.prediction.path).name)
        sys.stdout.write(shown.item(named))
        sys.stdout.write(f"  as composed: {example.composed}\n\n")
    page: Path = args.out / demo.PAGE
    say(f"Written to {page}: player, pictures and times; whoplays demo --open opens it")
    say("Next: whoplays predict YOUR-RECORDING.mp3")
    say("      whoplays demo --train: the whole way from recordings to a model of your own")
    return page


def _train(args: Namespace) -> Path:
    from ..examples import demo

    made = demo.train(args.out, seed=args.seed, tell=say)
    low, high = made.interval
    duet = ", ".join(f"{label} {score:.2f}" for label, score in made.duet.items())
    say("")
    say(
        f"The network trained here: accuracy {made.accuracy:.2f} on the test part (95 % interval {low:.2f} to {high:.2f})."
    )
    say(f"Its softmax divides the duet: {duet}.")
    say("The model that comes with the package, on its example recordings:")
    for line in made.examples:
        say(f"  {Path(line['path']).name:<22} {', '.join(line['playing']) or 'none of its labels'}")
    say("")
    say(f"Made in {args.out}: recordings, dataset, model, report/report.html, duet.png")
    say("(from synthetic audio: its figures show the process, not the quality)")
    say("Next: whoplays predict YOUR-RECORDING.mp3")
    say("      whoplays dataset build FOLDER-OF-CLASSES --out DATASET")
    report: Path = args.out / "report" / "report.html"
    return report
