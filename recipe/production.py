"""What happens to sound between an instrument and a file: rooms, equalisers, amplifiers, compression, noise, codecs.

Every effect is drawn from a generator and applied to float32 samples (n,) at 32 kHz; lengths never change.
"""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from .notes import SAMPLE_RATE, Clip, Library

Array = NDArray[np.float32]


#: Instruments with audible bow or breath noise, by the beginnings of their names.
BLOWN_OR_BOWED = (
    "trumpet", "trombone", "tuba", "french-horn", "violin", "viola", "cello", "double-bass", "string-section",
    "saxophone", "flute", "clarinet", "oboe", "bassoon", "bass-clarinet", "cor-anglais", "piccolo", "contrabassoon",
    *(f"program-{n}" for n in (*range(40, 44), *range(56, 62), *range(64, 75))),
)  # fmt: skip


def db(gain_db: float) -> float:
    """Return the amplitude factor of a gain in decibel."""
    return float(10.0 ** (gain_db / 20))


def level(x: Array) -> float:
    """Return the RMS of the louder tenths of a second: the level that a listener would name. 0 for silence."""
    blocks = x[: x.size // 3200 * 3200].reshape(-1, 3200)
    power = np.sort(np.mean(np.square(blocks), axis=1))
    return float(np.sqrt(power[-max(1, power.size // 4) :].mean())) if power.size else 0.0


class Rooms:
    """Impulse responses by kind, as spectra of one transform length."""

    def __init__(self, library: Library, n: int) -> None:
        """Take the responses of `library`, for signals of `n` samples."""
        self._library, self._n = library, n
        self.size = scipy.fft.next_fast_len(n + SAMPLE_RATE, real=True)
        self._clips: dict[str, list[Clip]] = {}
        for clip in library.clips:
            if clip.kind == "ir":
                self._clips.setdefault(clip.instrument, []).append(clip)
        self.spectrum = lru_cache(maxsize=64)(self._spectrum)

    def _spectrum(self, kind: str, index: int) -> NDArray[np.complex64]:
        response = self._library.samples(self._clips[kind][index])[: SAMPLE_RATE * 3 // 2]
        response = response / max(1e-6, float(np.sqrt(np.square(response).sum())))
        spectrum: NDArray[np.complex64] = scipy.fft.rfft(response, self.size)
        return spectrum

    def draw(self, rng: np.random.Generator, kind: str) -> NDArray[np.complex64]:
        """Return the spectrum of a recorded response of `kind` ("room", "plate", "spring", "cabinet")."""
        return self.spectrum(kind, int(rng.integers(len(self._clips[kind]))))

    def made_up(self, rng: np.random.Generator) -> NDArray[np.complex64]:
        """Return a room of decaying noise: direct sound, a few reflections, a tail that dulls as it decays."""
        seconds = rng.uniform(0.1, 1.4) if rng.random() < 0.8 else rng.uniform(1.4, 3.2)
        n = int(seconds * SAMPLE_RATE)
        t = np.arange(n, dtype=np.float32) / SAMPLE_RATE
        tail = rng.standard_normal(n, dtype=np.float32) * np.exp(-6.9 * t / seconds)
        k = np.exp(-rng.uniform(0.5, 4.0))
        tail[1:] = k * tail[1:] + (1 - k) * tail[:-1]
        tail[: int(rng.uniform(0.0, 0.03) * SAMPLE_RATE)] = 0
        for delay in rng.uniform(0.002, 0.05, rng.integers(2, 8)):
            tail[min(n - 1, int(delay * SAMPLE_RATE))] += rng.uniform(-3, 3)
        tail *= db(rng.uniform(-18, 2)) / max(1e-6, float(np.sqrt(np.square(tail).sum())))
        tail[0] += 1.0
        spectrum: NDArray[np.complex64] = scipy.fft.rfft(tail, self.size)
        return spectrum


def equaliser(rng: np.random.Generator, size: int, strength_db: float) -> Array:
    """Return a smooth random gain over `size` // 2 + 1 bins: control points an octave or two apart."""
    points = rng.integers(3, 9)
    octaves = np.log2(np.linspace(0, SAMPLE_RATE / 2, 513)[1:] / 20.0)
    gains = np.interp(octaves, np.linspace(0, 9.65, points), rng.normal(0, strength_db, points))
    curve = np.interp(np.arange(size // 2 + 1) * (512 / (size // 2)), np.arange(1, 513), gains)
    return np.asarray(10.0 ** (curve / 20), dtype=np.float32)


def body(rng: np.random.Generator, size: int) -> Array:
    """Return a random gain over `size` // 2 + 1 bins with two to five resonances, as wood and brass have: another body."""
    octaves = np.log2(np.maximum(np.arange(size // 2 + 1, dtype=np.float32) * (SAMPLE_RATE / size), 20.0))
    gain_db = np.zeros_like(octaves)
    for _ in range(rng.integers(2, 6)):
        width = rng.uniform(0.06, 0.3)
        gain_db += rng.uniform(-4, 9) * np.exp(-0.5 * ((octaves - rng.uniform(7.6, 12)) / width) ** 2)
    return np.asarray(10.0 ** (gain_db / 20), dtype=np.float32)


def band_limit(size: int, low_hz: float, high_hz: float, order: float = 4.0) -> Array:
    """Return Butterworth-like gains over the bins of a transform of `size`."""
    f = np.maximum(np.arange(size // 2 + 1, dtype=np.float32) * (SAMPLE_RATE / size), 1.0)
    gains = 1.0 / np.sqrt((1.0 + (low_hz / f) ** (2 * order)) * (1.0 + (f / high_hz) ** (2 * order)))
    return np.asarray(gains, dtype=np.float32)


def through(x: Array, *gains: NDArray[np.generic], size: int) -> Array:
    """Return x filtered by the product of spectra."""
    spectrum = scipy.fft.rfft(x, size)
    for gain in gains:
        spectrum *= gain
    filtered: Array = scipy.fft.irfft(spectrum, size)[: x.size]
    return filtered


def amplifier(rng: np.random.Generator, x: Array, rooms: Rooms, *, drive_db: float) -> Array:
    """Return an electric guitar through a driven stage (odd and even distortion) and a cabinet."""
    peak = float(np.abs(x).max()) or 1.0
    driven = x * (db(drive_db) / peak)
    bias = rng.uniform(0, 0.4)
    driven = np.tanh(driven + bias) - np.tanh(bias)
    return through(driven.astype(np.float32), rooms.draw(rng, "cabinet"), size=rooms.size)


def breath(rng: np.random.Generator, x: Array, rooms: Rooms) -> Array:
    """Return a bowed or blown part with the noise of bow or breath: as loud as the part allows, roughly scraped or even."""
    block = SAMPLE_RATE // 100
    envelope = np.sqrt(np.mean(np.square(x[: x.size // block * block].reshape(-1, block)), axis=1))
    envelope *= rng.uniform(0.3, 1.0, envelope.size) ** rng.uniform(0, 2)
    noise = rng.standard_normal(x.size, dtype=np.float32)
    shape = band_limit(rooms.size, rng.uniform(150, 1500), rng.uniform(2500, 10000), 1.0)
    noise = through(noise, shape, body(rng, rooms.size), size=rooms.size)
    amount = db(rng.uniform(-34, -8)) / max(1e-9, float(noise.std()))
    return x + np.float32(amount) * noise * np.interp(
        np.arange(x.size), np.arange(envelope.size) * block, envelope
    ).astype(np.float32)


def stem_chain(rng: np.random.Generator, x: Array, rooms: Rooms | None, *, instrument: str) -> Array:
    """Return a part as a microphone or a desk might give it: amplifier where it has one, a body, equaliser, some room.

    rooms None: as it was played.
    """
    if rooms is None:
        return x
    pitched = not instrument.startswith(("drum", "noise"))
    if instrument.startswith(BLOWN_OR_BOWED) and x.size > SAMPLE_RATE // 20 and rng.random() < 0.35:
        x = breath(rng, x, rooms)
    if instrument.startswith("guitar-electric") and "dist" not in instrument and "over" not in instrument:
        style = rng.random()
        if style < 0.75:
            drive = rng.uniform(-6, 6) if style < 0.3 else rng.uniform(6, 45)
            x = amplifier(rng, x, rooms, drive_db=drive)
    elif instrument.startswith("piano-electric") and rng.random() < 0.3:
        x = amplifier(rng, x, rooms, drive_db=rng.uniform(-6, 12))
    gains: list[NDArray[np.generic]] = []
    if pitched and rng.random() < 0.5:
        gains.append(body(rng, rooms.size))
    if rng.random() < 0.7:
        gains.append(equaliser(rng, rooms.size, rng.uniform(1, 5)))
    place = rng.random()
    if place < 0.3:
        gains.append(rooms.made_up(rng))
    elif place < 0.5:
        wet = db(rng.uniform(-20, 6))
        gains.append(1.0 + wet * rooms.draw(rng, str(rng.choice(["room", "plate", "room", "spring"]))))
    return through(x, *gains, size=rooms.size) if gains else x


def compress(rng: np.random.Generator, x: Array) -> Array:
    """Return x with its level evened out over 50 to 300 ms."""
    block = 320
    power = np.mean(np.square(x[: x.size // block * block].reshape(-1, block)), axis=1)
    k = np.exp(-block / (SAMPLE_RATE * rng.uniform(0.05, 0.3)))
    kernel = k ** np.arange(60)
    smooth = np.convolve(power, kernel / kernel.sum())[: power.size]
    threshold = max(1e-8, float(np.quantile(smooth, rng.uniform(0.2, 0.8))))
    gain = np.minimum(1.0, (threshold / np.maximum(smooth, 1e-12))) ** rng.uniform(0.15, 0.45)
    return x * np.interp(np.arange(x.size), np.arange(gain.size) * block, gain).astype(np.float32)


def master(rng: np.random.Generator, x: Array) -> Array:
    """Return a mix as loud as records are: a bus compressor, then a limiter that rounds the peaks off."""
    x = compress(rng, x)
    ceiling = float(np.quantile(np.abs(x), 0.999)) or 1.0
    return np.asarray(np.tanh(x * np.float32(db(rng.uniform(-3, 8)) / ceiling)), dtype=np.float32)


_CODECS = (("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS"), ("OGG", "OPUS"))


def codec(rng: np.random.Generator, x: Array) -> Array:
    """Return x as a lossy file gives it back, at some low or middling rate, aligned to within a few milliseconds."""
    import soundfile

    container, subtype = _CODECS[rng.integers(len(_CODECS))]
    rate = 32000 if subtype != "OPUS" else 24000
    wave = x if rate == SAMPLE_RATE else _resample(x, SAMPLE_RATE, rate)
    file = io.BytesIO()
    with soundfile.SoundFile(
        file, "w", rate, 1, format=container, subtype=subtype, compression_level=float(rng.uniform(0.4, 1.0))
    ) as writer:
        writer.write(wave)
    file.seek(0)
    decoded, got = soundfile.read(file, dtype="float32")
    decoded = decoded if got == SAMPLE_RATE else _resample(decoded, got, SAMPLE_RATE)
    result = np.zeros_like(x)
    n = min(x.size, decoded.size)
    result[:n] = decoded[:n]
    return result


def _resample(x: Array, from_rate: int, to_rate: int) -> Array:
    import soxr

    resampled: Array = soxr.resample(x, from_rate, to_rate, quality="MQ")
    return resampled


def coloured_noise(rng: np.random.Generator, n: int, size: int) -> Array:
    """Return hiss, hum or rumble with an RMS of 1."""
    white = rng.standard_normal(n, dtype=np.float32)
    f = np.maximum(np.arange(size // 2 + 1, dtype=np.float32) * (SAMPLE_RATE / size), 20.0)
    noise = through(white, (f / 1000.0) ** -rng.uniform(0, 1.2), size=size)
    if rng.random() < 0.2:
        t = np.arange(n, dtype=np.float32) / SAMPLE_RATE
        hum = sum(np.sin(2 * np.pi * 50 * k * t) / k for k in (1, 2, 3, 5))
        noise = noise / max(1e-9, float(noise.std())) + rng.uniform(0.2, 2.0) * np.asarray(hum, dtype=np.float32)
    return noise / max(1e-9, float(noise.std()))


def mix_chain(rng: np.random.Generator, x: Array, rooms: Rooms | None, bed: Array | None) -> Array:
    """Return a mixture as it ends in a file. `bed`: sounds of a place to lay under it, or None for plain noise.

    rooms None: at one level, and no more.
    """
    loud = level(x)
    if loud <= 0:
        return x
    if rooms is None:
        return (x * (0.5 / float(np.abs(x).max()))).astype(np.float32)
    x = x * np.float32(0.1 / loud)
    gains: list[NDArray[np.generic]] = []
    kind = rng.random()
    if kind < 0.35:
        gains.append(equaliser(rng, rooms.size, rng.uniform(1, 4)))
    if kind < 0.12:  # a telephone, or a small loudspeaker in a room
        gains += [band_limit(rooms.size, rng.uniform(80, 400), rng.uniform(3000, 9000)), rooms.made_up(rng)]
    elif kind < 0.3:
        gains.append(band_limit(rooms.size, rng.uniform(10, 80), rng.uniform(5000, 15000), 8.0))
    if gains:
        x = through(x, *gains, size=rooms.size)
    if rng.random() < 0.3:
        x = compress(rng, x)
    if rng.random() < 0.6:
        noise = bed if bed is not None and rng.random() < 0.4 else coloured_noise(rng, x.size, rooms.size)
        amount = db(rng.uniform(-55, -10)) * max(1e-6, level(x)) / max(1e-9, level(noise))
        x = x + np.float32(amount) * noise
    peak = float(np.abs(x).max()) or 1.0
    if rng.random() < 0.2:  # too hot: clipped softly or hard
        x = x * (db(rng.uniform(2, 14)) / peak)
        x = np.tanh(x) if rng.random() < 0.7 else np.clip(x, -1, 1)
        peak = float(np.abs(x).max())
    x = (x * (db(-rng.exponential(8.0)) * 0.98 / peak)).astype(np.float32)
    return codec(rng, x) if rng.random() < 0.2 else x
