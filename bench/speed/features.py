"""Features per clip against librosa's way, and how far pitch variants from one spectrum are from exact resampling.

python -m bench features DATA       DATA: a folder of training material with manifest.csv
"""

from __future__ import annotations

import os

os.environ.update(
    dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
)

import argparse
import csv
from pathlib import Path

import librosa
import numpy as np
import soxr

from bench.measure import in_turn, keep, row
from whoplays import features
from whoplays.audio import reading

ARGUMENTS = ("DATA",)
SHIFTS = (-2.0, -1.0, 0.0, 1.0, 2.0)
RATE = features.REPORT.sample_rate


def librosa_way(samples: np.ndarray) -> list[np.ndarray]:
    """The report's: a phase vocoder for each variant, then MFCC."""
    shifted = [librosa.effects.pitch_shift(samples, sr=RATE, n_steps=s) if s else samples for s in SHIFTS]
    return [librosa.feature.mfcc(y=y, sr=RATE, n_mfcc=20) for y in shifted]


def exact(samples: np.ndarray, semitones: float) -> np.ndarray:
    """MFCC of the sound played faster or slower, which is exact in pitch; frames at the same moments of the music."""
    ratio = 2.0 ** (semitones / 12)
    played = soxr.resample(samples, RATE * ratio, RATE, quality="VHQ")
    hop = features.REPORT.hop_length
    count = 1 + len(samples) // hop
    padded = np.pad(played, features.REPORT.n_fft)
    starts = [round(i * hop / ratio) + features.REPORT.n_fft // 2 for i in range(count)]
    window = np.hanning(features.REPORT.n_fft + 1)[:-1]
    power = np.array(
        [np.abs(np.fft.rfft(padded[s : s + features.REPORT.n_fft] * window)) ** 2 for s in starts], dtype=np.float32
    )
    return features.from_mel_power(features.mel_power(power, features.REPORT), FRAMES)


FRAMES = features.FeatureSettings.from_dict(features.REPORT.to_dict() | {"steps": None})


def errors(clips: list[np.ndarray]) -> list[dict[str, object]]:
    """Mean absolute difference from exact resampling, in MFCC units, over all frames, coefficients and clips."""
    found = []
    for shift in (-2.0, -1.0, 1.0, 2.0):
        ours, vocoder, nothing = [], [], []
        for samples in clips:
            true = exact(samples, shift)
            ours.append(np.abs(features.compute_variants(samples, FRAMES, semitones=(shift,))[0] - true).mean())
            shifted = librosa.effects.pitch_shift(samples, sr=RATE, n_steps=shift)
            vocoder.append(np.abs(features.compute(shifted, FRAMES) - true).mean())
            nothing.append(np.abs(features.compute(samples, FRAMES) - true).mean())
        found.append(
            {
                "semitones": f"{shift:+.0f}",
                "from one spectrum": float(np.mean(ours)),
                "90 % of clips below": float(np.quantile(ours, 0.9)),
                "phase vocoder": float(np.mean(vocoder)),
                "not shifted at all": float(np.mean(nothing)),
                "clips": len(clips),
            }
        )
    return found


def music(data: Path, count: int = 60, seconds: float = 10.0) -> list[np.ndarray]:
    """Excerpts of real recordings, evenly picked."""
    with (data / "manifest.csv").open(encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if r["kind"] == "real" and float(r["seconds"]) > 1.0]
    picked = [rows[i * len(rows) // count] for i in range(count)]
    return [reading.load(data / r["path"], sample_rate=RATE, duration=seconds) for r in picked]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    data = parser.parse_args().data
    clips = music(data)
    whole = max(clips, key=len)
    clip = np.resize(whole, 10 * RATE)
    rows = []
    for what, ours, peer, aim in (
        (
            "5 pitch variants + MFCC of a 10 s clip",
            lambda: features.compute_variants(clip, features.REPORT, semitones=SHIFTS),
            lambda: librosa_way(clip),
            "20x",
        ),
        (
            "MFCC of a 10 s clip",
            lambda: features.compute(clip, FRAMES),
            lambda: librosa.feature.mfcc(y=clip, sr=RATE, n_mfcc=20),
            "",
        ),
        (
            "log-mel of a 10 s clip (1024, 441, 64 bands)",
            lambda: features.compute(clip, features.LOGMEL),
            lambda: np.log(
                librosa.feature.melspectrogram(
                    y=clip, sr=RATE, n_fft=1024, hop_length=441, n_mels=64, fmin=30, fmax=11000
                )
                + 1e-6
            ),
            "",
        ),
    ):
        rows.append(row(what, *in_turn(ours, peer, runs=15, warm_up=2), aim=aim))
    keep(
        "features",
        "Features against librosa, one core",
        rows,
        peer="librosa (pitch_shift + feature.mfcc)",
        packages=("librosa", "soxr", "scipy"),
    )
    keep(
        "pitch_variants",
        "Pitch variants: distance from exact resampling, in MFCC units",
        errors(clips),
        peer="librosa.effects.pitch_shift",
        packages=("librosa", "soxr"),
        remarks="Mean absolute difference over frames and 20 coefficients. Exact: the recording resampled (soxr VHQ), its frames "
        "at the same moments of the music.",
    )
