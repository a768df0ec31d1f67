"""A file that remembers when reading it failed, for decoders that go on over that.

libsndfile takes a failed read of a header for missing bytes, goes on with what it has, and may find another rate,
length or format than the file's; FFmpeg takes one for the end. Whoever decodes through a `WatchedFile` can ask
afterwards.
"""

from __future__ import annotations

import errno
import os
from typing import IO, Any

from ..errors import ReadError

_BEYOND = 1 << 40
#: What a system says of a place that no file has, as a bad header may ask for: the file stays where it is.
_NO_PLACE = (errno.EINVAL, errno.EOVERFLOW)


class WatchedFile:
    """The reading side of a binary file that can seek; `error` is what its first failed read or seek raised.

    After a failure it has nothing more to give and stands beyond its end, or libsndfile would look for CAF's next chunk
    for ever.
    """

    def __init__(self, file: IO[bytes] | Any, name: str = "") -> None:
        """file: open, and its owner's to close. name: whose ending may say what it is."""
        self.error: OSError | None = None
        self.name = name
        self._file = file
        self._into = file.readinto if hasattr(file, "readinto") else self._by_copy

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as there are bytes; return how many, 0 after a failure."""
        if self.error:
            return 0
        try:
            return self._into(buffer)
        except OSError as error:
            self.error = error
            return 0

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes, none after a failure."""
        if self.error:
            return b""
        try:
            return self._file.read(size)
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

    def _by_copy(self, buffer: Any) -> int:
        content = self._file.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)


def unreadable(error: OSError) -> ReadError:
    """Return the error for a failed read."""
    return ReadError(f"cannot be read ({error.strerror or error}); is its disk or connection failing?")
