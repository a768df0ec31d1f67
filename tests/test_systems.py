"""What other systems lack or do otherwise, simulated: Windows and macOS themselves are tried where there are such machines."""

from __future__ import annotations

import builtins
import errno
import importlib
import io
import os
import sys
import types
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import soundfile
from test_terminal import PREDICTION

from conftest import RATE, tone
from whoplays.audio import decoder
from whoplays.errors import UsageError, WhoplaysError
from whoplays.model import check
from whoplays.results import cut, query, tags
from whoplays.results.formats import writer
from whoplays.results.output import Folder
from whoplays.runtime import sandbox
from whoplays.storage import files

main: Any = importlib.import_module("whoplays.cli.main")  # the package has a function of that name


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that takes modules away, as on a system that has none of them."""

    def take(*names: str) -> None:
        imported = builtins.__import__

        def imports(name: str, *rest: Any, **more: Any) -> Any:
            if name in names:
                raise ImportError(name)
            return imported(name, *rest, **more)

        for name in names:
            monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.setattr(builtins, "__import__", imports)

    return take


def test_without_limits_a_process_goes_on_and_that_is_said(without: Any, tiny_model: Path) -> None:
    without("resource", "fcntl")
    sandbox.confine(1 << 20)
    assert not sandbox.available() and "no limits of memory and time" in sandbox.unlimited()
    assert check._memory_mb() == 0.0
    lines = list(check.check(tiny_model))
    assert [line for line in lines if sandbox.unlimited() in line] == [
        f"{sandbox.unlimited()}; the trial of the network is not confined"
    ]


def test_a_system_that_cannot_limit_memory_limits_the_rest_and_says_so(
    monkeypatch: pytest.MonkeyPatch, tiny_model: Path
) -> None:
    """MacOS: there is no /proc, and a limit of address space is not kept."""
    import resource

    assert sandbox.unlimited() == ""
    limited = []
    monkeypatch.setattr(sandbox, "address_space", lambda: 0)
    monkeypatch.setattr(resource, "setrlimit", lambda limit, values: limited.append(limit))
    sandbox.confine(1 << 20, processor_s=5)
    assert set(limited) == {resource.RLIMIT_CORE, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE}
    assert sandbox.unlimited().startswith("this system has no limit of memory for a process; use files of strangers")
    assert any("the trial of the network is not confined" in line for line in check.check(tiny_model))


def test_recordings_are_decoded_here_where_no_process_can(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(decoder, "POSSIBLE", False)
    monkeypatch.setattr(decoder.Decoder, "_started", lambda self: pytest.fail("a process was started"))
    for name in ("a.wav", "b.wav", "c.bin"):
        soundfile.write(tmp_path / name, tone(440.0, 0.5), RATE, format="WAV")
    without("resource", "fcntl")
    assert main.run(["predict", str(tmp_path), "--model", str(tiny_model), "--format", "csv", "-v", "--jobs", "2"]) == 0
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 4 and printed.err.count(sandbox.unlimited()) == 1


@pytest.mark.parametrize("times", [3, 99])
def test_a_file_that_somebody_has_open_is_replaced_as_soon_as_it_can_be(
    times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = []
    real = os.replace

    def replace(source: Any, target: Any) -> None:
        if len(refused) < times:
            refused.append(target)
            raise PermissionError(errno.EACCES, "Access is denied")
        real(source, target)

    path = tmp_path / "table.csv"
    path.write_text("old")
    monkeypatch.setattr(files, "_PAUSES_S", (0.0,) * 5)
    monkeypatch.setattr(files.os, "name", "nt")
    monkeypatch.setattr(files.os, "replace", replace)
    write = lambda: files.put_in_place(_part(tmp_path), path)  # noqa: E731
    if times == 3:
        write()
        assert path.read_text() == "new"
    else:
        with pytest.raises(PermissionError):
            write()
        assert path.read_text() == "old" and len(refused) == 6


def _part(folder: Path) -> str:
    part = str(folder / "part")
    with open(part, "w", encoding="utf-8") as file:  # noqa: PTH123 - while os.name says nt, no Path is made
        file.write("new")
    return part


def test_a_table_that_stays_open_elsewhere_is_reported_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: Any) -> None:
        raise PermissionError(errno.EACCES, "Access is denied")

    path = tmp_path / "r.json"
    path.write_text("old")
    monkeypatch.setattr(files.os, "replace", refuses)
    with pytest.raises(
        WhoplaysError, match=r"r\.json: cannot be written \(Access is denied\); what was there is unchanged"
    ):
        files.write_atomically(path, "new")
    recording = tmp_path / "a.flac"
    soundfile.write(recording, tone(440.0, 0.5), RATE)
    before = recording.read_bytes()
    with pytest.raises(WhoplaysError, match=r"cannot be tagged .*Access is denied"):
        tags.write(recording, PREDICTION)
    assert recording.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.flac", "r.json"]


def test_windows_locks_one_byte_for_all_beyond_the_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock there is of bytes, from where the file stands: at its end it would be of others each time, and seen by nobody."""
    locked = []

    def locking(descriptor: int, mode: int, count: int) -> None:
        place = os.lseek(descriptor, 0, os.SEEK_CUR)
        if (place, count) in locked:
            raise OSError(errno.EACCES, "Permission denied")
        locked.append((place, count))

    path = tmp_path / "journal"
    monkeypatch.setitem(sys.modules, "msvcrt", types.SimpleNamespace(locking=locking, LK_NBLCK=2))
    with open(path, "a+b") as first, open(path, "a+b") as second:  # noqa: PTH123
        monkeypatch.setattr(files.os, "name", "nt")
        files._lock(first)
        first.write(b"a line that moves the end")
        first.flush()
        with pytest.raises(OSError, match="Permission denied"):
            files._lock(second)
        assert locked == [(files._LOCKED_BYTE, 1)] and second.tell() == first.tell() == 25
        monkeypatch.undo()


