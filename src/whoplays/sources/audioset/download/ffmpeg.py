"""ffmpeg: cut the seconds of a clip out of a recording on the web, as samples. No shell, no file."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import ssl
import struct
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ....audio import reading
from ....errors import UsageError
from ....runtime.packages import needed
from .causes import Cause, ClipUnavailable, cause_of_status

# What a playlist may lead to: never a file of this machine.
_PROTOCOLS = "http,https,tcp,tls,httpproxy,crypto,data"
_STALL_S = 15.0
#: A recording up to this size is read from its beginning: looking for the place to jump to takes up to ten requests.
_SMALL_BYTES = 2 << 20
_AU = struct.Struct(">4s5I")  # mark, place of the samples, bytes of them, encoding, rate, channels
CANCELLED = "its channels cancel each other; the louder one is used where they do"
_HTTP_ERROR = re.compile(r"HTTP error (\d{3})")
_DURATION = re.compile(r"Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)")


@dataclass(frozen=True)
class Media:
    """Where a recording is: its URL, what must be sent along, and its size in bytes where that is known."""

    url: str
    headers: Mapping[str, str]
    cookies: str = ""
    size: int | None = None


@dataclass(frozen=True)
class Cut:
    """What ffmpeg made of a recording.

    samples: (frames, channels) int16. duration_s: of the whole, where stated. note: what was done to it, for people.
    """

    samples: np.ndarray
    duration_s: float | None
    broken_off: bool
    note: str = ""


@functools.cache
def find_ffmpeg(requested: str | None = None) -> str:
    """Return the ffmpeg to use: the requested one, the one of the wheel `imageio-ffmpeg`, or the system's."""
    if requested:
        found = shutil.which(requested)
        if not found:
            raise UsageError(f"--ffmpeg {requested}: no such program")
        return found
    with contextlib.suppress(ImportError, RuntimeError):
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    if found := shutil.which("ffmpeg"):
        return found
    with needed("cutting clips", "audioset", package="imageio-ffmpeg"):
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())


