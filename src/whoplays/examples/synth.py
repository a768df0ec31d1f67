"""Instruments made from formulas alone: what the demo learns from and the tests listen to, without any recording.

They have the traits that distinguish families, not their beauty: a plucked string (Karplus & Strong 1983), a
struck one with stretched partials, a bowed one with vibrato, brass whose brightness follows its loudness (Risset 1966),
and a kit of swept tones and noise. Every recording draws an instrument of its own, a room and a level, from its seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError

Array = NDArray[np.float64]
Rng = np.random.Generator


def recording(
    families: Sequence[str], *, duration_s: float = 4.0, seed: int | Sequence[int] = 0, sample_rate: int = 22050
) -> NDArray[np.float32]:
    """Return samples (n,) at `sample_rate` in which each of `families` plays a part of its own, in one room.

    No families: noise like that of an empty room. Raises `UsageError` for a family that is not in `PLAYERS`.
    """
    if unknown := sorted(set(families) - set(PLAYERS)):
        raise UsageError(f"no formula for {', '.join(unknown)}; there are {', '.join(PLAYERS)}")
    rng = np.random.default_rng(seed)
    n = round(duration_s * sample_rate)
    mix = np.zeros(n)
    key = int(rng.integers(0, 12))
    for family in families:
        part = PLAYERS[family](n, key, rng, sample_rate)
        mix += part / max(float(np.sqrt(np.mean(part**2))), 1e-9) * 10 ** rng.uniform(-0.15, 0.0)
    mix = _room(mix, rng, sample_rate)
    peak = max(float(np.abs(mix).max()), 1e-9)
    level = 10 ** (rng.uniform(-15, -3) / 20)
    floor = 10 ** (rng.uniform(-75, -55) / 20)
    return (mix / peak * level * bool(families) + floor * rng.standard_normal(n)).astype(np.float32)


def _room(samples: Array, rng: Rng, rate: int) -> Array:
    """Add exponentially decaying noise, convolved: a small room, rarely a hall."""
    seconds = rng.uniform(0.05, 0.6)
    tail = rng.standard_normal(int(seconds * rate)) * np.exp(-6.9 * np.linspace(0, 1, int(seconds * rate)))
    response = np.concatenate([[1.0], rng.uniform(0.01, 0.06) * tail])
    size = 1 << (len(samples) + len(response)).bit_length()
    return np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(response, size), size)[: len(samples)]


def _hz(pitch: float) -> float:
    return float(440.0 * 2.0 ** ((pitch - 69) / 12))


_SCALE = (0, 2, 4, 5, 7, 9, 11)


def _melody(low: int, high: int, key: int, rng: Rng) -> Callable[[], int]:
    """Return a function that gives the next pitch of a walk over a major scale, within low .. high."""
    pitches = [p for p in range(low, high + 1) if (p - key) % 12 in _SCALE]
    at = int(rng.integers(0, len(pitches)))

    def step() -> int:
        nonlocal at
        at = int(np.clip(at + rng.integers(-3, 4), 0, len(pitches) - 1))
        return pitches[at]

    return step


def _place(part: Array, start: int, note: Array) -> None:
    stop = min(len(part), start + len(note))
    part[start:stop] += note[: stop - start]


def _sequence(n: int, rng: Rng, rate: int, shortest: float, longest: float, play: Callable[[int], Array]) -> Array:
    """Return a part of n samples: notes one after another, `play` giving each for a number of samples."""
    part = np.zeros(n)
    at = 0
    while at < n:
        length = int(rng.uniform(shortest, longest) * rate)
        _place(part, at, play(length))
        at += length
    return part


def _partials(phase: Array, count: int, amplitude: Callable[[int], Array | float], top: int) -> Array:
    """Sum `count` harmonics of a phase (n,), those below the half rate only."""
    total = np.zeros(len(phase))
    for k in range(1, min(count, top) + 1):
        total += amplitude(k) * np.sin(k * phase)
    return total


def brass(n: int, key: int, rng: Rng, rate: int) -> Array:
    """A line of brass: harmonics above the first open up with the note's loudness and close with it."""
    step, bright, attack = _melody(46, 74, key, rng), rng.uniform(2.0, 5.0), rng.uniform(0.03, 0.09)

    def play(length: int) -> Array:
        t = np.arange(length) / rate
        f = _hz(step())
        loud = np.minimum(1, t / attack) * np.clip((t[-1] - t) / 0.05, 0, 1) * (1 - 0.2 * t / t[-1])
        scoop = 1 - 0.02 * np.exp(-t / 0.03)
        phase = 2 * np.pi * np.cumsum(f * scoop) / rate
        return _partials(
            phase, 24, lambda k: loud ** (1 + 0.5 * k / bright) * np.exp(-k / (bright * 2)), int(rate / 2.2 / f)
        )

    return _sequence(n, rng, rate, 0.25, 0.9, play)


