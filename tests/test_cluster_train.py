"""Training in several processes: the arithmetic of one, a worker killed on the way, Ctrl-C, and clear refusals."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import whoplays
from conftest import command_without, invoke
from whoplays import dataset
from whoplays.dataset import BuildSettings, Dataset
from whoplays.errors import DatasetError, MissingExtraError, ModelError, UsageError, WhoplaysError
from whoplays.training import default
from whoplays.training.batches import chunks, spread
from whoplays.training.checkpoint import CHECKPOINT, read
from whoplays.training.framework import load_keras
from whoplays.training.recipes import chosen, epochs, train
from whoplays.training.steps import FusedSteps, Objective
from whoplays.training.together import Communicator, SingleProcess, check_progress, sync_stats, total
from whoplays.training.watch import Watcher

keras = load_keras()

from whoplays.training.networks import default_network, drop_apart, mfcc_cnn_network  # noqa: E402 - needs Keras

FAST = {"epochs": 40, "learning_rate": 1e-4, "batch_size": 5, "seed": 7, "patience": 40}
WAIT_S = 900


class Beside(Communicator):
    """One of two threads that train as two processes do: what is summed waits for the other's."""

    def __init__(self, rank: int, meeting: threading.Barrier, values: list[Any]) -> None:
        self.rank, self.workers, self._meeting, self._values = rank, 2, meeting, values

    def _sum(self, values: np.ndarray) -> np.ndarray:
        self._values[self.rank] = np.array(values)
        self._meeting.wait(WAIT_S)
        summed = self._values[0] + self._values[1]
        self._meeting.wait(WAIT_S)
        return summed

    def sum(self, values: Any) -> Any:
        import tensorflow as tf

        summed = tf.numpy_function(self._sum, [values], values.dtype)
        summed.set_shape(values.shape)
        return summed


def both(work: Any) -> list[Any]:
    """Do work(communicator) in two threads that are beside each other."""
    meeting, values = threading.Barrier(2), [None, None]
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(work, Beside(rank, meeting, values)) for rank in range(2)]
        return [one.result(WAIT_S) for one in waiting]


