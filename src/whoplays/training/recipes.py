"""A data set -> a model folder, by a recipe.

`mfcc-cnn` (mfcc_cnn.py) is the student report's network; `default` (default.py) is the recogniser that comes with the
package. `steps` makes small batches cheap, `run` goes through the epochs, `checkpoint` survives a kill.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..dataset import Dataset
from ..runtime.packages import check_installed
from ..storage.address import Place
from . import default, mfcc_cnn
from .run import Run, carry_out
from .settings import MfccCnnSettings, Settings, chosen
from .together import Communicator
from .watch import Elsewhere, Trained, Watcher

__all__ = ["Watcher", "chosen", "epochs", "train"]


def train(
    dataset_folder: Place | str,
    *,
    recipe: str = "mfcc-cnn",
    out: Path | str,
    resume: bool = False,
    watcher: Watcher | None = None,
    elsewhere: Elsewhere | None = None,
    **settings: Any,
) -> Trained:
    """Train `recipe` on a data set and write a model folder to `out`, with history.csv beside the model.

    settings: the recipe's own (`MfccCnnSettings`, ...). resume: go on with an interrupted run in `out`: killed at any time, it
    ends with the very same model. elsewhere: goes through the epochs instead of this process (`whoplays.cluster.train`).
    Ctrl-C keeps what there is. Raises `UsageError` for a recipe or setting that does not exist and for a folder that holds
    another run, `DatasetError` for a data set that does not fit.
    """
    wanted = chosen(recipe, settings)
    check_installed("Training", "train", "keras", "tensorflow", "tf2onnx", "onnx")
    dataset, out = Dataset.open(dataset_folder), Path(out)
    if isinstance(wanted, MfccCnnSettings):
        mfcc_cnn.check(dataset, wanted)
        identity = mfcc_cnn.identity_of(dataset, wanted)
    else:
        identity = default.identity_of(wanted)
    return carry_out(
        lambda watcher, part: _run(dataset, wanted, out, watcher, part),
        out,
        identity,
        resume=resume,
        watcher=watcher,
        elsewhere=elsewhere,
        shards=len(dataset.shards_of("training")),
    )


def epochs(
    dataset_folder: Place, *, out: Path, settings: Settings, watcher: Watcher, communicator: Communicator
) -> None:
    """Go through a run's epochs in one of several processes that train one model, each with its part of the shards.

    The first leaves a checkpoint in `out` after each epoch. They begin with the one that is there, and end when the run is
    over. settings: as `chosen` gave them.
    """
    part = (communicator.rank, communicator.workers)
    run = _run(Dataset.open(dataset_folder), settings, out, watcher, part, communicator)
    run.begin()
    run.go()


def _run(
    dataset: Dataset,
    settings: Settings,
    out: Path,
    watcher: Watcher,
    part: tuple[int, int],
    communicator: Communicator | None = None,
) -> Run:
    """Return the run of a recipe. part: of the shards of training: (which, of how many)."""
    if isinstance(settings, MfccCnnSettings):
        splits = (
            dataset.split("training", part=part),
            dataset.split("validation", part=part if communicator else (0, 1)),
        )
        return mfcc_cnn.MfccCnnRun(dataset, *splits, settings, out, watcher, communicator)
    pools = default.DatasetPool(dataset, "training", part=part), default.DatasetPool(dataset, "validation")
    return default.DefaultRun(*pools, settings, out, watcher, communicator)
