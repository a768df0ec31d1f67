"""Names of recordings and labels that formats cannot simply write down, through every format and back."""

from __future__ import annotations

import csv
import io
import json
import os
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest
from test_formats import FAILURE, PREDICTION

from whoplays.errors import UsageError
from whoplays.inference.prediction import Prediction, Segment
from whoplays.results import formats, query, table
from whoplays.storage.files import write_csv
from whoplays.taxonomy.catalogue import check_id
from whoplays.taxonomy.tree import Label

NAMES = [
    *("a\u2028b.wav", "a\u2029b.wav", "a\x85b.wav", "a\rb.wav", "a\nb.wav", "a\r\nb.wav", "\r", "a\x0bb\x0cc\x1cd.wav"),
    *('say "x", y;z.wav', "#1.mp3", " lead", "trail ", "tab\there.wav", os.fsdecode(b"caf\xe9.wav"), "🎻.wav"),
]
LABELS = [
    "Steel drum",
    "not",
    "only",
    "and",
    "duration",
    "error",
    "playing",
    "path",
    "seen",
    "segments",
    "banjo",
    "Banjo",
]
LABELS += ["maybe", "jew's harp", "a.share", "strings.x", "ąę", "(odd)", "<b>", "score", "x & y"]

PLAIN = ("error", "playing", "seen", "segments", "banjo", "Banjo", "ąę", "score")


def prediction(path: str) -> Prediction:
    scores = {label: round(0.9 - 0.01 * i, 2) for i, label in enumerate(LABELS)}
    segments = [Segment(label, float(i), i + 1.5, 0.5) for i, label in enumerate(LABELS)]
    return replace(
        PREDICTION, path=path, scores=scores, playing=list(LABELS), maybe=[], segments=segments, duration=60.0
    )


def written(kind: str, *results) -> str:
    writer = formats.writer(kind)([Label(label, None, label, label, "#777777") for label in LABELS])
    return writer.head() + "".join(map(writer.item, results)) + writer.tail()


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_every_format_keeps_names_and_labels(name: str) -> None:
    result, failed = prediction(name), replace(FAILURE, path=name)
    assert json.loads(written("json", result, failed)) == [result.to_dict(), failed.to_dict()]
    lines = written("jsonl", result, failed)
    assert [json.loads(line) for line in lines.splitlines()] == [result.to_dict(), failed.to_dict()]
    rows = list(csv.DictReader(io.StringIO(written("csv", result, failed), newline="")))
    assert [row["path"] for row in rows] == [name, name]
    assert rows[0]["duration"] == "60.0" and rows[0]["score=duration"] == str(result.scores["duration"])
    assert rows[0]["playing"].split(";") == LABELS and rows[1]["error"] == failed.error
    jams = json.loads(written("jams", result))
    assert jams["file_metadata"]["title"] == name and len(jams["annotations"][0]["data"]) == len(LABELS)
    for line in written("rttm", result).splitlines():
        assert len(line.split()) == 10
    assert all(len(line.split("\t")) == 3 for line in written("audacity", result).splitlines())
    text = written("text", result).splitlines()
    assert len(text) == 1 + len(LABELS) + len(result.warnings)


@pytest.mark.parametrize("suffix", table.SUFFIXES)
def test_every_table_is_read_back(suffix: str, tmp_path: Path) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow", reason="pyarrow (extra `tables`) is not installed")
    rows = [{**prediction(name).to_dict(), "seen": "1"} for name in NAMES]
    table.write(tmp_path / f"t{suffix}", lambda: rows, LABELS)
    again = list(table.read(tmp_path / f"t{suffix}"))
    names = [table.storable(name) if suffix == ".parquet" else name for name in NAMES]
    assert [row["path"] for row in again] == names
    for row in again:
        assert row["scores"] == prediction("").scores and row["playing"] == LABELS and row["duration"] == 60.0


def test_every_label_can_be_searched_for() -> None:
    for label in LABELS:
        mine = replace(prediction("a"), playing=[label], segments=[Segment(label, 0.0, 30.0, 0.5)])
        others = replace(mine, playing=[other for other in LABELS if other != label], segments=[])
        quoted = query.quoted(label)
        assert quoted == (label if label in PLAIN else f'"{label}"')
        for text, found in (
            (quoted, True),
            (f"not {quoted}", False),
            (f"only {quoted}", True),
            (f"{quoted}.share > 0.4", True),
            (f"{quoted} > 0.1 and {quoted} < 0.95 and duration > 59", True),
            (f"'{label}'" if "'" not in label else quoted, True),
        ):
            parsed = query.parse(text, LABELS)
            assert parsed.matches(mine) is found, text
        assert query.parse(quoted, LABELS).matches(others) is False


@pytest.mark.parametrize(
    "text", ["BANJO", "only BANJO > 1", '"steel', "steel drum", '"Steel drum".share', "not", "only and", '""']
)
def test_what_is_not_clear_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        query.parse(text, LABELS)


def test_case_is_ignored_where_names_stay_unique() -> None:
    assert query.parse('"STEEL DRUM" AND ERROR', LABELS).matches(prediction("a"))


@pytest.mark.parametrize(
    "name", ["", " x", "x ", "a;b", "a,b", "a=b", 'a"b', "a\nb", "a\tb", "a\x85b", "a\u2028b", "\x1b[31m"]
)
def test_labels_that_cannot_be_written_are_refused_at_the_door(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a label id"):
        check_id(name)


def test_a_playlist_names_each_file_in_one_line_that_is_no_comment(tmp_path: Path) -> None:
    found = [(0.5, prediction(str(tmp_path / name))) for name in NAMES if "/" not in name]
    lines = query.playlist(found, tmp_path).splitlines()
    assert lines[0] == "#EXTM3U" and len(lines) == 1 + 2 * len(found)
    for (_, one), about, entry in zip(found, lines[1::2], lines[2::2], strict=True):
        assert about.startswith("#EXTINF:60,") and not entry.startswith("#") and entry == entry.strip()
        path = (
            os.fsdecode(unquote(urlparse(entry).path, errors="surrogateescape")) if entry.startswith("file:") else entry
        )
        assert Path(os.path.normpath(tmp_path / path)) == Path(one.path)


def test_tables_of_paths_are_read_back(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", ("path", "cause"), [(name, "x") for name in NAMES])
    with (tmp_path / "t.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        assert [row["path"] for row in csv.DictReader(file)] == NAMES
