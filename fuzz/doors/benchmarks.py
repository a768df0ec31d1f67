"""Folders of public benchmarks: lists, labels and metadata that somebody else published."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import mutate

from whoplays.errors import WhoplaysError
from whoplays.evaluation.benchmarks import READERS
from whoplays.taxonomy.catalogue import catalogue

from . import Door, told_in_one_line

#: Between the benchmark's name, the names of its files and their contents.
_BETWEEN = b"\n%%%\n"
#: Recordings that are there (their contents are not read), and files whose contents the fuzzer writes.
_RECORDINGS = {
    "openmic": ("audio/000/000046_3840.ogg", "audio/000/000135_483840.ogg"),
    "irmas": ("IRMAS-TestingData-Part1/Part1/a-1.wav",),
    "musicnet": ("test_data/1759.wav",),
    "medleydb": ("Audio/A_B/A_B_MIX.wav",),
    "slakh": ("test/Track01876/mix.flac",),
    "audioset": ("audio/-0RWZT-miFs_420.000.wav",),
}
_WRITTEN = {
    "openmic": ("partitions/split01_test.csv", "openmic-2018-aggregated-labels.csv"),
    "irmas": ("IRMAS-TestingData-Part1/Part1/a-1.txt",),
    "musicnet": ("test_labels/1759.csv",),
    "medleydb": ("Audio/A_B/A_B_METADATA.yaml",),
    "slakh": ("test/Track01876/metadata.yaml",),
    "audioset": ("eval_segments.csv", "ontology.json"),
}


def _folder(data: bytes, scratch: Path) -> None:
    name, *contents = data.split(_BETWEEN)
    benchmark = name.decode("ascii", "replace")
    if benchmark not in READERS:
        return
    root = scratch / benchmark
    shutil.rmtree(root, ignore_errors=True)
    for path in _RECORDINGS[benchmark]:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    for path, content in zip(_WRITTEN[benchmark], contents, strict=False):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    try:
        suite = READERS[benchmark](root)
    except WhoplaysError as error:
        told_in_one_line(error)
        return
    assert set(suite.classes.values()) <= set(catalogue().ids)
    for clip in suite.clips:
        assert clip.path.resolve().is_relative_to(root.resolve()), clip.path
        assert set(clip.truth) == set(suite.classes)
        assert all(value in (0, 1) or math.isnan(value) for value in clip.truth.values())
        for spans in (clip.intervals or {}).values():
            assert all(0 <= start < end < math.inf for start, end in spans), spans


def _seeds() -> list[bytes]:
    seeds = {
        "openmic": [
            b"000046_3840\n000135_483840\n",
            b"sample_key,instrument,relevance,num_responses\n000046_3840,piano,1.0,3\n000135_483840,mallet_percussion,0.2,4\n",
        ],
        "irmas": [b"gel \t\nvoi\t\n"],
        "musicnet": [
            b"start_time,end_time,instrument,note,start_beat,end_beat,note_value\n0,88200,1,60,0.0,1.0,Quarter\n"
            b"44100,132300,43,55,1.0,1.0,Half\n"
        ],
        "medleydb": [
            b"album: x\nstems:\n  S01:\n    component: ''\n    instrument: female singer\n    raw:\n      R01:\n"
            b"        instrument: x\n  S02:\n    instrument:\n    - double bass\n    - Unlabeled\ntitle: z\n"
        ],
        "slakh": [
            b"UUID: 1a\nstems:\n  S00:\n    audio_rendered: true\n    is_drum: false\n    program_num: 0\n  S01:\n"
            b"    audio_rendered: false\n    is_drum: true\n    program_num: 128\ntarget_peak: -1.0\n"
        ],
        "audioset": [
            b'# a\n# b\n# c\n-0RWZT-miFs, 420.000, 430.000, "/m/0342h"\n',
            b'[{"id": "/m/0342h", "name": "Guitar", "child_ids": ["/m/02sgy"]}, {"id": "/m/02sgy", "name": "Electric guitar"}]',
        ],
    }
    return [_BETWEEN.join([name.encode(), *contents]) for name, contents in seeds.items()]


_TOKENS = (
    b"../",
    b"/etc/passwd",
    b"nan",
    b"1e999",
    b"-1",
    b"9" * 30,
    b"a" * 300,
    b"\0",
    b'"',
    b"stems:\n",
    b"- ",
    b": ",
    _BETWEEN,
)
DOORS = [Door("benchmarks", _seeds, _folder, mutate.lines, _TOKENS)]
