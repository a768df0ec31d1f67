"""Counters for Prometheus, in its text format 0.0.4."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping

HELP = {
    "whoplays_requests_total": "Requests answered, by route and status.",
    "whoplays_recordings_total": "Recordings analysed.",
    "whoplays_audio_seconds_total": "Seconds of sound analysed.",
    "whoplays_turned_away_total": "Requests turned away, by reason.",
    "whoplays_workers_replaced_total": "Workers that died or were killed, by reason.",
    "whoplays_live_seconds_total": "Seconds of live sound analysed.",
    "whoplays_prediction_seconds": "Seconds from a recording's arrival to its scores.",
    "whoplays_working_seconds": "Seconds that a worker was busy with a recording.",
}
BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, math.inf)

Key = tuple[tuple[str, str], ...]


class Metrics:
    """What was counted since the start. For one event loop."""

    def __init__(self) -> None:
        """Begin at nought."""
        self._counts: dict[str, dict[Key, float]] = defaultdict(lambda: defaultdict(float))
        self._times: dict[str, list[int]] = defaultdict(lambda: [0] * len(BUCKETS))
        self._sums: dict[str, float] = defaultdict(float)

    def count(self, name: str, by: float = 1, **labels: str) -> None:
        """Add to a counter."""
        self._counts[name][tuple(sorted(labels.items()))] += by

    def time(self, name: str, seconds: float) -> None:
        """Add to a histogram."""
        self._sums[name] += seconds
        for i, most in enumerate(BUCKETS):
            self._times[name][i] += seconds <= most

    def mean(self, name: str) -> float | None:
        """Return a histogram's mean, None before its first value."""
        return self._sums[name] / self._times[name][-1] if name in self._times else None

    def text(self, gauges: Mapping[str, tuple[str, float]]) -> str:
        """Return all of it; gauges: name -> (help, value now)."""
        lines: list[str] = []
        for name, values in sorted(self._counts.items()):
            lines += [f"# HELP {name} {HELP[name]}", f"# TYPE {name} counter"]
            lines += [f"{name}{_labels(key)} {_number(value)}" for key, value in sorted(values.items())]
        for name, buckets in sorted(self._times.items()):
            lines += [f"# HELP {name} {HELP[name]}", f"# TYPE {name} histogram"]
            lines += [f'{name}_bucket{{le="{_number(b)}"}} {n}' for b, n in zip(BUCKETS, buckets, strict=True)]
            lines += [f"{name}_sum {_number(self._sums[name])}", f"{name}_count {buckets[-1]}"]
        for name, (help_text, value) in gauges.items():
            lines += [f"# HELP {name} {help_text}", f"# TYPE {name} gauge", f"{name} {_number(value)}"]
        return "\n".join(lines) + "\n"


def _labels(key: Key) -> str:
    escaped = ((name, value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")) for name, value in key)
    inside = ",".join(f'{name}="{value}"' for name, value in escaped)
    return f"{{{inside}}}" if inside else ""


def _number(value: float) -> str:
    return "+Inf" if value == math.inf else f"{value:.10g}"
