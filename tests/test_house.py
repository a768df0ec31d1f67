"""Who may import what, and what importing loads: the house rules, kept by reading the code and by asking a fresh process."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Collection
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "whoplays"
MODULES = sorted(SOURCE.rglob("*.py"))

#: third-party package -> the modules that may import it
ALLOWED = {
    "keras": {"training/framework.py"},
    "tensorflow": {"training"},
    "jax": set(),
    "matplotlib": {
        "evaluation/plots.py",
        "inference/prediction.py",  # for types alone
        "results/drawing.py",
        "results/plot.py",
        "sources/audioset/cooccurrence_plot.py",
    },
    "librosa": {"dataset/make.py"},
    "yt_dlp": {"sources/audioset/download"},
    "ray": {"cluster/engine.py", "cluster/train.py"},
    "fsspec": {"storage/address.py"},
    "s3fs": set(),
    "onnxruntime": {"model/folder.py", "training/export.py", "training/heads.py", "training/quantise.py"},
    "onnx": {"training/export.py", "training/heads.py", "training/quantise.py"},
    "fastapi": {"serve"},
    "uvicorn": {"serve"},
    "pyarrow": {"results/table.py", "dataset/shards.py"},
    "mutagen": {"results/tags.py"},
    "av": {"audio/ffmpeg.py", "audio/libsndfile.py", "audio/opening.py", "audio/reader.py", "serve/worker.py"},
    "soundfile": {
        "audio/libsndfile.py",
        "audio/opening.py",
        "cli/demo.py",
        "results/cut.py",
        "results/html/build.py",
        "serve/worker.py",
        "sources/audioset/download/measure.py",
    },
    "soxr": {"audio/reading.py"},
    "scipy": {"evaluation/segments.py"},
    "tf2onnx": {"training/export.py"},
    "pydantic": {"serve"},
    "starlette": {"serve"},
    "python_multipart": {"cli/serve.py"},
    "websockets": {"cli/serve.py"},
    "imageio_ffmpeg": {"sources/audioset/download/ffmpeg.py"},
    "certifi": {"sources/audioset/download/ffmpeg.py"},
    "beets": set(),  # beside this package: src/beetsplug
    "sklearn": {"inference/sklearn.py"},
    "sounddevice": {"inference/live.py"},
    "shtab": {"cli/completion.py"},
    "rich": set(),
    "typer": set(),
}
MOST_MODULES = 4  # at the top
MOST_ROOMS = 16
MOST_LINES = 500  # of a file
HEAVY = (
    "keras",
    "tensorflow",
    "librosa",
    "numba",
    "matplotlib",
    "scipy",
    "sklearn",
    "torch",
    "ray",
    "fsspec",
    "s3fs",
    "yt_dlp",
    "fastapi",
)


@cache
def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").split(".")[0])
    return found


def modules_of(root: Path, package: str) -> dict[str, Path]:
    """Return dotted name -> file of the modules of a package that lies in `root`."""
    found = {}
    for path in sorted((root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported_modules(name: str, path: Path, known: Collection[str]) -> set[str]:
    """Return the modules among `known` that a module imports anywhere: at its top, in functions, for types alone."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                depth = node.level - (path.name == "__init__.py")
                above = name.rsplit(".", depth)[0] if depth else name
                base = f"{above}.{base}" if base else above
            named = {f"{base}.{alias.name}" for alias in node.names}
            found |= {one if one in known else base for one in named}
    return found & set(known) - {name}


def assert_no_circle(graph: dict[str, set[str]]) -> None:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(reversed(error.args[1]))}")


@pytest.mark.parametrize("root, package", [(SOURCE.parent, "whoplays"), (ROOT, "recipe"), (ROOT, "bench")])
def test_no_modules_import_each_other_in_a_circle(root: Path, package: str) -> None:
    """Imports inside functions and for types count too. What a name looked up at run time loads (a format, a command)
    does not, nor that a module's package is loaded before it."""
    modules = modules_of(root, package)
    graph = {name: imported_modules(name, path, modules) for name, path in modules.items()}
    assert len(graph) > 10 and any(graph.values())
    assert_no_circle(graph)


