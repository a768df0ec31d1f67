"""What in a recording could mislead: measured while it streams by, reported as warnings with what to do about it.

A warning never changes a score. Levels are relative to full scale (1.0 = 0 dBFS); every limit is a name below.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..taxonomy.messages import speaker, translated
from .parts import Gap

Array = NDArray[np.float32]

CLIPPED_LEVEL = 1 - 1.5 / 32768  # the last step of 16 bits and beyond
CLIPPED_RUN = 3  # samples in a row at that level; a clean peak touches it for one or two
CLIPPED_SHARE = 1e-3  # of all samples
QUIET_PEAK = 0.005  # -46 dBFS
SILENT_PEAK = 1e-5  # -100 dBFS; a recording without more counts as silent
LOW_RATE = 8_000  # Hz
SHORT_S = 1.0
CANCELLED = 0.01  # of the channels' power is left in their mean: -20 dB
CLIFF = 10**4.5  # 45 dB between what lies below and above an inner cut-off
UNDETECTED_SHARE = 0.8
ENDS = "the file ends there"  # the cause of a gap at the end of a file that was cut short
DAMAGE = ("damaged", "cut_short")  # codes of warnings about what could not be decoded
_MOST_NAMED = 5  # gaps

#: Rates that recorders, discs and codecs use. Another one was mostly typed by hand or assumed for raw samples.
_USUAL = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 37800, 44056, 44100, 47250, 48000, 50000, 50400, 64000)
_HIGH = (88200, 96000, 176400, 192000, 352800, 384000, 705600, 768000)
USUAL_RATES = frozenset((*_USUAL, *_HIGH))
_FORMER_RATES = (8000, 11025, 12000, 16000)  # a cut-off at half of these removes what distinguishes instruments
_N_FFT = 4096


@dataclass(frozen=True)
class QualityWarning:
    """One thing to know before trusting the scores. code: for scripts; message: what was seen; advice: what to do.

    Both texts are English, as data are; `within` says them in another language.
    """

    code: str
    message: str
    advice: str

    def to_dict(self) -> dict[str, str]:
        """Return the warning as the JSON line holds it."""
        return {"code": self.code, "message": self.message, "advice": self.advice}

    def within(self, lang: str) -> str:
        """Return one line for people, in a language of `whoplays.taxonomy.messages`."""
        return "; ".join(translated(text, lang, "warning") for text in (self.message, self.advice))

    def __str__(self) -> str:
        """Return one line for people, in English."""
        return self.within("en")


def _warning(key: str, **values: object) -> QualityWarning:
    """Return a warning from the catalogue; its code is the key up to a dot."""
    say = speaker("warning")
    return QualityWarning(key.partition(".")[0], say(key, **values), say(f"{key}.advice", **values))


@lru_cache(maxsize=1)
def _window() -> NDArray[np.float32]:
    """Return a window whose side lobes lie below the cliff that is looked for."""
    return np.blackman(_N_FFT).astype(np.float32)


class Meter:
    """Measures the samples as the recording has them, before they are averaged and resampled. Memory does not grow."""

    def __init__(self, sample_rate: int) -> None:
        """sample_rate: Hz. The number of channels is that of the first block."""
        self.sample_rate = sample_rate
        self.channels = 0
        self._samples = 0  # of all channels
        self._clipped = 0
        self._peak = 0.0
        self._power = np.zeros(0)  # of each channel
        self._spectrum = np.zeros(_N_FFT // 2 + 1)
        self.cancelled_s = 0.0  # in which one channel was used, because their mean holds nothing

    def measure(self, block: Array, sample_rate: int = 0, power: NDArray[Any] | None = None) -> None:
        """Take in samples (n,) or (n, channels), float32; what is not finite is left to reading.py.

        power: of each channel (`power_of`), where it is known. The spectrum is that of the rate which the recording
        begins with.
        """
        block = block.reshape(len(block), -1)
        if not len(block):
            return
        peak = max(float(block.max()), -float(block.min()))
        if not np.isfinite(peak):
            return
        width = block.shape[1]
        if width > self.channels:
            self.channels = width
            self._power = np.pad(self._power, (0, width - len(self._power)))
        self._samples += block.size
        self._peak = max(self._peak, peak)
        if peak >= CLIPPED_LEVEL:
            self._clipped += _in_runs(np.abs(block) >= CLIPPED_LEVEL)
        self._power[:width] += power_of(block) if power is None else power
        if sample_rate not in (0, self.sample_rate):
            return
        if len(block) >= _N_FFT:
            first = (len(block) - _N_FFT) // 2
            middle = mean_of_channels(block[first : first + _N_FFT])
            spectrum = np.fft.rfft(middle * _window())
            self._spectrum += spectrum.real**2 + spectrum.imag**2  # the square of abs() in a third of its time

    def warnings(self, duration: float) -> list[QualityWarning]:
        """Return what was found in `duration` seconds, the gravest first."""
        found, rate = [], self.sample_rate
        if self._peak < SILENT_PEAK:
            found.append(_warning("silent"))
        elif self._peak < QUIET_PEAK:
            found.append(_warning("quiet", level=f"{20 * np.log10(self._peak):.0f}"))
        if (share := self._clipped / max(self._samples, 1)) >= CLIPPED_SHARE:
            found.append(_warning("clipped", share=f"{share:.1%}"))
        found += [warning] if (warning := self._layout()) else []
        if rate < LOW_RATE:
            found.append(_warning("low_rate", rate=rate, top=rate // 2, least=LOW_RATE))
        elif rate not in USUAL_RATES:
            found.append(_warning("sample_rate.odd", rate=rate))
        found += [warning] if (warning := self._inner_cut_off()) else []
        if duration < SHORT_S:
            found.append(_warning("short", length=f"{duration:.2f}", least=f"{SHORT_S:g}"))
        return found

    def _layout(self) -> QualityWarning | None:
        if self.channels < 2 or self._peak < SILENT_PEAK:
            return None
        power = self._power
        if self.cancelled_s:
            return _warning("channels.cancel", channels=self.channels, length=f"{self.cancelled_s:.1f}")
        silent = int((power < 1e-8 * power.max()).sum())
        if silent:
            return _warning("channels.silent", silent=silent, channels=self.channels)
        if self.channels > 2:
            return _warning("channels.many", channels=self.channels)
        return None

    def _inner_cut_off(self) -> QualityWarning | None:
        for former in _FORMER_RATES:
            edge = former / 2
            edge_bin = edge * _N_FFT / self.sample_rate
            if former > 0.75 * self.sample_rate or not self._spectrum.any():
                break
            below = self._spectrum[int(0.8 * edge_bin) + 1 : math.ceil(0.93 * edge_bin)].mean()
            above = self._spectrum[int(1.1 * edge_bin) + 1 :].mean()
            if below > CLIFF * above:
                return _warning("sample_rate.cut", edge=f"{edge / 1000:g}", rate=self.sample_rate, former=former)
        return None


def power_of(block: NDArray[Any]) -> NDArray[Any]:
    """Return the sum of squares of each channel of samples (n, channels)."""
    return np.array([np.dot(channel, channel) for channel in block.T])


def cancels(power: NDArray[Any], mean: NDArray[Any]) -> bool:
    """Tell whether channels cancel each other in their mean (n,). power: of each of them (channels,)."""
    return float(np.dot(mean, mean)) < CANCELLED * float(power.mean())


def mean_of_channels(block: NDArray[Any]) -> NDArray[Any]:
    """Return the mean (n,) of samples (n, channels): channel by channel, ten times faster than NumPy's mean of each row."""
    total = block[:, 0]
    if block.shape[1] > 1:
        total = total + block[:, 1]
        for channel in range(2, block.shape[1]):
            total += block[:, channel]
        total /= block.shape[1]
    return total


