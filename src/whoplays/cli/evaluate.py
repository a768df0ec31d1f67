"""`whoplays evaluate`."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..taxonomy.messages import Say, speaker
from .options import model_of, share
from .output import Progress, say, warn
from .parser import Parser, whole
from .recordings import recogniser_of

BENCHMARKS = ("openmic", "irmas", "musicnet", "medleydb", "slakh", "audioset")


def add(parser: Parser) -> None:
    """Add the arguments of `evaluate`."""
    parser.set_defaults(run=_evaluate)
    parser.example = "whoplays evaluate model dataset -o report"
    parser.more = (
        "With --benchmark, a public benchmark's folder in place of the data set, as it is published: whoplays evaluate default "
        "--benchmark openmic FOLDER."
    )
    option = parser.group()
    option("MODEL", "Model folder; default: the model inside the package", type=Path)
    option("DATASET", "Data set with the model's features (also s3://), or a benchmark's folder")
    option("-o --out FOLDER", "Folder for metrics.json and report.html, or benchmark.json", type=Path)
    option("--benchmark NAME", "Public benchmark", choices=BENCHMARKS)
    option("--split NAME", "Rows to evaluate on", choices=("test", "validation", "training"), default="test")
    option("--draws N", "Bootstrap samples for the intervals; 0 for none", type=whole(), default=1000)
    option("--seed N", "Random seed for the bootstrap", type=whole(), default=0)
    about = "With --benchmark: recordings in parallel; 0 for one per core"
    option("-j --jobs N", about, type=whole(), default=0)
    share(option, "lang", "device")


def _evaluate(args: Namespace) -> int:
    """Return the exit status: 1 when a recording of a benchmark could not be used."""
    model = model_of(args.model)
    if args.benchmark:
        return _benchmark(args, model)
    if args.out is None:
        raise UsageError("--out FOLDER is needed, for metrics.json and report.html (see whoplays evaluate --help)")
    from ..evaluation import evaluate as evaluation
    from ..evaluation import metrics, sets

    with Progress("Evaluating", "rows") as bar:
        done = evaluation.evaluate(
            model,
            args.dataset,
            args.out,
            split=args.split,
            draws=args.draws,
            seed=args.seed,
            device=args.device,
            lang=args.lang,
            on_progress=bar,
        )
    if done.notice:
        warn(done.notice)
    data = done.facts["data_set"]
    words = speaker("evaluation", args.lang)
    counts = {"rows": data["rows"], "recordings": data["recordings"]}
    say(words("done", model=done.facts["model"], split=args.split, **counts))
    if data["labels_not_known"]:
        say(words("labels_unknown", labels=", ".join(data["labels_not_known"])))
    level = "" if done.metrics["set_f1"] is not None else "instruments/"  # a data set may know instruments alone
    for name in (*sets.SHOWN, *metrics.SHOWN):
        say(f"{level + name:>24}: {_with_interval(done.facts, level + name, words)}")
    say(words("written", metrics=args.out / evaluation.METRICS, report=args.out / evaluation.REPORT))
    return 0


def _benchmark(args: Namespace, model: Path | None) -> int:
    from ..evaluation import benchmarks

    if args.split != "test":
        raise UsageError("--split goes with a data set; a benchmark's test side is what is evaluated")
    recogniser = recogniser_of(args, model)
    with Progress("Predicting", "recordings") as bar:
        found = benchmarks.evaluate(
            args.benchmark,
            args.dataset,
            recogniser,
            out=args.out,
            jobs=args.jobs,
            draws=args.draws,
            seed=args.seed,
            on_progress=bar,
            on_failure=lambda failure: warn(f"{failure.path}: {failure.error}"),
        )
    for line in benchmarks.lines(found):
        print(line)
    for note in found["notes"]:
        say(f"Note: {note}")
    if args.out:
        say(f"Written: {args.out / benchmarks.RESULT}")
    return 1 if found["failed"] else 0


def _with_interval(facts: dict[str, Any], name: str, words: Say) -> str:
    value = facts["metrics"][name]
    if value is None:
        return words("undefined_here")
    low, high = facts["intervals"].get(name, (None, None))
    if low is None:
        return f"{value:.3f}"
    return words("done_interval", value=f"{value:.3f}", low=f"{low:.3f}", high=f"{high:.3f}")
