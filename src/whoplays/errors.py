"""What can go wrong, for callers who want to catch it: one root, few kinds.

Every message is one line that says what was seen, what the limit is and what to do about it.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping


def printable(text: str) -> str:
    r"""Return text with ? for each character that would break a line or move a terminal's cursor.

    >>> printable("a\nb")
    'a?b'
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def counted(n: int, noun: str) -> str:
    """Return a number with what is counted; an s makes more of the noun.

    >>> counted(1, "file"), counted(1200, "clip")
    ('1 file', '1,200 clips')
    """
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


class WhoplaysError(Exception):
    """Root of all errors that whoplays raises on purpose. The command prints its text and exits with `exit_status`.

    Attributes
    ----------
    path : str
        The recording, model folder or data set that cannot be used, as it was given; "" where there is none.
    """

    exit_status = 1
    path: str = ""

    def __str__(self) -> str:
        """Return the text in one line: names in it come out of files, and must not move a terminal's cursor."""
        return printable(super().__str__())


class UsageError(WhoplaysError):
    """The call itself is wrong: an option, a name, a missing extra. Exit status 2."""

    exit_status = 2


class MissingExtraError(UsageError):
    """A package is not installed, or cannot be loaded; the text names the command that installs it."""


class AudioError(WhoplaysError):
    """A recording cannot be used: missing, empty, unreadable, not audio, not finite, too short.

    Attributes
    ----------
    path : str
        The recording, as it was given; "" where it has no name, as samples.
    problem : str
        What is wrong, in one line without the path.
    """

    @property
    def problem(self) -> str:
        """What is wrong, without the path."""
        return super().__str__()

    def __str__(self) -> str:
        """Return the path, where there is one, and what is wrong."""
        return f"{printable(self.path)}: {self.problem}" if self.path else self.problem


class MissingFileError(AudioError, FileNotFoundError):
    """There is no such recording."""

    def __init__(self, problem: str) -> None:
        """problem: in one line."""
        super().__init__(problem)
        self.errno = errno.ENOENT


class NotFiniteError(AudioError):
    """The recording holds NaN or infinite samples."""


class ReadError(AudioError):
    """The disk or the connection failed while a recording was read: another try may succeed."""


class DatasetError(WhoplaysError):
    """A source of recordings, a manifest or a built data set cannot be used."""


class ModelError(WhoplaysError):
    """A model folder is incomplete, damaged, of a newer format, or does not support the request."""


class RenderError(WhoplaysError):
    """Material cannot be rendered: a MIDI file, a soundfont or a note library cannot be used."""


class DownloadError(WhoplaysError):
    """Clips cannot be planned or fetched."""


def require(checks: Iterable[tuple[bool, str]], kind: type[WhoplaysError], form: str = "{}") -> None:
    """Raise an error for the first check that fails. Settings check themselves with this before anything is read.

    checks: whether it is fine, and what is wrong otherwise. form: the error's text, with {} for what is wrong.
    """
    for fine, problem in checks:
        if not fine:
            raise kind(form.format(problem))


def did_you_mean(word: str, known: Iterable[str], renamed: Mapping[str, str] | None = None) -> str:
    """Return "; did you mean NAME?" to end an error message with, or "" when no known name is close to the word.

    renamed: former or common names, with the name that stands for each.
    """
    from difflib import get_close_matches

    close = [renamed[word]] if renamed and word in renamed else get_close_matches(word.lower(), list(known), 1)
    return f"; did you mean {close[0]}?" if close else ""
