"""How far scores drift when one sound comes in another file, on another Python, or on another processor.

python -m bench same_answer [PYTHON ...]    PYTHON: other interpreters that have whoplays installed

The sounds are the three recordings that come with the package. A processor without AVX-512 is emulated by qemu-x86_64,
where it is installed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from bench import TESTS
from bench.measure import keep

sys.path.insert(0, str(TESTS))

import variants
from variants import drift

import whoplays

LOSSLESS, LOSSY, SAME = 0.02, 0.1, 1e-4
#: Of a model in integers: what is left in floating point is rounded otherwise, and may cross a border between two of them.
OTHER_PROCESSOR = 2e-3
SCORES = (
    "import json, platform, sys, whoplays; heard = whoplays.load();"
    "print(json.dumps([platform.python_version(), {p: heard.predict(p).scores for p in sys.argv[1:]}]))"
)
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pythons", nargs="*", metavar="PYTHON")
    options = parser.parse_args()
    recogniser = whoplays.load()
    with tempfile.TemporaryDirectory() as folder:
        rows = [*files(recogniser, Path(folder)), *threads(), *elsewhere(recogniser, options.pythons)]
    keep(
        "same_answer",
        "One sound, many files: how far scores drift",
        rows,
        peer="none",
        packages=("onnxruntime", "soxr", "soundfile", "av"),
        remarks=f"Largest difference of any family's score over the package's recordings; the model is "
        f"{recogniser.config.id}, which hears at {recogniser.config.features.sample_rate} Hz. Rows without a limit tell "
        "what is lost before whoplays hears it: a file of 8 kHz holds nothing above 4 kHz, eight bits nothing below "
        "-48 dB. `tests/test_same_answer.py` keeps the limits.",
    )


def row(what: str, drifts: list[float], limit: float | None) -> Row:
    if limit is not None and max(drifts) > limit:
        print(f"over its limit: {what} {max(drifts):.4f}", file=sys.stderr)
    return {"what": what, "files": len(drifts), "largest drift": f"{max(drifts):.5f}", "limit": limit or "none"}


def files(recogniser: whoplays.Recogniser, folder: Path) -> Iterator[Row]:
    """Every rate, depth, number of channels and codec."""
    plain = {}
    found: dict[tuple[str, float | None], list[float]] = {}

    def heard(what: str, limit: float | None, source: Path, wanted: dict[str, float]) -> None:
        found.setdefault((what, limit), []).append(drift(recogniser.predict(source).scores, wanted))

    for name, (samples, own) in variants.sounds().items():
        plain[name] = recogniser.predict(samples, sample_rate=own).scores
        for rate in variants.RATES:
            path = folder / "a.flac"
            soundfile.write(path, variants.at_rate(samples, own, rate), rate, subtype="PCM_24")
            if rate >= recogniser.config.features.sample_rate:
                heard("sample rates from 22,050 to 192,000 Hz", LOSSLESS, path, plain[name])
                continue
            band = recogniser.predict(variants.band_limited(samples, own, rate), sample_rate=own).scores
            heard(f"{rate:,} Hz, beside the same band at {own:,} Hz", LOSSLESS, path, band)
            heard(f"{rate:,} Hz, beside the whole sound", None, path, plain[name])
        for subtype in variants.DEPTHS:
            soundfile.write(folder / "a.wav", samples, own, subtype=subtype)
            heard("16, 24, 32 bits, 32 and 64 bit floating point", LOSSLESS, folder / "a.wav", plain[name])
        held = recogniser.predict(variants.eight_bits(folder / "a.wav", samples, own), sample_rate=own).scores
        heard("8 bits, beside the samples that they hold", SAME, folder / "a.wav", held)
        heard("8 bits, beside the whole sound", None, folder / "a.wav", plain[name])
        for channels in variants.CHANNELS:
            many = np.repeat(samples[:, None], channels, axis=1)
            for suffix in ("wav", "flac"):
                soundfile.write(folder / f"a.{suffix}", many, own, subtype="PCM_16")
                heard("mono to 7.1, WAV and FLAC", LOSSLESS, folder / f"a.{suffix}", plain[name])
        for codec in variants.LOSSY:
            heard(codec.replace(".", ", ."), LOSSY, variants.lossy(folder, codec, samples, own), plain[name])
    yield from (row(what, drifts, limit) for (what, limit), drifts in found.items())


def threads() -> Iterator[Row]:
    examples = sorted(variants.EXAMPLES.glob("*.ogg"))
    one, two = (whoplays.Recogniser(threads=n) for n in (1, 2))
    yield row("two threads beside one", [drift(two.predict(p).scores, one.predict(p).scores) for p in examples], SAME)


def elsewhere(recogniser: whoplays.Recogniser, interpreters: list[str]) -> Iterator[Row]:
    """Other Pythons, and this one on an emulated processor."""
    examples = sorted(map(str, variants.EXAMPLES.glob("*.ogg")))
    wanted = {path: recogniser.predict(path).scores for path in examples}
    commands = [[python] for python in interpreters]
    if emulator := shutil.which("qemu-x86_64"):
        commands.append([emulator, "-cpu", "Haswell", str(Path(sys.executable).resolve())])
    for command in commands:
        site = f"import sys; sys.path[:0] = {[sysconfig.get_paths()['purelib'], str(Path(whoplays.__file__).parents[1])]!r};"
        code = (site if len(command) > 1 else "") + SCORES
        done = subprocess.run([*command, "-c", code, *examples], capture_output=True, text=True, check=True)
        version, scores = json.loads(done.stdout)
        what = "a processor without AVX-512 (Haswell, emulated)" if len(command) > 1 else f"Python {version}"
        limit = OTHER_PROCESSOR if len(command) > 1 else SAME
        yield row(what, [drift(scores[path], wanted[path]) for path in examples], limit)
