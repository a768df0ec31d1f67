"""What a recording looks like: its outline, and its log-mel spectrogram as PNG made here, so that no plotting is needed."""

from __future__ import annotations

import base64
import os
import struct
import zlib
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ... import features
from ...audio import reading
from ...audio.windows import windows
from ...features import FeatureSettings

COLUMNS = 600
_RANGE_DB = 70.0

#: Dark to light through violet and orange, each step as much lighter as the last (after matplotlib's "inferno").
_STOPS = bytes.fromhex("000004 280b54 65156e 9f2a63 d44842 f57d15 fac127 fcffa4")


def look(
    source: str | os.PathLike[str], settings: FeatureSettings, *, start: float, duration: float, columns: int = COLUMNS
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return a part's largest levels (columns,), and its log-mel (columns, bands) in dB, of which the peak is 0.

    It is read once, block by block. settings: of the model. Raises `AudioError`.
    """
    settings = replace(settings, feature_type="logmel", n_time_bins=None)
    total = max(1, round(duration * settings.sample_rate))
    peaks = np.zeros(columns, dtype=np.float32)
    power, counts = np.zeros((columns, settings.n_mels)), np.zeros(columns)
    blocks = reading.stream(source, sample_rate=settings.sample_rate, start=start, duration=duration)
    for window in windows(blocks, 10 * settings.sample_rate):
        samples, at = window.samples, window.start
        places = np.minimum((at + np.arange(len(samples))) * columns // total, columns - 1)
        np.maximum.at(peaks, places, np.abs(samples))
        bands = np.exp(features.compute(samples, settings)) - settings.log_offset
        frames = at + np.arange(len(bands)) * settings.hop_length
        columns_of = np.minimum(frames * columns // total, columns - 1)
        np.add.at(power, columns_of, bands)
        np.add.at(counts, columns_of, 1)
    return peaks, _decibel(power, counts)


def _decibel(power: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return dB below the peak; columns no frame fell into take the one before."""
    known = np.flatnonzero(counts)
    if not len(known):
        return np.full(power.shape, -_RANGE_DB)
    nearest = known[np.clip(np.searchsorted(known, np.arange(len(counts)), side="right") - 1, 0, None)]
    mean = power[nearest] / counts[nearest][:, None]
    return 10 * np.log10(np.maximum(mean, 1e-12) / max(float(mean.max()), 1e-12))


def mel_png(mel: NDArray[np.float64]) -> bytes:
    """Return the picture of mel (columns, bands) in dB: time to the right, pitch upwards."""
    levels = np.clip(1 + mel.T[::-1] / _RANGE_DB, 0, 1)
    stops = np.frombuffer(_STOPS, np.uint8).reshape(-1, 3)
    shades, places = np.linspace(0, 1, 256), np.linspace(0, 1, len(stops))
    palette = np.stack([np.interp(shades, places, channel) for channel in stops.T], axis=1)
    return png((levels * 255).astype(np.uint8), palette.astype(np.uint8))


def png(pixels: NDArray[np.uint8], palette: NDArray[np.uint8]) -> bytes:
    """Return a PNG (ISO/IEC 15948) of pixels (rows, columns) that index palette (256, 3)."""
    rows, columns = pixels.shape
    lines = np.hstack([np.zeros((rows, 1), dtype=np.uint8), pixels]).tobytes()
    header = struct.pack(">IIBBBBB", columns, rows, 8, 3, 0, 0, 0)
    parts = [(b"IHDR", header), (b"PLTE", palette.tobytes()), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b"")]
    chunks = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def data_url(content: bytes, kind: str) -> str:
    """Return content as a URL that holds it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
