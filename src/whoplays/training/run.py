"""A training run: epoch by epoch, a checkpoint after each, on after an interruption, and a model folder at the end.

What an epoch is, and what is shipped, each recipe says (mfcc_cnn.py, default.py).
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ModelError, UsageError
from ..model import folder as model_folder
from ..runtime.interrupts import deferred_interrupts
from ..storage.files import only_writer
from ..taxonomy.tree import Label
from . import checkpoint
from .checkpoint import Arrays, Checkpoint
from .settings import Settings
from .together import Communicator, SingleProcess, check_progress, sync_stats
from .watch import Elsewhere, Row, Trained, Watcher, write_history

HISTORY = "history.csv"


class Run(ABC):
    """One training run: `begin` and `go`, or `end`; then `finish`.

    identity: what it is; a checkpoint of another one is refused. communicator: with the other processes, where several train
    one model, each with its part of the rows; the batch size is that of all together, and the first writes. data_facts: for
    the model's own record; kept in checkpoints. rows, validation_rows: of all processes. steps: of an epoch.
    """

    model: Any
    optimizer: Any
    labels: tuple[Label, ...]
    rows: int
    validation_rows: int
    steps: int
    data_facts: dict[str, Any]
    skipped: dict[str, int] = {}  # rows that cannot be used, by split

    def __init__(
        self,
        settings: Settings,
        identity: dict[str, Any],
        folder: Path,
        watcher: Watcher,
        communicator: Communicator | None = None,
    ) -> None:
        """Take what all recipes need; the recipe adds the rest."""
        self.identity, self.folder, self.watcher = identity, folder, watcher
        self.epochs = settings.epochs
        self.communicator = communicator or SingleProcess()
        self.history: list[Row] = []
        self.stopped = ""  # "epochs", "early" or "interrupted"
        self._check_interrupt: Callable[[], None] = lambda: None

    @abstractmethod
    def train(self, epoch: int) -> Row:
        """Go through the steps of an epoch (from 1); return its figures."""

    @abstractmethod
    def validated(self, epoch: int) -> Row:
        """Return the figures on rows of validation, of which there are some."""

    @abstractmethod
    def ship(self) -> Trained:
        """Write the model folder of what there is."""

    @abstractmethod
    def build(self, found: Checkpoint | None) -> None:
        """Build network and optimiser. found: the checkpoint whose weights they will get."""

    def seen(self, row: Row) -> bool:
        """Take in an epoch; return whether it is the best so far."""
        return True

    @property
    def over(self) -> bool:
        """Whether it is time to stop before the last epoch."""
        return False

    @property
    def groups(self) -> dict[str, Arrays]:
        """Arrays that a checkpoint holds beside weights and optimiser."""
        return {}

    @property
    def done(self) -> int:
        """Epochs finished."""
        return len(self.history)

    def begin(self) -> None:
        """Go on from the checkpoint in the folder, or start. Raises `UsageError` for another run's checkpoint."""
        resumed = self.resume()
        self.watcher.begin(
            {
                "labels": [label.id for label in self.labels],
                "training": self.rows,
                "validation": self.validation_rows,
                "skipped": self.skipped,
                "steps": self.steps,
                "epochs": self.epochs,
                "epoch": self.done + 1,
                "resumed": resumed,
                "weights": int(self.model.count_params()),
            }
        )

    def resume(self) -> bool:
        """Take up the checkpoint in the folder; return whether there was one."""
        found = checkpoint.read(self.folder)
        check_progress(self.communicator, len(found.facts["history"]) if found else 0)
        if found and (differs := checkpoint.difference(self.identity, found.identity)):
            raise UsageError(f"{self.folder}: holds another run ({differs}); name another folder, or remove it")
        self.build(found)
        self.optimizer.build(self.model.trainable_variables)
        if found is None:
            return False
        optimizer = list(found.groups.get("optimizer", []))
        if [array.shape for array in optimizer] != [tuple(v.shape) for v in self.optimizer.variables]:
            raise ModelError(
                f"{self.folder / checkpoint.CHECKPOINT}: does not fit this network; remove it and train anew"
            )
        self.model.set_weights(list(found.groups["weights"]))
        for variable, value in zip(self.optimizer.variables, optimizer, strict=True):
            variable.assign(value)
        self.history = list(found.facts["history"])
        self.data_facts = self.data_facts or found.facts.get("told", {})
        return True

    def go(self) -> None:
        """Train until the epochs are over, it is time to stop, or Ctrl-C; that keeps what there is.

        Ctrl-C before the first epoch is over leaves nothing to keep and is passed on.
        """
        try:
            with deferred_interrupts() as self._check_interrupt:
                while self.done < self.epochs and not self.over:
                    self._epoch()
            self.stopped = "early" if self.over else "epochs"
        except KeyboardInterrupt:
            if not self.done:
                raise
            self.stopped = "interrupted"

    def end(self, stopped: str = "") -> None:
        """End a run whose epochs were gone through elsewhere, as its checkpoint says.

        stopped: "interrupted", or "" when they are over. Raises `ModelError` when the checkpoint is not here.
        """
        self.data_facts = {}  # what is known here is of some of the rows
        if not self.resume():
            raise ModelError(f"{self.folder}: there is no checkpoint; it must lie where every node sees the same files")
        self.stopped = stopped or ("early" if self.over else "epochs")

    def finish(self) -> Trained:
        """Write the model folder; the checkpoint goes last, and stays after Ctrl-C so that the run can go on."""
        write_history(self.folder / HISTORY, self.history)
        trained = self.ship()
        if self.stopped != "interrupted":
            (self.folder / checkpoint.CHECKPOINT).unlink(missing_ok=True)
        return trained

    def _epoch(self) -> None:
        begun, number = time.monotonic(), self.done + 1
        figures = self._finite(number, self.train(number))
        sync_stats(self.communicator, self.model)
        if self.validation_rows:
            figures |= {f"val_{name}": value for name, value in self._finite(number, self.validated(number)).items()}
        row: Row = {"epoch": number, "steps": self.steps, "seconds": round(time.monotonic() - begun, 3), **figures}
        best = self.seen(row)
        self.history.append(row)
        if self.communicator.rank == 0:
            self._keep()
        self.watcher.epoch(row, best=best)

    def _finite(self, epoch: int, figures: Row) -> Row:
        if not np.isfinite([value for name, value in figures.items() if name.endswith("loss")]).all():
            raise ModelError(f"the loss is no longer finite in epoch {epoch}; use a smaller --learning-rate")
        return figures

    def _keep(self) -> None:
        arrays = {
            "weights": self.model.get_weights(),
            "optimizer": [variable.numpy() for variable in self.optimizer.variables],
        }
        facts = {"history": self.history, "told": self.data_facts}
        Checkpoint(self.identity, facts, arrays | self.groups).write(self.folder)
        write_history(self.folder / HISTORY, self.history)


