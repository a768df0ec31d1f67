"""One clip: find it, cut it out, check it, write it. Everything that can go wrong on the way is a `ClipUnavailable`."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from ....errors import WhoplaysError
from ....storage.files import write_atomically
from .. import PlannedClip
from .causes import Cause, ClipUnavailable
from .ffmpeg import Cut, Cutter, Media, find_ffmpeg
from .measure import MISSING_S, Measured, check, encode, measure
from .settings import Settings
from .source import SITE, Source, host_of


class DiskError(WhoplaysError):
    """A file cannot be written: that is no clip's fault, and ends the run."""


@dataclass(frozen=True)
class Fetched:
    """A clip whose file is there: its path relative to the folder, what was measured, what is to be said of it."""

    file: str
    measured: Measured
    note: str = ""


class RateLimiter(Protocol):
    """Gives leave to ask a host: a `Pacer`, or one that stands for a pacer elsewhere."""

    def visit(self, host: str) -> AbstractContextManager[None]:
        """Wait for a turn, and hold it for as long as the `with` statement lasts."""

    def hold(self, host: str, seconds: float) -> None:
        """Let nobody ask the host for so long."""


class Fetcher:
    """Fetches clips into a folder, from many threads at once."""

    def __init__(self, folder: Path, settings: Settings, turns: RateLimiter) -> None:
        """Nothing is requested yet, but that yt-dlp starts and can read the cookies is tried. turns: gives leave to ask."""
        self.folder, self.template, self.ending, self.turns = folder, settings.template, settings.ending, turns
        self.access = replace(settings.access, timeout_s=min(settings.access.timeout_s, settings.timeout_s))
        self.cutter = Cutter(
            find_ffmpeg(settings.ffmpeg),
            rate=settings.rate,
            channels=settings.channels,
            timeout_s=settings.timeout_s,
            proxy=settings.access.proxy,
        )
        self._own = threading.local()
        self._source()

    def fetch(self, clip: PlannedClip) -> Fetched:
        """Fetch one clip. Raises `ClipUnavailable`, `DiskError`, or `Stopped` when the download is being ended."""
        wanted_s = (clip.end_ms - clip.start_ms) / 1000
        cut = self._cut(clip, wanted_s)
        content = encode(cut.samples, self.cutter.rate, self.ending)
        measured = measure(content)
        try:
            check(measured, wanted_s)
        except ClipUnavailable as lost:
            # A transfer that broke off looks short too, but may go well another time.
            if cut.broken_off and lost.cause in (Cause.WRONG_LENGTH, Cause.NO_AUDIO):
                raise ClipUnavailable(Cause.TRUNCATED, f"the transfer broke off: {lost.detail}") from None
            raise
        file = clip.file(self.ending)
        path = self.folder / file
        try:
            path.parent.mkdir(exist_ok=True)
            write_atomically(path, content)
        except (OSError, WhoplaysError) as error:
            raise DiskError(str(error)) from error
        return Fetched(file, measured, cut.note)

    def _cut(self, clip: PlannedClip, wanted_s: float) -> Cut:
        host, source = host_of(self.template.url(clip)), self._source()  # a turn is for asking, not for making ready
        with self.turns.visit(host):
            try:
                media = source.find(clip)
            except ClipUnavailable as lost:
                if lost.retry_after_s:
                    self.turns.hold(host, lost.retry_after_s)
                raise
            if host_of(media.url) == host:
                return self._cut_out(clip, media, wanted_s)
        with self.turns.visit(host_of(media.url)):
            return self._cut_out(clip, media, wanted_s)

    def _cut_out(self, clip: PlannedClip, media: Media, wanted_s: float) -> Cut:
        begins_s = clip.start_ms / 1000
        start_s = 0.0 if self.template.serves_clips else begins_s
        cut = self.cutter.cut(media, start_s, wanted_s)
        if start_s and self._holds_just_the_clip(cut, wanted_s):
            cut = self.cutter.cut(media, 0.0, wanted_s)
        elif start_s != begins_s and self._holds_the_whole(cut, wanted_s, clip.end_ms / 1000):
            cut = self.cutter.cut(media, begins_s, wanted_s)
        if not len(cut.samples):
            known = cut.duration_s
            if known and start_s:
                raise ClipUnavailable(
                    Cause.WRONG_LENGTH, f"the recording has {known:.1f} s, the clip begins at {start_s:g} s"
                )
            raise ClipUnavailable(Cause.NO_AUDIO, "the recording holds no sound")
        return cut

    def _holds_just_the_clip(self, cut: Cut, wanted_s: float) -> bool:
        """Tell a stand-in that serves the ten seconds alone: what it serves is that long, and so ends too early."""
        if self.template.text == SITE or cut.duration_s is None or abs(cut.duration_s - wanted_s) > MISSING_S:
            return False
        return len(cut.samples) < round((wanted_s - MISSING_S) * self.cutter.rate)

    def _holds_the_whole(self, cut: Cut, wanted_s: float, ends_s: float) -> bool:
        """Detect a stand-in that ignores the requested times: what it serves lasts beyond the clip."""
        return cut.duration_s is not None and cut.duration_s > max(wanted_s, ends_s - MISSING_S) + MISSING_S

    def _source(self) -> Source:
        source = getattr(self._own, "source", None)
        if source is None:
            source = self._own.source = Source(self.template, self.access)
        return source
