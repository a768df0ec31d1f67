"""Windows follow each other without a gap, are full, and hold the samples that they say."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whoplays.audio.windows import windows
from whoplays.model.pooling import Pooling, attended, log_odds, sigmoid, top_share_mean


@given(
    total=st.integers(1, 400),
    length=st.integers(4, 60),
    context=st.integers(0, 20),
    sizes=st.lists(st.integers(0, 90), min_size=1, max_size=8),
)
def test_windows_cover_the_recording(total: int, length: int, context: int, sizes: list[int]) -> None:
    context = min(context, (length - 1) // 2)
    samples = np.arange(total, dtype=np.float32)
    borders = np.minimum(np.cumsum([0, *sizes, total]), total)
    found = list(windows((samples[a:b] for a, b in pairwise(borders)), length, context))
    assert [w.first for w in found] == [0, *(w.last for w in found[:-1])] and found[-1].last == total
    for window in found:
        assert window.first < window.last
        np.testing.assert_array_equal(window.samples, samples[window.start : window.start + window.samples.size])
        assert window.samples.size == min(length, total)
        assert window.first == 0 or window.first - window.start >= context
        assert window.last == total or window.start + length - window.last == context


def test_an_empty_recording_has_no_window() -> None:
    assert list(windows([], 10)) == [] and list(windows([np.zeros(0, np.float32)], 10, 2)) == []


SCORES = np.array([[0.1, 0.9], [0.5, 0.2], [0.9, 0.2], [0.1, 0.7]], dtype=np.float32)


def test_pooling_goes_from_the_mean_to_the_maximum() -> None:
    even = np.ones(4)
    np.testing.assert_allclose(top_share_mean(SCORES, even, 1.0), SCORES.mean(axis=0), atol=1e-7)
    np.testing.assert_allclose(top_share_mean(SCORES, even, 0.0), SCORES.max(axis=0), atol=1e-7)
    np.testing.assert_allclose(top_share_mean(SCORES, even, 0.5), [0.7, 0.8], atol=1e-7)
    np.testing.assert_allclose(top_share_mean(SCORES, even, 0.375), [(0.9 + 0.25) / 1.5, (0.9 + 0.35) / 1.5], atol=1e-7)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_a_recording_twice_in_a_row_scores_what_it_scores_once(share: float) -> None:
    rng = np.random.default_rng(1)
    scores, lengths = rng.random((37, 3)).astype(np.float32), rng.uniform(0.1, 0.5, 37)
    once, twice = (top_share_mean(np.tile(scores, (n, 1)), np.tile(lengths, n), share) for n in (1, 2))
    np.testing.assert_allclose(once, twice, atol=1e-9)


def test_a_step_counts_for_its_length() -> None:
    halves = np.repeat(SCORES, 2, axis=0)
    for share in (0.3, 0.7):
        whole = top_share_mean(SCORES, np.array([1.0, 2.0, 1.0, 3.0]), share)
        cut = top_share_mean(halves, np.array([0.5, 0.5, 1.5, 0.5, 0.2, 0.8, 1.0, 2.0]), share)
        np.testing.assert_allclose(whole, cut, atol=1e-9)


def test_attention_borrows_from_clear_moments_nearby() -> None:
    logits = np.array([[-4.0], [3.0], [-4.0], [-4.0], [-4.0], [-4.0]])
    attention = np.array([[0.0], [9.0], [0.0], [0.0], [0.0], [0.0]])
    found = attended(logits, attention, np.ones(6), span_s=2.0)[:, 0]
    assert (found[:3] > 2.9).all() and (found[3:] < -3.9).all()
    np.testing.assert_allclose(attended(logits, None, np.ones(6), span_s=2.0)[4:], -4.0)
    np.testing.assert_array_equal(attended(logits, attention, np.ones(6), span_s=0.0), logits)


def test_attention_compares_a_moment_with_those_near_it_alone() -> None:
    """However much more another part of a long recording is attended to."""
    rng = np.random.default_rng(3)
    logits, attention = rng.normal(size=(300, 1)), rng.normal(size=(300, 1))
    attention[10] = 60
    found = attended(logits, attention, np.full(300, 0.32), span_s=3.2)
    for i in (150, 299):
        near = slice(i - 5, i + 6)
        weights = np.exp(attention[near])
        assert found[i, 0] == pytest.approx((weights * logits[near]).sum() / weights.sum(), abs=1e-9)


def test_pooling_is_calibrated_and_corrected_by_other_outputs() -> None:
    logits = np.log(SCORES / (1 - SCORES)).astype(np.float64)
    even = np.ones(4)
    plain = Pooling.plain(2, 0.5).scores(logits, None, even, activation="sigmoid")
    np.testing.assert_allclose(plain, [0.7, 0.8], atol=1e-6)
    odds = log_odds(plain)
    moved = Pooling(0.5, (2.0,), (1.0,), correction=((0.0, -0.5),)).scores(logits, None, even, activation="sigmoid")
    np.testing.assert_allclose(moved, sigmoid(2 * odds[:1] + 1 - 0.5 * odds[1:]), atol=1e-9)


def test_long_recordings_are_pooled_part_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    logits, attention, lengths = rng.normal(size=(50, 9)), rng.normal(size=(50, 9)), np.full(50, 0.32)
    pooling = replace(Pooling.plain(9, 0.25), span_s=3.0)
    whole = pooling.pooled(logits, attention, lengths, activation="sigmoid")
    monkeypatch.setattr("whoplays.model.pooling._AT_ONCE", 1200)
    np.testing.assert_allclose(pooling.pooled(logits, attention, lengths, activation="sigmoid"), whole, rtol=1e-12)
    softmax = pooling.pooled(logits, attention, lengths, activation="softmax")
    assert softmax.shape == (9,) and (softmax > 0).all()


def test_pooling_is_stored_and_read_back() -> None:
    for pooling in (Pooling.plain(3), Pooling(0.25, (1.0, 2.0), (0.5, 0.1), 10.0, ((0.0, 1.0, 2.0), (1.0, 0.0, 0.0)))):
        assert Pooling.from_dict(pooling.to_dict()) == pooling
