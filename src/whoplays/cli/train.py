"""`whoplays train`, `evaluate` and `export`."""

from __future__ import annotations

import sys
import time
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import UsageError
from .commands import app
from .output import say

PLAIN_EVERY_S = 10.0
INTERRUPTED = 130


@app.command("train")
def train(
    dataset: Annotated[
        str,
        typer.Argument(
            help="A data set that `whoplays dataset build` made; with --from, class folders or a manifest; or its s3:// address."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The model folder to write.")],
    base: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="default|MODEL",
            help="Teach this model the labels of your recordings, in seconds: 10 of each are a start.",
        ),
    ] = None,
    only_mine: Annotated[
        bool, typer.Option("--only-mine", help="With --from: leave out labels that are not yours.")
    ] = False,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="report|default", help="The report's network, or the one that comes with whoplays. [report]"
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="At most so many. [report: 50]")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Rows a step. [report: 2]")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of Adam. [report: 0.00001]")] = None,
    patience: Annotated[
        int | None, typer.Option(help="Epochs without a better validation loss before it stops. [report: 10]")
    ] = None,
    dropout: Annotated[float | None, typer.Option(help="Share of units dropped in training. [report: 0.5]")] = None,
    l2: Annotated[
        float | None, typer.Option(help="Penalty on the weights of the dense layers. [report: 0.001]")
    ] = None,
    loss: Annotated[
        str | None,
        typer.Option(metavar="softmax|sigmoid", help="One label a row, or any number of them. [report: softmax]"),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, dropout and the order of rows. [0]")] = None,
    name: Annotated[str | None, typer.Option(help="The model's name. [the recipe's]")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the interrupted run in --out.")] = False,
    cluster: Annotated[
        str, typer.Option(metavar="ADDRESS|local", help="Train on a Ray cluster; local: Ray on this machine.")
    ] = "",
    workers: Annotated[
        int, typer.Option(min=0, help="With --cluster: processes that share each batch; 0: one for each node.")
    ] = 0,
) -> None:
    """Train a recogniser. Ctrl-C keeps the best so far; --resume goes on to the very same result."""
    from ..training import recipes as training

    given = {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "patience": patience,
        "dropout": dropout,
        "l2": l2,
        "loss": loss,
        "seed": seed,
        "name": name,
    }
    settings = {key: value for key, value in given.items() if value is not None}
    if workers and not cluster:
        raise UsageError("--workers is for --cluster: one machine trains in one process")
    if base is not None:
        if cluster:
            raise UsageError("--from takes seconds on one machine; leave out --cluster")
        _adapt(
            dataset, out, base, only_mine, settings | {"recipe": recipe} if recipe == "mfcc-cnn" else settings, resume
        )
        return
    if only_mine:
        raise UsageError("--only-mine is for --from: it leaves out labels of the model that is trained from")
    go: Any = training.train
    if cluster:
        from ..cluster.train import train as train_together

        go = partial(train_together, address=cluster, workers=workers)
    watcher = _watcher()
    try:
        done = go(dataset, recipe=recipe or "mfcc-cnn", out=out, resume=resume, watcher=watcher, **settings)
    finally:
        watcher.close()
    _tell_trained(done, dataset, out)
    if getattr(done, "stopped", "") == "interrupted":
        raise typer.Exit(INTERRUPTED)


def _adapt(source: str, out: Path, base: str, only_mine: bool, settings: dict[str, Any], resume: bool) -> None:
    from ..training.adapt import adapt

    allowed = {"name", "seed"}
    if others := [*sorted(set(settings) - allowed), *(["resume"] if resume else [])]:
        raise UsageError(f"--{others[0].replace('_', '-')} says how a network is trained; --from trains none")
    settings = {key: settings[key] for key in allowed & set(settings)}
    done = adapt(source, out, base=None if base == "default" else base, only_mine=only_mine, **settings)
    for left in done.left_out:
        say(f"left out: {left.name}: {left.cause}")
    for label in done.learnt:
        judged = f"average precision {done.average_precision[label]:.2f}, each judged without itself"
        say(f"{label}: {done.recordings[label]} recordings; {judged}")
    if not done.background:
        say(f"{base} carries no background: the labels are told from each other, but not from the rest of the world.")
    say(f"Model in {out}. Next: whoplays predict FILE --model {out}")


def _tell_trained(done: Any, dataset: str, out: Path) -> None:
    if getattr(done, "already_there", False):
        say(f"{out}: this run is finished; nothing to do.")
    reasons = {
        "interrupted": "Stopped by you; the best so far was kept. To go on: the same command with --resume.",
        "early": "Stopped early: the validation loss no longer fell.",
    }
    if reason := reasons.get(getattr(done, "stopped", "")):
        say(reason)
    if epoch := getattr(done, "best_epoch", 0):
        judged = ", ".join(f"{name} {value:.3f}" for name, value in getattr(done, "validation", {}).items())
        say(f"Kept: epoch {epoch}" + (f"; on validation rows: {judged}" if judged else ""))
    say(f"Model in {out}. Next: whoplays evaluate {out} {dataset} --out REPORT, or whoplays predict FILE --model {out}")


@app.command("evaluate")
def evaluate(
    model: Annotated[Path, typer.Argument(help="A model folder.")],
    dataset: Annotated[
        str, typer.Argument(help="A data set with the features that the model reads; or its s3:// address.")
    ],
    out: Annotated[Path, typer.Option(help="The folder for metrics.json and report.html.")],
    split: Annotated[str, typer.Option(metavar="test|validation|training", help="The rows to judge on.")] = "test",
    draws: Annotated[int, typer.Option(help="Draws of recordings for the 95 % intervals; 0: none.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of those draws.")] = 0,
    device: Annotated[
        str, typer.Option(metavar="auto|cpu|cuda|coreml|...", help="What the network runs on; else the processor.")
    ] = "cpu",
) -> None:
    """Judge a model on a data set: metrics.json, and report.html with the figures."""
    from ..evaluation import evaluate as evaluation
    from .progress import progress

    with progress("Evaluating", "rows") as report:
        done = evaluation.evaluate(
            model, dataset, out, split=split, draws=draws, seed=seed, device=device, on_progress=report
        )
    if done.notice:
        say(f"whoplays: {done.notice}")
    data = done.facts["data_set"]
    say(f"{done.facts['model']} on {data['rows']} rows of {data['recordings']} recordings ({split}):")
    for name in (
        *("set_exact", "set_f1", "set_wrong", "set_missed"),
        *("average_precision_macro", "f1_macro", "accuracy", "precision", "recall", "loss"),
    ):
        say(f"{name:>24}: {_with_interval(done.facts, name)}")
    say(f"Written: {out / evaluation.METRICS}, {out / evaluation.REPORT} (open it in a browser)")


def _with_interval(facts: dict[str, Any], name: str) -> str:
    value = facts["metrics"][name]
    if value is None:
        return "not defined here"
    low, high = facts["intervals"].get(name, (None, None))
    return f"{value:.3f}" + ("" if low is None else f"  (95 %: {low:.3f} to {high:.3f})")


@app.command("export")
def export(
    model: Annotated[Path, typer.Argument(help="A model folder.")],
    out: Annotated[Path, typer.Option(metavar="FILE.onnx", help="The file to write; with --int8, the model folder.")],
    int8: Annotated[
        bool, typer.Option("--int8", help="A model folder in 8-bit whole numbers instead: a quarter of the size.")
    ] = False,
    recordings: Annotated[
        Path | None, typer.Option("--like", metavar="FOLDER", help="With --int8: recordings like those it is for.")
    ] = None,
) -> None:
    """Write a model folder as one ONNX file that ends in probabilities, checked beside the model."""
    from ..training import export as exporting

    if int8:
        _quantise(model, out, recordings)
        return
    if recordings is not None:
        raise UsageError("--like is for --int8: it says on which recordings the whole numbers are set")
    facts = exporting.export(model, out)
    frames = facts["frames"] or "any number of"
    say(f"{facts['model']}: {facts['bytes']:,} bytes in {out}")
    say(f"Reads features (batch, {frames} frames, values), gives probabilities (batch, labels).")
    say(f"Checked at batch sizes 1 and 5: differs from the model folder by at most {facts['difference']:.1e}.")


def _quantise(model: Path, out: Path, recordings: Path | None) -> None:
    from ..training.quantise import quantise

    facts = quantise(None if str(model) == "default" and not model.exists() else model, out, recordings)
    say(f"{facts['model']}: {facts['bytes']:,} bytes in {out} ({facts['bytes_before']:,} before)")
    say(f"Its scores differ by at most {facts['difference']:.2f} on the windows that the ranges were taken from.")


def _watcher() -> Any:
    from ..training.recipes import Watcher

    class Terminal(Watcher):
        """Shows a run: a live bar on a terminal, plain lines elsewhere; one line an epoch on both."""

        def __init__(self) -> None:
            self._bar: Any = None
            self._epochs = 0
            self._last = time.monotonic()

        def begin(self, facts: dict[str, Any]) -> None:
            self._epochs = facts["epochs"]
            labels = ", ".join(facts["labels"])
            said = f"{facts['training']} training rows, {facts['validation']} validation rows, labels: {labels}"
            say(
                f"{said}; {facts['steps']} steps an epoch"
                + (f"; going on with epoch {facts['epoch']}" if facts["resumed"] else "")
            )
            if unused := {split: n for split, n in facts.get("left_out", {}).items() if n}:
                told = ", ".join(f"{n} of {split}" for split, n in unused.items())
                say(f"Left out, for the loss needs other labels (see --loss): rows: {told}")
            if sys.stderr.isatty():
                self._bar = _bar()
                self._bar.show("compiling the steps", 0, facts["steps"], "")

        def step(self, epoch: int, done: int, total: int, figures: dict[str, float]) -> None:
            told = f"loss {figures['loss']:.4f}  accuracy {figures['accuracy']:.3f}" if figures else ""
            if self._bar is not None:
                self._bar.show(f"epoch {epoch}/{self._epochs}", done, total, told)
            elif time.monotonic() - self._last > PLAIN_EVERY_S:
                self._last = time.monotonic()
                say(f"epoch {epoch}/{self._epochs}: step {done} of {total}  {told}")

        def epoch(self, row: dict[str, float], *, best: bool) -> None:
            shown = [f"{name} {value:.4f}" for name, value in row.items() if name not in ("epoch", "steps", "seconds")]
            told = "  ".join([*shown, "*"] if best else shown)
            self.say(f"epoch {row['epoch']:>3.0f}/{self._epochs} {row['seconds']:6.1f} s  {told}")
            self._last = time.monotonic()

        def say(self, message: str) -> None:
            if self._bar is not None:
                self._bar.say(message)
            else:
                say(message)

        def close(self) -> None:
            if self._bar is not None:
                self._bar.close()
                self._bar = None

    return Terminal()


class _bar:
    """A bar for the epoch that is running, with its rate and time left, under the lines of those that are over."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[told]}"),
        )
        self._progress = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
        self._task = self._progress.add_task("", total=None, told="")
        self._progress.start()

    def show(self, what: str, done: int, total: int, told: str) -> None:
        if self._progress.tasks[0].description != what:
            self._progress.reset(self._task)
        self._progress.update(self._task, description=what, completed=done, total=total, told=told)

    def say(self, message: str) -> None:
        self._progress.console.print(message, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        self._progress.stop()
