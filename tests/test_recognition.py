"""What recognition is measured on, and how: songs and their parts, sums of clips, figures of systems that are right or wrong."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench import measure
from bench.quality import recognition
from bench.quality.real import FAMILY_IDS, RATE, Recording, Tasks, duets, mixes
from bench.quality.recognition_docs import ON_PAGE, PAGE, cell, draw_worst, page_table, worst_failures
from bench.quality.songs import Song, intervals, song_lines, song_of, songs, stems
from bench.quality.systems import Output

UNKNOWN = float("nan")
DRUMS, GUITAR = FAMILY_IDS.index("drums"), FAMILY_IDS.index("guitar")


def wave(seconds: float, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))).astype(np.float32)


def song(activity: dict[str, list[tuple[float, float]]] | None = None, *, seconds: float = 25.0) -> Song:
    """Return a song of guitar and drums, of which the families in `activity` play from and to these seconds."""
    targets = np.array([0, 1, 1, 0, 0], dtype=np.float32)
    frames = np.arange(round(seconds * 10)) / 10
    active = {family: np.zeros(len(frames), dtype=bool) for family in ("brass", "piano", "strings") if activity}
    for family, stretches in (activity or {}).items():
        active[family] = np.any([(frames > a - 0.05) & (frames < b - 0.05) for a, b in stretches], axis=0)
    return Song(Recording("songs/one.ogg", ("one",), wave(seconds), targets), ("drum-kit", "guitar"), active)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a folder of material with two songs, of one of which it is known who plays when, and three stems."""
    (tmp_path / "songs" / "stems").mkdir(parents=True)
    columns = ["path", *FAMILY_IDS, "instruments", "activity"]
    rows = [
        ["songs/one.ogg", 0, 1, 1, 0, 0, "drum-kit;guitar-electric;voice", "songs/one.activity.csv"],
        ["songs/two-p0-v1.ogg", "", 0, "", 1, 1, "violin;piano", ""],
    ]
    alone = [
        ["songs/stems/one-bass-s02.ogg", 0, 0, 0, 0, 0, "bass", ""],
        ["songs/stems/one-voice.ogg", 0, 0, 0, 0, 0, "voice", ""],
        ["songs/stems/one-guitar-electric-s03.ogg", 0, 0, 1, 0, 0, "guitar-electric", ""],
    ]
    for name, table in (("songs.csv", rows), ("stems.csv", alone)):
        with (tmp_path / "songs" / name).open("w", newline="") as file:
            csv.writer(file).writerows([columns, *table])
        for i, row in enumerate(table):
            soundfile.write(tmp_path / str(row[0]), wave(2, i), RATE)
    lines = [f"{i / 10:.1f},{int(i >= 5)},{int(i < 10)},{int(i == 15)},1" for i in range(20)]
    header = "time_s,drum-kit,guitar-electric,guitar-acoustic,voice"
    (tmp_path / "songs" / "one.activity.csv").write_text("\n".join([header, *lines]) + "\n")
    return tmp_path


def test_songs_know_who_plays_when(data: Path) -> None:
    one, two = songs(data)
    assert one.fully_known and not two.fully_known
    assert one.timeline()["drums"] == pytest.approx(np.array([[0.5, 2.0]]))
    assert one.timeline()["guitar"] == pytest.approx(np.array([[0.0, 1.0], [1.5, 1.6]]))  # either guitar
    assert one.timeline()["strings"].shape == (0, 2)  # known, and never
    assert set(one.activity) == set(FAMILY_IDS) and two.activity == {}
    assert [stem.sources for stem in stems(data)] == [("one",)] * 3


