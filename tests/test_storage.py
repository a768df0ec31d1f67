"""Object stores: a real S3 server on loopback, which goes wrong by rule; what comes of it is what a disk would give."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import Here, invoke
from whoplays import dataset
from whoplays.dataset import BuildSettings, Dataset
from whoplays.dataset import content as contents_of
from whoplays.errors import AudioError, DatasetError, UsageError
from whoplays.storage import address, cache
from whoplays.storage.address import Address, StorageError, place

pytest.importorskip("s3fs", reason="s3fs is not installed (pip install 'whoplays[cluster]')")
pytest.importorskip("moto", reason="moto is not installed (pip install 'whoplays[dev]')")

from objectstore import BUCKET, KINDS, Store

WAIT_S = 900


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Store]:
    """A store that this process and those it starts find."""
    address._store.cache_clear()
    with Store() as found:
        for name, value in found.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("AWS_PROFILE", raising=False)
        monkeypatch.setenv("WHOPLAYS_STORE_PATIENCE_S", "30")
        monkeypatch.setenv("WHOPLAYS_CACHE", str(tmp_path / "cache"))
        yield found
    address._store.cache_clear()


def at(name: str) -> Address:
    found = place(f"s3://{BUCKET}/{name}")
    assert isinstance(found, Address)
    return found


def test_an_address_does_what_a_path_does(store: Store, tmp_path: Path) -> None:
    def answers(root: Path | Address) -> list[object]:
        return [
            [p.name for p in sorted(root.iterdir())],
            [p.name for p in sorted(root.glob("b*"))],
            [(root / name).exists() for name in ("a.txt", "below", "nothing", "below/c d.txt")],
            [(root / name).is_file() for name in ("a.txt", "below", "nothing")],
            [(root / name).is_dir() for name in ("a.txt", "below", "nothing")],
            (root / "a.txt").read_text(encoding="utf-8"),
            (root / "below/c d.txt").read_bytes(),
            (root / "below/../a.txt").read_bytes(),
            (root / "a.txt").suffix,
            (root / "below").parent.name,
        ]

    for name, content in {"a.txt": "ähm", "b.txt": "", "below/c d.txt": "c", "below/d+%20?.txt": "d"}.items():
        (tmp_path / "x" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "x" / name).write_text(content, encoding="utf-8")
        at(f"x/{name}").write(content)
    assert answers(at("x")) == answers(tmp_path / "x")
    assert [str(one.relative_to(at("x"))) for one in at("x").files()] == [
        "a.txt",
        "b.txt",
        "below/c d.txt",
        "below/d+%20?.txt",
    ]
    for missing in (at("x/nothing"), tmp_path / "nothing"):
        with pytest.raises(FileNotFoundError):
            missing.read_bytes()
        missing.unlink(missing_ok=True)
    at("x/a.txt").unlink()
    assert not at("x/a.txt").exists()


def test_what_is_no_address(store: Store) -> None:
    assert place("music/a.flac") == Path("music/a.flac") and place(Path("a")) == Path("a")
    assert str(at("a//b/./c/../d")) == f"s3://{BUCKET}/a/b/d" == str(place(f"S3://{BUCKET}/../a/b/d/"))
    with pytest.raises(UsageError, match=r"no store of the kind ftp:// is known; s3://"):
        place("ftp://somewhere/a.flac")
    with pytest.raises(UsageError, match="names no bucket"):
        place("s3://")
    with pytest.raises(UsageError, match="pip install gcsfs"):
        place("gs://bucket/a").read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_what_goes_wrong_now_and_then_is_made_good(store: Store, tmp_path: Path, kind: str) -> None:
    store.kinds, store.faults = (kind,), 0.4
    for number in range(6):
        content, one = os.urandom(100_000), at(f"x/{number}")
        one.write(content if number % 2 else lambda file, content=content: file.write(content))
        assert one.read_bytes() == content and one.size() == len(content)
        assert one.sha256() == hashlib.sha256(content).hexdigest()
        one.fetch(tmp_path / "here", len(content))
        assert (tmp_path / "here").read_bytes() == content
        assert len(list(at("x").iterdir())) == number + 1
    assert store.seen[kind] > 5


def test_a_large_object_goes_and_comes_in_parts(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s3fs.core.calculate_chunksize", lambda size, chunksize: 5 << 20)  # else 50 MB
    content = os.urandom(1 << 20) * 17
    store.faults = 0.2
    at("large").write(lambda file: file.write(content))
    at("large").fetch(tmp_path / "large", len(content))
    assert (tmp_path / "large").read_bytes() == content
    assert at("large").sha256() == hashlib.sha256(content).hexdigest()
    assert store.requests["PUT"] > 4 and store.requests["POST"] >= 2


def test_what_is_created_is_not_replaced(store: Store) -> None:
    store.faults = 0.3
    for number in range(5):
        at(f"x/{number}").create(b"first")
        at(f"x/{number}").create(b"second")
        assert at(f"x/{number}").read_bytes() == b"first"


def test_a_permanent_error_is_reported_in_one_line(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHOPLAYS_STORE_PATIENCE_S", "0.5")
    at("a").write(b"a")

    def message(call) -> str:  # type: ignore[no-untyped-def]
        with pytest.raises(StorageError) as caught:
            call()
        assert "\n" not in str(caught.value)
        return str(caught.value)

    store.down = True
    for call in (at("a").read_bytes, at("a").exists, lambda: at("a").write(b"b"), lambda: list(at("").iterdir())):
        assert "the store failed for 0.5 s" in message(call) and "AWS_ENDPOINT_URL" in message(call)
    store.down, store.refusing = False, True
    for call in (at("a").read_bytes, at("a").exists, lambda: at("a").write(b"b")):
        assert "the store refuses" in message(call) and "AWS_ACCESS_KEY_ID" in message(call)
    assert "Access Key Id you provided does not exist" in message(at("a").read_bytes)
    store.refusing = False
    assert "bucket does not exist" in message(lambda: place("s3://nowhere/a").write(b"a"))  # type: ignore[union-attr]
    assert at("a").read_bytes() == b"a", "what was there is unchanged"
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    address._store.cache_clear()
    assert "no credentials" in message(at("a").read_bytes)


def test_an_unreachable_address_is_reported(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WHOPLAYS_STORE_PATIENCE_S", "0.2")
    address._store.cache_clear()
    with pytest.raises(StorageError, match=r"Could not connect .* see that it is up"):
        at("a").exists()
    monkeypatch.setenv("WHOPLAYS_STORE_PATIENCE_S", "a while")
    with pytest.raises(UsageError, match="seconds are needed"):
        at("a").exists()


def test_a_recording_is_here_while_it_is_read_and_what_killed_ones_left_goes(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    cache._folder.cache_clear()
    script = (
        "import os, sys; from whoplays.storage.cache import recording; from whoplays.storage.address import place\n"
        "with recording(place(sys.argv[1])) as path: print(path, flush=True); sys.argv[2] == 'die' and os.abort()"
    )
    for number in range(3):
        at(f"{number}.wav").write(bytes(40_000))
    words = [sys.executable, "-c", script, str(at("0.wav"))]
    left = subprocess.run([*words, "die"], env={**os.environ, "TMPDIR": str(tmp_path)}, capture_output=True, text=True)
    assert Path(left.stdout.strip()).is_file()
    ended = subprocess.run([*words, "end"], env={**os.environ, "TMPDIR": str(tmp_path)}, capture_output=True, text=True)
    assert not Path(left.stdout.strip()).exists() and not Path(ended.stdout.strip()).exists(), ended.stderr
    with cache.one_by_one() as here:
        for number, gets in ((0, 1), (1, 1), (1, 0), (0, 1), (2, 1)):
            before = store.requests["GET"]
            path = here(at(f"{number}.wav"))
            assert path.stat().st_size == 40_000 and path.suffix == ".wav"
            assert len(list(tmp_path.glob("*/*.wav"))) == 1
            assert store.requests["GET"] - before == gets
    assert not list(tmp_path.glob("*/*.wav"))
    with pytest.raises(AudioError, match="no such file"), cache.recording(at("none.wav")):
        pass
    monkeypatch.setattr(cache, "LARGEST", 10_000)
    with pytest.raises(AudioError, match="40,000 bytes; up to 10,000"), cache.recording(at("1.wav")):
        pass


# ---------------------------------------------------------------- data sets


SETTINGS = BuildSettings(pitch=(0.0, 1.0), test=0.25, validation=0.25, clips_per_shard=2)


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_a_data_set_built_in_a_failing_store_is_that_of_a_disk(
    store: Store, class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recordings from the store, shards into it, one request in five going wrong; and the other way round."""
    dataset.build(class_folders, tmp_path / "disk", SETTINGS, engine=Here())
    source = store.put(class_folders, "classes")
    store.faults = 0.2
    built = dataset.build(source, f"s3://{BUCKET}/set", SETTINGS, jobs=2)
    assert not built.skipped and sum(store.seen.values()) > 20 and {*KINDS} <= {*store.seen}
    assert store.contents("set") == contents(tmp_path / "disk")
    again = dataset.build(source, f"s3://{BUCKET}/set", SETTINGS, engine=Here())
    assert again.already_there and again.rows == built.rows
    dataset.build(source, tmp_path / "fetched", SETTINGS, engine=Here())
    assert contents(tmp_path / "fetched") == contents(tmp_path / "disk")
    with pytest.raises(DatasetError, match="holds a data set built from other files or settings"):
        dataset.build(source, f"s3://{BUCKET}/set", BuildSettings(test=0.25, validation=0.25), jobs=1)


