"""Each output format, read back by other means than the writer's."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from whoplays.audio.quality import QualityWarning
from whoplays.errors import UsageError, WhoplaysError
from whoplays.inference.prediction import Failure, Prediction, Segment
from whoplays.results import formats, table
from whoplays.results.formats import base
from whoplays.taxonomy.catalogue import catalogue

FAMILIES = catalogue().labels_for(catalogue().defaults)

PREDICTION = Prediction(
    path='a "b", c\n.flac',
    duration=75.4,
    sample_rate=44100,
    model="tiny@1",
    scores={"brass": 0.01, "drums": 0.9, "guitar": 0.75, "piano": 0.2, "strings": 0.0},
    playing=["drums", "guitar"],
    segments=[
        Segment("guitar", 0.0, 75.4, 0.8),
        Segment("drums", 12.0, 20.25, 0.95),
        Segment("drums", 30.0, 75.4, 0.9),
    ],
    frame_scores=np.zeros((1, 5), dtype=np.float32),
    frame_times=np.array([0.0, 75.4]),
    warnings=[QualityWarning("clipped", "2.0% of its samples are cut off", "record at a lower level")],
)
FAILURE = Failure("bad.wav", "is empty (0 bytes)")


def written(name: str, *results: base.Result, lang: str = "en") -> str:
    writer = formats.writer(name)(FAMILIES, lang)
    return writer.head() + "".join(writer.item(result) for result in results) + writer.tail()


@pytest.mark.parametrize("name", formats.FORMATS)
def test_every_format_writes_a_prediction_and_a_failure(name: str) -> None:
    writer = formats.writer(name)
    text = written(name, PREDICTION) if not writer.many else written(name, PREDICTION, FAILURE, PREDICTION)
    assert text.endswith("\n")
    assert ("bad.wav" in text) == (writer.many and not issubclass(writer, base.PredictionWriter))


def test_json_lines_are_one_line_each() -> None:
    lines = written("jsonl", PREDICTION, FAILURE).splitlines()
    assert [json.loads(line) for line in lines] == [
        PREDICTION.to_dict(),
        {"path": "bad.wav", "error": "is empty (0 bytes)", "schema": 1},
    ]


def test_json_is_an_array() -> None:
    assert json.loads(written("json")) == []
    assert json.loads(written("json", PREDICTION, FAILURE)) == [PREDICTION.to_dict(), FAILURE.to_dict()]


def test_csv_is_read_back() -> None:
    good, bad = csv.DictReader(io.StringIO(written("csv", PREDICTION, FAILURE), newline=""))
    assert good["path"] == PREDICTION.path
    assert good["playing"].split(";") == PREDICTION.playing
    assert {f.id: float(good[f.id]) for f in FAMILIES} == PREDICTION.scores
    assert (good["warnings"], bad["warnings"]) == ("clipped", "")
    assert (bad["path"], bad["error"], bad["drums"]) == ("bad.wav", FAILURE.error, "")


def test_a_layer_of_sonic_visualiser_has_a_region_for_each_segment() -> None:
    root = ElementTree.fromstring(written("sonic-visualiser", PREDICTION))
    model, layer = root.find("data/model"), root.find("display/layer")
    assert model is not None and layer is not None and layer.get("model") == model.get("id")
    assert (model.get("sampleRate"), model.get("end"), layer.get("type")) == (
        "44100",
        str(round(75.4 * 44100)),
        "regions",
    )
    points = [{key: one.get(key) for key in ("frame", "duration", "value", "label")} for one in root.iter("point")]
    assert points[1] == {"frame": "529200", "duration": "363825", "value": "2", "label": "drums 0.95"}
    assert [(point["frame"], point["label"]) for point in points] == [
        ("0", "guitar 0.80"), ("529200", "drums 0.95"), ("1323000", "drums 0.90")
    ]  # fmt: skip
    assert {point["value"] for point in points if point["label"].startswith("drums")} == {"2"}


def test_audacity_labels_are_start_end_text() -> None:
    rows = [line.split("\t") for line in written("audacity", PREDICTION).splitlines()]
    assert [(float(a), float(b), text) for a, b, text in rows] == [
        (0.0, 75.4, "guitar 0.80"), (12.0, 20.25, "drums 0.95"), (30.0, 75.4, "drums 0.90")
    ]  # fmt: skip


def test_rttm_has_ten_fields_and_no_white_space_in_names() -> None:
    rows = [line.split(" ") for line in written("rttm", PREDICTION).splitlines()]
    assert all(len(row) == 10 and row[0] == "SPEAKER" for row in rows)
    assert [(float(r[3]), float(r[4]), r[7]) for r in rows] == [
        (0.0, 75.4, "guitar"),
        (12.0, 8.25, "drums"),
        (30.0, 45.4, "drums"),
    ]


def test_jams_has_segments_and_scores() -> None:
    document = json.loads(written("jams", PREDICTION))
    segments, whole = document["annotations"]
    assert [(o["time"], o["duration"], o["value"]) for o in segments["data"]][1] == (12.0, 8.25, "drums")
    assert {o["value"]: o["confidence"] for o in whole["data"]} == PREDICTION.scores
    assert document["file_metadata"]["duration"] == 75.4 and document["sandbox"]["families"] == {}


def test_jams_passes_the_schema_of_the_jams_package(tmp_path) -> None:
    jams = pytest.importorskip("jams", reason="the package jams is not installed")
    (tmp_path / "a.jams").write_text(written("jams", PREDICTION))
    document = jams.load(str(tmp_path / "a.jams"), validate=True, strict=True)
    assert len(document.annotations[0].data) == 3
    assert document.annotations[0].data[1].value == "drums"


def test_text_is_for_people_in_two_languages() -> None:
    assert written("text", PREDICTION).splitlines() == [
        'a "b", c?.flac  1:15',
        "  drums   0.90  0:12-0:20, 0:30-1:15",
        "  guitar  0.75  0:00-1:15",
        "  not found: brass, piano, strings",
        "  note: 2.0% of its samples are cut off; record at a lower level",
    ]
    assert "gitara" in written("text", PREDICTION, lang="pl")


def test_of_a_part_the_title_says_which() -> None:
    part = replace(PREDICTION, path="a.wav", duration=3.0, frame_times=np.array([5.0, 8.0]))
    assert written("text", part).startswith("a.wav  0:05-0:08\n")


def test_silence_is_said_to_be_silence() -> None:
    warnings = [QualityWarning("silent", "holds no sound", "check it")]
    quiet = replace(PREDICTION, path="a.wav", playing=[], segments=[], warnings=warnings)
    assert written("text", quiet) == "a.wav  1:15\n  silence\n  note: holds no sound; check it\n"
    assert "piano" in written("text", replace(quiet, maybe=["piano"])), "but nothing that was named is hidden"


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (75.4, "1:15"), (59.6, "1:00"), (4000, "1:06:40")])
def test_clock(seconds: float, text: str) -> None:
    assert base.clock(seconds) == text


def test_an_unknown_format_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="text, json, jsonl"):
        formats.writer("xml")


# --- whole tables

ROWS = [
    {**PREDICTION.to_dict(), "path": "a;b\n.flac", "seen": "1-2-3"},
    {**FAILURE.to_dict(), "seen": "4-5-6"},
    {**PREDICTION.to_dict(), "path": "nothing.ogg", "playing": [], "segments": [], "warnings": [], "seen": ""},
]
LABELS = [label.id for label in FAMILIES]


@pytest.mark.parametrize("suffix", table.SUFFIXES)
def test_a_table_is_read_back(suffix: str, tmp_path) -> None:
    path = tmp_path / f"results{suffix}"
    table.write(path, lambda: ROWS, LABELS)
    back = list(table.read(path))
    if suffix == ".csv":  # what it has no room for
        short = [{**row, "segments": []} | {"warnings": row.get("warnings") and [{"code": "clipped"}]} for row in ROWS]
        for got, row in zip(back, short, strict=True):
            assert {k: v for k, v in got.items() if k not in ("segments", "warnings")} == {
                k: v for k, v in row.items() if k not in ("segments", "warnings")
            }
        assert back[0]["warnings"][0]["code"] == "clipped"
    else:
        assert back == ROWS
    assert [list(row) for row in back] == [list(row) for row in ROWS]


def test_parquet_is_read_by_another_library(tmp_path) -> None:
    polars = pytest.importorskip("polars", reason="polars is not installed")
    table.write(tmp_path / "r.parquet", lambda: ROWS, LABELS)
    frame = polars.read_parquet(tmp_path / "r.parquet", use_pyarrow=False)
    assert frame["path"].to_list() == [row["path"] for row in ROWS]
    assert frame["drums"].to_list() == [0.9, None, 0.9]
    assert frame["playing"].to_list() == [["drums", "guitar"], None, []]
    assert frame["segments"].to_list()[0][1] == {"label": "drums", "start": 12.0, "end": 20.25, "score": 0.95}
    assert frame["error"].to_list() == [None, "is empty (0 bytes)", None]


def test_many_rows_keep_their_order_over_batches(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(table, "_BATCH", 7)
    rows = [{"path": f"{i}.wav", "error": "x", "schema": 1, "seen": str(i)} for i in range(40)]
    table.write(tmp_path / "r.parquet", lambda: rows, LABELS)
    assert list(table.read(tmp_path / "r.parquet")) == rows


@pytest.mark.parametrize("suffix", table.SUFFIXES)
@pytest.mark.parametrize("content", [b"", b"{}", b"path\n1\n", b"[1]\n", b"\xff\xfe\n", b'{"path": 3}\n'])
def test_what_is_no_table_is_one_line(suffix: str, content: bytes, tmp_path) -> None:
    path = tmp_path / f"r{suffix}"
    path.write_bytes(content)
    try:
        assert list(table.read(path)) == []
    except WhoplaysError as error:
        assert str(path) in str(error) and "\n" not in str(error)


def test_tables_that_cannot_be_written_are_refused_early(tmp_path) -> None:
    with pytest.raises(UsageError, match=r"\*\.parquet"):
        table.check(tmp_path / "r.xlsx")


TREE = catalogue().select(["guitar", "strings", "piano", "violin", "electric-guitar"])
BOTH_LEVELS = Prediction(
    path="a.flac",
    duration=10.0,
    sample_rate=44100,
    model="tiny@1",
    scores={"guitar": 0.4, "strings": 0.93, "piano": 0.01, "violin": 0.9, "electric-guitar": 0.35},
    playing=["strings", "violin"],
    maybe=["guitar", "electric-guitar"],
    segments=[Segment("strings", 0.0, 6.0, 0.93), Segment("violin", 1.0, 5.0, 0.9)],
    frame_scores=np.zeros((1, 5), dtype=np.float32),
    frame_times=np.array([0.0, 10.0]),
)
NOT_WRITTEN: set[str] = set()  # formats of segments have only what plays


def _json(text: str) -> tuple[set[str], set[str]]:
    found = json.loads(text)
    found = found[0] if isinstance(found, list) else found
    return set(found["playing"]), set(found["maybe"])


def _csv(text: str) -> tuple[set[str], set[str]]:
    row = next(csv.DictReader(io.StringIO(text)))
    return set(row["playing"].split(";")), set(row["maybe"].split(";"))


def _text(text: str) -> tuple[set[str], set[str]]:
    _, family, instrument, maybe, missing = text.splitlines()
    assert family.startswith("  strings ") and instrument.startswith("    violin ")  # below its family
    assert maybe == "  maybe: guitar 0.40, guitar: electric guitar 0.35" and missing == "  not found: piano"
    return {"strings", "violin"}, {"guitar", "electric-guitar"}


def _jams(text: str) -> tuple[set[str], set[str]]:
    sandbox = json.loads(text)["sandbox"]
    assert sandbox["families"] == {"violin": "strings", "electric-guitar": "guitar"}
    return set(sandbox["playing"]), set(sandbox["maybe"])


def _labels(text: str) -> tuple[set[str], set[str]]:
    assert "strings 0.93" in text and "strings: violin 0.90" in text and "guitar" not in text
    return {"strings", "violin"}, NOT_WRITTEN


READERS: dict[str, Callable[[str], tuple[set[str], set[str]]]] = {
    "text": _text,
    "json": _json,
    "jsonl": _json,
    "csv": _csv,
    "audacity": _labels,
    "sonic-visualiser": _labels,
    "jams": _jams,
    "rttm": lambda text: ({line.split()[7] for line in text.splitlines()}, NOT_WRITTEN),
}


@pytest.mark.parametrize("name", formats.FORMATS)
def test_every_format_has_both_levels_and_separates_playing_from_maybe(name: str) -> None:
    writer = formats.writer(name)(TREE.labels, "en")
    plays, maybe = READERS[name](writer.head() + writer.item(BOTH_LEVELS) + writer.tail())
    assert plays == set(BOTH_LEVELS.playing)
    assert maybe in (set(BOTH_LEVELS.maybe), NOT_WRITTEN)


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_every_table_separates_playing_from_maybe(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"t.{ending}"
    table.write(path, lambda: [BOTH_LEVELS.to_dict()], TREE.ids)
    (found,) = table.read(path)
    assert (found["playing"], found["maybe"]) == (BOTH_LEVELS.playing, BOTH_LEVELS.maybe)


def test_tags_and_http_have_both_levels_too() -> None:
    from whoplays.results import tags

    schemas = pytest.importorskip("whoplays.serve.schemas", reason="the extra serve is not installed")

    assert tags.text_of(BOTH_LEVELS) == "strings 0.93; violin 0.90 (tiny@1)"
    assert "parent" in schemas.LabelName.model_fields
    assert {"playing", "maybe"} <= schemas.Prediction.model_fields.keys()
