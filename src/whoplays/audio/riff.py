"""WAV files that hold more than their header can say: its sizes have 32 bits, 4 GiB, and recorders go on past them.

What then stands there is 0, 0xFFFFFFFF or the true size less as many times 4 GiB as fit, and a reader that believes it
hears a part. RF64 (EBU Tech 3306) has sizes of 64 bits: such a file is shown to the decoder as if it had been one.
"""

from __future__ import annotations

import io
import os
import struct
from typing import IO, Any

LIMIT = 1 << 32
_UNKNOWN = (0, LIMIT - 1)
_MAX_HEADER = 1 << 20  # bytes before the samples that are looked through


def beyond_header(file: IO[bytes]) -> io.RawIOBase | None:
    """Return the recording as RF64 where its WAV header tells less than there is, else None. `file` can seek."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(12)
    if size < LIMIT or head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return None
    form = b""
    while file.tell() < _MAX_HEADER and len(chunk := file.read(8)) == 8:
        name, claimed = struct.unpack("<4sI", chunk)
        if name == b"data":
            return _view(file, form, claimed, size) if form else None
        body = file.read(claimed + claimed % 2) if claimed < _MAX_HEADER else b""
        form = body if name == b"fmt " else form
    return None


def _view(file: IO[bytes], form: bytes, claimed: int, size: int) -> io.RawIOBase | None:
    begin = file.tell()
    left = size - begin
    data = left if claimed in _UNKNOWN else claimed + (left - claimed) // LIMIT * LIMIT
    align = struct.unpack_from("<H", form, 12)[0] if len(form) >= 14 else 0
    if data <= claimed or not align:
        return None
    data -= data % align
    sizes = struct.pack("<QQQI", 72 + len(form) + data, data, data // align, 0)
    chunks = (b"WAVE", _chunk(b"ds64", sizes), _chunk(b"fmt ", form), b"data", struct.pack("<I", LIMIT - 1))
    return _View(b"RF64" + struct.pack("<I", LIMIT - 1) + b"".join(chunks), file, begin, data)


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body


class _View(io.RawIOBase):
    """Another header before a part of a file, to be read as one file."""

    def __init__(self, head: bytes, file: IO[bytes], begin: int, length: int) -> None:
        self._head, self._file, self._begin = head, file, begin
        self._length = len(head) + length
        self._at = 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._length}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        target = memoryview(buffer).cast("B")[: max(0, self._length - self._at)]
        if self._at < len(self._head):
            piece = self._head[self._at : self._at + len(target)]
        else:
            self._file.seek(self._begin + self._at - len(self._head))
            piece = self._file.read(len(target))
        target[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)
