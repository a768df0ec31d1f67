"""The folders of public benchmarks, as they are published -> the recordings of their test side, and what plays in each.

A benchmark has classes of its own. A class stands for one label of the tree, and is evaluated where the model has that label.
"""

from __future__ import annotations

import csv
import re
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import DatasetError
from ...storage.files import explained
from ...taxonomy.catalogue import Evidence, catalogue

PLAYS, SILENT, UNKNOWN = 1.0, 0.0, float("nan")
MOST = 10**12  # samples, programs and shares in tables are less

FACTS: dict[str, dict[str, Any]] = tomllib.loads(
    Path(__file__).with_name("benchmarks.toml").read_text(encoding="utf-8")
)
OPENMIC, IRMAS = (FACTS[name]["classes"] for name in ("openmic", "irmas"))

Intervals = list[tuple[float, float]]


@dataclass(frozen=True)
class Clip:
    """A recording of a benchmark.

    Attributes
    ----------
    path : Path
        Its file.
    truth : dict of str to float
        Class -> 1 (plays), 0 (does not) or NaN (unknown).
    intervals : dict of str to list of (float, float), optional
        Class -> when it plays, in seconds; None where the benchmark does not say.
    """

    path: Path
    truth: dict[str, float]
    intervals: dict[str, Intervals] | None = None


@dataclass(frozen=True)
class Suite:
    """The test side of a benchmark: class -> label of the tree, the recordings, and what to know about them."""

    classes: dict[str, str]
    clips: list[Clip]
    notes: list[str] = field(default_factory=list)


def openmic(root: Path) -> Suite:
    """Read OpenMIC-2018: `partitions/split01_test.csv`, `openmic-2018-aggregated-labels.csv`, `audio/000/000046_3840.ogg`.

    An instrument plays where the annotators' relevance is 0.5 or more; instruments that a clip was not annotated for are unknown.
    """
    split = root / "partitions" / "split01_test.csv"
    keys = [row[0] for row in csv.reader(_text(split).splitlines()) if row]
    if strange := [key for key in keys if not re.fullmatch(r"\w{1,100}", key)]:
        raise DatasetError(f"{split}: {strange[0][:40]!r} is no name of a clip")
    relevance: dict[str, dict[str, float]] = {}
    for row in _table(root / "openmic-2018-aggregated-labels.csv", ("sample_key", "instrument", "relevance")):
        if row["instrument"] in OPENMIC:
            relevance.setdefault(row["sample_key"], {})[row["instrument"]] = _number(row["relevance"], split)
    clips = []
    for key in keys:
        known = relevance.get(key, {})
        truth = {name: (PLAYS if known[name] >= 0.5 else SILENT) if name in known else UNKNOWN for name in OPENMIC}
        clips.append(Clip(root / "audio" / key[:3] / f"{key}.ogg", truth))
    return _there(Suite(OPENMIC, clips), root)


def irmas(root: Path) -> Suite:
    """Read IRMAS' test data: folders `IRMAS-TestingData-Part1` to 3, each `name.wav` with the codes that play in `name.txt`."""
    clips = []
    for path in sorted(root.rglob("*.wav")):
        if (codes := path.with_suffix(".txt")).exists():
            present = {line[:3] for line in _text(codes).split()}
            if unknown := present - set(IRMAS):
                raise DatasetError(f"{codes}: has {min(unknown)}; the codes are {', '.join(IRMAS)}")
            clips.append(Clip(path, {code: PLAYS if code in present else SILENT for code in IRMAS}))
    if not clips:
        raise DatasetError(f"{root}: holds no NAME.wav with NAME.txt; name the folder of IRMAS-TestingData-Part1 to 3")
    return _there(Suite(IRMAS, clips), root)


def musicnet(root: Path) -> Suite:
    """Read MusicNet's test side: `test_data/ID.wav` and `test_labels/ID.csv`, times in samples at 44,100 Hz.

    The column instrument is a General MIDI program from 1.
    """
    clips = []
    for path in sorted((root / "test_labels").glob("*.csv")):
        intervals: dict[str, Intervals] = {}
        found: list[Evidence] = []
        for row in _table(path, ("start_time", "end_time", "instrument")):
            evidence = catalogue().of_program(int(_number(row["instrument"], path)) - 1)
            found.append(evidence)
            span = _number(row["start_time"], path) / 44_100, _number(row["end_time"], path) / 44_100
            if not 0 <= span[0] < span[1]:
                raise DatasetError(f"{path}: has a note from sample {row['start_time']} to {row['end_time']}")
            for label in evidence.present:
                intervals.setdefault(label, []).append(span)
        clips.append(Clip(root / "test_data" / f"{path.stem}.wav", truth_of(found), intervals))
    return _there(Suite(_own_classes(), clips), root, "test_labels/ID.csv and test_data/ID.wav")


