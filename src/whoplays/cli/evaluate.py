"""`whoplays evaluate`."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from .options import add_device
from .output import Progress, say, warn
from .parser import Parser, whole


def add(parser: Parser) -> None:
    """Add the arguments of `evaluate`."""
    parser.set_defaults(run=_evaluate)
    parser.example = "whoplays evaluate model dataset -o report"
    parser.add_argument("model", type=Path, metavar="MODEL", help="Model folder")
    parser.add_argument(
        "dataset", metavar="DATASET", help="Data set with the features that the model reads; also s3://"
    )
    parser.add_argument(
        "-o", "--out", type=Path, required=True, metavar="FOLDER", help="Folder for metrics.json and report.html"
    )
    parser.add_argument(
        "--split",
        choices=("test", "validation", "training"),
        default="test",
        metavar="NAME",
        help="Rows to evaluate on",
    )
    parser.add_argument(
        "--draws", type=whole(), default=1000, metavar="N", help="Bootstrap samples for the intervals; 0 for none"
    )
    parser.add_argument("--seed", type=whole(), default=0, metavar="N", help="Random seed for the bootstrap")
    add_device(parser)


def _evaluate(args: Namespace) -> None:
    from ..evaluation import evaluate as evaluation

    with Progress("Evaluating", "rows") as bar:
        done = evaluation.evaluate(
            args.model,
            args.dataset,
            args.out,
            split=args.split,
            draws=args.draws,
            seed=args.seed,
            device=args.device,
            on_progress=bar,
        )
    if done.notice:
        warn(done.notice)
    data = done.facts["data_set"]
    say(f"{done.facts['model']} on {data['rows']} rows of {data['recordings']} recordings ({args.split}):")
    for name in (
        *("set_exact", "set_f1", "set_wrong", "set_missed"),
        *("average_precision_macro", "f1_macro", "accuracy", "precision", "recall", "loss"),
    ):
        say(f"{name:>24}: {_with_interval(done.facts, name)}")
    say(f"Written: {args.out / evaluation.METRICS}, {args.out / evaluation.REPORT} (open it in a browser)")


def _with_interval(facts: dict[str, Any], name: str) -> str:
    value = facts["metrics"][name]
    if value is None:
        return "not defined here"
    low, high = facts["intervals"].get(name, (None, None))
    return f"{value:.3f}" + ("" if low is None else f"  (95 %: {low:.3f} to {high:.3f})")
