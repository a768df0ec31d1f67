"""A path, or a file that can seek -> an open `Reader`, whichever decoder can read it, and however many parts it has."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from ..errors import AudioError, MissingFileError
from ..runtime.packages import needed
from .clock import Block, note
from .content import Content, View, WatchedFile
from .libsndfile import SoundFileReader
from .parts import Gap, Part
from .reader import AudioInfo, Reader, load_av, one_line

Source = str | os.PathLike[str] | IO[bytes]
MIN_RATE, MAX_RATE = 1_000, 768_000  # Hz
MAX_CHANNELS = 64
_MEASURED_PARTS = 256  # of a file, opened to learn how long it is


class _Parts(Reader):
    """A file of several streams, one after the other. What cannot be opened is passed over, unless it is all of them."""

    def __init__(self, content: Content, found: list[Part], track: int | None) -> None:
        """content: of the open file; found: at least one part."""
        self._content, self._parts, self._track = content, found, track
        self.gaps = []
        infos: list[AudioInfo] = []
        failures: list[AudioError] = []
        self._lengths: list[float | None] = []
        for part in found[:_MEASURED_PARTS]:
            try:
                with contextlib.closing(_opened(part, content, track)) as reader:
                    infos.append(reader.info)
                    self._lengths.append(reader.info.duration)
            except AudioError as error:
                failures.append(error)
                self._lengths.append(0.0)
        if not infos:
            raise failures[0]
        self._lengths += [None] * (len(found) - len(self._lengths))
        known = None if None in self._lengths else sum(length or 0.0 for length in self._lengths)
        self.info = replace(infos[0], duration=known)

    def blocks(self, *, start: float = 0.0) -> Iterator[Block]:
        at = 0.0
        for part, length in zip(self._parts, self._lengths, strict=True):
            if length is not None and at + length <= start:
                at += length
                continue
            try:
                reader = _opened(part, self._content, self._track)
            except AudioError as error:
                self.gaps.append(Gap(at, at, str(error)))
                continue
            inside = max(0.0, start - at)
            with contextlib.closing(reader):
                first, at = at, at + inside
                for block, rate in reader.blocks(start=inside):
                    self._add(reader, first)
                    at += len(block) / rate
                    yield block, rate
                self._add(reader, first)

    def _add(self, reader: Reader, first: float) -> None:
        """Take over the gaps of a part that begins at `first`."""
        for gap in reader.gaps:
            note(self.gaps, first + gap.start, None if gap.end is None else first + gap.end, gap.cause)
        reader.gaps.clear()


@contextlib.contextmanager
def open_audio(source: Source, *, track: int | None = None) -> Iterator[Reader]:
    """Open a recording for reading.

    Parameters
    ----------
    source
        A path, or a binary file that can seek.
    track
        Which of several tracks with sound, from 1. None: the one that is marked as the default.

    Raises
    ------
    AudioError
        For what is missing, empty, a folder, or not audio; the text does not repeat the path.
    """
    with contextlib.ExitStack() as opened:
        reader = _open(source, track, opened)
        info = reader.info
        if track is not None and not 1 <= track <= info.tracks:
            raise AudioError(f"has one track with sound; there is no track {track}")
        check_format(info.sample_rate, info.channels)
        yield reader


def check_format(sample_rate: int, channels: int) -> None:
    """Raise `AudioError` for a rate or a number of channels that cannot be used."""
    if not sample_rate:  # a guess of FFmpeg's by the name alone
        raise AudioError("is not a recording that can be read (its sample rate is 0 Hz); is it audio, and complete?")
    if not MIN_RATE <= sample_rate <= MAX_RATE:
        raise AudioError(f"its sample rate is {sample_rate} Hz; {MIN_RATE} to {MAX_RATE} Hz can be used")
    if not 1 <= channels <= MAX_CHANNELS:
        raise AudioError(f"it claims {channels} channels; 1 to {MAX_CHANNELS} can be used")


def _open(source: Source, track: int | None, opened: contextlib.ExitStack) -> Reader:
    from .containers import parts_of

    name = ""
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        _check_path(path)
        if not path.is_file():  # a pipe or a device, which cannot be looked through
            return opened.enter_context(contextlib.closing(_decoder([path], WatchedFile(None), Part(()), track)))
        file: Any = opened.enter_context(path.open("rb", buffering=1 << 16))
        name = os.fspath(path)
    else:
        file = source
    content = Content(WatchedFile(file, name))
    found = parts_of(content)
    if len(found) == 1:
        return opened.enter_context(contextlib.closing(_opened(found[0], content, track)))
    return _Parts(content, found, track)


def _opened(part: Part, content: Content, track: int | None) -> Reader:
    """Open one part of a file, by the file itself where it is all of it. Raises `AudioError`."""
    watched, frames = content.file, part.frames
    if part.decoder != "mpeg":
        sources = [watched if pieces == ((0, content.size),) else View(watched, pieces) for pieces in part.runs]
        watched.seek(0)
        reader = _decoder(sources, watched, part, track)
        if not (frames and isinstance(reader, SoundFileReader)):
            return reader
        if abs(reader.frames - frames.samples) <= 4 * frames.size:
            return reader
        reader.close()  # it has estimated the length
    load_av()
    from .ffmpeg import MpegReader

    return MpegReader(content, part)


def _decoder(sources: list[Any], watched: WatchedFile, part: Part, track: int | None) -> Reader:
    """Open with libsndfile, or else with FFmpeg. Raises `AudioError` with what both say."""
    with needed("reading recordings"):
        import soundfile

    reason = ""
    if part.decoder == "any":
        source = given = sources[0]
        if isinstance(source, Path) and os.name != "nt" and not os.fsencode(source).isascii():
            given = os.fsencode(source)  # a path whose bytes are no UTF-8 libsndfile opens as those bytes
        try:
            reader = SoundFileReader(given, watched, part)
        except (soundfile.LibsndfileError, RuntimeError, TypeError, OSError) as error:
            reason = one_line(error)
        watched.check()
        if not reason:
            return reader
        if hasattr(source, "seek"):
            source.seek(0)
    av = load_av()
    from .ffmpeg import FFmpegReader

    try:
        return FFmpegReader(sources, watched, part, track)
    except (av.FFmpegError, OSError, ValueError, UnicodeError) as error:
        watched.check()
        why = f"libsndfile: {reason}; FFmpeg: {one_line(error)}" if reason else f"FFmpeg: {one_line(error)}"
        raise AudioError(f"is not a recording that can be read ({why}); is it audio, and complete?") from None


def _check_path(path: Path) -> None:
    try:
        if path.is_dir():
            raise AudioError("is a folder, not a recording")
        size = path.stat().st_size
        with path.open("rb"):
            pass
    except FileNotFoundError:
        if re.match(r"[a-z][a-z0-9+.-]+:/", str(path), re.IGNORECASE):
            raise AudioError("addresses are not fetched; download the recording and give the file") from None
        if {"*", "?"} & set(str(path)):
            raise MissingFileError("no such file, and no file matches it as a pattern") from None
        raise MissingFileError("no such file") from None
    except (OSError, ValueError) as error:
        raise AudioError(f"cannot be opened ({getattr(error, 'strerror', None) or error})") from None
    if size == 0 and path.is_file():
        raise AudioError("is empty (0 bytes)")


def probe(source: Source, *, track: int | None = None) -> AudioInfo:
    """Return what the headers say, without decoding. Raises `AudioError`."""
    with open_audio(source, track=track) as reader:
        return reader.info


def duration_of(source: Source) -> float | None:
    """Return the seconds that a recording lasts: by its headers, or counted where they do not tell. Raises `AudioError`."""
    with open_audio(source) as reader:
        if reader.info.duration is not None:
            return reader.info.duration
        return sum(len(block) / rate for block, rate in reader.blocks())
