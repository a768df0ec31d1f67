"""Which files of a folder are recordings: those that the decoders open; and what else is said of a folder."""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from test_cli import run

from conftest import RATE, tone
from whoplays.audio import opening
from whoplays.audio.search import ENDINGS, search


def make(path: Path, container: str, codec: str) -> Path:
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream(codec, rate=48000, layout="stereo")
        both = np.stack([tone(440.0, 0.5, 48000)] * 2)
        for first in range(0, both.shape[1], 1024):
            part = np.ascontiguousarray(both[:, first : first + 1024])
            if stream.format.name in ("s16", "u8"):
                part = (part.T.reshape(1, -1) * 10_000).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(part, format=stream.format.name, layout="stereo")
            frame.sample_rate, frame.pts = 48000, first
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


#: names as devices and programs give them: (name, container, codec)
KINDS = [
    ("00000.MTS", "mpegts", "ac3"),
    ("a.m2ts", "mpegts", "aac"),
    ("VTS_01_1.VOB", "vob", "ac3"),
    ("a.m4r", "mp4", "aac"),
    ("a.3g2", "3g2", "aac"),
    ("a.eac3", "eac3", "eac3"),
    ("a.voc", "voc", "pcm_s16le"),
    ("a.f4v", "mp4", "aac"),
    ("a.nut", "nut", "aac"),
    ("a.ts", "mpegts", "aac"),
    ("a.mkv.part", "matroska", "aac"),
    ("no-ending", "wav", "pcm_s16le"),
]


def test_what_the_decoders_open_is_a_recording_whatever_its_name(tmp_path: Path) -> None:
    for name, container, codec in KINDS:
        assert opening.probe(make(tmp_path / name, container, codec)).channels == 2, name
    others = {
        "notes.txt": b"some words",
        "module.ts": b"export const rate: number = 44100;\n" * 500,
        "cover.jpg": b"\xff\xd8\xff\xe0" + bytes(5000),
        "a.zip": b"PK\3\4" + bytes(5000),
        "table.bin": bytes(range(256)) * 40,
        "empty": b"",
        "polish.txt": "zażółć gęślą jaźń ".encode() * 500,
    }
    for name, content in others.items():
        (tmp_path / name).write_bytes(content)
    found = search(tmp_path)
    assert sorted(path.name for path in found.recordings) == sorted(name for name, _, _ in KINDS)
    assert found.ignored == len(others) and found.problems == []


def test_order_hidden_files_and_damaged_recordings(tmp_path: Path) -> None:
    for name in ("b/2.flac", "b/1.WAV", "a.mp3", ".hidden.wav", "b/notes.txt", ".git/x.wav"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(b"x")
    found = search(tmp_path)
    assert [p.relative_to(tmp_path).as_posix() for p in found.recordings] == ["a.mp3", "b/1.WAV", "b/2.flac"]
    assert found.ignored == 2  # what lies in a hidden folder is not counted


def closed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the system refuse to list a folder: rights do not stop root, and a network disk that is gone has none."""
    real = os.scandir

    def scandir(path):
        if Path(path) == folder:
            raise OSError(107, "Transport endpoint is not connected", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)


def test_a_folder_that_cannot_be_entered_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shut").mkdir()
    soundfile.write(tmp_path / "a.wav", tone(440.0), RATE)
    closed(tmp_path / "shut", monkeypatch)
    found = search(tmp_path)
    assert [path.name for path in found.recordings] == ["a.wav"]
    assert found.problems == [(str(tmp_path / "shut"), "cannot be entered (Transport endpoint is not connected)")]
    closed(tmp_path, monkeypatch)
    assert [path for path, _ in search(tmp_path).problems] == [str(tmp_path)]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp3")
    (tmp_path / "gone.mp3").symlink_to(tmp_path / "nowhere.mp3")
    found = search(tmp_path)
    assert [path.name for path in found.recordings] == ["gone.mp3"], "reported as missing when it is read"
    assert found.ignored == 1


def test_links_are_not_followed_and_that_is_said(tmp_path: Path) -> None:
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "folder"
    elsewhere.mkdir()
    (folder / "real").mkdir(parents=True)
    (folder / "out").symlink_to(elsewhere)
    (folder / "in").symlink_to(folder / "real")
    (folder / "loop").symlink_to(folder)
    (folder / "dangling.bin").symlink_to(tmp_path / "nowhere")
    found = search(folder)
    assert [Path(path).name for path, _ in found.links] == ["out"]
    assert found.recordings == [] and found.ignored == 1


def test_a_data_set_reports_what_was_not_entered(
    class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    from whoplays.dataset.sources import read_source

    folders = tmp_path / "classes"
    shutil.copytree(class_folders, folders)
    (folders / "guitar" / "shut").mkdir()
    (folders / "drums" / "notes.txt").write_text("x")
    closed(folders / "guitar" / "shut", monkeypatch)
    _, clips, skipped = read_source(folders)
    assert len(clips) == 24
    assert [(Path(one.name).name, one.cause) for one in skipped] == [
        ("drums", "1 file in it ignored (not recordings)"),
        ("shut", "cannot be entered (Transport endpoint is not connected)"),
    ]


def test_the_command_counts_what_it_ignores_and_fails_for_what_it_could_not_enter(
    tiny_model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    soundfile.write(folder / "a.wav", tone(440.0), RATE)
    make(folder / "b.nut", "nut", "aac")
    (folder / "notes.txt").write_text("x")
    done = run("predict", folder, "--model", tiny_model, "--format", "csv")
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 3
    assert f"{folder}: 1 file ignored (not recordings)" in done.stderr


def test_the_command_fails_for_what_it_could_not_enter(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write(tmp_path / "a.wav", tone(440.0), RATE)
    (tmp_path / "shut").mkdir()
    command = ["predict", str(tmp_path), "--model", str(tiny_model), "--format", "csv"]
    main = importlib.import_module("whoplays.cli.main")
    assert main.run(command) == 0
    capsys.readouterr()
    closed(tmp_path / "shut", monkeypatch)
    assert main.run(command) == 1
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 2
    assert printed.err == f"whoplays: {tmp_path / 'shut'}: cannot be entered (Transport endpoint is not connected)\n"
    closed(tmp_path, monkeypatch)
    assert main.run(command) == 1
    assert "there is no recording to read" in (err := capsys.readouterr().err) and "holds no recordings" not in err


def test_the_page_accepts_the_same_endings_from_a_folder() -> None:
    script = Path(opening.__file__).parents[1] / "serve" / "page" / "js" / "folders.js"
    endings = re.search(r"SOUND = /\\\.\(([a-z0-9|]+)\)\$/i", script.read_text(encoding="utf-8"))
    assert endings and {f".{name}" for name in endings[1].split("|")} == ENDINGS
