"""Where a clip's recording is: the site itself, or a stand-in given as a URL template. The only importer of yt-dlp."""

from __future__ import annotations

import io
import logging
import os
import re
import string
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ....errors import DownloadError, UsageError
from ....runtime.packages import needed
from ....storage.files import explained
from .. import PlannedClip
from .causes import Cause, ClipUnavailable, cause_of_status, cause_of_words, parse_retry_after
from .ffmpeg import Media

SITE = "https://www.youtube.com/watch?v={video_id}"
#: What a template may hold. With a time in it, the stand-in serves the clip itself; else the whole recording.
FIELDS = ("video_id", "start_s", "end_s", "start_ms", "end_ms")
_TIMES = frozenset(FIELDS[1:])
_PAGE_BYTES = 1 << 18
_HEAD_BYTES = 1 << 12
#: How a page begins: what the server calls what it sends is often wrong.
_PAGE = (b"<!doctype", b"<html", b"<head", b"<body", b"<?xml", b"<script", b"<title", b"{", b"#extm3u")


@dataclass(frozen=True)
class Access:
    """How to reach the source: cookies as Netscape text or from a browser's profile, a proxy, seconds to wait."""

    cookies: str | None = None
    cookies_from_browser: tuple[str | None, ...] | None = None
    proxy: str | None = None
    timeout_s: float = 15.0


@dataclass(frozen=True)
class Template:
    """A URL with {video_id} in it, and possibly {start_s} {end_s} {start_ms} {end_ms}."""

    text: str = SITE

    def __post_init__(self) -> None:
        try:
            fields = {name for _, name, _, _ in string.Formatter().parse(self.text) if name is not None}
        except ValueError as error:
            raise UsageError(f"--source {self.text!r}: {error}") from None
        known = ", ".join(f"{{{name}}}" for name in FIELDS)
        if unknown := sorted(fields - set(FIELDS)):
            raise UsageError(f"--source {self.text!r}: no field {{{unknown[0]}}}; there are {known}")
        if "video_id" not in fields:
            raise UsageError(f"--source {self.text!r}: must hold {{video_id}}; there are {known}")
        if not re.match(r"https?://[^/{}?#\s]+(?:[/?#]|$)", self.text):
            raise UsageError(f"--source {self.text!r}: must begin with http:// or https:// and a host")

    @cached_property
    def serves_clips(self) -> bool:
        """Whether what is served begins with the clip, because the template names its times."""
        return any(name in _TIMES for _, name, _, _ in string.Formatter().parse(self.text))

    def url(self, clip: PlannedClip) -> str:
        """Return the URL for a clip. Ids and times are checked before; nothing else is put in."""
        return self.text.format(
            video_id=clip.video_id,
            start_s=f"{clip.start_ms / 1000:g}",
            end_s=f"{clip.end_ms / 1000:g}",
            start_ms=clip.start_ms,
            end_ms=clip.end_ms,
        )


def host_of(url: str) -> str:
    """Return the host and port of a URL."""
    return urlsplit(url).netloc.rpartition("@")[2].lower()


