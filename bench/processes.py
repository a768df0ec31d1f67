"""Memory, processor time and open files of processes and of those that they started, from Linux's /proc."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

TICK, PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Process:
    """A process that lives: used_s is its processor time with that of ended children, memory_mb is resident memory."""

    pid: int
    parent: int
    name: str
    used_s: float
    memory_mb: float


def tree(root: int) -> list[Process]:
    """Return the process `root` and all below it, in the order of their ids."""
    found = {process.pid: process for path in Path("/proc").glob("[0-9]*") if (process := _read(path))}
    below, size = {root}, 0
    while len(below) > size:
        size = len(below)
        below |= {process.pid for process in found.values() if process.parent in below}
    return [found[pid] for pid in sorted(below) if pid in found]


def children(pid: int) -> list[int]:
    """Return the ids of the living processes that a process started."""
    return [process.pid for process in tree(pid) if process.parent == pid]


def name_of(work: Any) -> str:
    """Return the name of what a build has an engine do: of the function on each file, where it is that."""
    while isinstance(work, partial):
        work = next(filter(callable, work.args), work.func)
    return str(work.__name__)


def _read(path: Path) -> Process | None:
    try:
        text = (path / "stat").read_text()
    except OSError:  # it ended
        return None
    name, _, rest = text.partition("(")[2].rpartition(")")  # a name may hold anything
    fields = rest.split()
    if fields[0] == "Z":
        return None
    used = sum(map(int, fields[11:15])) / TICK
    return Process(int(path.name), int(fields[1]), name, used, int(fields[21]) * PAGE / 2**20)


def used_s(*, without: tuple[str, ...] = ()) -> float:
    """Return the processor seconds of this process and all that it started, but for those with such names."""
    mine = tree(os.getpid())
    return sum(process.used_s for process in mine if process.pid == os.getpid() or process.name not in without)


def memory_mb(pid: int | str = "self", field: str = "VmHWM") -> float:
    """Return the largest resident memory that a process ever had, or what another field of its status says, in MB."""
    return _field_mb(Path(f"/proc/{pid}/status"), field)


def proportional_mb(pid: int) -> float:
    """Return a process's memory in MB, shared pages counted in part (PSS); 0 for one that ended."""
    try:
        return _field_mb(Path(f"/proc/{pid}/smaps_rollup"), "Pss:")
    except OSError:
        return 0.0


def _field_mb(path: Path, field: str) -> float:
    lines = path.read_text().splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(field)), 0.0)


def handles(pid: int) -> int:
    """Return the number of a process's open file descriptors."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
