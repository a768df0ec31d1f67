"""Class folders or a manifest -> a balanced, split set of features that training reads memory-mapped.

`sources` finds the recordings and their labels, `split` picks and divides them by recording, `build` computes features
in worker processes, `store` is the folder on disk and its reader.
"""

from .build import BuildSettings, BuildSummary, build
from .sources import Clip, LeftOut
from .store import Dataset, Split

__all__ = ["BuildSettings", "BuildSummary", "Clip", "Dataset", "LeftOut", "Split", "build"]
