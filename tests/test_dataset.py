"""Data sets: sources, picks, splits by recording, shards, interruption, and every way a source can be wrong."""

from __future__ import annotations

import contextlib
import csv
import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from conftest import COMMAND_S, RATE, Here, tone
from whoplays import dataset, features
from whoplays.audio import reading
from whoplays.dataset import BuildSettings, Dataset, sources
from whoplays.dataset import make as making
from whoplays.dataset.split import divide, pick
from whoplays.errors import DatasetError, ReadError, WhoplaysError
from whoplays.taxonomy.catalogue import catalogue

FAMILIES = catalogue().labels_for(catalogue().defaults)

THIRDS = {"test": 0.25, "validation": 0.25}


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def manifest(folder: Path, header: str, *rows: str) -> Path:
    path = folder / "manifest.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def recordings(folder: Path, *names: str, seconds: float = 0.5) -> None:
    for i, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, tone(220.0 * (i + 1), seconds), RATE)


# --- what is built


def test_rows_are_the_features_of_their_files(class_folders: Path, tmp_path: Path) -> None:
    progress: list[tuple[int, int]] = []
    summary = dataset.build(
        class_folders,
        tmp_path / "set",
        BuildSettings(pitch=(-1, 0, 1), **THIRDS),
        jobs=2,
        on_progress=lambda done, total: progress.append((done, total)),
    )
    assert progress[0] == (0, 24) and progress[-1] == (24, 24) and progress == sorted(progress)
    assert summary.folder == tmp_path / "set" and not summary.skipped
    built = Dataset.open(tmp_path / "set")
    assert [label.id for label in built.labels] == ["drums", "guitar", "strings"]
    assert summary.rows == {"training": 36, "validation": 6, "test": 6}
    split = built.split("training")
    assert split.features.shape == (36, 20, 20)
    assert sorted(set(split.semitones.tolist())) == [-1, 0, 1]
    for row in (0, 17, 35):
        samples = reading.load(class_folders / split.paths[row], sample_rate=RATE, duration=10.0)
        expected = features.compute_variants(samples, features.REPORT, semitones=(float(split.semitones[row]),))[0]
        np.testing.assert_allclose(split.features[row], expected, atol=1e-4)
        assert split.targets[row, ["drums", "guitar", "strings"].index(split.paths[row].split("/")[0])] == 1
    assert (split.targets.sum(axis=1) == 1).all()
    assert set(built.split("test").semitones.tolist()) == {0.0}, "only training has variants"


def test_same_seed_same_bytes_whatever_the_number_of_workers(class_folders: Path, tmp_path: Path) -> None:
    chosen = BuildSettings(pitch=(0, 1), per_class=7, seed=5, **THIRDS)
    dataset.build(class_folders, tmp_path / "one", chosen, jobs=1)
    dataset.build(class_folders, tmp_path / "three", chosen, jobs=3)
    assert contents(tmp_path / "one") == contents(tmp_path / "three")
    other = BuildSettings(pitch=(0, 1), per_class=7, seed=6, **THIRDS)
    dataset.build(class_folders, tmp_path / "other", other, jobs=2)
    assert contents(tmp_path / "one")["rows.csv"] != contents(tmp_path / "other")["rows.csv"]


