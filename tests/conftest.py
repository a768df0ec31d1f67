"""What every test may use: audio made here, a tiny model folder, and the training material where it is at hand."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # its threads wait by spinning: many times slower beside other work
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So a shell starts what runs in the background; commands started by tests would inherit it, and ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)

import numpy as np
import pytest
import soundfile
from filelock import FileLock
from hypothesis import HealthCheck, settings

from whoplays.examples import synth
from whoplays.runtime.interrupts import handlers_kept

RATE = 22050
COMMAND_S = 900  # for a command to end, on a busy machine too

# Nothing is timed in the tests: on a busy machine one example may well take longer than hypothesis thinks right. Where
# CI is set a change is judged by the same examples each time; elsewhere each run tries new ones, and "search" many.
settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ
)
settings.register_profile("search", settings.get_profile("untimed"), max_examples=2000, derandomize=False)
settings.load_profile("untimed")


def _shared(name: str) -> Path:
    """A folder of material that is too large, or not ours, to be in the project."""
    root = os.environ.get("SHARED_MATERIAL")
    beside = Path(__file__).resolve().parents[2] / "shared"
    return (Path(root) if root else beside) / name


def _folder_or_skip(name: str, marker: str) -> Path:
    folder = _shared(name)
    if not (folder / marker).exists():
        pytest.skip(f"the {name} material is not on this machine (set SHARED_MATERIAL to where it lies)")
    return folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    return _folder_or_skip("data", "manifest.csv")


@pytest.fixture(scope="session")
def shared_audioset() -> Path:
    return _folder_or_skip("audioset", "ontology.json")


@pytest.fixture(scope="session")
def shared_peers() -> Path:
    return _folder_or_skip("peers", "yamnet")


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder that `make` fills once in a run, whichever of pytest-xdist's workers needs it first."""
    base = factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "made-once"
    root.mkdir(exist_ok=True)
    folder, done = root / name, root / f"{name}.done"
    with FileLock(root / f"{name}.lock", timeout=COMMAND_S):
        if not done.exists():
            make(folder)
            done.touch()
    return folder


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[Any]:
    """A Ray cluster of two nodes with a core each; the tests' driver is on the first."""
    from ray.cluster_utils import Cluster as Nodes

    small = {"object_store_memory": 96 << 20, "include_dashboard": False}
    with handlers_kept():  # each node sets its own
        nodes = Nodes(initialize_head=True, head_node_args={"num_cpus": 1, **small})
        nodes.add_node(num_cpus=1, **small)
        yield nodes
        nodes.shutdown()


class Here:
    """An engine that works in this process, where functions can be replaced."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def map(self, work: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        return enumerate(map(work, items))


@pytest.fixture(scope="session")
def class_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of eight short recordings, made from formulas."""
    return made_once(tmp_path_factory, "classes", _write_class_folders)


def _write_class_folders(root: Path) -> None:
    for c, family in enumerate(("drums", "guitar", "strings")):
        (root / family).mkdir(parents=True)
        for i in range(8):
            samples = synth.recording([family], duration_s=1.2, seed=[c, i], sample_rate=RATE)
            soundfile.write(root / family / f"take{i:02d}.wav", samples, RATE)


def command_without(
    modules: tuple[str, ...], words: list[str], *, status: int = 0, then: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command in an interpreter of its own; it must end with `status`, and have loaded nothing of `modules`.

    then: more to do in the interpreter afterwards, such as an assertion.
    """
    code = (
        "import sys; from whoplays.cli import main\n"
        f"sys.argv = ['whoplays', *{words!r}]\n"
        f"try: main()\nexcept SystemExit as stop: assert (stop.code or 0) == {status}, stop.code\n"
        f"assert not [m for m in sys.modules if m.split('.')[0] in {modules!r}], 'loaded'\n" + then
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=COMMAND_S)
    assert done.returncode == 0, done.stderr
    return done


class Ended(NamedTuple):
    """How a command ended in this process, and what it printed."""

    status: int
    stdout: str
    stderr: str


def invoke(*words: object) -> Ended:
    """Run a command in this process, where tests can put stand-ins."""
    from whoplays import cli

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = cli.run([str(word) for word in words])
    return Ended(status, out.getvalue(), err.getvalue())


def tone(frequency: float, seconds: float = 1.0, rate: int = RATE, level: float = 0.5) -> np.ndarray:
    """A sine (n,), float32."""
    return (level * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


@pytest.fixture
def duet(tmp_path: Path) -> Path:
    """A 12 s recording: guitar alone, then with drums."""
    guitar = synth.recording(["guitar"], duration_s=6, seed=1, sample_rate=RATE)
    both = synth.recording(["guitar", "drums"], duration_s=6, seed=1, sample_rate=RATE)
    path = tmp_path / "duet.flac"
    soundfile.write(path, np.concatenate([guitar, both]), RATE)
    return path


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder whose one weight is known: logit i of a frame is its band i, averaged over a second and over all."""
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


def write_tiny_model(folder: Path, **changes) -> Path:
    """Five labels, five log-mel bands: each family is detected by the power in its band."""
    import onnx
    from onnx import TensorProto, helper

    from whoplays.features import FeatureSettings
    from whoplays.model import folder as model_folder
    from whoplays.model.config import Calibration, ModelConfig
    from whoplays.taxonomy.catalogue import catalogue

    steps = helper.make_node("AveragePool", ["channels"], ["pooled"], kernel_shape=[50], strides=[50], ceil_mode=1)
    nodes = [
        helper.make_node("Transpose", ["features"], ["channels"], perm=[0, 2, 1]),
        steps,
        helper.make_node("Transpose", ["pooled"], ["frame_logits"], perm=[0, 2, 1]),
        helper.make_node("ReduceMean", ["channels"], ["logits"], axes=[2], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", "frames", 5])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 5]),
            helper.make_tensor_value_info("frame_logits", TensorProto.FLOAT, ["batch", "steps", 5]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    settings = {
        "name": "tiny",
        "version": "1",
        "labels": catalogue().labels_for(catalogue().defaults),
        "features": FeatureSettings(n_mels=5, fmin=100, fmax=10000),
        "calibration": Calibration((1.0,) * 5, (6.0,) * 5),
        "frame_calibration": Calibration((1.0,) * 5, (6.0,) * 5),
    } | changes
    model_folder.write(folder, ModelConfig(**settings), model.SerializeToString(), "# A model for tests")
    return folder


@pytest.fixture(scope="session")
def small_dataset(class_folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built data set with the report's features: three classes, a quarter each for validation and test."""
    from whoplays import dataset

    settings = dataset.BuildSettings(pitch=(-1.0, 0.0, 1.0), test=0.25, validation=0.25)
    return made_once(tmp_path_factory, "dataset", lambda out: dataset.build(class_folders, out, settings, jobs=2))


@pytest.fixture(scope="session")
def trained_model(small_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report's network, trained for a few seconds with a learning rate that suits so little material."""
    from whoplays.training.recipes import train

    settings = {"recipe": "mfcc-cnn", "epochs": 12, "learning_rate": 3e-4, "batch_size": 2}
    return made_once(tmp_path_factory, "model", lambda out: train(small_dataset, out=out, **settings))
