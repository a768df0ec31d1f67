"""Any file or stream -> mono float32 at one rate, block by block, measured on the way. Defines what valid audio is.

The way of the samples: `containers.py` finds the streams a file is made of, `libsndfile.py` or `ffmpeg.py` decodes them
at the times of the container, here channels become one, and rates the requested one (soxr, streaming), while `quality.py`
measures. No recording is ever held whole.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import IO, Any, Protocol, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from ..errors import AudioError, NotFiniteError
from ..runtime.packages import needed
from . import quality
from .clock import Array, Block
from .opening import MAX_CHANNELS, Source, check_format, open_audio
from .parts import Gap
from .reader import MAX_LEVEL, AudioInfo, Reader


class Excerpt(TypedDict, total=False):
    """Which part of a recording is read, and how.

    start: seconds from its beginning. duration: seconds, None: to its end. track: of several with sound, from 1; None: the
    default one. strict: whether damage is an error.
    """

    start: float
    duration: float | None
    track: int | None
    strict: bool


class Sound(Protocol):
    """What can be predicted from: mono blocks at the requested rate, and after them warnings."""

    sample_rate: int

    def blocks(self) -> Iterator[Array]:
        """Yield mono blocks (n,). Raises `AudioError`."""

    def warnings(self, duration: float) -> list[quality.QualityWarning]:
        """Return what was noticed in `duration` seconds."""


class Recording:
    """A recording that is being read: mixed to one channel, brought to one rate, measured. Read `blocks` once."""

    def __init__(self, reader: Reader, sample_rate: int, part: Excerpt, *, measured: bool = True) -> None:
        """Prepare to read. reader: open; stays its owner's to close. sample_rate: of the blocks to give, in Hz.

        part: what to read of the reader's track. measured: whether to measure for `warnings`.
        """
        self.sample_rate = reader.info.sample_rate
        self._reader, self._to_rate = reader, sample_rate
        self._start, self._duration = part.get("start", 0.0), part.get("duration")
        self._strict = part.get("strict", False)
        self._meter = quality.Meter(self.sample_rate) if measured else None
        self._decoded_s = 0.0

    def blocks(self) -> Iterator[Array]:
        """Yield mono blocks (n,) at the requested rate. Raises `AudioError`; blocks before that point have been yielded."""
        return _at_rate(self._mono(), self._to_rate)

    def warnings(self, duration: float) -> list[quality.QualityWarning]:
        """Return what could mislead in what was read, `duration` seconds."""
        info = self._reader.info
        found = self._meter.warnings(duration) if self._meter else []
        return [*quality.about_gaps(self._gaps()), *quality.about_tracks(info.track, info.tracks), *found]

    @property
    def channels_cancel(self) -> bool:
        """Whether, in what was read, channels cancel each other in their mean, so that one was used alone."""
        return self._meter is not None and self._meter.cancelled_s > 0

    def _gaps(self) -> list[Gap]:
        end = None if self._duration is None else self._start + self._duration
        return [gap for gap in self._reader.gaps if end is None or gap.start < end]

    def _mono(self) -> Iterator[tuple[Array, int]]:
        mix, left = Downmix(), self._duration
        for block, rate in self._reader.blocks(start=self._start):
            self._check_damage()
            check_format(rate, block.shape[1] if block.ndim == 2 else 1)
            if left is not None:
                block = block[: round(left * rate)]
                left -= len(block) / rate
            samples = mix(block, rate, self._meter)
            self._decoded_s += len(block) / rate
            yield samples, rate
            if left is not None and round(left * rate) <= 0:
                break
        self._check_damage()
        gaps = self._gaps()
        if gaps and self._decoded_s <= sum(
            min(gap.end or gap.start, self._start + self._decoded_s) - gap.start for gap in gaps
        ):
            at = max(self._start, gaps[0].start)
            raise AudioError(f"cannot be decoded past {at:.1f} s ({gaps[0].cause}); it is damaged or cut short")

    def _check_damage(self) -> None:
        if self._strict and (gaps := self._gaps()):
            raise AudioError(f"is damaged: {quality.gap_text(gaps)}; without strict reading the rest of it can be used")


@contextlib.contextmanager
def open_recording(
    source: Source, *, sample_rate: int, measured: bool = True, **part: Unpack[Excerpt]
) -> Iterator[Recording]:
    """Open a recording to read it; see `open_audio` and `Recording`. Raises `AudioError`."""
    with open_audio(source, track=part.get("track")) as reader:
        yield Recording(reader, sample_rate, part, measured=measured)


class _Given(Reader):
    """Samples that somebody has already."""

    def __init__(self, blocks: Iterable[NDArray[Any]], sample_rate: int) -> None:
        self._blocks = blocks
        self.gaps = []
        self.info = AudioInfo(None, sample_rate, 1, "")

    def blocks(self, *, start: float = 0.0) -> Iterator[Block]:
        for block in self._blocks:
            yield np.asarray(block), self.info.sample_rate


def from_blocks(blocks: Iterable[NDArray[Any]], from_rate: int, *, sample_rate: int) -> Recording:
    """Return blocks of samples (n,) or (n, channels) at `from_rate` Hz as a recording that is read as they come."""
    return Recording(_Given(blocks, from_rate), sample_rate, {})


def from_samples(
    samples: NDArray[Any], from_rate: int, *, sample_rate: int, start: float = 0.0, duration: float | None = None
) -> Recording:
    """Return samples (n,) or (n, channels) at `from_rate` Hz as a recording, cut into blocks as a file's are."""
    samples = floats(samples)
    first = round(start * from_rate)
    last = len(samples) if duration is None else first + round(duration * from_rate)
    part = samples[first:last]
    blocks = (part[at : at + from_rate] for at in range(0, len(part), from_rate))
    return from_blocks(blocks, from_rate, sample_rate=sample_rate)


