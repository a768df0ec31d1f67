"""Write web/tests/vectors.json: what the Python package computes from samples that the web package can make as well.

Usage: python scripts/web_vectors.py [--check]. With --check nothing is written, and the exit status says whether the
committed vectors still are what the package computes: a new model needs new ones.
"""

from __future__ import annotations

import base64
import io
import json
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

import whoplays
from whoplays import features
from whoplays.audio import reading
from whoplays.audio.windows import windows
from whoplays.inference.segmentation import detect_intervals
from whoplays.model import folder
from whoplays.model.config import TimelineSettings
from whoplays.model.pooling import attended, top_share_mean

VECTORS = Path(__file__).parents[1] / "web" / "tests" / "vectors.json"
LENGTHS_S = (0.5, 4.0, 10.24, 12.5, 31.0)  # shorter than a window, as long, longer
TOLERANCE = 2e-4


def noise(n: int, seed: int) -> NDArray[np.float64]:
    """Return n numbers from -1 to 1 of a linear congruential generator (Numerical Recipes), in any language the same."""
    found = np.empty(n)
    state = seed
    for i in range(n):
        state = (1664525 * state + 1013904223) % 2**32
        found[i] = state / 2**31 - 1
    return found


def sound(seconds: float, rate: int) -> NDArray[np.float32]:
    """Return notes with falling partials, one each half second, over noise that beats four times a second."""
    n = round(seconds * rate)
    t = np.arange(n) / rate
    note = np.floor(2 * t)
    since = t - note / 2
    pitch = 110 * 2 ** ((note * 7 % 24) / 12)
    tone = sum(np.sin(2 * np.pi * k * pitch * since) / k for k in range(1, 9)) * np.exp(-3 * since)
    beat = np.exp(-60 * ((4 * t) % 1))
    return (0.2 * tone + 0.1 * beat * noise(n, 7) + 0.001 * noise(n, 11)).astype(np.float32)


def tones(seconds: float, rate: int) -> NDArray[np.float32]:
    """Return a sound that ends sharply below 4 kHz."""
    t = np.arange(round(seconds * rate)) / rate
    return (0.02 * sum(np.sin(2 * np.pi * 120 * k * t) for k in range(1, 31))).astype(np.float32)


def numbers(values: Any, digits: int = 6) -> list[Any]:
    """Return an array as nested lists, rounded."""
    return np.round(np.asarray(values, dtype=np.float64), digits).tolist()


def vectors() -> dict[str, Any]:
    """Return all vectors."""
    recogniser = whoplays.load()
    rate = recogniser.config.features.sample_rate
    return {
        "model": recogniser.config.id,
        "sha256": folder.read().sha256["model.onnx"],
        "features": [_features(settings) for settings in _feature_settings()],
        "windows": [
            _windows(n, length, context)
            for n, length, context in ((5, 10, 2), (10, 10, 2), (11, 10, 2), (47, 10, 3), (40, 8, 0))
        ],
        "attended": _attended(),
        "top_share_mean": _top_share_mean(),
        "stretches": _stretches(),
        "uncompressed": [_uncompressed(*kind) for kind in UNCOMPRESSED],
        "quality": [_quality(**case) for case in QUALITY],
        "network": _network(),
        "predictions": [_prediction(recogniser, seconds, rate) for seconds in LENGTHS_S],
    }


def _feature_settings() -> list[features.FeatureSettings]:
    return [
        features.LOGMEL,
        features.REPORT,
        features.FeatureSettings(
            sample_rate=16000, n_fft=512, hop_length=160, win_length=400, n_mels=20, fmax=7600.0, htk=True, norm=None
        ),
    ]


def _features(settings: features.FeatureSettings) -> dict[str, Any]:
    found = features.compute(sound(0.6, settings.sample_rate), settings)
    return {"settings": settings.to_dict(), "shape": found.shape, "rows": numbers(found[::5], 5)}