class Cutter:
    """Runs ffmpeg, and can end all that it runs at once. Safe to use from many threads."""

    def __init__(self, program: str, *, rate: int, channels: int, timeout_s: float, proxy: str | None = None) -> None:
        """Prepare; nothing runs yet. rate in Hz; timeout_s for one clip; proxy: an http:// URL."""
        self.program, self.rate, self.channels, self.timeout_s, self.proxy = program, rate, channels, timeout_s, proxy
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def cut(self, media: Media, start_s: float, length_s: float) -> Cut:
        """Return the samples from `start_s` on. Raises `ClipUnavailable` when there are none and why is clear.

        The seconds before are jumped over where the server lets one ask for a part of the recording, and read
        otherwise: a server may ignore the question, and only an attempt shows.
        """
        jump = start_s > 0 and (media.size is None or media.size > _SMALL_BYTES)
        found, log = self._run(media, start_s, length_s, jump=jump)
        astray = "could not seek" in log or (jump and "Invalid data found" in log)  # the sound is not from there
        if len(found.samples) < round(length_s * self.rate) and astray:
            found, log = self._run(media, start_s, length_s, jump=False, seekable=False)
        if not len(found.samples):
            _explain(log, found)
        return found

    def stop(self) -> None:
        """End every ffmpeg that runs, and start no other."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.kill()

    def _run(
        self, media: Media, start_s: float, length_s: float, *, jump: bool, seekable: bool = True
    ) -> tuple[Cut, str]:
        output, log = self._call(self._words(media, start_s, length_s, jump, seekable))
        samples, note = self._samples(output, round(length_s * self.rate))
        stated = _DURATION.search(log)
        duration_s = int(stated[1]) * 3600 + int(stated[2]) * 60 + float(stated[3]) if stated else None
        return Cut(samples, duration_s, "Stream ends prematurely" in log, note), log

    def _samples(self, output: bytes, limit: int) -> tuple[np.ndarray, str]:
        """Return the first samples of what ffmpeg gave (AU), in as many channels as wanted, and what is to be said of them."""
        if len(output) < _AU.size:
            return np.zeros((0, self.channels), dtype=np.int16), ""
        _, begin, *_, channels = _AU.unpack_from(output)
        count = min(limit, (len(output) - begin) // (2 * channels))
        samples = np.frombuffer(output, dtype=">i2", count=count * channels, offset=begin).reshape(-1, channels)
        samples = samples.astype(np.int16)
        if channels == self.channels or not count:
            return samples.reshape(-1, self.channels), ""
        sound = reading.from_samples(samples, self.rate, sample_rate=self.rate)
        mixed = np.concatenate(list(sound.blocks()))
        return np.rint(mixed * 32768).astype(np.int16)[:, None], CANCELLED if sound.channels_cancel else ""

    def _call(self, words: list[str]) -> tuple[bytes, str]:
        with self._lock:
            if self._stopped:
                raise ClipUnavailable(Cause.NETWORK, "stopped")
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for us; we end ffmpeg ourselves
            )
            self._running.add(process)
        try:
            output, log = process.communicate(timeout=self.timeout_s)
        except subprocess.TimeoutExpired:
            raise ClipUnavailable(
                Cause.NETWORK, f"the transfer stalled: not done within {self.timeout_s:.0f} s"
            ) from None
        finally:
            with self._lock:
                self._running.discard(process)
            if process.poll() is None:
                process.kill()
                process.communicate()
        return output, log.decode("utf-8", "replace")

    def _words(self, media: Media, start_s: float, length_s: float, jump: bool, seekable: bool) -> list[str]:
        stall = min(_STALL_S, self.timeout_s)
        words = [self.program, "-nostdin", "-hide_banner", "-loglevel", "level+info", "-protocol_whitelist", _PROTOCOLS]
        words += ["-rw_timeout", str(round(stall * 1e6))]
        if media.url.startswith("https:") and (authorities := _authorities()):
            words += ["-tls_verify", "1", "-ca_file", authorities]
        if self.proxy:
            words += ["-http_proxy", self.proxy]
        if media.headers:
            words += ["-headers", "".join(f"{name}: {value}\r\n" for name, value in media.headers.items())]
        if media.cookies:
            words += ["-cookies", media.cookies]
        # A little more is requested than wanted: resampling eats a few samples at the end.
        span = ["-ss", f"{start_s:.3f}", "-t", f"{length_s + 0.05:.3f}"]
        words += [] if seekable else ["-seekable", "0"]
        words += [*span, "-i", media.url] if jump else ["-i", media.url, *span]
        words += ["-map", "0:a:0", "-vn", "-sn", "-dn", "-ar", str(self.rate)]
        words += ["-ac", str(self.channels)] if self.channels > 1 else []  # one is mixed here, as recordings are
        return [*words, "-c:a", "pcm_s16be", "-f", "au", "-"]


def _authorities() -> str | None:
    """Return the file of certificates to trust: a static ffmpeg does not know the system's."""
    if named := os.environ.get("SSL_CERT_FILE"):
        return named
    try:
        import certifi

        return str(certifi.where())
    except ImportError:
        found = ssl.get_default_verify_paths().cafile
        return found if found and Path(found).exists() else None


def _explain(log: str, found: Cut) -> None:
    """Raise `ClipUnavailable` with what ffmpeg's log says of a run that gave no samples; return when it says nothing."""
    if status := _HTTP_ERROR.search(log):
        code = int(status[1])
        raise ClipUnavailable(cause_of_status(code), f"HTTP {code} for the recording")
    if "matches no streams" in log:
        raise ClipUnavailable(Cause.NO_AUDIO, "the recording has no sound track")
    if found.broken_off:
        raise ClipUnavailable(Cause.TRUNCATED, _line(log, "Stream ends prematurely"))
    if "Invalid data found" in log:
        raise ClipUnavailable(Cause.UNDECODABLE, "the response is not a recording that ffmpeg can read")
    for words in ("timed out", "End of file", "Connection re", "Network is", "Input/output error", "resolve", "TLS"):
        if words in log:
            raise ClipUnavailable(Cause.NETWORK, _line(log, words))


def _line(log: str, words: str) -> str:
    """Return the first line of the log with these words, without ffmpeg's prefixes."""
    line = next(line for line in log.splitlines() if words in line)
    return re.sub(r"^(?:\[[^\]]*\] )+", "", line)
