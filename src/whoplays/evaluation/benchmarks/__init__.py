"""Public benchmarks: their folders as published -> recordings and truth -> the literature's metrics of a model."""

from .evaluation import RESULT, evaluate, lines
from .layouts import READERS

__all__ = ["READERS", "RESULT", "evaluate", "lines"]
