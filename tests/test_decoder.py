"""A file that ends, stops or bloats its decoder costs its own line, and the others go on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

import whoplays
from conftest import COMMAND_S
from whoplays.audio import decoder, reading
from whoplays.errors import AudioError, ReadError
from whoplays.examples import synth
from whoplays.inference import batch
from whoplays.runtime.environment import DECODE_APART

pytestmark = pytest.mark.skipif(not decoder.POSSIBLE, reason="decoding processes need a POSIX system")

#: What happens when a file of such a name is opened: Python loads this in every process before anything else.
EVIL = """
import os, signal, sys, time
def decoding():  # bytes alone, as for a checksum, harm nobody
    frame = sys._getframe(1)
    while frame and os.path.join("whoplays", "audio") not in frame.f_code.co_filename:
        frame = frame.f_back
    return frame is not None
def watch(event, arguments):
    if event != "open" or not isinstance(arguments[0], (str, bytes)) or not decoding():
        return
    name = os.path.basename(os.fsdecode(arguments[0])).partition(".wav")[0]
    if name == "crash": os.kill(os.getpid(), signal.SIGSEGV)
    if name == "abort": os.abort()
    if name == "stuck": time.sleep(600)
    if name == "greedy": bytearray(8 << 30)
    if name == "shout": os.write(1, b"x" * 100)
    if name == "writer": os.write(os.open(arguments[0].replace("writer.wav", "written"), os.O_CREAT | os.O_WRONLY), b"x")
sys.addaudithook(watch)
"""


@pytest.fixture
def evil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of eight recordings, five of which break their decoder."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(EVIL)
    before = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "site"), *filter(None, [before])]))
    folder = tmp_path / "recordings"
    folder.mkdir()
    for i, name in enumerate(("a", "abort", "b", "crash", "greedy", "m", "shout", "z")):
        samples = synth.recording(["guitar"], duration_s=1.5, seed=i, sample_rate=22050)
        soundfile.write(folder / f"{name}.wav", samples, 22050)
    return folder


def test_the_answer_is_that_of_decoding_here(duet: Path, tiny_model: Path) -> None:
    recogniser = whoplays.load(tiny_model)
    here = recogniser.predict(duet, start=1.25, duration=6)
    there = list(batch.predict_files(recogniser, [str(duet)] * 2, start=1.25, duration=6, jobs=1))
    assert [result.to_dict() for result in there] == [here.to_dict()] * 2
    assert np.array_equal(there[0].frame_scores, here.frame_scores)


def test_what_breaks_a_decoder_costs_one_line(evil: Path, tiny_model: Path) -> None:
    command = [sys.executable, "-m", "whoplays", "predict", str(evil), "--model", str(tiny_model), "--format", "jsonl"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_S, check=False)
    assert ended.returncode == 1, ended.stderr
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    errors = {Path(line["path"]).stem: line.get("error", "") for line in lines}
    assert list(errors) == sorted(errors) and len(errors) == 8
    assert (
        "SIGSEGV" in errors["crash"] and "SIGABRT" in errors["abort"] and "GiB" in errors["greedy"] and errors["shout"]
    )
    assert not any(errors[name] for name in ("a", "b", "m", "z"))
    assert "Traceback" not in ended.stderr
    assert len([line for line in ended.stderr.splitlines() if not line.startswith("Predicting: ")]) <= 6


def test_a_decoder_that_is_stuck_is_ended(evil: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (evil / "a.wav").rename(evil / "stuck.wav")
    one = decoder.Decoder()
    one.decode(str(evil / "b.wav"), sample_rate=22050)
    one.close()
    monkeypatch.setattr(decoder, "STUCK_S", 1.0)
    with pytest.raises(AudioError, match="gave nothing for 1 s"):
        one.decode(str(evil / "stuck.wav"), sample_rate=22050)
    monkeypatch.undo()


def test_a_decoder_cannot_write_files(evil: Path) -> None:
    (evil / "a.wav").rename(evil / "writer.wav")
    one = decoder.Decoder()
    with pytest.raises(AudioError):
        one.decode(str(evil / "writer.wav"), sample_rate=22050)
    one.close()
    assert (evil / "written").stat().st_size == 0


def test_a_data_set_is_built_around_what_breaks_its_decoder(evil: Path, tmp_path: Path) -> None:
    from whoplays import dataset

    source = tmp_path / "classes"
    for name in ("guitar", "piano"):
        (source / name).mkdir(parents=True)
    for i, file in enumerate(sorted(evil.iterdir())):
        if file.stem not in ("shout", "greedy"):
            (source / ("guitar", "piano")[i % 2] / file.name).write_bytes(file.read_bytes())
    settings = dataset.BuildSettings(per_class=0, test=0.0, validation=0.0)
    summary = dataset.build(source, tmp_path / "out", settings, jobs=2)
    causes = {Path(item.name).stem: item.cause for item in summary.skipped}
    assert set(causes) == {"abort", "crash"} and "SIGSEGV" in causes["crash"]
    assert summary.rows["training"] == 4
    assert DECODE_APART not in os.environ
    for bad in causes:
        next(source.rglob(f"{bad}.wav")).unlink()
    dataset.build(source, tmp_path / "plain", settings, jobs=1)
    shard = "training-00000.npy"
    assert (tmp_path / "out" / shard).read_bytes() == (tmp_path / "plain" / shard).read_bytes()


def test_decoders_print_nothing_of_their_own(tmp_path: Path, tiny_model: Path) -> None:
    file = tmp_path / "damaged.mp3"
    soundfile.write(file, synth.recording(["guitar"], duration_s=6, seed=1, sample_rate=22050), 22050)
    content = bytearray(file.read_bytes())
    content[5000:9000] = bytes(4000)
    file.write_bytes(content)
    (tmp_path / "again.mp3").write_bytes(content)
    for paths in ([file], [file, tmp_path / "again.mp3"]):
        command = [sys.executable, "-m", "whoplays", "predict", *map(str, paths), "--model", str(tiny_model)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_S, check=False)
        ours = ("whoplays: ", "In 2 recordings: ", "Predicting: ")
        assert all(line.startswith(ours) for line in ended.stderr.splitlines()), ended.stderr


@pytest.mark.parametrize("failed", [True, False])
def test_a_failing_disk_is_distinguished_from_a_bad_file(failed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    one = decoder.Decoder()
    message = json.dumps({"error": "cannot be read", "kind": "read" if failed else "audio"}).encode()
    parts = iter([decoder._HEAD.pack(b"f", len(message)), message])
    monkeypatch.setattr(one, "_read", lambda size: bytearray(next(parts)))
    with pytest.raises(AudioError, match="cannot be read") as raised:
        one.frame()
    assert isinstance(raised.value, ReadError) == failed


def test_one_that_is_left_early_is_ended(duet: Path) -> None:
    one = decoder.Decoder()
    blocks: Iterator[np.ndarray] = one.decode(str(duet), sample_rate=22050).blocks()
    assert len(next(blocks))
    process = one._process
    assert process is not None
    blocks.close()  # type: ignore[attr-defined]
    assert process.poll() is not None
    assert len(reading.whole(one.decode(str(duet), sample_rate=22050))) == 12 * 22050
    one.close()