def about_gaps(gaps: Sequence[Gap]) -> list[QualityWarning]:
    """Return a warning for what could not be decoded."""
    if not gaps:
        return []
    return [_warning("cut_short" if len(gaps) == 1 and gaps[0].cause == ENDS else "damaged", **_missing(gaps))]


def gap_text(gaps: Sequence[Gap]) -> str:
    """Return which seconds are missing, and why."""
    return speaker("warning")("damaged", **_missing(gaps))


def _missing(gaps: Sequence[Gap]) -> dict[str, str]:
    say = speaker("gap")
    spans = [
        say("from", start=f"{gap.start:.2f}")
        if gap.end is None
        else say("between", start=f"{gap.start:.2f}", end=f"{gap.end:.2f}")
        for gap in gaps[:_MOST_NAMED]
    ]
    if len(gaps) > _MOST_NAMED:
        spans[-1] = say("more", span=spans[-1], count=len(gaps) - _MOST_NAMED)
    return {"spans": ", ".join(spans), "cause": gaps[0].cause}


def about_tracks(track: int, tracks: int) -> list[QualityWarning]:
    """Return a warning where a file has more tracks with sound than the one that was used."""
    if tracks < 2:
        return []
    return [_warning("tracks", tracks=tracks, track=track)]


def is_silent(warnings: Iterable[QualityWarning]) -> bool:
    """Return whether warnings say that a recording is silent: then warnings about its scores mean nothing."""
    return any(warning.code == "silent" for warning in warnings)


def about_answer(
    playing: Sequence[str], intervals: Sequence[tuple[float, float]], duration: float
) -> list[QualityWarning]:
    """Return warnings from what the model detected: nothing, or something in a small part of the time.

    intervals: (start, end) seconds in which any family plays. A model of instruments can only tell that none of them
    is there; whether it is speech, noise or a flute it cannot.
    """
    if not playing:
        return [_warning("nothing_detected")]
    undetected = 1 - _covered(intervals) / max(duration, 1e-9)
    if undetected <= UNDETECTED_SHARE or duration < SHORT_S:
        return []
    return [_warning("mostly_undetected", share=f"{undetected:.0%}")]


def _covered(intervals: Sequence[tuple[float, float]]) -> float:
    covered, reached = 0.0, float("-inf")
    for start, end in sorted(intervals):
        covered += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return covered


def _in_runs(flat: NDArray[np.bool_]) -> int:
    """Return how many of flat (n, channels) stand in runs of `CLIPPED_RUN` or more along a channel."""
    edges = np.diff(np.pad(flat, ((1, 1), (0, 0))).astype(np.int8), axis=0)
    starts, ends = np.nonzero(edges.T == 1)[1], np.nonzero(edges.T == -1)[1]
    lengths = ends - starts
    return int(lengths[lengths >= CLIPPED_RUN].sum())
