"""Augmentation is tested by what it is for: power adds, labels are OR-ed, the same draw gives the same examples."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from whoplays.training import augment
from whoplays.training.augment import Examples, apply, draw, either, only_mixing

OFFSET = 1e-6
FRAMES, BANDS = 64, 8


def examples(*levels: float) -> Examples:
    """One example a level, of steady power, the i-th with label i."""
    n = len(levels)
    power = np.array(levels, dtype=np.float32)[:, None, None] * np.ones((n, FRAMES, BANDS), dtype=np.float32)
    clip = np.eye(n, dtype=np.float32)
    steps = np.repeat(clip[:, None], FRAMES // augment.FRAMES_PER_STEP, axis=1)
    return Examples(np.log(power + np.float32(OFFSET)), clip, steps)


def nothing(n: int) -> augment.Draw:
    drawn = only_mixing(draw(np.random.default_rng(0), n, frames=FRAMES, bands=BANDS, mix=0.0))
    return replace(drawn, partners=np.full((n, 1), -1))


def test_a_draw_of_nothing_changes_nothing() -> None:
    given = examples(0.1, 1.0)
    made = apply(given, nothing(2), log_offset=OFFSET)
    np.testing.assert_allclose(made.features, given.features, atol=1e-4)
    np.testing.assert_array_equal(made.clip, given.clip)


def test_mixing_equally_loud_clips_adds_their_power_and_joins_their_labels() -> None:
    drawn = replace(nothing(2), partners=np.array([[1], [-1]]), partner_db=np.zeros((2, 1), dtype=np.float32))
    made = apply(examples(0.01, 1.0), drawn, log_offset=OFFSET)
    np.testing.assert_allclose(np.exp(made.features[0]), 0.02, rtol=1e-3)  # as loud again
    np.testing.assert_array_equal(made.clip, [[1, 1], [0, 1]])
    np.testing.assert_array_equal(made.steps[0], [[1, 1]] * 4)


def test_several_partners_each_add_their_power_and_labels() -> None:
    drawn = replace(
        nothing(3), partners=np.array([[1, 2], [2, -1], [-1, -1]]), partner_db=np.zeros((3, 2), dtype=np.float32)
    )
    made = apply(examples(0.01, 1.0, 0.1), drawn, log_offset=OFFSET)
    np.testing.assert_allclose(np.exp(made.features[:, 0, 0]), [0.03, 2.0, 0.1], rtol=1e-3)
    drawn = draw(np.random.default_rng(0), 4000, frames=FRAMES, bands=BANDS, mix=0.6, partners=(0.5, 0.3, 0.2))
    counts = np.bincount((drawn.partners >= 0).sum(axis=1)) / 4000
    np.testing.assert_allclose(counts, [0.4, 0.3, 0.18, 0.12], atol=0.03)


def test_soloists_are_mixed_and_chosen_more_often_than_bands() -> None:
    playing = np.repeat([1, 4], 2000)
    drawn = draw(np.random.default_rng(0), 4000, frames=FRAMES, bands=BANDS, mix=0.6, playing=playing)
    partner = drawn.partners[:, 0]
    assert not (partner == np.arange(4000)).any()
    soloists, bands = ((partner[playing == k] >= 0).mean() for k in (1, 4))
    np.testing.assert_allclose([soloists, bands], [0.6, 0.36], atol=0.03)
    assert (playing[partner[partner >= 0]] == 1).mean() > 0.85


def test_silence_mixed_in_adds_nothing() -> None:
    drawn = replace(nothing(2), partners=np.array([[1], [-1]]), partner_db=np.full((2, 1), 14, dtype=np.float32))
    made = apply(examples(0.01, 0.0), drawn, log_offset=OFFSET)
    np.testing.assert_allclose(np.exp(made.features[0]), 0.01, rtol=1e-3)


def test_gain_moves_the_logarithm() -> None:
    drawn = replace(nothing(1), gain_db=np.array([-10], dtype=np.float32))
    made = apply(examples(1.0), drawn, log_offset=OFFSET)
    np.testing.assert_allclose(np.exp(made.features), 0.1, rtol=1e-3)


@pytest.mark.parametrize("bands", [-2, 1])
def test_a_shift_moves_a_partial_by_so_many_bands(bands: int) -> None:
    given = examples(0.0)
    given.features[0, :, 4] = 0.0
    made = apply(given, replace(nothing(1), shift=np.array([bands])), log_offset=OFFSET)
    assert set(made.features[0].argmax(axis=1)) == {4 + bands}


def test_noise_and_masks_are_where_they_were_sampled() -> None:
    given = examples(1.0, 1.0)
    noise = np.full((2, BANDS), -np.inf, dtype=np.float32)
    noise[0] = np.log(0.5)
    spans = np.array([[0, 0], [3, 9]])
    made = apply(given, replace(nothing(2), noise=noise, hidden_frames=spans), log_offset=OFFSET)
    np.testing.assert_allclose(np.exp(made.features[0]), 1.5, rtol=1e-3)
    assert (made.features[1, 3:9] < -13).all() and (made.features[1, :3] > -1).all()


def test_one_certain_label_is_enough_and_unknown_stays_unknown() -> None:
    nan = np.nan
    a, b = np.array([1, 0, nan, nan, 0.5]), np.array([nan, nan, 1, 0, 0.5])
    np.testing.assert_allclose(either(a, b), [1, nan, 1, nan, 0.75])


def test_equal_seeds_draw_and_apply_equally() -> None:
    one, other = (draw(np.random.default_rng(5), 6, frames=FRAMES, bands=BANDS) for _ in range(2))
    for field in fields(one):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))
    given = examples(*np.linspace(0.1, 1, 6))
    first, second = (apply(given, d, log_offset=OFFSET) for d in (one, other))
    np.testing.assert_array_equal(first.features, second.features)
    assert np.isfinite(first.features).all()
    assert not (one.partners == np.arange(6)[:, None]).any()  # nobody is mixed with itself
