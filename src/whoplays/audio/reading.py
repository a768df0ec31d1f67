"""Any file or stream -> mono float32 at one rate, block by block. The one place that says what valid audio is.

libsndfile reads first (WAV, RF64, FLAC, Ogg, Opus, MP3, AIFF ...); what it cannot, FFmpeg through PyAV does (M4A, AAC,
WMA, the sound of a video). Channels are averaged. Resampling is soxr's, streaming, so no recording is ever held whole.
"""

from __future__ import annotations

import contextlib
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import AudioError, ReadError
from ..storage.address import Address, Place
from . import riff
from .watchedfile import WatchedFile

Array = NDArray[np.float32]

MIN_RATE, MAX_RATE = 1_000, 768_000  # Hz
MAX_CHANNELS = 64
MAX_LEVEL = 1_000.0  # full scale is 1; beyond this the numbers are not floating-point audio
SILENCE = 1e-5  # peak (-100 dBFS) below which a recording counts as silent
BLOCK_S = 1.0  # seconds decoded at a time

#: Names taken for recordings when a folder is searched.
EXTENSIONS = frozenset(
    f".{name}"
    for names in (
        "wav wave rf64 w64 flac ogg oga opus mp3 mp2 mpc aif aiff aifc au snd caf",
        "m4a m4b aac ac3 wma wv ape tta amr mka",
        "mp4 m4v mov mkv webm avi 3gp ts mpg mpeg flv wmv",
    )
    for name in names.split()
)


@dataclass(frozen=True)
class AudioInfo:
    """What a recording's header says. duration: seconds, None where the format does not tell before decoding."""

    duration: float | None
    sample_rate: int
    channels: int
    format: str


class Reader(ABC):
    """An open recording: its `info`, and `blocks()` of float32 samples (n, channels)."""

    info: AudioInfo
    #: what its decoder raises for damaged data
    damage: tuple[type[BaseException], ...] = (RuntimeError, ValueError, OSError)

    @abstractmethod
    def blocks(self, *, start: float = 0.0) -> Iterator[Array]:
        """Yield decoded blocks (n, channels), from `start` seconds on."""

    @abstractmethod
    def close(self) -> None:
        """Release the file."""


class _SoundFileReader(Reader):
    def __init__(self, source: Any) -> None:
        import soundfile

        self.damage = (soundfile.LibsndfileError, *Reader.damage)
        self._opened = contextlib.ExitStack()
        self._watched: WatchedFile | None = None
        try:
            self._watched = _watched(source, self._opened)
            self._file = soundfile.SoundFile(_openable(source) if self._watched is None else self._watched)
            self._opened.callback(self._file.close)
            self._check_disk()
        except BaseException:
            self._opened.close()
            self._check_disk()
            raise
        frames = self._file.frames
        rate = self._file.samplerate
        known = 0 <= frames < 2**62
        self.info = AudioInfo(frames / rate if known else None, rate, self._file.channels, self._file.format)

    def blocks(self, *, start: float = 0.0) -> Iterator[Array]:
        size = max(1, round(BLOCK_S * self.info.sample_rate))
        try:
            if start > 0:
                self._file.seek(min(round(start * self.info.sample_rate), self._file.frames))
            while len(block := self._file.read(size, dtype="float32", always_2d=True)):
                self._check_disk()
                yield block
        except self.damage:
            self._check_disk()
            raise
        self._check_disk()

    def _check_disk(self) -> None:
        if self._watched and self._watched.error:
            raise _unreadable(self._watched.error)

    def close(self) -> None:
        self._opened.close()


def _watched(source: Any, opened: contextlib.ExitStack) -> WatchedFile | None:
    """Return the source as a file that remembers failed reads, and shows all of a WAV beyond 4 GiB, whose header cannot.

    None: a path to what is no file but a pipe or a device.
    """
    if isinstance(source, Path):
        if not source.is_file():
            return None
        source = opened.enter_context(source.open("rb", buffering=1 << 16))
    try:
        view = riff.beyond_header(source)
        source.seek(0)
    except OSError as error:
        raise _unreadable(error) from None
    return WatchedFile(source if view is None else view)