def slakh(root: Path) -> Suite:
    """Read Slakh2100's test side: `test/TrackNNNNN` with `mix.flac` and `metadata.yaml`, stems with General MIDI programs."""
    clips = []
    for path in sorted((root / "test").glob("Track*/metadata.yaml")):
        found = []
        for stem in stems(_text(path)).values():
            if "false" in stem.get("audio_rendered", ["true"]):
                continue
            drums = stem.get("is_drum") == ["true"]
            program = int(_number((stem.get("program_num") or [""])[0], path))
            found.append(Evidence(("drums",)) if drums else catalogue().of_program(program))
        mixes = [path.parent / f"mix.{ending}" for ending in ("flac", "wav")]
        clips.append(Clip(next((mix for mix in mixes if mix.exists()), mixes[0]), truth_of(found)))
    return _there(Suite(_own_classes(), clips), root, "test/TrackNNNNN/metadata.yaml and mix.flac")


_ALIKE = FACTS["medleydb"]["alike"]
_OTHERS = {name: one for one in FACTS["medleydb"]["others"] for name in one["names"]}
_ANYTHING = ("main system", "unlabeled")


def of_medleydb(name: str) -> Evidence | None:
    """Return what one of MedleyDB's names of instruments says about labels; None for a name that is none of them."""
    plain = name.strip().lower()
    if plain in _ANYTHING:
        return Evidence(ambiguous=catalogue().ids)
    for one in (plain, plain.removesuffix("section").strip()):
        if other := _OTHERS.get(one):
            return Evidence(catalogue().expand(other["plays"]), tuple(other["open"]))
        if evidence := catalogue().of_sample(_ALIKE.get(one, one.replace(" ", "-"))):
            return evidence
    return None


def medleydb(root: Path) -> Suite:
    """Read MedleyDB: each `NAME_MIX.wav` below the folder with `NAME_METADATA.yaml`, wherever that lies below it.

    MedleyDB has no official split: all of it is read. Where a stem is "Unlabeled", "Main System" or of an unknown name, what no
    other stem plays is unknown.
    """
    described = {path.name.removesuffix("_METADATA.yaml"): path for path in root.rglob("*_METADATA.yaml")}
    clips, unknown = [], set()
    for mix in sorted(root.rglob("*_MIX.wav")):
        name = mix.name.removesuffix("_MIX.wav")
        if name not in described:
            continue
        found = []
        for stem in stems(_text(described[name])).values():
            for instrument in stem.get("instrument", []):
                if (evidence := of_medleydb(instrument)) is None:
                    unknown.add(instrument)
                    evidence = Evidence(ambiguous=catalogue().ids)
                found.append(evidence)
        clips.append(Clip(mix, truth_of(found)))
    notes = ["MedleyDB has no official split; all of it is evaluated"]
    if unknown:
        notes.append(f"{len(unknown)} unknown names of instruments, which may be any: {', '.join(sorted(unknown)[:8])}")
    return _there(Suite(_own_classes(), clips, notes), root, "NAME_MIX.wav and NAME_METADATA.yaml")


def audioset(root: Path) -> Suite:
    """Read AudioSet's evaluation list, `eval_segments.csv`, with `ontology.json`, and what is there of its clips.

    A clip's file is named by its video, alone or followed by _ and a time, perhaps after a Y, in any folder below.
    """
    from ...audio.search import search
    from ...sources.audioset.classes import choose_classes
    from ...sources.audioset.lists import SegmentList
    from ...sources.audioset.ontology import Ontology

    known = [label for label in catalogue().ids if catalogue().audioset(label)]
    classes = choose_classes(Ontology.open(root / "ontology.json"), families=known)
    files: dict[str, Path] = {}
    for found in search(root).recordings:
        if named := re.fullmatch(r"Y?([A-Za-z0-9_-]{11})(_[\d.]+)*", Path(str(found)).stem):
            files.setdefault(named[1], Path(str(found)))
    clips, listed = [], 0
    for segment in SegmentList(root / "eval_segments.csv"):
        listed += 1
        if segment.video_id in files:
            carried = set(segment.labels)
            truth = {
                one.id: PLAYS if carried & one.include else UNKNOWN if carried & one.ambiguous else SILENT
                for one in classes
            }
            clips.append(Clip(files[segment.video_id], truth))
    notes = [f"{len(clips)} of {listed} clips of the list are there"]
    return _there(Suite({label: label for label in known}, clips, notes), root, "clips named by their video")


