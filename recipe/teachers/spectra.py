"""Power spectra and mel filters in float32: the front ends that the teachers share."""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray

Array = NDArray[np.float32]

#: Frames transformed at once: their spectra stay in the processor's cache.
_BLOCK = 128


def mel_power(samples: Array, window: Array, hop: int, n_fft: int, filters: Array, *, magnitude: bool = False) -> Array:
    """Return filtered spectra of successive frames.

    Parameters
    ----------
    samples : array (n,)
        At least as long as the window. Frames start at sample 0; whoever wants them centred pads first.
    window : array (width,)
        Multiplies each frame, which is then filled up with zeros to `n_fft`.
    hop : int
        Samples from the start of one frame to the next.
    n_fft : int
        Points of the transform.
    filters : array (bins, bands)
        Bins beyond the given ones are not used.
    magnitude : bool
        Filter the magnitudes instead of the powers.

    Returns
    -------
    array (frames, bands)
        With frames = 1 + (n - width) // hop.
    """
    frames = np.lib.stride_tricks.sliding_window_view(samples, window.size)[::hop]
    bins = filters.shape[0]
    found = np.empty((len(frames), filters.shape[1]), dtype=np.float32)
    for start in range(0, len(frames), _BLOCK):
        block = slice(start, start + _BLOCK)
        spectrum = scipy.fft.rfft(frames[block] * window, n_fft, axis=1)[:, :bins]
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        np.matmul(np.sqrt(power) if magnitude else power, filters, out=found[block])
    return found


def kaldi_filters(bands: int, n_fft: int, sample_rate: int, top_hz: float) -> Array:
    """Return triangular filters (n_fft / 2, bands) on Kaldi's mel scale, 1127 ln(1 + f / 700), drawn in mels from 0 Hz."""
    mels = 1127.0 * np.log1p(np.arange(n_fft // 2) * sample_rate / n_fft / 700.0)
    edges = np.linspace(0.0, 1127.0 * np.log1p(top_hz / 700.0), bands + 2)
    return _triangles(mels, edges).astype(np.float32)


def slaney_filters(bands: int, n_fft: int, sample_rate: int) -> Array:
    """Return filters (n_fft / 2 + 1, bands) of equal area up to half the sample rate, on Slaney's mel scale.

    The scale of the Auditory Toolbox (Slaney 1998), as in librosa: linear to 1 kHz, 66.7 Hz to the mel, then logarithmic,
    27 mels for a factor of 6.4.
    """
    log_step = np.log(6.4) / 27
    top = 15 + np.log(sample_rate / 2 / 1000) / log_step
    mels = np.linspace(0.0, top, bands + 2)
    edges = np.where(mels < 15, mels * 200 / 3, 1000 * np.exp(log_step * (mels - 15)))
    triangles = _triangles(np.arange(n_fft // 2 + 1) * sample_rate / n_fft, edges)
    return np.asarray(triangles * 2 / (edges[2:] - edges[:-2]), dtype=np.float32)


def _triangles(at: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return, for bins at `at`, the height (bins, bands) of triangles between successive edges (bands + 2,)."""
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    at = at[:, None]
    return np.maximum(0.0, np.minimum((at - left) / (centre - left), (right - at) / (right - centre)))
