"""Long recordings in every kind of container: the peak memory of a process that predicts one.

    python -m bench streaming [--hours 10] [--formats wav,rf64,flac,...]
    python -m bench streaming --growth 0.1,1,10                              one format (WAV), several lengths

A minute of made-up music at 22.05 kHz is written again and again, so the recording has length but not that much content.
Memory is what is measured; the seconds are for orientation.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile

from bench.measure import keep
from whoplays.examples import synth

ARGUMENTS = ("--hours 10", "--growth 0.1,1,10")
SMALL = "--hours 0.05 --formats wav,mkv"
RATE = 22050
#: name -> ending, and libsndfile's (format, subtype) or PyAV's (container, codec)
FORMATS: dict[str, tuple[str, str, str, str]] = {
    "wav": ("wav", "libsndfile", "WAV", "PCM_16"),
    "rf64": ("wav", "libsndfile", "RF64", "PCM_16"),
    "w64": ("w64", "libsndfile", "W64", "PCM_16"),
    "flac": ("flac", "libsndfile", "FLAC", "PCM_16"),
    "ogg": ("ogg", "libsndfile", "OGG", "VORBIS"),
    "mp3": ("mp3", "FFmpeg", "mp3", "libmp3lame"),
    "m4a": ("m4a", "FFmpeg", "ipod", "aac"),
    "mkv": ("mkv", "FFmpeg", "matroska", "aac"),
}
PREDICT = """
import sys
from pathlib import Path
from whoplays.inference.recogniser import Recogniser
answer = Recogniser().predict(sys.argv[1])
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
print(answer.duration, int(status["VmHWM"].split()[0]) / 1024)
"""


def write(path: Path, kind: str, minutes: int, minute: np.ndarray) -> None:
    _, writer, container, codec = FORMATS[kind]
    if writer == "libsndfile":
        with soundfile.SoundFile(path, "w", RATE, 1, subtype=codec, format=container) as file:
            for _ in range(minutes):
                file.write(minute)
    else:
        _mux_again_and_again(path, container, codec, minutes, minute)


def _mux_again_and_again(path: Path, container: str, codec: str, minutes: int, minute: np.ndarray) -> None:
    """Encode one minute, and write its packets `minutes` times with rising times."""
    with av.open(str(path), "w", format=container) as file:
        stream: Any = file.add_stream(codec, rate=RATE, layout="mono")
        stream.codec_context.open()
        size = stream.codec_context.frame_size or 1024
        packets = []
        for at in range(0, len(minute) - size, size):
            frame = av.AudioFrame.from_ndarray(
                minute[None, at : at + size].astype(np.float32), format="fltp", layout="mono"
            )
            frame.sample_rate, frame.pts, frame.time_base = RATE, at, Fraction(1, RATE)
            packets += [bytes(packet) for packet in stream.encode(frame)]
        for number in range(minutes * len(packets)):
            packet = av.Packet(packets[number % len(packets)])
            packet.stream, packet.time_base = stream, Fraction(1, RATE)
            packet.pts = packet.dts = number * size
            packet.duration = size
            file.mux(packet)


def measure(kind: str, hours: float, folder: Path, minute: np.ndarray) -> dict[str, Any]:
    path = folder / f"long.{FORMATS[kind][0]}"
    write(path, kind, round(hours * 60), minute)
    begun = time.monotonic()
    answer = subprocess.run(
        [sys.executable, "-c", PREDICT, str(path)], capture_output=True, text=True, check=True
    ).stdout
    duration, memory = map(float, answer.split())
    seconds = time.monotonic() - begun
    found = {
        "format": kind,
        "hours": f"{duration / 3600:.2f}",
        "file, MB": round(path.stat().st_size / 1e6),
        "greatest memory, MB": round(memory),
        "aim, MB": 300,
        "seconds": round(seconds, 1),
    }
    path.unlink()
    return found


def grow(hours: list[float], minute: np.ndarray) -> None:
    """Keep what memory does as a WAV file grows."""
    with tempfile.TemporaryDirectory() as folder:
        rows = [measure("wav", one, Path(folder), minute) for one in hours]
    keep(
        "streaming_growth",
        "Memory of predicting longer and longer recordings",
        rows,
        peer="none",
        packages=("onnxruntime", "soundfile"),
        remarks="A process of its own for each file, the model that ships. Greatest resident memory as the system counts it.",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=10)
    parser.add_argument("--formats", default=",".join(FORMATS))
    parser.add_argument("--growth", default="", metavar="HOURS,HOURS,...")
    options = parser.parse_args()
    minute = np.concatenate(
        [synth.recording([who], duration_s=20, seed=1, sample_rate=RATE) for who in ("guitar", "piano", "drums")]
    )
    if options.growth:
        grow([float(hours) for hours in options.growth.split(",")], minute)
        return
    with tempfile.TemporaryDirectory() as folder:
        rows = [measure(kind, options.hours, Path(folder), minute) for kind in options.formats.split(",")]
    keep(
        "streaming",
        f"Memory of predicting {options.hours:g} hours",
        rows,
        peer="none",
        packages=("onnxruntime", "soundfile", "av"),
        remarks="A process of its own for each file, the model that ships. Greatest resident memory as the system counts it.",
    )