def test_runs_of_frames_become_intervals() -> None:
    assert intervals(np.array([1, 1, 0, 1], dtype=bool)) == pytest.approx(np.array([[0.0, 0.2], [0.3, 0.4]]))
    assert intervals(np.zeros(5, dtype=bool)).shape == (0, 2)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("songs/violin-piano-notfornothing-p0-v0.ogg", "violin-piano-notfornothing"),
        ("songs/guitar-solo-lick_15.ogg", "guitar-solo"),
        ("songs/trumpet-and-guitar.ogg", "trumpet-and-guitar"),
        ("songs/stems/music-delta-beatles-guitar-acoustic-s05.ogg", "music-delta-beatles"),
        ("songs/stems/multitrack-pop-voice.ogg", "multitrack-pop"),
        ("songs/stems/musdb-preview-drum-kit.ogg", "musdb-preview"),
    ],
)
def test_parts_of_one_song_have_one_source(path: str, name: str) -> None:
    assert song_of(path) == name


def test_labels_of_a_cut_are_those_of_what_plays_in_it() -> None:
    """In cuts of ten seconds: drums play all of the first, half a second of the second (too short to say), none of the third."""
    whole = song({"drums": [(0, 10), (12, 12.5)], "guitar": [(0, 25)]})
    first, second, third = whole.cuts(10)
    assert [cut.samples.size / RATE for cut in whole.cuts(10)] == [10, 10, 5]
    assert first.targets[DRUMS] == 1 and np.isnan(second.targets[DRUMS]) and third.targets[DRUMS] == 0
    assert [cut.targets[GUITAR] for cut in whole.cuts(10)] == [1, 1, 1]
    assert np.concatenate([cut.samples for cut in whole.cuts(10)]).tolist() == whole.recording.samples.tolist()


def test_what_a_song_without_times_holds_is_unknown_in_its_parts() -> None:
    part = song().cuts(10)[1]
    assert np.isnan(part.targets[[DRUMS, GUITAR]]).all() and (part.targets[[0, 3, 4]] == 0).all()
    assert song().cuts(30)[0].targets.tolist() == [0, 1, 1, 0, 0]  # the whole of it


def test_what_is_left_at_the_end_of_a_song_is_a_cut_from_half_its_length_on() -> None:
    assert [cut.samples.size / RATE for cut in song(seconds=24.9).cuts(10)] == [10, 10]
    assert [cut.samples.size / RATE for cut in song(seconds=25.1).cuts(10)] == [10, 10, pytest.approx(5.1)]


def test_halves_and_a_song_twice() -> None:
    whole = song({"drums": [(0, 12)], "guitar": [(0, 25)]}, seconds=25.0)
    first, second = whole.halves()
    assert first.targets[DRUMS] == 1 and second.targets[DRUMS] == 0
    assert first.samples.size + second.samples.size == whole.recording.samples.size
    assert whole.twice().samples.size == 2 * whole.recording.samples.size
    assert whole.twice().key != whole.recording.key


def solos() -> list[Recording]:
    return [
        Recording(f"{family}-{i}", (f"{family}-{i}",), wave(2, 10 * n + i), np.eye(5, dtype=np.float32)[n])
        for n, family in enumerate(FAMILY_IDS)
        for i in range(3)
    ]


def test_mixes_are_of_two_to_four_clips_at_levels_down_to_12_db() -> None:
    found = mixes(solos(), count=90)
    sizes = [len(mix.sources) for mix in found]
    assert {sizes.count(size) for size in (2, 3, 4)} == {30}
    assert all(mix.targets.sum() == len(mix.sources) for mix in found)
    by_path = {one.path: one.samples for one in solos()}
    levels = []
    for mix in found:
        parts = np.stack([np.resize(by_path[path], mix.samples.size) for path in mix.path.split(" + ")])
        gains = np.linalg.lstsq(parts.T, mix.samples, rcond=None)[0] * np.sqrt(np.mean(parts**2, axis=1))
        levels.append(20 * np.log10(gains / gains.max()))
    quietest = min(level.min() for level in levels)
    assert -12.01 <= quietest < -10 and all(level.max() == 0 for level in levels)


def test_duets_stay_equally_loud() -> None:
    by_path = {one.path: one.samples for one in solos()}
    for duet in duets(solos(), count=10):
        parts = np.stack([by_path[path] for path in duet.path.split(" + ")])
        gains = np.linalg.lstsq(parts.T, duet.samples, rcond=None)[0] * np.sqrt(np.mean(parts**2, axis=1))
        assert gains[0] == pytest.approx(gains[1], rel=1e-3)


