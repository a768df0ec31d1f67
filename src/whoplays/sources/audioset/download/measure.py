"""What a clip is like: its level and length; and the file that holds it, decoded again before it counts."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from .causes import Cause, ClipUnavailable

#: File endings and what libsndfile calls them. Ogg is Vorbis; FLAC and WAV hold 16 bits.
FORMATS = {"flac": ("FLAC", "PCM_16"), "ogg": ("OGG", "VORBIS"), "wav": ("WAV", "PCM_16")}

#: A clip whose largest sample is below this counts as silent: half of the lowest seventh bit of 16.
SILENT_PEAK_DBFS = -60.0
#: How much of a clip may be missing at its end: AudioSet's times and the videos' differ by that much.
MISSING_S = 0.5
_FLOOR_DBFS = -120.0


@dataclass(frozen=True)
class Measured:
    """A file's content, and what was measured in it. Levels in dB of full scale, -120 for nothing at all."""

    sha256: str
    bytes: int
    duration_s: float
    sample_rate: int
    channels: int
    rms_dbfs: float
    peak_dbfs: float


def encode(samples: np.ndarray, rate: int, ending: str) -> bytes:
    """Return the file content of int16 samples (frames, channels)."""
    container, subtype = FORMATS[ending]
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", rate, samples.shape[1], subtype, format=container) as sound:
        for start in range(
            0, len(samples), rate
        ):  # long blocks overflow the stack of some builds of the Vorbis encoder
            sound.write(samples[start : start + rate])
    return file.getvalue()


def measure(content: bytes) -> Measured:
    """Decode the content of a file and measure it. Raises `ClipUnavailable` (undecodable) when that fails."""
    try:
        samples, rate = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise ClipUnavailable(Cause.UNDECODABLE, f"the file cannot be decoded ({error})") from error
    power = float(np.mean(np.square(samples, dtype=np.float64))) if samples.size else 0.0
    peak = float(np.max(np.abs(samples))) if samples.size else 0.0
    return Measured(
        hashlib.sha256(content).hexdigest(),
        len(content),
        len(samples) / rate,
        int(rate),
        samples.shape[1],
        max(_FLOOR_DBFS, 10 * np.log10(power)) if power else _FLOOR_DBFS,
        max(_FLOOR_DBFS, 20 * np.log10(peak)) if peak else _FLOOR_DBFS,
    )


def check(found: Measured, wanted_s: float) -> None:
    """Raise `ClipUnavailable` when a clip is silent, or its length is not the requested one."""
    if not found.duration_s:
        raise ClipUnavailable(Cause.NO_AUDIO, "the response has no samples")
    if not wanted_s - MISSING_S <= found.duration_s <= wanted_s + MISSING_S:
        raise ClipUnavailable(Cause.WRONG_LENGTH, f"{found.duration_s:.2f} s instead of {wanted_s:.2f} s")
    if found.peak_dbfs < SILENT_PEAK_DBFS:
        raise ClipUnavailable(Cause.SILENT, f"the loudest sample has {found.peak_dbfs:.0f} dBFS")


def measure_file(path: Path) -> Measured:
    """Measure a file on disk. Raises `ClipUnavailable` when it cannot be read or decoded."""
    try:
        return measure(path.read_bytes())
    except OSError as error:
        raise ClipUnavailable(Cause.UNDECODABLE, f"{path}: cannot be read ({error.strerror or error})") from error
