"""Recordings of any length: beyond 4 GB, through every decoder, in memory that does not grow, window by window."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from conftest import COMMAND_S, RATE, tone
from whoplays.audio import opening, reading
from whoplays.examples import synth
from whoplays.inference.recogniser import Recogniser

GIB = 1 << 30


def sparse_wav(path: Path, data: int, *, riff: bytes = b"RIFF", claimed: int, tail: bytes = b"") -> None:
    """A stereo 16-bit WAV of `data` bytes of samples that takes no room on the disk; `tail` are its last."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 2, 48000, 4 * 48000, 4, 16)
    wide = struct.pack("<4sIQQQI", b"ds64", 28, data + 72, data, data // 4, 0) if riff == b"RF64" else b""
    head = (
        riff
        + struct.pack("<I", min(claimed + 36, 0xFFFFFFFF))
        + b"WAVE"
        + wide
        + form
        + b"data"
        + struct.pack("<I", claimed)
    )
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + data)
        file.seek(-len(tail), os.SEEK_END)
        file.write(tail)


def sparse_w64(path: Path, data: int, tail: bytes) -> None:
    """The same as Sony Wave64, whose sizes have 64 bits: libsndfile's own header, with other sizes."""
    soundfile.write(path, np.zeros((16, 2), np.int16), 48000, format="W64", subtype="PCM_16")
    with path.open("r+b") as file:
        head = bytearray(file.read())
        at = head.index(b"data")
        head[16:24] = struct.pack("<Q", at + 24 + data)
        head[at + 16 : at + 24] = struct.pack("<Q", 24 + data)
        file.seek(0)
        file.write(head[: at + 24])
        file.truncate(at + 24 + data)
        file.seek(-len(tail), os.SEEK_END)
        file.write(tail)


@pytest.mark.parametrize(
    "kind", ["RF64", "W64", "size unknown", "size zero", "size as it remains of 32 bits", "bytes, size unknown"]
)
@pytest.mark.slow
def test_the_end_of_a_file_beyond_4_gb_is_read(tmp_path: Path, kind: str) -> None:
    data = 5 * GIB
    end = (np.repeat(tone(440.0, rate=48000), 2) * 32767).astype("<i2").tobytes()
    path = tmp_path / "long.wav"
    if kind == "W64":
        path = path.with_suffix(".w64")
        sparse_w64(path, data, end)
    elif kind == "RF64":
        sparse_wav(path, data, riff=b"RF64", claimed=0xFFFFFFFF, tail=end)
    else:
        claimed = {"size zero": 0, "size as it remains of 32 bits": data % (1 << 32)}.get(kind, 0xFFFFFFFF)
        sparse_wav(path, data, claimed=claimed, tail=end)
    seconds = data / 4 / 48000
    with path.open("rb") if kind.startswith("bytes") else io.BytesIO() as file:
        source = file if kind.startswith("bytes") else path
        assert opening.probe(source).duration == pytest.approx(seconds)
        samples = reading.load(source, sample_rate=RATE, start=seconds - 2)
    assert len(samples) == pytest.approx(2 * RATE, abs=2)
    assert np.abs(samples[: RATE - 500]).max() < 1e-3  # the silence before
    assert np.abs(samples[RATE + 500 :]).max() == pytest.approx(0.5, abs=0.01)


def test_a_header_that_claims_little_is_believed_in_a_small_file(tmp_path: Path) -> None:
    sparse_wav(tmp_path / "small.wav", 4 * 48000, claimed=4 * 24000)
    assert opening.probe(tmp_path / "small.wav").duration == 0.5


MEASURE = """
import sys
from pathlib import Path
from whoplays.inference.recogniser import Recogniser
answer = Recogniser(sys.argv[1]).predict(sys.argv[2])
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
print(answer.duration, int(status["VmHWM"].split()[0]) / 1024)
"""


def peak_memory(model: Path, file: Path) -> tuple[float, float]:
    """Length in seconds, and the peak memory (MB) of a process that predicts the file."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, model, file], capture_output=True, text=True, check=True, timeout=COMMAND_S
    )
    duration, megabytes = map(float, done.stdout.split())
    return duration, megabytes


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="the system does not tell a process's greatest memory"
)
@pytest.mark.parametrize("kind", ["wav", "mkv"])
@pytest.mark.slow
def test_memory_does_not_grow_with_the_recording(tiny_model: Path, tmp_path: Path, kind: str) -> None:
    durations, peaks = [], []
    for minutes in (2, 40):  # what it holds: 10 MB and 212 MB as samples at the model's rate
        path = tmp_path / f"{minutes}.{kind}"
        if kind == "wav":
            soundfile.write(path, np.zeros(8000 * 60 * minutes, np.int16), 8000)
        else:
            long_video(path, minutes * 60)
        duration, peak = peak_memory(tiny_model, path)
        durations.append(duration)
        peaks.append(peak)
    assert durations == pytest.approx([120, 2400], abs=1)
    assert peaks[1] < 300
    assert peaks[1] - peaks[0] < 20, "memory grows with the length of the recording"


def long_video(path: Path, seconds: int) -> None:
    """A Matroska file whose one minute of sound is there again and again, with rising times."""
    import av

    with av.open(str(path), "w") as file:
        stream = file.add_stream("pcm_s16le", rate=8000, layout="mono")
        for second in range(seconds):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts = 8000, second * 8000
            file.mux(stream.encode(frame))


@pytest.mark.parametrize("rate", [RATE, 44100])
def test_scores_over_time_do_not_depend_on_where_the_recording_starts(tmp_path: Path, rate: int) -> None:
    """With the model that ships: what starts a whole number of windows later has the same windows from the second on."""
    recogniser = Recogniser()
    config = recogniser.config
    hop_s = config.window_s - 2 * config.context_s
    music = [["guitar"], ["drums", "piano"], ["strings"]]
    whole = np.concatenate(
        [synth.recording(who, duration_s=12, seed=i, sample_rate=rate) for i, who in enumerate(music)]
    )
    soundfile.write(tmp_path / "whole.wav", whole, rate, subtype="FLOAT")
    soundfile.write(tmp_path / "later.wav", whole[round(hop_s * rate) :], rate, subtype="FLOAT")
    one, later = recogniser.predict(tmp_path / "whole.wav"), recogniser.predict(tmp_path / "later.wav")
    steps = later.frame_times[:-1] > config.window_s
    same = np.searchsorted(one.frame_times, later.frame_times[:-1][steps] + hop_s - 1e-3)
    np.testing.assert_allclose(one.frame_times[same], later.frame_times[:-1][steps] + hop_s, atol=1e-3)
    # A cut changes what the resampler gives for a few milliseconds each side, which can move a value to the next integer.
    limit = 1e-4 if rate == RATE else 0.02
    np.testing.assert_allclose(one.frame_scores[same], later.frame_scores[steps], atol=limit)
