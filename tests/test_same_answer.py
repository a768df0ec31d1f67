"""One sound, one answer: whatever its sample rate, depth, channels and codec, the way it comes in, and the processor."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import variants
from variants import drift

import whoplays

LOSSLESS, LOSSY = 0.02, 0.1  # of a score, which runs from 0 to 1
SAME = 1e-4

Scores = dict[str, dict[str, float]]


@pytest.fixture(scope="module")
def recogniser() -> whoplays.Recogniser:
    return whoplays.load()


@pytest.fixture(scope="module")
def sounds() -> dict[str, tuple[np.ndarray, int]]:
    return variants.sounds()


@pytest.fixture(scope="module")
def plain(recogniser: whoplays.Recogniser, sounds) -> Scores:
    """What the sounds score as samples."""
    return {name: recogniser.predict(x, sample_rate=rate).scores for name, (x, rate) in sounds.items()}


@pytest.mark.parametrize("rate", variants.RATES)
def test_sample_rates(rate: int, recogniser, sounds, plain: Scores, tmp_path: Path) -> None:
    """A rate that holds the model's whole band changes nothing; a lower one scores as the band that it holds."""
    for name, (samples, own) in sounds.items():
        path = tmp_path / f"{name}.flac"
        soundfile.write(path, variants.at_rate(samples, own, rate), rate, subtype="PCM_24")
        wanted = plain[name]
        if rate < recogniser.config.features.sample_rate:
            left = variants.band_limited(samples, own, rate)
            wanted = recogniser.predict(left, sample_rate=own).scores
        assert drift(recogniser.predict(path).scores, wanted) <= LOSSLESS, name


@pytest.mark.parametrize("subtype", variants.DEPTHS)
def test_depths(subtype: str, recogniser, sounds, plain: Scores, tmp_path: Path) -> None:
    for name, (samples, rate) in sounds.items():
        soundfile.write(tmp_path / "a.wav", samples, rate, subtype=subtype)
        assert drift(recogniser.predict(tmp_path / "a.wav").scores, plain[name]) <= LOSSLESS, name


def test_eight_bits_score_as_the_samples_that_they_hold(recogniser, sounds, tmp_path: Path) -> None:
    """What eight bits cannot hold is lost in the file; what they hold is read exactly."""
    samples, rate = sounds["band"]
    held = variants.eight_bits(tmp_path / "a.wav", samples, rate)
    wanted = recogniser.predict(held, sample_rate=rate).scores
    assert drift(recogniser.predict(tmp_path / "a.wav").scores, wanted) <= SAME


@pytest.mark.parametrize("channels", variants.CHANNELS)
@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_channels(channels: int, suffix: str, recogniser, sounds, plain: Scores, tmp_path: Path) -> None:
    samples, rate = sounds["brass-quartet"]
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, np.repeat(samples[:, None], channels, axis=1), rate, subtype="PCM_16")
    assert drift(recogniser.predict(path).scores, plain["brass-quartet"]) <= LOSSLESS


@pytest.mark.parametrize("name", variants.LOSSY)
def test_lossy_codecs(name: str, recogniser, sounds, plain: Scores, tmp_path: Path) -> None:
    for sound, (samples, rate) in sounds.items():
        path = variants.lossy(tmp_path, name, samples, rate)
        assert drift(recogniser.predict(path).scores, plain[sound]) <= LOSSY, sound


# --- ways in


def test_every_way_in_gives_the_same_scores(recogniser, tmp_path: Path) -> None:
    """File, samples, samples bit by bit, the command (also by its standard input), HTTP and the WebSocket."""
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    from test_serve import talk

    from serving import serving

    samples, rate = soundfile.read(variants.EXAMPLES / "violin-and-piano.ogg", dtype="float32", always_2d=True)
    one = samples.mean(axis=1, dtype=np.float32)
    path = tmp_path / "a.wav"
    soundfile.write(path, one, rate, subtype="FLOAT")
    wanted = recogniser.predict(path).scores
    pieces = (one[at : at + 1000] for at in range(0, len(one), 1000))
    found = {
        "samples": recogniser.predict(one, sample_rate=rate).scores,
        "bit by bit": recogniser.predict_stream(pieces, sample_rate=rate).scores,
        "command": _command([str(path)])["scores"],
        "standard input": _command(["-"], path.read_bytes())["scores"],
    }
    with serving(None, live=1) as server:  # type: ignore[arg-type]
        found["HTTP"] = server.post(path).json()["scores"]
        found["WebSocket"] = talk(server, one, rate)[-1]["result"]["scores"]
    assert {way: drift(scores, wanted) <= SAME for way, scores in found.items()} == dict.fromkeys(found, True)


def _command(given: list[str], sent: bytes | None = None, **environment: str) -> dict:
    command = [sys.executable, "-m", "whoplays", "predict", *given, "--format", "jsonl"]
    done = subprocess.run(command, input=sent, capture_output=True, check=True, env={**os.environ, **environment})
    return json.loads(done.stdout)


# --- processors


@pytest.mark.parametrize("threads", [1, 2])
def test_threads(threads: int, sounds, plain: Scores) -> None:
    samples, rate = sounds["band"]
    with_threads = whoplays.Recogniser(threads=threads)
    assert drift(with_threads.predict(samples, sample_rate=rate).scores, plain["band"]) <= SAME


@pytest.mark.slow
def test_numpy_without_wide_registers(plain: Scores) -> None:
    """numpy and its BLAS as on a processor without AVX-512 (python -m bench same_answer emulates a whole one)."""
    narrow = {"OPENBLAS_CORETYPE": "Haswell"}
    if disabled := _wide_features():
        narrow["NPY_DISABLE_CPU_FEATURES"] = " ".join(disabled)
    path = variants.EXAMPLES / "band.ogg"
    assert drift(_command([str(path)], **narrow)["scores"], plain["band"]) <= SAME


def _wide_features() -> list[str]:
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    return [name for name in __cpu_dispatch__ if name.startswith(("AVX512", "X86_V4")) and __cpu_features__.get(name)]


def test_the_page_on_guarantees_shows_what_was_measured() -> None:
    from bench import measure
    from bench.robustness import same_answer

    shown = same_answer.page_text(json.loads((measure.FOLDER / "same_answer.json").read_text()))
    assert f"<!-- measured: same answer -->\n{shown}\n<!-- end: same answer -->" in same_answer.PAGE.read_text(
        encoding="utf-8"
    )
    assert all(line.count("|") == 5 for line in shown.splitlines() if line.startswith("|"))
