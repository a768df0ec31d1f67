"""What FFmpeg decodes, through PyAV: M4A, AAC, WMA, the sound of a video, and whatever is damaged.

Times are the container's: where nothing is, or nothing can be decoded, there is silence of the right length, and a `Gap`.
This is imported where something needs it, after `reader.load_av`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Disposition
from numpy.typing import NDArray

from ..errors import AudioError
from . import flac
from .clock import PREROLL_S, Array, Block, Clock, ComputedTimes, gathered
from .content import Content, WatchedFile
from .mpeg import frames_of
from .parts import Part
from .reader import MAX_LEVEL, AudioInfo, Reader, one_line

av.logging.set_level(av.logging.PANIC)

MOST_FAILURES = 1000  # reads of packets in a row
_MANY_STRANGE = 100  # packets of other streams, and none of this one: a few seconds

#: FFmpeg's formats that are lists of other files.
_LISTS = frozenset(("hls", "concat", "dash", "sdp", "rtsp", "rtp", "imf", "image2", "webm_dash_manifest"))
#: Formats in which jumping to a time is right to the sample; in others it is an estimate, or leaps of the clock mislead.
_INDEXED = frozenset(("mov", "matroska", "avi", "wav", "w64", "caf", "aiff", "flac"))
#: Formats whose length FFmpeg computes from a bit rate, or from the last clock that it finds.
_ESTIMATED = frozenset(
    ("aac", "ac3", "eac3", "mp3", "dts", "dtshd", "truehd", "mlp", "amr", "loas", "mpeg", "mpegts", "g729", "gsm")
)
#: Formats with a header that states when the sound ends.
_EXACT = frozenset(("mov", "asf", "caf", "wav", "w64", "aiff", "matroska"))
#: Formats that are nothing but frames: of one size; what is lost of them is known by its bytes alone.
_BARE = frozenset(("ac3", "eac3", "dts"))
#: Formats in which FFmpeg computes the times of most packets, from the rate that the stream had at its beginning.
_COMPUTED = frozenset(("aac", "loas", "mpeg", "mpegts"))
#: Codecs whose frames have a checksum of their samples.
_CHECKED = frozenset(("flac", "wavpack", "tta"))
_AC3_KBITS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
_FAR_BYTES, _FAR_S = 64 << 20, 300  # that are looked through for the beginning of the sound
#: codec -> the mode from which on a frame holds no sound, but comfort noise or nothing; its samples; their rate
_AMR = {"amrnb": (8, 160, 8000), "amrwb": (9, 320, 16000)}


class FFmpegReader(Reader):
    """What FFmpeg decodes: one stream, given as one file or as several pieces of it. Raises `AudioError`, FFmpeg's errors."""

    def __init__(self, sources: list[Any], watched: WatchedFile, part: Part, track: int | None = None) -> None:
        """sources: files, or a path. track: from 1, of those with sound; None: the one marked as the default."""
        self._sources, self._watched, self._track = sources, watched, track
        self._claimed, self._cut, self._starts = part.claimed_s, part.cut, part.starts
        self.gaps = []
        self._open(sources[0])
        if not self._stream.codec_context.sample_rate:  # the sound begins late
            self._container.close()
            self._open(sources[0], probesize=str(_FAR_BYTES), analyzeduration=str(_FAR_S * 1_000_000))
        rate, channels = self._stream.codec_context.sample_rate or 0, self._stream.codec_context.channels or 0
        names = self._container.format.name.split(",")
        self._name = names[0]
        self._zero = self._first_time()
        seconds = self._claimed if self._claimed is not None else self._duration()
        tracks = self._container.streams.audio
        number = tracks.index(self._stream) + 1
        self.info = AudioInfo(seconds, rate, channels, self._container.format.name, len(tracks), number)

    def _open(self, source: Any, **options: str) -> None:
        # A playlist names other files and addresses: nothing but the file itself is opened.
        named, allowed = (f"file:{source}", "file") if isinstance(source, Path) else (source, "none")
        if hasattr(source, "seek"):
            source.seek(0)
        options["protocol_whitelist"] = allowed
        # Tags that are no UTF-8, which no error may come of: PyAV 19 keeps their bytes, and has no such argument.
        lenient: Any = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "replace"}
        self._container = av.open(named, options=options, **lenient)
        try:
            self._stream: Any = self._chosen()
        except BaseException:
            self._container.close()
            raise

    def _chosen(self) -> Any:
        if self._container.format.name in _LISTS:
            raise AudioError("is a list of other files, not a recording; name those")
        streams = self._container.streams.audio
        if not streams:
            kinds = ", ".join(sorted({stream.type for stream in self._container.streams}))
            if not kinds:
                raise AudioError("holds no sound: there is no stream in it; is it complete?")
            raise AudioError(f"holds no sound, only {kinds}")
        if self._track is not None and not 1 <= self._track <= len(streams):
            raise AudioError(f"has {len(streams)} tracks with sound; there is no track {self._track}")
        default = [stream for stream in streams if stream.disposition & Disposition.default]
        chosen = streams[self._track - 1] if self._track else (default or streams)[0]
        if chosen.codec_context is None:
            raise AudioError("holds sound in a form that no decoder here knows")
        if chosen.codec_context.name in _CHECKED:  # else changed bytes are noise, or silence
            chosen.codec_context.options = {"err_detect": "crccheck+explode"}
        return chosen

    def _first_time(self) -> float:
        """Return what the container's clock shows at the recording's beginning, whichever of its streams begins there."""
        start = self._container.start_time
        return start / 1e6 if start is not None and abs(start) < 1e16 else 0.0

    def _duration(self) -> float | None:
        stream, end = self._stream, None
        if self._name in _ESTIMATED:
            return None
        if stream.duration and stream.time_base:
            begin = stream.start_time or 0
            end = float((begin + stream.duration) * stream.time_base) - self._zero
        elif written := stream.metadata.get("DURATION"):  # Matroska
            end = _clock(written)
        if end is None and self._container.duration:
            end = self._container.duration / 1e6
        return end if end is not None and 0 <= end < 1e10 else None  # a header can say anything

    def blocks(self, *, start: float = 0.0) -> Iterator[Block]:
        yield from gathered(self._timed(start))

    def _timed(self, start: float) -> Iterator[Block]:
        claimed = self._claimed
        if claimed is None and self._name in _EXACT:  # the header's end can be held against what is decoded
            alone = len(self._container.streams) == 1
            if alone or self._name == "mov" or "DURATION" in self._stream.metadata:
                claimed = self.info.duration
        clock = Clock(start, self.gaps)
        for number, source in enumerate(self._sources):
            if number and not self._reopened(source, clock):
                continue
            if self._starts:
                self._zero = self._first_time() - self._starts[number]
            yield from self._run(clock, start)
        self._watched.check()
        clock.end(claimed, cut=self._cut)

    def _reopened(self, source: Any, clock: Clock) -> bool:
        """Open another piece instead; return whether it can be opened."""
        self._container.close()
        try:
            self._open(source)
        except (AudioError, av.FFmpegError, OSError, ValueError, UnicodeError) as error:
            self._watched.check()
            clock.broken(one_line(error))
            return False
        return True

    def _run(self, clock: Clock, start: float) -> Iterator[Block]:
        if start > PREROLL_S and self._name in _INDEXED:
            with contextlib.suppress(av.FFmpegError):
                self._container.seek(round((start - PREROLL_S + self._zero) * 1e6), backward=True)
        codec = self._stream.codec_context.name
        lost = _LostFrames() if self._name in _BARE else None
        computed = ComputedTimes() if self._name in _COMPUTED else None
        for packet in self._packets(clock):
            if codec == "flac" and self._name == "ogg":
                # FFmpeg begins at 0 behind pages that are lost; the frame itself has its time.
                context = self._stream.codec_context
                first = flac.first_sample(bytes(packet)[:16], context.extradata or b"")
                if first is not None and context.sample_rate:
                    packet.pts = packet.dts = round(first / context.sample_rate / packet.time_base)
            time = None if packet.pts is None else float(packet.pts * packet.time_base) - self._zero
            length = 0 if computed else packet.duration
            if time is not None and length and clock.is_before(time, length * packet.time_base):
                if lost:
                    self._zero -= lost.after(packet, clock)
                continue
            mode, size, rate = _AMR.get(codec, (0, 0, 0))
            if size and packet.size and bytes(packet)[0] >> 3 & 15 >= mode:
                yield from clock.place(np.zeros((size, 1), dtype=np.float32), rate, time)
                continue
            if packet.is_corrupt:
                clock.broken("packets are damaged or missing")
            try:
                frames = packet.decode()
            except av.FFmpegError as error:
                frames = []
                clock.broken(one_line(error))
            trusted = computed is None or computed.is_right(packet, frames)
            for frame in frames:
                if len(frame.planes) != (len(frame.layout.channels) if frame.format.is_planar else 1):
                    clock.broken("samples are damaged")  # PyAV would read planes that do not exist
                    continue
                samples = samples_of(frame)
                at = frame.time - self._zero if trusted and frame.time is not None else None
                peak = max(float(samples.max(initial=0)), -float(samples.min(initial=0)))
                if frame.is_corrupt or not peak <= MAX_LEVEL:
                    clock.broken("samples are damaged")
                    if not peak <= MAX_LEVEL:
                        continue
                yield from clock.place(samples, frame.sample_rate, at)
            if lost and packet.size:
                self._zero -= lost.after(packet, clock)

    def _packets(self, clock: Clock) -> Iterator[Any]:
        """Yield packets; where the container is damaged, those behind."""
        failures = strange = 0
        while failures < MOST_FAILURES:
            try:
                for packet in self._container.demux(self._stream):
                    if packet.size:
                        failures = strange = 0
                    elif strange > _MANY_STRANGE:  # the end
                        clock.broken("it goes on in other streams")
                    yield packet
                return
            except av.EOFError:
                return
            except IndexError:  # a packet of a stream that began later, for which PyAV has no place
                strange += 1
            except av.FFmpegError as error:
                self._watched.check()
                failures += 1
                clock.broken(one_line(error))

    def close(self) -> None:
        self._container.close()


