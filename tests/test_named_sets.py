"""Metrics of named sets and of when labels play: worked by hand, against slow definitions, and against sed_eval."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whoplays.evaluation import segments, sets

UNKNOWN = float("nan")


def test_named_sets_by_hand() -> None:
    targets = [[1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    named = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]], dtype=bool)
    found, none = sets.evaluate(np.array(targets), named, draws=0)
    assert none == {}
    assert found["set_precision"] == pytest.approx(3 / 6) and found["set_recall"] == pytest.approx(3 / 4)
    assert found["set_f1"] == pytest.approx(2 * 3 / (6 + 4))
    assert found["set_exact"] == 2 / 4  # silence, rightly said to hold nothing, is one
    assert found["set_wrong"] == 3 / 4 and found["set_missed"] == 1 / 4


def test_a_set_with_one_wrong_name_too_many_is_not_exact() -> None:
    found, _ = sets.evaluate(np.array([[1.0, 0.0]]), np.array([[True, True]]), draws=0)
    assert found["set_exact"] == 0 and found["set_recall"] == 1


def test_unknown_labels_of_a_set_count_neither_way() -> None:
    targets = np.array([[1, UNKNOWN], [0, UNKNOWN], [UNKNOWN, UNKNOWN]])
    results = [
        sets.evaluate(targets, np.column_stack([[True, False, said], [said] * 3]), draws=0)[0] for said in (True, False)
    ]
    assert results[0] == results[1]
    assert results[0]["set_exact"] == 1 and results[0]["set_wrong"] == 0  # the last row is none


def test_sets_that_name_nothing_have_no_precision() -> None:
    found, _ = sets.evaluate(np.array([[1.0]]), np.array([[False]]), draws=0)
    assert np.isnan(found["set_precision"]) and found["set_f1"] == 0 and found["set_missed"] == 1


def test_intervals_of_sets_are_over_recordings() -> None:
    """Ten clips of each recording say no more than one."""
    rng = np.random.default_rng(5)
    targets, named = (rng.random((50, 3)) < 0.4) * 1.0, rng.random((50, 3)) < 0.4
    one = sets.evaluate(targets, named, draws=300)[1]["set_exact"]
    copies = np.repeat(targets, 10, axis=0), np.repeat(named, 10, axis=0)
    grouped = sets.evaluate(*copies, recordings=np.repeat(np.arange(50), 10), draws=300)[1]["set_exact"]
    naive = sets.evaluate(*copies, draws=300)[1]["set_exact"]
    assert grouped == pytest.approx(one, abs=0.03)
    assert naive[1] - naive[0] < 0.5 * (grouped[1] - grouped[0])


def test_scores_in_place_of_named_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="booleans are needed; compare scores"):
        sets.evaluate(np.array([[1.0]]), np.array([[0.7]]))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="shape"):
        sets.evaluate(np.array([[1.0]]), np.array([[True, False]]))


def test_segments_by_hand() -> None:
    """A guitar from 0 to 4 s is cut in two, a piano that plays is missed, a brass that does not is named."""
    true = {"guitar": np.array([[0.0, 4.0]]), "piano": np.array([[1.0, 2.0]]), "brass": np.zeros((0, 2))}
    found = {"guitar": np.array([[0.3, 1.0], [2.0, 3.5]]), "brass": np.array([[0.0, 0.5]])}
    figures, _ = segments.evaluate([true], [found], draws=0)
    assert figures["frame_precision"] == pytest.approx(22 / 27) and figures["frame_recall"] == pytest.approx(22 / 50)
    assert figures["frame_f1"] == pytest.approx(2 * 22 / (27 + 50))
    assert figures["onset_precision"] == pytest.approx(1 / 3) and figures["onset_recall"] == pytest.approx(1 / 2)
    assert figures["event_f1"] == 0  # the first has the onset, the second the offset (3.5: within half of 4 s)
    assert figures["offset_recall"] == pytest.approx(1 / 2)
    assert figures["segments_per_true"] == 2  # of the guitar alone: the piano was not found
    assert figures["brass/frame_f1"] == 0 and figures["guitar/frame_f1"] == pytest.approx(44 / 62)


def test_offsets_may_be_apart_by_half_of_the_event_or_the_collar() -> None:
    true = {"a": [[0.0, 8.0], [10.0, 10.6]]}
    near = {"a": [[0.0, 4.0], [10.0, 11.1]]}
    far = {"a": [[0.0, 3.9], [10.0, 11.2]]}
    assert segments.evaluate([true], [near], draws=0)[0]["event_f1"] == 1
    assert segments.evaluate([true], [far], draws=0)[0]["event_f1"] == 0
    assert segments.evaluate([true], [far], offset_ratio=0.6, collar_s=0.6, draws=0)[0]["event_f1"] == 1


def test_one_estimate_matches_one_event_and_as_many_are_matched_as_can_be() -> None:
    assert segments.n_matches(np.array([[1, 1], [1, 0]], dtype=bool)) == 2  # the first one must not take the only one
    assert segments.n_matches(np.array([[1, 1, 1]], dtype=bool)) == 1
    assert segments.n_matches(np.zeros((0, 3), dtype=bool)) == segments.n_matches(np.zeros((3, 0), dtype=bool)) == 0


def test_unknown_labels_of_a_timeline_count_neither_way() -> None:
    true = [{"a": [[0.0, 1.0]]}, {"a": [], "b": [[0.0, 2.0]]}]
    found = [{"a": [[0.0, 1.0]], "b": [[0.0, 9.0]]}, {"b": [[0.0, 2.0]]}]  # nobody knows whether b plays in the first
    figures, _ = segments.evaluate(true, found, draws=0)
    assert figures["frame_f1"] == figures["event_f1"] == figures["segments_per_true"] == 1


def test_times_between_two_frames_are_not_left_to_chance() -> None:
    tenths = np.arange(500)
    assert segments.active_frames(np.stack([tenths / 10, tenths / 10 + 0.1], axis=1)).tolist() == tenths.tolist()
    assert segments.active_frames(np.array([[0.3, 0.4]])).tolist() == [3]  # 0.3 / 0.1 is 2.9999999999999996
    assert segments.active_frames(np.array([[0.25, 0.41], [0.05, 0.1]])).tolist() == [0, 2, 3, 4]
    assert segments.active_frames(np.zeros((0, 2))).size == 0


@pytest.mark.parametrize(
    ("intervals", "message"),
    [
        ([0.0, 1.0], r"shape \(2,\)"),
        ([[1.0, 0.5]], "from 1 to 0.5 s"),
        ([[-1.0, 0.5]], "from -1 to 0.5 s"),
        ([[0.0, float("nan")]], "from 0 to nan s"),
    ],
)
def test_intervals_that_cannot_be_are_refused(intervals: list, message: str) -> None:
    with pytest.raises(ValueError, match=f"guitar.*{message}"):
        segments.evaluate([{"guitar": np.array(intervals)}], [{}])


def test_as_many_estimates_as_recordings_are_needed() -> None:
    with pytest.raises(ValueError, match="1 estimates of 2 recordings"):
        segments.evaluate([{}, {}], [{}])
    with pytest.raises(ValueError, match="0 estimates of 0 recordings"):
        segments.evaluate([], [])


@pytest.mark.parametrize("module", [sets, segments])
def test_examples_in_docstrings_are_true(module: object) -> None:
    assert doctest.testmod(module).attempted > 0  # type: ignore[arg-type]
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


timelines = st.dictionaries(
    st.sampled_from(["a", "b", "c"]),
    st.lists(st.tuples(st.integers(0, 80), st.integers(1, 20)), min_size=1, max_size=6).map(
        # times within a frame, where sed_eval's rounding and ours are one
        lambda pairs: np.array([[onset / 10 + 0.03, (onset + length) / 10 + 0.04] for onset, length in sorted(pairs)])
    ),
    min_size=1,
)


@given(timelines, timelines)
def test_figures_are_those_sed_eval_gives(true: dict, found: dict) -> None:
    sed_eval = pytest.importorskip("sed_eval", reason="sed_eval is not installed (pip install sed_eval)")
    labels = ["a", "b", "c"]
    true = {label: true.get(label, np.zeros((0, 2))) for label in labels}
    figures, _ = segments.evaluate([true], [found], collar_s=0.5, draws=0)

    def listed(timeline: dict) -> list[dict]:
        return [
            {"event_label": label, "event_onset": onset, "event_offset": offset, "filename": "x"}
            for label, intervals in timeline.items()
            for onset, offset in intervals
        ]

    by_segment = sed_eval.sound_event.SegmentBasedMetrics(labels, time_resolution=0.1)
    by_segment.evaluate(listed(true), listed(found))
    expected = {"frame": by_segment.results_overall_metrics()["f_measure"]}
    for kind, onset, offset in (("event", True, True), ("onset", True, False)):
        by_event = sed_eval.sound_event.EventBasedMetrics(
            labels, t_collar=0.5, percentage_of_length=0.5, evaluate_onset=onset, evaluate_offset=offset
        )
        by_event.evaluate(listed(true), listed(found))
        expected[kind] = by_event.results_overall_metrics()["f_measure"]
    for kind, measure in expected.items():
        for ours, theirs in (("f1", "f_measure"), ("precision", "precision"), ("recall", "recall")):
            assert figures[f"{kind}_{ours}"] == pytest.approx(measure[theirs], nan_ok=True), (kind, ours)
