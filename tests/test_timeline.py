"""Scores over time -> segments: known curves, and what must hold for any curve."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import whoplays
from whoplays.errors import ModelError
from whoplays.inference.segmentation import detect_intervals, over_cells
from whoplays.model.config import TimelineSettings

PLAIN = TimelineSettings(low=0.5, max_gap_s=0.0, min_length_s=0.0)


def found(scores: list[float], settings: TimelineSettings = PLAIN, step: float = 0.5) -> list[tuple[float, float]]:
    edges = np.arange(len(scores) + 1) * step
    return [
        (s.start, s.end)
        for s in detect_intervals(np.array(scores, dtype=np.float32), edges, threshold=0.6, settings=settings)
    ]


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0, 0, 0, 0], []),
        ([0.9] * 4, [(0, 2)]),
        ([0, 0.7, 0.7, 0], [(0.5, 1.5)]),
        ([0, 0.4, 0.7, 0.4, 0.2], [(0.5, 2)]),
        ([0.4, 0.4, 0.4], []),
        ([0.7, 0.1, 0.7], [(0, 0.5), (1, 1.5)]),
    ],
)
def test_hysteresis(scores: list[float], expected: list[tuple[float, float]]) -> None:
    assert found(scores) == expected


def test_a_limit_is_reached_by_what_equals_it() -> None:
    """Thresholds and lengths that a float holds exactly, so that equal means equal."""
    scores = np.array([0, 0.5, 0.25, 0, 0.25, 0], dtype=np.float32)
    chosen = TimelineSettings(low=0.5, max_gap_s=0.0, min_length_s=1.0)
    (stretch,) = detect_intervals(scores, np.arange(7) * 0.5, threshold=0.5, settings=chosen)
    assert (stretch.start, stretch.end) == (0.5, 1.5)


def test_half_of_a_recording_that_is_shorter_than_the_shortest_stretch_is_kept() -> None:
    chosen = TimelineSettings(low=1.0, max_gap_s=0.0, min_length_s=10.0)
    assert found([0, 0.9, 0.9, 0], chosen) == [(0.5, 1.5)]
    assert found([0, 0.9, 0, 0], chosen) == []
    later = 100.0 + np.arange(5) * 0.5  # of a part of a recording
    scores = np.array([0, 0.9, 0.9, 0], dtype=np.float32)
    assert [(s.start, s.end) for s in detect_intervals(scores, later, threshold=0.6, settings=chosen)] == [
        (100.5, 101.5)
    ]


def test_cells_hold_the_mean_over_their_time() -> None:
    scores = np.array([[0.2, 1.0], [0.6, 0.0], [1.0, 0.5]])
    edges = np.array([1.0, 2.0, 4.0, 5.0])
    same = over_cells(scores, edges, edges)
    assert same == pytest.approx(scores)
    wide = over_cells(scores, edges, np.array([1.0, 3.0, 5.0]))
    assert wide == pytest.approx(np.array([[0.4, 0.5], [0.8, 0.25]]))
    fine = over_cells(scores, edges, np.array([2.25, 2.5, 2.75]))
    assert fine == pytest.approx(np.array([[0.6, 0.0], [0.6, 0.0]]))


def test_cells_outside_the_steps_have_the_nearest_ones_score() -> None:
    scores = np.array([[0.2], [0.6], [0.9]])
    cells = over_cells(scores, np.array([1.0, 2.0, 3.0, 3.5]), np.array([0.0, 0.5, 1.5, 2.5, 4.0, 5.0]))
    assert cells[:, 0] == pytest.approx([0.2, 0.2, 0.4, 0.75, 0.9])


def test_short_rests_are_closed_and_then_short_stretches_dropped() -> None:
    chosen = TimelineSettings(low=1.0, max_gap_s=0.5, min_length_s=1.0)
    assert found([0.7, 0, 0.7, 0, 0, 0, 0.7, 0], chosen) == [(0, 1.5)]


def test_a_stretch_scores_its_mean() -> None:
    (stretch,) = detect_intervals(
        np.array([0.6, 0.9], dtype=np.float32), np.array([0.0, 1.0, 4.0]), threshold=0.6, settings=PLAIN
    )
    assert stretch.score == pytest.approx((0.6 + 3 * 0.9) / 4)


@given(
    scores=st.lists(st.floats(0, 1), min_size=1, max_size=60),
    threshold=st.floats(0.05, 0.95),
    low=st.floats(0.1, 1),
    gap=st.floats(0, 3),
    shortest=st.floats(0, 3),
)
def test_what_holds_for_any_curve(scores, threshold, low, gap, shortest) -> None:
    edges = np.arange(len(scores) + 1) * 0.5
    chosen = TimelineSettings(low=low, max_gap_s=gap, min_length_s=shortest)
    curve = np.array(scores, dtype=np.float32)
    got = detect_intervals(curve, edges, threshold=threshold, settings=chosen)
    for stretch in got:
        inside = curve[round(stretch.start * 2) : round(stretch.end * 2)]
        assert 0 <= stretch.start < stretch.end <= edges[-1]
        assert inside.max() >= np.float32(threshold) - 1e-6
        assert 0 <= stretch.score <= 1.0001
        assert stretch.end - stretch.start >= min(shortest, edges[-1] / 2)
    assert all(b.start - a.end > gap for a, b in pairwise(got))


def test_settings_out_of_range_and_edges_that_do_not_fit() -> None:
    for name, beyond in (("low", 0), ("low", 1.01), ("max_gap_s", -1), ("max_gap_s", 60.5), ("min_length_s", 60.5)):
        with pytest.raises(ModelError, match=f"out of range.*{name}={float(beyond)}"):
            TimelineSettings.from_dict({name: beyond})
    with pytest.raises(ModelError, match=r"unknown key, tempo$"):
        TimelineSettings.from_dict({"tempo": 120, "key": 3})
    most = TimelineSettings(low=1, max_gap_s=60, min_length_s=60)
    assert TimelineSettings.from_dict(most.to_dict()) == most
    with pytest.raises(ValueError, match="do not bound"):
        detect_intervals(np.zeros(3, dtype=np.float32), np.arange(3.0), threshold=0.5, settings=PLAIN)


@example(395918, 3.0)  # flashes of a flute on both sides of a rest of the woodwinds
@example(19979, 60.0)  # a guitar of score 0 wherever its family plays
@given(st.integers(0, 2**32 - 1), st.floats(0.2, 60.0))
def test_an_instrument_plays_while_its_family_does(seed: int, sharpness: float) -> None:
    recogniser, rng = whoplays.load(), np.random.default_rng(seed)
    labels, steps = recogniser.labels, int(rng.integers(1, 90))
    walk = np.cumsum(rng.normal(0, 0.5, (steps, len(labels))), axis=0)
    frames = (0.5 + np.tanh(sharpness * (walk - rng.normal(0, 2, len(labels))) / 2) / 2).astype(np.float32)
    frames = recogniser.config.tree.raise_families(frames).astype(np.float32)
    segments = recogniser.segments(frames, np.arange(steps + 1) * 0.32, [label.id for label in labels])
    times = {label.id: [s for s in segments if s.label == label.id] for label in labels}
    for label in labels:
        assert times[label.id], label.id
        for one in times[label.id] if label.parent else ():
            assert any(s.start <= one.start and one.end <= s.end for s in times[label.parent]), label.id
