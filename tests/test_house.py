"""Who may import what, and what importing loads: the house rules, kept by reading the code and by asking a fresh process."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "whoplays"
MODULES = sorted(SOURCE.rglob("*.py"))

#: third-party package -> the modules that may import it
ALLOWED = {
    "keras": {"framework.py"},
    "tensorflow": {"framework.py", "train", "export.py"},
    "jax": {"train/scanned.py"},
    "matplotlib": {"plots"},
    "librosa": {"dataset/make.py"},
    "yt_dlp": {"download"},
    "ray": {"cluster/engine.py", "cluster/train.py"},
    "fsspec": {"storage/address.py"},
    "s3fs": set(),
    "onnxruntime": {"bundle.py", "export.py", "heads.py", "quantise.py"},
    "onnx": {"export.py", "heads.py", "quantise.py"},
    "fastapi": {"serve"},
    "uvicorn": {"serve"},
    "pyarrow": {"formats", "dataset/shards.py"},
    "mutagen": {"tags.py"},
    "sounddevice": {"listen.py"},
}
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


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").split(".")[0])
    return found


@pytest.mark.parametrize("package", ALLOWED)
def test_only_its_own_module_imports_a_package(package: str) -> None:
    allowed = ALLOWED[package]
    for path in MODULES:
        name = path.relative_to(SOURCE).as_posix()
        if name in allowed or name.split("/")[0].removesuffix(".py") in allowed:
            continue
        assert package not in imported(path), f"{name} imports {package}; only {', '.join(sorted(allowed))} may"


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


@pytest.mark.parametrize("statement", ["import whoplays", "import whoplays.predict", "import whoplays.cli"])
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