#: How the folder of each benchmark is read.
READERS = {reader.__name__: reader for reader in (openmic, irmas, musicnet, medleydb, slakh, audioset)}


def truth_of(found: Collection[Evidence]) -> dict[str, float]:
    """Return the truth for every label of the tree, of a recording in which all that plays is known.

    Where a family plays and nobody says by which instrument, its instruments are unknown, but for those known to be absent.
    """
    tree = catalogue()
    plays = {label for evidence in found for label in evidence.present}
    open_ = {label for evidence in found for label in evidence.ambiguous}
    for evidence in found:
        named = {tree.family_of(label) for label in evidence.present if tree[label].parent}
        bare = [label for label in evidence.present if not tree[label].parent and label not in named]
        open_ |= {label.id for label in tree.labels if label.parent in bare} - set(evidence.absent)
    return {label: PLAYS if label in plays else UNKNOWN if label in open_ else SILENT for label in tree.ids}


def stems(text: str) -> dict[str, dict[str, list[str]]]:
    r"""Return the stems of a metadata file: name -> key -> its values. Reads the part of YAML that these files use.

    Examples
    --------
    >>> stems("title: x\nstems:\n  S01:\n    instrument: piano\n    raw:\n      R01:\n        instrument: y\n")
    {'S01': {'instrument': ['piano'], 'raw': []}}
    """
    found: dict[str, dict[str, list[str]]] = {}
    lines = [line.rstrip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    begin = next((i for i, line in enumerate(lines) if line == "stems:"), len(lines))
    indents: list[int] = []  # of stems, and of their keys
    key = ""
    for line in lines[begin + 1 :]:
        indent = len(line) - len(line.lstrip())
        if indent == 0:
            break
        name, _, value = line.strip().partition(":")
        if not indents or indent == indents[0]:
            indents = [indent, *indents[1:]]
            stem = found.setdefault(name, {})
        elif len(indents) == 1 or indent == indents[1]:
            indents = [indents[0], indent]
            if line.lstrip().startswith("- "):
                stem.setdefault(key, []).append(_plain(line.strip()[2:]))
            else:
                key = name
                stem[key] = [_plain(value)] if value.strip() else []
        elif line.lstrip().startswith("- ") and ":" not in line:
            stem.setdefault(key, []).append(_plain(line.strip()[2:]))
    return found


def _plain(value: str) -> str:
    return value.strip().strip("'\"")


def _own_classes() -> dict[str, str]:
    return {label: label for label in catalogue().ids}


def _there(suite: Suite, root: Path, wanted: str = "") -> Suite:
    """Return the suite without recordings whose file is missing, which a note then counts."""
    clips = [clip for clip in suite.clips if clip.path.exists()]
    if not clips:
        missing = f"; the first is {suite.clips[0].path}" if suite.clips else ""
        files = wanted or "the files of its test side"
        raise DatasetError(f"{root}: holds none of this benchmark's recordings ({files} are needed{missing})")
    lost = len(suite.clips) - len(clips)
    notes = [*suite.notes, f"{lost} of {len(suite.clips)} recordings are not there"] if lost else suite.notes
    return Suite(suite.classes, clips, notes)


def _text(path: Path) -> str:
    with explained(path, "read", DatasetError):
        return path.read_text(encoding="utf-8-sig", errors="replace")


def _table(path: Path, columns: Iterable[str]) -> Iterator[Mapping[str, str]]:
    reader = csv.DictReader(_text(path).splitlines())
    if missing := [name for name in columns if name not in (reader.fieldnames or ())]:
        raise DatasetError(f"{path}: has no column {', '.join(missing)}")
    yield from reader


def _number(text: str | None, path: Path) -> float:
    try:
        number = float(text or "")
        if abs(number) > MOST:
            raise ValueError
    except ValueError:
        raise DatasetError(f"{path}: {str(text)[:40]!r} is no number up to {MOST:,}") from None
    if number != number:
        raise DatasetError(f"{path}: holds NaN where a number has to be")
    return number