@pytest.fixture(scope="module")
def shards(class_folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small data set in six shards of training."""
    out = tmp_path_factory.mktemp("shards") / "set"
    settings = BuildSettings(pitch=(-1.0, 0.0, 1.0), test=0.25, validation=0.25, clips_per_shard=2)
    dataset.build(class_folders, out, settings, jobs=1)
    return out


# -- the arithmetic ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rows", "steps"), [(10, 3), (3, 10), (0, 4), (7, 7), (100, 9)])
def test_rows_are_spread_evenly_and_each_comes_once(rows: int, steps: int) -> None:
    numbers = np.arange(rows) + 5
    spreaded = spread(numbers, steps)
    assert spreaded[spreaded >= 0].tolist() == numbers.tolist()
    filled = (spreaded >= 0).sum(axis=1)
    assert filled.max() - filled.min() <= 1 and spreaded.shape[1] == max(1, filled.max())


def test_parts_share_no_row_and_leave_none_out(shards: Path) -> None:
    whole = Dataset.open(shards).split("training")
    parts = [Dataset.open(shards).split("training", part=(rank, 4)) for rank in range(4)]
    rows = sorted(row.tobytes() for part in parts for row in part.features[:])
    assert rows == sorted(row.tobytes() for row in whole.features[:])
    assert max(len(part) for part in parts) < len(whole) / 2


@pytest.mark.slow
def test_two_take_the_steps_of_one_that_has_all_their_rows(shards: Path) -> None:
    """Batches of 5 and of 0 to 3 rows on one side and the other; weights, losses and counts are those of one process."""
    split, loss = Dataset.open(shards).split("training"), "sigmoid"
    split.targets[::3, 1] = np.nan
    batches = [np.arange(len(split))[first : first + 5] for first in range(0, len(split), 5)]
    cuts = np.random.default_rng(0).integers(0, 4, len(batches))

    def padded(parts: list[np.ndarray], width: int) -> np.ndarray:
        return np.concatenate([np.pad(part, (0, width - len(part)), constant_values=-1) for part in parts])

    def model() -> tuple[Any, Any]:
        return mfcc_cnn_network(20, 20, 3, dropout=0.0, activation=loss), keras.optimizers.Adam(1e-3)

    one, optimizer = model()
    alone = FusedSteps(one, optimizer, Objective(loss))
    expected = sum(
        alone(c.features, c.targets, c.weights) for c in chunks(split, np.concatenate(batches), batch_size=5)
    )

    def work(communicator: Communicator) -> tuple[Any, np.ndarray]:
        made, optimizer = model()
        steps = FusedSteps(made, optimizer, Objective(loss), communicator)
        mine = [batch[:cut] if communicator.rank else batch[cut:] for batch, cut in zip(batches, cuts, strict=True)]
        width = 3 if communicator.rank else 5
        found = [
            steps(c.features, c.targets, c.weights)
            for c in chunks(split, padded(mine, width), batch_size=width, filled=False)
        ]
        return made, sum(found)

    for made, sums in both(work):
        np.testing.assert_allclose(sums, expected, rtol=1e-3)
        for a, b in zip(made.get_weights(), one.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, atol=2e-4)


def test_moving_statistics_become_the_mean_of_all() -> None:
    def work(communicator: Communicator) -> list[np.ndarray]:
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization()])
        rows = np.full((8, 4), float(communicator.rank)) + np.arange(8)[:, None]
        model(rows.astype(np.float32), training=True)
        sync_stats(communicator, model)
        return [np.asarray(v) for v in model.non_trainable_variables]

    (mean, variance), (other, _) = both(work)
    assert (mean == other).all() and mean == pytest.approx(0.01 * (3.5 + 4.5) / 2)
    assert variance == pytest.approx(0.99 + 0.01 * np.arange(8).var(), rel=1e-3)


def test_copies_that_have_come_apart_are_noticed() -> None:
    def work(communicator: Communicator) -> str:
        model = mfcc_cnn_network(20, 20, 3, seed=communicator.rank)
        try:
            sync_stats(communicator, model)
        except ModelError as error:
            return str(error)
        return ""

    first, second = both(work)
    assert first == "" and "process 1 of 2 no longer has the weights of the first" in second

    def look(communicator: Communicator) -> str:
        try:
            check_progress(communicator, communicator.rank)
        except ModelError as error:
            return str(error)
        return ""

    assert "found 1 epochs in the checkpoint, the first 0" in both(look)[1]


def test_each_drops_other_units() -> None:
    rows = np.ones((4, 20, 20), np.float32)
    first, other = mfcc_cnn_network(20, 20, 3, dropout=0.5), mfcc_cnn_network(20, 20, 3, dropout=0.5)
    drop_apart(other, 1)
    assert not np.allclose(first(rows, training=True), other(rows, training=True))
    assert np.allclose(first(rows), other(rows))


def test_a_single_process_exchanges_nothing() -> None:
    assert total(SingleProcess(), [1.5, 2]).tolist() == [1.5, 2.0]
    model = default_network(64, 3, filters=(4, 4, 4, 4), blocks=(0, 0, 0, 0), hidden=8)
    before = model.get_weights()
    sync_stats(SingleProcess(), model)
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))


# -- runs --------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_default_recipe_trains_together(
    class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = BuildSettings(features="logmel", clip_s=2.0, validation=0.2, clips_per_shard=2)
    dataset.build(class_folders, tmp_path / "set", made, jobs=1)
    settings = {"filters": (8, 8, 16, 16), "blocks": (0, 0, 0, 0), "hidden": 16, "batch_size": 9, "ema": 0.5}
    settings |= {"epochs": 3, "steps_per_epoch": 6, "crop_steps": 4, "mix": 0.0}
    out, watchers = tmp_path / "model", [Rows(), Rows()]
    one_at_a_time, network = threading.Lock(), default.DefaultRun.network

    def network_alone(run: Any, *, fresh: bool) -> Any:
        with one_at_a_time:  # threads share Keras' random numbers; processes do not
            return network(run, fresh=fresh)

    monkeypatch.setattr(default.DefaultRun, "network", network_alone)

    def work(communicator: Communicator) -> None:
        wanted = chosen("default", settings)
        epochs(
            tmp_path / "set", out=out, settings=wanted, watcher=watchers[communicator.rank], communicator=communicator
        )

    def elsewhere() -> str:
        import tensorflow as tf

        tf.config.run_functions_eagerly(True)  # compiling it twice takes longer than all the rest
        try:
            both(work)
        finally:
            tf.config.run_functions_eagerly(False)
        return ""

    done = train(tmp_path / "set", recipe="default", out=out, elsewhere=elsewhere, **settings)
    assert len(done.history) == 3 and done.stopped == "epochs"
    assert done.history[-1]["loss"] < done.history[0]["loss"]
    assert set(done.history[0]) >= {"loss", "logits_loss", "frame_logits_loss", "val_map"}
    assert [row["loss"] for row in watchers[0].rows] == [row["loss"] for row in watchers[1].rows]
    assert whoplays.load(out).predict(class_folders / "drums" / "take00.wav").scores.keys() >= {"drums"}
    with pytest.raises(UsageError, match="holds a finished model"):
        train(tmp_path / "set", recipe="default", out=out, elsewhere=elsewhere, **settings)


class Rows(Watcher):
    """Keeps the reported history."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def epoch(self, row: dict[str, float], *, best: bool) -> None:
        self.rows.append(row)


class Disturbs(Watcher):
    """Kills a worker in the third epoch, for good; interrupts the second start in its own third epoch."""

    def __init__(self) -> None:
        self.begun: list[dict[str, Any]] = []
        self.killed: list[int] = []
        self.rows: list[dict[str, float]] = []
        self.said: list[str] = []
        self.others: list[str] = []

    def begin(self, facts: dict[str, Any]) -> None:
        self.begun.append(facts)

    def say(self, message: str) -> None:
        self.said.append(message)

    def epoch(self, row: dict[str, float], *, best: bool) -> None:
        self.rows.append(row)
        if not self.killed and row["epoch"] == 2:
            self.killed.append(kill_a_worker())
        if len(self.begun) == 2 and row["epoch"] >= self.begun[1]["epoch"] + 2:
            self.others = other_threads()
            raise KeyboardInterrupt


def other_threads() -> list[str]:
    """What other threads of this process do for whoplays: the files of its functions that they are in."""
    mine, package, found = threading.get_ident(), Path(whoplays.__file__).parent, []
    for ident, frame in sys._current_frames().items():
        while ident != mine and frame:
            if (file := Path(frame.f_code.co_filename)).is_relative_to(package):
                found.append(file.name)
            frame = frame.f_back
    return found


def kill_a_worker() -> int:
    """SIGKILL to the last of Ray Train's workers; return its pid."""
    from ray._private import state

    found = [actor for actor in state.actors(actor_state_name="ALIVE").values() if "Worker" in actor["ActorClassName"]]
    pid = max(actor["Pid"] for actor in found)
    os.kill(pid, signal.SIGKILL)
    return pid


@pytest.fixture(scope="module")
def disturbed(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Disturbs, Any]]:
    """Two workers on a Ray of this machine; one is killed, all begin again, then Ctrl-C."""
    pytest.importorskip("ray.train", reason="Ray is not installed (pip install 'whoplays[cluster]')")
    from whoplays.cluster.train import train as train_on_cluster

    out, watcher = tmp_path_factory.mktemp("cluster") / "model", Disturbs()
    done = train_on_cluster(shards, recipe="mfcc-cnn", out=out, address="local", jobs=2, watcher=watcher, **FAST)
    yield out, watcher, done


