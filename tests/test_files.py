"""Files that are whole or not there, and folders with one writer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import COMMAND_S
from whoplays.errors import WhoplaysError
from whoplays.storage import files


def test_a_reader_sees_the_old_or_the_new_file_and_nothing_is_left_over(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    files.write_atomically(path, "old")

    def fails(file) -> None:
        file.write(b"half")
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        files.write_atomically(path, fails)
    assert path.read_text() == "old"
    files.write_atomically(path, b"new")
    assert path.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_the_system_says_why_it_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(WhoplaysError, match="No such file or directory"):
        files.write_atomically(tmp_path / "nowhere" / "a.txt", "x")
    (tmp_path / "file").write_text("x")
    with pytest.raises(WhoplaysError, match="a file of that name is there"):
        files.make_folder(tmp_path / "file")


def test_numbers_that_json_has_no_word_for_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "a.json", {"x": float("nan")})
    files.write_json(tmp_path / "a.json", {"name": "perkusja ę"})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"name": "perkusja ę"}
    assert "ę" in (tmp_path / "a.json").read_text(encoding="utf-8")


def test_new_files_have_the_usual_permissions(tmp_path: Path) -> None:
    files.write_atomically(tmp_path / "a", "x")
    (tmp_path / "b").write_text("x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_a_folder_has_one_writer_and_a_killed_one_holds_nothing(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from whoplays.storage.files import only_writer\n"
        "with only_writer(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(3600)"
    )
    other = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None and other.stdout.readline() == "held\n"
    with pytest.raises(WhoplaysError, match="another whoplays is writing there"), files.only_writer(tmp_path):
        pass
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    deadline = time.monotonic() + COMMAND_S
    while time.monotonic() < deadline:
        try:
            with files.only_writer(tmp_path):
                break
        except WhoplaysError:
            time.sleep(0.05)
    assert not list(tmp_path.iterdir())
