"""The command as people and scripts meet it: its words, its help, its exit status and its two streams."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import example, given
from hypothesis import strategies as st

import whoplays
from conftest import COMMAND_S, RATE, invoke, tone
from whoplays.cli import commands, output
from whoplays.cli.parser import described
from whoplays.model import folder as model_folder

#: packages that predicting a WAV or FLAC never needs
NEVER = (
    "typer", "click", "pydantic", "pydantic_core", "rich", "pygments", "av", "fastapi", "starlette", "uvicorn", "keras",
    "tensorflow", "matplotlib", "pyarrow", "scipy", "librosa", "numba", "sklearn", "ray", "torch", "jax", "yt_dlp", "mutagen",
    "sounddevice", "PIL", "pandas", "polars", "asyncio", "http", "ssl", "multiprocessing", "email", "importlib.metadata",
    "shtab", "difflib",
)  # fmt: skip
#: Other packages that a plain prediction may load, and of the standard library and ours all that it may: what another file,
#: another output or an option needs is loaded with that.
MAY_LOAD = {"whoplays", "numpy", "soundfile", "soxr", "onnxruntime", "cffi", "pycparser", "typing_extensions"}
BESIDE_PACKAGES = {
    "argparse", "atexit", "copy", "dataclasses", "gc", "gettext", "glob", "hashlib", "importlib.util", "ipaddress", "json",
    "json.decoder", "json.encoder", "json.scanner", "ntpath", "numpy.fft", "numpy.typing", "pathlib", "unicodedata", "urllib",
    "urllib.parse",
}  # fmt: skip
OURS = {
    "audio": "clock containers content flac libsndfile opening parts quality reader reading times windows",
    "cli": "commands main options output parser predict recordings settings",
    "inference": "batch embedding prediction recogniser scoring segmentation source",
    "model": "config device folder pooling thresholds",
    "results": "formats formats.base formats.text output",
    "runtime": "arguments interrupts packages",
    "storage": "address files streams",
    "taxonomy": "messages tree",
}
NOT_IN_ROOMS = {"errors", "features", "hf", "sklearn"}  # the last two: names of modules that are loaded later


def run(*arguments: str | Path, stdin: bytes | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "whoplays", *map(str, arguments)]
    env = {**os.environ, "COLUMNS": "100", **environment}
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=COMMAND_S, env=env)
    return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())


def parsed(*words: str):
    return commands.parse(words)


# --- help


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_every_command_explains_itself(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Usage, an example that can be parsed, and one line for each option, on a terminal of 120 columns."""
    monkeypatch.setenv("COLUMNS", "120")
    done = invoke(*name.split(), "--help")
    assert done.status == 0 and done.stderr == ""
    assert done.stdout.startswith(f"Usage: whoplays {name}")
    parser = commands.parser_of(name)
    assert parser.example.startswith(f"whoplays {name}")
    words = shlex.split(parser.example.split(" > ")[0])
    assert commands.parse(words[1:]).run
    for action in parser._actions:
        assert action.help and action.help[0].isupper() and not action.help.endswith("."), action
        shown = action.option_strings[-1] if action.option_strings else action.metavar
        assert re.search(rf"{re.escape(shown)}.* {re.escape(described(action))}\n", done.stdout), shown


def test_the_overview_names_every_command() -> None:
    done = invoke("--help")
    assert done.status == 0
    for name, command in commands.COMMANDS.items():
        assert f"  {name:<18} {command.summary}\n" in done.stdout
    bare = invoke()
    assert bare.status == 2 and bare.stdout == "" and "Usage" in bare.stderr
    assert "audioset plan" in invoke("audioset", "-h").stdout
    assert invoke("--version").stdout == f"whoplays {whoplays.__version__}\n"


def test_the_command_reference_is_current() -> None:
    root = Path(__file__).parents[1]
    page = root / "docs" / "reference" / "command-line.md"
    script = root / "scripts" / "command_line.py"
    if not script.exists():
        pytest.skip("only in a checkout")
    made = subprocess.run([sys.executable, str(script), "--print"], capture_output=True, text=True, check=True)
    assert made.stdout == page.read_text(encoding="utf-8"), "run python scripts/command_line.py"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_commands_and_options(shell: str) -> None:
    pytest.importorskip("shtab", reason="shtab is not installed (pip install 'whoplays[completion]')")
    done = invoke("completion", shell)
    assert done.status == 0
    assert "predict" in done.stdout and "out-dir" in done.stdout and "audacity" in done.stdout


