"""What the settings of every recipe must be within."""

from __future__ import annotations

#: The error's text around what is wrong; see `whoplays.errors.require`.
FORM = "{} is possible"


def of_any_recipe(*, epochs: int, batch_size: int, learning_rate: float, seed: int) -> list[tuple[bool, str]]:
    """Return (whether it is fine, what is wrong otherwise) for what all recipes are told."""
    return [
        (1 <= epochs <= 100_000, f"--epochs {epochs}: 1 to 100000"),
        (1 <= batch_size <= 65_536, f"--batch-size {batch_size}: 1 to 65536"),
        (0 < learning_rate <= 1, f"--learning-rate {learning_rate:g}: more than 0, at most 1"),
        (0 <= seed < 2**31, f"--seed {seed}: 0 to 2147483647"),
    ]