def floats(block: NDArray[Any]) -> Array:
    """Return samples (n,) or (n, channels) as float32 from -1 to 1. Raises `AudioError` for what are no samples."""
    block = np.asarray(block)
    if block.ndim not in (1, 2) or (block.ndim == 2 and not 1 <= block.shape[1] <= MAX_CHANNELS):
        raise AudioError(
            f"samples have shape {block.shape}; (n,) or (n, channels) with 1 to {MAX_CHANNELS} channels is needed"
        )
    if block.dtype.kind == "i":
        return block.astype(np.float32) / np.float32(-float(np.iinfo(block.dtype).min))
    if block.dtype.kind != "f":
        raise AudioError(f"samples are of type {block.dtype}; floating-point numbers from -1 to 1 are needed")
    return block.astype(np.float32, copy=False)


class Downmix:
    """Brings blocks of one recording to one channel: their mean, or a single channel where they cancel each other."""

    def __init__(self) -> None:
        """Begin a recording."""
        self._channel: int | None = None  # the one used last: changing it would invert the sound

    def __call__(self, block: NDArray[Any], rate: int = 0, meter: quality.Meter | None = None) -> Array:
        """Return samples (n, channels) or (n,) as one channel (n,), measured on the way. Raises `AudioError`."""
        block = floats(block)
        several = block.ndim == 2 and block.shape[1] > 1
        power = quality.power_of(block) if several else None
        if meter:
            meter.measure(block, rate, power)
        samples = quality.mean_of_channels(block) if block.ndim == 2 else block
        samples = np.ascontiguousarray(samples, dtype=np.float32)
        if samples.size:
            peak = max(float(samples.max()), -float(samples.min()))
            if not np.isfinite(peak):  # NaN as well: the maximum is NaN then
                raise NotFiniteError("holds NaN or infinite samples; write the recording anew")
            if peak > MAX_LEVEL:
                raise AudioError(
                    f"has samples as large as {peak:.3g}; full scale is 1 (are they integers stored as floating point?)"
                )
        if power is not None and quality.cancels(power, samples):
            if meter:
                meter.cancelled_s += len(block) / rate
            kept = self._channel
            if kept is None or kept >= len(power) or power[kept] < 0.1 * power.max():
                self._channel = kept = int((power > 0.5 * power.max()).argmax())
            return np.ascontiguousarray(block[:, kept])
        return samples


