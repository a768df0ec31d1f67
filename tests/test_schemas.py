"""JSON Schemas: they are sound, they travel in the wheel, and they describe everything that is really written."""

from __future__ import annotations

import copy
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
from conftest import RATE, invoke, tone, write_tiny_model
from whoplays.errors import UsageError, WhoplaysError
from whoplays.results import schemas, table
from whoplays.results.schemas import names, read


def closed(schema: Any) -> Any:
    """A schema that allows nothing it does not describe."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    if isinstance(found.get("properties"), dict) and "type" in found:
        found.setdefault("additionalProperties", False)
    return found


def check(value: Any, name: str) -> Any:
    jsonschema.validate(value, closed(read(name)), jsonschema.Draft202012Validator)
    return value


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    folder = tmp_path / "music"
    folder.mkdir()
    soundfile.write(folder / "a.wav", np.tile(tone(440, 1.0), 3), RATE)
    soundfile.write(folder / "quiet.wav", tone(440, 1.0, level=0.0001), RATE)
    (folder / "empty.wav").touch()
    return folder


@pytest.mark.parametrize("name", names())
def test_schemas_are_sound_and_say_what_everything_is(name: str) -> None:
    schema = read(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:whoplays:schema:{name}" and schema["title"] and schema["$comment"]

    def described(part: Any, where: str) -> None:
        for key, one in part.get("properties", {}).items():
            assert "description" in one or "$ref" in one or "const" in one, f"{name}: {where}.{key}"
            described(one, f"{where}.{key}")
        for key in ("items", "additionalProperties"):
            if isinstance(part.get(key), dict):
                described(part[key], f"{where}[]")
        for key, one in part.get("$defs", {}).items():
            described(one, key)

    described(schema, "")


def test_a_closed_schema_refuses_what_is_not_described() -> None:
    whole = {"path": "a", "error": "b", "schema": 1}
    check(whole, "result")
    for wrong in ({**whole, "more": 1}, {**whole, "schema": 2}, {"path": "a", "schema": 1}, {**whole, "error": None}):
        with pytest.raises(jsonschema.ValidationError):
            check(wrong, "result")
    jsonschema.validate({**whole, "more": 1}, read("result"))


@pytest.mark.parametrize("frames", [(), ("--frames",)], ids=["", "frames"])
def test_predict(frames: tuple[str, ...], recordings: Path, tiny_model: Path, tmp_path: Path) -> None:
    done = invoke("predict", recordings, "--model", tiny_model, "-f", "jsonl", *frames)
    lines = [check(json.loads(line), "result") for line in done.stdout.splitlines()]
    assert [line["schema"] for line in lines] == [1, 1, 1] and "error" in lines[1] and lines[2]["warnings"]
    assert lines[0]["segments"] and ("frame_scores" in lines[0]) == bool(frames)
    array = json.loads(invoke("predict", recordings, "--model", tiny_model, "-f", "json", *frames).stdout)
    assert array == lines
    out = tmp_path / "each"
    assert invoke("predict", recordings, "--model", tiny_model, "--out-dir", out, *frames).status == 1
    assert check(json.loads((out / "a.json").read_text()), "result") == lines[0]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet", ".csv"])
def test_tables_and_find(suffix: str, recordings: Path, tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / f"results{suffix}"
    invoke("predict", recordings, "--model", tiny_model, "--threshold", "0.01", "-o", path)
    rows = [check(row, "result") for row in table.read(path)]
    assert len(rows) == 3 and all(row["seen"] for row in rows)
    if suffix == ".csv":
        return  # which holds no times
    lines = invoke("find", path, "drums or not drums", "-f", "jsonl").stdout.splitlines()
    assert len([check(json.loads(line), "find") for line in lines]) == 2
    if suffix == ".parquet":
        import pyarrow.parquet

        assert pyarrow.parquet.read_schema(path).metadata[b"whoplays.schema"] == b"1"


def test_a_table_of_a_later_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "later.jsonl"
    path.write_text('{"path": "a.wav", "error": "empty", "schema": 2}\n')
    with pytest.raises(WhoplaysError, match="rows have schema 2; this whoplays reads up to 1"):
        list(table.read(path))
    path.write_text('{"path": "a.wav", "error": "empty"}\n')
    assert len(list(table.read(path))) == 1  # written before rows had a version


def test_models(tiny_model: Path, tmp_path: Path) -> None:
    from whoplays.model import folder

    for one in (tiny_model, folder.DEFAULT, write_tiny_model(tmp_path / "soft", activation="softmax")):
        check(json.loads((one / folder.CONFIG).read_text(encoding="utf-8")), "model")


def test_data_sets_and_evaluations(small_dataset: Path, trained_model: Path, tmp_path: Path) -> None:
    check(json.loads((small_dataset / "dataset.json").read_text(encoding="utf-8")), "dataset")
    done = invoke("evaluate", trained_model, small_dataset, "-o", tmp_path / "e", "--draws", "20")
    assert done.status == 0, done.stderr
    check(json.loads((tmp_path / "e" / "metrics.json").read_text(encoding="utf-8")), "evaluation")


def test_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHOPLAYS_CONFIG", str(tmp_path / "mine.toml"))
    (tmp_path / "mine.toml").write_text("threshold = {brass = 0.7}\nno-such = 1\n")
    found = check(json.loads(invoke("config", "-f", "json").stdout), "settings")
    assert found["problems"] and found["exists"]


def test_python(tiny_model: Path) -> None:
    prediction = whoplays.load(tiny_model).predict(tone(440, 2.0), sample_rate=RATE)
    assert check(prediction.to_dict(), "result")["path"] == ""
    assert whoplays.Prediction.from_dict(copy.deepcopy(prediction.to_dict())) == prediction


def test_http_and_live(tiny_model: Path, recordings: Path) -> None:
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    from websockets.sync.client import connect

    from serving import serving

    with serving(tiny_model, jobs=1, rate=0) as server:
        check(server.post(recordings / "a.wav").json(), "result")
        files = [("files", (path.name, path.read_bytes())) for path in sorted(recordings.iterdir())]
        batch = server.client.post("/v1/predict/batch", files=files).json()["results"]
        assert [("error" in check(one, "result")) for one in batch] == [False, True, False]
        streamed = server.client.post(
            "/v1/predict", files={"file": files[0][1]}, headers={"Accept": "text/event-stream"}
        ).text
        events = [event.split("\n") for event in streamed.strip().split("\n\n")]
        kinds = {name.removeprefix("event: "): json.loads(data.removeprefix("data: ")) for name, data in events}
        check(kinds["progress"], "progress")
        check(kinds["result"], "result")
        with connect(server.address.replace("http", "ws") + "/v1/live") as live:
            live.send(json.dumps({"sample_rate": RATE}))
            for _ in range(3):
                live.send(tone(440, 1.0).astype("<f4").tobytes())
            live.send('{"type": "end"}')
            messages = [check(json.loads(message), "live")["type"] for message in live]
        assert messages[0] == "ready" and "scores" in messages and messages[-1] == "result"
        with connect(server.address.replace("http", "ws") + "/v1/live") as live:
            live.send("nonsense")
            assert check(json.loads(live.recv()), "live")["type"] == "problem"


def test_the_command_prints_them() -> None:
    listed = invoke("schema").stdout.splitlines()
    assert [line.split()[0] for line in listed] == names()
    assert json.loads(invoke("schema", "result").stdout) == read("result")
    wrong = invoke("schema", "resul")
    assert wrong.status == 2 and "did you mean result?" in wrong.stderr
    with pytest.raises(UsageError):
        schemas.text("../../errors")


def test_the_page_of_file_formats_is_made_from_them() -> None:
    root = Path(__file__).parents[1]
    made = subprocess.run(
        [sys.executable, root / "scripts" / "file_formats.py", "--print"], capture_output=True, text=True, check=True
    )
    page = (root / "docs" / "reference" / "file-formats.md").read_text(encoding="utf-8")
    assert made.stdout == page, "run python scripts/file_formats.py"
