"""The long commands, each on input so small that a run takes a second or two."""

from __future__ import annotations

import csv
import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import soundfile

from faults.harness import KINDS, Scenario, State, contents
from whoplays.examples import synth

RATE = 8000
FAMILIES = ("drums", "guitar", "strings")


def recordings(folder: Path, per_class: int = 4, seconds: float = 0.5) -> Path:
    """Class folders of short recordings made from formulas, WAV and FLAC."""
    for c, family in enumerate(FAMILIES):
        (folder / family).mkdir(parents=True)
        for i in range(per_class):
            samples = synth.recording([family], duration_s=seconds, seed=[c, i], sample_rate=RATE)
            soundfile.write(folder / family / f"{i:02d}.{'wav' if i % 2 else 'flac'}", samples, RATE)
    return folder


def build(folder: Path) -> Scenario:
    """`dataset build` with pitch variants, one worker."""
    words = ["dataset", "build", str(recordings(folder / "in")), "--out", str(folder / "out"), "--pitch=0,1"]
    words += ["--test", "0.25", "--validation", "0.25", "--jobs", "1"]
    return Scenario("dataset build", words, words, folder / "in", folder / "out", _no_journal)


def train(folder: Path) -> Scenario:
    """`train --recipe mfcc-cnn` for three epochs."""
    from whoplays import dataset

    settings = dataset.BuildSettings(test=0.25, validation=0.25)
    dataset.build(recordings(folder / "recordings"), folder / "in", settings, jobs=1)
    words = ["train", str(folder / "in"), "--recipe", "mfcc-cnn", "--out", str(folder / "out"), "--epochs", "3"]
    words += ["--batch-size", "3", "--learning-rate", "0.001"]
    imports = (
        "whoplays.cli",
        "whoplays.training.recipes",
        "whoplays.training.export",
        "keras",
        "tensorflow",
        "matplotlib.pyplot",
    )
    return Scenario("train", words, [*words, "--resume"], folder / "in", folder / "out", _model, imports=imports)


def predict(folder: Path, suffix: str, model: Path) -> Scenario:
    """`predict --out TABLE`, gone on with by `--resume --retry`; one recording is none, and stays a failure."""
    inputs = recordings(folder / "in", seconds=0.3)
    (inputs / "none.wav").write_bytes(b"no recording")
    words = ["predict", str(inputs), "--model", str(model), "--out", str(folder / "out" / f"table{suffix}")]
    imports = (
        "whoplays.cli",
        "whoplays.cli.predict",
        "whoplays.inference.recogniser",
        "whoplays.results.resumable_table",
        "onnxruntime",
        "av",
    )
    imports += ("pyarrow.parquet",) if suffix == ".parquet" else ()
    again = [*words, "--resume", "--retry"]
    return Scenario(f"predict {suffix}", words, again, inputs, folder / "out", _table, exit=(0, 1), imports=imports)


def download(folder: Path, template: str, count: int = 6) -> Scenario:
    """`audioset download` from a stand-in for the site."""
    (folder / "in").mkdir(parents=True)
    with (folder / "in" / "plan.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("video_id", "start_s", "end_s", "family"))
        writer.writerows((f"{n:011d}", 8, 10, "piano") for n in range(count))
    words = [
        "audioset",
        "download",
        str(folder / "in" / "plan.csv"),
        "--out",
        str(folder / "out"),
        "--source",
        template,
    ]
    words += ["--jobs", "2", "--rate", "16000", "--timeout", "20"]
    kinds = tuple(kind for kind in KINDS if kind not in ("read", "vanish"))  # its input is one list, read at once
    imports = ("whoplays.cli", "whoplays.sources.audioset.download", "yt_dlp")
    return Scenario(
        "audioset download", words, words, folder / "in", folder / "out", _clips, imports=imports, kinds=kinds
    )


# --- what is held against an undisturbed run


def _no_journal(out: Path) -> State:
    return contents(out)


def _model(out: Path) -> State:
    """Every file, without the seconds that epochs took."""
    found = contents(out)
    if "config.json" in found:
        facts = json.loads((out / "config.json").read_text(encoding="utf-8"))
        for row in facts["training"].get("history", []):
            row.pop("seconds", None)
        found["config.json"] = _digest(json.dumps(facts))
    if "history.csv" in found:
        with (out / "history.csv").open(newline="") as file:
            found["history.csv"] = _digest(json.dumps([{**row, "seconds": ""} for row in csv.DictReader(file)]))
    return found


def _table(out: Path) -> State:
    """Every file; of the table, its rows in the order of their paths: the first result is the first in a table."""
    from whoplays.results import table

    found = contents(out)
    for name in [name for name in found if name.startswith("table") and not name.endswith(".journal")]:
        rows = sorted(table.read(out / name), key=lambda row: row["path"])
        found[name] = _digest(json.dumps(rows))
    return found


def _clips(out: Path) -> State:
    """Every clip; of manifest and ledger, what is known of the clips beside when, how often and whence they were had."""
    found = contents(out)
    for name in list(found):
        if name == "manifest.csv":
            with (out / name).open(newline="") as file:
                rows = [{k: v for k, v in row.items() if k not in ("origin",)} for row in csv.DictReader(file)]
            found[name] = _digest(json.dumps(rows))
        elif name.startswith("ledger.sqlite"):
            del found[name]
    if (out / "ledger.sqlite").exists():
        with closing(sqlite3.connect(out / "ledger.sqlite")) as db:
            columns = "video_id, start_ms, end_ms, family, state, cause, file, sha256, duration_s, sample_rate"
            found["ledger"] = _digest(repr(db.execute(f"select {columns} from clips order by video_id").fetchall()))
    return found


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
