"""What can be set of the recipe `default`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..errors import UsageError, require
from .limits import FORM, of_any_recipe


@dataclass(frozen=True, kw_only=True)
class DefaultSettings:
    """What can be set.

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
        checks = [
            *of_any_recipe(self),
            (0 <= self.restart < self.epochs, f"restart {self.restart}: 0 to {self.epochs - 1}"),
            (0 <= self.mix <= 1, f"mix {self.mix:g}: 0 to 1"),
            (
                min(self.partners, default=-1) >= 0 and abs(sum(self.partners) - 1) < 1e-6,
                f"partners {self.partners}: chances of one, two, ... that sum to 1",
            ),
        ]
        require(checks, UsageError, FORM)

    def rate_after(self, epochs: float) -> float:
        """Return the learning rate: straight up within an epoch, then half a cosine to a hundredth; see `restart`."""
        again = bool(self.restart) and epochs > self.restart
        first, last = (self.restart, self.epochs) if again else (0, self.restart or self.epochs)
        done = epochs - first
        falling = 0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * min(1.0, done / (last - first))))
        return float(self.learning_rate * (0.5 if again else 1.0) * min(1.0, done) * falling)