def _unreadable(error: OSError) -> ReadError:
    return ReadError(f"cannot be read ({error.strerror or error}); is its disk or connection failing?")


def _openable(source: Any) -> Any:
    """Return a path whose bytes are no UTF-8 as those bytes, which libsndfile can open; anything else as it is."""
    if isinstance(source, Path) and os.name != "nt" and not os.fsencode(source).isascii():
        return os.fsencode(source)
    return source


#: FFmpeg's formats that are lists of other files.
_LISTS = frozenset(("hls", "concat", "dash", "sdp", "rtsp", "rtp", "imf", "image2", "webm_dash_manifest"))


class _AvReader(Reader):
    def __init__(self, source: Any) -> None:
        import av

        self.damage = (av.FFmpegError, *Reader.damage)
        av.logging.set_level(av.logging.PANIC)
        # A playlist names other files and addresses: nothing but the file itself is opened.
        named, allowed = (f"file:{source}", "file") if isinstance(source, Path) else (source, "none")
        options = {"protocol_whitelist": allowed}
        self._container = av.open(named, options=options, metadata_errors="replace")
        if self._container.format.name in _LISTS:
            self._container.close()
            raise AudioError("is a list of other files, not a recording; name those")
        streams = self._container.streams.audio
        if not streams:
            kinds = ", ".join(sorted({stream.type for stream in self._container.streams})) or "no stream at all"
            self._container.close()
            raise AudioError(f"holds no sound, only {kinds}")
        self._stream: Any = streams[0]
        codec = self._stream.codec_context
        if codec is None:
            self._container.close()
            raise AudioError("holds sound in a form that no decoder here knows")
        seconds = None
        if self._stream.duration and self._stream.time_base:
            seconds = float(self._stream.duration * self._stream.time_base)
        elif self._container.duration:
            seconds = self._container.duration / 1e6
        if seconds is not None and not 0 <= seconds < 1e10:  # a header can say anything
            seconds = None
        self.info = AudioInfo(seconds, codec.sample_rate or 0, codec.channels or 0, self._container.format.name)

    def blocks(self, *, start: float = 0.0) -> Iterator[Array]:
        import av

        if start > 1:
            with contextlib.suppress(av.FFmpegError):
                self._container.seek(round((start - 1) * 1e6), backward=True)
        resampler = av.AudioResampler(format="flt")
        skip: int | None = None
        for frame in self._container.decode(self._stream):
            if skip is None:
                reached = frame.time if frame.time is not None and start > 0 else 0.0
                skip = max(0, round((start - reached) * self.info.sample_rate))
            for piece in resampler.resample(frame):
                block = piece.to_ndarray().reshape(-1, len(piece.layout.channels))
                if skip:
                    block, skip = block[skip:], max(0, skip - len(block))
                if len(block):
                    yield block.astype(np.float32, copy=False)

    def close(self) -> None:
        self._container.close()


@contextlib.contextmanager
def open_audio(source: str | os.PathLike[str] | IO[bytes]) -> Iterator[Reader]:
    """Open a recording (a path, or a binary file that can seek) for reading.

    Raises `AudioError`, whose text does not repeat the path, for what is missing, empty, a folder, or not audio.
    """
    reader = _open(source)
    try:
        info = reader.info
        if not MIN_RATE <= info.sample_rate <= MAX_RATE:
            raise AudioError(f"its sample rate is {info.sample_rate} Hz; {MIN_RATE} to {MAX_RATE} Hz can be used")
        if not 1 <= info.channels <= MAX_CHANNELS:
            raise AudioError(f"it claims {info.channels} channels; 1 to {MAX_CHANNELS} can be used")
        yield reader
    finally:
        reader.close()


