"""Where the time goes, by a profiler: predicting recordings one after the other, and building a data set with five variants.

python -m bench profile [--clips 60]

The profiler counts calls as well, so little functions look dearer than they are. One thread, stereo FLAC of 10 s at 44.1 kHz.
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import argparse
import cProfile
import pstats
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from bench.measure import keep
from whoplays import dataset
from whoplays.examples import synth
from whoplays.inference.recogniser import Recogniser

SMALL = "--clips 12"
RATE, DISTINCT = 44100, 12

#: what -> the functions that do it, by the end of their file's name and their own name; none of them calls another
AUDIO = {
    "opening files, reading headers": [("audio/opening.py", "open_audio")],
    "finding streams": [("audio/containers.py", "parts_of")],
    "decoding": [("audio/readers.py", "blocks")],
    "one channel": [("audio/quality.py", "mean_of_channels")],
    "resampling": [("soxr/__init__.py", "resample_chunk"), ("soxr/__init__.py", "__init__")],
    "spectra: windows, Fourier transforms, power": [("features.py", "power_spectrum")],
    "mel bands": [("features.py", "mel_power")],
    "logarithm, DCT, spans of time": [("features.py", "from_mel_power")],
}
PREDICTING = AUDIO | {
    "measuring for warnings": [("audio/quality.py", "measure"), ("audio/quality.py", "warnings")],
    "network": [("model/folder.py", "run")],
    "calibration, scores of the recording": [("model/folder.py", "frame_scores"), ("model/pooling.py", "scores")],
    "timeline, segments, the answer": [
        ("inference/recogniser.py", "segments"),
        ("inference/recogniser.py", "_reaching"),
    ],
}
BUILDING = AUDIO | {
    "detecting silence": [("audio/reading.py", "is_silent")],
    "writing shards, with their checksums": [("shards.py", "_write_hashed")],
    "listing the source": [("sources.py", "read_source")],
    "choosing and dividing": [("split.py", "pick"), ("split.py", "divide")],
    "identifying builds (sizes)": [("build.py", "_identity")],
    "tables and index": [("build.py", "_finish")],
}


class Here:
    """An engine that works in this process, where the profiler sees it."""

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def map(self, work: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        for number, item in enumerate(items):
            yield number, work(item)


def profiled(work: Callable[[], Any]) -> pstats.Stats:
    profile = cProfile.Profile()
    profile.runcall(work)
    return pstats.Stats(profile)


def table(stats: pstats.Stats, parts: dict[str, list[tuple[str, str]]], clips: int) -> list[dict[str, Any]]:
    """Rows, the dearest first; the last is what no part names. Exits when a part's function was not called."""
    found: dict[str, float] = dict.fromkeys(parts, 0.0)
    missing = {function for functions in parts.values() for function in functions}
    for (file, _, name), (_, _, _, cumulative, _) in stats.stats.items():  # type: ignore[attr-defined]
        for what, functions in parts.items():
            for end, function in functions:
                if file.endswith(f"/{end}") and name == function:
                    found[what] += cumulative
                    missing.discard((end, function))
    if missing:
        raise SystemExit(f"never called: {', '.join(f'{function} of {end}' for end, function in sorted(missing))}")
    total = stats.total_tt  # type: ignore[attr-defined]
    ordered = sorted(found.items(), key=lambda item: -item[1])
    ordered.append(("all else", total - sum(found.values())))
    return [
        {"what": what, "ms a recording": round(seconds / clips * 1e3, 2), "share": f"{seconds / total:.0%}"}
        for what, seconds in ordered
    ]


def recordings(folder: Path, count: int) -> None:
    for i in range(count):
        path = folder / ("drums", "guitar", "strings")[i % 3] / f"{i:04d}.flac"
        path.parent.mkdir(exist_ok=True)
        if i < DISTINCT:
            sound = synth.recording([path.parent.name], duration_s=10, seed=i, sample_rate=RATE)
            soundfile.write(path, np.stack([sound, sound], axis=1), RATE)
        else:
            path.hardlink_to(folder / path.parent.name / f"{i % DISTINCT:04d}.flac")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=60)
    options = parser.parse_args()
    settings = dataset.BuildSettings(pitch=(-2.0, -1.0, 0.0, 1.0, 2.0))
    with tempfile.TemporaryDirectory() as name:
        source = Path(name, "source")
        source.mkdir()
        recordings(source, options.clips)
        paths, recogniser = sorted(source.rglob("*.flac")), Recogniser()
        recogniser.predict(paths[0])
        dataset.build(source, Path(name, "warm"), settings, engine=Here())
        predicted = profiled(lambda: [recogniser.predict(path) for path in paths])
        built = profiled(lambda: dataset.build(source, Path(name, "out"), settings, engine=Here()))
    remarks = "By cProfile, in one process and thread; stereo FLAC of 10 s at 44.1 kHz."
    packages = ("onnxruntime", "soundfile", "soxr")
    for name, title, stats, parts in (
        ("profile_predict", "Where the time goes: predicting", predicted, PREDICTING),
        ("profile_build", "Where the time goes: building a data set, five variants of what trains", built, BUILDING),
    ):
        keep(name, title, table(stats, parts, options.clips), peer="none", packages=packages, remarks=remarks)
