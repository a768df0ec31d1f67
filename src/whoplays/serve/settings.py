"""What can be set for a server, and what is refused before it starts."""

from __future__ import annotations

import hmac
import ipaddress
import os
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..model import device as devices


def _flag(group: str, default: Any, about: str, metavar: str | None = None, *, name: str = "") -> Any:
    """Return a field that a flag of the command sets. group: its title in the help; name: of the flag, if not the field's."""
    return field(default=default, metadata={"group": group, "help": about, "metavar": metavar, "name": name})


def _number(group: str, default: float, low: int, high: int, about: str, metavar: str = "N") -> Any:
    """Return a field for a number from `low` to `high`, and its flag."""
    return field(default=default, metadata={"group": group, "help": about, "metavar": metavar, "limits": (low, high)})


def flag(one: Field[Any]) -> str:
    """Return the flag that sets a field."""
    return "--" + (one.metadata.get("name") or one.name.removesuffix("_s").replace("_", "-"))


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A server's settings; the command's flags and environment variables carry the same names.

    model: a model folder; None: the model inside the package. device: what its network runs on (model/device.py).
    threshold: label -> number in place of the model's own (model/thresholds.py). jobs:
    recordings analysed at a time, each in a process of its own. queue: recordings that may wait for one of them.
    max_upload_mb: one request's body in MiB. max_duration_s: of one recording, or of the requested part. time_limit_s:
    for analysing one recording. memory_mb: what a worker may take beyond what it needs idle. upload_time_s: for one
    request's body to arrive. rate: recordings a minute and client address, 0 for any number. live: WebSocket sessions
    at a time. token: required of every call but the page and /healthz. cors: other origins whose pages may call. hosts:
    further names it is reached by. proxy: believe X-Forwarded-For of the proxy in front. force: listen beyond this
    machine without a token.
    """

    host: str = _flag("Address", "127.0.0.1", "Address to listen at; others need --token", "HOST")
    port: int = _number("Address", 8000, 0, 65535, "Port; 0 for a free one")
    model: Path | None = None
    device: str = "cpu"
    threshold: Mapping[str, float] | None = None
    jobs: int = _number("Limits", 0, 1, 256, "Recordings in parallel; 0 for one per core")
    queue: int = _number("Limits", 32, 0, 10_000, "Recordings that may wait; then 503")
    max_upload_mb: int = _number("Limits", 200, 1, 4096, "Largest upload in MiB", "MIB")
    max_files: int = _number("Limits", 20, 1, 1000, "Maximum number of files in a batch")
    max_duration_s: float = _number("Limits", 3600.0, 1, 86_400, "Longest recording in seconds", "S")
    time_limit_s: float = _number("Limits", 120.0, 1, 86_400, "Seconds of work on one recording", "S")
    memory_mb: int = _number("Limits", 1024, 64, 65_536, "Memory for one recording in MiB", "MIB")
    upload_time_s: float = _number("Limits", 300.0, 1, 86_400, "Seconds for one upload", "S")
    rate: int = _number("Limits", 120, 0, 1_000_000, "Recordings a minute and address; 0: any")
    live: int = _number("Limits", 4, 0, 256, "Live sessions in parallel")
    token: str | None = _flag("Access", None, "Token that callers must send", "TOKEN")
    cors: tuple[str, ...] = _flag("Access", (), "Another origin whose pages may call; repeatable", "ORIGIN")
    hosts: tuple[str, ...] = _flag("Access", (), "Another name of this server; repeatable", "NAME", name="host-name")
    proxy: bool = _flag("Access", False, "Trust X-Forwarded-For of a proxy in front")
    force: bool = _flag("Access", False, "Listen beyond this machine without a token")

    def __post_init__(self) -> None:
        """Refuse what cannot be meant, or would open the machine to others by accident. Raises `UsageError`."""
        if not self.jobs:
            cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2
            object.__setattr__(self, "jobs", cores)
        for one in fields(self):
            value, limits = getattr(self, one.name), one.metadata.get("limits")
            if limits and not limits[0] <= value <= limits[1]:
                raise UsageError(f"{flag(one)} {value:g}: {limits[0]} to {limits[1]} is possible")
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

    def knows(self, token: str) -> bool:
        """Whether this is the token (compared in constant time), or none is required."""
        return self.token is None or hmac.compare_digest(token.encode(), self.token.encode())

    @property
    def max_upload_bytes(self) -> int:
        """One request's body, with room for what frames the file in it."""
        return (self.max_upload_mb << 20) + 64 * 1024


#: The fields that flags of the command set, made of them; the others' flags are those of other commands too.
FLAGS = [one for one in fields(Settings) if "group" in one.metadata]
