"""Limits that a process gives itself for good, so that a hostile file which it reads can hurt nothing but it."""

from __future__ import annotations

import os
import signal
from pathlib import Path


def confine(memory: int, *, processor_s: int | None = None, writes: bool = False, opens: bool = True) -> None:
    """Lower the limits of this process; nothing where the system has none (Windows). Core files are never written.

    Parameters
    ----------
    memory : int
        Bytes of address space beyond what it holds now, so call this once all is imported.
    processor_s : int, optional
        Seconds of the processor; the system ends a process that takes more.
    writes : bool
        Whether it may still write files.
    opens : bool
        Whether it may still open files. Otherwise it can have one more at a time, which another process has to pass.
    """
    if not available():
        return
    import resource

    limits = {resource.RLIMIT_CORE: 0}
    if held := address_space():
        limits[resource.RLIMIT_AS] = held + memory
    if processor_s is not None:
        limits[resource.RLIMIT_CPU] = processor_s
    if not writes:
        limits[resource.RLIMIT_FSIZE] = 0
    if not opens:
        free = os.open(os.devnull, os.O_RDONLY)
        os.close(free)
        limits[resource.RLIMIT_NOFILE] = free + 1
    for limit, most in limits.items():
        allowed = resource.getrlimit(limit)[1]
        most = most if allowed == resource.RLIM_INFINITY else min(most, allowed)
        resource.setrlimit(limit, (most, most))


def unlimited() -> str:
    """Return a line for people about what this system cannot limit; "" where it can limit all."""
    lacking = "" if address_space() else "limit of memory"  # macOS
    if not available():
        lacking = "limits of memory and time"
    message = f"this system has no {lacking} for a process; use files of strangers on Linux or in the container"
    return message if lacking else ""


def available() -> bool:
    """Tell whether this system has limits that a process can give itself: not Windows."""
    try:
        import resource  # noqa: F401
    except ImportError:
        return False
    return True


def address_space() -> int:
    """Return the bytes of address space that this process holds; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def how_ended(status: int) -> str:
    """Return how a process ended, for people: by which signal, which exception of Windows, or its exit status."""
    if status < 0:
        try:
            return signal.Signals(-status).name
        except ValueError:
            return f"signal {-status}"
    return f"exception {status:#x}" if status > 0xFF else f"exit status {status}"
