"""From decoded samples to scores on one core, beside YAMNet; where the time goes, and how far above the floor that is.

    python -m bench prediction YAMNET [--runs 30]      YAMNET: a folder with yamnet.tflite (pip install ai-edge-litert)

The floor is what nobody gets round: decoding the file and one Fourier transform over its frames.
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from ai_edge_litert.interpreter import Interpreter

from bench.measure import in_turn, keep, row, seconds
from whoplays import features
from whoplays.audio import opening, quality, reading
from whoplays.examples import synth
from whoplays.inference.recogniser import Recogniser

ARGUMENTS = ("YAMNET",)
SMALL = "YAMNET --runs 5"


def yamnet(folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Mean scores over windows of 0.975 s every 0.48 s; one thread. Takes samples (n,) at 16 kHz."""
    interpreter = Interpreter(model_path=str(folder / "yamnet.tflite"), num_threads=1)
    interpreter.allocate_tensors()
    given, made = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    def score(wave: np.ndarray) -> np.ndarray:
        found: list[np.ndarray] = []
        for start in range(0, wave.size - 15600 + 1, 7680):
            interpreter.set_tensor(given["index"], wave[start : start + 15600].reshape(given["shape"]))
            interpreter.invoke()
            found.append(interpreter.get_tensor(made["index"])[0])
        return np.asarray(np.mean(found, axis=0))

    return score


def median_ms(work: Callable[[], Any], runs: int) -> float:
    return statistics.median(seconds(work, runs=runs, warm_up=3)) * 1e3


def shares(recogniser: Recogniser, file: Path, runs: int) -> list[dict[str, Any]]:
    """The parts of predicting one file, each alone; the whole; and the floor."""
    settings = recogniser.config.features
    decoded = soundfile.read(file, dtype="float32", always_2d=True)[0]
    rate = soundfile.info(file).samplerate
    one = reading.mono(decoded)
    samples = soxr.resample(one, rate, settings.sample_rate)
    values = features.compute(samples, settings)

    def decode() -> None:
        with opening.open_audio(file) as reader:
            for block, _ in reader.blocks():
                reading.mono(block)

    def meter() -> None:
        measured = quality.Meter(rate)
        for at in range(0, len(decoded), rate):
            measured.measure(decoded[at : at + rate])
        measured.warnings(len(decoded) / rate)

    def transform() -> None:
        hop, size = settings.hop_length, settings.n_fft
        frames = np.lib.stride_tricks.sliding_window_view(samples, size)[::hop]
        for first in range(0, len(frames), features.FRAMES_PER_BLOCK):
            np.fft.rfft(frames[first : first + features.FRAMES_PER_BLOCK])

    parts = {
        "decoding": decode,
        "measuring for warnings": meter,
        "resampling": lambda: list(reading.resampled(_seconds(one, rate), rate, settings.sample_rate)),
        "spectra (power, mel, log)": lambda: features.compute(samples, settings),
        "network": lambda: recogniser.logits(values[None]),
    }
    times = {name: median_ms(work, runs) for name, work in parts.items()}
    whole = median_ms(lambda: recogniser.predict(file), runs)
    floor = times["decoding"] + median_ms(transform, runs)
    rows = [{"part": name, "ms": ms, "share of the whole": f"{ms / whole:.0%}"} for name, ms in times.items()]
    rest = whole - sum(times.values())
    rows.append(
        {"part": "all else (timeline, segments, objects)", "ms": rest, "share of the whole": f"{rest / whole:.0%}"}
    )
    rows.append({"part": "the whole: file to prediction", "ms": whole, "share of the whole": "100%"})
    rows.append({"part": "floor: decoding and one FFT pass", "ms": floor, "share of the whole": f"{floor / whole:.0%}"})
    rows.append(
        {"part": f"whole / floor = {whole / floor:.2f} (aim: under 3)", "ms": whole - floor, "share of the whole": ""}
    )
    return rows


def _seconds(samples: np.ndarray, rate: int) -> list[np.ndarray]:
    return [samples[at : at + rate] for at in range(0, len(samples), rate)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("yamnet", type=Path)
    parser.add_argument("--runs", type=int, default=30)
    options = parser.parse_args()
    recogniser = Recogniser()
    rate = recogniser.config.features.sample_rate
    clip = synth.recording(["guitar", "drums"], duration_s=10, seed=1, sample_rate=44100)
    ours, theirs = (soxr.resample(clip, 44100, each).astype(np.float32) for each in (rate, 16000))
    peer = yamnet(options.yamnet)

    def network_alone() -> None:
        recogniser.logits(features.compute(ours, recogniser.config.features)[None])

    keep(
        "prediction",
        "10 s of audio, from samples to scores, one core",
        [
            row(
                "samples to scores, times and warnings (`predict`)",
                *in_turn(
                    lambda: recogniser.predict(ours, sample_rate=rate),
                    lambda: peer(theirs),
                    runs=options.runs,
                    warm_up=3,
                ),
                aim="3x, hoped 6x",
            ),
            row(
                "samples to the network's numbers, as the peer gives them",
                *in_turn(network_alone, lambda: peer(theirs), runs=options.runs, warm_up=3),
                aim="3x, hoped 6x",
            ),
        ],
        peer="YAMNet (TFLite with XNNPACK, int8 weights), windows every 0.48 s, one thread",
        packages=("onnxruntime", "ai-edge-litert", "soxr"),
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "ten.flac")
        soundfile.write(file, np.stack([clip, clip], axis=1), 44100)
        keep(
            "prediction_profile",
            "Where the time goes: a stereo FLAC of 10 s at 44.1 kHz, one core",
            shares(recogniser, file, options.runs),
            peer="none",
            packages=("onnxruntime", "soundfile", "soxr"),
            remarks="Medians of parts done alone, so they add up to the whole only nearly.",
        )