def test_arrow_shards_hold_the_same_rows_and_describe_them(class_folders: Path, tmp_path: Path) -> None:
    """Two shards of a megabyte of log-mel: what they hold is what the small files and rows.csv hold."""
    chosen = {"features": "logmel", "clip_s": 1.0, "pitch": (0, 1), **THIRDS}
    dataset.build(class_folders, tmp_path / "small", BuildSettings(**chosen), jobs=1)
    dataset.build(class_folders, tmp_path / "one", BuildSettings(shard_mb=1, **chosen), jobs=1)
    dataset.build(class_folders, tmp_path / "two", BuildSettings(shard_mb=1, **chosen), jobs=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert sorted(p.name for p in (tmp_path / "one").glob("train*")) == ["training-00000.arrow"]
    small, arrow = (Dataset.open(tmp_path / name).split("training") for name in ("small", "one"))

    def rows(split) -> dict:
        keys = zip(split.paths, split.starts, split.semitones, strict=True)
        return {key: (split.targets[i].tolist(), split.features[i].tobytes()) for i, key in enumerate(keys)}

    assert rows(small) == rows(arrow)
    assert not (tmp_path / "one" / "rows.csv").exists()


@pytest.mark.parametrize("shard_mb", [0, 1])
def test_parts_of_a_split_are_its_rows_each_once(class_folders: Path, tmp_path: Path, shard_mb: int) -> None:
    """What each of two machines reads, together, is the whole; here training has three shards or more."""
    variants = (-2, -1, 0, 1, 2)
    chosen = BuildSettings(
        features="logmel", clip_s=4.0, pitch=variants, shard_mb=shard_mb, clips_per_shard=3, **THIRDS
    )
    dataset.build(class_folders, tmp_path / "set", chosen, jobs=1)
    built = Dataset.open(tmp_path / "set")
    assert len(list((tmp_path / "set").glob("training-*"))) >= 3
    whole = built.split("training")
    parts = [built.split("training", part=(i, 2)) for i in range(2)]
    assert len(whole) == sum(map(len, parts))
    names = [set(zip(part.paths, part.semitones.tolist(), strict=True)) for part in parts]
    assert all(names) and not names[0] & names[1]
    for part in parts:
        for i in range(0, len(part), 7):
            at = next(
                k
                for k in range(len(whole))
                if whole.paths[k] == part.paths[i] and whole.semitones[k] == part.semitones[i]
            )
            np.testing.assert_array_equal(part.features[i], whole.features[at])
    some = whole.take(np.arange(len(whole))[::-2]).take(np.array([2, 0]))  # rows of rows
    at = np.arange(len(whole))[::-2][[2, 0]]
    assert len(some) == 2 and some.paths == tuple(whole.paths[i] for i in at)
    np.testing.assert_array_equal(some.features[:], whole.features[at])
    np.testing.assert_array_equal(some.features[-1], whole.features[at[-1]])
    np.testing.assert_array_equal(some.targets, whole.targets[at])


def test_killed_and_started_again_it_goes_on_to_the_same_bytes(
    class_folders: Path, tmp_path: Path, monkeypatch
) -> None:
    chosen = BuildSettings(pitch=(-2, -1, 0, 1, 2), **THIRDS)
    dataset.build(class_folders, tmp_path / "whole", chosen, jobs=1)
    command = [
        sys.executable,
        "-m",
        "whoplays",
        "dataset",
        "build",
        str(class_folders),
        "--out",
        str(tmp_path / "killed"),
    ]
    command += ["--pitch=-2,-1,0,1,2", "--test", "0.25", "--validation", "0.25", "--jobs", "1"]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + COMMAND_S
    while not any((tmp_path / "killed").glob("training-*")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "dataset.json").exists() or process.returncode == 0
    dataset.build(class_folders, tmp_path / "killed", chosen, jobs=2)
    assert contents(tmp_path / "whole") == contents(tmp_path / "killed")


def test_what_is_done_is_kept_and_a_damaged_shard_made_anew(class_folders: Path, tmp_path: Path) -> None:
    """Stop after the first shard, damage it, and go on: the result is that of an undisturbed run."""
    chosen = BuildSettings(**THIRDS)
    dataset.build(class_folders, tmp_path / "whole", chosen, jobs=1)

    def stop(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dataset.build(class_folders, tmp_path / "halves", chosen, jobs=1, on_progress=stop)
    kept = sorted((tmp_path / "halves").glob("*.npy"))
    assert kept, "what was finished before the interruption stays"
    kept[0].write_bytes(kept[0].read_bytes()[:-4] + b"oops")
    dataset.build(class_folders, tmp_path / "halves", chosen, jobs=1)
    assert contents(tmp_path / "whole") == contents(tmp_path / "halves")


@pytest.mark.parametrize("which", [0, -1])
def test_a_recording_that_vanishes_under_way_stops_the_build_and_nothing_is_lost(
    which: int, class_folders: Path, tmp_path: Path
) -> None:
    """Left out silently, the data set would not be the requested one."""
    source = tmp_path / "source"
    shutil.copytree(class_folders, source)
    chosen = BuildSettings(**THIRDS)
    dataset.build(source, tmp_path / "whole", chosen, jobs=1)
    gone = sorted(source.rglob("*.wav"))[which]
    hidden = tmp_path / "hidden.wav"

    def hide(done: int, total: int) -> None:
        if done and gone.exists():
            gone.rename(hidden)

    with pytest.raises(DatasetError, match="vanished or changed while the data set was built"):
        dataset.build(source, tmp_path / "again", chosen, jobs=1, on_progress=hide)
    hidden.rename(gone)
    dataset.build(source, tmp_path / "again", chosen, jobs=1)
    assert contents(tmp_path / "whole") == contents(tmp_path / "again")


@pytest.mark.parametrize("heals", [True, False])
def test_a_disk_that_fails_for_a_moment_costs_no_recording(
    heals: bool, class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset.build(class_folders, tmp_path / "whole", BuildSettings(**THIRDS), jobs=1)
    tried: Counter[Path] = Counter()
    read, victim = reading.load, sorted(class_folders.rglob("*.wav"))[0]

    def load(path: Path, **what: Any) -> np.ndarray:
        tried[path] += 1
        if path == victim and (tried[path] < 3 or not heals):
            raise ReadError("cannot be read (Input/output error); is its disk or connection failing?")
        return read(path, **what)

    monkeypatch.setattr(reading, "load", load)
    monkeypatch.setattr(making.time, "sleep", lambda seconds: None)
    built = dataset.build(class_folders, tmp_path / "again", BuildSettings(**THIRDS), engine=Here())
    assert tried[victim] == 3
    assert (contents(tmp_path / "whole") == contents(tmp_path / "again")) == heals
    if not heals:
        assert [(one.name, "is its disk" in one.cause) for one in built.skipped][-1] == (
            victim.relative_to(class_folders).as_posix(),
            True,
        )


def test_what_a_kill_at_the_very_end_left_is_cleared(
    class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(path: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    out = tmp_path / "set"
    dataset.build(class_folders, out, BuildSettings(**THIRDS), jobs=1)
    before = contents(out)
    (out / "test-00000.json").write_text("{}")  # the index is there, the records of what was made are not yet gone
    with (
        monkeypatch.context() as broken,
        pytest.raises(DatasetError, match=r"cannot be removed \(Input/output error\)"),
    ):
        broken.setattr(Path, "unlink", fails)
        dataset.build(class_folders, out, BuildSettings(**THIRDS), jobs=1)
    assert dataset.build(class_folders, out, BuildSettings(**THIRDS), jobs=1).already_there
    assert contents(out) == before


def test_built_twice_is_noticed_and_other_settings_are_refused(class_folders: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    assert not dataset.build(class_folders, out, BuildSettings(**THIRDS)).already_there
    assert dataset.build(class_folders, out, BuildSettings(**THIRDS)).already_there
    with pytest.raises(DatasetError, match="other files or settings"):
        dataset.build(class_folders, out, BuildSettings(seed=1, **THIRDS))
    shard = out / "test-00000.npy"
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    with pytest.raises(DatasetError, match=r"test-00000.npy changed"):
        dataset.build(class_folders, out, BuildSettings(**THIRDS))


def test_files_that_cannot_be_used_are_listed_and_the_build_goes_on(class_folders: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for path in sorted(class_folders.rglob("*.wav")):
        target = source / path.relative_to(class_folders)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    bad = {
        "drums/text.wav": (b"no audio", "is not a recording"),
        "drums/empty.wav": (b"", "is empty"),
    }
    for name, (content, _) in bad.items():
        (source / name).write_bytes(content)
    for name, samples, text in (
        ("guitar/silent.wav", np.zeros(RATE), "is silent"),
        ("guitar/short.wav", tone(440.0, 0.01), "has 0.010 s of sound"),
        ("guitar/zero.wav", np.zeros(0), "has 0.000 s of sound"),
        ("strings/nan.wav", np.full(RATE, np.nan), "NaN"),
    ):
        soundfile.write(source / name, samples, RATE, subtype="FLOAT")
        bad[name] = (b"", text)
    summary = dataset.build(source, tmp_path / "set", BuildSettings(per_class=0, **THIRDS))
    assert {item.name for item in summary.skipped} == set(bad)
    for item in summary.skipped:
        assert bad[item.name][1] in item.cause
    rows = list(csv.reader((tmp_path / "set" / "skipped.csv").open()))
    assert len(rows) == 1 + len(bad)
    assert sum(summary.rows.values()) == 24


def test_long_files_become_clips_of_one_recording(tmp_path: Path) -> None:
    for name in ("a", "b"):
        recordings(tmp_path / "source", *(f"{name}/{i}.wav" for i in range(3)), seconds=3.4)
    summary = dataset.build(
        tmp_path / "source", tmp_path / "set", BuildSettings(clip_s=1.0, test=0.34, validation=0.33)
    )
    assert sum(summary.rows.values()) == 2 * 3 * 3, "3.4 s are three clips of 1 s; 0.4 s are not used"
    for split in ("training", "validation", "test"):
        part = Dataset.open(tmp_path / "set").split(split)
        assert len(set(part.paths)) == summary.recordings[split] == 2


def test_logmel_examples_have_all_their_frames(class_folders: Path, tmp_path: Path) -> None:
    dataset.build(class_folders, tmp_path / "set", BuildSettings(features="logmel", clip_s=2.0, **THIRDS))
    split = Dataset.open(tmp_path / "set").split("validation")
    assert split.features.shape[1:] == (101, 64)
    again, first = split.features[0][62:98], split.features[0][2:38]  # 1.2 s are 60 frames
    assert np.allclose(again, first, atol=1e-3), "a shorter recording is repeated, as it is predicted"


# --- manifests


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        ("path,labels,recording", ["a.wav,guitar;drums,r1", "b.wav,guitar,r2", "c.wav,drums,r3"]),
        ("path,drums,guitar,recording", ["a.wav,1,1,r1", "b.wav,0,1,r2", "c.wav,1,0,r3"]),
        (
            "\ufeffpath,labels,video_id,start_s,end_s",
            ["a.wav,guitar;drums,r1,30,40", "b.wav,guitar,r2,30,40", "c.wav,drums,r3,30,40"],
        ),
    ],
)
def test_manifests_of_each_kind_mean_the_same(tmp_path: Path, header: str, rows: list[str]) -> None:
    found = sources.read_source(manifest(tmp_path, header, *rows), labels=("drums", "guitar"))
    assert [clip.targets for clip in found[1]] == [(1, 1), (0, 1), (1, 0)]
    assert [clip.recording for clip in found[1]] == ["r1", "r2", "r3"]
    assert all(clip.start == 0 and clip.duration is None for clip in found[1])


def test_the_rules_on_instruments_are_held_against_the_family(tmp_path: Path) -> None:
    path = manifest(
        tmp_path, "path,family,instrument,source", "a,guitar,bass-electric,1", "b,guitar,guitar-nylon,2", "c,other,banjo,3",
        "d,other,drum-machine,4", "e,other,timpani,5", "f,piano,,6", "g,brass,tuba,7", "h,strings,cello,8", "i,,rain,9",
    )  # fmt: skip
    labels, clips, skipped = sources.read_source(path, labels=catalogue().defaults, with_none=True)
    assert labels == FAMILIES
    targets = {clip.name: clip.targets for clip in clips}
    assert targets["a"] == (0, 0, 0, 0, 0)
    assert targets["b"] == (0, 0, 1, 0, 0)
    assert targets["d"] == (0, 1, 0, 0, 0)
    assert {item.name for item in skipped} == {"c", "e", "i"}, "what is left open counts neither way"


def test_where_selects_rows_and_split_is_read_from_the_manifest(tmp_path: Path) -> None:
    recordings(tmp_path, *(f"{i}.wav" for i in range(8)))
    rows = [f"{i}.wav,{'ab'[i % 2]},{'keep' if i < 6 else 'drop'},{'test' if i < 2 else 'training'}" for i in range(8)]
    path = manifest(tmp_path, "path,label,kind,split", *rows)
    chosen = BuildSettings(where=("kind=keep",), test=0.2, validation=0)
    summary = dataset.build(path, tmp_path / "set", chosen)
    assert summary.rows == {"training": 4, "validation": 0, "test": 2}
    assert len(sources.read_source(path, where=("kind=keep,drop",))[1]) == 8
    assert len(sources.read_source(path, where=("kind!=drop,other",))[1]) == 6
    with pytest.raises(DatasetError, match="columns are path, label, kind, split"):
        sources.read_source(path, where=("colour=red",))


def test_unknown_cells_stay_unknown(tmp_path: Path) -> None:
    recordings(tmp_path, "a.wav", "b.wav")
    path = manifest(tmp_path, "path,drums,guitar", "a.wav,1,", "b.wav,0,1")
    dataset.build(path, tmp_path / "set", BuildSettings(labels=("drums", "guitar"), per_class=0, test=1, validation=0))
    targets = Dataset.open(tmp_path / "set").split("test").targets
    np.testing.assert_array_equal(targets, np.array([[1, np.nan], [0, 1]], dtype=np.float32))


def test_the_training_material_is_usable_as_it_is(shared_data: Path) -> None:
    labels, clips, _ = sources.read_source(shared_data / "manifest.csv", where=("kind!=ir,noise,real",))
    assert labels == FAMILIES
    assert len(clips) > 4500
    assert not [clip for clip in clips if clip.path.parts[-2].startswith("bass-electric") and clip.targets[2]]
    assert len({clip.recording for clip in clips}) > 60


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("labels,recording\nguitar,1\n", "no column 'path'"),
        ("path,recording\na.wav,1\n", "no column that names labels"),
        ("path,labels\na.wav,kazoo\n", "label kazoo is unknown"),
        ("path,labels\n", "has no rows"),
        ("", "has no rows"),
        ("path,labels\na.wav,guitar,extra\n", "line 2: has more fields"),
        ("path,labels,start_s\na.wav,guitar,soon\n", "line 2: start_s is 'soon'"),
        ("path,drums,guitar\na.wav,yes,0\n", "line 2: a label's cell holds 'yes'"),
        ("path,labels,split\na.wav,guitar,train\n", "line 2: split is 'train'"),
        ("path,labels,start_s,end_s\na.wav,guitar,5,4\n", "line 2: the part lasts"),
        ("path,labels\n,guitar\n", "line 2: its path is empty"),
        ('path,labels\n"a.wav,guitar\n', "is not a CSV table"),
    ],
)
def test_a_wrong_manifest_is_refused_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "manifest.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match=words) as caught:
        sources.read_source(path, labels=("drums", "guitar"))
    assert "\n" not in str(caught.value)


@given(content=st.binary(max_size=300))
def test_arbitrary_bytes_are_no_reason_to_crash(tmp_path_factory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(b"path,labels\n" + content)
    try:
        sources.read_source(path)
    except WhoplaysError:
        pass


@pytest.mark.parametrize(
    ("name", "recording"),
    [
        ("-abcdefghij_30000.flac", "-abcdefghij"),
        ("x/abc_efg-ijk_30000_40000.wav", "abc_efg-ijk"),
        ("abcdefghijk.wav", "abcdefghijk"),
        ("song-part2.mp3", "song"),
        ("Song Part 12.mp3", "Song"),
        ("violin_01.wav", "violin_01"),
        ("part2.wav", "part2"),
        ("guitar/001.wav", "guitar/001"),
    ],
)
def test_the_rule_on_file_names(name: str, recording: str) -> None:
    assert sources.recording_of(name) == recording


# --- picks and splits


def clip(name: str, *labels: int, recording: str | None = None, split: str | None = None) -> sources.Clip:
    targets = tuple(int(i in labels) for i in range(3))
    return sources.Clip(Path(), name, recording or name, targets, split=split)


THREE = catalogue().labels_for("abc")


@given(
    groups=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 9)), min_size=12, max_size=60),
    seed=st.integers(0, 5),
)
def test_no_recording_is_on_two_sides_and_order_does_not_matter(groups: list[tuple[int, int]], seed: int) -> None:
    groups += [(i, 1) for i in range(3) for _ in range(4)]
    clips = [clip(f"{g}-{i}", label, recording=str(g)) for g, (label, size) in enumerate(groups) for i in range(size)]
    divided, _ = divide(clips, THREE, test=0.2, validation=0.2, seed=seed)
    again, _ = divide(clips[::-1], THREE, test=0.2, validation=0.2, seed=seed)
    assert {c.name: c.split for c in divided} == {c.name: c.split for c in again}
    sides: dict[str, set] = {}
    for c in divided:
        sides.setdefault(c.recording, set()).add(c.split)
    assert all(len(splits) == 1 for splits in sides.values())
    assert {c.split for c in divided} == {"training", "validation", "test"}


def test_shares_are_met_when_recordings_are_small() -> None:
    clips = [clip(f"{label}{i}", label) for label in range(3) for i in range(100)]
    divided, remarks = divide(clips, THREE, test=0.2, validation=0.1, seed=1)
    assert not remarks
    for label in range(3):
        splits = [c.split for c in divided if c.targets[label]]
        assert (splits.count("test"), splits.count("validation")) == (20, 10)


def test_the_pick_is_balanced_and_seeded() -> None:
    clips = [clip(f"{label}{i}", label) for label, size in enumerate((10, 30, 20)) for i in range(size)]
    for per_class, sizes in ((None, [10, 10, 10]), (15, [10, 15, 15]), (0, [10, 30, 20])):
        picked = pick(clips, THREE, per_class=per_class, seed=3)
        assert [sum(c.targets[i] for c in picked) for i in range(3)] == sizes
    assert pick(clips, THREE, per_class=5, seed=3) == pick(clips[::-1], THREE, per_class=5, seed=3)
    assert pick(clips, THREE, per_class=5, seed=3) != pick(clips, THREE, per_class=5, seed=4)


def test_a_recording_that_a_manifest_puts_on_two_sides_is_refused() -> None:
    clips = [clip("x", 0, recording="r", split="test"), clip("y", 0, recording="r", split="training")]
    with pytest.raises(DatasetError, match="'r' is on two sides"):
        divide(clips, THREE, test=0.5, validation=0, seed=0)


# --- wrong calls


def test_a_class_with_one_file_is_explained(tmp_path: Path) -> None:
    recordings(tmp_path / "source", "a/1.wav", "b/1.wav", "b/2.wav", "b/3.wav")
    with pytest.raises(DatasetError, match=r"a has 1 recording, and 3 are needed .*--test 0"):
        dataset.build(tmp_path / "source", tmp_path / "set", BuildSettings())


def test_sources_that_are_none(tmp_path: Path, class_folders: Path) -> None:
    (tmp_path / "flat").mkdir()
    (tmp_path / "hollow" / "a").mkdir(parents=True)
    for source, words in (
        (tmp_path / "nowhere", "no such folder"),
        (tmp_path / "flat", "no sub-folders"),
        (tmp_path / "hollow", "has no recordings"),
    ):
        with pytest.raises(DatasetError, match=words):
            dataset.build(source, tmp_path / "set", BuildSettings())
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(DatasetError, match="is not empty"):
        dataset.build(class_folders, tmp_path / "full", BuildSettings(**THIRDS))
    assert (tmp_path / "full" / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "change",
    [
        {"pitch": (0, 0)},
        {"pitch": (99,)},
        {"pitch": ()},
        {"clip_s": 0},
        {"features": "chroma"},
        {"pitch_method": "magic"},
        {"per_class": -1},
        {"clips_per_shard": 0},
    ],
)
def test_impossible_settings_are_refused_before_anything_is_read(change: dict) -> None:
    with pytest.raises(DatasetError, match="possible"):
        BuildSettings(**change)


@pytest.mark.parametrize("shares", [{"test": 0.8, "validation": 0.3}, {"test": -0.1}, {"test": 2.0}])
def test_shares_that_make_no_whole_are_refused(class_folders: Path, tmp_path: Path, shares: dict) -> None:
    with pytest.raises(DatasetError, match="do not fit"):
        dataset.build(class_folders, tmp_path / "set", BuildSettings(**shares))


def test_two_builds_into_one_folder(class_folders: Path, tmp_path: Path) -> None:
    from whoplays.storage.files import only_writer

    with only_writer(tmp_path / "set"), pytest.raises(WhoplaysError, match="another whoplays is writing there"):
        dataset.build(class_folders, tmp_path / "set", BuildSettings(**THIRDS))


def test_a_full_disk_is_reported_and_the_build_resumes_when_there_is_room(
    class_folders: Path, tmp_path: Path, monkeypatch
) -> None:
    """The disk is filled for real: a file-size limit in the workers makes every write of a shard fail."""
    out = tmp_path / "set"
    script = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096));"
        "sys.argv[0] = 'whoplays'; from whoplays.cli import main; main()"
    )
    command = ["dataset", "build", str(class_folders), "--out", str(out), "--test", "0.25", "--validation", "0.25"]
    run = subprocess.run([sys.executable, "-c", script, *command], capture_output=True, text=True, timeout=COMMAND_S)
    assert run.returncode == 1
    assert "cannot be written" in run.stderr
    assert "Traceback" not in run.stderr
    assert not list(out.glob("*.npy")) and not list(out.glob(".*.part"))
    dataset.build(class_folders, out, BuildSettings(**THIRDS))
    dataset.build(class_folders, tmp_path / "whole", BuildSettings(**THIRDS))
    assert contents(out) == contents(tmp_path / "whole")


