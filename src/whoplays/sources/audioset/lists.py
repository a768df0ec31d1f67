"""AudioSet's segment lists, as published and as people re-save them, read as a stream.

The official line is `--PJHxphWEs, 30.000, 40.000, "/m/09x0r,/t/dd00088"`, comment lines begin with `#`. Copies drop the
quotes, double them, write times as integers, end lines with CRLF, begin with a byte order mark or have a header row.
A line that still says nothing usable is counted with its number and cause, and the reading goes on.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ...errors import DownloadError
from ...storage.files import explained

VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{11}")
LABEL_ID = re.compile(r"/[a-z]{1,8}/[a-z0-9_]{1,32}")

MAX_LINE = 1 << 16  # characters; the longest official line has under 300
MAX_SECONDS = 1_000_000.0  # eleven days: no video is longer
_BLOCK = 1 << 20  # bytes read at a time
_REMEMBERED = 1000  # malformed rows kept word for word; the others are only counted

_TIME = r"(\d{1,6}(?:\.\d{1,9})?)"
_ROW = re.compile(rf'({VIDEO_ID.pattern}), ?{_TIME}, ?{_TIME}, ?"?([a-z0-9_/,]+)"?\s*', re.ASCII)
_KNOWN_LABELS = 100_000  # labels remembered as well formed; AudioSet has 632
_HEADER = {"ytid", "youtube_id", "youtubeid", "video_id", "videoid", "segment_id", "id"}


class Segment(NamedTuple):
    """One clip of a list: seconds from the start of the video, and the AudioSet ids of its row."""

    video_id: str
    start_s: float
    end_s: float
    labels: list[str]


@dataclass(frozen=True)
class Malformed:
    """A row that could not be used: its line (from 1), what is wrong with it, and how it begins."""

    line: int
    cause: str
    text: str


@dataclass
class SegmentList:
    """A list on disk; iterate over it to get its segments. Counts and malformed rows grow while it is read.

    Memory does not grow with the file. Raises `DownloadError` when the file cannot be read, or is no such list at all.
    """

    path: Path
    rows: int = 0
    causes: Counter[str] = field(default_factory=Counter)
    malformed: list[Malformed] = field(default_factory=list)

    def __iter__(self) -> Iterator[Segment]:
        return self.carrying(None)

    def carrying(self, wanted: frozenset[str] | None) -> Iterator[Segment]:
        """Read the file, and yield the segments that carry one of the labels `wanted` (None: all).

        The others are checked and counted just the same; making nothing of them saves a third of the time.
        """
        self.rows = 0
        self.causes.clear()
        self.malformed.clear()
        parse = _ROW.fullmatch
        known: set[str] = set()
        for number, line in enumerate(_lines(self.path), start=1):
            row = parse(line)
            if row:
                video_id, start, end, text = row.groups()
                labels = text.split(",")
                if known.issuperset(labels) or _learn(known, labels):
                    start_s, end_s = float(start), float(end)
                    if end_s > start_s:
                        self.rows += 1
                        if wanted is None or not wanted.isdisjoint(labels):
                            yield Segment(video_id, start_s, end_s, labels)
                        continue
            segment = self._unusual(number, line)
            if segment and (wanted is None or not wanted.isdisjoint(segment.labels)):
                yield segment
        if not self.rows and self.causes:
            first = self.malformed[0]
            raise DownloadError(
                f"{self.path}: no row of it can be used (line {first.line}: {first.cause}); is it an AudioSet list?"
            )

    def _unusual(self, number: int, line: str) -> Segment | None:
        """Return the segment of a line that is not laid out as usual, or note why there is none."""
        text = line.strip().strip("\ufeff")
        first = text.split(",", 1)[0].strip().strip('"').lower()
        if not text or text.startswith("#") or (number <= 3 and first in _HEADER):
            return None
        try:
            segment = parse_row(text)
        except ValueError as error:
            cause = str(error)
            self.causes[cause] += 1
            if len(self.malformed) < _REMEMBERED:
                self.malformed.append(Malformed(number, cause, text[:80]))
            return None
        self.rows += 1
        return segment


def parse_row(text: str) -> Segment:
    """Return the segment that a row of any known layout means. Raises `ValueError` with the cause otherwise."""
    if len(text) >= MAX_LINE:
        raise ValueError(f"the line is longer than {MAX_LINE} characters")
    fields = [part.strip() for part in text.replace('"', "").split(",")]
    if len(fields) < 4:
        raise ValueError("fewer than four fields (video id, start, end, labels)")
    if not VIDEO_ID.fullmatch(fields[0]):
        raise ValueError("the video id is not eleven of A-Z a-z 0-9 _ -")
    start, end = seconds(fields[1], "the start"), seconds(fields[2], "the end")
    if end <= start:
        raise ValueError("the end is not after the start")
    labels = [label for label in fields[3:] if label]
    if not labels:
        raise ValueError("no label")
    if not all(LABEL_ID.fullmatch(label) for label in labels):
        raise ValueError("a label is not of the form /m/04szw")
    return Segment(fields[0], start, end, labels)


def _learn(known: set[str], labels: list[str]) -> bool:
    """Return whether all labels are well formed, and remember those that are."""
    if not all(map(LABEL_ID.fullmatch, labels)):
        return False
    if len(known) < _KNOWN_LABELS:
        known.update(labels)
    return True


def seconds(text: str, which: str) -> float:
    """Return a number of seconds from the start of a video. Raises `ValueError`; which: one it is."""
    if not re.fullmatch(r"\d{1,9}(?:\.\d{0,12})?", text, re.ASCII) or float(text) >= MAX_SECONDS:
        raise ValueError(f"{which} is not a number of seconds from 0 to {MAX_SECONDS:.0f}")
    return float(text)


def _lines(path: Path) -> Iterator[str]:
    """Yield the lines of a text file without their ends, a block at a time; one that is too long comes cut."""
    with explained(path, "read", DownloadError), Path(path).open("rb") as file:
        start = file.read(4)
        if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise DownloadError(f"{path}: is UTF-16 text; save it as CSV in UTF-8")
        file.seek(3 if start.startswith(b"\xef\xbb\xbf") else 0)
        rest = ""
        while block := file.read(_BLOCK):
            # Latin-1 maps each byte to one character, so that a block may end anywhere; what is not ASCII is
            # malformed all the same.
            *lines, rest = (rest + block.decode("latin-1")).split("\n")
            yield from lines
            rest = rest[:MAX_LINE]
        if rest:
            yield rest
