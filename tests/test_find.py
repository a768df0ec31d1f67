"""Expressions: what they mean, by truth tables and by properties; how they fail; what the command prints."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_formats import LABELS, PREDICTION
from test_formats import PREDICTION as TWO  # drums (72 %) and guitar (100 %) play

from conftest import invoke
from whoplays.errors import UsageError
from whoplays.inference.recogniser import Prediction, Segment
from whoplays.results import query, table


@pytest.mark.parametrize(
    ("text", "true"),
    [
        ("drums", True),
        ("strings", False),
        ("not strings and drums", True),
        ("strings or drums and guitar", True),
        ("(strings or drums) and piano", False),
        ("not (strings or piano)", True),
        ("NOT Strings AND Drums", True),
        ("only drums", False),
        ("drums > 0.8", True),
        ("drums>0.95", False),
        ("piano >= 0.2 and piano <= 0.2", True),
        ("drums.share > 0.7 and drums.share < 0.75", True),
        ("guitar.share >= 1", True),
        ("duration < 60", False),
        ("not not drums", True),
    ],
)
def test_what_is_true_of_a_recording(text: str, true: bool) -> None:
    assert query.parse(text, LABELS).matches(TWO) is true


def test_only() -> None:
    alone = replace(PREDICTION, playing=["drums"], segments=[Segment("drums", 0, 75.4, 0.9)])
    assert query.parse("only drums", LABELS).matches(alone)


def test_the_precedence_is_that_of_logic() -> None:
    """Against Python's own and, or, not on all combinations of four families."""
    texts = ["brass and drums or guitar and not piano", "not brass or drums and guitar", "brass or drums or not guitar"]
    for text in texts:
        expression = query.parse(text, LABELS)
        for values in itertools.product([False, True], repeat=4):
            names = dict(zip(LABELS[:4], values, strict=True))
            heard = replace(PREDICTION, playing=[n for n, v in names.items() if v])
            assert expression.matches(heard) == eval(text, {}, names), (text, names)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty; for example: brass and not drums"),
        ("flute", "one of brass, drums, guitar, piano, strings was expected"),
        ("drums and", "ends too early"),
        ("drums guitar", "at 'guitar' \\(character 7\\): and, or, or the end"),
        ("(drums", "\\) was expected"),
        ("drums > loud", "a number was expected"),
        ("duration", "needs < <= > or >="),
        ("drums & guitar", "at '&'"),
        ("drums == 1", "at '='"),
        ("__import__('os')", "was expected"),
        ("(" * 900 + "drums", "more than 40 levels deep"),
        ("not " * 600 + "drums", "at most 2,000"),
    ],
)
def test_what_cannot_be_read_is_pointed_at(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        query.parse(text, LABELS)


@given(st.text(alphabet="drumsguitaandornot ()<>=.0123456789&!", max_size=40))
def test_any_text_is_an_expression_or_a_usage_error(text: str) -> None:
    try:
        expression = query.parse(text, LABELS)
    except UsageError as error:
        assert "\n" not in str(error)
    else:
        assert 0 <= expression.rank(TWO) <= 1


def test_the_best_match_comes_first() -> None:
    weak = replace(PREDICTION, path="weak", scores={**PREDICTION.scores, "drums": 0.6})
    some = replace(PREDICTION, path="strings", scores={**PREDICTION.scores, "strings": 0.3})
    found = query.find([weak, some, PREDICTION], query.parse("drums and not strings", LABELS))
    assert [(round(rank, 2), p.path) for rank, p in found] == [
        (0.9, PREDICTION.path),
        (0.7, "strings"),
        (0.6, "weak"),
    ]


def test_a_playlist_names_files_from_where_it_lies(tmp_path: Path) -> None:
    inside = replace(PREDICTION, path=str(tmp_path / "a" / "x y.flac"))
    outside = replace(PREDICTION, path="/elsewhere/z.flac")
    assert query.playlist([(0.9, inside), (0.5, outside)], tmp_path).splitlines() == [
        "#EXTM3U", "#EXTINF:75,x y (0.90)", "a/x y.flac", "#EXTINF:75,z (0.50)", "/elsewhere/z.flac"
    ]  # fmt: skip


@pytest.mark.parametrize("suffix", table.SUFFIXES)
def test_the_command(suffix: str, tmp_path: Path) -> None:
    results = tmp_path / f"r{suffix}"
    rows = [
        {**replace(PREDICTION, path="b.wav").to_dict(), "seen": ""},
        {**replace(PREDICTION, path="a.wav", playing=["strings"]).to_dict(), "seen": ""},
        {"path": "bad.wav", "error": "is empty", "seen": ""},
    ]
    table.write(results, lambda: rows, LABELS)
    done = invoke("find", results, "drums and not strings", "--playlist", tmp_path / "p.m3u8")
    assert done.stdout == "0.90  b.wav  drums 0.90, guitar 0.75\n"
    assert "1 of 2 recordings" in done.stderr
    assert "b.wav" in (tmp_path / "p.m3u8").read_text()
    assert invoke("find", results, "drums or strings", "--paths", "--limit", 1).stdout == "b.wav\n"
    if suffix == ".csv":
        assert "no shares" in invoke("find", results, "drums.share > 0.1").stderr


def test_the_prediction_read_back_is_the_one_searched() -> None:
    assert Prediction.from_dict(TWO.to_dict()).shares() == TWO.shares()
