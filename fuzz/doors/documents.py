"""JSON and arrays: ontology, model configuration, tables of results, journals, data sets, checkpoints."""

from __future__ import annotations

import io
import json
import shutil
from functools import lru_cache
from pathlib import Path

import mutate
import numpy as np

from whoplays.dataset.store import INDEX, Dataset
from whoplays.errors import DatasetError, DownloadError, ModelError, UsageError, WhoplaysError
from whoplays.features import LOGMEL
from whoplays.inference.prediction import Prediction
from whoplays.model import folder as model_folder
from whoplays.model.config import ModelConfig
from whoplays.results import query as finding
from whoplays.results import resumable_table, table
from whoplays.results.formats import writer
from whoplays.sources.audioset.ontology import Ontology
from whoplays.taxonomy.catalogue import catalogue
from whoplays.training import checkpoint

from . import Door, told_in_one_line
from .text import LABELS, heard

FAMILIES = catalogue().labels_for(catalogue().defaults)

_NETWORK = b"stands for a network"


def _ontology(data: bytes, scratch: Path) -> None:
    path = scratch / "ontology.json"
    path.write_bytes(data)
    try:
        found = Ontology.open(path)
    except DownloadError as error:
        told_in_one_line(error)
        return
    ids = list(found.names)
    assert found.descendants(ids[:2]) >= set(ids[:2])
    found.ancestors(ids[-1:])
    for label in (*ids[:2], "guitar", "/m/none"):
        try:
            assert found.resolve(label) in found.names
        except UsageError as error:
            told_in_one_line(error)


def _ontology_seeds() -> list[bytes]:
    entries = [
        {"id": "/m/0342h", "name": "Guitar", "child_ids": ["/m/02sgy", "/m/018vs"], "restrictions": []},
        {"id": "/m/02sgy", "name": "Electric guitar", "child_ids": []},
        {"id": "/m/018vs", "name": "Bass guitar"},
    ]
    return [json.dumps(entries).encode()]


@lru_cache(maxsize=1)
def _sha256() -> str:
    import hashlib

    return hashlib.sha256(_NETWORK).hexdigest()


def _config(data: bytes, scratch: Path) -> None:
    (scratch / model_folder.NETWORK).write_bytes(_NETWORK)
    (scratch / model_folder.CONFIG).write_bytes(data)
    try:
        config = model_folder.read(scratch).config
    except ModelError as error:
        told_in_one_line(error)
        return
    again = ModelConfig.from_dict(json.loads(json.dumps(config.to_dict(), allow_nan=False)))
    assert again == config
    frames = config.features.frames(round(config.window_s * config.features.sample_rate))
    assert frames >= 1 and frames * config.features.n_features <= 1 << 31


def _config_seeds() -> list[bytes]:
    config = ModelConfig(name="m", version="1", labels=FAMILIES, features=LOGMEL, training={"epochs": 3})
    return [json.dumps({**config.to_dict(), "sha256": {model_folder.NETWORK: _sha256()}}).encode()]


def _lines() -> bytes:
    rows = [{**result.to_dict(), "seen": "12-34-ab"} for result in heard()]
    rows[0]["warnings"] = [{"code": "quiet", "message": "m", "advice": "a"}]
    rows.append({"path": "d", "error": "no such file", "seen": "x"})  # type: ignore[dict-item]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _table(kind: str):
    def run(data: bytes, scratch: Path) -> None:
        path = scratch / f"table.{kind}"
        path.write_bytes(data)
        try:
            rows = list(table.read(path))
            predictions = [Prediction.from_dict(row) for row in rows if "error" not in row]
            labels = list(dict.fromkeys(label for p in predictions for label in p.scores))
            for text in ("drums and not piano", "guitar.share > 0.5", "duration < 60"):
                finding.find(predictions, finding.parse(text, labels))
            finding.playlist([(0.5, p) for p in predictions], scratch)
            for name in ("jsonl", "csv", "rttm", "text"):
                form = writer(name)(catalogue().labels_for(labels))
                for prediction in predictions:
                    form.item(prediction)
        except WhoplaysError as error:
            told_in_one_line(error)

    return run


def _csv() -> list[bytes]:
    form = writer("csv")(FAMILIES)
    text = form.head() + "".join(form.item(result) for result in heard())
    return [text.encode(), text.replace("\n", ",seen\n", 1).encode()]


def _parquet() -> list[bytes]:
    rows = [json.loads(line) for line in _lines().splitlines()]
    file = io.BytesIO()
    table._write_parquet(file, rows, LABELS)
    return [file.getvalue()]


