"""A folder comes in; out go the recordings below it, what could not be entered, and how many files are something else.

A file is a recording when the decoders can open it, whatever its name. Two kinds are not opened to find out: names that end
as recordings' do are included, so that a damaged one is reported and not passed over; text, pictures and archives are not.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any

from ..errors import AudioError
from ..storage.address import Address, Place
from . import decoder, reading

#: Endings of names that count as recordings without a look.
ENDINGS = frozenset(
    f".{name}"
    for names in (
        "wav wave rf64 w64 flac ogg oga opus spx mp3 mp2 mpc aif aiff aifc au snd caf",
        "m4a m4b m4r aac ac3 eac3 dts wma wv ape tta tak dsf dff amr mka voc",
        "mp4 m4v mov mkv webm avi 3gp 3g2 ogv vob mpg mpeg flv wmv",
    )
    for name in names.split()
)

_LOOKED_AT = 4096  # bytes
_TRIED_S, _RATE = 0.5, 16_000  # seconds that are decoded of what may be a recording; Hz
#: How pictures, documents, archives and programs begin.
_OTHERS = (
    *(b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"8BPS", b"%PDF", b"\xd0\xcf\x11\xe0"),
    *(b"PK", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!", b"\x28\xb5\x2f\xfd"),
    *(b"\x7fELF", b"MZ", b"SQLite format 3", b"\0asm", b"\x93NUMPY", b"PAR1", b"ARROW1", b"MThd"),
)


@dataclass
class Search:
    """What a search found.

    recordings: sorted by path. problems: (path, why) of folders that could not be entered and files that could not be
    looked at. links: (path, what to do) of linked folders that lead elsewhere, which are not followed. ignored: number of
    files that are no recordings, hidden ones included.
    """

    recordings: list[Any] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)
    ignored: int = 0


def search(folder: Place) -> Search:
    """Return what is below a folder. In an object store, where a look costs a transfer, the ending of the name decides."""
    found = Search()
    if isinstance(folder, Address):
        for one in folder.files():
            inside = one.relative_to(folder)
            included = inside.suffix.lower() in ENDINGS and not any(part.startswith(".") for part in inside.parts)
            found.recordings += [one] if included else []
            found.ignored += not included
        return found
    top = os.path.realpath(folder)
    for path in _files(folder, top, found):
        try:
            included = not path.name.startswith(".") and _is_recording(path)
        except OSError as error:
            found.problems.append((str(path), f"cannot be read ({error.strerror or error})"))
            continue
        found.recordings += [path] if included else []
        found.ignored += not included
    found.recordings.sort()
    return found


def _files(folder: Path, top: str, found: Search) -> Iterator[Path]:
    def not_entered(error: OSError) -> None:
        found.problems.append((str(error.filename), f"cannot be entered ({error.strerror or error})"))

    for parent, folders, names in os.walk(folder, onerror=not_entered):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for link in filter(os.path.islink, (os.path.join(parent, name) for name in folders)):  # noqa: PTH118
            if not (os.path.realpath(link) + os.sep).startswith(top + os.sep):
                found.links.append((link, "is a link to a folder elsewhere, and was not followed; name that folder"))
        yield from (Path(parent, name) for name in names)


def _is_recording(path: Path) -> bool:
    """Tell whether a file is a recording. Raises `OSError` for one that cannot be read."""
    a_file = path.is_file()  # a pipe or a socket would be waited for
    if PurePath(path).suffix.lower() in ENDINGS:
        return a_file or not path.exists()  # a link that leads nowhere is reported
    if not a_file:
        return False
    with path.open("rb") as file:
        start = file.read(_LOOKED_AT)
    if not start or start.startswith(_OTHERS) or _is_text(start):
        return False
    stat = path.stat()
    return _opens(str(path), stat.st_size, stat.st_mtime_ns)


def _is_text(start: bytes) -> bool:
    if b"\0" in start:
        return False
    try:
        start.decode()
    except UnicodeDecodeError as error:
        return error.start > len(start) - 4 and len(start) == _LOOKED_AT  # a letter is cut
    return True


@lru_cache(maxsize=100_000)
def _opens(path: str, size: int, changed_ns: int) -> bool:
    """Tell whether sound can be decoded from a file, in a process of its own. Once for each state of the file."""
    part: reading.Excerpt = {"duration": _TRIED_S}
    try:
        if not decoder.POSSIBLE:
            return len(reading.load(path, sample_rate=_RATE, **part)) > 0
        return len(reading.whole(decoder.shared().decode(path, sample_rate=_RATE, **part))) > 0
    except AudioError:
        return False
