"""The beets plugin, driven by beets' own command on a library of its own, with recordings that are made here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from conftest import COMMAND_S

pytest.importorskip("beets", reason="beets is not installed")

SOURCE = Path(__file__).parents[1] / "src"
EXAMPLES = SOURCE / "whoplays" / "examples"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with beets' configuration, and music to import."""
    (tmp_path / "config.yaml").write_text(
        f"directory: {tmp_path / 'library'}\nlibrary: {tmp_path / 'library.db'}\nplugins: [whoplays]\n"
        "import: {copy: yes, autotag: no}\nthreaded: no\nwhoplays: {jobs: 1}\n"
    )
    music = tmp_path / "music"
    music.mkdir()
    for name in ("band", "violin-and-piano"):
        samples, rate = soundfile.read(EXAMPLES / f"{name}.ogg", frames=8 * 32000, start=4 * 32000)
        soundfile.write(music / f"{name}.flac", samples, rate)
    return tmp_path


def beet(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "BEETSDIR": str(home), "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "beets", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=COMMAND_S)


def paths(home: Path, *query: str) -> list[str]:
    done = beet(home, "ls", "-f", "$path", *query)
    assert done.returncode == 0, done.stderr
    return sorted(Path(line).stem for line in done.stdout.splitlines())


@pytest.mark.slow
def test_recordings_are_detected_when_imported_and_found_by_instrument(home: Path) -> None:
    done = beet(home, "import", "-q", str(home / "music"))
    assert done.returncode == 0, done.stderr
    both = paths(home)
    assert len(both) == 2
    strings = paths(home, "instruments:strings")
    assert strings and strings == paths(home, "instrument_strings:0.5..") and len(strings) == 1
    assert len(paths(home, "instruments:drums")) == 1 and paths(home, "instruments:drums") != strings
    assert paths(home, "instruments:string") == []  # a whole label, not a part of one
    shown = beet(home, "ls", "-f", "$instruments|$instrument_drums", "instruments:drums").stdout
    assert "drums" in shown.split("|")[0] and float(shown.split("|")[1]) > 0.5

    again = beet(home, "whoplays")
    assert again.returncode == 0 and "2 of 2 recordings are done" in again.stderr and again.stdout == ""
    assert beet(home, "modify", "-y", "title=Another").returncode == 0  # writes tags: the sound is the same
    assert beet(home, "whoplays").stdout == ""
    forced = beet(home, "whoplays", "-f", "instruments:drums")
    assert forced.returncode == 0 and "drums" in forced.stdout and len(forced.stdout.splitlines()) == 1


@pytest.mark.slow
def test_what_cannot_be_used_is_one_line_and_the_others_go_on_and_are_not_done_again(home: Path) -> None:
    (home / "config.yaml").write_text((home / "config.yaml").read_text().replace("{jobs: 1}", "{jobs: 1, auto: no}"))
    soundfile.write(home / "music" / "broken.flac", np.zeros(32000), 32000)
    assert beet(home, "import", "-q", str(home / "music")).returncode == 0
    assert paths(home, "instruments::.") == []  # not with `auto: no`
    broken = next((home / "library").rglob("*broken*"), None) or next(
        path for path in (home / "library").rglob("*.flac") if path.stat().st_size < 20_000
    )
    whole = broken.read_bytes()
    broken.write_bytes(b"nothing of the kind")
    done = beet(home, "whoplays")
    assert done.returncode == 1 and "1 of 3 recordings could not be used" in done.stderr
    assert sum("broken" in line or broken.name in line for line in done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr and len(paths(home, "instruments::.")) == 2
    broken.write_bytes(whole)
    assert len(beet(home, "whoplays", "-p").stdout.splitlines()) == 1  # the one that is left
    done = beet(home, "whoplays")
    assert done.returncode == 0 and "2 of 3 recordings are done" in done.stderr


@pytest.mark.slow
def test_a_model_that_is_none_is_one_line(home: Path) -> None:
    (home / "config.yaml").write_text(
        (home / "config.yaml").read_text().replace("{jobs: 1}", "{auto: no, model: /nowhere}")
    )
    assert beet(home, "import", "-q", str(home / "music")).returncode == 0
    done = beet(home, "whoplays")
    assert done.returncode == 1 and "/nowhere" in done.stderr and "Traceback" not in done.stderr
