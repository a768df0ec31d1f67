"""Samples -> spectra, log-mel, MFCC, and their pitch variants. Nothing of a training framework.

Arrays are time first: (frames, bands), the transpose of librosa's. With equal parameters the values equal
`librosa.feature.melspectrogram` / `librosa.feature.mfcc` (Davis & Mermelstein 1980; Slaney 1998 for the mel scale).

**Pitch variants from one spectrum.** Raising a sound by the ratio r moves what lies at frequency f to r f. A mel band m
with response H_m(f) then collects, from the *same* power spectrum S at bins f_j,

    mel_m = sum_j H_m(r f_j) S(f_j)

so a variant costs one more filter bank and no transform. A partial (a lobe round one frequency) keeps its power, and
stationary noise keeps its total power, so there is no factor of r. What this leaves as it was is time: like a phase
vocoder, and unlike playing the recording faster, onsets stay where they are.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from .errors import ModelError, require

Array = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class FeatureSettings:
    """Everything that turns samples into a network's input. A data set and a model folder each carry one.

    feature_type: "logmel" (natural logarithm of mel power + `log_offset`) or "mfcc" (librosa's: decibel, `top_db`, DCT-II).
    sample_rate: of the samples, Hz. n_fft, hop_length, win_length (None: n_fft): samples. fmax None: half the rate.
    n_mels, n_mfcc: bands and coefficients. htk, norm ("slaney" or None): as in librosa.
    n_time_bins: None for every frame, else the number of equal spans of time whose frames are averaged (see `pooling_matrix`).
    """

    feature_type: Literal["logmel", "mfcc"] = "logmel"
    sample_rate: int = 22050
    n_fft: int = 1024
    hop_length: int = 441
    win_length: int | None = None
    n_mels: int = 64
    fmin: float = 30.0
    fmax: float | None = 11000.0
    htk: bool = False
    norm: Literal["slaney"] | None = "slaney"
    log_offset: float = 1e-6
    n_mfcc: int = 20
    top_db: float | None = 80.0
    n_time_bins: int | None = None

    def __post_init__(self) -> None:
        self._check_kinds()
        top = self.sample_rate / 2 if self.fmax is None else self.fmax
        checks = [
            (self.feature_type in ("logmel", "mfcc"), f"feature_type is {self.feature_type!r}, not logmel or mfcc"),
            (1000 <= self.sample_rate <= 768_000, f"sample_rate {self.sample_rate} is outside 1000 to 768000 Hz"),
            (16 <= self.n_fft <= 65536, f"n_fft {self.n_fft} is outside 16 to 65536"),
            (1 <= self.hop_length <= self.n_fft, f"hop_length {self.hop_length} is outside 1 to n_fft {self.n_fft}"),
            (
                self.win_length is None or 2 <= self.win_length <= self.n_fft,
                f"win_length {self.win_length} exceeds n_fft",
            ),
            (1 <= self.n_mels <= 1024, f"n_mels {self.n_mels} is outside 1 to 1024"),
            (
                0 <= self.fmin < top <= self.sample_rate / 2,
                f"fmin {self.fmin}, fmax {top} Hz do not fit 0 to half the rate",
            ),
            (self.norm in (None, "slaney"), f"norm is {self.norm!r}, not slaney or null"),
            (self.log_offset > 0, f"log_offset {self.log_offset} is not positive"),
            (
                1 <= self.n_mfcc <= self.n_mels or self.feature_type == "logmel",
                f"n_mfcc {self.n_mfcc} exceeds n_mels {self.n_mels}",
            ),
            (
                self.n_time_bins is None or 1 <= self.n_time_bins <= 100_000,
                f"n_time_bins {self.n_time_bins} is outside 1 to 100000",
            ),
        ]
        require(checks, ModelError, "feature settings: {}")

    def _check_kinds(self) -> None:
        """Refuse values of another kind than the fields': settings are read from files."""
        for name in ("sample_rate", "n_fft", "hop_length", "win_length", "n_mels", "n_mfcc", "n_time_bins"):
            value = getattr(self, name)
            if type(value) is not int and not (value is None and name in ("win_length", "n_time_bins")):
                raise ModelError(f"feature settings: {name} is {str(value)[:40]!r}, not a whole number")
        for name in ("fmin", "fmax", "log_offset", "top_db"):
            value = getattr(self, name)
            number = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e12
            if not number and not (value is None and name in ("fmax", "top_db")):
                raise ModelError(f"feature settings: {name} is {str(value)[:40]!r}, not a finite number")
        if not isinstance(self.htk, bool):
            raise ModelError(f"feature settings: htk is {str(self.htk)[:40]!r}, not true or false")

    @property
    def n_features(self) -> int:
        """Values per frame: bands or coefficients."""
        return self.n_mels if self.feature_type == "logmel" else self.n_mfcc

    @property
    def frame_s(self) -> float:
        """Seconds from one frame to the next, before pooling."""
        return self.hop_length / self.sample_rate

    def frames(self, n_samples: int) -> int:
        """Rows that `compute` gives for that many samples."""
        return self.n_time_bins or 1 + n_samples // self.hop_length

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Read what `to_dict` wrote. Raises `ModelError` for an unknown name or a value that cannot be."""
        if old := {"kind": "feature_type", "steps": "n_time_bins"}.keys() & values:
            raise ModelError(
                f"feature settings are of an older form ({', '.join(sorted(old))}; now feature_type, n_time_bins); make it anew"
            )
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ModelError(
                f"feature settings: unknown {', '.join(unknown)}; this version knows {', '.join(sorted(known))}"
            )
        try:
            return cls(**values)
        except TypeError as error:
            raise ModelError(f"feature settings: a value has the wrong type ({error})") from None


#: What the report's network reads: librosa's own defaults, 20 coefficients, averaged to 20 time bins.
REPORT = FeatureSettings(
    feature_type="mfcc",
    sample_rate=22050,
    n_fft=2048,
    hop_length=512,
    n_mels=128,
    fmin=0.0,
    fmax=None,
    n_mfcc=20,
    n_time_bins=20,
)

#: What the default network reads.
LOGMEL = FeatureSettings()

PRESETS: dict[str, FeatureSettings] = {"mfcc": REPORT, "logmel": LOGMEL}


def power_spectrum(samples: Array, *, n_fft: int, hop_length: int, win_length: int | None = None) -> Array:
    """Return the power spectrogram (1 + n // hop_length, 1 + n_fft // 2) of samples (n,).

    Frames are centred on multiples of `hop_length`, with zeros beyond the ends, under a periodic Hann window of
    `win_length` in the middle of the frame: `abs(librosa.stft(...)) ** 2`, transposed. The transform is in 64 bits, which takes
    7% longer: in 32, a quiet band beside a loud one would have four digits, and differ from one machine to the next.
    """
    samples = np.asarray(samples, dtype=np.float32)
    if samples.ndim != 1:
        raise ValueError(f"samples have shape {samples.shape}; one channel, (n,), is needed")
    padded = np.zeros(samples.size + n_fft, dtype=np.float32)
    padded[n_fft // 2 : n_fft // 2 + samples.size] = samples
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop_length]
    window = _hann(n_fft, win_length or n_fft)
    power = np.empty((len(frames), 1 + n_fft // 2), dtype=np.float32)
    for start in range(0, len(frames), FRAMES_PER_BLOCK):
        block = power[start : start + FRAMES_PER_BLOCK]
        spectrum = np.fft.rfft(frames[start : start + FRAMES_PER_BLOCK] * window)
        np.add(np.square(spectrum.real), np.square(spectrum.imag), out=block, casting="same_kind")
    return power


FRAMES_PER_BLOCK = 32  # frames transformed at a time: what stays in the processor's cache


@lru_cache(maxsize=32)
def _hann(n_fft: int, win_length: int) -> NDArray[np.float64]:
    window = np.zeros(n_fft)
    left = (n_fft - win_length) // 2
    window[left : left + win_length] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(win_length) / win_length)
    window.flags.writeable = False
    return window


def hz_to_mel(frequencies: NDArray[np.float64], *, htk: bool = False) -> NDArray[np.float64]:
    """Return mels for Hz: Slaney's scale (linear to 1 kHz, then logarithmic), or HTK's 2595 log10(1 + f / 700)."""
    f = np.asarray(frequencies, dtype=np.float64)
    if htk:
        return 2595.0 * np.log10(1.0 + f / 700.0)
    return np.where(f < 1000.0, f * 3 / 200, 15.0 + np.log(np.maximum(f, 1000.0) / 1000.0) * 27 / np.log(6.4))


def mel_to_hz(mels: NDArray[np.float64], *, htk: bool = False) -> NDArray[np.float64]:
    """Return Hz for mels: the inverse of `hz_to_mel`."""
    m = np.asarray(mels, dtype=np.float64)
    if htk:
        return 700.0 * (10.0 ** (m / 2595.0) - 1.0)
    return np.where(m < 15.0, m * 200 / 3, 1000.0 * np.exp((m - 15.0) * np.log(6.4) / 27))


@lru_cache(maxsize=64)
def mel_filters(
    *,
    sample_rate: int,
    n_fft: int,
    n_mels: int,
    fmin: float = 0.0,
    fmax: float | None = None,
    htk: bool = False,
    norm: str | None = "slaney",
    semitones: float = 0.0,
) -> Array:
    """Return the filter bank (1 + n_fft // 2, n_mels): `librosa.filters.mel` transposed when `semitones` is 0.

    With `semitones` the bank reads a spectrum as if the sound had been raised by them (see the module's text).
    The array is shared between callers and read-only.
    """
    fmax = sample_rate / 2 if fmax is None else fmax
    low, high = hz_to_mel(np.array([fmin, fmax]), htk=htk).tolist()
    edges = mel_to_hz(np.linspace(low, high, n_mels + 2), htk=htk)
    bins = np.fft.rfftfreq(n_fft, 1 / sample_rate) * 2.0 ** (semitones / 12)
    widths = np.diff(edges)
    ramps = edges[:, None] - bins[None, :]  # (n_mels + 2, bins)
    rising = -ramps[:-2] / widths[:-1, None]
    falling = ramps[2:] / widths[1:, None]
    bank = np.maximum(0.0, np.minimum(rising, falling))
    if norm == "slaney":  # equal area
        bank *= (2.0 / (edges[2:] - edges[:-2]))[:, None]
    bank = np.ascontiguousarray(bank.T, dtype=np.float32)
    bank.flags.writeable = False
    return bank


def power_to_db(power: Array, *, top_db: float | None = 80.0) -> Array:
    """Return 10 log10(max(power, 1e-10)), nowhere more than `top_db` below its own maximum (librosa's, with ref 1)."""
    decibel = np.maximum(power, np.float32(1e-10))
    np.log(decibel, out=decibel)  # vectorised in numpy, as log10 is not
    decibel *= np.float32(10.0 / np.log(10.0))
    if top_db is not None and decibel.size:
        np.maximum(decibel, decibel.max() - np.float32(top_db), out=decibel)
    return decibel


@lru_cache(maxsize=32)
def dct_matrix(n_in: int, n_out: int) -> Array:
    """Return the orthonormal DCT-II as a matrix (n_in, n_out): rows of values @ matrix = `scipy.fft.dct(..., norm="ortho")`."""
    n = np.arange(n_in)[:, None]
    k = np.arange(n_out)[None, :]
    exact = np.sqrt(2.0 / n_in) * np.cos(np.pi * k * (2 * n + 1) / (2 * n_in))
    exact[:, 0] = np.sqrt(1.0 / n_in)
    matrix: Array = exact.astype(np.float32)
    matrix.flags.writeable = False
    return matrix


@lru_cache(maxsize=256)
def pooling_matrix(n_frames: int, n_time_bins: int) -> Array:
    """Return (bins, n_frames): row i averages the frames floor(i n / bins) up to ceil((i + 1) n / bins), not included.

    The recording, whatever its length, becomes `n_time_bins` equal spans of time; with fewer frames than bins a frame
    serves several of them. (The "adaptive average pooling" of network libraries.)
    """
    matrix = np.zeros((n_time_bins, n_frames), dtype=np.float32)
    for i in range(n_time_bins):
        start, stop = i * n_frames // n_time_bins, -(-(i + 1) * n_frames // n_time_bins)
        matrix[i, start:stop] = 1.0 / (stop - start)
    matrix.flags.writeable = False
    return matrix


def mel_power(power: Array, settings: FeatureSettings, *, semitones: float = 0.0) -> Array:
    """Return mel power (frames, n_mels) of a power spectrogram (frames, 1 + n_fft // 2), raised by `semitones`."""
    mel = np.zeros((len(power), settings.n_mels), dtype=np.float32)
    for bands, bins, block in _mel_blocks(settings, float(semitones)):
        np.matmul(power[:, bins], block, out=mel[:, bands])
    return mel


BANDS_PER_BLOCK = 8


@lru_cache(maxsize=256)
def _mel_blocks(settings: FeatureSettings, semitones: float) -> tuple[tuple[slice, slice, Array], ...]:
    """Return the filter bank as blocks (bands, bins, weights): neighbouring bands share few bins, the rest are zeros."""
    bank = mel_filters(
        sample_rate=settings.sample_rate,
        n_fft=settings.n_fft,
        n_mels=settings.n_mels,
        fmin=settings.fmin,
        fmax=settings.fmax,
        htk=settings.htk,
        norm=settings.norm,
        semitones=semitones,
    )
    blocks = []
    for first in range(0, settings.n_mels, BANDS_PER_BLOCK):
        bands = slice(first, min(first + BANDS_PER_BLOCK, settings.n_mels))
        used = np.flatnonzero(bank[:, bands].any(axis=1))
        if used.size:
            bins = slice(int(used[0]), int(used[-1]) + 1)
            blocks.append((bands, bins, np.ascontiguousarray(bank[bins, bands])))
    return tuple(blocks)


def from_mel_power(mel: Array, settings: FeatureSettings) -> Array:
    """Return the features (frames or time bins, n_features) of mel power (frames, n_mels): logarithm, DCT and pooling as set."""
    if settings.feature_type == "logmel":
        values: Array = np.log(mel + np.float32(settings.log_offset))
    else:
        values = power_to_db(mel, top_db=settings.top_db)
    if settings.n_time_bins is not None:  # before the DCT: both are linear, and this way round is less work
        values = pooling_matrix(values.shape[0], settings.n_time_bins) @ values
    return values if settings.feature_type == "logmel" else values @ dct_matrix(settings.n_mels, settings.n_mfcc)


def compute(samples: Array, settings: FeatureSettings) -> Array:
    """Return the features (frames or time bins, n_features), float32, of samples (n,) at `settings.sample_rate`."""
    plain: Array = compute_variants(samples, settings, semitones=(0.0,))[0]
    return plain


def compute_variants(samples: Array, settings: FeatureSettings, *, semitones: tuple[float, ...]) -> Array:
    """Return features (variants, frames or bins, n_features) of samples (n,) raised by each of `semitones`, from one spectrum."""
    power = power_spectrum(
        samples, n_fft=settings.n_fft, hop_length=settings.hop_length, win_length=settings.win_length
    )
    return np.stack([from_mel_power(mel_power(power, settings, semitones=shift), settings) for shift in semitones])
