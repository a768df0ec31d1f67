"""One sound in many files: sample rates, depths, channels, containers and codecs. For tests and `bench same_answer`."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

import whoplays

Array = NDArray[np.float32]

EXAMPLES = Path(whoplays.__file__).parent / "examples"
RATES = (8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 88_200, 96_000, 192_000)
DEPTHS = ("PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")
CHANNELS = (1, 2, 6, 8)  # mono, stereo, 5.1, 7.1
#: name of the file, libsndfile's format and subtype (None: FFmpeg's)
LOSSY = {
    "vorbis.ogg": {"format": "OGG", "subtype": "VORBIS"},
    "layer3.mp3": {"format": "MP3"},
    "opus.opus": {"format": "OGG", "subtype": "OPUS"},
    "aac.m4a": None,
}


def sounds() -> dict[str, tuple[Array, int]]:
    """The recordings that come with the package, as mono samples (n,) with their sample rate."""
    found = {}
    for path in sorted(EXAMPLES.glob("*.ogg")):
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        found[path.stem] = (samples.mean(axis=1), rate)
    return found


def at_rate(samples: Array, rate: int, to_rate: int) -> Array:
    """Samples (n,) at another rate; higher quality than whoplays itself resamples with."""
    return samples if rate == to_rate else soxr.resample(samples, rate, to_rate, quality="VHQ")


def band_limited(samples: Array, rate: int, to_rate: int) -> Array:
    """The same samples at the same rate, without what a file of `to_rate` cannot hold."""
    return at_rate(at_rate(samples, rate, to_rate), to_rate, rate)


def eight_bits(path: Path, samples: Array, rate: int) -> Array:
    """Write a WAV file of 8 bits, and return the samples that it truly holds."""
    numbers = np.clip(np.round(samples * 128) + 128, 0, 255).astype(np.uint8)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 1, rate, 0, "NONE", ""))
        file.writeframes(numbers.tobytes())
    return ((numbers.astype(np.float32) - 128) / 128).astype(np.float32)


def lossy(folder: Path, name: str, samples: Array, rate: int) -> Path:
    """Write samples (n,) with one of the codecs in `LOSSY`, at the quality that it has by default."""
    path, options = folder / name, LOSSY[name]
    if options is None:
        return _aac(path, samples, rate)
    if name.endswith(".opus"):  # which knows few sample rates
        samples, rate = at_rate(samples, rate, 48_000), 48_000
    soundfile.write(path, samples, rate, **options)
    return path


def _aac(path: Path, samples: Array, rate: int) -> Path:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=rate)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = rate, 0  # without a time the first samples would count as part of the recording
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return path


def drift(found: dict[str, float], wanted: dict[str, float]) -> float:
    """The largest difference of any family's score."""
    return max(abs(found[family] - wanted[family]) for family in wanted)
