"""Drum machines that never were: every kit is synthesised from drawn numbers, so no two scenes share one.

The recipes are those of the analogue machines of the 1980s: a sine that falls in pitch for kick and tom, two sines and
noise for a snare, six square waves through a high-pass for hats and cymbals, bursts of noise for a clap.
"""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from .notes import SAMPLE_RATE
from .players import Kit

Array = NDArray[np.float32]

#: Frequencies of the six oscillators of a well-known machine's cymbals, in Hz; each kit detunes them.
_METAL_HZ = np.array([205.3, 304.4, 369.6, 522.7, 540.0, 800.0])


def drum_machine(rng: np.random.Generator) -> Kit:
    """Return a kit of synthesised hits, each with its peak at 1."""
    tune = 2.0 ** rng.normal(0, 0.25)
    open_s = rng.uniform(0.2, 0.9)
    metal, colour = _metal(rng, tune), rng.uniform(4000, 9000)
    hits = {
        "kick": [_drum(rng, tune * rng.uniform(38, 65), sweep=rng.uniform(1, 8), seconds=rng.uniform(0.1, 0.9), click=0.4)],
        "snare": [_snare(rng, tune) for _ in range(2)],
        "sidestick": [_snare(rng, 3 * tune)[: int(0.05 * SAMPLE_RATE)], _clap(rng)],
        "hihat-closed": [_ringing(metal, colour, seconds=rng.uniform(0.02, 0.09))],
        "hihat-open": [_ringing(metal, colour, seconds=open_s)],
        "ride": [_ringing(metal, 0.6 * colour, seconds=rng.uniform(0.5, 1.5))],
        "crash": [_ringing(_noise(rng, 2.5), rng.uniform(1500, 5000), seconds=rng.uniform(0.8, 2.0))],
        "tom": [
            _drum(rng, tune * hz, sweep=rng.uniform(0.3, 1.5), seconds=rng.uniform(0.15, 0.6), click=0.1)
            for hz in (75, 100, 135, 180)
        ],
    }  # fmt: skip
    return Kit({piece: [_at_full(hit) for hit in found] for piece, found in hits.items()})


def _time(seconds: float) -> Array:
    return np.arange(int(seconds * SAMPLE_RATE), dtype=np.float32) / np.float32(SAMPLE_RATE)


def _noise(rng: np.random.Generator, seconds: float) -> Array:
    return rng.standard_normal(int(seconds * SAMPLE_RATE), dtype=np.float32)


def _at_full(hit: Array) -> Array:
    """Return the hit with its peak at 1 and its last 5 ms faded, so that it ends without a click."""
    end = min(hit.size, SAMPLE_RATE // 200)
    hit = hit / max(1e-9, float(np.abs(hit).max()))
    hit[hit.size - end :] *= np.linspace(1, 0, end, dtype=np.float32)
    return hit.astype(np.float32)


def _drum(rng: np.random.Generator, hz: float, *, sweep: float, seconds: float, click: float) -> Array:
    """A sine that falls from (1 + sweep) times `hz` to `hz`, decaying, with a click at its start; some are driven."""
    t = _time(min(1.5, 3 * seconds))
    fall = rng.uniform(0.008, 0.06)
    phase = 2 * np.pi * hz * (t + sweep * fall * (1 - np.exp(-t / fall)))
    wave = np.sin(phase) * np.exp(-3 * t / seconds)
    wave[:64] += rng.uniform(0, click) * rng.standard_normal(64)
    drive = 2.0 ** rng.uniform(-1, 5)  # up to thirtyfold: a square wave
    return np.asarray(np.tanh(wave * drive) if rng.random() < 0.5 else wave)


def _snare(rng: np.random.Generator, tune: float) -> Array:
    """Two sines and high-passed noise, each with its own decay."""
    t = _time(0.5)
    body = sum(np.sin(2 * np.pi * tune * hz * t) for hz in (rng.uniform(150, 210), rng.uniform(280, 350)))
    rattle = _highpass(_noise(rng, 0.5), rng.uniform(500, 3000))
    balance = rng.uniform(0.3, 1.5)
    decay, rattle_decay = np.exp(-t / rng.uniform(0.02, 0.1)), np.exp(-t / rng.uniform(0.03, 0.15))
    return np.asarray(body * decay + balance * rattle * rattle_decay)


def _clap(rng: np.random.Generator) -> Array:
    """Three or four bursts of noise some 10 ms apart, then a tail."""
    t = _time(0.5)
    bursts = np.zeros_like(t)
    for i in range(rng.integers(3, 5)):
        at = i * rng.uniform(0.008, 0.013)
        bursts += np.where(t >= at, np.exp(-(t - at) / 0.006), 0)
    noise = _highpass(_noise(rng, 0.5), rng.uniform(600, 1200))
    return np.asarray(noise * (bursts + 0.5 * np.exp(-t / rng.uniform(0.04, 0.15))))


def _metal(rng: np.random.Generator, tune: float) -> Array:
    """Six detuned square waves, with as much noise as this machine has."""
    t = _time(2.5)
    hz = _METAL_HZ * tune * 2.0 ** rng.normal(0.5, 0.15, 6)
    squares = sum(np.sign(np.sin(2 * np.pi * f * t + rng.uniform(0, 6.28))) for f in hz)
    return np.asarray(squares + rng.uniform(0, 6) * _noise(rng, 2.5), dtype=np.float32)


def _ringing(source: Array, low_hz: float, *, seconds: float) -> Array:
    """The high part of a source, decaying to a thousandth in `seconds`."""
    n = min(source.size, int(1.2 * seconds * SAMPLE_RATE) + 64)
    return np.asarray(_highpass(source[:n], low_hz) * np.exp(-6.9 * _time(n / SAMPLE_RATE + 1e-6)[:n] / seconds))


def _highpass(x: Array, hz: float) -> Array:
    size = scipy.fft.next_fast_len(x.size, real=True)
    f = np.arange(size // 2 + 1, dtype=np.float32) * (SAMPLE_RATE / size)
    gain = 1 / np.sqrt(1 + (hz / np.maximum(f, 1)) ** 6)
    return np.asarray(scipy.fft.irfft(scipy.fft.rfft(x, size) * gain, size)[: x.size], dtype=np.float32)
