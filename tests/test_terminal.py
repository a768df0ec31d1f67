"""The strip as it stands on a terminal, kept character by character, and what decides its look."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from whoplays.audio.quality import QualityWarning
from whoplays.inference.prediction import Prediction, Segment
from whoplays.inference.segmentation import over_cells
from whoplays.results.formats.text import Text
from whoplays.results.terminal import Look, levels_over
from whoplays.taxonomy.catalogue import catalogue

FAMILIES = catalogue().labels_for(catalogue().defaults)

SNAPSHOTS = Path(__file__).parent / "snapshots"
EDGES = np.arange(0.0, 18.1, 0.5)
TIMES = EDGES[:-1]
CURVE = np.stack(
    [
        np.full(36, 0.02),
        np.where(TIMES < 12, 0.01, 0.95),
        np.full(36, 0.1),
        np.linspace(0.55, 0.99, 36),
        np.where((TIMES > 5) & (TIMES < 9), 0.85, 0.1),
    ],
    axis=1,
).astype(np.float32)
PREDICTION = Prediction(
    path="song.ogg",
    duration=18.0,
    sample_rate=44100,
    model="tiny@1",
    scores={"brass": 0.02, "drums": 0.97, "guitar": 0.31, "piano": 0.94, "strings": 0.83},
    playing=["drums", "piano", "strings"],
    segments=[
        Segment("piano", 0.0, 18.0, 0.77),
        Segment("strings", 5.5, 9.0, 0.85),
        Segment("drums", 12.0, 18.0, 0.95),
    ],
    frame_scores=CURVE,
    frame_times=EDGES,
    warnings=[QualityWarning("quiet", "its loudest sample is at -50 dBFS", "record at a higher level")],
)


@pytest.mark.parametrize("colour", [False, True], ids=["plain", "colour"])
@pytest.mark.parametrize("width", [80, 160])
def test_the_strip_is_as_it_was(width: int, colour: bool) -> None:
    """A changed picture is looked at, then its snapshot is written anew."""
    shown = Text(FAMILIES, "en", Look(width, colour)).item(PREDICTION)
    kept = SNAPSHOTS / f"strip-{width}{'-colour' if colour else ''}.txt"
    assert shown == kept.read_text(encoding="utf-8")
    bare = shown if not colour else "".join(part.partition("m")[2] for part in ("\x1b[m" + shown).split("\x1b[")[1:])
    assert max(map(len, bare.splitlines())) <= width


def test_other_terminals() -> None:
    ascii_only = Text(FAMILIES, "pl", Look(80, False, unicode=False)).item(PREDICTION)
    strips = [line.split()[-1] for line in ascii_only.splitlines()[1:4]]
    assert all(len(strip) > 30 and set(strip) <= set("._-=+*%#") for strip in strips)
    narrow = Text(FAMILIES, "pl", Look(40)).item(PREDICTION).splitlines()[1:7]
    assert narrow[-1].startswith(("  nie znaleziono: ", "    "))
    assert max(map(len, narrow)) <= 40


def test_without_a_curve_the_segments_are_drawn() -> None:
    again = Prediction.from_dict(PREDICTION.to_dict())
    levels = levels_over(again, FAMILIES, 36)
    assert (levels[1] > 0).sum() == 12 and (levels[3] > 0).all() and not levels[0].any()


def test_a_part_of_a_recording_keeps_its_times() -> None:
    from dataclasses import replace

    part = replace(PREDICTION, frame_times=EDGES + 60, segments=[Segment("piano", 69.0, 78.0, 0.9)], playing=["piano"])
    shown = Text(FAMILIES, "en", Look(80)).item(part)
    assert "1:00" in shown and "1:18" in shown
    assert (levels_over(part, FAMILIES, 36)[3] > 0).sum() == 18


def test_a_file_name_cannot_steer_the_terminal() -> None:
    from dataclasses import replace

    shown = Text(FAMILIES, "en", Look(80)).item(replace(PREDICTION, path="a\x1b[2Jb\r\n.wav"))
    assert "\x1b" not in shown and shown.startswith("a?[2Jb??.wav")


def test_what_is_no_terminal_gets_plain_text() -> None:
    assert Look.of(io.StringIO()) is None


def test_colour_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        encoding = "UTF-8"

        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "123")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert Look.of(Terminal()) == Look(123, True, True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert Look.of(Terminal()) == Look(123, False, True)


def test_cells_hold_the_mean_of_what_they_cover() -> None:
    scores = np.array([[0.0], [1.0], [0.5]])
    edges = np.array([0.0, 1.0, 2.0, 4.0])
    np.testing.assert_allclose(over_cells(scores, edges, np.array([0.0, 2.0, 4.0]))[:, 0], [0.5, 0.5])
    np.testing.assert_allclose(over_cells(scores, edges, np.array([0.5, 1.5, 2.5]))[:, 0], [0.5, 0.75])
    np.testing.assert_allclose(over_cells(scores, edges, np.array([4.0, 5.0]))[:, 0], [0.5])


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("columns", [80, 160])
@pytest.mark.parametrize("colour", [True, False])
def test_the_command_on_a_real_terminal(tiny_model: Path, duet: Path, columns: int, colour: bool) -> None:
    import pty

    leader, follower = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm-256color", "PYTHONUTF8": "1"}
    environment.pop("NO_COLOR", None)
    if not colour:
        environment["NO_COLOR"] = "1"
    command = [sys.executable, "-m", "whoplays", "predict", str(duet), "--model", str(tiny_model), "--threshold", "0"]
    process = subprocess.Popen(command, stdout=follower, stderr=subprocess.DEVNULL, env=environment)
    os.close(follower)
    content = b""
    with contextlib.suppress(OSError):  # how Linux reports that the other end is closed
        while part := os.read(leader, 65536):
            content += part
    os.close(leader)
    assert process.wait() == 0
    lines = re.sub(r"\x1b\[[0-9;]*m", "", content.decode()).splitlines()
    assert len(lines[1]) == columns - 1 and lines[1].startswith("  brass ")
    assert (b"\x1b[" in content) == colour


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_a_progress_bar_leaves_standard_output_alone(tiny_model: Path, duet: Path, tmp_path: Path) -> None:
    import pty

    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "whoplays", "predict", duet, duet, "--model", tiny_model, "--format", "jsonl"]
    with (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=follower)
    os.close(follower)
    with contextlib.suppress(OSError):
        while os.read(leader, 65536):
            pass
    os.close(leader)
    assert process.wait() == 0
    assert [json.loads(line)["path"] for line in (tmp_path / "out").read_text().splitlines()] == [str(duet)] * 2


@pytest.mark.parametrize("with_curve", [True, False])
def test_a_stretch_is_drawn_however_short_beside_a_cell(with_curve: bool) -> None:
    """Eighteen notes of two seconds in ten minutes, where a cell is 17 seconds wide."""
    from dataclasses import replace

    edges = np.arange(0.0, 600.5, 0.5)
    starts = 5.0 + 33.3 * np.arange(18)
    curve = np.zeros((1200, 5), dtype=np.float32)
    segments = []
    for start in starts:
        segments.append(Segment("guitar", float(start), float(start) + 2.0, 0.9))
        curve[(edges[:-1] >= start - 0.5) & (edges[:-1] < start + 2.0), 2] = 0.9
    long = replace(PREDICTION, duration=600.0, segments=segments, playing=["guitar"])
    long = replace(long, frame_scores=curve, frame_times=edges) if with_curve else Prediction.from_dict(long.to_dict())
    levels = levels_over(long, FAMILIES, 36)[2]
    cells = {int(time // (600 / 36)) for start in starts for time in (start, start + 1.99)}
    assert set(np.flatnonzero(levels)) == cells and len(cells) >= 18
    assert 0 < levels[levels > 0].max() < 0.3  # shaded by how much of the cell is played
    whole = replace(long, segments=[Segment("guitar", 0.0, 600.0, 0.9)])
    if not with_curve:
        np.testing.assert_allclose(levels_over(whole, FAMILIES, 36)[2], 0.9)


def test_a_short_stretch_has_a_beginning_and_an_end() -> None:
    from whoplays.results.formats.base import span

    assert span(75.4, 80.2) == "1:15-1:20"
    assert span(2.6, 3.4) == "0:02.6-0:03.4"
    assert span(3.96, 4.04) == "0:03.96-0:04.04"
    assert span(3599.96, 3600.2) == "1:00:00.0-1:00:00.2"
