"""What the settings of every recipe must be within."""

from __future__ import annotations

from typing import Any

#: The error's text around what is wrong; see `whoplays.errors.require`.
FORM = "{} is possible"


def of_any_recipe(settings: Any) -> list[tuple[bool, str]]:
    """Return (whether it is fine, what is wrong otherwise) for what all recipes are told."""
    rate = settings.learning_rate
    return [
        (1 <= settings.epochs <= 100_000, f"--epochs {settings.epochs}: 1 to 100000"),
        (1 <= settings.batch_size <= 65_536, f"--batch-size {settings.batch_size}: 1 to 65536"),
        (0 < rate <= 1, f"--learning-rate {rate:g}: more than 0, at most 1"),
        (0 <= settings.seed < 2**31, f"--seed {settings.seed}: 0 to 2147483647"),
    ]
