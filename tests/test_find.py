"""Expressions: what they mean, by truth tables and by properties; how they fail; what the command prints."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from test_formats import LABELS, PREDICTION
from test_formats import PREDICTION as TWO  # drums (72 %) and guitar (100 %) play

from conftest import invoke
from whoplays.audio.quality import QualityWarning
from whoplays.errors import UsageError
from whoplays.inference.prediction import Prediction, Segment
from whoplays.results import expressions, query, spans, table


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


CASES: dict[str, Any] = json.loads((Path(__file__).parent / "expressions.json").read_text(encoding="utf-8"))


def case_recordings() -> list[Prediction]:
    return [
        Prediction.from_dict(
            {**one, "sample_rate": 44100, "model": "m", "warnings": []}
            | {"segments": [dict(zip(("label", "start", "end", "score"), s, strict=True)) for s in one["segments"]]}
        )
        for one in CASES["recordings"]
    ]


def test_the_cases_that_the_page_is_held_to_as_well() -> None:
    labels, parents = [one for one, _ in CASES["labels"]], {one: family for one, family in CASES["labels"] if family}
    for text, expected in CASES["match"]:
        expression = query.parse(text, labels, parents)
        assert [i for i, one in enumerate(case_recordings()) if expression.matches(one)] == expected, text
    for text in CASES["wrong"]:
        with pytest.raises(UsageError):
            query.parse(text, labels, parents)
            print("accepted:", text)


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
            prediction = replace(PREDICTION, playing=[n for n, v in names.items() if v])
            assert expression.matches(prediction) == eval(text, {}, names), (text, names)


#: 60 s: guitar 0-30, drums 10-20 and 40-60, an acoustic guitar 0-10, perhaps brass
BAND = Prediction(
    "Live/band.wav",
    60.0,
    44100,
    "m@1",
    {"brass": 0.3, "drums": 0.9, "guitar": 0.8, "piano": 0.0, "acoustic-guitar": 0.8},
    ["drums", "guitar", "acoustic-guitar"],
    [
        Segment("acoustic-guitar", 0, 10, 0.8),
        Segment("guitar", 0, 30, 0.8),
        Segment("drums", 10, 20, 0.9),
        Segment("drums", 40, 60, 0.9),
    ],
    PREDICTION.frame_scores,
    PREDICTION.frame_times,
    maybe=["brass"],
)
PARENTS = {"acoustic-guitar": "guitar"}


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("drums", [(10, 20), (40, 60)]),
        ("guitar and drums", [(10, 20)]),
        ("guitar or drums", [(0, 30), (40, 60)]),
        ("guitar and not drums", None),
        ("drums.seconds >= 30", [(10, 20), (40, 60)]),
        ("drums.seconds > 30", None),
        ("drums.longest >= 20", [(40, 60)]),
        ("drums.longest > 20", None),
        ("drums.share >= 0.5", [(10, 20), (40, 60)]),
        ("guitar alone >= 20", [(0, 10), (20, 30)]),
        ("guitar alone > 20", None),
        ("drums and guitar alone < 30", []),
        ("acoustic-guitar alone", [(0, 10)]),
        ("guitar and drums together >= 10", [(10, 20)]),
        ("drums and guitar TOGETHER > 10", None),
        ("guitar and drums together < 20 and path live", [(10, 20)]),
        ("acoustic-guitar and drums together", None),
        ("maybe(brass)", [(0, 60)]),
        ("maybe(drums)", None),
        ("maybe ( brass ) and drums", [(10, 20), (40, 60)]),
        ("piano.seconds < 1", [(0, 60)]),
        ("duration >= 60", [(0, 60)]),
        ('path "live/*.WAV"', [(0, 60)]),
        ("path band", [(0, 60)]),
        ("path *.flac", None),
        ("not path *.flac and drums", [(10, 20), (40, 60)]),
        ("only (drums and guitar)", [(10, 20)]),
        ("only (drums and acoustic-guitar)", []),
        ("not piano", [(0, 60)]),
    ],
)
def test_questions_about_time(text: str, times: list[tuple[float, float]] | None) -> None:
    expression = query.parse(text, list(BAND.scores), PARENTS)
    assert expression.matches(BAND) is (times is not None)
    if times is not None:
        assert expression.spans(BAND) == times


_SPANS = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)).map(lambda t: (t[0], t[0] + t[1])), max_size=8)


@given(_SPANS, _SPANS)
def test_spans_are_sets_of_moments(first: list[tuple[float, float]], second: list[tuple[float, float]]) -> None:
    def moments(found: list[tuple[float, float]]) -> set[int]:
        return {moment for start, end in found for moment in range(int(start), int(end))}

    one, two = spans.union(first), spans.union(second)
    assert moments(one) == moments(first) and spans.seconds(one) == len(moments(first))
    assert moments(spans.common(one, two)) == moments(first) & moments(second)
    assert moments(spans.without(one, two)) == moments(first) - moments(second)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("only drums and guitar", "only \\(drums and guitar\\)"),
        ("guitar and (only drums and duration > 5)", "only"),
        ("only drums and only guitar", "only"),
        ("drums and not drums", "must not"),
        ("acoustic-guitar and not guitar", "family"),
        ("drums > 0.8 and drums < 0.5", "no score"),
        ("drums > 1", "no score"),
        ("piano.share >= 1.5", "no share"),
        ("duration < 0", "no duration"),
        ("drums.seconds > 5 and only guitar", "only"),
        ("only guitar and acoustic-guitar", ""),
        ("only (drums and guitar) and drums.seconds > 5", ""),
        ("drums and not drums or guitar", ""),
        ("not (drums and not drums)", ""),
        ("duration > 60 and duration <= 60", "no duration"),
        ("duration >= 60 and duration <= 60", ""),
        ("drums.seconds >= 0 and not drums", ""),
    ],
)
def test_what_can_never_match_is_seen(text: str, why: str) -> None:
    said = expressions.never(query.parse(text, list(BAND.scores), PARENTS), PARENTS)
    assert re.search(why, said) if why else said == ""


_WORDS = [*BAND.scores, "and", "or", "not", "only", "(", ")", ">", "0.5"]


@given(st.lists(st.sampled_from(_WORDS), max_size=8))
def test_what_can_never_match_does_not(words: list[str]) -> None:
    try:
        expression = query.parse(" ".join(words), list(BAND.scores), PARENTS)
    except UsageError:
        return
    if expressions.never(expression, PARENTS):
        for playing in itertools.product([False, True], repeat=4):
            names = {name for name, plays in zip(("drums", "piano", "brass", "guitar"), playing, strict=True) if plays}
            for more in ((), ("acoustic-guitar",) if "guitar" in names else ()):
                assert not expression.matches(replace(BAND, playing=[*names, *more]))


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_what_is_found_is_cut_out_sample_by_sample(subtype: str, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "a").mkdir(parents=True)
    samples = np.random.default_rng(0).integers(-(1 << 31), 1 << 31, (60 * 8000, 2)).astype(np.int32)
    for name in ("a/x.wav", "a/x.aiff", "y.wav"):
        soundfile.write(folder / name, samples, 8000, subtype)
    held = soundfile.read(folder / "y.wav", dtype="int32")[0]
    rows = [{**replace(BAND, path=str(path)).to_dict(), "seen": ""} for path in sorted(folder.rglob("*.*"))]
    results, out = tmp_path / "r.jsonl", tmp_path / "out"
    table.write(results, lambda: rows, list(BAND.scores))
    done = invoke("find", results, "drums and guitar together >= 10", "--times", "--cut", out)
    assert done.status == 0 and done.stdout.count("0:10-0:20") == 3, done.stderr
    files = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.flac"))
    times = "00010.00-00020.00.flac"
    assert files == [f"a/x.wav_{times}", f"a/x_{times}", f"y_{times}"]
    for name in files:
        cut, rate = soundfile.read(out / name, dtype="int32")
        assert rate == 8000 and np.array_equal(cut, held[80_000:160_000])
    again = invoke("find", results, "drums.longest >= 20", "--cut", out)
    assert again.status == 0 and len(list(out.rglob("*.flac"))) == 6
    refused = invoke("find", results, "drums", "--cut", out)
    assert refused.status == 2 and not refused.stdout and "--overwrite" in refused.stderr
    faded = invoke("find", results, "drums and guitar", "--cut", out, "--overwrite", "--fade", "0.5")
    assert faded.status == 0
    cut, _ = soundfile.read(out / f"y_{times}", dtype="int32")
    assert np.abs(cut[:40]).max() < np.abs(held).max() / 100 > np.abs(cut[-40:]).max()
    assert np.array_equal(cut[4000:-4000], held[84_000:156_000])
    (folder / "y.wav").unlink()
    missing = invoke("find", results, "drums", "--cut", tmp_path / "new")
    assert missing.status == 1 and "no such file" in missing.stderr
    assert len(list((tmp_path / "new").rglob("*.flac"))) == 4


def test_times_as_json_and_in_playlists(tmp_path: Path) -> None:
    results = tmp_path / "r.jsonl"
    table.write(results, lambda: [{**BAND.to_dict(), "seen": ""}], list(BAND.scores))
    done = invoke("find", results, "drums", "--format", "jsonl", "--times", "--playlist", tmp_path / "p.m3u8")
    assert json.loads(done.stdout)["times"] == [{"start": 10, "end": 20}, {"start": 40, "end": 60}]
    lines = (tmp_path / "p.m3u8").read_text().splitlines()
    assert lines[1:4] == [
        "#EXTINF:10,band (0.90) 0:10-0:20",
        "#EXTVLCOPT:start-time=10.000",
        "#EXTVLCOPT:stop-time=20.000",
    ]
    assert len(lines) == 9
    ran = invoke("find", results, "only drums and guitar")
    assert ran.status == 0 and "can never match" in ran.stderr
    table.write(tmp_path / "r.csv", lambda: [{**BAND.to_dict(), "seen": ""}], list(BAND.scores))
    for question in (["drums alone"], ["drums.longest > 5"], ["drums", "--times"]):
        assert "holds no times" in invoke("find", tmp_path / "r.csv", *question).stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("maybe(drums", "\\) was expected"),
        ("path", "a pattern"),
        ("drums together", "and, or, or the end"),
        ("drums.seconds", "drums.seconds needs"),
        ("only (drums or guitar)", "and or \\)"),
        ("", "is empty; for example: brass and not drums"),
        ("flute", "one of brass, drums, guitar, piano, strings was expected"),
        ("drum", "was expected; did you mean drums\\?"),
        ("not smyczki and drums", "did you mean strings\\?"),  # as it is displayed in Polish
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


def test_a_name_of_several_words_as_it_is_displayed_gets_its_id() -> None:
    with pytest.raises(UsageError, match=r"at 'electric' .* did you mean electric-guitar\?"):
        query.parse("drums and electric guitar > 0.5", [*LABELS, "electric-guitar"], {"electric-guitar": "guitar"})


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
    polish = invoke("find", results, "drums and not drums", "--lang", "pl").stderr
    assert "nigdy nie pasuje: drums ma grać, a drums nie może" in polish and "nagrania: 0 z 2" in polish
    assert "b.wav" in (tmp_path / "p.m3u8").read_text()
    assert invoke("find", results, "drums or strings", "-f", "paths", "--count", 1).stdout == "b.wav\n"
    if suffix == ".csv":
        assert "no times" in invoke("find", results, "drums.share > 0.1").stderr


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_of_a_silent_recording_it_is_said(tmp_path: Path, suffix: str) -> None:
    warnings = [QualityWarning("silent", "holds no sound", "check it")]
    silent = replace(PREDICTION, path="s.wav", playing=[], maybe=[], segments=[], warnings=warnings)
    results = tmp_path / f"r{suffix}"
    table.write(results, lambda: [{**silent.to_dict(), "seen": ""}], LABELS)
    assert invoke("find", results, "not drums").stdout.endswith("s.wav  silence\n")
    assert invoke("find", results, "not drums", "--lang", "pl").stdout.endswith("s.wav  cisza\n")


def test_the_prediction_read_back_is_the_one_searched() -> None:
    assert Prediction.from_dict(TWO.to_dict()).active_ratio() == TWO.active_ratio()