def _open(source: str | os.PathLike[str] | IO[bytes]) -> Reader:
    if isinstance(source, (str, os.PathLike)):
        source = Path(source)
        _check_path(source)
    import soundfile

    try:
        return _SoundFileReader(source)
    except (soundfile.LibsndfileError, RuntimeError, TypeError, OSError) as error:
        first = _one_line(error)
    if not isinstance(source, Path):
        source.seek(0)
    import av

    try:
        return _AvReader(source)
    except AudioError:
        raise
    except (av.FFmpegError, OSError, ValueError, UnicodeError) as error:
        raise AudioError(
            f"is not a recording that can be read (libsndfile: {first}; FFmpeg: {_one_line(error)}); "
            "is it audio, and complete?"
        ) from None


def _check_path(path: Path) -> None:
    try:
        if path.is_dir():
            raise AudioError("is a folder, not a recording")
        size = path.stat().st_size
        with path.open("rb"):
            pass
    except FileNotFoundError:
        raise AudioError("no such file") from None
    except (OSError, ValueError) as error:
        raise AudioError(f"cannot be opened ({getattr(error, 'strerror', None) or error})") from None
    if size == 0 and path.is_file():
        raise AudioError("is empty (0 bytes)")


def _one_line(error: BaseException) -> str:
    import re

    text = " ".join(str(getattr(error, "error_string", "") or getattr(error, "strerror", "") or error).split())
    return re.sub(r"^Error opening .*?: ", "", text).rstrip(".")[:120] or type(error).__name__


def probe(source: str | os.PathLike[str] | IO[bytes]) -> AudioInfo:
    """Return what the header says, without decoding. Raises `AudioError`."""
    with open_audio(source) as reader:
        return reader.info


def mono(block: NDArray[Any]) -> Array:
    """Return one channel (n,) for samples (n,) or (n, channels): their mean. Integers are scaled to -1 .. 1.

    Raises `AudioError` for another shape, for NaN or infinity, and for levels that no floating-point audio has.
    """
    block = np.asarray(block)
    if block.ndim not in (1, 2) or (block.ndim == 2 and not 1 <= block.shape[1] <= MAX_CHANNELS):
        raise AudioError(
            f"samples have shape {block.shape}; (n,) or (n, channels) with 1 to {MAX_CHANNELS} channels is needed"
        )
    if block.dtype.kind == "i":
        block = block.astype(np.float32) / np.float32(-float(np.iinfo(block.dtype).min))
    elif block.dtype.kind != "f":
        raise AudioError(f"samples are of type {block.dtype}; floating-point numbers from -1 to 1 are needed")
    samples = block if block.ndim == 1 else mean_of_channels(block)
    samples = np.ascontiguousarray(samples, dtype=np.float32)
    if samples.size:
        peak = max(float(samples.max()), -float(samples.min()))
        if not np.isfinite(peak):  # NaN as well: the maximum is NaN then
            raise AudioError("holds NaN or infinite samples; write the recording anew")
        if peak > MAX_LEVEL:
            raise AudioError(
                f"has samples as large as {peak:.3g}; full scale is 1 (are they integers stored as floating point?)"
            )
    return samples


def mean_of_channels(block: NDArray[Any]) -> NDArray[Any]:
    """Return the mean (n,) of samples (n, channels): channel by channel, ten times faster than NumPy's mean of each row."""
    total = block[:, 0]
    if block.shape[1] > 1:
        total = total + block[:, 1]
        for channel in range(2, block.shape[1]):
            total += block[:, channel]
        total /= block.shape[1]
    return total


def stream(
    source: str | os.PathLike[str] | IO[bytes] | Reader,
    *,
    sample_rate: int,
    start: float = 0.0,
    duration: float | None = None,
) -> Iterator[Array]:
    """Yield the recording as mono blocks (n,) at `sample_rate`, from `start` for `duration` seconds (None: to its end).

    Raises `AudioError` when it cannot be read or holds what no audio holds; blocks before that point have been yielded.
    """
    if isinstance(source, Reader):
        yield from _stream(source, sample_rate, start, duration)
        return
    with open_audio(source) as reader:
        yield from _stream(reader, sample_rate, start, duration)


