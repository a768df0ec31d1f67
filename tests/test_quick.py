"""The plain call that is read without Typer: the same request as Typer's, and nothing loaded that it does not need."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import whoplays
from whoplays.cli import app, predict, predict_run, quick
from whoplays.model import folder as model_folder

#: packages that a plain prediction of a WAV or FLAC never needs
NEVER = (
    "typer", "click", "pydantic", "pydantic_core", "rich", "pygments", "av", "fastapi", "starlette", "uvicorn", "keras",
    "tensorflow", "matplotlib", "pyarrow", "scipy", "librosa", "numba", "sklearn", "ray", "torch", "jax", "yt_dlp", "mutagen",
    "sounddevice", "PIL", "pandas", "polars", "asyncio", "http", "ssl", "multiprocessing", "email", "importlib.metadata",
)  # fmt: skip
#: what it needs, and so may load
MAY_LOAD = {"whoplays", "numpy", "soundfile", "soxr", "onnxruntime", "cffi", "pycparser", "typing_extensions"}


def typers_request(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> predict_run.Request | None:
    """What Typer makes of the call; None where it refuses it."""
    seen: list[predict_run.Request] = []
    with monkeypatch.context() as patch:
        patch.setattr(predict, "run", lambda asked: seen.append(asked) or 0)
        CliRunner().invoke(app, arguments)
    return seen[0] if seen else None


FLAGS = [*quick._WITH_VALUE, *quick._ALONE, "--every", "--watch", "--help", "--nonsense", "-h", "-x"]
VALUES = [
    "a.wav",
    "b",
    "-",
    "0",
    "7",
    "007",
    "1.5",
    "1.",
    ".5",
    "-1",
    "1e3",
    "nan",
    "x y",
    "jsonl",
    "",
    "--",
    "ü.flac",
    "²",
]
WORDS = st.one_of(
    st.sampled_from(FLAGS),
    st.sampled_from(VALUES),
    st.builds("{}={}".format, st.sampled_from(FLAGS), st.sampled_from(VALUES)),
)


@settings(max_examples=150, deadline=None)
@given(words=st.lists(WORDS, max_size=6))
def test_what_is_read_quickly_is_what_typer_reads(words: list[str]) -> None:
    request = quick.read(["predict", *words])
    if request is not None:
        assert request == typers_request(["predict", *words], pytest.MonkeyPatch())


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        (["a.wav", "--model", "m"], "model", Path("m")),
        (["a.wav", "--format=jsonl"], "format", "jsonl"),
        (["a.wav", "--out", "r.csv"], "out", Path("r.csv")),
        (["a.wav", "--list", "-"], "list_from", Path("-")),
        (["a.wav", "--report", "r.html"], "report", Path("r.html")),
        (["a.wav", "--plot", "r.png"], "plot", Path("r.png")),
        (["--start", "1.5", "a.wav"], "start", 1.5),
        (["a.wav", "--end", "7"], "end", 7.0),
        (["a.wav", "--jobs", "2"], "jobs", 2),
        (["a.wav", "--lang", "pl"], "lang", "pl"),
        (["a.wav", "--device", "cuda"], "device", "cuda"),
        (["a.wav", "--resume"], "resume", True),
        (["a.wav", "--retry"], "retry", True),
        (["a.wav", "--why"], "why", True),
        (["a.wav", "--write-tags"], "write_tags", True),
        (["a.wav", "-", "b.wav"], "paths", ["a.wav", "-", "b.wav"]),
    ],
)
def test_every_quick_flag_is_read_as_typer_reads_it(
    words: list[str], field: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = quick.read(["predict", *words])
    assert request is not None and getattr(request, field) == value
    assert request == typers_request(["predict", *words], monkeypatch)


def test_every_quick_flag_is_tried_above() -> None:
    fields = {name for name, _ in quick._WITH_VALUE.values()} | set(quick._ALONE.values()) | {"paths"}
    mark = next(m for m in test_every_quick_flag_is_read_as_typer_reads_it.pytestmark if m.name == "parametrize")
    assert {case[1] for case in mark.args[1]} == fields


@pytest.mark.parametrize(
    "words",
    [
        ["predict"],
        ["predict", "--help"],
        ["predict", "a", "--jobs", "-1"],
        ["predict", "a", "--sing"],
        ["find", "a"],
        [],
    ],
)
def test_all_else_is_left_to_typer(words: list[str]) -> None:
    assert quick.read(words) is None


def test_windows_patterns_are_left_to_the_library_that_expands_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.name", "nt")
    assert quick.read(["predict", "*.wav"]) is None
    assert quick.read(["predict", "a.wav"]) is not None


def loaded_by(arguments: list[str], folder: Path) -> set[str]:
    """The modules in memory when the command has run."""
    code = (
        "import sys, json, whoplays.cli as c\n"
        f"sys.argv = ['whoplays', *{arguments!r}]\n"
        "try: c.main()\n"
        "except SystemExit as stop: status = stop.code\n"
        "print(json.dumps([status, sorted(sys.modules)]), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, timeout=120)
    status, modules = json.loads(done.stderr.splitlines()[-1])
    assert status == 0, done.stderr
    return set(modules)


def test_a_plain_prediction_loads_only_what_it_needs(duet: Path, tiny_model: Path) -> None:
    modules = loaded_by(["predict", str(duet), "--model", str(tiny_model)], duet.parent)
    assert not {name for name in NEVER if name in modules}
    bare = subprocess.run([sys.executable, "-c", "import sys; print(*sys.modules)"], capture_output=True, text=True)
    own = {name.split(".")[0] for name in modules - set(bare.stdout.split())} - set(sys.stdlib_module_names)
    assert {name for name in own if not name.startswith("_")} <= MAY_LOAD  # _: of the environment, and extensions
    parts = {name.removeprefix("whoplays.") for name in modules if name.startswith("whoplays.")}
    assert not {part.split(".")[0] for part in parts} & {
        "cluster",
        "dataset",
        "evaluation",
        "examples",
        "serve",
        "sources",
        "training",
    }
    assert not {part for part in parts if part.startswith("results.")} & {
        "results.drawing",
        "results.html",
        "results.plot",
        "results.query",
        "results.resumable_table",
        "results.table",
        "results.tags",
    }


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


def test_another_sub_command_does_not_load_them_all(tmp_path: Path) -> None:
    modules = loaded_by(["find", "--help"], tmp_path)
    assert "whoplays.cli.find" in modules
    assert not modules & {"whoplays.cli.train", "whoplays.cli.audioset", "whoplays.cli.serve", "numpy"}


def test_every_module_with_commands_is_found_by_their_names() -> None:
    from whoplays.cli import commands

    commands.load()
    registered = {info.name or info.callback.__name__ for info in app.registered_commands if info.callback}
    registered |= {group.name for group in app.registered_groups}
    assert registered == set(commands.MODULES)
    for name, module in commands.MODULES.items():
        assert (Path(commands.__file__).with_name(f"{module}.py")).exists(), name
