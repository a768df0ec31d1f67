"""Peers of the benchmark: calibrated and decided without the song that they are tried on, run once, cached by content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("safetensors", reason="safetensors reads the teachers' weights (extra distil)")

from bench.quality import peers
from bench.quality.peers import Examples, Peer, Teachers
from bench.quality.real import FAMILY_IDS, RATE, Recording
from bench.quality.songs import Song
from recipe.teachers import LABELS, Analysis, Scores

GUITAR = FAMILY_IDS.index("guitar")


class Panel:
    """Two teachers that detect a guitar by the level of a recording; the second, at far lower levels, knows nothing else."""

    def __init__(self, gain: float = 1.0) -> None:
        self.runs, self.gain = 0, gain

    def label_clip(self, samples: np.ndarray) -> dict[str, Analysis]:
        self.runs += 1
        steps = np.abs(np.resize(samples, (1 + samples.size // (RATE // 2), RATE // 2))).mean(axis=1)
        logits = np.full((len(steps), len(LABELS)), -3.0, dtype=np.float32)
        logits[:, GUITAR] = self.gain * 40 * (steps - 0.1)
        times = 0.25 + 0.5 * np.arange(len(steps))
        low = np.full_like(logits, np.nan)
        low[:, GUITAR] = logits[:, GUITAR] / 5 - 20
        both = {"high": logits, "low": low}
        return {name: Analysis(Scores(one, times), one.mean(axis=0)) for name, one in both.items()}

    def whole(self, analyses: dict[str, Analysis]) -> dict[str, np.ndarray]:
        return {name: analysis.clip for name, analysis in analyses.items()}

    def over_time(self, analyses: dict[str, Analysis], steps: int) -> dict[str, np.ndarray]:
        at = np.minimum((np.arange(steps) * 0.32 / 0.5).astype(int), len(analyses["high"].over_time.logits) - 1)
        return {name: analysis.over_time.logits[at] for name, analysis in analyses.items()}


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "NAMES", {"high": "High", "low": "Low"})


def clip(path: str, *levels: float, seed: int = 0) -> Recording:
    """Return two seconds at each level; a guitar plays where it is above 0.1."""
    rng = np.random.default_rng([seed, *path.encode()])
    samples = np.concatenate([level * np.sign(rng.standard_normal(2 * RATE)) for level in levels]).astype(np.float32)
    targets = np.zeros(5, dtype=np.float32)
    targets[GUITAR] = max(levels) > 0.1
    return Recording(path, (path.removeprefix("songs/").split(".")[0],), samples, targets)


def song(name: str, *levels: float) -> Song:
    recording = clip(f"songs/{name}.ogg", *levels)
    frames = np.repeat([level > 0.1 for level in levels], 20)
    absent = np.zeros(len(frames), dtype=bool)
    return Song(recording, (), {family: frames if i == GUITAR else absent for i, family in enumerate(FAMILY_IDS)})


def examples() -> Examples:
    clips = [clip(f"real/{i}", level, seed=i) for i, level in enumerate((0.02, 0.05, 0.08, 0.13, 0.2, 0.3))]
    return Examples.of(clips, [song("one", 0.3, 0.02, 0.02, 0.3), song("two", 0.02, 0.3)], (4,))


def test_a_recording_is_run_once_and_cached_by_content(tmp_path: Path) -> None:
    panel = Panel()
    first = Teachers(panel, tmp_path).whole([clip("real/a", 0.2), clip("real/a", 0.2)])
    assert panel.runs == 2  # the probe, and the clip once
    again = Panel()
    second = Teachers(again, tmp_path).whole([clip("real/a", 0.2)])
    assert again.runs == 1 and second["low"][0].tolist() == pytest.approx(first["low"][0].tolist(), nan_ok=True)


def test_teachers_that_answer_otherwise_do_not_find_what_others_said(tmp_path: Path) -> None:
    Teachers(Panel(), tmp_path).whole([clip("real/a", 0.2)])
    other = Teachers(Panel(gain=2.0), tmp_path).whole([clip("real/a", 0.2)])
    assert other["high"][0, GUITAR] == pytest.approx(2 * 40 * 0.1, rel=1e-3)


def test_a_truncated_cache_file_is_computed_again(tmp_path: Path) -> None:
    teachers = Teachers(Panel(), tmp_path)
    recording = clip("real/a", 0.2)
    teachers.whole([recording])
    path = tmp_path / f"{recording.key}.npz"
    path.write_bytes(path.read_bytes()[:100])
    panel = Panel()
    Teachers(panel, tmp_path).whole([recording])
    assert panel.runs == 2


def test_every_peer_is_calibrated_to_its_own_levels(tmp_path: Path) -> None:
    teachers = Teachers(Panel(), tmp_path)
    loud, quiet = clip("real/loud", 0.25), clip("real/quiet", 0.03)
    for name, of in (("High", ("high",)), ("Low", ("low",)), ("both", ("high", "low"))):
        peer = Peer(name, of, teachers, examples())
        yes, no = peer.outputs([loud, quiet])
        assert yes.named.tolist() == [i == GUITAR for i in range(5)] and not no.named.any(), name
        assert yes.scores[GUITAR] > 0.5 > no.scores[GUITAR] and yes.scores[0] < 0.5


def test_songs_are_decided_without_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three of the examples are from the first song (whole, and two cuts), two from the second."""
    rows: list[int] = []
    fit = peers._fit

    def counted(names: Sequence[str], logits: dict[str, np.ndarray], targets: np.ndarray) -> tuple:
        rows.append(len(targets))
        return fit(names, logits, targets)

    monkeypatch.setattr(peers, "_fit", counted)
    given = examples()
    peer = Peer("both", ("high", "low"), Teachers(Panel(), tmp_path), given)
    stem = replace(clip("songs/stems/one-guitar.ogg", 0.3), sources=("one",))
    peer.outputs([given.songs[0].recording, stem, clip("real/x", 0.3), given.songs[1].recording])
    everything = len(given.recordings)
    assert rows[::2] == [everything - 3, everything, everything - 2]  # between them: steps over time
    assert rows[3] == rows[1] + rows[5]


def test_a_peer_says_when_a_family_plays(tmp_path: Path) -> None:
    given = examples()
    peer = Peer("High", ("high",), Teachers(Panel(), tmp_path), given)
    (output,) = peer.outputs([given.songs[0].recording])
    assert list(output.timeline) == ["guitar"]
    assert output.timeline["guitar"] == pytest.approx(np.array([[0.0, 2.0], [6.0, 8.0]]), abs=0.4)
