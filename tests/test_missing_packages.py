"""Packages that are not installed, or that do not load: one line that names the package and the command that installs it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import soundfile

from conftest import COMMAND_S, RATE, tone
from whoplays.errors import MissingExtraError
from whoplays.runtime.packages import install_command, needed

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(os.name != "posix", reason="tries each case in a fork")

#: Where it lies on PYTHONPATH, every Python that is started says of the modules in BLOCKED that they are not installed.
BLOCKER = """
import os, sys
class Blocker:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.split(".")[0] in os.environ.get("BLOCKED", "").split(","):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocker)
"""
#: Runs cases, each in a fork of an interpreter that has loaded nothing yet; prints [status, what was said] for each.
RUNNER = """
import json, os, sys, tempfile
from whoplays.cli import run
results = []
for blocked, words in json.loads(sys.stdin.read()):
    said = tempfile.TemporaryFile()
    if not (child := os.fork()):
        os.environ["BLOCKED"] = blocked
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
        status = run(words)
        sys.stdout.flush()
        os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    said.seek(0)
    results.append([status, said.read().decode()])
print(json.dumps(results))
"""
BASE = {"numpy": "numpy", "soundfile": "soundfile", "soxr": "soxr", "onnxruntime": "onnxruntime"}
#: modules that are missing, the extra that brings them ("" for the base install), the command
CASES = [
    *((module, "", f"predict {what}") for module in BASE for what in ("{folder}/a.ogg", "{folder}")),
    ("onnxruntime", "", "listen"),
    ("onnxruntime", "", "embed {folder} --out {out}.npz"),
    ("onnxruntime", "", "demo --out {out}"),
    ("sounddevice", "listen", "listen"),
    ("fastapi", "serve", "serve"),
    ("uvicorn", "serve", "serve"),
    ("websockets", "serve", "serve"),
    ("python_multipart", "serve", "serve"),
    ("pyarrow", "tables", "predict {folder} --out {out}.parquet"),
    ("pyarrow", "tables", "embed {folder} --out {out}.parquet"),
    ("pyarrow", "tables", "find {table} guitar"),
    ("pyarrow", "tables", "dataset build {classes} --out {out} --shard-mb 1"),
    ("mutagen", "tags", "predict {folder} --write-tags"),
    ("matplotlib", "plot", "predict {folder} --plot {out}.png"),
    ("matplotlib", "plot", "evaluate {model} {dataset} --out {out}"),
    ("matplotlib", "train", "demo --train --out {out}"),
    ("keras", "train", "demo --train --out {out}"),
    ("keras", "train", "train {dataset} --out {out}"),
    ("tensorflow", "train", "train {dataset} --out {out}"),
    ("tf2onnx", "train", "train {dataset} --out {out}"),
    ("librosa", "train", "dataset build {classes} --out {out} --pitch-method vocoder --pitch=1 --jobs 1"),
    ("onnx", "adapt", "train {classes} --from default --out {out}"),
    ("onnx", "adapt", "export {model} --out {out}.onnx"),
    ("ray", "cluster", "predict {folder} --cluster local"),
    ("ray", "cluster", "dataset build {classes} --out {out} --cluster local"),
    ("ray", "cluster", "train {dataset} --out {out} --cluster local"),
    ("fsspec", "cluster", "predict s3://bucket/a.ogg"),
    ("s3fs", "cluster", "predict s3://bucket/a.ogg"),
    ("yt_dlp", "audioset", "audioset download {plan} --out {out}"),
    ("shtab", "completion", "completion bash"),
]
#: What no command uses, or only where it is there.
UNUSED = {
    "av": "decodes what libsndfile cannot: below",
    "imageio-ffmpeg": "an ffmpeg on the PATH will do: tests/test_download.py",
    "scipy": "used once Keras has been loaded",
    "pandas": "whoplays.to_dataframe: tests/test_python.py",
    "scikit-learn": "whoplays.sklearn: below",
    "mido": "recipe/",
    "pyfluidsynth": "recipe/",
    "safetensors": "recipe/",
}


@pytest.fixture(scope="module")
def results(
    tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, small_dataset: Path, class_folders: Path
) -> dict[tuple[str, str], tuple[int, str, Path]]:
    """What each case said, and where it should have written."""
    folder = tmp_path_factory.mktemp("missing")
    recordings = folder / "recordings"
    recordings.mkdir()
    for name in "ab":
        soundfile.write(recordings / f"{name}.ogg", tone(440.0, 1.0, 44100), 44100)
    table, plan = folder / "table.parquet", folder / "plan.csv"
    table.write_bytes(b"PAR1")
    plan.write_text("video_id,start_s,end_s,family\nabcdefghijk,0,10,drums\n")
    (folder / "sitecustomize.py").write_text(BLOCKER)
    places = {
        "table": table,
        "plan": plan,
        "folder": recordings,
        "model": tiny_model,
        "dataset": small_dataset,
        "classes": class_folders,
    }
    orders, outs = [], []
    for number, (module, _, words) in enumerate(CASES):
        outs.append(folder / f"out{number:03}")
        orders.append([module, [word.format(out=outs[-1], **places) for word in words.split()]])
    path = os.pathsep.join([str(folder), str(ROOT / "src")])
    done = subprocess.run(
        [sys.executable, "-c", RUNNER],
        input=json.dumps(orders),
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    return {case[::2]: (*case_results, out) for case, case_results, out in zip(CASES, said, outs, strict=True)}


@pytest.mark.parametrize("module, extra, words", CASES, ids=[f"{module}: {words}" for module, _, words in CASES])
def test_a_command_without_a_package_says_what_to_install(
    module: str, extra: str, words: str, results: dict[tuple[str, str], tuple[int, str, Path]]
) -> None:
    status, said, out = results[module, words]
    what = re.escape(f"'whoplays[{extra}]'" if extra else "whoplays")
    package = re.escape(module.replace("_", "-"))
    assert status == 2, said
    assert re.fullmatch(rf"whoplays: .+ needs {package}, which is not installed; run: .*install (.* )?{what}\n", said)
    assert not list(out.parent.glob(f"{out.name}*")), "nothing is begun"


def test_every_imported_package_is_in_a_case() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {name: lines for name, lines in project["optional-dependencies"].items() if name != "dev"}
    lines = [*project["dependencies"], *(line for extra in extras.values() for line in extra)]
    named = {re.split(r"[\[>=]", line)[0].strip() for line in lines}
    tried = {module.replace("_", "-") for module, _, _ in CASES}
    assert named - tried == set(UNUSED) & named and set(UNUSED) <= named
    for module, extra, _ in CASES:
        required = " ".join(extras[extra] if extra else project["dependencies"])
        assert re.search(rf"\b{module.replace('_', '-')}\b", required), f"{extra} does not bring {module}"


def test_without_pyav_only_what_needs_it_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_model: Path
) -> None:
    import av

    soundfile.write(tmp_path / "a.flac", tone(440.0, 1.0), RATE)
    with av.open(str(tmp_path / "b.m4a"), "w") as file:
        stream = file.add_stream("aac", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone(440.0, 1.0)[None], format="fltp", layout="mono")
        frame.sample_rate = RATE
        file.mux([*stream.encode(frame), *stream.encode(None)])
    (tmp_path / "sitecustomize.py").write_text(BLOCKER)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT / "src")]))
    monkeypatch.setenv("BLOCKED", "av")
    words = ["predict", tmp_path / "a.flac", tmp_path / "b.m4a", "--model", tiny_model, "--format", "jsonl"]
    done = subprocess.run([sys.executable, "-m", "whoplays", *words], capture_output=True, text=True, timeout=COMMAND_S)
    assert done.returncode == 1
    assert [Path(json.loads(line)["path"]).name for line in done.stdout.splitlines() if "scores" in line] == ["a.flac"]
    assert "b.m4a: reading it needs PyAV, which is not installed; run: " in done.stderr.splitlines()[0]


def test_a_module_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    import whoplays

    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    monkeypatch.delitem(sys.modules, "whoplays.inference.sklearn", raising=False)
    with pytest.raises(MissingExtraError, match=r"needs scikit-learn, which is not installed; run: .*\[sklearn\]"):
        whoplays.sklearn  # noqa: B018


# --- what is installed, and does not load


def broken(folder: Path, code: str) -> None:
    (folder / "decodes.py").write_text(code)


@pytest.mark.parametrize(
    "code",
    [
        "import nothing_like_it.dll as x",
        "raise ImportError('DLL load failed:\\n no such module')",
        "raise OSError('no library')",
        "raise AttributeError('_ARRAY_API not found')",
    ],
)
def test_a_package_that_does_not_load_is_named_with_its_reason(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(tmp_path, code)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(MissingExtraError) as error, needed("reading it", "tables"):
        import decodes  # noqa: F401
    if "nothing" in code:
        assert "reading it needs nothing-like-it" in str(error.value) and "whoplays[tables]" in str(error.value)
    else:
        assert re.search(
            r"needs decodes, which cannot be loaded \((DLL load failed: no such module|no library|_ARRAY_API not found)\); "
            r"run: .*install .*reinstall decodes$",
            str(error.value),
        )


def test_a_fault_of_our_own_is_not_hidden() -> None:
    with pytest.raises(ImportError) as error, needed("it", "tables"):
        from whoplays.audio import nothing_like_it  # type: ignore[attr-defined]  # noqa: F401
    assert not isinstance(error.value, MissingExtraError)
    with pytest.raises(AttributeError), needed("it", "tables"):
        object().nothing_like_it  # type: ignore[attr-defined]  # noqa: B018


def test_the_command_that_installs_is_that_of_the_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(name: str) -> metadata.Distribution:
        raise metadata.PackageNotFoundError(name)

    python = tmp_path / "bin" / "python"
    monkeypatch.setattr(metadata, "distribution", nowhere)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda name: str(tmp_path / "bin" / "pip"))
    assert install_command("whoplays[train]") == "pip install 'whoplays[train]'"
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/pip")
    assert install_command("whoplays[train]") == f"{python} -m pip install 'whoplays[train]'"
    monkeypatch.setattr(sys, "executable", "/My Programs/python")
    assert install_command("av") == '"/My Programs/python" -m pip install av'

    class ByUv:
        def read_text(self, name: str) -> str:
            return "uv\n"

    monkeypatch.setattr(sys, "executable", str(python))
    with monkeypatch.context() as patch:
        patch.setattr(metadata, "distribution", lambda name: ByUv())
        assert install_command("whoplays[train]") == f"uv pip install --python {python} 'whoplays[train]'"
        assert install_command("--force-reinstall av") == f"uv pip install --python {python} --reinstall av"
    (tmp_path / "pipx_metadata.json").write_text("{}")
    assert install_command("whoplays[train]") == "pipx runpip whoplays install 'whoplays[train]'"