def _windows(n: int, length: int, context: int) -> dict[str, Any]:
    samples = np.arange(n, dtype=np.float32)
    found = windows((samples[i : i + 7] for i in range(0, n, 7)), length, context)
    listed = [{"samples": w.samples.tolist(), "start": w.start, "first": w.first, "last": w.last} for w in found]
    return {"n": n, "length": length, "context": context, "windows": listed}


def _attended() -> dict[str, Any]:
    logits, attention = 3 * noise(60, 1).reshape(20, 3), 2 * noise(60, 2).reshape(20, 3)
    lengths = np.where(np.arange(20) % 7 == 6, 0.2, 0.32)
    found = attended(logits, attention, lengths, 2.0)
    return {
        "logits": numbers(logits),
        "attention": numbers(attention),
        "lengths": numbers(lengths),
        "span_s": 2.0,
        "found": numbers(found),
    }


def _top_share_mean() -> list[dict[str, Any]]:
    scores = np.abs(noise(15, 3))
    lengths = 0.1 + np.abs(noise(15, 4))
    found = {share: float(top_share_mean(scores[:, None], lengths, share)[0]) for share in (0.0, 0.35, 1.0)}
    return [
        {"scores": numbers(scores), "lengths": numbers(lengths), "share": s, "found": round(v, 6)}
        for s, v in found.items()
    ]


def _stretches() -> list[dict[str, Any]]:
    edges = np.concatenate([[0.0], np.cumsum(0.2 + 0.1 * np.abs(noise(40, 5)))])
    scores = np.clip(0.5 + np.sin(np.arange(40) / 3) / 2 + 0.2 * noise(40, 6), 0, 1).astype(np.float32)
    settings = [
        TimelineSettings(),
        TimelineSettings(low=1.0, max_gap_s=0.0, min_length_s=0.0),
        TimelineSettings(max_gap_s=2.0, min_length_s=3.0),
    ]
    return [
        {
            "scores": numbers(scores),
            "edges": numbers(edges),
            "threshold": threshold,
            "settings": one.to_dict(),
            "found": [
                [round(s.start, 6), round(s.end, 6), round(s.score, 6)]
                for s in detect_intervals(scores, edges, threshold=threshold, settings=one)
            ],
        }
        for one in settings
        for threshold in (0.4, 0.8)
    ]


#: Format, encoding and byte order of files that no browser reads.
UNCOMPRESSED = [
    *(("AIFF", encoding, "FILE") for encoding in ("PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32")),
    *(("AIFF", encoding, "FILE") for encoding in ("FLOAT", "DOUBLE", "ULAW", "ALAW")),
    ("AIFF", "PCM_16", "LITTLE"),
    ("AIFF", "PCM_24", "LITTLE"),
    *(("CAF", encoding, "LITTLE") for encoding in ("PCM_S8", "PCM_16", "PCM_24", "FLOAT")),
    *(("CAF", encoding, "BIG") for encoding in ("PCM_24", "PCM_32", "DOUBLE", "ULAW", "ALAW")),
]


def _uncompressed(kind: str, encoding: str, endian: str) -> dict[str, Any]:
    """Return a file, packed, and the samples of its second channel."""
    samples = 0.9 * noise(82, 9).reshape(41, 2)
    file = io.BytesIO()
    soundfile.write(file, samples, 12000, format=kind, subtype=encoding, endian=endian)
    content = bytearray(file.getvalue())
    if (peaks := content.find(b"PEAK")) >= 0:
        content[peaks + 12 : peaks + 16] = bytes(4)  # the time at which it was written
    found, rate = soundfile.read(io.BytesIO(content), dtype="float32")
    packed = base64.b64encode(zlib.compress(content, 9)).decode()
    return {"name": f"{kind} {encoding} {endian}", "file": packed, "rate": rate, "samples": numbers(found[:, 1])}


