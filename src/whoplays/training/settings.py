"""What can be set of each recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ..errors import UsageError, did_you_mean, require

RENAMED = {"report": "mfcc-cnn"}  # former names, for a suggestion


def _check(settings: Any, *more: tuple[bool, str]) -> None:
    """Raise `UsageError` for what no recipe takes, and for the first of `more`: (whether it is fine, what is wrong otherwise)."""
    rate = settings.learning_rate
    checks = [
        (1 <= settings.epochs <= 100_000, f"--epochs {settings.epochs}: 1 to 100000"),
        (1 <= settings.batch_size <= 65_536, f"--batch-size {settings.batch_size}: 1 to 65536"),
        (0 < rate <= 1, f"--learning-rate {rate:g}: more than 0, at most 1"),
        (0 <= settings.seed < 2**31, f"--seed {settings.seed}: 0 to 2147483647"),
        *more,
    ]
    require(checks, UsageError, "{} is possible")


@dataclass(frozen=True, kw_only=True)
class MfccCnnSettings:
    """What can be set of `mfcc-cnn`; the defaults are the report's.

    learning_rate: of Adam. batch_size: rows a step. epochs: at most. patience: epochs without a better validation loss
    before it stops. l2: penalty on the two dense layers. dropout: share of units dropped after each of them.
    loss: "softmax" (one label a row, categorical cross-entropy) or "sigmoid" (any labels, unknown ones left out of the
    binary cross-entropy). seed: of weights, dropout and the order of rows. name: of the model.
    """

    epochs: int = 50
    batch_size: int = 2
    learning_rate: float = 1e-5
    patience: int = 10
    l2: float = 0.001
    dropout: float = 0.5
    loss: Literal["softmax", "sigmoid"] = "softmax"
    seed: int = 0
    name: str = "mfcc-cnn"

    def __post_init__(self) -> None:
        _check(
            self,
            (1 <= self.patience <= 100_000, f"--patience {self.patience}: 1 to 100000"),
            (0 <= self.l2 <= 1, f"--l2 {self.l2:g}: 0 to 1"),
            (0 <= self.dropout < 1, f"--dropout {self.dropout:g}: 0 up to 1, not included"),
            (self.loss in ("softmax", "sigmoid"), f"--loss {self.loss}: softmax or sigmoid"),
            (self.name.replace("-", "").replace("_", "").isalnum(), f"--name {self.name!r}: letters, digits, - and _"),
        )


@dataclass(frozen=True, kw_only=True)
class DefaultSettings:
    """What can be set of `default`.

    epochs: of `steps_per_epoch` steps (0: as many as rows need, at most 200) of `batch_size` crops of `crop_steps` x 0.32 s.
    learning_rate: the highest, reached in the first epoch, then lowered along half a cosine. restart: the epoch after
    which it starts again, at half that height (Loshchilov 2017; 0: never). ema: how slowly the averaged weights, which are
    what is evaluated and shipped, follow. mix: share of crops mixed with others, with one, two, ... of
    them by the chances `partners`. over_time: weight of the step-by-step loss
    beside the recording's. label_weights: how much a label counts in both, by its id; 1 where it is not named.
    """

    epochs: int = 30
    steps_per_epoch: int = 0
    batch_size: int = 64
    crop_steps: int = 16
    learning_rate: float = 2e-3
    restart: int = 0
    weight_decay: float = 1e-2
    ema: float = 0.997
    mix: float = 0.5
    partners: tuple[float, ...] = (1.0,)
    over_time: float = 0.5
    label_weights: Mapping[str, float] = field(default_factory=dict)
    filters: tuple[int, ...] = (16, 32, 64, 128)
    blocks: tuple[int, ...] = (0, 1, 2, 2)
    hidden: int = 256
    seed: int = 0
    name: str = "default"
    version: str = "1"

    def __post_init__(self) -> None:
        chances = min(self.partners, default=-1) >= 0 and abs(sum(self.partners) - 1) < 1e-6
        _check(
            self,
            (0 <= self.restart < self.epochs, f"restart {self.restart}: 0 to {self.epochs - 1}"),
            (0 <= self.mix <= 1, f"mix {self.mix:g}: 0 to 1"),
            (chances, f"partners {self.partners}: chances of one, two, ... that sum to 1"),
        )

    def rate_after(self, epochs: float) -> float:
        """Return the learning rate: straight up within an epoch, then half a cosine to a hundredth; see `restart`."""
        again = bool(self.restart) and epochs > self.restart
        first, last = (self.restart, self.epochs) if again else (0, self.restart or self.epochs)
        done = epochs - first
        falling = 0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * min(1.0, done / (last - first))))
        return float(self.learning_rate * (0.5 if again else 1.0) * min(1.0, done) * falling)


Settings = MfccCnnSettings | DefaultSettings
RECIPES: dict[str, type[Settings]] = {"mfcc-cnn": MfccCnnSettings, "default": DefaultSettings}


def chosen(recipe: str, settings: dict[str, Any]) -> Settings:
    """Return a recipe's settings. Raises `UsageError` for a recipe or setting that does not exist or cannot be."""
    if recipe not in RECIPES:
        raise UsageError(
            f"--recipe {recipe}: must be one of: {', '.join(RECIPES)}{did_you_mean(recipe, RECIPES, RENAMED)}"
        )
    kind = RECIPES[recipe]
    if unknown := sorted(set(settings) - set(kind.__dataclass_fields__)):
        raise UsageError(
            f"{', '.join(unknown)}: not a setting of this recipe; it has {', '.join(kind.__dataclass_fields__)}"
        )
    return kind(**settings)
