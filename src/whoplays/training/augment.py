"""What training does to examples: draw the parameters, then apply them.

Examples are log-mel crops. Sounds that play together add in *power* (their phases are independent), so two recordings
are mixed without going back to samples: mel powers are summed, labels OR-ed. `draw` is a function of its generator
alone and `apply` of its arguments alone: an augmentation can be logged and replayed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

#: Frames of one step of the network's scores over time.
FRAMES_PER_STEP = 16
#: How often examples in which several labels play are mixed, beside the others.
OF_BANDS = 0.6


@dataclass(frozen=True)
class Examples:
    """Crops to train on.

    features: (n, frames, bands) natural logarithm of mel power. clip: (n, labels) for the whole crop; steps:
    (n, frames / 16, labels) over time: 0 to 1, NaN unknown.
    """

    features: Array
    clip: Array
    steps: Array


@dataclass(frozen=True)
class Draw:
    """Parameters for n examples.

    partners: (n, most) rows of the examples mixed in, -1 for none; partner_db: (n, most) their gains relative to equal loudness.
    gain_db: (n,) of the whole. tilt: (n, bands) in nepers, added to the logarithm: an equaliser. shift: (n,) bands.
    noise: (n, bands) logarithm of the power of a steady noise, -inf for none. hidden_frames, hidden_bands: (n, 2) first
    and last + 1 of what is masked.
    """

    partners: NDArray[np.int64]
    partner_db: Array
    gain_db: Array
    tilt: Array
    shift: NDArray[np.int64]
    noise: Array
    hidden_frames: NDArray[np.int64]
    hidden_bands: NDArray[np.int64]


def draw(
    rng: np.random.Generator,
    n: int,
    *,
    frames: int,
    bands: int,
    mix: float = 0.5,
    partners: Sequence[float] = (1.0,),
    playing: NDArray[np.int64] | None = None,
) -> Draw:
    """Draw parameters for n examples; a share `mix` of them gets partners: one, two, ... with the chances `partners`.

    playing: (n,) how many labels play in each. What few play in is mixed more often, and chosen more often as a partner: a sum
    of two soloists teaches a network more than a sum of two bands.
    """
    most = len(partners)
    few = np.ones(n) if playing is None else np.maximum(playing, 1)
    chance = 1 / (0.5 + few) ** 2
    rows = rng.choice(n, (n, most), p=chance / chance.sum())
    rows = np.where(rows == np.arange(n)[:, None], (rows + 1) % n, rows)
    wanted = 1 + rng.choice(most, size=n, p=partners)
    share = np.where(few > 1, OF_BANDS * mix, mix)
    rows[np.arange(most) >= np.where(rng.random(n) < share, wanted, 0)[:, None]] = -1
    noise = np.full((n, bands), -np.inf, dtype=np.float32)
    noisy = rng.random(n) < 0.3
    noise[noisy] = (rng.uniform(-13, -4, n)[:, None] + _curves(rng, n, bands, 1.0))[noisy]
    return Draw(
        partners=rows,
        partner_db=rng.uniform(-14, 14, (n, most)).astype(np.float32),
        gain_db=np.where(rng.random(n) < 0.8, rng.uniform(-24, 8, n), rng.uniform(-42, -24, n)).astype(np.float32),
        tilt=_curves(rng, n, bands, 1.0) * (rng.random((n, 1)) < 0.7),
        shift=np.where(rng.random(n) < 0.4, rng.integers(-2, 3, n), 0),
        noise=noise,
        hidden_frames=_spans(rng, n, frames, longest=frames // 10),
        hidden_bands=_spans(rng, n, bands, longest=bands // 8),
    )


def _curves(rng: np.random.Generator, n: int, bands: int, strength: float) -> Array:
    """Return smooth random curves (n, bands): a straight line and two waves."""
    x = np.linspace(-1, 1, bands)
    shapes = np.stack([x, np.cos(np.pi * x), np.sin(1.5 * np.pi * x)])
    return np.asarray(rng.normal(0, strength, (n, 3)) @ shapes, dtype=np.float32)


def _spans(rng: np.random.Generator, n: int, size: int, *, longest: int) -> NDArray[np.int64]:
    length = np.where(rng.random(n) < 0.4, rng.integers(1, longest + 1, n), 0)
    first = (rng.random(n) * (size - length + 1)).astype(np.int64)
    return np.stack([first, first + length], axis=1)


def apply(examples: Examples, parameters: Draw, *, log_offset: float) -> Examples:
    """Return the examples as `parameters` say. log_offset: the features' own, below which there is silence."""
    power = np.maximum(np.exp(examples.features) - np.float32(log_offset), 0)
    clip, steps = examples.clip.copy(), examples.steps.copy()
    alone = power.copy() if (parameters.partners >= 0).any() else power
    loudness = power.mean(axis=(1, 2)) + np.float32(1e-9)
    for partner, gain_db in zip(parameters.partners.T, parameters.partner_db.T, strict=True):
        mixed = np.flatnonzero(partner >= 0)
        others = partner[mixed]
        factor = 10 ** (gain_db[mixed] / 10) * loudness[mixed] / loudness[others]
        audible = loudness[others] > 1e-7  # silence stays silence, and adds nothing
        factor = np.where(audible, factor, 0).astype(np.float32)
        power[mixed] += factor[:, None, None] * alone[others]
        clip[mixed] = either(clip[mixed], examples.clip[others])
        steps[mixed] = either(steps[mixed], examples.steps[others])
    for row in np.flatnonzero(parameters.shift):
        power[row] = _shifted(power[row], int(parameters.shift[row]))
    tone = np.exp(parameters.tilt + parameters.gain_db[:, None] * np.float32(np.log(10) / 10))
    power *= tone[:, None, :].astype(np.float32)
    noise = np.exp(parameters.noise) * power.mean(axis=(1, 2))[:, None]
    power += noise[:, None, :].astype(np.float32)
    for i, ((t0, t1), (b0, b1)) in enumerate(zip(parameters.hidden_frames, parameters.hidden_bands, strict=True)):
        power[i, t0:t1] = 0
        power[i, :, b0:b1] = 0
    return Examples(np.log(power + np.float32(log_offset)), clip, steps)


def either(a: Array, b: Array) -> Array:
    """Return the chance that one or the other sounds, 1 - (1 - a)(1 - b); unknown unless one of them is certain."""
    result = 1 - (1 - a) * (1 - b)
    return np.where((a == 1) | (b == 1), np.float32(1), result)


def _shifted(power: Array, bands: int) -> Array:
    """Return power (frames, bands) moved up by `bands`; what moves in at the edge is silence."""
    result = np.zeros_like(power)
    if bands > 0:
        result[:, bands:] = power[:, :-bands]
    else:
        result[:, :bands] = power[:, -bands:]
    return result


def only_mixing(parameters: Draw) -> Draw:
    """Return the parameters with nothing left but the partners: for evaluating on mixtures."""
    others = ("gain_db", "tilt", "shift", "hidden_frames", "hidden_bands")
    nothing = {name: np.zeros_like(getattr(parameters, name)) for name in others}
    return replace(parameters, noise=np.full_like(parameters.noise, -np.inf), **nothing)
