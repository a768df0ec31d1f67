"""`whoplays demo`."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from .output import say
from .parser import Parser, whole


def add(parser: Parser) -> None:
    """Add the arguments of `demo`."""
    parser.set_defaults(run=_demo)
    parser.example = "whoplays demo"
    parser.more = (
        "Makes recordings, builds a data set, trains, evaluates, and predicts. Takes about a minute (extra: train)."
    )
    parser.add_argument(
        "-o", "--out", type=Path, default=Path("whoplays-demo"), metavar="FOLDER", help="Folder to make everything in"
    )
    parser.add_argument("--seed", type=whole(), default=0, metavar="N", help="Random seed for everything")


def _demo(args: Namespace) -> None:
    from ..examples import demo

    made = demo.run(args.out, seed=args.seed, tell=say)
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