def carry_out(
    make: Callable[[Watcher, tuple[int, int]], Run],
    folder: Path,
    identity: dict[str, Any],
    *,
    resume: bool = False,
    watcher: Watcher | None = None,
    elsewhere: Elsewhere | None = None,
    shards: int = 1,
) -> Trained:
    """Go through a run's epochs, or what is left of them with `resume`, and write its model folder.

    make: makes the run, with its part of the shards of training: (which, of how many). elsewhere: goes through the epochs
    instead of this process, which then looks at one of `shards`. Raises `UsageError` for a folder that holds another run.
    """
    with only_writer(folder):
        begun, finished = (folder / checkpoint.CHECKPOINT).exists(), (folder / model_folder.CONFIG).exists()
        if begun and not resume:
            raise UsageError(
                f"{folder}: holds an unfinished run; add --resume to go on with it, or name another folder"
            )
        if finished and not resume:
            raise UsageError(f"{folder}: holds a finished model; name another folder")
        if finished and not begun:
            return _finished(folder, identity)
        if elsewhere:
            stopped = elsewhere()
            run = make(Watcher(), (0, shards))
            run.end(stopped)
        else:
            run = make(watcher or Watcher(), (0, 1))
            run.begin()
            run.go()
        return run.finish()


def _finished(folder: Path, identity: dict[str, Any]) -> Trained:
    """Return the result of a run that is over. Raises `UsageError` for another's folder."""
    facts = dict(model_folder.read(folder).config.training)
    if differs := checkpoint.difference(identity, facts.get("identity") or facts.get("settings", {})):
        raise UsageError(f"{folder}: holds a model of another run ({differs}); name another folder")
    figures = {name: facts[name] for name in ("stopped", "best_epoch", "validation") if name in facts}
    return Trained(folder, facts["history"], **figures, already_there=True)