class Source:
    """Finds recordings with yt-dlp. One for each thread: yt-dlp's object is not made to be shared."""

    def __init__(self, template: Template, access: Access) -> None:
        """Make yt-dlp ready. Raises `DownloadError` when the cookies cannot be read."""
        self.template = template
        self.is_site = template.text == SITE
        with needed("downloading", "audioset"):
            import yt_dlp
        options: dict[str, Any] = {
            "quiet": True,
            "no_warnings": True,
            "noprogress": True,
            "logger": logging.Logger(
                "yt-dlp", logging.CRITICAL + 1
            ),  # says nothing: what matters comes as an exception
            "format": "bestaudio/best",
            "skip_download": True,
            "noplaylist": True,
            "playlist_items": "1",
            "socket_timeout": access.timeout_s,
            "retries": 0,
            "extractor_retries": 0,  # we try again ourselves: later, and politely
            "proxy": access.proxy,
            "js_runtimes": {"deno": {}, "node": {}, "bun": {}},
            # Trust what the user's environment says, where it says something.
            "compat_opts": {"no-certifi"} if os.environ.get("SSL_CERT_FILE") else set(),
            # A stream of our own: yt-dlp writes cookies back to a file, and many threads would write the same one.
            "cookiefile": io.StringIO(access.cookies) if access.cookies else None,
            "cookiesfrombrowser": access.cookies_from_browser,
        }
        try:
            # Of its 1,700 extractors three are needed; sorting them all would take a third of a second for each thread.
            self._ydl = yt_dlp.YoutubeDL(options, auto_init=False)
            for name in ("Youtube", "Generic", "HTML5MediaEmbed"):
                self._ydl.get_info_extractor(name)
            self._ydl.cookiejar  # noqa: B018 - read now, so that a bad cookie file is reported at the start
        except Exception as error:
            raise DownloadError(f"yt-dlp cannot start: {_plain(error)}") from error

    def find(self, clip: PlannedClip) -> Media:
        """Return where the clip's recording is. Raises `ClipUnavailable` with the cause otherwise."""
        url = self.template.url(clip)
        try:
            if self.is_site:
                return self._ask_extractor(url, "Youtube")
            return self._open(url) or self._ask_extractor(url, "Generic")
        except ClipUnavailable:
            raise
        except Exception as error:  # whatever yt-dlp raises
            raise _lost(error) from error

    def _open(self, url: str) -> Media | None:
        """Ask for the URL itself; return None for a page that may have a recording in it."""
        from yt_dlp.networking import Request

        with self._ydl.urlopen(Request(url, headers={"Accept-Encoding": "identity"})) as response:
            head = response.read(_HEAD_BYTES)
            if not head:
                raise ClipUnavailable(Cause.NO_AUDIO, "the answer is empty")
            if not head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_PAGE):
                size = response.get_header("Content-Length") or ""
                return self._media({"url": response.url}, size=int(size) if re.fullmatch("[0-9]+", size) else None)
            text = (head + (response.read(_PAGE_BYTES) or b"")).decode("utf-8", "replace")
        words = _visible(text)
        if cause := cause_of_words(words):
            raise ClipUnavailable(cause, f"the page says: {words[:120]}")
        if not re.search(r"<(?:audio|video|iframe|embed|source|script|meta)\b|\.m3u8|\.mpd", text, re.IGNORECASE):
            raise ClipUnavailable(Cause.UNDECODABLE, f"the response is a page without a recording: {words[:120]}")
        return None

    def _ask_extractor(self, url: str, name: str) -> Media:
        info = self._ydl.extract_info(url, download=False, ie_key=name)
        while info and info.get("entries"):
            info = next(iter(info["entries"]), None)
        if not info or not info.get("url"):
            raise ClipUnavailable(Cause.NO_AUDIO, "yt-dlp found no recording there")
        if info.get("is_live"):
            raise ClipUnavailable(Cause.WRONG_LENGTH, "a live stream")
        return self._media(info)

    def _media(self, info: dict[str, Any], size: int | None = None) -> Media:
        url = info["url"]
        if not url.startswith(("http://", "https://")):
            raise ClipUnavailable(Cause.UNDECODABLE, f"the recording is at an address that is not fetched: {url[:60]}")
        headers = dict(info.get("http_headers") or self._ydl.params.get("http_headers") or {})
        # One line for each cookie, as ffmpeg wants it. It holds a cookie's domain against host:port where a port is
        # named. A plain Cookie header would be sent on to wherever the server redirects.
        parts = urlsplit(url)
        cookies = "".join(
            f"{cookie.name}={cookie.value}; path={cookie.path}; domain={parts.netloc if parts.port else cookie.domain};\r\n"
            for cookie in self._ydl.cookiejar.get_cookies_for_url(url)
        )
        return Media(url, {name: value for name, value in headers.items() if "\n" not in value}, cookies, size)