def test_a_build_fetches_each_recording_once_and_asks_for_it_twice(
    store: Store, class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked when it is planned and when all is made; what is fetched for its length is kept for its sound."""
    dataset.build(class_folders, tmp_path / "disk", SETTINGS, engine=Here())
    source = store.put(class_folders, "classes")
    wavs = [path.relative_to(class_folders).as_posix() for path in class_folders.rglob("*.wav")]

    def requests(out: str, **where: Any) -> set[tuple[int, int]]:
        store.of_object.clear()
        dataset.build(source, tmp_path / out, SETTINGS, **where)
        assert contents(tmp_path / out) == contents(tmp_path / "disk")
        assert list((tmp_path / "cache/recordings").iterdir()) == []
        return {(store.of_object["GET", f"classes/{w}"], store.of_object["HEAD", f"classes/{w}"]) for w in wavs}

    assert requests("once", jobs=2) == {(1, 2)}
    monkeypatch.setattr(cache, "KEPT_SHARE", -1.0)  # a disk that has no room for them, whatever others remove from it
    assert requests("twice", engine=Here()) == {(2, 3)}


def test_a_recording_that_changes_while_a_data_set_is_built_is_reported(
    store: Store, class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = store.put(class_folders, "classes")
    known = contents_of.seen

    def seen_and_changed(*words: Any) -> Any:
        found = known(*words)
        monkeypatch.setattr(contents_of, "seen", known)
        at("classes/drums/take00.wav").write(b"shorter")
        return found

    monkeypatch.setattr(contents_of, "seen", seen_and_changed)
    with pytest.raises(DatasetError, match="recordings vanished or changed"):
        dataset.build(source, tmp_path / "out", SETTINGS, engine=Here())
    assert not (tmp_path / "out" / "dataset.json").exists()


@pytest.mark.ray
def test_a_cluster_builds_in_a_failing_store_and_each_machine_reads_its_own_shards(
    store: Store, class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed (pip install 'whoplays[cluster]')")
    from whoplays.cluster import Cluster

    monkeypatch.setattr(BuildSettings, "row_bytes", 1 << 18)  # two clips of two variants to a shard
    settings = BuildSettings(pitch=(0.0, 1.0), test=0.25, validation=0.25, shard_mb=1)
    dataset.build(class_folders, tmp_path / "disk", settings, jobs=1)
    source, out = store.put(class_folders, "classes"), f"s3://{BUCKET}/set"
    store.faults = 0.1
    dataset.build(source, out, settings, engine=Cluster("local", jobs=2))
    assert sum(store.seen.values()) > 10
    assert store.contents("set") == contents(tmp_path / "disk")
    store.faults = 0.0
    disk, far = Dataset.open(tmp_path / "disk"), Dataset.open(out)
    for part in ((0, 2), (1, 2), (0, 1)):
        here, there = disk.split("training", part=part), far.split("training", part=part)
        np.testing.assert_array_equal(here.features[:], there.features[:])
        assert here.paths == there.paths
        shards = [entry["file"] for entry in far.index["shards"] if entry["split"] == "training"]
        if part == (0, 2):
            assert len(list((tmp_path / "cache/shards").iterdir())) == len(shards[::2]) < len(shards)
    before = store.requests.total()
    far.split("training")
    assert store.requests.total() == before, "what is in the cache is not fetched again"
    at(f"set/{shards[0]}").write(b"something else")
    (tmp_path / "cache/shards").rename(tmp_path / "elsewhere")
    with pytest.raises(DatasetError, match="changed since the data set was built"):
        far.split("training")
    at(f"set/{shards[0]}").unlink()
    with pytest.raises(DatasetError, match="is missing"):
        far.split("training")
    assert far.verify() == [shards[0]]


@pytest.mark.slow
def test_a_killed_build_in_a_store_goes_on_to_the_same_bytes(store: Store, class_folders: Path, tmp_path: Path) -> None:
    """kill -9 once the first shards are there; then another process, in another place, finishes it."""
    dataset.build(class_folders, tmp_path / "disk", SETTINGS, jobs=1)
    source = store.put(class_folders, "classes")
    script = (
        "from whoplays.dataset import BuildSettings, build\nif __name__ == '__main__':\n"
        f"    build({source!r}, 's3://{BUCKET}/set', {SETTINGS!r}, jobs=1)"
    )
    command = [sys.executable, "-c", script]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE)
    deadline = time.monotonic() + WAIT_S
    while not any(name.endswith(".npy") for name in store.contents("set")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait(WAIT_S) == -signal.SIGKILL, process.stderr and process.stderr.read()
    held = store.contents("set")
    assert "dataset.json" not in held and "building.json" in held
    again = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S)
    assert again.returncode == 0, again.stderr
    assert store.contents("set") == contents(tmp_path / "disk")


def test_the_command_reports_in_one_line_what_is_wrong_with_a_store(
    store: Store, class_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHOPLAYS_STORE_PATIENCE_S", "0.3")

    def message(source: str, out: str) -> str:
        done = invoke("dataset", "build", source, "--out", out, "--jobs", "1")
        assert done.status
        return done.stderr.strip().removeprefix("whoplays: ")

    inside = str(class_folders)
    assert (
        message(f"s3://{BUCKET}/nothing", f"s3://{BUCKET}/set") == f"s3://{BUCKET}/nothing: no such folder or manifest"
    )
    assert "bucket does not exist" in message(inside, "s3://nowhere/set")
    store.refusing = True
    assert "the store refuses" in message(inside, f"s3://{BUCKET}/set")
    store.refusing, store.down = False, True
    assert "the store failed for 0.3 s" in message(inside, f"s3://{BUCKET}/set")


def test_recordings_in_a_store_are_predicted_as_those_on_a_disk(
    store: Store, class_folders: Path, tiny_model: Path, tmp_path: Path
) -> None:
    def rows(of: str, out: Path, *more: str) -> list[dict[str, object]]:
        words = ["predict", of, "--model", str(tiny_model), "--out", str(out), "--jobs", "2", *more]
        done = invoke(*words)
        assert done.status == 0, done.stderr
        found = [json.loads(line) for line in out.read_text().splitlines()]
        return [{**row, "path": Path(str(row["path"])).name, "seen": None} for row in found]

    far = store.put(class_folders / "drums", "drums")
    store.faults = 0.1
    expected = rows(str(class_folders / "drums"), tmp_path / "here.jsonl")
    assert rows(far, tmp_path / "there.jsonl") == expected
    before = store.requests["GET"]
    assert rows(far, tmp_path / "there.jsonl", "--resume") == expected
    assert store.requests["GET"] - before < 5, "what is known was fetched again"
    reported = invoke("predict", far, "--model", tiny_model, "--report", tmp_path / "r.html")
    assert "--report is for recordings on this machine" in reported.stderr
    reported = invoke("predict", f"{far}/none.wav", "--model", tiny_model, "--format", "jsonl")
    assert (
        json.loads(reported.stdout) == {"path": f"{far}/none.wav", "error": "no such file", "schema": 1}
        and reported.status == 1
    )


def test_a_model_is_judged_on_a_data_set_in_a_store_as_on_one_on_a_disk(
    store: Store, small_dataset: Path, trained_model: Path, tmp_path: Path
) -> None:
    from whoplays.evaluation.evaluate import evaluate

    here = evaluate(trained_model, small_dataset, tmp_path / "here", draws=20)
    there = evaluate(trained_model, store.put(small_dataset, "set"), tmp_path / "there", draws=20)
    assert here.metrics == there.metrics
