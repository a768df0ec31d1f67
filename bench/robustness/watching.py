"""Memory and open handles of processes while they work, and the slope of that: is it flat?"""

from __future__ import annotations

import json
import statistics
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bench import measure
from bench.processes import handles, memory_mb

NAME = "long_runs"


@dataclass(frozen=True)
class Sample:
    """What some processes held when so much was done."""

    done: float
    memory: float
    handles: int


class Watch:
    """Looks at processes every few seconds. roles: name -> the processes of that role now; done: how much is done."""

    def __init__(
        self, roles: Mapping[str, Callable[[], Iterable[int]]], done: Callable[[], float], every_s: float = 2
    ) -> None:
        self.found: dict[str, list[Sample]] = {role: [] for role in roles}
        self._roles, self._done, self._every = roles, done, every_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go, daemon=True)
        self.begun = time.monotonic()

    def _go(self) -> None:
        while not self._over.wait(self._every):
            self.look()

    def look(self) -> None:
        done = self._done()
        for role, pids in self._roles.items():
            try:
                held = [(memory_mb(pid, "VmRSS"), handles(pid)) for pid in pids()]
            except OSError:  # one ended between the two looks
                continue
            if held:
                self.found[role].append(Sample(done, sum(m for m, _ in held), sum(h for _, h in held)))

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._over.set()
        self._thread.join()

    def rows(self, run: str, per: float, unit: str) -> list[dict[str, Any]]:
        """A row a role; the slope (least squares) is of the samples after the first tenth, which warms up."""
        minutes = (time.monotonic() - self.begun) / 60
        return [_row(run, role, samples, per, unit, minutes) for role, samples in self.found.items() if samples]


def _row(run: str, role: str, samples: list[Sample], per: float, unit: str, minutes: float) -> dict[str, Any]:
    first, last = samples[0].done, samples[-1].done
    warm = [s for s in samples if s.done >= first + (last - first) / 10]
    slope = 0.0
    if len({s.done for s in warm}) > 1:
        slope = statistics.linear_regression([s.done for s in warm], [s.memory for s in warm]).slope
    return {
        "run": run,
        "process": role,
        "minutes": round(minutes, 1),
        "memory after a tenth, MB": round(warm[0].memory, 1),
        "memory at the end, MB": round(warm[-1].memory, 1),
        "most, MB": round(max(s.memory for s in samples), 1),
        "slope": f"{slope * per:+.2f} MB per {per:,.0f} {unit}",
        "handles after a tenth": warm[0].handles,
        "handles at the end": warm[-1].handles,
    }


def keep(run: str, rows: list[dict[str, Any]], outcome: str) -> None:
    """Keep the rows of one long run beside those of the others. outcome: what was checked, with the result."""
    path = measure.FOLDER / f"{NAME}.json"
    before = json.loads(path.read_text()) if path.exists() else {"rows": [], "outcomes": {}}
    outcomes = {**before["outcomes"], run: outcome}
    others = [row for row in before["rows"] if row["run"] != run]
    measure.keep(
        NAME,
        "Long runs",
        [*others, *rows],
        peer="none",
        packages=("onnxruntime", "soundfile", "av", "soxr", "uvicorn"),
        remarks="\n\n".join(f"{name}: {text}" for name, text in outcomes.items()),
    )
    kept = json.loads(path.read_text())
    path.write_text(json.dumps({**kept, "outcomes": outcomes}, indent=2) + "\n")