def _lost(error: BaseException) -> ClipUnavailable:
    """Return what an exception of yt-dlp says, from the outermost wrapping to the innermost cause."""
    from yt_dlp.networking import exceptions as net
    from yt_dlp.utils import GeoRestrictedError, UnsupportedError

    chain = list(_unwrapped(error))
    for one in chain:
        if isinstance(one, net.HTTPError):
            return _of_status(one)
        if isinstance(one, GeoRestrictedError):
            return ClipUnavailable(Cause.COUNTRY, _plain(one))
        if isinstance(one, net.IncompleteRead):
            return ClipUnavailable(Cause.TRUNCATED, _plain(one))
        if isinstance(one, net.CertificateVerifyError):
            return ClipUnavailable(Cause.NETWORK, f"the certificate cannot be trusted: {_plain(one)}")
        if isinstance(one, (net.RequestError, OSError)):
            return ClipUnavailable(Cause.NETWORK, _network_words(one))
        if isinstance(one, UnsupportedError):
            return ClipUnavailable(Cause.UNDECODABLE, "the response is a page without a recording")
    words = _plain(error)
    return ClipUnavailable(cause_of_words(words) or Cause.OTHER, words)


def _network_words(error: BaseException) -> str:
    """Return what happened to a connection in plain words, where the library's are those of its insides."""
    text = _plain(error)
    for words, plain in (
        ("timed out", "no answer in time"),
        ("Connection aborted", "the connection was closed without an answer"),
        ("Connection refused", "the connection was refused"),
        ("Failed to resolve", "the host's name is not known"),
        ("Name or service not known", "the host's name is not known"),
    ):
        if words in text:
            return plain
    return text


def _unwrapped(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        info = getattr(error, "exc_info", None)
        inner = info[1] if isinstance(info, tuple) and len(info) > 1 else getattr(error, "cause", None)
        error = inner if isinstance(inner, BaseException) else error.__cause__


def _of_status(error: Any) -> ClipUnavailable:
    """Return what a refused request says: its page may tell more than its number."""
    wait = parse_retry_after(error.response.get_header("Retry-After"))
    try:
        words = _visible(error.response.read(_HEAD_BYTES).decode("utf-8", "replace"))
    except Exception:
        words = ""
    if getattr(error, "redirect_loop", False):
        return ClipUnavailable(Cause.OTHER, "the site redirects in a circle")
    cause = cause_of_words(words) if error.status in (401, 403, 451) else None
    return ClipUnavailable(cause or cause_of_status(error.status), f"HTTP {error.status} {error.reason or ''}", wait)


def _visible(page: str) -> str:
    """Return the words of a page, without tags and scripts."""
    text = re.sub(r"(?is)<(script|style)\b.*?</\1>|<!--.*?-->|<[^>]{0,2000}>", " ", page)
    return " ".join(unescape(text).replace("\u2019", "'").split())


def _plain(error: BaseException) -> str:
    """Return an error's text without colours, prefixes and yt-dlp's advice to report it."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error) or type(error).__name__)
    text = re.sub(r"^(?:ERROR: )?(?:\[[^\]]*\] )?(?:[A-Za-z0-9_-]{11}: )?", "", text).replace("\u2019", "'")
    return " ".join(text.split("; please report this issue")[0].split())[:300]


def read_cookies(path: Path) -> str:
    """Return the text of a cookies file in Netscape's format. Raises `UsageError` when it is something else."""
    with explained(f"--cookies {path}", "read", UsageError):
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("# ")]
    if not any(line.count("\t") >= 6 for line in lines):
        raise UsageError(f"--cookies {path}: is not a cookies.txt in Netscape's format (seven columns, tabs between)")
    return text