class Oracle:
    """A system that says what is true, and names `also` as well."""

    name = "oracle"

    def __init__(self, found: Sequence[Song], *, also: str = "") -> None:
        self.timelines = {one.recording.key: dict(one.timeline()) for one in found}
        self.also = FAMILY_IDS.index(also) if also else None

    def outputs(self, recordings: Sequence[Recording]) -> list[Output]:
        return [self.output(recording) for recording in recordings]

    def output(self, recording: Recording) -> Output:
        named = recording.targets == 1
        timeline = dict(self.timelines.get(recording.key, {}))
        if self.also is not None:
            named[self.also] = True
            timeline[FAMILY_IDS[self.also]] = np.array([[0.0, 1.0]])
        scores = np.where(named, 0.9, 0.1).astype(np.float32)
        return Output(scores, named, np.zeros_like(named), timeline)


def test_a_system_that_is_right_has_the_best_figures_on_songs(data: Path) -> None:
    found, alone = songs(data), stems(data)
    figures = recognition.evaluate_songs(Oracle(found), found, alone)
    for name in ("songs", "30 s of songs", "10 s of songs", "one instrument alone"):
        row = {key.removeprefix(f"{name}: "): value[0] for key, value in figures.items() if key.startswith(f"{name}: ")}
        assert row == {
            "exactly right %": 1, "F1": 1, "precision": 1, "recall": 1, "named wrongly": 0, "missed": 0,
        }, name  # fmt: skip
    assert figures["over time: F1"][0] == figures["over time: segments for each true one"][0] == 1
    assert figures["bass or voice alone: anything named %"][0] == 0


def test_a_name_too_many_is_seen_in_every_figure_of_songs(data: Path) -> None:
    found, alone = songs(data), stems(data)
    figures = recognition.evaluate_songs(Oracle(found, also="piano"), found, alone)
    assert figures["songs: exactly right %"][0] == 0 and figures["songs: named wrongly"][0] == 1
    assert figures["songs: precision"][0] == pytest.approx(2 / 3) and figures["songs: recall"][0] == 1
    assert figures["over time: precision"][0] == pytest.approx(26 / 36)  # 15 of drums, 11 of guitar, 10 of no piano
    assert figures["bass or voice alone: anything named %"][0] == 1
    assert figures["bass or voice alone: piano named, of 2"][0] == 2
    assert figures["bass or voice alone: brass named, of 2"][0] == 0


def test_lines_of_songs_say_what_is_wrong_and_what_is_missed() -> None:
    whole = song()
    named = np.array([True, False, True, False, False])
    output = Output(np.zeros(5, dtype=np.float32), named, np.array([0, 1, 0, 0, 0], dtype=bool), {})
    header, line, _ = song_lines([whole], [output])
    assert header.split() == ["song", "plays", "named", "maybe", "wrong", "missed"]
    assert re.split(" {2,}", line) == ["one", "drums, guitar", "brass, guitar", "drums", "brass", "drums"]


def tasks() -> Tasks:
    clips = [*solos(), Recording("flute", ("flute",), wave(1, 99), np.zeros(5, dtype=np.float32), "flute")]
    return Tasks(clips, duets(clips, count=20), [], mixes(clips, count=30), [clips[-1]])


def test_figures_of_a_half_distinguish_right_from_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recognition, "DRAWS", 50)
    half = tasks()
    half = Tasks(half.clips, half.duets, half.duets, half.mixes, half.silent)
    right = {name: Oracle([]).outputs(part) for name, part in half.named().items()}
    figures = recognition.evaluate_half(right, half)
    assert {figures[name][0] for name in ("mAP", "mixes: F1", "duets: highest scores %", "solo: found %")} == {1.0}
    assert figures["false alarms: clips %"][0] == 0
    wrong = {name: Oracle([], also="brass").outputs(part) for name, part in half.named().items()}
    figures = recognition.evaluate_half(wrong, half)
    assert figures["false alarms: clips %"][0] == 1 and figures["false alarms: scores %"][0] == pytest.approx(0.2)
    assert figures["solo: found %"][0] == 1 and figures["solo: exactly it %"][0] == pytest.approx(3 / 15)
    assert figures["mixes: highest scores %"][0] < 1 and figures["mixes: all found %"][0] == 1
    assert set(worst_failures(wrong, half)) == {"mistaken for"} and worst_failures(right, half) == {}


