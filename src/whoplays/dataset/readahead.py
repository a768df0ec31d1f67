"""Rows of a mapped file in any order, at the speed of the disk.

Left alone, a system takes the reader of a mapped file for one that goes on from where it is: around each page it fetches
more, in vain when rows are drawn, and the row itself comes page by page. Told that any order is to be expected, and then
which bytes are wanted, it fetches those, at once. On a data set larger than memory that is a matter of 20 times.
"""

from __future__ import annotations

import mmap

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

LARGE_ROW = 16 << 10  # bytes; smaller rows share pages with their neighbours, which are then wanted soon


def _mapping(rows: Array) -> mmap.mmap | None:
    """Return the mapping below an array of large rows; None for another array, or where the system takes no advice."""
    if not isinstance(rows, np.memmap) or not len(rows) or rows[0].nbytes < LARGE_ROW:
        return None
    mapping = getattr(rows, "_mmap", None)
    return mapping if hasattr(mapping, "madvise") and hasattr(mmap, "MADV_WILLNEED") else None


def expect_any_order(rows: Array) -> None:
    """Tell the system that rows (n, ...) of a mapped file will be read in any order."""
    if mapping := _mapping(rows):
        mapping.madvise(mmap.MADV_RANDOM)


def copy_rows(rows: Array, chosen: NDArray[np.int64], out: Array, places: NDArray[np.int64]) -> None:
    """Copy `rows[chosen]` to `out[places]`; rows (n, ...), chosen and places (m,)."""
    mapping = _mapping(rows)
    if mapping is None:
        out[places] = rows[chosen]
        return
    assert isinstance(rows, np.memmap)
    begin = rows.offset % mmap.ALLOCATIONGRANULARITY
    size = rows[0].nbytes
    for row, place in zip(chosen.tolist(), places.tolist(), strict=True):
        first = begin + row * size
        page = first // mmap.PAGESIZE * mmap.PAGESIZE
        mapping.madvise(mmap.MADV_WILLNEED, page, first + size - page)
        out[place] = rows[row]
