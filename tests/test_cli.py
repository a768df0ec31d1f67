"""The command as people and scripts meet it: as a process, by its exit status, its two streams and its words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from conftest import RATE, tone

COMMANDS = [[], ["predict"], ["find"], ["listen"], ["dataset"], ["dataset", "build"]]


def run(*arguments: str | Path, stdin: bytes | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "whoplays", *map(str, arguments)]
    env = {**os.environ, "COLUMNS": "100", **environment}
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=120, env=env)
    return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(command: list[str]) -> None:
    done = run(*command, "--help")
    assert done.returncode == 0
    assert "Usage" in done.stdout


def test_json_lines_one_for_each_recording_in_order_and_failures_in_their_place(
    tiny_model: Path, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "b.wav", tone(440.0), RATE)
    soundfile.write(tmp_path / "a.wav", tone(440.0), RATE)
    (tmp_path / "c.wav").write_bytes(b"no audio")
    done = run("predict", tmp_path / "b.wav", tmp_path, "missing.flac", "--model", tiny_model, "--format", "jsonl")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [Path(line["path"]).name for line in lines] == ["b.wav", "a.wav", "b.wav", "c.wav", "missing.flac"]
    assert ["error" in line for line in lines] == [False, False, False, True, True]
    assert lines[0]["scores"] == lines[2]["scores"]
    assert done.returncode == 1
    assert "missing.flac: no such file" in done.stderr
    assert "2 of 5" in done.stderr
    assert "Traceback" not in done.stderr


def test_standard_input_is_a_recording(tiny_model: Path, duet: Path) -> None:
    piped = run("predict", "-", "--model", tiny_model, "--format", "jsonl", stdin=duet.read_bytes())
    file = run("predict", duet, "--model", tiny_model, "--format", "jsonl")
    assert (piped.returncode, file.returncode) == (0, 0)
    assert json.loads(piped.stdout)["path"] == "-"
    assert json.loads(piped.stdout)["scores"] == json.loads(file.stdout)["scores"]
    empty = run("predict", "-", "--model", tiny_model, "--format", "jsonl", stdin=b"")
    assert empty.returncode == 1 and json.loads(empty.stdout) == {
        "path": "-",
        "error": "standard input is empty (0 bytes)",
    }


def test_python_and_command_agree(tiny_model: Path, duet: Path) -> None:
    import whoplays

    line = run("predict", duet, "--model", tiny_model, "--format", "jsonl").stdout
    assert json.loads(line) == whoplays.load(tiny_model).predict(duet).to_dict()


def test_out_is_written_whole_and_named_by_its_ending(tiny_model: Path, duet: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.wav"
    soundfile.write(other, tone(440.0), RATE)
    for name in ("r.jsonl", "r.csv", "r.json"):
        done = run("predict", duet, other, "--model", tiny_model, "--out", tmp_path / name)
        assert done.returncode == 0 and done.stdout == ""
        assert str(duet) in (tmp_path / name).read_text()
    assert len((tmp_path / "r.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["predict"], "Missing argument"),
        (["predict", "x.wav", "--format", "xml"], "text, json, jsonl"),
        (["predict", "x.wav", "--lang", "fr"], "en or pl"),
        (["predict", "x.wav", "--out", "x.xyz"], "--format"),
        (["predict", "x.wav", "--start", "5", "--end", "4"], "not after"),
        (["predict", "x.wav", "y.wav", "--format", "jams"], "one recording"),
        (["dataset", "build", "nowhere", "--out", "o", "--per-class", "none"], "a number of clips"),
        (["dataset", "build", "nowhere", "--out", "o", "--pitch", "up"], "separated by commas"),
        (["sing"], "No such command"),
    ],
)
def test_wrong_usage_is_status_2_and_one_clear_line(arguments: list[str], words: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "whoplays", *arguments], capture_output=True, text=True, cwd=tmp_path, timeout=60
    )
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_a_model_that_is_none_is_one_line(tmp_path: Path, duet: Path) -> None:
    done = run("predict", duet, "--model", tmp_path / "none")
    assert done.returncode == 1
    assert done.stderr.strip() == f"whoplays: {tmp_path / 'none'}: no such model folder"


def test_the_whole_way_of_a_build(class_folders: Path, tmp_path: Path) -> None:
    done = run("dataset", "build", class_folders, "--out", tmp_path / "set", "--test", "0.25", "--validation", "0.25")
    assert done.returncode == 0, done.stderr
    assert "training: 12 rows from 12 recordings; clips: drums 4, guitar 4, strings 4" in done.stderr
    assert "Next: whoplays train" in done.stderr
    assert done.stdout == ""


def test_a_closed_pipe_is_no_error_message(tiny_model: Path, tmp_path: Path) -> None:
    for i in range(30):
        soundfile.write(tmp_path / f"{i:02d}.wav", np.zeros(RATE // 2), RATE)
    command = f"{sys.executable} -m whoplays predict {tmp_path} --model {tiny_model} --format json | head -c 1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.stdout == "["
    assert done.stderr == ""