def test_an_unfinished_data_set_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="whoplays dataset build"):
        Dataset.open(tmp_path)


# --- causes before consequences; the same content twice


def test_what_was_left_out_is_said_before_what_follows_from_it(tmp_path: Path) -> None:
    source = tmp_path / "source"
    recordings(source, "a/1.wav", "a/2.wav", "a/3.wav")
    (source / "list.csv").write_text(
        "path,label\n" + "".join(f"a/{i}.wav,guitar\n" for i in (1, 2, 3)) + "x1.wav,banjo\nx2.wav,banjo\n"
    )
    (source / "x2.wav").write_bytes(b"")
    with pytest.raises(DatasetError) as caught:
        dataset.build(source / "list.csv", tmp_path / "set", BuildSettings(labels=("guitar", "banjo"), **THIRDS))
    words = str(caught.value)
    for part in (
        "1 x no such file (x1.wav)",
        "1 x is empty (0 bytes) (x2.wav)",
        "skipped.csv",
        "no recording of banjo",
    ):
        assert part in words
    assert words.index("no such file") < words.index("no recording of banjo")
    listed = list(csv.reader((tmp_path / "set" / "skipped.csv").open()))
    assert listed == [["path", "cause"], ["x1.wav", "no such file"], ["x2.wav", "is empty (0 bytes)"]]
    recordings(source, "b/1.wav", "b/2.wav", "b/3.wav", seconds=0.6)
    (source / "list.csv").write_text(
        "path,label\n" + "".join(f"a/{i}.wav,guitar\nb/{i}.wav,banjo\n" for i in (1, 2, 3))
    )
    settings = BuildSettings(labels=("guitar", "banjo"), **THIRDS)
    assert dataset.build(source / "list.csv", tmp_path / "set", settings).rows[
        "training"
    ]  # corrected, in the same folder


