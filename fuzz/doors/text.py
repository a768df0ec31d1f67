"""Lists, tables and expressions: what people edit by hand, and what others publish."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import mutate

from whoplays.cli import recordings
from whoplays.dataset.sources import read_source
from whoplays.errors import DatasetError, DownloadError, UsageError, printable
from whoplays.inference.prediction import Prediction, Segment
from whoplays.results import query as finding
from whoplays.sources.audioset.download import manifest
from whoplays.sources.audioset.lists import SegmentList
from whoplays.sources.audioset.planfile import read_plan

from . import Door, told_in_one_line

LABELS = ("brass", "drums", "guitar", "piano", "strings")


@lru_cache(maxsize=1)
def heard() -> tuple[Prediction, ...]:
    """Return three recordings' results: two families, none, and one with scores of 0 and 1."""
    import numpy as np

    none: dict[str, Any] = {"frame_scores": np.zeros((0, 5), dtype=np.float32), "frame_times": np.zeros(1)}
    scores = dict(zip(LABELS, (0.1, 0.9, 0.8, 0.2, 0.3), strict=True))
    parts = [Segment("drums", 0.0, 4.0, 0.9), Segment("guitar", 2.0, 10.0, 0.8)]
    return (
        Prediction("a", 10.0, 44100, "m@1", scores, ["drums", "guitar"], parts, **none),
        Prediction("b", 0.5, 8000, "m@1", dict.fromkeys(LABELS, 0.01), [], [], **none),
        Prediction("c", 7200.0, 48000, "m@1", dict.fromkeys(LABELS, 1.0) | {"brass": 0.0}, [*LABELS[1:]], [], **none),
    )


def _find(data: bytes, scratch: Path) -> None:
    text = data.decode("utf-8", "surrogateescape")
    try:
        expression = finding.parse(text, LABELS)
    except UsageError as error:
        told_in_one_line(error)
        return
    for prediction in heard():
        rank = expression.rank(prediction)
        assert 0 <= rank <= 1, rank
        assert expression.matches(prediction) != finding.Not(expression).matches(prediction)
    finding.find(heard(), expression)


def _find_seeds() -> list[bytes]:
    return [
        b"strings and not drums",
        b"only piano",
        b"drums > 0.8 or guitar.share > 0.5",
        b"not (brass and (piano or duration < 60)) and strings <= 0.25",
        b"(" * 10 + b"drums" + b")" * 10,
    ]


def _list(data: bytes, scratch: Path) -> None:
    path = scratch / "list.csv"
    path.write_bytes(data)
    found = SegmentList(path)
    try:
        for segment in found:
            assert len(segment.video_id) == 11 and segment.end_s > segment.start_s >= 0 and segment.labels
    except DownloadError as error:
        told_in_one_line(error)
    assert found.rows + sum(found.causes.values()) <= data.count(b"\n") + data.count(b"\r") + 1


def _list_seeds() -> list[bytes]:
    official = (
        b"# Segments csv created Sun Mar  5 10:54:31 2017\n# num_ytids=2\n# YTID, start_seconds, end_seconds, "
        b'positive_labels\n--PJHxphWEs, 30.000, 40.000, "/m/09x0r,/t/dd00088"\n--ZhevVpy1s, 50.000, 60.000, "/m/012xff"\n'
    )
    again = b'\xef\xbb\xbfytid,start,end,labels\r\n--PJHxphWEs,30,40,"""/m/09x0r,/t/dd00088"""\r\n'
    return [official, again, b"--aE2O5G5WE,0,10,/m/03fwl\n" * 3]


_PLAN = (
    b"video_id,start_s,end_s,family,labels,families,unsure,rank\n"
    b"--PJHxphWEs,30.000,40.000,piano,/m/05r5c;/m/04rlf,piano;strings,brass,1\n--ZhevVpy1s,0.000,10.000,drums,,,,2\n"
)


