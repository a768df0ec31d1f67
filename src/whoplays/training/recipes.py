"""A data set -> a model folder, by a recipe.

`mfcc-cnn` (mfcc_cnn.py) is the student report's network; `default` (default.py) is the recogniser that comes with the
package. `steps` makes small batches cheap, `run` goes through the epochs, `checkpoint` survives a kill.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import UsageError, did_you_mean
from ..runtime.packages import check_installed
from ..storage.address import Place
from .together import Communicator
from .watch import Elsewhere, Watcher

RECIPES = ("mfcc-cnn", "default")
RENAMED = {"report": "mfcc-cnn"}  # former names, for a suggestion

__all__ = ["RECIPES", "Watcher", "chosen", "epochs", "train"]


def train(
    dataset_folder: Place | str,
    *,
    recipe: str = "mfcc-cnn",
    out: Path | str,
    resume: bool = False,
    watcher: Watcher | None = None,
    elsewhere: Elsewhere | None = None,
    **settings: Any,
) -> Any:
    """Train `recipe` on a data set and write a model folder to `out`; return what the recipe tells of it.

    settings: the recipe's own (`MfccCnnSettings`, ...). resume: go on with an interrupted run in `out`. elsewhere: goes
    through the epochs instead of this process (`whoplays.cluster.train`). Raises `UsageError` for a recipe or setting
    that does not exist, and what the recipe raises.
    """
    wanted = chosen(recipe, settings)
    check_installed("Training", "train", "keras", "tensorflow", "tf2onnx", "onnx")
    if recipe == "mfcc-cnn":
        from .mfcc_cnn import train_mfcc_cnn

        return train_mfcc_cnn(dataset_folder, out, wanted, resume=resume, watcher=watcher, elsewhere=elsewhere)
    from .default import train_default

    return train_default(dataset_folder, out, wanted, resume=resume, watcher=watcher, elsewhere=elsewhere)


def epochs(dataset_folder: Place, *, out: Path, settings: Any, watcher: Watcher, communicator: Communicator) -> None:
    """Go through a run's epochs in one of several processes that train one model; the first keeps checkpoints in `out`.

    settings: as `chosen` gave them.
    """
    from .default_settings import DefaultSettings

    if isinstance(settings, DefaultSettings):
        from .default import epochs_of_default

        epochs_of_default(dataset_folder, out, settings, watcher=watcher, communicator=communicator)
    else:
        from .mfcc_cnn import epochs_of_mfcc_cnn

        epochs_of_mfcc_cnn(dataset_folder, out, settings, watcher=watcher, communicator=communicator)


def chosen(recipe: str, settings: dict[str, Any]) -> Any:
    """Return a recipe's settings. Raises `UsageError` for a recipe or setting that does not exist or cannot be."""
    kind: Any
    if recipe == "mfcc-cnn":
        from .mfcc_cnn import MfccCnnSettings as kind
    elif recipe == "default":
        from .default_settings import DefaultSettings as kind
    else:
        raise UsageError(
            f"--recipe {recipe}: must be one of: {', '.join(RECIPES)}{did_you_mean(recipe, RECIPES, RENAMED)}"
        )
    if unknown := sorted(set(settings) - set(kind.__dataclass_fields__)):
        raise UsageError(
            f"{', '.join(unknown)}: not a setting of this recipe; it has {', '.join(kind.__dataclass_fields__)}"
        )
    return kind(**settings)
