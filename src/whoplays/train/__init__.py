"""A data set -> a model folder, by a recipe.

`report` (report.py) is the student report's network; `default` (default.py) is the recogniser that comes with the
package. `steps` makes small batches cheap, `run` goes through the epochs, `checkpoint` survives a kill.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import UsageError
from .watch import Watcher

RECIPES = ("report", "default")

__all__ = ["RECIPES", "Watcher", "train"]


def train(
    dataset_folder: Path | str,
    *,
    recipe: str = "report",
    out: Path | str,
    resume: bool = False,
    watcher: Watcher | None = None,
    **settings: Any,
) -> Any:
    """Train `recipe` on a data set and write a model folder to `out`; return what the recipe tells of it.

    settings: the recipe's own (`ReportSettings`, ...). resume: go on with an interrupted run in `out`. Raises
    `UsageError` for a recipe or setting that does not exist, and what the recipe raises.
    """
    if recipe == "report":
        from .report import ReportSettings, train_report

        return train_report(dataset_folder, out, _made(ReportSettings, settings), resume=resume, watcher=watcher)
    if recipe == "default":
        from .default import train_default

        return train_default(dataset_folder, out, resume=resume, watcher=watcher, **settings)
    raise UsageError(f"--recipe {recipe}: {' or '.join(RECIPES)} is possible")


def _made(kind: Any, settings: dict[str, Any]) -> Any:
    if unknown := sorted(set(settings) - set(kind.__dataclass_fields__)):
        raise UsageError(
            f"{', '.join(unknown)}: not a setting of this recipe; it has {', '.join(kind.__dataclass_fields__)}"
        )
    return kind(**settings)
