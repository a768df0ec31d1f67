"""`whoplays train`."""

from __future__ import annotations

from argparse import Namespace
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..training.watch import Trained, Watcher
from .output import INTERRUPTED, Progress, say
from .parser import Parser, number, whole

SETTINGS = ("epochs", "batch_size", "learning_rate", "patience", "dropout", "l2", "loss", "seed", "name")


def add(parser: Parser) -> None:
    """Add the arguments of `train`."""
    parser.set_defaults(run=_train)
    parser.example = "whoplays train dataset --recipe mfcc-cnn -o model"
    parser.more = "Ctrl-C keeps the best epoch; --resume continues to the same result. Defaults below are of mfcc-cnn."
    option = parser.group()
    option("DATASET", "Data set, also s3://; with --from, class folders or a manifest")
    option("-o --out FOLDER", "Model folder to write", type=Path, required=True)
    names, renamed = ("mfcc-cnn", "default"), {"report": "mfcc-cnn"}
    option("--recipe NAME", "Network and training [default: mfcc-cnn]", choices=names, renamed=renamed)
    option("--name NAME", "Name of the model [default: the recipe's]")
    option("--resume", "Continue the interrupted run in --out")
    option = parser.group("Training")
    option("--epochs N", "Maximum number of epochs [default: 50]", type=whole())
    option("--batch-size N", "Rows in a batch [default: 2]", type=whole())
    option("--learning-rate X", "Learning rate of Adam [default: 0.00001]", type=number())
    option("--patience N", "Epochs without a better validation loss before stopping [default: 10]", type=whole())
    option("--dropout RATIO", "Dropout rate [default: 0.5]", type=number())
    option("--l2 X", "L2 penalty on the dense layers [default: 0.001]", type=number())
    option("--loss NAME", "One label a row, or any number of them", choices=("softmax", "sigmoid"))
    option("--seed N", "Random seed for weights, dropout and the order of rows [default: 0]", type=whole())
    option = parser.group("Adapting a model")
    option("--from default|MODEL", "Teach this model the labels of your recordings (10 of each)", dest="base")
    option("--only-mine", "With --from: leave out labels that are not yours")
    option = parser.group("Cluster")
    option("--cluster ADDRESS|local", "Train on a Ray cluster; local: on this machine", default="")
    option("-j --jobs N", "Processes that share each batch; 0 for one per node", type=whole(), default=0)


def _train(args: Namespace) -> int:
    from ..training import recipes

    settings = {name: getattr(args, name) for name in SETTINGS if getattr(args, name) is not None}
    if args.jobs and not args.cluster:
        raise UsageError("--jobs is for --cluster: one machine trains in one process")
    if args.base is not None:
        if args.cluster:
            raise UsageError("--from takes seconds on one machine; leave out --cluster")
        given = settings | {"recipe": args.recipe} if args.recipe == "mfcc-cnn" else settings
        _adapt(args.dataset, args.out, args.base, args.only_mine, given, args.resume)
        return 0
    if args.only_mine:
        raise UsageError("--only-mine is for --from: it leaves out labels of the model that is trained from")
    go: Any = recipes.train
    if args.cluster:
        from ..cluster.train import train as train_together

        go = partial(train_together, address=args.cluster, jobs=args.jobs)
    with Progress("Training", "steps") as bar:
        done = go(
            args.dataset,
            recipe=args.recipe or "mfcc-cnn",
            out=args.out,
            resume=args.resume,
            watcher=_Terminal(bar),
            **settings,
        )
    _print_result(done, args.dataset, args.out)
    return INTERRUPTED if done.stopped == "interrupted" else 0


def _adapt(source: str, out: Path, base: str, only_mine: bool, settings: dict[str, Any], resume: bool) -> None:
    from ..training.adapt import adapt

    allowed = {"name", "seed"}
    if others := [*sorted(set(settings) - allowed), *(["resume"] if resume else [])]:
        raise UsageError(f"--{others[0].replace('_', '-')} says how a network is trained; --from trains none")
    settings = {key: settings[key] for key in allowed & set(settings)}
    done = adapt(source, out, base=None if base == "default" else base, only_mine=only_mine, **settings)
    for left in done.skipped:
        say(f"skipped: {left.name}: {left.cause}")
    for remark in done.remarks:
        say(f"remark: {remark}")
    for label in done.learnt:
        precision = f"average precision {done.average_precision[label]:.2f} (each recording left out in turn)"
        say(f"{label}: {done.recordings[label]} recordings; {precision}")
    say("Estimate: of {} of {} recordings, each left out in turn, exactly the right labels".format(*done.right))
    if not done.background:
        say(f"{base} has no background examples: labels are separated from each other, but not from other sounds.")
    say(f"Model in {out}. Next: whoplays predict FILE --model {out}")


def _print_result(done: Trained, dataset: str, out: Path) -> None:
    if done.already_there:
        say(f"{out}: this run is finished; nothing to do.")
    reasons = {
        "interrupted": "Stopped; the best epoch was kept. The same command with --resume continues.",
        "early": "Stopped early: the validation loss no longer decreased.",
    }
    if reason := reasons.get(done.stopped):
        say(reason)
    if done.best_epoch:
        metrics = ", ".join(f"{name} {value:.3f}" for name, value in done.validation.items())
        say(f"Kept: epoch {done.best_epoch}" + (f"; on validation rows: {metrics}" if metrics else ""))
    say(f"Model in {out}. Next: whoplays evaluate {out} {dataset} --out REPORT, or whoplays predict FILE --model {out}")


class _Terminal(Watcher):
    """Shows a run: the progress of the epoch, and one line when it ends."""

    def __init__(self, bar: Progress) -> None:
        self._bar, self._epochs = bar, 0

    def begin(self, facts: dict[str, Any]) -> None:
        self._epochs = facts["epochs"]
        resumed = f"; continuing with epoch {facts['epoch']}" if facts["resumed"] else ""
        say(
            f"{facts['training']} training rows, {facts['validation']} validation rows, "
            f"labels: {', '.join(facts['labels'])}; {facts['steps']} steps an epoch{resumed}"
        )
        if unused := {split: n for split, n in facts.get("skipped", {}).items() if n}:
            rows = ", ".join(f"{n} of {split}" for split, n in unused.items())
            say(f"Rows left out, because the loss needs other labels (see --loss): {rows}")
        self._bar(0, facts["steps"], what="Compiling")

    def step(self, epoch: int, done: int, total: int, figures: dict[str, float]) -> None:
        note = f"loss {figures['loss']:.4f}  accuracy {figures['accuracy']:.3f}" if figures else ""
        self._bar(done, total, note, what=f"Epoch {epoch}/{self._epochs}")

    def epoch(self, row: dict[str, float], *, best: bool) -> None:
        shown = [f"{name} {value:.4f}" for name, value in row.items() if name not in ("epoch", "steps", "seconds")]
        line = "  ".join([*shown, "*"] if best else shown)
        say(f"epoch {row['epoch']:>3.0f}/{self._epochs} {row['seconds']:6.1f} s  {line}")

    def say(self, message: str) -> None:
        say(message)