class _LostFrames:
    """What is lost in a format without a clock, by the bytes that its parser could make nothing of.

    They come as a packet that is too large: these formats have frames of one size, until the bit rate changes.
    """

    def __init__(self) -> None:
        """Begin a stream."""
        self._bytes = self._frames = 0
        self._frame_bytes = 0.0  # bytes of a frame by its header

    def after(self, packet: Any, clock: Clock) -> float:
        """Return what a packet that has been decoded says is lost, in seconds by which what follows is later."""
        stated = _size_of_frame(bytes(packet)[:8])
        if stated and abs(stated - self._frame_bytes) > 0.02 * self._frame_bytes:
            self._bytes, self._frames, self._frame_bytes = 0, 0, stated
        frames = round(packet.size * self._frames / self._bytes) if self._bytes else 1
        if frames <= 1:
            self._bytes, self._frames = self._bytes + packet.size, self._frames + 1
            return 0.0
        clock.broken("frames are damaged")
        return (frames - 1) * float(packet.duration * packet.time_base)


def _size_of_frame(head: bytes) -> float:
    """Return about how many bytes a frame of (E-)AC-3 or DTS has, 0 where none begins."""
    if len(head) < 8:
        return 0
    if head[:2] == b"\x0b\x77" and head[5] >> 3 > 10:
        return ((head[2] & 7) << 8 | head[3]) * 2 + 2
    if head[:2] == b"\x0b\x77":
        rate, code = head[4] >> 6, head[4] >> 1 & 31
        return 0 if rate == 3 or code >= len(_AC3_KBITS) else _AC3_KBITS[code] * (4, 4.354, 6)[rate]
    return ((head[5] & 3) << 12 | head[6] << 4 | head[7] >> 4) + 1 if head[:4] == b"\x7f\xfe\x80\1" else 0


