"""What is finished is not lost: by empty input, wrong paths, missing packages, interrupts, or a second run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile
from test_cli import run

from conftest import COMMAND_S, RATE, tone
from whoplays.errors import UsageError, WhoplaysError
from whoplays.results import table
from whoplays.storage import files


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    folder = tmp_path / "recordings"
    folder.mkdir()
    for i in range(3):
        soundfile.write(folder / f"{i}.wav", tone(200.0 + 100 * i, 0.3), RATE)
    return folder


@pytest.mark.parametrize("name", ["keep.jsonl", "keep.csv", "keep.json", "keep.txt", "keep.rttm"])
def test_a_run_without_overwrite_leaves_a_finished_file(
    name: str, tiny_model: Path, recordings: Path, tmp_path: Path
) -> None:
    out = tmp_path / name
    common = ("--model", tiny_model, "--out", out)
    assert run("predict", recordings, *common).returncode == 0
    before = out.read_bytes()
    (tmp_path / "empty").mkdir()
    empty = run("predict", tmp_path / "empty", *common)
    assert empty.returncode == 1 and "holds no recordings" in empty.stderr
    wrong = run("predict", tmp_path / "nowhere.wav", *common)
    assert wrong.returncode == 2 and "exists already" in wrong.stderr and "--overwrite" in wrong.stderr
    assert ("--resume" in wrong.stderr) == (name in ("keep.jsonl", "keep.csv"))
    assert run("predict", recordings, "--out", out, "--model", tmp_path / "no-model").returncode != 0
    assert out.read_bytes() == before
    replaced = run("predict", recordings / "0.wav", *common, "--overwrite")
    assert replaced.returncode == 0 and out.read_bytes() != before
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["empty", name, "recordings"])


def test_a_table_is_not_replaced_by_failures_alone(tiny_model: Path, recordings: Path, tmp_path: Path) -> None:
    out = tmp_path / "keep.jsonl"
    common = ("--model", tiny_model, "--out", out)
    assert run("predict", recordings, *common).returncode == 0
    before = out.read_bytes()
    wrong = run("predict", tmp_path / "nowhere.wav", *common, "--overwrite")
    assert wrong.returncode == 1 and "is unchanged, since no recording could be used" in wrong.stderr
    assert out.read_bytes() == before
    assert run("predict", recordings / "0.wav", tmp_path / "nowhere.wav", *common, "--overwrite").returncode == 1
    assert len(out.read_text().splitlines()) == 2


@pytest.mark.parametrize("how", ["--overwrite", "", "new"])
def test_an_interrupt_leaves_a_finished_table(how: str, tiny_model: Path, recordings: Path, tmp_path: Path) -> None:
    out = tmp_path / "keep.jsonl"
    common = ["--model", str(tiny_model), "--out", str(out)]
    if how != "new":
        assert run("predict", recordings, *common).returncode == 0
    before = out.read_bytes() if how != "new" else b""
    many = tmp_path / "many"
    many.mkdir()
    for i in range(400):
        os.link(recordings / f"{i % 3}.wav", many / f"{i:03d}.wav")
    command = [
        sys.executable,
        "-m",
        "whoplays",
        "predict",
        str(many),
        *common,
        *([how] if how == "--overwrite" else []),
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    journal = tmp_path / "keep.jsonl.journal"
    while process.poll() is None and not (journal.exists() and journal.read_bytes().count(b"\n") > 3):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=COMMAND_S)
    if how == "new":  # there was nothing to lose: what was done so far is a table
        assert process.returncode == 130 and 0 < len(list(table.read(out))) < 400
        return
    assert out.read_bytes() == before
    assert "--resume" in err
    assert process.returncode == (130 if how else 2)
    resumed = run("predict", many, *common, "--resume")
    assert resumed.returncode == 0 and len(list(table.read(out))) == 403


def test_files_in_a_folder_of_results_are_kept(tiny_model: Path, recordings: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["predict", recordings, "-m", tiny_model, "--out-dir", out, "-j", "1"]
    assert run(*arguments).returncode == 0
    kept = sorted(out.rglob("*.json"))[-1]
    kept.write_text("mine")
    for other in sorted(out.rglob("*.json"))[:-1]:
        other.unlink()
    refused = run(*arguments)
    assert refused.returncode == 2 and str(kept) in refused.stderr and "--overwrite" in refused.stderr
    assert [path.read_text() for path in out.rglob("*.json")] == ["mine"]
    assert run(*arguments, "--overwrite").returncode == 0
    assert kept.read_text() != "mine"


def test_a_folder_of_results_is_continued(tiny_model: Path, recordings: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["predict", recordings, "-m", tiny_model, "--out-dir", out, "-j", "1"]
    assert run(*arguments).returncode == 0
    first, second, *others = sorted(out.rglob("*.json"))
    for path in others:
        path.write_text("mine")
    first.unlink()
    os.utime(second, (0, 0))  # its recording was changed since
    second.write_text("old")
    os.utime(second, (0, 0))
    resumed = run(*arguments, "--resume")
    n = 2 + len(others)
    assert resumed.returncode == 0 and f"{len(others)} of {n} recordings have a result already" in resumed.stderr
    assert json.loads(first.read_text())["scores"] and json.loads(second.read_text())["scores"]
    assert all(path.read_text() == "mine" for path in others)


def test_a_missing_extra_is_reported_before_anything_is_written(recordings: Path, tmp_path: Path) -> None:
    out = tmp_path / "keep.jsonl"
    for flags in (["--cluster", "local"], ["--plot", str(tmp_path / "a.png")]):
        code = (
            "import sys\n"
            "for name in ('ray', 'matplotlib'): sys.modules[name] = None\n"
            "from whoplays.cli import main\n"
            f"sys.argv = ['whoplays', 'predict', {str(recordings / '0.wav')!r}, '--out', {str(out)!r}, *{flags!r}]\n"
            "main()"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 2 and "not installed" in done.stderr and done.stderr.count("\n") == 1, done.stderr
        assert not list(tmp_path.glob("keep*"))


def test_a_missing_extra_leaves_no_data_set_folder(class_folders: Path, tmp_path: Path) -> None:
    words = ["dataset", "build", str(class_folders), "--out", str(tmp_path / "d"), "--cluster", "local"]
    code = f"import sys; sys.modules['ray'] = None\nfrom whoplays.cli import main\nsys.argv = ['whoplays', *{words!r}]\nmain()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2 and "not installed" in done.stderr
    assert not (tmp_path / "d").exists()


def test_a_report_is_replaced_only_by_one_with_a_recording(tiny_model: Path, recordings: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert run("predict", recordings, "--model", tiny_model, "--report", page).returncode == 0
    before = page.read_bytes()
    failed = run("predict", tmp_path / "nowhere.wav", "--model", tiny_model, "--report", page)
    assert failed.returncode == 1 and "not written" in failed.stderr
    assert page.read_bytes() == before
    slip = run("predict", recordings / "1.wav", "--model", tiny_model, "--report", recordings / "0.wav")
    assert slip.returncode == 2 and "*.html" in slip.stderr
    assert soundfile.info(recordings / "0.wav").frames


def test_a_playlist_is_replaced_only_by_one_with_a_recording(
    tiny_model: Path, recordings: Path, tmp_path: Path
) -> None:
    results, playlist = tmp_path / "r.jsonl", tmp_path / "p.m3u8"
    run("predict", recordings, "--model", tiny_model, "--out", results)
    assert run("find", results, "duration > 0", "--playlist", playlist).returncode == 0
    before = playlist.read_bytes()
    assert "unchanged" in run("find", results, "duration > 999", "--playlist", playlist).stderr
    assert playlist.read_bytes() == before
    run("find", results, "duration > 999", "--playlist", playlist, "--overwrite")
    assert playlist.read_text() == "#EXTM3U\n"


def test_a_place_that_cannot_be_written_is_reported_before_the_work(
    tiny_model: Path, recordings: Path, tmp_path: Path
) -> None:
    for flag, name in (("--out", "no/r.jsonl"), ("--report", "no/r.html"), ("--plot", "no/r.png")):
        done = run("predict", recordings / "0.wav", "--model", tiny_model, flag, tmp_path / name)
        assert done.returncode == 1 and "there is no folder" in done.stderr and done.stdout == ""


def test_files_written_together_replace_all_or_none(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_text("old")
    with pytest.raises(RuntimeError), files.together():
        files.write_atomically(first, "new")
        files.write_atomically(second, "new")
        raise RuntimeError
    assert first.read_text() == "old" and [path.name for path in tmp_path.iterdir()] == ["a"]
    with files.together():
        files.write_atomically(first, "new")
        files.write_atomically(second, "new")
        assert first.read_text() == "old"
    assert first.read_text() == second.read_text() == "new"
    second.unlink()
    second.mkdir()
    with pytest.raises(WhoplaysError, match="cannot be written"), files.together():
        files.write_atomically(second, "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_a_file_that_exists_is_named_with_the_ways_out(tmp_path: Path) -> None:
    path = tmp_path / "a"
    files.check_output(path, overwrite=False)
    path.write_text("")
    files.check_output(path, overwrite=False)
    path.write_text("x")
    files.check_output(path, overwrite=True)
    with pytest.raises(UsageError, match="exists already; --resume adds to it, --overwrite replaces it"):
        files.check_output(path, overwrite=False, instead="--resume adds to it")
    with pytest.raises(UsageError, match="is a folder"):
        files.check_output(tmp_path, overwrite=True)


def test_an_evaluation_that_fails_leaves_the_one_before(
    trained_model: Path, small_dataset: Path, tmp_path: Path
) -> None:
    from whoplays.evaluation import evaluate

    out = tmp_path / "report"
    evaluate.evaluate(trained_model, small_dataset, out, draws=0)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.MonkeyPatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(evaluate, "evaluation_page", lambda *a: (_ for _ in ()).throw(RuntimeError))
        evaluate.evaluate(trained_model, small_dataset, out, draws=10)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_an_export_does_not_take_the_place_of_a_recording(trained_model: Path, recordings: Path) -> None:
    done = run("export", trained_model, "--out", recordings / "0.wav")
    assert done.returncode == 2 and "*.onnx" in done.stderr
    assert soundfile.info(recordings / "0.wav").frames
    shutil.rmtree(recordings)
