"""Who plays, written into a recording's own tags: one field, `WHOPLAYS`; all other bytes stay as they are.

| container | where |
|---|---|
| MP3, WAV, AIFF, DSF, TTA (ID3) | `TXXX:WHOPLAYS`, in the version of the tag that is there |
| FLAC, Ogg Vorbis, Opus, Speex | comment `WHOPLAYS` |
| MP4, M4A | `----:org.whoplays:WHOPLAYS` |
| APE, Musepack, WavPack | item `WHOPLAYS` |
| WMA | `WHOPLAYS` |

The text is `drums 0.93; guitar 0.88 (default@1)`, labels by score, or `none (default@1)`. A copy is tagged, its sound is
compared with the original's bit by bit, and only then it takes the original's place, with its owner, mode and times: any
failure leaves the original. The only user of mutagen, which reads tags, and writes those of Ogg and MP4; it is given
the other fields of Ogg and MP4 as bytes, because it would write them anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from ..audio import opening
from ..errors import WhoplaysError
from ..inference.prediction import Prediction
from ..runtime.packages import needed
from ..storage.files import explained, put_in_place
from . import id3, tagedits

FIELD = "WHOPLAYS"
_MP4_FIELD = f"----:org.whoplays:{FIELD}"


def text_of(prediction: Prediction) -> str:
    """Return the field's text."""
    playing = sorted(prediction.playing, key=lambda label: -prediction.scores[label])
    found = "; ".join(f"{label} {prediction.scores[label]:.2f}" for label in playing)
    return f"{found or 'none'} ({prediction.model})"


def write(path: Path, prediction: Prediction) -> str:
    """Write the field into a recording; a symbolic link is followed.

    Return what the file system could not keep, for people: other hard links, the owner; mostly "". Raises `WhoplaysError` when
    it cannot be tagged; the recording is as it was then.
    """
    mutagen = load_mutagen()
    path = Path(path).resolve()
    with explained(path, "tagged"):
        descriptor, name = tempfile.mkstemp(prefix=".whoplays-", suffix=path.suffix, dir=path.parent)
    copy = Path(name)
    try:
        with path.open("rb") as source, os.fdopen(descriptor, "r+b") as target:
            changes = _edits(mutagen, source, text_of(prediction))
            tagedits.apply(source, target, changes or ())
            if changes is None:
                _put_with_mutagen(mutagen, target, text_of(prediction))
            target.flush()
            os.fsync(target.fileno())
        if _sound(copy) != _sound(path):
            raise WhoplaysError(f"{path}: tagging would have changed its sound; it was left as it is")
        note = _keep_attributes(path, copy)
        put_in_place(copy, path)
    except WhoplaysError:
        raise
    except Exception as error:  # a damaged file makes mutagen raise kinds of every sort
        raise WhoplaysError(f"{path}: cannot be tagged ({' '.join(str(error).split())[:120]})") from None
    finally:
        with contextlib.suppress(OSError):
            copy.unlink()
    return note


def is_written(path: Path, prediction: Prediction) -> bool:
    """Tell whether the recording's field says what was predicted."""
    try:
        return read(path) == text_of(prediction)
    except WhoplaysError:
        return False


def read(path: Path) -> str | None:
    """Return the field's text, or None where there is none. Raises `WhoplaysError` for what is no audio file."""
    mutagen = load_mutagen()
    try:
        file = mutagen.File(path)
    except (mutagen.MutagenError, OSError) as error:
        raise WhoplaysError(f"{path}: has no tags that can be read ({error})") from None
    if file is None or not file.tags:
        return None
    for key in (f"TXXX:{FIELD}", _MP4_FIELD, FIELD):
        with contextlib.suppress(KeyError, ValueError):
            value = file.tags[key]
            first = value.text[0] if hasattr(value, "text") else value[0] if isinstance(value, list) else value
            return first.decode() if isinstance(first, bytes) else str(first)
    return None


