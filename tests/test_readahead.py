"""Rows of mapped files: the same whatever access pattern the system is advised of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from whoplays.dataset.readahead import LARGE_ROW, copy_rows, expect_any_order


@pytest.mark.parametrize("width", [3, LARGE_ROW // 4, LARGE_ROW // 4 + 7])
@pytest.mark.parametrize("mapped", [True, False])
def test_rows_are_copied_in_the_requested_order(tmp_path: Path, width: int, mapped: bool) -> None:
    rows = np.random.default_rng(0).normal(size=(23, 2, width)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    source = np.load(tmp_path / "rows.npy", mmap_mode="r" if mapped else None)
    expect_any_order(source)
    chosen, places = np.array([22, 0, 7, 7, 21]), np.array([4, 3, 0, 1, 2])
    out = np.zeros((6, 2, width), np.float32)
    copy_rows(source, chosen, out, places)
    np.testing.assert_array_equal(out[places], rows[chosen])
    assert not out[5].any()


def test_an_empty_file_has_no_rows_to_copy(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.zeros((0, 2, LARGE_ROW), np.float32))
    source = np.load(tmp_path / "rows.npy", mmap_mode="r")
    expect_any_order(source)
    copy_rows(source, np.zeros(0, np.int64), np.zeros((0, 2, LARGE_ROW), np.float32), np.zeros(0, np.int64))