def test_a_class_whose_recordings_cannot_be_decoded_is_reported_with_the_causes(tmp_path: Path) -> None:
    recordings(tmp_path / "source", "a/1.wav", "a/2.wav", "a/3.wav", "b/1.wav")
    for name in ("1", "2", "3"):
        soundfile.write(
            tmp_path / "source" / "b" / f"{name}.wav", np.zeros(RATE) + 1e-9 * int(name), RATE, subtype="FLOAT"
        )
    with pytest.raises(DatasetError, match=r"3 x is silent .*no recording of b can be used"):
        dataset.build(tmp_path / "source", tmp_path / "set", BuildSettings(**THIRDS), jobs=1)


def test_copies_stay_on_one_side_and_contradictions_are_reported(tmp_path: Path) -> None:
    source = tmp_path / "source"
    recordings(source, *(f"{label}/{i}.wav" for label in ("drums", "guitar") for i in range(8)))
    for i in range(4):
        shutil.copy(source / "drums" / f"{i}.wav", source / "drums" / f"other name {i} (1).wav")
    shutil.copy(source / "drums" / "7.wav", source / "guitar" / "solo.wav")
    for seed in range(3):
        summary = dataset.build(
            source, tmp_path / f"set{seed}", BuildSettings(seed=seed, per_class=0, **THIRDS), jobs=1
        )
        rows = list(csv.DictReader((tmp_path / f"set{seed}" / "rows.csv").open()))
        sides = {row["path"]: row["split"] for row in rows}
        for i in range(4):
            assert sides[f"drums/{i}.wav"] == sides[f"drums/other name {i} (1).wav"]
        assert sides["drums/7.wav"] == sides["guitar/solo.wav"]
        assert summary.remarks[0].startswith("5 files are copies of others")
        assert (
            "drums/7.wav (drums) and guitar/solo.wav (guitar) are the same file under different labels"
            in summary.remarks
        )