def test_no_rooms_import_each_other_in_a_circle() -> None:
    rooms: dict[str, set[str]] = {}
    modules = modules_of(SOURCE.parent, "whoplays")
    for name, path in modules.items():
        room = name.split(".")[1] if "." in name else ""
        if room not in ("", "__main__"):
            others = {other.split(".")[1] for other in imported_modules(name, path, modules) if "." in other}
            rooms.setdefault(room, set()).update(others - {room})
    assert len(rooms) > 10 and any(rooms.values())
    assert_no_circle(rooms)


def test_there_are_few_rooms_and_fewer_modules_beside_them() -> None:
    rooms = [path for path in SOURCE.iterdir() if path.is_dir() and path.name != "__pycache__"]
    assert len(rooms) <= MOST_ROOMS, sorted(path.name for path in rooms)
    modules = [path.name for path in SOURCE.glob("*.py")]
    assert len(modules) <= MOST_MODULES, sorted(modules)


def test_files_are_short_enough_to_be_read_at_once() -> None:
    long = {path.name: n for path in MODULES if (n := len(path.read_text(encoding="utf-8").splitlines())) > MOST_LINES}
    assert not long


def test_each_room_says_what_comes_in_and_what_goes_out() -> None:
    for path in SOURCE.glob("*/__init__.py"):
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path


@pytest.mark.parametrize("package", ALLOWED)
def test_only_its_own_module_imports_a_package(package: str) -> None:
    allowed = ALLOWED[package]
    for path in MODULES:
        name = path.relative_to(SOURCE).as_posix()
        if any(name == one or name.startswith(f"{one}/") for one in allowed):
            continue
        assert package not in imported(path), f"{name} imports {package}; only {', '.join(sorted(allowed))} may"


def test_every_package_that_is_imported_has_its_modules() -> None:
    own = {*sys.stdlib_module_names, "whoplays", "numpy"}
    assert {package for path in MODULES for package in imported(path)} - own <= set(ALLOWED)
    plugin = {package for path in (ROOT / "src" / "beetsplug").glob("*.py") for package in imported(path)}
    assert plugin - own == {"beets"}


def test_nothing_that_is_read_can_be_code() -> None:
    """No pickle, no evaluation, no archive that is unpacked to disk; a cluster's own messages are Ray's, which are pickles."""
    for path in MODULES:
        name = path.relative_to(SOURCE).as_posix()
        known = imported(path)
        if name != "cluster/engine.py":
            assert not known & {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"}, name
        assert not known & {"yaml", "tarfile"}, name
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"eval", "exec", "compile", "__import__"}, f"{name}, line {node.lineno}"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                assert node.func.attr not in {"extractall", "unpack_archive", "load_model"}, f"{name}, {node.lineno}"
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "np.load":
                assert "allow_pickle=False" in ast.unparse(node), f"{name}, line {node.lineno}"
            assert not (isinstance(node, ast.keyword) and node.arg == "shell"), name


def test_what_is_started_in_python_looks_for_nothing_in_the_folder_one_is_in() -> None:
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        for start in re.findall(r"sys\.executable, \"([^\"]+)\"", text):
            assert start in ("-P", "-I"), path


def test_nobody_imports_the_command_line() -> None:
    for path in MODULES:
        if path.parent.name != "cli" and path.name != "__main__.py":
            assert not re.search(r"(from|import) +(whoplays)?\.+cli\b", path.read_text(encoding="utf-8")), path


@pytest.mark.parametrize(
    "statement", ["import whoplays", "import whoplays.inference.recogniser", "import whoplays.cli"]
)
def test_importing_loads_nothing_heavy(statement: str) -> None:
    code = f"{statement}; import sys; print([m for m in {HEAVY!r} if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_predicting_loads_no_training_framework(tiny_model: Path, duet: Path) -> None:
    code = (
        f"import sys, whoplays; whoplays.load({str(tiny_model)!r}).predict({str(duet)!r});"
        f"print([m for m in {(*HEAVY, 'av')!r} if m in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_importing_the_package_loads_no_decoder_and_no_runtime() -> None:
    code = "import sys, whoplays; print([m for m in ('av', 'soundfile', 'onnxruntime', 'soxr', 'rich') if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
