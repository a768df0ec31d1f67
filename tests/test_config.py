"""Defaults from a configuration file and the environment: which value wins, what is refused, what `config` shows."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from whoplays.cli import commands, settings
from whoplays.cli.main import run
from whoplays.cli.options import threshold_of
from whoplays.errors import UsageError


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "mine.toml"
    path.touch()
    monkeypatch.setenv("WHOPLAYS_CONFIG", str(path))
    return path


def test_the_nearest_value_wins(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def jobs(*words: str) -> Any:
        return commands.parse(["predict", "a.wav", *words]).jobs

    assert jobs() == 0
    file.write_text("jobs = 1")
    assert jobs() == 1
    file.write_text("jobs = 1\n[predict]\njobs = 2")
    assert jobs() == 2
    monkeypatch.setenv("WHOPLAYS_JOBS", "3")
    assert jobs() == 3
    monkeypatch.setenv("WHOPLAYS_PREDICT_JOBS", "4")
    assert jobs() == 4
    assert jobs("-j", "5") == jobs("--jobs=5") == jobs("-j5") == 5


def test_flags_can_be_turned_off_again(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("[predict]\nstrict = true")
    assert commands.parse(["predict", "a.wav"]).strict is True
    assert commands.parse(["predict", "a.wav", "--no-strict"]).strict is False
    monkeypatch.setenv("WHOPLAYS_STRICT", "no")
    assert commands.parse(["predict", "a.wav"]).strict is False


def test_thresholds_add_to_those_configured_and_one_for_all_sets_them_aside(file: Path) -> None:
    file.write_text("threshold = {brass = 0.7}")

    def thresholds(*words: str) -> Any:
        return threshold_of(commands.parse(["predict", "a.wav", *words]).threshold)

    assert thresholds() == {"brass": 0.7}
    assert thresholds("--threshold", "drums=0.2") == {"brass": 0.7, "drums": 0.2}
    assert thresholds("--threshold", "0.5") == {"*": 0.5}
    assert thresholds("--threshold", "brass=0.1") == {"brass": 0.1}


def test_paths_in_the_file_are_beside_it_or_at_home(file: Path) -> None:
    file.write_text('model = "models/mine"')
    assert commands.parse(["predict", "a.wav"]).model == file.parent / "models" / "mine"
    file.write_text('model = "~/mine"')
    assert commands.parse(["predict", "a.wav"]).model == Path.home() / "mine"


def test_a_configured_format_is_for_what_is_printed(file: Path, tiny_model: Path, duet: Path, tmp_path: Path) -> None:
    file.write_text('[predict]\nformat = "text"')
    out = tmp_path / "result.json"
    assert run(["predict", str(duet), "-m", str(tiny_model), "-o", str(out)]) == 0
    assert json.loads(out.read_text())[0]["path"] == str(duet)


@pytest.mark.parametrize(
    "text, words",
    [
        ("treshold = 1", "unknown key treshold; did you mean threshold?"),
        ("[predict]\njbs = 1", "unknown key [predict] jbs; did you mean jobs?"),
        ('[predict]\njobs = "four"', "[predict] jobs four: must be a whole number from 0"),
        ("[predict]\nstrict = 1", "[predict] strict 1: must be true or false"),
        ("[predict]\njobs = [[1]]", "must be text or a number, or a list of them"),
        ("threshold = 3", "threshold 3: must be a number from 0 to 1"),
        ('device = "gpu"', "device gpu: must be one of: auto, cpu"),
        ("x = [", "the configuration is not valid TOML"),
        ('[predict]\nout = "a.csv"', "unknown key [predict] out"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    file: Path, text: str, words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(text)
    for command in (["predict", "a.wav"], ["config"]):
        assert run(command) == 2
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("whoplays: ")]
        assert len(lines) == 1 and str(file) in lines[0] and words in lines[0], lines
    assert run(["predict", "--help"]) == 0  # help is there all the same
    monkeypatch.setenv("WHOPLAYS_CONFIG", str(file.with_name("none.toml")))
    assert run(["predict", "a.wav"]) == 2
    assert "none.toml, which does not exist" in capsys.readouterr().err


def test_the_place_of_the_file_is_the_platforms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WHOPLAYS_CONFIG", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("APPDATA", str(tmp_path / "Roaming"))
    assert settings.file_path("linux") == tmp_path / ".config/whoplays/config.toml"
    assert settings.file_path("darwin") == tmp_path / "Library/Application Support/whoplays/config.toml"
    assert settings.file_path("win32") == tmp_path / "Roaming/whoplays/config.toml"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    assert settings.file_path() == tmp_path / "xdg/whoplays/config.toml"


def test_config_shows_every_value_and_its_source(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text("[serve]\nport = 9001\n[predict]\njobs = 2")
    monkeypatch.setenv("WHOPLAYS_TOKEN", "a secret of mine")
    assert run(["config", "-f", "json"]) == 0
    text = capsys.readouterr().out
    found = {(row["command"], row["name"]): (row["value"], row["source"]) for row in json.loads(text)["settings"]}
    assert found["serve", "port"] == (9001, f"{file}: [serve] port")
    assert found["serve", "host"] == ("127.0.0.1", "built in")
    assert found["serve", "token"] == ("(hidden)", "WHOPLAYS_TOKEN") and "a secret" not in text
    assert {name for name, _ in found} >= {name for name in commands.COMMANDS if name.startswith("audioset p")}
    assert run(["config", "predict", "--changed"]) == 0
    assert capsys.readouterr().out.split() == ["predict", "jobs", "2", f"{file}:", "[predict]", "jobs"]
    monkeypatch.setenv("WHOPLAYS_JOSB", "2")
    assert run(["config"]) == 2
    assert "WHOPLAYS_JOSB: no such setting; did you mean WHOPLAYS_JOBS?" in capsys.readouterr().err
    assert run(["config", "predcit"]) == 2 and "did you mean predict?" in capsys.readouterr().err
    assert run(["config", "--path"]) == 0 and capsys.readouterr().out.strip() == str(file)


def test_the_file_that_config_writes_changes_nothing(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("threshold = [0.5, 'brass=0.7']\n[predict]\nstrict = true\njobs = 2")
    assert run(["config", "-f", "toml"]) == 0
    written = capsys.readouterr().out
    assert tomllib.loads(written)["predict"] == {"strict": True, "jobs": 2, "threshold": ["0.5", "brass=0.7"]}
    before = vars(commands.parse(["predict", "a.wav"]))
    file.write_text(written)
    assert vars(commands.parse(["predict", "a.wav"])) == before


def test_settings_without_an_option_reach_the_library(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from whoplays.storage.cache import cache_folder

    monkeypatch.delenv("WHOPLAYS_CACHE", raising=False)
    file.write_text('cache = "fetched"')
    monkeypatch.setattr(settings.os, "environ", dict(settings.os.environ))
    commands.parse(["predict", "a.wav"])
    assert settings.os.environ["WHOPLAYS_CACHE"] == str(file.parent / "fetched")
    assert cache_folder() == file.parent / "fetched"


def test_a_table_is_no_value_of_an_option_that_takes_one(file: Path) -> None:
    file.write_text("[cluster]\nnodes = 7")
    with pytest.raises(UsageError, match=r"mine.toml: cluster .*: must be text or a number, or a list of them"):
        commands.parse(["predict", "a.wav"])