def _clock(text: str) -> float | None:
    try:
        hours, minutes, seconds = text.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return None


class MpegReader(Reader):
    """MPEG audio frame by frame, for streams whose header has no length or a wrong one, and for damaged ones."""

    def __init__(self, content: Content, part: Part) -> None:
        """content: of the file; part: has frames."""
        assert part.frames
        self._content, self._part, self._frames = content, part, part.frames
        self.gaps = []
        head = content.at(self._frames.runs[0][0], 4)
        channels = 1 if head[3] >> 6 == 3 else 2
        self.info = AudioInfo(self._frames.samples / self._frames.rate, self._frames.rate, channels, "MP3")

    def blocks(self, *, start: float = 0.0) -> Iterator[Block]:
        """Yield blocks of about a second."""
        yield from gathered(self._timed(start))

    def _timed(self, start: float) -> Iterator[Block]:
        frames = self._frames
        clock = Clock(start, self.gaps)
        last = frames.samples
        for number, samples in self._decoded(max(0, int(start * frames.rate) // frames.size - 12)):
            if samples is None:
                clock.broken("frames are damaged")
                continue
            at = number * frames.size - frames.skip
            samples = samples[max(0, -at) : max(0, last - at)]
            if len(samples):
                if len(samples) < frames.size:
                    at = max(at, 0)
                yield from clock.place(samples, frames.rate, at / frames.rate)
        clock.end(self._part.claimed_s, cut=self._part.cut)

    def _decoded(self, first: int) -> Iterator[tuple[int, Array | None]]:
        """Yield the number and samples of frames, None for damaged ones, from the first requested one."""
        codec: Any = None
        for begin, end, before, count in self._frames.runs:
            if before + count <= first:
                continue
            codec = av.CodecContext.create(("mp1float", "mp2float", "mp3float")[self._frames.layer - 1], "r")
            for number, data in frames_of(self._content, begin, end, before):
                if number < first:
                    continue
                try:
                    found = codec.decode(av.Packet(data))
                except av.FFmpegError:
                    found = []
                yield number, np.concatenate([samples_of(frame) for frame in found]) if found else None


def samples_of(frame: Any) -> Array:
    """Return the samples (n, channels) of a decoded frame as float32 from -1 to 1."""
    values: NDArray[Any] = frame.to_ndarray()
    values = values.T if frame.format.is_planar else values.reshape(-1, len(frame.layout.channels))
    if values.dtype.kind == "u":
        return np.asarray((values.astype(np.float32) - 128) / np.float32(128))
    if values.dtype.kind == "i":
        return np.asarray(values.astype(np.float32) / np.float32(-float(np.iinfo(values.dtype).min)))
    return values.astype(np.float32, copy=False)