def test_bash_completes_commands_options_and_values(tmp_path: Path) -> None:
    pytest.importorskip("shtab", reason="shtab is not installed (pip install 'whoplays[completion]')")
    script = tmp_path / "completion.bash"
    script.write_text(invoke("completion", "bash").stdout)
    ask = r'''source "$1"; shift
    COMP_WORDS=("$@"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
    handler=$(complete -p whoplays | sed 's/.*-F \([^ ]*\).*/\1/'); $handler; printf '%s\n' "${COMPREPLY[@]}"'''

    def completed(*words: str) -> list[str]:
        done = subprocess.run(["bash", "-c", ask, "bash", script, "whoplays", *words], capture_output=True, text=True)
        return [word.strip() for word in done.stdout.split()]

    assert "predict" in completed("pre") and "verify" in completed("audioset", "ver")
    assert "--out-dir" in completed("predict", "--out-")
    assert completed("predict", "--format", "ja") == ["jams"]


# --- words


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["-m", "m"], "model", Path("m")),
        (["-f", "jsonl"], "format", "jsonl"),
        (["--format=jsonl"], "format", "jsonl"),
        (["-or.csv"], "out", Path("r.csv")),
        (["-j", "2"], "jobs", 2),
        (["--end", "7.5"], "end", 7.5),
        (["--list", "-"], "list_from", "-"),
        (["-qv"], "quiet", True),
        (["--threshold", "0.5", "--threshold", "brass=0.7"], "threshold", [("*", 0.5), ("brass", 0.7)]),
        (["-", "b.wav"], "paths", ["a.wav", "-", "b.wav"]),
        (["-j", "2", "b.wav", "-q", "c d.wav"], "paths", ["a.wav", "b.wav", "c d.wav"]),
        (["--", "-b.wav", "--jobs"], "paths", ["a.wav", "-b.wav", "--jobs"]),
    ],
)
def test_options_stand_before_between_and_after_recordings(words: list[str], name: str, value: object) -> None:
    assert getattr(parsed("predict", "a.wav", *words), name) == value


