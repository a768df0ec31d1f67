"""How far scores drift when the same sound is in another file, on another Python, or on another processor.

python -m bench same_answer [PYTHON ...]    PYTHON: other interpreters that have whoplays installed

The sounds are the three recordings that come with the package. A processor without AVX-512 is emulated by qemu-x86_64,
where it is installed. The figures also go into the table of docs/explanation/guarantees.md.
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

from bench import EXPLANATION, TESTS
from bench.measure import FOLDER, keep, write_section

sys.path.insert(0, str(TESTS))

import variants
from variants import drift

import whoplays

LOSSLESS, LOSSY, SAME = 0.02, 0.1, 1e-4
#: Of a model in integers: what is left in floating point is rounded otherwise, and may cross a border between two of them.
OTHER_PROCESSOR = 2e-3
SCORES = (
    "import json, platform, sys, whoplays; recogniser = whoplays.load();"
    "print(json.dumps([platform.python_version(), {p: recogniser.predict(p).scores for p in sys.argv[1:]}]))"
)
Row = dict[str, Any]

PAGE = EXPLANATION / "guarantees.md"
#: The promises on that page: what is promised, the rows that were measured for it (how they begin), and the test that keeps it.
PROMISES = (
    (
        "22,050 to 192,000 Hz; 16 to 64 bits; mono to 7.1; WAV and FLAC",
        ("sample rates", "16, 24, 32 bits", "mono to 7.1"),
        "`tests/test_same_answer.py`",
    ),
    (
        "8,000 to 16,000 Hz, against the same band at a higher rate",
        ("8,000 Hz, beside the same band", "11,025 Hz, beside the same band", "16,000 Hz, beside the same band"),
        "`test_sample_rates`",
    ),
    (
        "8 bits, against the same samples",
        ("8 bits, beside the samples",),
        "`test_eight_bits_score_as_the_samples_that_they_hold`",
    ),
    ("Ogg Vorbis, MP3, Opus, AAC in M4A", ("vorbis", "layer3", "opus", "aac"), "`test_lossy_codecs`"),
    (
        "file, samples, command, standard input, HTTP, WebSocket",
        (),
        "`test_every_way_in_gives_the_same_scores`",
    ),
    (
        "with and without AVX-512 and VNNI (emulated)",
        ("a processor without",),
        "`python -m bench same_answer`, `test_numpy_without_wide_registers`",
    ),
    ("one thread or two", ("two threads",), "`test_threads`"),
    ("Python 3.11 or another", ("Python",), "`python -m bench same_answer`"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pythons", nargs="*", metavar="PYTHON")
    options = parser.parse_args()
    for python in options.pythons:
        if shutil.which(python) is None:
            parser.error(f"{python} is no program; name a Python that has whoplays installed")
    recogniser = whoplays.load()
    with tempfile.TemporaryDirectory() as folder:
        rows = [*files(recogniser, Path(folder)), *threads(), *elsewhere(recogniser, options.pythons)]
    keep(
        "same_answer",
        "One sound, many files: how far scores drift",
        rows,
        peer="none",
        packages=("onnxruntime", "soxr", "soundfile", "av"),
        remarks=f"The largest difference of any score over the package's three recordings, with `{recogniser.config.id}`, which "
        f"reads sound at {recogniser.config.features.sample_rate} Hz. Rows without a limit show what a file has already "
        "lost: a file of 8 kHz holds nothing above 4 kHz, eight bits nothing below -48 dB.",
    )
    write_section(PAGE, "same answer", page_text(json.loads((FOLDER / "same_answer.json").read_text())))


def page_text(result: dict[str, Any]) -> str:
    """Return the table of promises, and what cannot be promised, from what was measured."""
    drifts = {one["what"]: float(one["largest drift"]) for one in result["rows"]}
    limits = {one["what"]: one["limit"] for one in result["rows"]}
    lines = ["| promise | limit | measured | test |", "|---|---|---|---|"]
    for promise, begins, test in PROMISES:
        rows = [what for what in drifts if begins and what.startswith(begins)]
        if rows or not begins:
            limit, measured = limits[rows[0]] if rows else SAME, max((drifts[what] for what in rows), default=None)
            lines.append(f"| {promise} | {limit:g} | {'' if measured is None else f'{measured:.2g}'} | {test} |")
    lost = [drifts[f"{what}, beside the whole sound"] for what in ("8,000 Hz", "16,000 Hz", "8 bits")]
    return "\n".join(
        [
            *lines,
            "",
            f"Measured: {result['remarks'][0].lower()}{result['remarks'].partition('. ')[0][1:]}.",
            "",
            "A file can only show what it holds. At 8 kHz everything above 4 kHz is gone, and a score of one of them moves by "
            f"{lost[0]:.2f};\nat 16 kHz scores move by up to {lost[1]:.2f}, with 8 bits by up to {lost[2]:.2f}.",
        ]
    )


def row(what: str, drifts: list[float], limit: float | None) -> Row:
    if limit is not None and max(drifts) > limit:
        print(f"over its limit: {what} {max(drifts):.4f}", file=sys.stderr)
    return {"what": what, "files": len(drifts), "largest drift": f"{max(drifts):.5f}", "limit": limit or "none"}


def files(recogniser: whoplays.Recogniser, folder: Path) -> Iterator[Row]:
    """Every rate, depth, number of channels and codec."""
    plain = {}
    found: dict[tuple[str, float | None], list[float]] = {}

    def compare(what: str, limit: float | None, source: Path, wanted: dict[str, float]) -> None:
        found.setdefault((what, limit), []).append(drift(recogniser.predict(source).scores, wanted))

    for name, (samples, own) in variants.sounds().items():
        plain[name] = recogniser.predict(samples, sample_rate=own).scores
        for rate in variants.RATES:
            path = folder / "a.flac"
            soundfile.write(path, variants.at_rate(samples, own, rate), rate, subtype="PCM_24")
            if rate >= recogniser.config.features.sample_rate:
                compare("sample rates from 22,050 to 192,000 Hz", LOSSLESS, path, plain[name])
                continue
            band = recogniser.predict(variants.band_limited(samples, own, rate), sample_rate=own).scores
            compare(f"{rate:,} Hz, beside the same band at {own:,} Hz", LOSSLESS, path, band)
            compare(f"{rate:,} Hz, beside the whole sound", None, path, plain[name])
        for subtype in variants.DEPTHS:
            soundfile.write(folder / "a.wav", samples, own, subtype=subtype)
            compare("16, 24, 32 bits, 32 and 64 bit floating point", LOSSLESS, folder / "a.wav", plain[name])
        held = recogniser.predict(variants.eight_bits(folder / "a.wav", samples, own), sample_rate=own).scores
        compare("8 bits, beside the samples that they hold", SAME, folder / "a.wav", held)
        compare("8 bits, beside the whole sound", None, folder / "a.wav", plain[name])
        for channels in variants.CHANNELS:
            many = np.repeat(samples[:, None], channels, axis=1)
            for suffix in ("wav", "flac"):
                soundfile.write(folder / f"a.{suffix}", many, own, subtype="PCM_16")
                compare("mono to 7.1, WAV and FLAC", LOSSLESS, folder / f"a.{suffix}", plain[name])
        for codec in variants.LOSSY:
            compare(codec.replace(".", ", ."), LOSSY, variants.lossy(folder, codec, samples, own), plain[name])
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