def _journal(data: bytes, scratch: Path) -> None:
    path = scratch / "results.jsonl"
    path.unlink(missing_ok=True)
    journal = scratch / "results.jsonl.journal"
    journal.write_bytes(data)
    try:
        with resumable_table.Collection(path, resume=True) as kept:
            list(kept.results(["a", "b", "d"]))
            kept.is_done("a", "x")
            kept.merge(LABELS)
        with resumable_table.Collection(path, resume=True) as again:
            assert len(again) == len(kept)
    except WhoplaysError as error:
        told_in_one_line(error)


@lru_cache(maxsize=1)
def _index() -> tuple[bytes, bytes, bytes]:
    """Return a data set's index, its rows and its one shard, as `whoplays dataset build` lays them out."""
    import hashlib

    file = io.BytesIO()
    np.save(file, np.zeros((2, 20, 20), dtype=np.float32))
    shard = file.getvalue()
    rows = b"split,path,start_s,duration_s,recording,labels,semitones\n"
    rows += b"training,a.wav,0,10,a,guitar,0\ntraining,b.wav,0,,b,drums;guitar,1\n"
    from whoplays.features import REPORT

    index = {
        **{"format": 1, "features": REPORT.to_dict(), "frames": 20},
        "labels": [label.to_dict() for label in FAMILIES],
        "clips": {split: {label: 0 for label in LABELS} for split in ("training", "validation", "test")},
        "rows": {"training": 2, "validation": 0, "test": 0},
        "recordings": {"training": 2, "validation": 0, "test": 0},
        **{"skipped": {}, "remarks": []},
        "shards": [
            {"file": "training-00000.npy", "split": "training", "rows": 2, "sha256": hashlib.sha256(shard).hexdigest()}
        ],
        "identity": {},
    }
    return json.dumps(index).encode(), rows, shard


def _read_dataset(scratch: Path) -> None:
    try:
        dataset = Dataset.open(scratch)
        dataset.verify()
        for name in ("training", "test"):
            split = dataset.split(name)
            assert len(split.features) == len(split.targets)
            if len(split.features):
                split.features[0:1]
    except (DatasetError, ModelError) as error:
        told_in_one_line(error)


def _dataset(which: int):
    def run(data: bytes, scratch: Path) -> None:
        for i, name in enumerate((INDEX, "rows.csv", "training-00000.npy")):
            (scratch / name).write_bytes(data if i == which else _index()[i])
        _read_dataset(scratch)

    return run


def _checkpoint(data: bytes, scratch: Path) -> None:
    (scratch / checkpoint.CHECKPOINT).write_bytes(data)
    try:
        found = checkpoint.read(scratch)
        assert found is not None
    except ModelError as error:
        told_in_one_line(error)


def _checkpoint_seeds() -> list[bytes]:
    folder = Path(__file__).parent / ".seed"
    folder.mkdir(exist_ok=True)
    arrays = [np.ones((3, 4), dtype=np.float32), np.zeros(2, dtype=np.int64)]
    checkpoint.Checkpoint({"seed": 1}, {"epoch": 2}, {"weights": arrays}).write(folder)
    content = (folder / checkpoint.CHECKPOINT).read_bytes()
    shutil.rmtree(folder)
    return [content]


_CSV = (b",", b'"', b";", b"\n", b"path", b"nan", b"inf", b"1e400", b"-1", b"\xff", b"seen", b"error")
_NPY = (
    b"'descr'",
    b"'|O'",
    b"'<f4'",
    b"'shape': (99999999999,)",
    b"(-1, 20, 20)",
    b"True",
    b"PK\x03\x04",
    b"\x93NUMPY",
)

DOORS = [
    Door("ontology", _ontology_seeds, _ontology, mutate.document),
    Door("config", _config_seeds, _config, mutate.document),
    Door("table-jsonl", lambda: [_lines()], _table("jsonl"), mutate.document),
    Door("table-csv", _csv, _table("csv"), mutate.lines, _CSV),
    Door("table-parquet", _parquet, _table("parquet"), mutate.octets, quick=100),
    Door("journal", lambda: [_lines()], _journal, mutate.document, quick=100),
    Door("dataset-index", lambda: [_index()[0]], _dataset(0), mutate.document, quick=100),
    Door("dataset-rows", lambda: [_index()[1]], _dataset(1), mutate.lines, _CSV, quick=100),
    Door("dataset-shard", lambda: [_index()[2]], _dataset(2), mutate.octets, _NPY, quick=100),
    Door("checkpoint", _checkpoint_seeds, _checkpoint, mutate.octets, _NPY, quick=100),
]
