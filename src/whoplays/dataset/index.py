"""What `dataset.json` must be. It says which files are mapped into memory, so it is looked through before any is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .sources import SPLITS

MAX_FRAMES = 1 << 24
_FILE = re.compile(r"[A-Za-z0-9_-]{1,100}\.(npy|arrow)", re.ASCII)


def check(index: Any) -> None:
    """Raise `ValueError`, saying what is wrong, for what is no data set's index."""
    _need(isinstance(index, Mapping), "it is no object")
    _need(type(index.get("format")) is int and index["format"] >= 1, "its format is no number")
    _need(type(index.get("frames")) is int and 1 <= index["frames"] <= MAX_FRAMES, "frames is no number of rows")
    _need(isinstance(index.get("features"), Mapping), "features are not settings")
    labels = index.get("labels")
    _need(
        isinstance(labels, list) and bool(labels) and all(map(_is_label, labels)),
        "its labels have no id, names and colour; build the data set again",
    )
    shards = index.get("shards")
    _need(isinstance(shards, list) and all(map(_is_shard, shards)), "shards are not files of a data set")
    for name in ("rows", "recordings"):
        fine = _are_counts(index.get(name)) and set(SPLITS) <= set(index[name])
        _need(fine, f"{name} is no number for each of {', '.join(SPLITS)}")
    clips = index.get("clips")
    _need(isinstance(clips, Mapping) and all(map(_are_counts, clips.values())), "clips are not numbers")
    remarks = index.get("remarks", [])
    _need(isinstance(remarks, list) and all(isinstance(remark, str) for remark in remarks), "remarks are not lines")


def _need(fine: bool, problem: str) -> None:
    if not fine:
        raise ValueError(problem)


def _is_label(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(value.get(name), str) for name in ("id", "en", "pl", "colour"))


def _is_shard(value: Any) -> bool:
    if not isinstance(value, Mapping) or value.get("split") not in SPLITS or not _is_count(value.get("rows")):
        return False
    named = isinstance(value.get("file"), str) and bool(_FILE.fullmatch(value["file"]))  # in the folder, nowhere else
    return named and isinstance(value.get("sha256"), str)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 48


def _are_counts(value: Any) -> bool:
    return isinstance(value, Mapping) and all(map(_is_count, value.values()))