def strings(n: int, key: int, rng: Rng, rate: int) -> Array:
    """A bowed line: many partials in a fixed body, vibrato, slow attacks, some bow noise."""
    step, speed, depth = _melody(48, 86, key, rng), rng.uniform(4.8, 6.5), rng.uniform(0.004, 0.012)
    body = rng.uniform(0.3, 1.7, 40)

    def play(length: int) -> Array:
        t = np.arange(length) / rate
        f = _hz(step())
        loud = np.minimum(1, t / rng.uniform(0.06, 0.16)) * np.clip((t[-1] - t) / 0.1, 0, 1)
        phase = 2 * np.pi * np.cumsum(f * (1 + depth * np.sin(2 * np.pi * speed * t))) / rate
        tone = _partials(phase, 40, lambda k: body[k - 1] / k, int(rate / 2.2 / f))
        return np.asarray(loud * (tone + 0.02 * rng.standard_normal(length)))

    return _sequence(n, rng, rate, 0.5, 1.6, play)


def guitar(n: int, key: int, rng: Rng, rate: int) -> Array:
    """Plucked strings, single or strummed in chords."""
    step, decay, pick = _melody(40, 72, key, rng), rng.uniform(0.990, 0.998), rng.uniform(0.08, 0.3)
    strum = rng.random() < 0.5

    def play(length: int) -> Array:
        root = step()
        sound = np.zeros(max(length * 2, length))
        for i, above in enumerate((0, 7, 12, 16) if strum else (0,)):
            _place(sound, int(i * 0.012 * rate), _pluck(_hz(root + above), len(sound), decay, pick, rng, rate))
        return sound

    return _sequence(n, rng, rate, 0.18, 0.6, play)


def _pluck(f: float, length: int, decay: float, pick: float, rng: Rng, rate: int) -> Array:
    period = max(2, round(rate / f))
    noise = rng.uniform(-1, 1, period)
    loop = noise - np.roll(noise, max(1, int(pick * period)))  # where the string is plucked
    periods = []
    for _ in range(-(-length // period)):
        periods.append(loop)
        loop = decay * 0.5 * (loop + np.roll(loop, 1))
    return np.concatenate(periods)[:length]


def piano(n: int, key: int, rng: Rng, rate: int) -> Array:
    """Struck strings: stretched partials that decay, the higher the faster; a melody over a left hand."""
    step, stretch, hammer = _melody(50, 90, key, rng), rng.uniform(1e-4, 6e-4), rng.uniform(0.09, 0.14)

    def strike(pitch: float, length: int) -> Array:
        t = np.arange(length) / rate
        f = _hz(pitch)
        sound = 0.02 * rng.standard_normal(length) * np.exp(-t / 0.01)
        for k in range(1, 18):
            partial = k * f * np.sqrt(1 + stretch * k * k)
            if partial < rate / 2.2:
                fade = np.exp(-t * (0.8 + 0.35 * k) * (f / 262) ** 0.5)
                sound += np.sin(np.pi * k * hammer) / k * fade * np.sin(2 * np.pi * partial * t)
        return sound * np.minimum(1, t / 0.002)

    def play(length: int) -> Array:
        pitch = step()
        sound = strike(pitch, length * 3)
        return sound + (strike(pitch - 24 + rng.choice([0, 3, 4, 7]), length * 3) if rng.random() < 0.5 else 0)

    return _sequence(n, rng, rate, 0.15, 0.6, play)


def drums(n: int, key: int, rng: Rng, rate: int) -> Array:
    """A kit: kick on the beats, snare on the back beats, hi-hat between, with ghost notes."""
    part = np.zeros(n)
    beat = 60.0 / rng.uniform(80, 150) / 2
    kick, tone, shine = rng.uniform(45, 65), rng.uniform(160, 230), rng.uniform(0.02, 0.06)
    for i in range(int(n / rate / beat) + 1):
        at = int((i * beat + rng.normal(0, 0.004) ** 2) * rate)
        _place(part, at, 0.4 * rng.uniform(0.5, 1) * _hat(shine, rng, rate))
        if i % 4 == 0 or rng.random() < 0.15:
            _place(part, at, _kick(kick, rate))
        if i % 4 == 2 or rng.random() < 0.08:
            _place(part, at, rng.uniform(0.6, 1) * _snare(tone, rng, rate))
    return part


def _kick(f: float, rate: int) -> Array:
    t = np.arange(int(0.3 * rate)) / rate
    return np.asarray(np.sin(2 * np.pi * (f * t + 6 * (1 - np.exp(-t / 0.03)))) * np.exp(-t / 0.09))


def _snare(f: float, rng: Rng, rate: int) -> Array:
    t = np.arange(int(0.25 * rate)) / rate
    return 0.6 * np.sin(2 * np.pi * f * t) * np.exp(-t / 0.05) + 0.6 * rng.standard_normal(len(t)) * np.exp(-t / 0.08)


def _hat(decay: float, rng: Rng, rate: int) -> Array:
    t = np.arange(int(0.2 * rate)) / rate
    return np.diff(rng.standard_normal(len(t) + 1)) * np.exp(-t / decay)


#: family id -> function (samples, key, generator, sample rate) -> part (n,)
PLAYERS: dict[str, Callable[[int, int, Rng, int], Array]] = {
    player.__name__: player for player in (brass, drums, guitar, piano, strings)
}
