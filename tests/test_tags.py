"""Tags written and read back by mutagen itself, sound left alone, originals left alone when something goes wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from test_terminal import PREDICTION

from conftest import RATE, tone

pytest.importorskip("mutagen", reason="mutagen (extra `tags`) is not installed")

from whoplays.audio import reading
from whoplays.errors import WhoplaysError
from whoplays.results import tags

TEXT = "drums 0.97; piano 0.94; strings 0.83 (tiny@1)"


def make(path: Path) -> Path:
    if path.suffix == ".m4a":
        _m4a(path)
    else:
        soundfile.write(path, tone(440.0, 1.0), 48000 if path.suffix == ".opus" else RATE, **_how(path))
    return path


def _how(path: Path) -> dict:
    return {"format": "OGG", "subtype": "OPUS"} if path.suffix == ".opus" else {}


def _m4a(path: Path) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone(440.0, 1.0, 44100)[None], format="fltp", layout="mono")
        frame.sample_rate = 44100
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "opus", "mp3", "aiff", "m4a"])
def test_the_field_is_written_and_the_sound_is_not_touched(suffix: str, tmp_path: Path) -> None:
    path = make(tmp_path / f"a.{suffix}")
    path.chmod(0o640)
    before = reading.load(path, sample_rate=RATE)
    assert tags.read(path) is None
    tags.write(path, PREDICTION)
    assert tags.read(path) == TEXT
    tags.write(path, PREDICTION)
    assert tags.read(path) == TEXT
    np.testing.assert_array_equal(reading.load(path, sample_rate=RATE), before)
    assert path.stat().st_mode & 0o777 == 0o640
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_other_tags_stay(tmp_path: Path) -> None:
    import mutagen

    path = make(tmp_path / "a.flac")
    file = mutagen.File(path)
    file["title"] = "Tune"
    file.save()
    tags.write(path, PREDICTION)
    assert mutagen.File(path)["title"] == ["Tune"]


@pytest.mark.parametrize("fault", ["no tags", "sound", "disk"])
def test_a_failure_leaves_the_original(fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path / ("a.au" if fault == "no tags" else "a.flac"))
    if fault == "sound":
        other = make(tmp_path / "b.wav")
        monkeypatch.setattr(tags, "_put", lambda mutagen, copy, text: shutil.copy(other, copy))
        soundfile.write(other, tone(880.0, 1.0), RATE)
    if fault == "disk":
        monkeypatch.setattr(tags.shutil, "copy2", lambda *a: (_ for _ in ()).throw(OSError(28, "No space left")))
    before = path.read_bytes()
    with pytest.raises(WhoplaysError, match="a\\.") as caught:
        tags.write(path, PREDICTION)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before
    assert not list(tmp_path.glob(".whoplays-*"))


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    path = make(tmp_path / "a.flac")
    link = tmp_path / "link.flac"
    link.symlink_to(path)
    tags.write(link, PREDICTION)
    assert link.is_symlink() and tags.read(path) == TEXT


def test_the_command_tags_and_then_knows_the_file(tiny_model: Path, tmp_path: Path) -> None:
    from test_cli import run

    path = make(tmp_path / "a.flac")
    common = ["predict", path, "--model", tiny_model, "--out", tmp_path / "r.jsonl", "--resume", "--write-tags"]
    assert run(*common).returncode == 0
    assert "(tiny@1)" in str(tags.read(path))
    before = path.read_bytes()
    assert "1 of 1 recordings are done and unchanged" in run(*common).stderr
    assert path.read_bytes() == before