@pytest.fixture(scope="module")
def undisturbed(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, float]]:
    """The beginning of the history of the same run in two threads, which nobody disturbs."""
    out = tmp_path_factory.mktemp("threads")

    def work(communicator: Communicator) -> None:
        with contextlib.suppress(KeyboardInterrupt):
            epochs(
                shards,
                out=out,
                settings=chosen("mfcc-cnn", FAST | {"epochs": 12}),
                watcher=Watcher(),
                communicator=communicator,
            )

    both(work)
    found = read(out)
    assert found is not None
    return list(found.facts["history"])


@pytest.mark.ray
def test_a_worker_killed_changes_nothing(disturbed: tuple, undisturbed: list[dict[str, float]]) -> None:
    _, watcher, done = disturbed
    assert watcher.killed and len(watcher.begun) == 2, "no worker was killed: the test shows nothing"
    assert "A worker was lost; all begin again from the last checkpoint." in watcher.said
    again = watcher.begun[1]
    assert again["resumed"] and again["epoch"] >= 3
    assert [row["epoch"] for row in done.history] == list(range(1, len(done.history) + 1))
    for row, expected in zip(done.history, undisturbed, strict=False):
        assert row["val_loss"] == pytest.approx(expected["val_loss"], rel=1e-3), row["epoch"]
        assert row["loss"] == pytest.approx(expected["loss"], rel=1e-3), row["epoch"]