def _keep_attributes(path: Path, copy: Path) -> str:
    """Give the copy the owner, mode and times of the original; return what could not be kept, for people."""
    before = path.stat()
    lost = []
    if (copy.stat().st_uid, copy.stat().st_gid) != (before.st_uid, before.st_gid):
        try:
            os.chown(copy, before.st_uid, before.st_gid)
        except OSError as error:
            lost.append(f"its owner could not be kept ({error.strerror or error})")
    shutil.copystat(path, copy)
    if before.st_nlink > 1:
        lost.append(f"its hard links are split: the recording has {before.st_nlink - 1} more, without the field")
    return f"{path}: {'; '.join(lost)}" if lost else ""


def _edits(mutagen: Any, source: IO[bytes], text: str) -> tagedits.Edits | None:
    """Return the edits that set the field; None for a container that is left to mutagen."""
    from mutagen.id3 import ID3FileType

    changes = tagedits.edits(source, FIELD, text)
    source.seek(0)
    if changes is None and isinstance(mutagen.File(source), ID3FileType):  # an MP3 that begins with something else
        return [tagedits.Edit(0, 0, id3.with_field(b"", FIELD, text))]
    return changes


def _put_with_mutagen(mutagen: Any, file: IO[bytes], text: str) -> None:
    """Set the field in a file that is open for reading and writing."""
    from mutagen.mp4 import MP4
    from mutagen.ogg import OggFileType

    file.seek(0)
    found: Any = mutagen.File(file)
    if found is None:
        raise ValueError("its container holds no tags that can be written")
    if found.tags is None:
        found.add_tags()
    held: Any = found.tags
    if isinstance(found, OggFileType):
        comments = tagedits.with_comment(_ogg_comments(file, found), FIELD, text)
        held.write = lambda framing=True: comments
        held._pad_data = b""  # of Opus: the comments hold it
    elif isinstance(found, MP4):
        _set_atom(file, held, text)
    else:
        held[FIELD] = [text]
    file.seek(0)
    found.save(file, padding=lambda info: max(0, info.padding) if isinstance(found, MP4) else 0)


def _ogg_comments(file: IO[bytes], found: Any) -> bytes:
    """Return the comments as they are in the file: the second packet, without what its codec puts before them."""
    page_of: Any = import_module("mutagen.ogg").OggPage  # mutagen has no types
    file.seek(0)
    pages: list[Any] = []
    packets: list[bytes] = []
    while len(packets) < 3 and not (len(packets) == 2 and pages[-1].complete):
        page = page_of(file)
        if page.serial == found.info.serial:
            pages.append(page)
            packets = page_of.to_packets(pages, strict=False)
    before = {"OggVorbis": 7, "OggTheora": 7, "OggOpus": 8, "OggFLAC": 4}.get(type(found).__name__, 0)
    return bytes(packets[1][before:])


def _set_atom(file: IO[bytes], tags: Any, text: str) -> None:
    """Set the field, and have all other atoms written as the bytes that they are, in their order."""
    atoms_of: Any = import_module("mutagen.mp4").Atoms
    field = tags._render(_MP4_FIELD, [text.encode()])
    file.seek(0)
    try:
        atoms = atoms_of(file)[b"moov.udta.meta.ilst"].children or ()
    except KeyError:
        atoms = ()
    raw = []
    for atom in atoms:
        file.seek(atom.offset)
        raw.append(file.read(atom.length))
    kept = tagedits.with_one(raw, _is_our_atom, field)
    tags.clear()
    tags._failed_atoms = {}
    tags[_MP4_FIELD] = [b""]
    tags._render = lambda key, value: b"".join(kept)


def _is_our_atom(raw: bytes) -> bool:
    return raw[4:8] == b"----" and b"org.whoplays" in raw[:80] and FIELD.encode() in raw[:80]


def _sound(path: Path) -> bytes:
    """Return a digest of the decoded samples."""
    digest = hashlib.blake2b()
    with opening.open_audio(path) as reader:
        digest.update(f"{reader.info.sample_rate} {reader.info.channels}".encode())
        for block, rate in reader.blocks():
            digest.update(f"{rate} {block.shape[1]}".encode() + block.tobytes())
        if reader.gaps:
            raise WhoplaysError(f"{path}: cannot be tagged: it is damaged ({reader.gaps[0].cause})")
    return digest.digest()


def load_mutagen() -> Any:
    """Return mutagen. Raises `MissingExtraError` without it."""
    with needed("--write-tags", "tags"):
        import mutagen
    return mutagen