def test_the_worst_clips_are_drawn(tmp_path: Path) -> None:
    half = tasks()
    wrong = {name: Oracle([], also="brass").outputs(part) for name, part in half.named().items()}
    draw_worst(wrong, half, None, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["worst-mistaken-for.png"]


def test_a_score_that_grows_with_length_is_seen() -> None:
    class ByLength(Oracle):
        def output(self, recording: Recording) -> Output:
            scores = np.full(5, recording.samples.size / RATE / 100, dtype=np.float32)
            return Output(scores, scores > 0.5, scores > 2, {})

    whole = song({"drums": [(0, 25)], "guitar": [(0, 25)]}, seconds=20.0)
    figures = recognition.stability([whole], ByLength([]))
    assert figures["twice in a row: largest change of a score"][0] == pytest.approx(0.2)
    assert figures["half of a song: largest change of a score"][0] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("row", "figure", "text"),
    [
        ("songs: exactly right %", (0.2308, 0.0, 0.5), "23 % (0-50)"),
        ("songs: F1", (0.7, 0.61, 0.82), "0.700 (0.610-0.820)"),
        ("bass or voice alone: brass named, of 15", (4.0, UNKNOWN, UNKNOWN), "4"),
        ("twice", (0.123, UNKNOWN, UNKNOWN), "0.123"),
        ("songs: precision", (UNKNOWN, UNKNOWN, UNKNOWN), "-"),
    ],
)
def test_cells_of_the_table(row: str, figure: tuple[float, float, float], text: str) -> None:
    assert cell(row, figure) == text


def test_a_table_replaces_what_stood_between_its_markers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- measured: songs -->\nold\n<!-- end: songs -->\nb\n")
    measure.write_section(page, "songs", "new")
    assert page.read_text() == "a\n<!-- measured: songs -->\nnew\n<!-- end: songs -->\nb\n"
    with pytest.raises(ValueError, match="lacks the lines"):
        measure.write_section(page, "test", "new")


def test_the_page_on_the_model_shows_what_was_measured() -> None:
    page, measured = PAGE.read_text(encoding="utf-8"), set()
    for name in ("songs", "test", "development"):
        result = json.loads((measure.FOLDER / f"recognition-{name}.json").read_text())
        assert f"<!-- measured: {name} -->\n{page_table(result['rows'])}\n\n{result['remarks']}\n" in page
        measured |= {row["measure"] for row in result["rows"]}
    assert set(ON_PAGE) <= measured


def test_the_table_of_the_readme_shows_what_was_measured() -> None:
    shown = {
        "13 whole songs: set of families exactly right": ("songs", "songs: exactly right"),
        "253 real clips, held out: exactly right": ("test", "clips: exactly right"),
        "the same: mean average precision, five families": ("test", "mAP"),
        "the same, strings alone": ("test", "AP strings"),
        "150 duets: exactly right": ("test", "duets: exactly right"),
    }
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    for name, (part, key) in shown.items():
        rows = json.loads((measure.FOLDER / f"recognition-{part}.json").read_text())["rows"]
        row = next(row for row in rows if row["measure"] == key)
        cells = re.search(rf"^\| {re.escape(name)} \| (.*) \|$", readme, re.MULTILINE)
        assert cells, name
        ours, *peers = cells[1].replace("*", "").split(" | ")
        assert list(row.values())[1].startswith(ours), name
        assert peers == [row[peer].partition(" (")[0] for peer in ("YAMNet", "mn04")], name