def test_a_given_split_with_a_copy_on_each_side_is_reported(tmp_path: Path) -> None:
    from whoplays.dataset.content import grouped

    recordings(tmp_path, "a.wav")
    shutil.copy(tmp_path / "a.wav", tmp_path / "b.wav")
    both = [
        sources.Clip(tmp_path, name, name, (1, 0, 0), split=split)
        for name, split in (("a.wav", "test"), ("b.wav", "training"))
    ]
    found, remarks = grouped(both, THREE)
    assert found == both and "two sides of the given split" in remarks[1]


def test_files_that_only_begin_and_end_alike_are_no_copies(tmp_path: Path) -> None:
    from whoplays.dataset.content import grouped

    for name, middle in (("a", b"1"), ("b", b"2")):
        (tmp_path / name).write_bytes(bytes(40_000) + middle + bytes(40_000))
    clips = [sources.Clip(tmp_path, name, name, (1, 0, 0)) for name in ("a", "b", "missing", "missing too")]
    assert grouped(clips, THREE) == (clips, [])


@pytest.mark.parametrize("error", [None, DatasetError])
def test_processes_are_waited_for_whatever_ends_the_work(error: type[Exception] | None) -> None:
    """A pool that is left while its processes end may print a traceback of its own: "Bad file descriptor"."""
    from whoplays.runtime.processes import Processes

    waited: list[bool] = []
    with pytest.raises(error) if error else contextlib.nullcontext(), Processes(1) as processes:
        real = processes._pool.shutdown
        processes._pool.shutdown = lambda wait, cancel_futures: waited.append(wait) or real(wait, cancel_futures=True)
        if error:
            raise error("refused")
    assert waited == [True]
