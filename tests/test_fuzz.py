"""Every door for a moment (see fuzz/run.py for longer), and all that was ever found."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from conftest import COMMAND_S

FUZZ = Path(__file__).parents[1] / "fuzz"
FOUND = sorted(path for path in (FUZZ / "found").glob("*/*") if path.is_file())

pytestmark = [
    pytest.mark.fuzz,
    pytest.mark.skipif(sys.platform != "linux", reason="the fuzzer counts on Linux"),
]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(FUZZ / "run.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_S, check=False)


def test_every_door_for_a_moment() -> None:
    for needed in ("pyarrow", "mutagen", "fastapi", "httpx"):
        pytest.importorskip(needed, reason=f"{needed} is not installed")
    ended = run("all")
    assert ended.returncode == 0, ended.stdout + ended.stderr[-3000:]
    assert ended.stdout.count(" 0 findings") == len(ended.stdout.splitlines()) >= 25


def test_what_was_found_once_is_found_no_more() -> None:
    """All in one process, which is none of ours: some of it ended processes."""
    assert len(FOUND) > 50
    ended = run("all", "--replay")
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    assert ended.stdout.splitlines()[-1] == f"{len(FOUND)} tried again"


def test_the_fuzzer_reports_what_it_finds(tmp_path: Path) -> None:
    """A door with a crash, an endless loop and an exception behind it: each is found, and what lies between goes on."""
    code = f"""
import os, signal, sys, time
from pathlib import Path
sys.path.insert(0, {str(FUZZ)!r})
import run
from doors import Door
run.HERE, run.PATIENCE = Path({str(tmp_path)!r}), 2
def open_to_all(data, scratch):
    if data == b"3": os.kill(os.getpid(), signal.SIGSEGV)
    if data == b"5": time.sleep(60)
    if data == b"7": bytearray(4 << 30)
    if data == b"8": raise KeyError("eight")
door = Door("broken", lambda: [b"0"], open_to_all, lambda data, rng, **more: b"%d" % rng.randrange(10), timeout=5.0)
tried, found = run.fuzz(door, runs=60, seed=1)
print(tried, sorted(path.read_bytes() for path in found))
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=COMMAND_S, check=False)
    assert ended.stdout.splitlines()[-1].endswith("[b'3', b'5', b'7', b'8']"), ended.stdout + ended.stderr