def _stream(reader: Reader, sample_rate: int, start: float, duration: float | None) -> Iterator[Array]:
    left = None if duration is None else round(duration * reader.info.sample_rate)
    yield from resampled(_limited(_decoded(reader, start), left), reader.info.sample_rate, sample_rate)


def _decoded(reader: Reader, start: float) -> Iterator[Array]:
    at = start
    blocks = reader.blocks(start=start)
    while True:
        try:
            block = next(blocks, None)
        except reader.damage as error:
            raise AudioError(
                f"cannot be decoded past {at:.1f} s ({_one_line(error)}); it is damaged or cut short"
            ) from None
        if block is None:
            return
        yield mono(block)
        at += len(block) / reader.info.sample_rate


def _limited(blocks: Iterable[Array], left: int | None) -> Iterator[Array]:
    for block in blocks:
        if left is not None:
            block = block[:left]
            left -= len(block)
        yield block
        if left == 0:
            return


def resampled(blocks: Iterable[Array], from_rate: int, to_rate: int) -> Iterator[Array]:
    """Yield mono blocks at `to_rate` for blocks at `from_rate` (soxr, high quality, streaming)."""
    if from_rate == to_rate:
        yield from blocks
        return
    import soxr

    resampler = soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32", quality="HQ")
    for block in blocks:
        if len(out := resampler.resample_chunk(block)):
            yield out
    if len(out := resampler.resample_chunk(np.zeros(0, dtype=np.float32), last=True)):
        yield out


def windows(blocks: Iterable[Array], length: int) -> Iterator[Array]:
    """Yield consecutive windows of `length` samples; a remainder shorter than half of that joins the window before it.

    So every window but a short recording's only one has between length / 2 and 3 length / 2 samples.
    """
    held: list[Array] = []
    size = 0
    for block in blocks:
        held.append(block)
        size += len(block)
        if 2 * size >= 3 * length:
            samples = np.concatenate(held)
            while 2 * len(samples) >= 3 * length:
                yield samples[:length]
                samples = samples[length:]
            held, size = [samples], len(samples)
    if size:
        yield np.concatenate(held)


def load(
    source: str | os.PathLike[str] | IO[bytes], *, sample_rate: int, start: float = 0.0, duration: float | None = None
) -> Array:
    """Return the whole recording, or a part of it, as mono float32 (n,) at `sample_rate`. Raises `AudioError`."""
    blocks = list(stream(source, sample_rate=sample_rate, start=start, duration=duration))
    return np.concatenate(blocks) if blocks else np.zeros(0, dtype=np.float32)


def is_silent(samples: Array) -> bool:
    """Tell whether nothing in samples (n,) rises above -100 dBFS."""
    return not samples.size or float(np.abs(samples).max()) < SILENCE


def find_recordings(folder: Place) -> list[Any]:
    """Return the files below `folder` whose names end as recordings' do, sorted by path; hidden ones are passed over."""
    if isinstance(folder, Address):
        return [one for one in folder.files() if _is_recording(one.relative_to(folder))]
    found = []
    for parent, folders, names in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(parent, name) for name in names if _is_recording(PurePath(name))]
    return sorted(found)


def _is_recording(path: PurePath) -> bool:
    return path.suffix.lower() in EXTENSIONS and not any(part.startswith(".") for part in path.parts)


def spool_standard_input(limit_bytes: int = 8 << 30) -> IO[bytes]:
    """Return standard input as a file that can seek (in memory while small, then on disk). Raises `AudioError` if empty."""
    import tempfile

    spool = tempfile.SpooledTemporaryFile(max_size=64 << 20)  # noqa: SIM115 - the caller closes it
    size = 0
    while chunk := sys.stdin.buffer.read(1 << 20):
        size += len(chunk)
        if size > limit_bytes:
            raise AudioError(f"standard input is longer than {limit_bytes >> 30} GiB; save it to a file first")
        spool.write(chunk)
    if not size:
        raise AudioError("standard input is empty (0 bytes)")
    spool.seek(0)
    return spool  # type: ignore[return-value]
