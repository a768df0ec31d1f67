"""A singer made from formulas: a glottal pulse train through the formants of vowels, note by note.

Source-filter model (Fant 1960); formant frequencies after Peterson and Barney (1952), with a singer's formant near
3 kHz (Sundberg 1974). It is no voice that anyone would take for real, but energy, harmonics, vibrato and gliding
formants lie where a voice has them, over more pitches, vowels and sizes of head than the recorded voices have.
"""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from .labels import Sounding
from .notes import SAMPLE_RATE
from .parts import Part

Array = NDArray[np.float32]

#: First three formants of an adult man's vowels, in Hz.
_VOWELS = np.array(
    [
        (730, 1090, 2440), (270, 2290, 3010), (530, 1840, 2480), (570, 840, 2410), (300, 870, 2240), (490, 1350, 1690),
        (660, 1720, 2410),
    ],
    dtype=np.float64,
)  # fmt: skip


class Singer:
    """One singer, or a small choir of detuned ones; drawn from a generator."""

    label, instrument, pitched = Sounding(("voice",)), "singer", True

    def __init__(self, rng: np.random.Generator) -> None:
        """Draw the size of the head, the register, the vibrato, the breath and how many sing."""
        high = rng.random() < 0.5
        self.low, self.high = (55.0, 79.0) if high else (41.0, 64.0)
        self._size = rng.uniform(1.05, 1.25) if high else rng.uniform(0.88, 1.08)
        self._vibrato, self._rate = rng.uniform(0.0, 0.6), rng.uniform(4.5, 6.8)
        self._tilt = rng.uniform(0.8, 2.2)
        self._breath = 10 ** (rng.uniform(-40, -16) / 20)
        self._ring = rng.uniform(0.0, 1.5)
        self._count = int(rng.integers(3, 7)) if rng.random() < 0.2 else 1

    def play(self, rng: np.random.Generator, part: Part, n: int) -> Array:
        """Return `n` samples of the part; of notes struck together only the highest is sung."""
        out = np.zeros(n, dtype=np.float32)
        notes = self._line(part)
        for _ in range(self._count):
            late, tuning = (
                (rng.uniform(0, 0.04), rng.normal(0, 0.12)) if self._count > 1 else (0.0, rng.normal(0, 0.05))
            )
            before = None
            for onset, held, pitch, velocity in notes:
                at = int((onset + late) * SAMPLE_RATE)
                length = min(n - at, int(held * SAMPLE_RATE))
                if at < 0 or length < SAMPLE_RATE // 20:
                    continue
                note = self._note(rng, length, pitch + tuning, before)
                out[at : at + length] += note * np.float32(10 ** ((velocity - 127) / 127))
                before = pitch + tuning
        return out

    @staticmethod
    def _line(part: Part) -> list[tuple[float, float, float, float]]:
        rows: list[tuple[float, float, float, float]] = []
        for onset, held, pitch, velocity in sorted(map(tuple, part), key=lambda row: (row[0], -row[2])):
            if rows and onset - rows[-1][0] < 0.06:
                continue
            if rows:
                first = rows[-1]
                rows[-1] = (first[0], min(first[1], max(0.08, onset - first[0])), first[2], first[3])
            rows.append((float(onset), min(float(held) * 1.1, 6.0), float(pitch), float(velocity)))
        return rows

    def _note(self, rng: np.random.Generator, n: int, pitch: float, before: float | None) -> Array:
        t = np.arange(n) / SAMPLE_RATE
        glide = 0.0 if before is None else np.clip(before - pitch, -5, 5) * np.exp(-t / rng.uniform(0.01, 0.06))
        onset = np.clip((t - rng.uniform(0.1, 0.4)) * 4, 0, 1)
        sway = self._vibrato * onset * np.sin(2 * np.pi * self._rate * t + rng.uniform(0, 6.28))
        semitones = pitch + glide + sway + 0.03 * np.cumsum(rng.standard_normal(n)) / np.sqrt(SAMPLE_RATE)
        f0 = 440.0 * 2 ** ((semitones - 69) / 12)
        phase = np.cumsum(f0) / SAMPLE_RATE % 1.0
        opening = 0.6
        pulse = np.where(phase < opening, phase**2 * (opening - phase), 0.0)  # KLGLOTT88 (Klatt 1990)
        source = np.diff(pulse, prepend=0.0)
        source /= np.abs(source).max() + 1e-9
        source += self._breath * rng.standard_normal(n)
        if rng.random() < 0.3:  # a consonant
            k = min(n, int(rng.uniform(0.02, 0.09) * SAMPLE_RATE))
            source[:k] = 0.3 * rng.standard_normal(k) * np.linspace(1, 0.2, k)
        first, last = (_VOWELS[rng.integers(len(_VOWELS))] * self._size for _ in range(2))
        size = scipy.fft.next_fast_len(n + 1024, real=True)
        spectrum = scipy.fft.rfft(source.astype(np.float32), size)
        ramp = np.linspace(1, 0, n, dtype=np.float32) ** rng.uniform(0.5, 2)
        voiced = ramp * self._through(spectrum, first, size, n) + (1 - ramp) * self._through(spectrum, last, size, n)
        edge = min(n // 3, int(rng.uniform(0.01, 0.06) * SAMPLE_RATE))
        voiced[:edge] *= np.linspace(0, 1, edge, dtype=np.float32)
        voiced[-edge:] *= np.linspace(1, 0, edge, dtype=np.float32)
        voiced *= 0.1 / (np.sqrt(np.mean(voiced**2)) + 1e-9)
        return voiced.astype(np.float32)

    def _through(self, spectrum: NDArray[np.complex64], formants: NDArray[np.float64], size: int, n: int) -> Array:
        f = np.arange(size // 2 + 1, dtype=np.float32) * (SAMPLE_RATE / size)
        gain = np.zeros_like(f)
        for i, (centre, width) in enumerate(zip((*formants, 3300 * self._size), (80, 100, 140, 300), strict=True)):
            strength = (1.0, 0.6, 0.3, 0.1 + 0.3 * self._ring)[i]
            gain += strength / np.sqrt(1 + ((f - centre) / width) ** 2)
        gain *= 1 / np.maximum(1.0, f / 800) ** (self._tilt * 0.5)
        return np.asarray(scipy.fft.irfft(spectrum * gain, size)[:n], dtype=np.float32)