#: kind: of the sound; gains: of each channel, before it is cut at full scale.
QUALITY: list[dict[str, Any]] = [
    {"kind": kind, "seconds": seconds, "rate": rate, "gains": gains}
    for kind, seconds, rate, gains in (
        ("sound", 2.0, 22050, [1.0]),
        ("sound", 0.5, 44100, [1.0, 0.5]),
        ("sound", 2.0, 44100, [0.0]),
        ("sound", 2.0, 48000, [0.005, 0.004]),
        ("sound", 2.5, 22050, [30.0]),
        ("sound", 2.5, 44100, [1.0, -0.999]),
        ("sound", 2.0, 44100, [1.0, 0.0]),
        ("sound", 2.0, 16000, [1.0, 0.5, -0.2]),
        ("sound", 2.0, 6000, [1.0]),
        ("sound", 2.0, 44000, [1.0]),
        ("tones", 2.0, 44100, [1.0]),
        ("tones", 2.0, 11025, [1.0]),
    )
]


def _quality(kind: str, seconds: float, rate: int, gains: list[float]) -> dict[str, Any]:
    """Return the warnings about a sound."""
    samples = {"sound": sound, "tones": tones}[kind](seconds, rate)
    channels = np.clip(samples[:, None] * np.array(gains, np.float32), -1, 1)
    recording = reading.from_samples(channels, rate, sample_rate=rate)
    for _ in recording.blocks():
        pass
    found = [warning.to_dict() for warning in recording.warnings(seconds)]
    return {"kind": kind, "seconds": seconds, "rate": rate, "gains": gains, "found": found}


def _network() -> dict[str, Any]:
    """Return what the network alone gives for one window of numbers that are exactly the same everywhere."""
    bundle, network = folder.load()
    rows, columns = 512, bundle.config.features.n_features
    table = (-7 + 5 * noise(rows * columns, 8)).astype(np.float32).reshape(1, rows, columns)
    found = network.run(table)
    return {"rows": rows, "columns": columns, "logits": numbers(found["frame_logits"][0, ::8])}


def _prediction(recogniser: whoplays.Recogniser, seconds: float, rate: int) -> dict[str, Any]:
    samples = sound(seconds, rate)
    found = recogniser.predict(samples, sample_rate=rate)
    values = found.to_dict()
    about = {"nothing_detected", "mostly_undetected"}  # what is about the answer; what is about the sound: `_quality`
    values["warnings"] = [warning for warning in values["warnings"] if warning["code"] in about]
    every = [label.id for label in recogniser.labels]
    all_segments = recogniser.segments(found.frame_scores, found.frame_times, every)
    latest = recogniser.latest_scores(samples, 0.5)
    return {
        "seconds": seconds,
        "prediction": values,
        "frame_times": numbers(found.frame_times[::16], 4),
        "frame_scores": numbers(found.frame_scores[::16], 4),
        "segments": [segment.to_dict() for segment in all_segments],
        "latest": latest,
        "embedding": numbers(recogniser.embed(samples, sample_rate=rate)),
    }


def _differences(a: Any, b: Any, where: str = "") -> list[str]:
    """Return where two JSON values differ by more than `TOLERANCE`."""
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return [line for key in a for line in _differences(a[key], b[key], f"{where}.{key}")]
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)) and len(a) == len(b):
        return [line for i, pair in enumerate(zip(a, b, strict=True)) for line in _differences(*pair, f"{where}[{i}]")]
    number = isinstance(a, (int, float)) and isinstance(b, (int, float))
    return [] if (abs(a - b) <= TOLERANCE if number else a == b) else [where]


def differences() -> list[str]:
    """Return where the committed vectors differ from what the package computes."""
    return _differences(json.loads(VECTORS.read_text(encoding="utf-8")), vectors())


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        if found := differences():
            sys.exit(f"{VECTORS.name} is not what the package computes ({found[0]}); run python scripts/web_vectors.py")
    else:
        VECTORS.write_text(json.dumps(vectors(), separators=(",", ":")) + "\n", encoding="utf-8")
