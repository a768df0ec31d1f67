"""Tables of embeddings and search in them: written whole, continued, refused when they do not fit, exact, blind to silence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import soundfile

import whoplays
from conftest import RATE, invoke
from whoplays.errors import UsageError, WhoplaysError
from whoplays.examples import synth
from whoplays.results import embedding_table, schemas, similar
from whoplays.results.embedding_table import Embeddings

KINDS = [".npz", ".parquet"]


def sound(family: str, seed: int = 0, seconds: float = 3.0) -> np.ndarray:
    return synth.recording([family], duration_s=seconds, seed=seed, sample_rate=RATE)


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("music")
    for family in ("drums", "piano"):
        for seed in (0, 1):
            soundfile.write(folder / f"{family}{seed}.flac", sound(family, seed), RATE)
    soundfile.write(folder / "silence.wav", np.zeros(RATE), RATE)
    soundfile.write(folder / "nan.wav", np.full(RATE, np.nan), RATE, subtype="FLOAT")
    (folder / "text.mp3").write_text("no sound")
    return folder


@pytest.fixture(scope="module")
def tables(music: Path) -> dict[str, Path]:
    found = {}
    for kind in KINDS:
        for over_time in (False, True):
            out = music.parent / f"{'steps' if over_time else 'whole'}{kind}"
            if not out.exists():
                ran = invoke("embed", music, "-o", out, *["--over-time"] * over_time)
                assert ran.status == 1, ran.stderr
            found[out.name] = out
    return found


def row(path: str, vector: np.ndarray, **more: Any) -> dict[str, Any]:
    arrays = {"embedding": vector, "steps": np.zeros(0), "step_start": np.zeros(0)}
    texts = {name: embedding_table._text(value) for name, value in arrays.items()}
    return {"path": path, "duration": 1.0, "model": "m@1", "network": "n", "scores": {"drums": 0.5}, **texts, **more}


def table_of(vectors: np.ndarray, scores: np.ndarray | None = None) -> Embeddings:
    n = len(vectors)
    text, none = np.array([str(i) for i in range(n)]), np.zeros(0)
    return Embeddings(
        text, np.ones(n), vectors.astype(np.float32), np.zeros((n, 1), np.float32) if scores is None else scores,
        text, text, none.astype(int), none.astype(np.float32), np.zeros((0, vectors.shape[1]), np.float32),
        ("drums",), "m@1", "n",
    )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_holds_what_python_gives(kind: str, tables: dict[str, Path], music: Path) -> None:
    recogniser = whoplays.load()
    found = embedding_table.load(tables[f"steps{kind}"])
    names = [Path(path).name for path in found.path]
    assert names == sorted(path.name for path in music.iterdir())
    assert found.width == recogniser.embedding_width and found.model == recogniser.config.id
    i = names.index("piano0.flac")
    assert np.allclose(found.embedding[i], recogniser.embed(music / "piano0.flac"), atol=1e-6)
    steps = found.step_embedding[found.step_of == i]
    assert np.allclose(steps, recogniser.embed(music / "piano0.flac", over_time=True), atol=1e-6)
    assert found.step_start[found.step_of == i].tolist() == pytest.approx(np.arange(len(steps)) * 0.32, abs=0.02)
    assert found.scores[i, found.labels.index("piano")] == pytest.approx(
        recogniser.predict(music / "piano0.flac").scores["piano"], abs=1e-4
    )
    bad = {name: (str(found.error[i]), found.embedding[i].any()) for i, name in enumerate(names) if found.error[i]}
    assert set(bad) == {"nan.wav", "text.mp3"} and not any(values for _, values in bad.values())
    assert not len(embedding_table.load(tables[f"whole{kind}"]).step_of)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_survive_writing_and_reading(kind: str, tmp_path: Path) -> None:
    rows = [row("a", np.array([0.6, 0.8]), seen="x"), {"path": "b\udcff", "error": "broken", "seen": "y"}]
    rows.append(row("c", np.array([0, 1.0]), steps=embedding_table._text(np.eye(2)), seen=""))
    rows[2]["step_start"] = embedding_table._text(np.array([0.0, 0.5]))
    out = tmp_path / f"t{kind}"
    embedding_table.write(out, lambda: rows, ["drums"])
    rows[1]["path"] = "b\\xff"
    assert list(embedding_table.read(out)) == rows
    embedding_table.write(out, lambda: rows[1:2], ["drums"])
    assert list(embedding_table.read(out)) == rows[1:2]


def test_the_arrays_of_npz_can_be_read_with_numpy_alone(tables: dict[str, Path]) -> None:
    with np.load(tables["whole.npz"], allow_pickle=False) as kept:
        assert np.array_equal(kept["embedding"], embedding_table.load(tables["whole.npz"]).embedding)
        assert {"path", "labels", "model", "scores"} <= set(kept.files)


def test_a_run_resumes_and_bad_files_are_retried_on_request(music: Path, tmp_path: Path) -> None:
    out = tmp_path / "e.npz"
    invoke("embed", music / "piano0.flac", music / "text.mp3", "-o", out)
    again = invoke("embed", music / "piano0.flac", music / "text.mp3", music / "drums0.flac", "-o", out, "--resume")
    assert again.status == 0 and "2 of 3 recordings are done" in again.stderr
    assert len(embedding_table.load(out).path) == 3
    retried = invoke("embed", music / "text.mp3", "-o", out, "--resume", "--retry")
    assert retried.status == 1 and retried.stderr.count("text.mp3") == 1
    assert "exists already" in invoke("embed", music, "-o", out).stderr


@pytest.mark.parametrize("name", ["whole.npz", "steps.npz", "whole.parquet", "steps.parquet"])
def test_the_same_instrument_comes_first_and_silence_never(name: str, tables: dict[str, Path], music: Path) -> None:
    for by in ("sound", "players"):
        ran = invoke("similar", tables[name], music / "drums0.flac", "-f", "paths", "--by", by)
        found = [Path(line).name for line in ran.stdout.splitlines()]
        assert found[0] == "drums1.flac" and not {"silence.wav", "nan.wav", "text.mp3", "drums0.flac"} & set(found)
    ran = invoke("similar", tables[name], music / "drums0.flac", "--format", "jsonl", "-n", "1")
    line = json.loads(ran.stdout)
    jsonschema.validate(line, schemas.read("similar"))
    assert ("start" in line) == name.startswith("steps")


def test_what_is_not_in_the_table_is_compared_too(tables: dict[str, Path], music: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "new.wav", sound("drums", 5), RATE)
    ran = invoke("similar", tables["whole.npz"], tmp_path / "new.wav", "-f", "paths")
    assert [Path(line).name[:5] for line in ran.stdout.splitlines()[:2]] == ["drums", "drums"]
    for name, words in (("silence.wav", "is silent"), ("text.mp3", "not a recording"), ("none.wav", "no such file")):
        ran = invoke("similar", tables["whole.npz"], music / name)
        assert ran.status == 1 and words in ran.stderr.lower() and not ran.stdout, ran.stderr
    assert invoke("similar", tables["whole.npz"]).status == 2


def test_messages_are_polish_on_request(tables: dict[str, Path], music: Path, tmp_path: Path) -> None:
    words = (music / "drums0.flac", "-n", 1, "--lang", "pl")
    ran = invoke("similar", tables["steps.npz"], *words)
    assert "  od 0:" in ran.stdout and ran.stderr == "nagrania: 1 z 7\n"
    assert "to cisza" in invoke("similar", tables["whole.npz"], music / "silence.wav", "--lang", "pl").stderr
    (tmp_path / "text.mp3").write_text("no sound")
    ran = invoke("embed", music / "silence.wav", tmp_path / "text.mp3", "-o", tmp_path / "e.npz", "--lang", "pl")
    assert ran.status == 1 and "nagrania, których nie udało się użyć: 1 z 2" in ran.stderr


def test_another_model_is_refused_with_both_names(tmp_path: Path, music: Path) -> None:
    out = tmp_path / "old.npz"
    embedding_table.write(out, lambda: [row("a", np.array([0.6, 0.8]))], ["drums"])
    for ran in (invoke("similar", out, music / "drums0.flac"), invoke("embed", music, "-o", out, "--resume")):
        assert ran.status == 2 and "m@1 (2 values)" in ran.stderr and whoplays.load().config.id in ran.stderr
    other = row("b", np.array([1.0, 0, 0]), model="m@2")
    with pytest.raises(UsageError, match=r"m@1 \(2 values\) and m@2 \(3 values\)"):
        embedding_table.write(out, lambda: [row("a", np.array([0.6, 0.8])), other], ["drums"])
    assert len(embedding_table.load(out).path) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_files_that_are_no_table_are_refused(kind: str, tmp_path: Path, tables: dict[str, Path]) -> None:
    whole = tables[f"whole{kind}"].read_bytes()
    for i, content in enumerate((b"", b"PK", whole[: len(whole) // 2], b"\0" * 500)):
        path = tmp_path / f"{i}{kind}"
        path.write_bytes(content)
        with pytest.raises(WhoplaysError, match="is not a table that whoplays embed"):
            embedding_table.load(path)
    with pytest.raises(WhoplaysError, match="no such file"):
        embedding_table.load(tmp_path / f"none{kind}")
    with pytest.raises(UsageError, match=r"named \*\.npz or \*\.parquet"):
        embedding_table.load(tmp_path / "a.csv")
    np.savez(tmp_path / f"x{kind}.npz", a=np.zeros(3))
    with pytest.raises(WhoplaysError):
        embedding_table.load(tmp_path / f"x{kind}.npz")


def test_search_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(1000, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[::10] = 0
    monkeypatch.setattr(similar, "BLOCK", 64)
    found = similar.by_sound(table_of(vectors), vectors[3], 20, leave_out=3)
    right = [i for i in np.argsort(-(vectors @ vectors[3]), kind="stable") if i != 3][:20]
    assert [match.row for match in found] == right
    assert not [match for match in similar.by_sound(table_of(vectors), vectors[3], 5000) if match.row % 10 == 0]
    scores = np.array([[1, 0], [0.5, 0], [0, 1], [0, 0]], np.float32)
    by_players = similar.by_players(table_of(vectors[1:5], scores), scores[0], 9)
    assert [(m.row, m.similarity) for m in by_players] == [(0, 1.0), (1, 0.5)]


def test_shifts_are_found_and_other_takes_are_not() -> None:
    rng = np.random.default_rng(0)
    whole, other = rng.normal(size=(2, 600, 8)).astype(np.float32)
    correlation, offset = similar.correlated(whole, whole[100:] * 3)
    assert correlation == pytest.approx(1, abs=1e-3) and offset == pytest.approx(-2, abs=0.05)
    assert similar.correlated(whole[100:], whole)[1] == pytest.approx(2, abs=0.05)
    assert similar.correlated(whole, other)[0] < 0.3
    assert similar.correlated(whole, 0 * other) == (0.0, 0.0)
    assert similar.correlated(whole, whole[:0]) == (0.0, 0.0)


@pytest.mark.slow
def test_other_encodings_and_starts_are_the_same_recording(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    for seed in (0, 1):
        soundfile.write(folder / f"take{seed}.flac", sound("piano", seed, 20), RATE)
    soundfile.write(tmp_path / "shifted.wav", 0.2 * sound("piano", 0, 20)[3 * RATE + 100 :], RATE)
    for source, target, options in (
        (folder / "take0.flac", "a.mp3", ["-b:a", "64k"]),
        (folder / "take0.flac", "b.ogg", ["-q:a", "2", "-ar", "32000"]),
        (tmp_path / "shifted.wav", "c.ogg", ["-q:a", "3"]),
    ):
        command = ["ffmpeg", "-loglevel", "error", "-i", source, *options, folder / target]
        subprocess.run([str(word) for word in command], check=True)
    embedded = invoke("embed", folder, "-o", tmp_path / "e.npz")
    assert embedded.status == 0, embedded.stderr
    ran = invoke("similar", tmp_path / "e.npz", "--duplicates", "--format", "jsonl")
    groups = [json.loads(line) for line in ran.stdout.splitlines()]
    for group in groups:
        jsonschema.validate(group, schemas.read("duplicates"))
    assert len(groups) == 1
    copies = {Path(copy["path"]).name: copy["offset"] for copy in groups[0]["copies"]}
    assert set(copies) == {"take0.flac", "a.mp3", "b.ogg", "c.ogg"}
    assert abs(copies["a.mp3"] - copies["c.ogg"]) == pytest.approx(3, abs=0.15)
    low = [
        "ffmpeg",
        "-loglevel",
        "error",
        "-i",
        str(folder / "take1.flac"),
        "-b:a",
        "32k",
        "-ar",
        "16000",
        str(folder / "low.mp3"),
    ]
    subprocess.run(low, check=True)  # libmpg123 has remarks on such files
    command = [sys.executable, "-m", "whoplays", "embed", str(folder), "-o", str(tmp_path / "low.npz")]
    subprocess.run(command, check=True, capture_output=True)
    command = [sys.executable, "-m", "whoplays", "similar", str(tmp_path / "low.npz"), "--duplicates"]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stderr.count("\n") == 1
    (folder / "a.mp3").unlink()
    ran = invoke("similar", tmp_path / "e.npz", "--duplicates")
    assert ran.status == 1 and "a.mp3" in ran.stderr and "later" in ran.stdout
    ran = invoke("similar", tmp_path / "e.npz", "--duplicates", "--lang", "pl")
    assert "s później" in ran.stdout and "wszystkie zawierają to samo nagranie" in ran.stderr


def test_a_row_of_another_form_is_no_row() -> None:
    fine = row("a", np.array([0.6, 0.8]))
    embedding_table.check_row(fine)
    for wrong in (
        [],
        {},
        {**fine, "path": 1},
        {**fine, "embedding": ""},
        {**fine, "scores": {"a": "b"}},
        {"path": "a"},
    ):
        with pytest.raises(ValueError):
            embedding_table.check_row(wrong)
