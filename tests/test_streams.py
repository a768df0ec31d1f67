"""The command with standard streams that are closed, full, or in another encoding."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from conftest import COMMAND_S, RATE, tone

pytestmark = pytest.mark.skipif(os.name != "posix", reason="streams are closed by a POSIX shell")


def shell(words: str, tiny_model: Path, folder: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run `whoplays predict` in `folder` by a shell, which does what `words` say with the streams."""
    return shell_of(f"predict --model {tiny_model} {words}", folder, **environment)


def shell_of(words: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    env = {**os.environ, **environment}
    command = f"{sys.executable} -m whoplays {words}"
    return subprocess.run(["sh", "-c", command], capture_output=True, cwd=folder, env=env, timeout=COMMAND_S)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "żółw é 🎻.wav", tone(440.0, 0.3), RATE)
    return tmp_path


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
def test_letters_that_the_encoding_lacks_are_escaped(encoding: str, tiny_model: Path, folder: Path) -> None:
    again = f"{sys.executable} -m whoplays predict --model {tiny_model} --format"
    done = shell(f"--format jsonl . && {again} csv . && {again} text .", tiny_model, folder, PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    line, table = done.stdout.decode(encoding).split("\n", 1)
    assert json.loads(line)["path"] == "żółw é 🎻.wav"
    assert "w " in list(csv.reader(table.splitlines()))[1][0]
    assert table.splitlines()[2].startswith("\\u017c")
    ran = shell_of("config", folder, PYTHONIOENCODING=encoding, WHOPLAYS_MODEL="żółw")
    assert ran.returncode == 0 and b"\\u017c" in ran.stdout, ran.stderr


CLOSED = b"whoplays: standard output is closed; open it, or name a file where the command can write one (--out)\n"


def test_closed_streams(tiny_model: Path, folder: Path) -> None:
    out = shell("--format jsonl . >&-", tiny_model, folder)
    assert (out.returncode, out.stderr) == (1, CLOSED)
    kept = shell("--out r.jsonl . >&- 2>&- <&-", tiny_model, folder)
    assert kept.returncode == 0 and len((folder / "r.jsonl").read_text().splitlines()) == 1
    quiet = shell("--format jsonl missing.wav . 2>&-", tiny_model, folder)
    assert quiet.returncode == 1
    assert ["error" in json.loads(line) for line in quiet.stdout.splitlines()] == [True, False]  # and no message in it
    stdin = shell("--format jsonl - <&-", tiny_model, folder)
    assert stdin.returncode == 1 and json.loads(stdin.stdout)["error"] == "standard input is closed"
    listed = shell("--list - <&-", tiny_model, folder)
    assert listed.returncode == 2 and listed.stderr == b"whoplays: --list -: standard input is closed\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_under_standard_output(tiny_model: Path, folder: Path) -> None:
    done = shell("--format csv . >/dev/full", tiny_model, folder)
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1 and b"standard output cannot be written (No space left" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize(
    "words", ["--help", "predict --help", "--version", "config", "models check", "completion bash"]
)
def test_every_command_says_that_its_output_went_nowhere(words: str, tmp_path: Path) -> None:
    full = shell_of(f"{words} >/dev/full", tmp_path)
    assert full.returncode == 1 and b"standard output cannot be written (No space left" in full.stderr
    closed = shell_of(f"{words} >&-", tmp_path)
    assert closed.returncode == 1 and closed.stderr.endswith(CLOSED)
