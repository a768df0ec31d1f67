"""Each output format, read back by other means than the writer's."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest

from whoplays import formats
from whoplays.errors import UsageError
from whoplays.labels import FAMILIES
from whoplays.predict import Failure, Prediction, Segment

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
    curve=np.zeros((1, 5), dtype=np.float32),
    edges=np.array([0.0, 75.4]),
)
FAILURE = Failure("bad.wav", "is empty (0 bytes)")


def written(name: str, *results: formats.Result, lang: str = "en") -> str:
    writer = formats.writer(name)(FAMILIES, lang)
    return writer.head() + "".join(writer.item(result) for result in results) + writer.tail()


@pytest.mark.parametrize("name", formats.WRITERS)
def test_every_format_takes_a_prediction_and_a_failure(name: str) -> None:
    writer = formats.writer(name)
    text = written(name, PREDICTION) if not writer.many else written(name, PREDICTION, FAILURE, PREDICTION)
    assert text.endswith("\n")
    assert ("bad.wav" in text) == (writer.many and writer.shows_failures)


def test_json_lines_are_one_line_each() -> None:
    lines = written("jsonl", PREDICTION, FAILURE).splitlines()
    assert [json.loads(line) for line in lines] == [
        PREDICTION.to_dict(),
        {"path": "bad.wav", "error": "is empty (0 bytes)"},
    ]


def test_json_is_an_array() -> None:
    assert json.loads(written("json")) == []
    assert json.loads(written("json", PREDICTION, FAILURE)) == [PREDICTION.to_dict(), FAILURE.to_dict()]


def test_csv_is_read_back() -> None:
    good, bad = csv.DictReader(io.StringIO(written("csv", PREDICTION, FAILURE), newline=""))
    assert good["path"] == PREDICTION.path
    assert good["playing"].split(";") == PREDICTION.playing
    assert {f.id: float(good[f.id]) for f in FAMILIES} == PREDICTION.scores
    assert (bad["path"], bad["error"], bad["drums"]) == ("bad.wav", FAILURE.error, "")


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
    assert document["file_metadata"]["duration"] == 75.4


def test_text_is_for_people_in_two_languages() -> None:
    assert written("text", PREDICTION).splitlines()[-2:] == [
        "  drums   0.90  0:12-0:20, 0:30-1:15",
        "  guitar  0.75  0:00-1:15",
    ]
    assert "gitara" in written("text", PREDICTION, lang="pl")


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (75.4, "1:15"), (59.6, "1:00"), (4000, "1:06:40")])
def test_clock(seconds: float, text: str) -> None:
    assert formats.clock(seconds) == text


def test_an_unknown_format_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="text, json, jsonl"):
        formats.writer("xml")
