"""Class folders or a manifest -> a balanced, split set of features that training reads memory-mapped.

`sources` finds the recordings and their labels, `split` picks and divides them by recording, `build` goes through it all,
`make` is the work on one shard, which an `Engine` does in many processes, `shards` are the files, `store` is the folder
and its reader.
"""

from .build import BuildSummary, build
from .settings import BuildSettings
from .sources import Clip, Skipped
from .store import Dataset, Split

__all__ = ["BuildSettings", "BuildSummary", "Clip", "Dataset", "Skipped", "Split", "build"]
