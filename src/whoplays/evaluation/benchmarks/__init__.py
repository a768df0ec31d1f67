"""Public benchmarks: their folders as published -> recordings and truth -> the literature's metrics of a model."""

from .evaluation import BENCHMARKS, RESULT, evaluate, lines

__all__ = ["BENCHMARKS", "RESULT", "evaluate", "lines"]
