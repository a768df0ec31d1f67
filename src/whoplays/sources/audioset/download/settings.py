"""How to download: one place for every choice, checked before the first request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ....errors import UsageError, require
from .causes import Cause
from .measure import FORMATS
from .source import Access, Template, host_of

_LOOPBACK = ("127.", "localhost", "[::1]")


@dataclass(frozen=True)
class Settings:
    """How to download.

    per_host: calls at once to one host, None for as many as `jobs`. pace_s: seconds between the starts of two calls to
    the source, None for what suits it (12 s for the site without an account: about 300 videos an hour is what it lets
    through; 2 s with cookies; half a second for another host; none on this machine). attempts: tries of a clip in one
    run. backoff_s: the first pause before another try. timeout_s: for one transfer. stop_after: first tries in a row
    that the site refuses. longest_wait_s: the longest Retry-After that is waited for. per_class: as in a plan without
    stand-ins of its own: the first N of each class are wanted, the others stand in.
    """

    template: Template = field(default_factory=Template)
    access: Access = field(default_factory=Access)
    jobs: int = 4
    per_host: int | None = None
    pace_s: float | None = None
    attempts: int = 3
    backoff_s: float = 2.0
    timeout_s: float = 60.0
    stop_after: int = 30
    longest_wait_s: float = 900.0
    retry: Sequence[str] = ()
    per_class: int | None = None
    ending: str = "flac"
    rate: int = 44100
    channels: int = 1
    ffmpeg: str | None = None

    def __post_init__(self) -> None:
        ranges = (
            ("jobs", self.jobs, 1, 64),
            ("per-host", self.per_host or 1, 1, 64),
            ("pace", self.pace_s or 0.0, 0, 3600),
            ("attempts", self.attempts, 1, 20),
            ("timeout", self.timeout_s, 0.5, 3600),
            ("stop-after", self.stop_after, 1, 1_000_000),
            ("per-class", self.per_class or 1, 1, 10_000_000),
            ("rate", self.rate, 8000, 192_000),
            ("channels", self.channels, 1, 2),
        )
        checks = [
            (low <= value <= high, f"--{name} {value}: from {low} to {high}") for name, value, low, high in ranges
        ]
        unknown = sorted(set(self.retry) - set(Cause))
        socks = (self.access.proxy or "").lower().startswith("socks")
        checks += [
            (self.ending in FORMATS, f"--format {self.ending}: one of {', '.join(FORMATS)}"),
            (not unknown, f"--retry {', '.join(unknown)}: no such cause; there are {', '.join(Cause)}"),
            (not socks, f"--proxy {self.access.proxy}: ffmpeg takes http:// proxies only"),
        ]
        require(checks, UsageError)

    def pause_s(self, host: str) -> float:
        """Return the usual pause between the starts of two calls to `host`."""
        source = host_of(self.template.text)
        if host != source:
            return 0.0
        if self.pace_s is not None:
            return self.pace_s
        if host.startswith(_LOOPBACK):
            return 0.0
        if self.template != Template():
            return 0.5
        return 2.0 if self.access.cookies or self.access.cookies_from_browser else 12.0
