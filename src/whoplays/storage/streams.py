"""The standard streams: they may be closed, lack letters, or lead to a disk that is full."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from pathlib import Path
from typing import NoReturn, TextIO

from ..errors import WhoplaysError


def prepare() -> None:
    """Make the standard streams safe to use, before anything else is opened.

    The numbers of those that are closed are taken, or else the next file that is opened would be written to as if it
    were one. Names that are no UTF-8 keep their bytes; where the output is in another encoding, letters that it lacks are
    escaped.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number is this one
    if sys.stderr is None:  # print would take standard output instead
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open to the end
    if sys.stdout is None:
        sys.stdout = _Closed()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape" if _is_utf8(sys.stdout) else "backslashreplace")


class _Closed(io.TextIOBase):
    """Standard output that is closed: says so once something is written to it."""

    def write(self, text: str, /) -> NoReturn:
        """Raise `WhoplaysError`."""
        raise WhoplaysError(
            "standard output is closed; open it, or name a file where the command can write one (--out)"
        )


def _is_utf8(stream: TextIO) -> bool:
    return (stream.encoding or "").lower().replace("-", "").replace("_", "") in ("utf8", "utf16", "utf32")


def standard_output() -> TextIO:
    """Return standard output. Raises `WhoplaysError` when it is closed."""
    if sys.stdout is None or isinstance(sys.stdout, _Closed):
        _Closed().write("")
    return sys.stdout


def write(text: str) -> None:
    r"""Write data to standard output, at once; letters that its encoding lacks as JSON escapes them (\u0119)."""
    stream = standard_output()
    if not _is_utf8(stream):
        try:
            text.encode(stream.encoding or "ascii", "surrogateescape")
        except UnicodeEncodeError:
            text = "".join(c if c.isascii() else json.dumps(c)[1:-1] for c in text)
    stream.write(text)
    stream.flush()


def abandon_output() -> None:
    """Send what is still to be written to standard output nowhere: it leads nowhere any more."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
