"""Who plays, written into a recording's own tags: one field, `WHOPLAYS`, and nothing else. The only user of mutagen.

| container | where |
|---|---|
| MP3, WAV, AIFF (ID3) | `TXXX:WHOPLAYS` |
| FLAC, Ogg Vorbis, Opus, Speex | comment `WHOPLAYS` |
| MP4, M4A | `----:org.whoplays:WHOPLAYS` |
| APE, Musepack, WavPack | item `WHOPLAYS` |
| WMA | `WHOPLAYS` |

The text is `drums 0.93; guitar 0.88 (default@1)`, labels by score, or `none (default@1)`. A copy is tagged, its sound is
compared with the original's bit by bit, and only then it takes the original's place: any failure leaves the original.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from ..audio import reading
from ..errors import WhoplaysError, missing_extra
from ..inference.recogniser import Prediction

FIELD = "WHOPLAYS"
_MP4_FIELD = f"----:org.whoplays:{FIELD}"


def text_of(prediction: Prediction) -> str:
    """Return the field's text."""
    playing = sorted(prediction.playing, key=lambda label: -prediction.scores[label])
    heard = "; ".join(f"{label} {prediction.scores[label]:.2f}" for label in playing)
    return f"{heard or 'none'} ({prediction.model})"


def check() -> None:
    """Raise `MissingExtraError` without mutagen."""
    _mutagen()


def write(path: Path, prediction: Prediction) -> None:
    """Write the field into the recording at `path`. Raises `WhoplaysError`; the recording is as it was then."""
    mutagen = _mutagen()
    path = Path(path).resolve()
    try:
        descriptor, name = tempfile.mkstemp(prefix=".whoplays-", suffix=path.suffix, dir=path.parent)
        os.close(descriptor)
    except OSError as error:
        raise WhoplaysError(f"{path}: cannot be tagged ({error.strerror or error})") from None
    copy = Path(name)
    try:
        shutil.copy2(path, copy)
        _put(mutagen, copy, text_of(prediction))
        if _sound(copy) != _sound(path):
            raise WhoplaysError(f"{path}: tagging would have changed its sound; it was left as it is")
        with copy.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(copy, path)
    except WhoplaysError:
        raise
    except Exception as error:  # a damaged file makes mutagen raise kinds of every sort
        raise WhoplaysError(f"{path}: cannot be tagged ({' '.join(str(error).split())[:120]})") from None
    finally:
        with contextlib.suppress(OSError):
            copy.unlink()


def read(path: Path) -> str | None:
    """Return the field's text, or None where there is none. Raises `WhoplaysError` for what is no audio file."""
    mutagen = _mutagen()
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


def _put(mutagen: Any, path: Path, text: str) -> None:
    from mutagen.id3 import ID3, TXXX
    from mutagen.mp4 import MP4Tags

    file = mutagen.File(path)
    if file is None:
        raise ValueError("its container holds no tags that mutagen can write")
    if file.tags is None:
        file.add_tags()
    if isinstance(file.tags, ID3):
        # mutagen has no types
        file.tags.setall(f"TXXX:{FIELD}", [TXXX(encoding=3, desc=FIELD, text=[text])])  # type: ignore[no-untyped-call]
    elif isinstance(file.tags, MP4Tags):
        file.tags[_MP4_FIELD] = [text.encode()]
    else:
        file.tags[FIELD] = [text]
    file.save()


def _sound(path: Path) -> bytes:
    """Return a digest of the decoded samples."""
    digest = hashlib.blake2b()
    with reading.open_audio(path) as reader:
        digest.update(f"{reader.info.sample_rate} {reader.info.channels}".encode())
        for block, rate in reader.blocks():
            digest.update(f"{rate} {block.shape[1]}".encode() + block.tobytes())
        if reader.gaps:
            raise WhoplaysError(f"{path}: cannot be tagged: it is damaged ({reader.gaps[0].cause})")
    return digest.digest()


def _mutagen() -> Any:
    try:
        import mutagen
    except ImportError:
        raise missing_extra("mutagen", "tags", "--write-tags") from None
    return mutagen