@pytest.mark.ray
def test_ctrl_c_keeps_the_best_and_one_machine_can_end_it(disturbed: tuple, shards: Path) -> None:
    out, watcher, done = disturbed
    assert done.stopped == "interrupted" and (out / CHECKPOINT).exists()
    assert not watcher.others, "Ray ends a process one of whose threads calls it after its shutdown"
    assert whoplays.load(out).labels
    assert not [path for path in out.iterdir() if path.name.startswith(".")], "something was left lying about"
    ends = len(done.history) + 1
    ended = train(shards, out=out, resume=True, **(FAST | {"epochs": ends}))
    assert len(ended.history) == ends and ended.history[: len(done.history)] == done.history
    assert ended.validation["loss"] == pytest.approx(min(row["val_loss"] for row in ended.history), rel=1e-4)


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "kind", "message"),
    [
        (["--cluster", "local", "--jobs", "7"], DatasetError, "has 6 shards of training, and each of 7 processes"),
        (["--cluster", "local", "--jobs", "3"], UsageError, "--batch-size 2: 3 processes share a batch"),
        (["--cluster", "127.0.0.1:9"], UsageError, "--cluster 127.0.0.1:9: there is no Ray to work with"),
        (["--cluster", "ray://127.0.0.1:9"], UsageError, "run it there with auto"),
        (["--jobs", "2"], UsageError, "--jobs is for --cluster"),
        (["--cluster", "local", "--from", "default"], UsageError, "leave out --cluster"),
        (["--cluster", "local", "--epochs", "0"], UsageError, "--epochs 0: 1 to 100000 is possible"),
        (["--cluster", "local", "--recipe", "jazz"], UsageError, "must be one of: mfcc-cnn, default"),
    ],
)
@pytest.mark.ray
def test_what_cannot_be_is_refused(
    shards: Path, tmp_path: Path, words: list[str], kind: type[WhoplaysError], message: str
) -> None:
    pytest.importorskip("ray.train", reason="Ray is not installed (pip install 'whoplays[cluster]')")
    done = invoke("train", shards, "--out", tmp_path / "model", *words)
    assert done.status == kind.exit_status and message in done.stderr, done.stderr
    assert not (tmp_path / "model").exists() or not any((tmp_path / "model").iterdir())


@pytest.mark.ray
def test_another_backend_is_refused(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray.train", reason="Ray is not installed (pip install 'whoplays[cluster]')")
    from whoplays.cluster.train import train as train_on_cluster

    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(UsageError, match="KERAS_BACKEND=jax: whoplays trains with tensorflow only"):
        train_on_cluster(shards, out=tmp_path / "model")


def test_without_ray_one_line_says_what_to_install(shards: Path, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['ray'] = None\nfrom whoplays.cli import main\n"
        f"sys.argv = ['whoplays', 'train', {str(shards)!r}, '--out', {str(tmp_path / 'm')!r}, '--cluster', 'local']\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=WAIT_S)
    assert done.returncode == MissingExtraError.exit_status
    assert "--cluster needs ray" in done.stderr and "'whoplays[cluster]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.ray
def test_without_the_flag_nothing_of_ray_is_loaded(tmp_path: Path) -> None:
    """As far as the command goes without a data set; who imports Ray at all is kept by test_house.py."""
    words = ["train", str(tmp_path), "--out", str(tmp_path / "m")]
    done = command_without(
        ("ray",), words, status=1, then="assert 'whoplays.training.mfcc_cnn' in sys.modules, 'not begun'"
    )
    assert "has no finished data set" in done.stderr, done.stderr