def mono(block: NDArray[Any]) -> Array:
    """Return one channel (n,) for samples (n,) or (n, channels): see `Downmix`. Integers are scaled to -1 .. 1.

    Raises `AudioError` for another shape, for NaN or infinity, and for levels that no floating-point audio has.
    """
    return Downmix()(block)


def stream(source: Source, *, sample_rate: int, **part: Unpack[Excerpt]) -> Iterator[Array]:
    """Yield a recording as mono blocks (n,) at `sample_rate`.

    Raises `AudioError` when it cannot be read or holds what no audio holds; blocks before that point have been yielded.
    """
    with open_recording(source, sample_rate=sample_rate, measured=False, **part) as recording:
        yield from recording.blocks()


def resampled(blocks: Iterable[Array], from_rate: int, to_rate: int) -> Iterator[Array]:
    """Yield mono blocks at `to_rate` for blocks at `from_rate` (soxr, high quality, streaming)."""
    return _at_rate(((block, from_rate) for block in blocks), to_rate)


def _at_rate(blocks: Iterable[tuple[Array, int]], to_rate: int) -> Iterator[Array]:
    """Yield mono blocks at `to_rate`; where their rate changes, what comes is resampled for itself."""
    for rate, part in groupby(blocks, key=itemgetter(1)):
        if rate == to_rate:
            yield from (block for block, _ in part)
            continue
        with needed("resampling"):
            import soxr
        resampler = soxr.ResampleStream(rate, to_rate, 1, dtype="float32", quality="HQ")
        for block, _ in part:
            if len(out := resampler.resample_chunk(block)):
                yield out
        if len(out := resampler.resample_chunk(np.zeros(0, dtype=np.float32), last=True)):
            yield out


def load(
    source: Source, *, sample_rate: int, damage: list[quality.QualityWarning] | None = None, **part: Unpack[Excerpt]
) -> Array:
    """Return the whole recording, or a part of it, as mono float32 (n,) at `sample_rate`. Raises `AudioError`.

    damage: gets the warnings about what could not be decoded.
    """
    with open_recording(source, sample_rate=sample_rate, measured=False, **part) as recording:
        return whole(recording, damage)


def whole(sound: Sound, damage: list[quality.QualityWarning] | None = None) -> Array:
    """Return all of a sound (n,); add to `damage` the warnings about what could not be decoded. Raises `AudioError`."""
    blocks = list(sound.blocks())
    samples = np.concatenate(blocks) if blocks else np.zeros(0, dtype=np.float32)
    if damage is not None:
        found = sound.warnings(len(samples) / sound.sample_rate)
        damage += [warning for warning in found if warning.code in quality.DAMAGE]
    return samples


def is_silent(samples: Array) -> bool:
    """Tell whether nothing in samples (n,) rises above -100 dBFS."""
    return not samples.size or float(np.abs(samples).max()) < quality.SILENT_PEAK


def spool_standard_input(limit_bytes: int = 8 << 30) -> IO[bytes]:
    """Return standard input as a file that can seek (in memory while small, then on disk). Raises `AudioError` if empty."""
    import tempfile

    spool = tempfile.SpooledTemporaryFile(max_size=64 << 20)  # noqa: SIM115 - the caller closes it
    size = 0
    if sys.stdin is None:
        raise AudioError("standard input is closed")
    while chunk := sys.stdin.buffer.read(1 << 20):
        size += len(chunk)
        if size > limit_bytes:
            raise AudioError(f"standard input is longer than {limit_bytes >> 30} GiB; save it to a file first")
        spool.write(chunk)
    if not size:
        raise AudioError("standard input is empty (0 bytes)")
    spool.seek(0)
    return spool