def test_nobody_reading_is_an_invalid_argument_on_windows(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(sys, "stdout", Gone())
    monkeypatch.setattr(main.os, "name", "nt")
    assert main.run(["--version"]) == main.BROKEN_PIPE
    monkeypatch.undo()
    assert capsys.readouterr().err == ""


def test_names_that_differ_in_capitals_alone_have_files_of_their_own(tmp_path: Path) -> None:
    names = [str(tmp_path / name) for name in ("a.wav", "A.wav", "A.flac", "a.wav.mp3", "e\u0301.wav", "\xe9.wav")]
    output = Folder(tmp_path / "out", writer("json")([]), names, overwrite=False, tell=print)
    places = [output.path_of(name).name for name in names]
    assert len({unicodedata.normalize("NFC", place).lower() for place in places}) == len(names), places
    assert places == [output.path_of(name).name for name in names] and places[:2] == ["a.json", "A.wav.json"]
    cuts = [file.name for *_, file in cut.plan(tmp_path, [(name, [(0.0, 1.0)]) for name in names], overwrite=True)]
    assert len({unicodedata.normalize("NFC", name).lower() for name in cuts}) == len(names), cuts


def test_a_playlist_of_recordings_on_several_drives(monkeypatch: pytest.MonkeyPatch) -> None:
    import ntpath

    monkeypatch.setattr(query.os, "path", ntpath)
    found = [
        (1.0, replace(PREDICTION, path=path)) for path in (r"C:\music\lists\a.wav", r"C:\music\b.wav", r"D:\c.wav")
    ]
    entries = [line for line in query.playlist(found, Path(r"C:\music\lists")).splitlines() if line[0] != "#"]
    assert entries == ["a.wav", r"C:\music\b.wav", r"D:\c.wav"]


def test_recordings_on_several_drives(monkeypatch: pytest.MonkeyPatch) -> None:
    import ntpath

    monkeypatch.setattr(files.os, "path", ntpath)
    assert files.common_folder([r"C:\music\a", r"c:\music\b"]) == r"C:\music"
    with pytest.raises(UsageError, match="several drives"):
        files.common_folder([r"C:\music", r"D:\music"])
    assert files.common_folder([]) == ""


def test_how_a_process_ended_is_reported_on_every_system() -> None:
    ended = {-11: "SIGSEGV", -35: "signal 35", 3: "exit status 3", 0xC0000005: "exception 0xc0000005"}
    assert {status: sandbox.how_ended(status) for status in ended} == ended
