"""The bytes of an open file: read at random, put together from pieces, and watched for reads that fail.

What a container's header gets wrong is corrected by showing the decoder other bytes: a header with the right sizes, or
the intact pages of a damaged stream one after the other.

libsndfile takes a failed read of a header for missing bytes, goes on with what it has, and may find another rate,
length or format than the file's; FFmpeg takes one for the end. Whoever decodes through a `WatchedFile` can ask
afterwards.
"""

from __future__ import annotations

import bisect
import errno
import io
import os
import re
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

from ..errors import ReadError

Piece = bytes | tuple[int, int]  #: bytes, or a range (begin, end) of a file
_SMALL, _LARGE = 1 << 16, 1 << 20
_BEYOND = 1 << 40
#: What a system says of a place that no file has, as a bad header may ask for: the file stays where it is.
_NO_PLACE = (errno.EINVAL, errno.EOVERFLOW)


class WatchedFile:
    """The reading side of a binary file that can seek; `error` is what its first failed read or seek raised.

    After a failure it has nothing more to give and stands beyond its end, or libsndfile would look for CAF's next chunk
    for ever.
    """

    def __init__(self, file: Any, name: str = "") -> None:
        """file: open, and its owner's to close; None where nothing is to be watched. name: its ending may say what it is."""
        self.error: OSError | None = None
        self.name = name
        self._file = file

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes, none after a failure."""
        if self.error:
            return b""
        try:
            content: bytes = self._file.read(size)
            return content
        except OSError as error:
            self.error = error
            return b""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place; return it."""
        try:
            place: int = self._file.seek(offset, whence)
            return _BEYOND if self.error else place
        except OSError as error:
            if error.errno not in _NO_PLACE:
                self.error = self.error or error
        except ValueError:  # before its beginning
            pass
        return self.tell()

    def tell(self) -> int:
        """Return the place."""
        return _BEYOND if self.error else self._file.tell()

    def check(self) -> None:
        """Raise `ReadError` when a read has failed."""
        if error := self.error:
            raise ReadError(f"cannot be read ({error.strerror or error}); is its disk or connection failing?")


class Content:
    """The bytes of a file. Reads raise `ReadError` where the disk or connection fails."""

    def __init__(self, file: WatchedFile) -> None:
        """file: stays its owner's to close."""
        self.file = file
        self._window, self._begin = b"", 0
        self.size = file.seek(0, os.SEEK_END)
        self.file.check()

    def at(self, position: int, count: int) -> bytes:
        """Return up to `count` bytes from `position` on."""
        inside = position - self._begin
        if not (inside >= 0 and inside + count <= len(self._window)):
            follows = position == self._begin + len(self._window) or 0 <= inside < len(self._window)
            self._window, self._begin = self.read(position, max(count, _LARGE if follows else _SMALL)), position
            inside = 0
        return self._window[inside : inside + count]

    def read(self, position: int, count: int) -> bytes:
        """Return up to `count` bytes from `position` on, past the window that `at` keeps."""
        self.file.seek(position)
        chunks = []
        while count > 0 and (chunk := self.file.read(count)):
            chunks.append(chunk)
            count -= len(chunk)
        self.file.check()
        return b"".join(chunks)

    def next_of(self, signs: tuple[bytes, ...], at: int) -> int:
        """Return the first position from `at` on of one of the signs, the size of the file where there is none."""
        longest = max(map(len, signs))
        while at < self.size:
            block = self.at(at, 1 << 12)
            if found := [place for sign in signs if (place := block.find(sign)) >= 0]:
                return at + min(found)
            at += max(1, len(block) - longest + 1)
        return self.size

    def find_all(self, needle: bytes, begin: int) -> Iterator[int]:
        """Yield the positions of `needle` from `begin` on."""
        pattern, at, tail = re.compile(re.escape(needle)), begin, b""
        while chunk := self.read(at, _LARGE):
            for piece, first in ((tail + chunk[: len(needle) - 1], at - len(tail)), (chunk, at)):
                for found in pattern.finditer(piece):
                    yield first + found.start()
            tail, at = (tail + chunk[1 - len(needle) :])[1 - len(needle) :], at + len(chunk)


class View(io.RawIOBase):
    """Pieces of a file, to be read as one file."""

    def __init__(self, file: WatchedFile, pieces: Sequence[Piece]) -> None:
        """file: stays its owner's to close; it may be read by others in between."""
        self._file, self._pieces = file, pieces
        sizes = (len(piece) if isinstance(piece, bytes) else max(0, piece[1] - piece[0]) for piece in pieces)
        self._starts = [*accumulate(sizes, initial=0)]
        self._at = 0

    def seekable(self) -> bool:
        """Return True."""
        return True

    def readable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position that is not before the beginning; return it."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._starts[-1]}[whence]
        if base + offset < 0:
            raise ValueError("a position before the beginning")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as there are bytes; return how many."""
        target = memoryview(buffer).cast("B")
        filled = 0
        while filled < len(target) and self._at < self._starts[-1]:
            number = bisect.bisect_right(self._starts, self._at) - 1
            part = target[filled : filled + self._starts[number + 1] - self._at]
            piece, inside = self._pieces[number], self._at - self._starts[number]
            if isinstance(piece, bytes):
                content = piece[inside : inside + len(part)]
            else:
                self._file.seek(piece[0] + inside)
                content = self._file.read(len(part))
            part[: len(content)] = content
            filled += len(content)
            self._at += len(content)
            if len(content) < len(part):
                break
        return filled