def test_numbers_may_be_negative() -> None:
    build = ("dataset", "build", "a", "-o", "b")
    assert parsed(*build, "--pitch", "-2,-1,0").pitch == parsed(*build, "--pitch=-2,-1,0").pitch == (-2.0, -1.0, 0.0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sing"], "unknown command sing"),
        (["predct"], "did you mean predict?"),
        (["audioset", "pln"], "must be one of: plan, inspect, download, verify; did you mean plan?"),
        (["--versoin"], "did you mean --version?"),
        (["predict"], "no recording is given"),
        (["predict", "x.wav", "--fromat", "json"], "unknown option --fromat; did you mean --format?"),
        (["predict", "x.wav", "-x"], "unknown option -x"),
        (["predict", "x.wav", "--format", "jsn"], "--format jsn: must be one of: text, json, jsonl, csv, audacity"),
        (["predict", "x.wav", "--format", "jsn"], "did you mean json?"),
        (["predict", "x.wav", "--format"], "--format: expected one argument"),
        (["predict", "x.wav", "--lang", "fr"], "--lang fr: must be one of: en, pl"),
        (["predict", "x.wav", "--jobs", "many"], "--jobs many: must be a whole number from 0"),
        (["predict", "x.wav", "--start", "nan"], "--start nan: is not a time"),
        (["predict", "x.wav", "--threshold", "1.2"], "--threshold 1.2: must be a number from 0 to 1, or LABEL=NUMBER"),
        (["predict", "x.wav", "--threshold", "brass"], "--threshold brass: must be"),
        (["predict", "x.wav", "--out", "x.xyz"], "--format"),
        (["predict", "x.wav", "--start", "5", "--end", "4"], "not after"),
        (["predict", "x.wav", "y.wav", "--format", "jams"], "--format jams holds one recording, and there are 2; add --out-dir"),
        (["predict", "x.wav", "--out-dir", "o", "--resume", "--report", "r.html"], "--report needs all results"),
        (["predict", "x.wav", "--out", "a.json", "--out-dir", "b"], "do not go together"),
        (["predict", "x.wav", "--frames"], "--frames goes with --format json, jsonl or csv"),
        (["predict", "-", "--out-dir", "b"], "standard input (-) has no name"),
        (["dataset", "build", "nowhere", "--out", "o", "--per-class", "none"], "a number of clips"),
        (["dataset", "build", "nowhere", "--out", "o", "--pitch", "up"], "separated by commas"),
        (["dataset", "build", "nowhere"], "required: -o/--out"),
        (["train", "d", "-o", "m", "--recipe", "report"], "must be one of: mfcc-cnn, default; did you mean mfcc-cnn?"),
        (["evaluate", "m", "d", "more", "-o", "r"], "unexpected argument more"),
    ],
)  # fmt: skip
def test_wrong_usage_is_status_2_and_one_clear_line(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = invoke(*words)
    assert done.status == 2, done
    assert message in done.stderr and done.stderr.startswith("whoplays: ") and done.stderr.count("\n") == 1
    assert done.stdout == ""


WORDS = ("a.wav", "-", "--", "-x", "-o", "-qf", "json", "--jobs", "-1", "é.flac", "", "--end=", "-j3")


@example(words=["-o", "--", "a.wav"])
@given(words=st.lists(st.sampled_from(WORDS)).filter(lambda words: words.count("--") < 2))
def test_any_words_are_read_or_refused_in_one_line(words: list[str]) -> None:
    try:
        found = parsed("predict", *words)
    except whoplays.WhoplaysError as error:
        assert str(error) and "\n" not in str(error)
    else:
        after = words[words.index("--") + 1 :] if "--" in words else []
        assert found.paths[len(found.paths) - len(after) :] == after


def test_variables_of_the_environment_stand_in_for_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHOPLAYS_PORT", "9000")
    monkeypatch.setenv("WHOPLAYS_CORS", "https://a.example https://b.example")
    monkeypatch.setenv("WHOPLAYS_PROXY", "1")
    monkeypatch.setenv("WHOPLAYS_THRESHOLD", "0.4 brass=0.6")
    found = parsed("serve", "--threshold", "drums=0.1")
    assert (found.port, found.proxy, found.force) == (9000, True, False)
    assert found.cors == ["https://a.example", "https://b.example"]
    assert dict(found.threshold) == {"*": 0.4, "brass": 0.6, "drums": 0.1}
    assert parsed("serve", "--port", "1").port == 1
    monkeypatch.setenv("WHOPLAYS_TOKEN", "a secret of mine")
    monkeypatch.setenv("COLUMNS", "120")
    text = invoke("serve", "--help").stdout
    assert "secret" not in text and "[default: 8000] [env: WHOPLAYS_PORT]" in text
    monkeypatch.setenv("WHOPLAYS_PORT", "high")
    assert "WHOPLAYS_PORT high: must be a whole number" in invoke("serve").stderr


def test_of_a_file_that_looks_like_an_option_it_is_said_how_to_name_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("-take.wav").touch()
    assert (
        "unknown option -take.wav; the file of that name is ./-take.wav (see" in invoke("predict", "-take.wav").stderr
    )


def test_patterns_that_the_shell_has_left_stand_for_what_they_match(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("b.wav", "a.wav", "deep/c.wav", "what?.flac"):
        Path(name).parent.mkdir(exist_ok=True)
        soundfile.write(name, tone(440.0, 1.0), RATE)

    def predicted(*paths: str) -> list[str]:
        done = invoke("predict", *paths, "-m", tiny_model, "-f", "jsonl")
        return [json.loads(line)["path"] for line in done.stdout.splitlines()]

    assert predicted("*.wav") == ["a.wav", "b.wav"]
    assert predicted("**/*.wav") == ["a.wav", "b.wav", str(Path("deep", "c.wav"))]
    assert predicted("?.wav", "what?.flac") == ["a.wav", "b.wav", "what?.flac"]
    assert predicted("dee*") == [str(Path("deep", "c.wav"))], "a folder too"
    assert [result.path for result in whoplays.predict_many("*.wav", model=tiny_model)] == ["a.wav", "b.wav"]
    assert invoke("predict", "dee*", "-m", tiny_model, "--out-dir", "out").status == 0 and Path("out/c.json").exists()
    done = invoke("predict", "*.mp3", "-m", tiny_model)
    assert done.status == 1 and done.stderr == "whoplays: *.mp3: no such file, and no file matches it as a pattern\n"


# --- results


def test_json_lines_one_for_each_recording_in_order_and_failures_in_their_place(
    tiny_model: Path, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "b.wav", tone(440.0), RATE)
    soundfile.write(tmp_path / "a.wav", tone(440.0), RATE)
    (tmp_path / "c.wav").write_bytes(b"no audio")
    done = run(
        "predict", tmp_path / "b.wav", tmp_path, "missing.flac", "--model", tiny_model, "--format", "jsonl", "-q"
    )
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
        "schema": 1,
    }


def test_python_and_command_agree(tiny_model: Path, duet: Path) -> None:
    line = invoke("predict", duet, "--model", tiny_model, "--format", "jsonl").stdout
    assert json.loads(line) == whoplays.load(tiny_model).predict(duet).to_dict()


def test_out_is_written_whole_and_named_by_its_ending(tiny_model: Path, duet: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.wav"
    soundfile.write(other, tone(440.0), RATE)
    for name in ("r.jsonl", "r.csv", "r.json"):
        done = invoke("predict", duet, other, "--model", tiny_model, "--out", tmp_path / name, "--jobs", "1")
        assert done.status == 0 and done.stdout == "" and "Written to" in done.stderr
        assert str(duet) in (tmp_path / name).read_text()
    assert len((tmp_path / "r.jsonl").read_text().splitlines()) == 2
    quiet = invoke("predict", duet, "--model", tiny_model, "--out", tmp_path / "q.json", "-q")
    assert quiet == (0, "", "") and (tmp_path / "q.json").exists()


@pytest.mark.parametrize(
    ("form", "suffix"),
    [
        ("json", ".json"),
        ("csv", ".csv"),
        ("audacity", ".txt"),
        ("sonic-visualiser", ".svl"),
        ("jams", ".jams"),
        ("rttm", ".rttm"),
    ],
)
def test_out_dir_holds_a_file_for_each_recording_in_the_same_folders(
    form: str, suffix: str, tiny_model: Path, tmp_path: Path
) -> None:
    source = tmp_path / "music"
    for name in ("a.wav", "a.flac", "deep/er/b.wav"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(source / name, tone(440.0), RATE)
    (source / "none.wav").write_bytes(b"no audio")
    done = invoke("predict", source, "-m", tiny_model, "-f", form, "--out-dir", tmp_path / "out", "-j", "1")
    assert done.status == 1 and "none.wav" in done.stderr and "3 files" in done.stderr
    found = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*")}
    assert found == {f"a{suffix}", f"a.wav{suffix}", f"deep/er/b{suffix}"}
    one = invoke("predict", source / "deep" / "er" / "b.wav", "-m", tiny_model, "-f", form)
    written = (tmp_path / "out" / "deep" / "er" / f"b{suffix}").read_text()
    if form == "json":
        assert [json.loads(written)] == json.loads(one.stdout)
    else:
        assert written == one.stdout


def test_frames_are_the_scores_over_time(tiny_model: Path, duet: Path) -> None:
    prediction = whoplays.load(tiny_model).predict(duet)
    line = json.loads(invoke("predict", duet, "-m", tiny_model, "-f", "jsonl", "--frames").stdout)
    scores = np.array([line["frame_scores"][label] for label in line["scores"]]).T
    np.testing.assert_allclose(scores, prediction.frame_scores, atol=1e-5)
    np.testing.assert_allclose(line["frame_times"], prediction.frame_times, atol=1e-3)
    rows = list(csv.DictReader(invoke("predict", duet, "-m", tiny_model, "-f", "csv", "--frames").stdout.splitlines()))
    assert len(rows) == len(scores) and float(rows[-1]["end"]) == line["frame_times"][-1]
    assert [float(rows[0][label]) for label in line["scores"]] == pytest.approx(scores[0])


def test_thresholds_given_decide_what_plays(tiny_model: Path, duet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recogniser = whoplays.load(tiny_model)
    scores = recogniser.predict(duet).scores
    ordered = sorted(scores, key=lambda label: scores[label])
    low, high = ordered[0], ordered[-1]
    assert scores[low] < scores[high]
    between = (scores[low] + scores[high]) / 2
    playing = [label for label in scores if scores[label] >= between]

    def printed(*words: object) -> dict:
        return json.loads(invoke("predict", duet, "-m", tiny_model, "-f", "jsonl", *words).stdout)

    assert recogniser.predict(duet, threshold=0.0).playing == list(scores)
    assert recogniser.predict(duet, threshold=between).playing == playing == printed("--threshold", between)["playing"]
    assert whoplays.load(tiny_model, threshold=between).predict(duet).playing == playing
    chosen = recogniser.predict(duet, threshold={"*": 0.0, high: 1.0})
    assert (
        chosen.scores == scores
        and high not in chosen.playing
        and {s.label for s in chosen.segments} <= {*chosen.playing}
    )
    assert printed("--threshold", 0, "--threshold", f"{high}=1") == chosen.to_dict()
    monkeypatch.setenv("WHOPLAYS_THRESHOLD", f"0 {high}=1")
    assert printed() == chosen.to_dict()
    assert recogniser.with_threshold(0.5).fingerprint != recogniser.with_threshold(0.6).fingerprint
    with pytest.raises(whoplays.WhoplaysError, match=rf"the model has no label {high}x; .*did you mean {high}\?"):
        recogniser.predict(duet, threshold={f"{high}x": 0.5})
    for wrong in (1.5, -0.1, float("nan"), True, {"*": 2}):
        with pytest.raises(whoplays.WhoplaysError, match="a number from 0 to 1"):
            recogniser.predict(duet, threshold=wrong)


def test_thresholds_given_go_to_the_workers_of_a_cluster(tiny_model: Path, duet: Path) -> None:
    from whoplays.cluster.predict import predict_files

    class Here:
        def map(self, work, items):
            return ((number, work(item)) for number, item in enumerate(items))

    [found] = predict_files(Here(), tiny_model, [str(duet)], threshold={"*": 0.0, "drums": 1.0})
    assert found == whoplays.load(tiny_model, threshold={"*": 0.0, "drums": 1.0}).predict(duet)


def test_a_model_that_is_none_is_one_line(tmp_path: Path, duet: Path) -> None:
    done = invoke("predict", duet, "--model", tmp_path / "none")
    assert done.status == 1
    assert done.stderr.strip() == f"whoplays: {tmp_path / 'none'}: no such model folder"


def test_an_unexpected_error_is_one_line_and_a_traceback_with_v(monkeypatch: pytest.MonkeyPatch, duet: Path) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("1 / 0")

    monkeypatch.setattr("whoplays.inference.recogniser.Recogniser.__init__", broken)
    plain, verbose = invoke("predict", duet), invoke("predict", duet, "-v")
    assert plain.status == verbose.status == 1
    assert "unexpected ZeroDivisionError: 1 / 0" in plain.stderr and plain.stderr.count("\n") == 1
    assert "Traceback" in verbose.stderr


def test_the_whole_way_of_a_build(class_folders: Path, tmp_path: Path) -> None:
    done = run("dataset", "build", class_folders, "--out", tmp_path / "set", "--test", "0.25", "--validation", "0.25")
    assert done.returncode == 0, done.stderr
    assert "training: 12 rows from 12 recordings; clips: drums 4, guitar 4, strings 4" in done.stderr
    assert "Next: whoplays train" in done.stderr and "--recipe mfcc-cnn" in done.stderr
    all_of_it = ("--test", "1", "--validation", "0", "--features", "logmel")
    tested = invoke("dataset", "build", class_folders, "--out", tmp_path / "tested", "--jobs", "1", *all_of_it)
    assert f"Next: whoplays evaluate MODEL {tmp_path / 'tested'} --out REPORT" in tested.stderr
    assert done.stdout == ""


def test_a_closed_pipe_is_no_error_message(tiny_model: Path, tmp_path: Path) -> None:
    for i in range(30):
        soundfile.write(tmp_path / f"{i:02d}.wav", np.zeros(RATE // 2), RATE)
    command = f"{sys.executable} -m whoplays predict {tmp_path} --model {tiny_model} --format json | head -c 1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=COMMAND_S)
    assert done.stdout == "["
    assert done.stderr == ""


# --- progress


def test_the_bar_leaves_the_terminal_to_messages(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(output, "REDRAW_EVERY_S", 0.0)
    with output.Progress("Building", "clips") as bar:
        bar(0, 4)
        bar(2, 4, "one lost")
        output.say("a line")
        bar(4, 4)
    text = capsys.readouterr().err
    assert "2 of 4 clips" in text and "one lost" in text
    assert "\r\x1b[Ka line\n\r\x1b[K" in text and text.endswith("\r\x1b[K")


def test_one_long_recording_has_progress_in_its_seconds(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soundfile.write(tmp_path / "long.wav", tone(200.0, 35.0, level=0.9), RATE)
    monkeypatch.setattr(output, "PLAIN_EVERY_S", 0.0)
    invoked = invoke("predict", tmp_path / "long.wav", "--model", tiny_model, "--start", "5")
    progress = re.findall(r"Predicting: (\d+) of (\d+) seconds", invoked.stderr)
    seconds = [int(done) for done, _ in progress]
    assert (
        {total for _, total in progress} == {"30"}
        and seconds == sorted(seconds)
        and len(seconds) > 1
        and seconds[-1] == 30
    )


def test_without_a_terminal_progress_is_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = iter(range(0, 1000, 6))
    monkeypatch.setattr(output.time, "monotonic", lambda: float(next(now)))
    with output.Progress("Building", "clips") as bar:
        for done in range(5):
            bar(done, 100)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "Building: 1 of 100 clips  10.0/min  10 min left",
        "Building: 3 of 100 clips  10.0/min  10 min left",
    ]


# --- what is loaded


def loaded_by(arguments: list[str], folder: Path) -> set[str]:
    """The modules in memory when the command has run."""
    code = (
        "import sys, json, whoplays.cli as c\n"
        f"status = c.run({arguments!r})\n"
        "print(json.dumps([status, sorted(sys.modules)]), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, timeout=COMMAND_S)
    status, modules = json.loads(done.stderr.splitlines()[-1])
    assert status == 0, done.stderr
    return set(modules)


def test_a_prediction_loads_only_what_it_needs(duet: Path) -> None:
    modules = loaded_by(["predict", str(duet)], duet.parent)
    assert not {name for name in NEVER if name in modules}
    bare = subprocess.run([sys.executable, "-c", "import sys; print(*sys.modules)"], capture_output=True, text=True)
    own = {name.split(".")[0] for name in modules - set(bare.stdout.split())} - set(sys.stdlib_module_names)
    assert {name for name in own if not name.startswith("_")} <= MAY_LOAD  # _: of the environment, and extensions
    ours = {name.removeprefix("whoplays.") for name in modules if name.startswith("whoplays.")}
    known = {*NOT_IN_ROOMS, *OURS, *(f"{room}.{part}" for room, parts in OURS.items() for part in parts.split())}
    assert ours == known, "import where it is used what only another file, output or option needs"


def test_a_prediction_loads_little_that_its_packages_do_not(duet: Path) -> None:
    code = "import sys, numpy, soundfile, onnxruntime; print(*sys.modules)"
    packages = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    beside = {
        name
        for name in loaded_by(["predict", str(duet)], duet.parent) - set(packages)
        if not name.startswith(("whoplays", "soxr")) and not any(part.startswith("_") for part in name.split("."))
    }
    assert beside <= BESIDE_PACKAGES


@pytest.mark.parametrize("ending", ["wav", "ogg", "mp3"])
def test_a_recording_loads_the_module_of_its_own_container_alone(tmp_path: Path, ending: str) -> None:
    sound = np.sin(np.arange(22050) / 20).astype("float32")
    soundfile.write(tmp_path / f"a.{ending}", sound, 22050)
    modules = loaded_by(["predict", f"a.{ending}"], tmp_path)
    kinds = {"adts", "flac", "mpeg", "objects", "ogg", "riff"}
    wanted = {"wav": {"riff"}, "ogg": {"ogg"}, "mp3": {"adts", "mpeg"}}[ending]
    assert {kind for kind in kinds if f"whoplays.audio.{kind}" in modules} == wanted
    assert "whoplays.audio.ffmpeg" not in modules


def test_the_model_that_ships_is_read_once_and_not_looked_through(
    duet: Path, monkeypatch: pytest.MonkeyPatch, tiny_model: Path
) -> None:
    assert "whoplays.model.onnxfile" not in loaded_by(["predict", str(duet)], duet.parent)
    assert "whoplays.model.onnxfile" in loaded_by(["predict", str(duet), "--model", str(tiny_model)], duet.parent)
    read: list[str] = []
    content = model_folder._content
    monkeypatch.setattr(model_folder, "_content", lambda folder, name: read.append(name) or content(folder, name))
    whoplays.load()
    assert sorted(read) == [model_folder.CONFIG, model_folder.NETWORK]


def test_help_loads_nothing_that_works() -> None:
    code = (
        "import sys; from whoplays.cli import commands\n"
        "for name in commands.COMMANDS: commands.parser_of(name).format_help()\n"
        "print(*sys.modules)"
    )
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "soundfile", "onnxruntime", "tomllib"} & {*modules}


def test_a_command_loads_its_own_module_alone(tmp_path: Path) -> None:
    modules = loaded_by(["find", "--help"], tmp_path)
    assert "whoplays.cli.find" in modules
    assert not modules & {"whoplays.cli.train", "whoplays.cli.audioset", "whoplays.cli.serve", "numpy", "difflib"}
