"""Class folders or a manifest -> a balanced, split set of features that training reads memory-mapped.

What goes through, under one name each:

    Clip     part of a recording, with its targets            sources.py reads them, split.py picks and divides them
    Shard    clips of one split that go into one file         build.py plans them, make.py makes each, in many processes
    record   what became of a shard's clips                   beside its file while the data set is built; then in the index
    index    dataset.json: what makes the folder a data set   store.py writes no other; index.py checks it
    Dataset  the folder, opened                               store.py
    Split    one side of it: a row for each variant of a clip: features, memory-mapped, and targets

Training takes rows of a `Split` in a drawn order, and brings a `Chunk` of batches into memory at a time (training/batches.py).
shards.py knows the two kinds of files.
"""

from .build import BuildSummary, build
from .settings import BuildSettings
from .sources import Clip, Skipped
from .store import Dataset, Split

__all__ = ["BuildSettings", "BuildSummary", "Clip", "Dataset", "Skipped", "Split", "build"]
