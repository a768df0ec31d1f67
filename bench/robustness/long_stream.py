"""48 hours of sound as a stream, through `listen`: memory, handles, finite scores, and times that are right to the end.

python -m bench long_stream [--hours 48] [--minutes 600]

Ten minutes of made-up music and rests, as 16-bit samples at 48 kHz, repeat, faster than real time. So the
results of each ten minutes must equal those of the ten before, 600 s later: any drift shows. After --minutes the source ends.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

import whoplays
from bench.robustness import watching
from whoplays.examples import synth
from whoplays.inference.live import Live, Source, listen

RUN = "listen, a stream"
RATE = 48_000
PATTERN_S = 600
#: what plays, from, for: seconds
MUSIC = (("guitar", 20, 25), ("drums", 95, 40), ("strings", 203, 33), ("guitar", 311.5, 50), ("drums", 455, 61.25))


def pattern() -> NDArray[np.int16]:
    found = np.zeros(PATTERN_S * RATE, dtype=np.int16)
    for i, (family, start, seconds) in enumerate(MUSIC):
        samples = synth.recording([family], duration_s=seconds, seed=i, sample_rate=RATE)
        at = round(start * RATE)
        found[at : at + len(samples)] = np.clip(samples * 32767, -32767, 32767)
    return found


class Stream(Source):
    """The pattern, in blocks of a second."""

    sample_rate = RATE

    def __init__(self, seconds: int, ends: float) -> None:
        self.seconds, self.ends, self.given = seconds, ends, 0
        self._pattern = pattern()

    def blocks(self) -> Iterator[NDArray[Any]]:
        while self.given < self.seconds and (time.monotonic() < self.ends or self.given % PATTERN_S):
            at = self.given % PATTERN_S * RATE
            self.given += 1
            yield self._pattern[at : at + RATE]

    def close(self) -> None:
        self.ends = 0.0


def summary(prediction: whoplays.Prediction, live: list[Live], given: int) -> str:
    """Sum up the result: times and scores of each ten minutes against those of the second ten."""
    repeats = given // PATTERN_S
    steps = len(prediction.frame_scores) // repeats
    scores = prediction.frame_scores[: repeats * steps].reshape(repeats, steps, -1)
    times = prediction.frame_times[: repeats * steps].reshape(repeats, steps)
    wanted = times[0] + PATTERN_S * np.arange(repeats)[:, None]
    inner = slice(1, repeats - 1)  # the first begins in silence that is longer, the last ends
    scores_off = float(np.abs(scores[inner] - scores[1]).max())
    times_off = float(np.abs(times - wanted).max())
    by_repeat: dict[int, list[tuple[str, float, float]]] = {}
    for segment in prediction.segments:
        number = int(segment.start // PATTERN_S)
        by_repeat.setdefault(number, []).append(
            (segment.label, segment.start - number * PATTERN_S, segment.end - number * PATTERN_S)
        )
    shift = 0.0
    other = 0
    for number in range(1, repeats - 1):
        one, two = by_repeat.get(1, []), by_repeat.get(number, [])
        other += [name for name, *_ in one] != [name for name, *_ in two]
        shift = max(
            [shift, *(abs(a - b) for s, t in zip(one, two, strict=False) for a, b in zip(s[1:], t[1:], strict=True))]
        )
    finite = bool(
        np.isfinite(prediction.frame_scores).all() and all(np.isfinite(list(one.scores.values())).all() for one in live)
    )
    return (
        f"{prediction.duration / 3600:.3f} of {given / 3600:.3f} hours analysed; "
        f"all {len(prediction.frame_scores):,} scores over time and {len(live):,} live ones "
        f"{'finite' if finite else 'NOT FINITE'}; each ten minutes against the second ten: scores "
        f"differ by {scores_off:.1e} at most, the times of scores by {times_off:.1e} s, starts and ends of "
        f"{len(prediction.segments):,} segments by {shift:.2f} s, {other} times other segments."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=48)
    parser.add_argument("--minutes", type=float, default=600)
    args = parser.parse_args()
    recogniser = whoplays.load()
    source = Stream(round(args.hours * 3600), time.monotonic() + 60 * args.minutes)
    live: list[Live] = []
    roles = {"the listener": lambda: [os.getpid()]}
    with watching.Watch(roles, lambda: source.given / 3600, every_s=2) as watch:
        prediction = listen(recogniser, source, show=live.append, step_s=10)
        watch.look()
    watching.keep(RUN, watch.rows(RUN, 1, "hour"), summary(prediction, live, source.given))
