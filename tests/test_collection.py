"""A table of results through everything that can happen to it: kills at any moment, changes, failures, two writers."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from test_cli import run
from test_formats import FAILURE, LABELS, PREDICTION

from conftest import COMMAND_S, RATE, tone
from whoplays.errors import UsageError, WhoplaysError
from whoplays.inference.prediction import Failure
from whoplays.results import resumable_table, table


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve short recordings and one that is none."""
    (tmp_path / "in").mkdir()
    for i in range(12):
        soundfile.write(tmp_path / "in" / f"{i:02d}.wav", tone(200.0 + 100 * i, 0.3), RATE)
    (tmp_path / "in" / "bad.wav").write_bytes(b"no audio")
    return tmp_path / "in"


def paths_in(out: Path) -> list[str]:
    return [row["path"] for row in table.read(out)]


@pytest.mark.parametrize("suffix", table.SUFFIXES)
def test_what_is_done_and_unchanged_is_skipped(suffix: str, tiny_model: Path, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / f"r{suffix}"
    first = run("predict", folder, "--model", tiny_model, "--out", out)
    assert first.returncode == 1 and first.stdout == ""
    assert paths_in(out) == sorted(map(str, folder.iterdir()))
    assert not out.with_name(out.name + ".journal").exists()
    before = {row["path"]: row for row in table.read(out)}
    soundfile.write(folder / "03.wav", tone(3000.0, 0.4), RATE)
    soundfile.write(folder / "new.wav", tone(3000.0, 0.4), RATE)
    again = run("predict", folder, "--model", tiny_model, "--out", out, "--resume")
    assert again.returncode == 0, again.stderr
    assert "12 of 14 recordings are done and unchanged" in again.stderr
    after = {row["path"]: row for row in table.read(out)}
    assert sorted(after) == sorted(map(str, folder.iterdir())) and len(paths_in(out)) == 14
    assert {p for p in before if before[p] != after[p]} == {str(folder / "03.wav")}
    retried = run("predict", folder, "--model", tiny_model, "--out", out, "--resume", "--retry")
    assert retried.returncode == 1 and "bad.wav: is not a recording" in retried.stderr
    assert len(paths_in(out)) == 14


def test_another_model_or_part_is_another_result(tiny_model: Path, folder: Path, tmp_path: Path) -> None:
    from conftest import write_tiny_model

    out = tmp_path / "r.jsonl"
    run("predict", folder, "--model", tiny_model, "--out", out)
    other = write_tiny_model(tmp_path / "other", name="other")
    done = run("predict", folder / "00.wav", "--model", other, "--out", out, "--resume")
    assert "unchanged" not in done.stderr
    models = [row.get("model") for row in table.read(out)]
    assert models.count("other@1") == 1 and models.count("tiny@1") == 11


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.slow
def test_killed_at_any_moment_no_result_is_lost_or_doubled(
    seed: int, tiny_model: Path, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "r.parquet"
    journal = tmp_path / "r.parquet.journal"
    for i in range(12, 400):
        os.link(folder / f"{i % 12:02d}.wav", folder / f"{i:03d}.wav")
    command = [sys.executable, "-m", "whoplays", "predict", str(folder), "--model", str(tiny_model), "--out", str(out)]
    chance = random.Random(seed)
    seen = 0
    for attempt in range(3):
        process = subprocess.Popen([*command, *(["--resume"] if attempt else [])], stderr=subprocess.DEVNULL)
        wanted = seen + chance.randrange(1, 90)
        while process.poll() is None and (not journal.exists() or journal.read_bytes().count(b"\n") < wanted):
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if journal.exists():
            whole = [line for line in journal.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
            names = [json.loads(line)["path"] for line in whole]
            assert len(set(names)) == len(names) >= seen
            seen = len(names)
    finished = subprocess.run([*command, "--resume"], capture_output=True, text=True)
    assert f"{seen} of 401 recordings are done" in finished.stderr or not journal.exists()
    assert sorted(paths_in(out)) == sorted(map(str, folder.iterdir()))
    assert not journal.exists()


@pytest.mark.parametrize("cut", [1, 30, 200])
def test_a_line_that_was_cut_off_is_no_line(cut: int, tmp_path: Path) -> None:
    out = tmp_path / "r.jsonl"
    with resumable_table.Collection(out, resume=False) as kept:
        kept.add(PREDICTION.to_dict(), "1")
        kept.add(FAILURE.to_dict(), "2")
    journal = tmp_path / "r.jsonl.journal"
    journal.write_bytes(journal.read_bytes() + journal.read_bytes()[:cut])
    with pytest.raises(UsageError, match="--resume"):
        resumable_table.Collection(out, resume=False)
    with resumable_table.Collection(out, resume=True) as kept:
        assert len(kept) == 2
        assert kept.is_done(PREDICTION.path, "1") and not kept.is_done(PREDICTION.path, "9")
        assert kept.is_done("bad.wav", "2") and not kept.is_done("bad.wav", "2", retry=True)
        kept.add(Failure("third.wav", "x").to_dict(), "3")
        kept.merge(LABELS)
    assert [row["seen"] for row in table.read(out)] == ["1", "2", "3"]


def test_results_are_held_on_disk_not_in_memory(tmp_path: Path) -> None:
    """Of each recording memory holds its path and its mark, however long the result."""
    tracemalloc.start()
    with resumable_table.Collection(tmp_path / "r.jsonl", resume=False) as kept:
        before = tracemalloc.get_traced_memory()[0]
        for i in range(500):
            kept.add(Failure(f"{i}.wav", "x" * 10_000).to_dict(), "mark")
        assert tracemalloc.get_traced_memory()[0] - before < 500 * 1000
        tracemalloc.stop()
        kept.add(Failure("7.wav", "analysed again").to_dict(), "mark")
        errors = [row["error"] for row in kept.rows()]
        assert len(kept) == len(errors) == 500 and errors[7] == "analysed again" and len(errors[8]) == 10_000
        assert [result.path for result in kept.results(["8.wav", "no.wav"])] == ["8.wav"]
        kept.merge(LABELS)
    assert [path.name for path in tmp_path.iterdir()] == ["r.jsonl"]


def test_killed_between_table_and_journal_nothing_is_doubled(tmp_path: Path) -> None:
    out = tmp_path / "r.csv"
    with resumable_table.Collection(out, resume=False) as kept:
        kept.add(FAILURE.to_dict(), "2")
    left = (tmp_path / "r.csv.journal").read_bytes()
    with resumable_table.Collection(out, resume=True) as kept:
        kept.merge(LABELS)
    (tmp_path / "r.csv.journal").write_bytes(left)
    with resumable_table.Collection(out, resume=True) as kept:
        kept.merge(LABELS)
    assert paths_in(out) == ["bad.wav"]


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    with (
        resumable_table.Collection(tmp_path / "r.csv", resume=False),
        pytest.raises(WhoplaysError, match="another whoplays"),
    ):
        resumable_table.Collection(tmp_path / "r.csv", resume=True)


def test_a_full_disk_is_one_line_and_the_table_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "r.jsonl"
    with resumable_table.Collection(out, resume=False) as kept:
        kept.add(FAILURE.to_dict(), "1")
        kept.merge(LABELS)
    before = out.read_bytes()
    with resumable_table.Collection(out, resume=True) as kept:

        class Full:
            def write(self, data: bytes) -> None:
                raise OSError(28, "No space left on device")

        real, kept._file = kept._file, Full()  # type: ignore[assignment]
        with pytest.raises(WhoplaysError, match=r"No space left.*; r\.jsonl\.journal holds .* --resume continues"):
            kept.add(PREDICTION.to_dict(), "2")
        kept._file = real
    with resumable_table.Collection(out, resume=True) as kept:
        kept.add(PREDICTION.to_dict(), "3")
        no_room = lambda *_: (_ for _ in ()).throw(WhoplaysError("no room"))  # noqa: E731
        monkeypatch.setattr(kept, "_kind", kept._kind._replace(write=no_room))
        with pytest.raises(WhoplaysError, match=r"no room; r\.jsonl\.journal holds"):
            kept.merge(LABELS)
    assert out.read_bytes() == before


def test_a_list_on_standard_input(tiny_model: Path, folder: Path) -> None:
    some = [folder / "05.wav", folder / "01.wav"]
    for text in ("\n".join(map(str, some)) + "\n", "\0".join(map(str, some)) + "\0"):
        done = run("predict", "--list", "-", "--model", tiny_model, "--format", "jsonl", stdin=text.encode())
        assert [json.loads(line)["path"] for line in done.stdout.splitlines()] == list(map(str, some))
    assert run("predict", "--list", "-", stdin=b"\n").returncode == 2
    assert run("predict", "--list", folder / "none").returncode == 2


@pytest.mark.parametrize("table_out", [True, False])
def test_a_watched_folder(table_out: bool, tiny_model: Path, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.jsonl"
    how = ["--out", str(out), "--resume"] if table_out else ["--format", "jsonl"]
    command = [sys.executable, "-m", "whoplays", "predict", str(folder), "--watch", "--every", "0.1", *how]
    with (tmp_path / "printed").open("wb") as printed:
        process = subprocess.Popen(
            [*command, "--model", str(tiny_model)], stdout=printed, stderr=subprocess.PIPE, text=True
        )
    where = out if table_out else tmp_path / "printed"

    def wait_for(count: int) -> None:
        until = time.monotonic() + COMMAND_S
        while time.monotonic() < until and process.poll() is None:
            if where.exists() and len(where.read_bytes().splitlines()) >= count:
                return
            time.sleep(0.05)
        raise AssertionError(f"{where.read_text()}\n{process.poll()}")

    wait_for(13)
    soundfile.write(folder / "late.wav", tone(500.0, 0.5), RATE)
    wait_for(14)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=COMMAND_S)
    assert "stopped" in err and "Traceback" not in err, err
    lines = [json.loads(line) for line in where.read_text().splitlines()]
    assert [Path(line["path"]).name for line in lines][-1] == "late.wav"
    assert len({line["path"] for line in lines}) == 14


def test_a_file_that_grows_is_left_alone_until_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([{"b": "1"}, {"b": "2"}, {"b": "2"}, {"b": "2"}, {"b": "2"}, {"b": "3"}, {"b": "3"}, {"b": "3"}])
    monkeypatch.setattr(resumable_table, "marks", lambda given, how: {"a": "1", **next(looks)})
    found = resumable_table.watch(["folder"], {"a": "1"}, every_s=0.0)
    assert next(found) == ["b"]  # at the third look; the fourth is its mark once it is predicted
    assert next(found) == ["b"] and not list(looks)[1:]  # it has changed, and stands again


def test_names_that_are_no_utf8(tiny_model: Path, tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/caf\xe9.wav"
    soundfile.write(tmp_path / "a.wav", tone(440.0, 0.3), RATE)
    (tmp_path / "a.wav").rename(os.fsdecode(name))
    for suffix in table.SUFFIXES:
        out = tmp_path / f"r{suffix}"
        for _ in range(2):
            done = subprocess.run(
                [sys.executable, "-m", "whoplays", "predict", name, "--model", tiny_model, "--out", out, "--resume"],
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stderr
        assert "1 of 1 recordings are done" in done.stderr
        assert len(paths_in(out)) == 1
    printed = subprocess.run(
        [sys.executable, "-m", "whoplays", "predict", name, "--model", tiny_model, "--format", "jsonl"],
        capture_output=True,
    )
    assert os.fsencode(json.loads(printed.stdout)["path"]) == name


@pytest.mark.parametrize(
    "arguments",
    [
        ["x.wav", "--resume"],
        ["x.wav", "--out", "r.csv", "--retry"],
        ["x.wav", "--format", "parquet"],
        ["x.wav", "--watch", "--format", "json"],
        ["x.wav", "--watch", "--out", "r.txt"],
        ["-", "-"],
    ],
)
def test_options_that_do_not_go_together(arguments: list[str], tmp_path: Path) -> None:
    done = run("predict", *arguments)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr


def test_marks_hold_time_size_and_model(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1")
    first = resumable_table.mark(str(path), "m")
    assert first == resumable_table.mark(str(path), "m") != resumable_table.mark(str(path), "n")
    os.utime(path, ns=(1, 1))
    assert resumable_table.mark(str(path), "m") != first
    assert resumable_table.mark(str(tmp_path / "none"), "m") == "missing-m"
    assert resumable_table.how("a", 0.0, None) != resumable_table.how("a", 0.0, 1.0)
    assert np.unique([resumable_table.how("a", 0.0, None)] * 2).size == 1
