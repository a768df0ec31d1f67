"""What can be set for a server, and what is refused before it starts."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import UsageError, require
from ..model import device as devices

MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A server's settings; the command's flags and environment variables carry the same names.

    model: a model folder; None: the model inside the package. device: what its network runs on (model/device.py).
    threshold: label -> number in place of the model's own (model/thresholds.py). workers:
    recordings analysed at a time, each in a process of its own. queue: recordings that may wait for one of them.
    max_upload_mb: one request's body in MiB. max_duration_s: of one recording, or of the part asked for. time_limit_s:
    for analysing one recording. memory_mb: what a worker may take beyond what it needs idle. upload_time_s: for one
    request's body to arrive. rate: recordings a minute and client address, 0 for any number. live: WebSocket sessions
    at a time. token: asked of every call but the page and /healthz. cors: other origins whose pages may call. hosts:
    further names it is reached by. proxy: believe X-Forwarded-For of the proxy in front. force: listen beyond this
    machine without a token.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    model: Path | None = None
    device: str = "cpu"
    threshold: Mapping[str, float] | None = None
    workers: int = 0
    queue: int = 32
    max_upload_mb: int = 200
    max_files: int = 20
    max_duration_s: float = 3600.0
    time_limit_s: float = 120.0
    memory_mb: int = 1024
    upload_time_s: float = 300.0
    rate: int = 120
    live: int = 4
    token: str | None = None
    cors: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    proxy: bool = False
    force: bool = False
    _cores: int = field(default_factory=lambda: len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2)

    def __post_init__(self) -> None:
        """Refuse what cannot be meant, or would open the machine to others by accident. Raises `UsageError`."""
        if not self.workers:
            object.__setattr__(self, "workers", max(1, self._cores))
        ranges = (
            ("port", self.port, 0, 65535),
            ("workers", self.workers, 1, 256),
            ("queue", self.queue, 0, 10_000),
            ("max-upload-mb", self.max_upload_mb, 1, 4096),
            ("max-files", self.max_files, 1, 1000),
            ("max-duration", self.max_duration_s, 1, 86_400),
            ("time-limit", self.time_limit_s, 1, 86_400),
            ("memory-mb", self.memory_mb, 64, 65_536),
            ("upload-time", self.upload_time_s, 1, 86_400),
            ("rate", self.rate, 0, 1_000_000),
            ("live", self.live, 0, 256),
        )
        checks = ((low <= value <= high, f"--{name} {value:g}: {low} to {high}") for name, value, low, high in ranges)
        require(checks, UsageError, "{} is possible")
        devices.check(self.device)
        if self.token is not None and (len(self.token) < 16 or not self.token.isascii() or " " in self.token):
            raise UsageError(
                "--token: give 16 or more ASCII characters without spaces; anything shorter can be guessed"
            )
        if not self.loopback and self.token is None and not self.force:
            raise UsageError(
                f"--host {self.host} can be reached from other machines: give a --token that callers must know, "
                "or --force when something in front of it asks for one"
            )

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False

    @property
    def max_upload_bytes(self) -> int:
        """One request's body, with room for what frames the file in it."""
        return self.max_upload_mb * MIB + 64 * 1024