def _plan(data: bytes, scratch: Path) -> None:
    path = scratch / "plan.csv"
    path.write_bytes(data)
    try:
        clips, _ = read_plan(path)
    except DownloadError as error:
        told_in_one_line(error)
        return
    for clip in clips:
        assert 0 <= clip.start_ms < clip.end_ms and "/" not in clip.family and "." not in clip.family
        assert clip.rank >= 1


_MANIFEST = (
    b"path,recording,family,labels,start_s,duration_s,split,instrument\n"
    b"a.wav,one,guitar,,0,10,training,banjo\nb/c.flac,two,,drums;piano,,,test,\n\xc3\xa9.ogg,,strings,,1.5,,,harp\n"
)
_BY_COLUMN = (
    b"path,brass,drums,guitar,piano,strings,video_id\nx.wav,1,0,,0,1,--PJHxphWEs\ny.wav,0,0,0,0,0,--ZhevVpy1s\n"
)


def _manifest(data: bytes, scratch: Path) -> None:
    path = scratch / "manifest.csv"
    path.write_bytes(data)
    try:
        labels, clips, _ = read_source(path, where=() if data[:1] != b"w" else ("split=test",), with_none=True)
    except (DatasetError, UsageError) as error:
        told_in_one_line(error)
        return
    for clip in clips:
        assert len(clip.targets) == len(labels) and set(clip.targets) <= {0, 1, None}
        assert 0 <= clip.start < 1e9 and (clip.duration is None or 0 < clip.duration < 1e9) and clip.recording


_CLIPS = (
    b"path,recording,family,guitar,piano,video_id,start_s,end_s,sha256,bytes,duration_s,rms_dbfs\n"
    b"piano/--PJHxphWEs_30000.wav,--PJHxphWEs,piano,0,1,--PJHxphWEs,30.000,40.000,00,10,10.000,-20.00\n"
)


def _clips(data: bytes, scratch: Path) -> None:
    (scratch / "piano").mkdir(exist_ok=True)
    (scratch / "piano" / "--PJHxphWEs_30000.wav").write_bytes(b"no recording")
    (scratch / manifest.NAME).write_bytes(data)
    try:
        _, differences = manifest.verify(scratch)
    except DownloadError as error:
        told_in_one_line(error)
        return
    for difference in differences:
        told_in_one_line(Exception(printable(f"x{difference.what}")))


def _names(data: bytes, scratch: Path) -> None:
    path = scratch / "names.txt"
    path.write_bytes(data)
    try:
        names = recordings.listed(str(path))
    except UsageError as error:
        told_in_one_line(error)
        return
    assert all(name and "\0" not in name for name in names)


_CSV = (b",", b'"', b'""', b"\n", b"\r", b"\0", b";", b"-", b"1e9", b"nan", b"inf", b"-1", b"\xff", b"\xef\xbb\xbf")
_WORDS = (*(label.encode() for label in LABELS), b"and", b"or", b"not", b"only", b"(", b")", b"<", b"<=", b">", b">=")

DOORS = [
    Door(
        "find",
        _find_seeds,
        _find,
        mutate.octets,
        (*(b" %s " % word for word in _WORDS), b".share", b"duration", b"0.5"),
    ),
    Door("lists", _list_seeds, _list, mutate.lines, (*_CSV, b"/m/04szw", b"# ", b"99999999", b"YTID")),
    Door("plan", lambda: [_PLAN], _plan, mutate.lines, (*_CSV, b"/m/04szw", b"..", b"family", b"1" * 30)),
    Door(
        "manifest",
        lambda: [_MANIFEST, _BY_COLUMN],
        _manifest,
        mutate.lines,
        (*_CSV, b"other", b"guitar", b"path", b"labels", b"video_id", b"end_s", b"split", b"1", b"0"),
    ),
    Door(
        "clips", lambda: [_CLIPS], _clips, mutate.lines, (*_CSV, b"../", b"/etc/passwd", b"path", b"sha256", b"bytes")
    ),
    Door("names", lambda: [b"a.wav\nb c.flac\n", b"a.wav\0b\n.flac\0"], _names, mutate.octets, (b"\n", b"\0", b"\xff")),
]
