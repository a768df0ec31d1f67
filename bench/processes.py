"""This process and those it started, as Linux tells of them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

TICK, PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Process:
    """used_s: processor seconds, with those of its children that ended. memory_mb: resident."""

    pid: int
    parent: int
    name: str
    used_s: float
    memory_mb: float


def family() -> list[Process]:
    """Return this process and all below it."""
    found = {process.pid: process for path in Path("/proc").glob("[0-9]*") if (process := _read(path))}
    mine, size = {os.getpid()}, 0
    while len(mine) > size:
        size = len(mine)
        mine |= {process.pid for process in found.values() if process.parent in mine}
    return [found[pid] for pid in sorted(mine) if pid in found]


def _read(path: Path) -> Process | None:
    try:
        text = (path / "stat").read_text()
    except OSError:  # it ended
        return None
    name, _, rest = text.partition("(")[2].rpartition(")")  # a name may hold anything
    fields = rest.split()
    used = sum(map(int, fields[11:15])) / TICK
    return Process(int(path.name), int(fields[1]), name, used, int(fields[21]) * PAGE / 2**20)


def used_s(*, without: tuple[str, ...] = ()) -> float:
    """Processor seconds of this process and all that it started, but for those with such names."""
    return sum(process.used_s for process in family() if process.pid == os.getpid() or process.name not in without)


def memory_mb(pid: int | str = "self", field: str = "VmHWM") -> float:
    """The largest resident memory that a process ever had; VmRSS: what it has now. MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))
