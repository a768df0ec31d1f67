"""Nothing that is in a recording is passed over: wrong lengths, joined streams, damage, late sound, several tracks.

Each second of the test sound has a pitch of its own, so that a second which is missing, late or made up is found.
"""

from __future__ import annotations

import csv
import importlib
import inspect
import io
import json
import re
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

import whoplays
from conftest import COMMAND_S
from serving import serving
from whoplays import dataset
from whoplays.audio import containers, opening, reader, reading
from whoplays.audio.clock import Clock
from whoplays.audio.parts import Gap
from whoplays.errors import AudioError, UsageError

RATE = 16000  # that is read at


def pitch(second: int) -> float:
    return 400.0 + 100.0 * second


def steps(seconds: int, rate: int = 32000, first: int = 0) -> np.ndarray:
    """Samples (n,): second k has the pitch of second `first + k`, and a touch of noise."""
    time = np.arange(rate) / rate
    tones = [0.4 * np.sin(2 * np.pi * pitch(first + k) * time) for k in range(seconds)]
    return (np.concatenate(tones) + 0.002 * np.random.default_rng(first).standard_normal(seconds * rate)).astype(
        np.float32
    )


def pitches(samples: np.ndarray) -> list[int | None]:
    """The number of each second by its pitch; None where the middle of a second is silent."""
    found: list[int | None] = []
    for at in range(0, len(samples) - RATE // 2, RATE):
        part = samples[at + RATE // 4 : at + RATE * 3 // 4]
        if np.abs(part).max() < 0.01:
            found.append(None)
            continue
        spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part))))
        found.append(round((float(spectrum.argmax()) * RATE / len(part) - 400) / 100))
    return found


def seconds_read(source: Any, **part: Any) -> list[int | None]:
    return pitches(reading.load(source, sample_rate=RATE, **part))


def warned(source: Any, **part: Any) -> list[str]:
    with reading.open_recording(source, sample_rate=RATE, **part) as recording:
        seconds = sum(map(len, recording.blocks())) / RATE
        return [w.code for w in recording.warnings(seconds) if w.code in ("damaged", "cut_short", "tracks")]


def written(samples: np.ndarray, kind: str, subtype: str | None = None, rate: int = 32000) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


def encoded(
    tracks: Iterable[np.ndarray],
    container: str,
    codec: str,
    *,
    rate: int = 32000,
    layout: str = "mono",
    late: float = 0.0,
    video: float = 0.0,
    **options: str,
) -> bytes:
    """What FFmpeg writes. late: seconds before the sound begins; video: seconds of pictures beside it."""
    file = io.BytesIO()
    with av.open(file, "w", format=container, options=options) as out:
        if video:
            picture: Any = out.add_stream("flv" if container == "flv" else "mpeg4", rate=5)
            picture.width, picture.height, picture.pix_fmt = 32, 32, "yuv420p"
        streams: list[Any] = [out.add_stream(codec, rate=rate, layout=layout) for _ in tracks]
        if video:
            for number in range(round(5 * video)):
                frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), number % 250, dtype=np.uint8), format="rgb24")
                frame.pts = number
                out.mux(picture.encode(frame))
            out.mux(picture.encode(None))
        for stream, samples in zip(streams, tracks, strict=True):
            if codec == "wmav2":
                stream.bit_rate = 64_000
            form = stream.codec_context.format
            size = stream.codec_context.frame_size or 1024
            channels = len(stream.layout.channels)
            resampler = av.AudioResampler(format=form, layout=layout, rate=rate)
            for at in range(0, len(samples) - size + 1, size):
                block = np.repeat(samples[None, at : at + size], channels, axis=0)
                frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout=layout)
                frame.sample_rate, frame.pts = rate, at + round(late * rate)
                for piece in resampler.resample(frame):
                    out.mux(stream.encode(piece))
            out.mux(stream.encode(None))
    return file.getvalue()


def mp3(samples: np.ndarray, rate: int = 32000, *, header: bool = True, quality: str | None = None) -> bytes:
    """MP3 with or without a Xing header, of constant or variable (`quality`) bit rate."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp3", options={"write_xing": str(int(header)), "id3v2_version": "0"}) as out:
        stream: Any = out.add_stream("libmp3lame", rate=rate, layout="mono")
        if quality:
            stream.codec_context.flags |= 2  # by quality
            stream.codec_context.global_quality = int(quality) * 118
        else:
            stream.bit_rate = 64_000
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate = rate
        out.mux([*stream.encode(frame), *stream.encode(None)])
    return file.getvalue()


def aac(samples: np.ndarray, rate: int = 32000, layout: str = "mono") -> bytes:
    return encoded([samples], "adts", "aac", rate=rate, layout=layout)


def dsf(samples: np.ndarray) -> bytes:
    """DSD of one channel at 64 times 44.1 kHz, by a modulator of the first order (Sony, DSF file format 1.01)."""
    rate = 64 * 44100
    wave = np.interp(np.arange(len(samples) * rate // 32000) * 32000 / rate, np.arange(len(samples)), samples)
    total = np.floor(np.cumsum((wave + 1) / 2))
    bits = np.packbits(np.diff(total, prepend=0) > 0, bitorder="little").tobytes()
    data = bits.ljust(-(-len(bits) // 4096) * 4096, b"\x69")
    form = struct.pack("<4sQIIIIIIQII", b"fmt ", 52, 1, 0, 1, 1, rate, 1, len(wave), 4096, 0)
    return (
        struct.pack("<4sQQQ", b"DSD ", 28, 28 + 52 + 12 + len(data), 0)
        + form
        + struct.pack("<4sQ", b"data", 12 + len(data))
        + data
    )


def with_bad_bytes(content: bytes, at: float = 0.5, size: int = 1500) -> bytes:
    begin = round(len(content) * at)
    noise = np.random.default_rng(3).integers(1, 255, size, dtype=np.uint8).tobytes()
    return content[:begin] + noise + content[begin + size :]


# Lengths


def variable(seconds: int) -> np.ndarray:
    """Quiet first and busy then: a length estimated from the first frames is far too short or long."""
    samples = steps(seconds)
    samples[: len(samples) // 3] *= 0.05
    noise = np.random.default_rng(1).standard_normal(len(samples)).astype(np.float32)
    samples[len(samples) // 3 :] += 0.05 * noise[len(samples) // 3 :]
    return samples


def test_mp3_of_variable_rate_without_a_header_is_read_to_its_end() -> None:
    content = mp3(variable(12), header=False, quality="4")
    assert len(reading.load(io.BytesIO(content), sample_rate=RATE)) == pytest.approx(12 * RATE, abs=0.2 * RATE)
    assert seconds_read(io.BytesIO(content))[1:11] == list(range(1, 11))
    assert seconds_read(io.BytesIO(content), start=8.0)[:3] == [8, 9, 10]
    assert opening.probe(io.BytesIO(content)).duration == pytest.approx(12, abs=0.2)
    assert warned(io.BytesIO(content)) == []


def test_mp3_whose_header_counts_too_few_frames() -> None:
    content = bytearray(mp3(steps(6)))
    at = content.find(b"Info") if b"Info" in content[:300] else content.find(b"Xing")
    content[at + 8 : at + 12] = struct.pack(">I", 60)
    assert seconds_read(io.BytesIO(content)) == list(range(6))


WIDE = b"\xff\xff\xff\xff"


def sized(content: bytes, mark: bytes, offset: int, size: bytes) -> bytes:
    at = content.find(mark) + offset
    return content[:at] + size + content[at + len(size) :]


@pytest.mark.parametrize("size", [0, 1000, 64000, 0x7FFFFFFF, 0xFFFFFFFF])
def test_wav_with_a_wrong_size_is_read_to_its_end(size: int) -> None:
    content = sized(written(steps(5), "WAV"), b"data", 4, struct.pack("<I", size))
    assert seconds_read(io.BytesIO(content)) == list(range(5))
    assert opening.probe(io.BytesIO(content)).duration == pytest.approx(5)
    assert seconds_read(io.BytesIO(content), start=3.0) == [3, 4]
    assert warned(io.BytesIO(content)) == []


def test_chunks_behind_the_samples_are_no_samples() -> None:
    content = written(steps(3), "WAV") + b"LIST" + struct.pack("<I", 4000) + bytes(range(1, 251)) * 16
    assert reading.load(io.BytesIO(content), sample_rate=RATE).shape == (3 * RATE,)


def test_the_other_containers_of_samples_with_a_wrong_size() -> None:
    wave64 = written(steps(4), "W64")
    caf = written(steps(4), "CAF")
    aiff = written(steps(4), "AIFF")
    au = written(steps(4), "AU")
    contents = {
        "W64 0": sized(wave64, b"data\xf3", 16, bytes(8)),
        "W64 short": sized(wave64, b"data\xf3", 16, struct.pack("<Q", 64000)),
        "W64 of a pipe": sized(wave64, b"data\xf3", 16, b"\xff" * 7 + b"\x7f"),
        "CAF of a pipe": sized(caf, b"data", 4, b"\xff" * 8),
        "CAF 0": sized(caf, b"data", 4, bytes(8)),
        "AIFF 0": sized(aiff, b"SSND", 4, bytes(4)),
        "AIFF short": sized(sized(aiff, b"SSND", 4, struct.pack(">I", 64008)), b"COMM", 10, struct.pack(">I", 32000)),
        "AU unknown": sized(au, b".snd", 8, WIDE),
        "AU short": sized(au, b".snd", 8, struct.pack(">I", 64000)),
    }
    assert {name: seconds_read(io.BytesIO(content)) for name, content in contents.items()} == dict.fromkeys(
        contents, list(range(4))
    )
    assert {name: warned(io.BytesIO(content)) for name, content in contents.items()} == dict.fromkeys(contents, [])


@pytest.mark.parametrize("total", [0, 32000])
def test_flac_without_its_length(total: int) -> None:
    content = bytearray(written(steps(5), "FLAC"))
    fields = int.from_bytes(content[18:26], "big") >> 36 << 36 | total
    content[18:26] = fields.to_bytes(8, "big")
    assert seconds_read(io.BytesIO(content)) == list(range(5))
    assert seconds_read(io.BytesIO(content), start=2.0) == [2, 3, 4]
    assert opening.duration_of(io.BytesIO(content)) == pytest.approx(5)


@pytest.mark.parametrize("kind", ["WAV", "W64", "AIFF", "CAF", "AU", "FLAC", "MP3", "OGG"])
def test_a_file_cut_in_half_is_read_with_a_warning(kind: str) -> None:
    content = mp3(steps(6)) if kind == "MP3" else written(steps(6), kind)
    half = io.BytesIO(content[: len(content) // 2])
    found = seconds_read(half)
    assert found[:2] == [0, 1] and len(found) < 5
    half.seek(0)
    with reading.open_recording(half, sample_rate=RATE) as recording:
        seconds = sum(map(len, recording.blocks())) / RATE
        (warning,) = (w for w in recording.warnings(seconds) if w.code != "sample_rate")
    assert warning.code == "cut_short"
    assert f"from {seconds:.2f} s" in warning.message
    if kind != "OGG":  # which states no length
        assert "to 6.00 s" in warning.message or kind == "MP3"
    half.seek(0)
    with pytest.raises(AudioError, match="is damaged"):
        reading.load(half, sample_rate=RATE, strict=True)


@pytest.mark.parametrize(
    ("container", "codec"),
    [("flac", "flac"), ("matroska", "flac"), ("mp4", "flac"), ("ogg", "flac"), ("wv", "wavpack"), ("tta", "tta")],
)
def test_one_changed_byte_in_a_lossless_recording_is_reported_and_times_stay_right(container: str, codec: str) -> None:
    content = bytearray(encoded([steps(10)], container, codec, strict="experimental"))
    assert warned(io.BytesIO(content)) == []
    content[len(content) // 2] ^= 0x55
    found = seconds_read(io.BytesIO(content))
    lost = [second for second, seen in enumerate(found) if seen != second]
    assert len(found) == 10 and len(lost) <= 2 and all(found[second] is None for second in lost)
    assert warned(io.BytesIO(content)) == ["damaged"]


# Joined streams


FIRST, SECOND = steps(3), steps(3, 22050, first=3)
TAG = b"ID3\x04\0\0\0\0\0\x64" + bytes(100)
JUNK = np.random.default_rng(2).integers(0, 256, 3000, dtype=np.uint8).tobytes()
JOINS: dict[str, Callable[[], tuple[bytes, bytes]]] = {
    "Vorbis": lambda: (written(FIRST, "OGG"), written(SECOND, "OGG", rate=22050)),
    "Opus": lambda: (
        written(steps(3, 48000), "OGG", "OPUS", 48000),
        written(steps(3, 48000, first=3), "OGG", "OPUS", 48000),
    ),
    "Vorbis and Opus": lambda: (written(FIRST, "OGG"), written(steps(3, 48000, first=3), "OGG", "OPUS", 48000)),
    "Ogg, junk between": lambda: (written(FIRST, "OGG") + JUNK, written(SECOND, "OGG", rate=22050)),
    "MP3": lambda: (mp3(FIRST), mp3(SECOND, 22050)),
    "MP3 with tags": lambda: (mp3(FIRST) + b"TAG" + bytes(125), TAG + mp3(SECOND, 22050)),
    "MP3, junk between": lambda: (mp3(FIRST) + JUNK, mp3(SECOND, 22050)),
    "MP3 without headers": lambda: (mp3(FIRST, header=False), mp3(steps(3, first=3), header=False)),
    "FLAC": lambda: (written(FIRST, "FLAC"), written(SECOND, "FLAC", rate=22050)),
    "FLAC, junk between": lambda: (written(FIRST, "FLAC") + JUNK, written(SECOND, "FLAC", "PCM_24", 22050)),
    "WAV": lambda: (written(FIRST, "WAV"), written(SECOND, "WAV", "PCM_24", 22050)),
    "WAV of a pipe": lambda: (sized(written(FIRST, "WAV"), b"data", 4, WIDE), written(SECOND, "WAV", rate=22050)),
    "AIFF": lambda: (written(FIRST, "AIFF"), written(SECOND, "AIFF", rate=22050)),
    "W64": lambda: (written(FIRST, "W64"), written(SECOND, "W64", rate=22050)),
    "ADTS": lambda: (aac(FIRST), aac(SECOND, 22050, "stereo")),
    "ADTS, three rates": lambda: (
        aac(steps(2, 44100), 44100, "stereo") + aac(steps(2, 22050, first=2), 22050),
        aac(steps(2, 48000, first=4), 48000, "5.1"),
    ),
    "ADTS, another rate and back": lambda: (
        aac(steps(2, 44100), 44100) + aac(steps(2, 48000, first=2), 48000),
        aac(steps(2, 44100, first=4), 44100),
    ),
    "MP4": lambda: (encoded([FIRST], "mp4", "aac"), encoded([SECOND], "mp4", "aac", rate=22050)),
    "Matroska": lambda: (encoded([FIRST], "matroska", "aac"), encoded([SECOND], "matroska", "aac", rate=22050)),
    "ASF": lambda: (
        encoded([steps(3, 44100)], "asf", "wmav2", rate=44100),
        encoded([SECOND], "asf", "wmav2", rate=22050),
    ),
    "WavPack": lambda: (encoded([FIRST], "wv", "wavpack"), encoded([SECOND], "wv", "wavpack", rate=22050)),
    "TTA": lambda: (encoded([FIRST], "tta", "tta"), encoded([SECOND], "tta", "tta", rate=22050)),
    "VOC": lambda: (encoded([FIRST], "voc", "pcm_s16le"), encoded([SECOND], "voc", "pcm_s16le", rate=22050)),
    "FLV": lambda: (encoded([steps(3, 44100)], "flv", "aac", rate=44100), encoded([SECOND], "flv", "aac", rate=22050)),
    "DSF": lambda: (dsf(FIRST), dsf(steps(3, first=3))),
    "AC3, stereo and 5.1": lambda: (
        encoded([FIRST], "ac3", "ac3", layout="stereo"),
        encoded([steps(3, first=3)], "ac3", "ac3", layout="5.1"),
    ),
    "E-AC3, mono and 5.1": lambda: (
        encoded([FIRST], "eac3", "eac3"),
        encoded([steps(3, first=3)], "eac3", "eac3", layout="5.1"),
    ),
    "WAV and FLAC": lambda: (written(FIRST, "WAV"), written(SECOND, "FLAC", rate=22050)),
    "AIFF and Vorbis": lambda: (written(FIRST, "AIFF"), written(SECOND, "OGG", rate=22050)),
    "Matroska and MP4": lambda: (encoded([FIRST], "matroska", "aac"), encoded([SECOND], "mp4", "aac", rate=22050)),
    "TS, AAC at another rate": lambda: (
        encoded([steps(3, 48000)], "mpegts", "aac", rate=48000, layout="stereo"),
        encoded([SECOND], "mpegts", "aac", rate=22050, max_delay="700000"),
    ),
    "TS, stereo and 5.1": lambda: (
        encoded([FIRST], "mpegts", "ac3", layout="stereo"),
        encoded([steps(3, first=3)], "mpegts", "ac3", layout="5.1"),
    ),
    "TS, another rate": lambda: (
        encoded([FIRST], "mpegts", "mp2", layout="stereo"),
        encoded([steps(3, 48000, first=3)], "mpegts", "mp2", rate=48000),
    ),
}


@pytest.mark.parametrize("name", JOINS)
def test_joined_streams_are_read_one_after_the_other(name: str) -> None:
    first, second = JOINS[name]()
    both = io.BytesIO(first + second)
    found = seconds_read(both)
    assert found[:6] == list(range(6))
    both.seek(0)
    assert len(reading.load(both, sample_rate=RATE)) == pytest.approx(6 * RATE, abs=0.3 * RATE)
    both.seek(0)
    assert seconds_read(both, start=4.0)[:2] == [4, 5]
    both.seek(0)
    assert warned(both) == []
    both.seek(0)
    assert opening.duration_of(both) == pytest.approx(6, abs=0.4)


# Damage

DAMAGED: dict[str, Callable[[], bytes]] = {
    "MP3": lambda: mp3(steps(6)),
    "MP3 of variable rate, no header": lambda: mp3(steps(6), header=False, quality="4"),
    "Vorbis": lambda: written(steps(6), "OGG"),
    "Opus": lambda: written(steps(6, 48000), "OGG", "OPUS", 48000),
    "FLAC": lambda: written(steps(6), "FLAC"),
    "ADTS": lambda: aac(steps(6)),
    "M4A": lambda: encoded([steps(6)], "mp4", "aac"),
    "Matroska": lambda: encoded([steps(6)], "matroska", "aac", cluster_time_limit="500"),
    "TS": lambda: encoded([steps(6)], "mpegts", "mp2"),
    "AC3": lambda: encoded([steps(6)], "ac3", "ac3"),
    "WMA": lambda: encoded([steps(6, 44100)], "asf", "wmav2", rate=44100),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_costs_only_its_own_time_is_reported_and_shifts_nothing(name: str) -> None:
    content = with_bad_bytes(DAMAGED[name]())
    bad = io.BytesIO(content)
    found = seconds_read(bad)
    assert found[:2] == [0, 1] and found[4:6] == [4, 5], found
    bad.seek(0)
    assert len(reading.load(bad, sample_rate=RATE)) == pytest.approx(6 * RATE, abs=0.2 * RATE)
    bad.seek(0)
    with reading.open_recording(bad, sample_rate=RATE) as recording:
        seconds = sum(map(len, recording.blocks())) / RATE
        (warning,) = (w for w in recording.warnings(seconds) if w.code == "damaged")
    start, end = (float(word) for word in warning.message.split() if word[0].isdigit())
    assert 1.5 < start < end < 4.5 and end - start < 2.2, warning.message
    bad.seek(0)
    with pytest.raises(AudioError, match="is damaged: it could not be decoded from"):
        reading.load(bad, sample_rate=RATE, strict=True)
    bad.seek(0)
    assert seconds_read(bad, start=4.0)[:2] == [4, 5]
    bad.seek(0)
    assert warned(bad, start=4.6) == []
    bad.seek(0)
    assert reading.load(bad, sample_rate=RATE, duration=1.0, strict=True).shape == (RATE,)


def test_an_error_without_words_is_put_in_words() -> None:
    assert reader.one_line(OSError("Error number -16976906 occurred")) == "its decoder gave up"
    assert reader.one_line(OSError("Invalid data.")) == "Invalid data"


def test_damage_in_several_places_is_reported_once() -> None:
    content = mp3(steps(12))
    for at in (0.2, 0.4, 0.6, 0.8):
        content = with_bad_bytes(content, at)
    assert warned(io.BytesIO(content)) == ["damaged"]
    assert seconds_read(io.BytesIO(content))[-1] == 11


def test_what_holds_nothing_that_can_be_decoded_is_refused() -> None:
    content = written(steps(2), "FLAC")
    nothing = content[:200] + bytes(len(content) - 200)
    with pytest.raises(AudioError, match="damaged or cut short"):
        reading.load(io.BytesIO(nothing), sample_rate=RATE)


def test_pauses_of_speech_in_amr_are_silence_and_no_damage() -> None:
    frame = b"\x3c" + bytes(range(31))  # 12.2 kbit/s
    content = b"#!AMR\n" + frame * 50 + (b"\x44" + bytes(5)) * 50 + b"\x7c" * 50 + frame * 50
    samples = reading.load(io.BytesIO(content), sample_rate=8000)
    assert len(samples) == pytest.approx(200 * 160, abs=200)
    assert np.abs(samples[60 * 160 : 140 * 160]).max() == 0 and np.abs(samples[160 * 160 :]).max() > 0
    assert warned(io.BytesIO(content)) == []


# The clock


@pytest.mark.parametrize("container, codec", [("mp4", "aac"), ("matroska", "aac"), ("mpegts", "mp2"), ("flv", "aac")])
def test_sound_that_begins_late_keeps_its_times(container: str, codec: str) -> None:
    rate = 44100 if container == "flv" else 32000
    content = encoded([steps(6, rate)], container, codec, rate=rate, late=4.0, video=11)
    samples = reading.load(io.BytesIO(content), sample_rate=RATE)
    assert np.abs(samples[: 39 * RATE // 10]).max() < 0.01
    assert pitches(samples)[4:10] == list(range(6))
    for start in (2.0, 6.0):
        part = reading.load(io.BytesIO(content), sample_rate=RATE, start=start, duration=3.0)
        assert pitches(part) == pitches(samples)[int(start) : int(start) + 3]
    assert warned(io.BytesIO(content)) == []


@pytest.mark.parametrize("container", ["mpegts", "matroska"])
def test_missing_packets_are_silence(container: str) -> None:
    whole, file = io.BytesIO(encoded([steps(8)], container, "mp2")), io.BytesIO()
    with av.open(whole) as given, av.open(file, "w", format=container) as out:
        stream = out.add_stream_from_template(given.streams.audio[0])
        for packet in given.demux(given.streams.audio[0]):
            if packet.pts is not None and not 3 <= float((packet.pts) * packet.time_base) - _begin(given) < 5:
                packet.stream = stream
                out.mux(packet)
    found = seconds_read(file)
    assert found[:3] == [0, 1, 2] and found[3:5] == [None, None] and found[5:8] == [5, 6, 7]
    file.seek(0)
    assert warned(file) == ["damaged"]
    file.seek(0)
    assert seconds_read(file, start=6.0)[:2] == [6, 7]


def _begin(container: Any) -> float:
    return (container.start_time or 0) / 1e6


# Tracks and channels


def test_one_of_several_tracks(tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "two.mka"
    path.write_bytes(encoded([steps(3), steps(3, first=5)], "matroska", "aac"))
    assert (seconds_read(path)[:3], seconds_read(path, track=1)[:3], seconds_read(path, track=2)[:3]) == (
        [0, 1, 2],
        [0, 1, 2],
        [5, 6, 7],
    )
    assert warned(path) == ["tracks"]
    with pytest.raises(AudioError, match="has 2 tracks with sound; there is no track 3"):
        reading.load(path, sample_rate=RATE, track=3)
    recogniser = whoplays.load(tiny_model)
    assert recogniser.predict(path, track=2).scores != recogniser.predict(path).scores
    with pytest.raises(UsageError, match="numbered from 1"):
        recogniser.predict(path, track=0)
    soundfile.write(tmp_path / "a.wav", steps(1), 32000)
    with pytest.raises(AudioError, match="one track"):
        recogniser.predict(tmp_path / "a.wav", track=2)


@pytest.mark.parametrize("container", ["matroska", "mp4"])
def test_the_track_that_is_marked_as_the_default_is_used(container: str) -> None:
    whole, file = io.BytesIO(encoded([steps(3), steps(3, first=5)], container, "aac")), io.BytesIO()
    with av.open(whole) as given, av.open(file, "w", format=container) as out:
        streams = [out.add_stream_from_template(stream) for stream in given.streams.audio]
        streams[0].disposition, streams[1].disposition = av.stream.Disposition(0), av.stream.Disposition.default
        for packet in given.demux():
            if packet.pts is not None:
                packet.stream = streams[packet.stream.index]
                out.mux(packet)
    assert (seconds_read(file)[:3], seconds_read(file, track=1)[:3]) == ([5, 6, 7], [0, 1, 2])


def test_channels_that_cancel_each_other_are_not_silence(tiny_model: Path, tmp_path: Path) -> None:
    one = steps(3)
    path = tmp_path / "inverted.wav"
    soundfile.write(path, np.stack([one, -one], axis=1), 32000)
    np.testing.assert_allclose(reading.load(path, sample_rate=32000), one, atol=1e-3)
    recogniser = whoplays.load(tiny_model)
    inverted, plain = recogniser.predict(path), recogniser.predict(one, sample_rate=32000)
    assert inverted.scores == pytest.approx(plain.scores, abs=1e-3)
    assert [w.code for w in inverted.warnings if w.code == "channels"] == ["channels"]
    assert "cancel each other" in str(inverted.warnings[0])


def test_a_damaged_recording_is_predicted_with_a_warning_or_refused(tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "bad.mp3"
    path.write_bytes(with_bad_bytes(mp3(steps(6))))
    recogniser = whoplays.load(tiny_model)
    assert recogniser.predict(path).warnings[0].code == "damaged"
    with pytest.raises(AudioError, match="is damaged"):
        recogniser.predict(path, strict=True)


def test_command_server_and_data_set_read_it_alike(tiny_model: Path, tmp_path: Path) -> None:
    """A joined file in full, a damaged one with a warning, or refused on request."""
    for name in ("a", "b"):
        (tmp_path / "classes" / name).mkdir(parents=True)
        soundfile.write(tmp_path / "classes" / name / "take.wav", steps(6, first=3), 32000)
    joined, bad = tmp_path / "classes" / "a" / "joined.mp3", tmp_path / "classes" / "b" / "bad.mp3"
    joined.write_bytes(mp3(FIRST) + JUNK + mp3(SECOND, 22050))
    bad.write_bytes(with_bad_bytes(mp3(steps(6))))
    two = tmp_path / "two.mka"
    two.write_bytes(encoded([steps(3), steps(3, first=5)], "matroska", "aac"))
    recogniser = whoplays.load(tiny_model)

    def command(*words: str) -> tuple[int, list[dict[str, Any]]]:
        call = [sys.executable, "-m", "whoplays", "predict", *words, "--model", str(tiny_model), "--format", "jsonl"]
        done = subprocess.run(call, capture_output=True, text=True, timeout=COMMAND_S, check=False)
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]

    status, lines = command(str(joined), str(bad))
    assert status == 0 and [line["scores"] for line in lines] == [
        recogniser.predict(path).scores for path in (joined, bad)
    ]
    assert lines[0]["duration"] == pytest.approx(6, abs=0.1) and lines[1]["warnings"][0]["code"] == "damaged"
    status, lines = command(str(joined), str(bad), "--strict")
    assert status == 1 and "scores" in lines[0] and "is damaged" in lines[1]["error"]
    status, lines = command(str(two), "--track", "2")
    assert status == 0 and lines[0]["scores"] == recogniser.predict(two, track=2).scores

    settings: dict[str, Any] = {"features": "logmel", "clip_s": 2.0, "per_class": 0, "test": 0.0, "validation": 0.0}
    whole = dataset.build(tmp_path / "classes", tmp_path / "whole", dataset.BuildSettings(**settings), jobs=1)
    assert whole.rows["training"] == 12 and not whole.skipped
    with (tmp_path / "whole" / "damaged.csv").open(newline="") as file:
        damaged_rows = list(csv.DictReader(file))
    assert {row["path"] for row in damaged_rows} == {"b/bad.mp3"} and all(
        "could not be decoded" in row["damage"] for row in damaged_rows
    )
    assert any(f"{len(damaged_rows)} damaged clips are used" in remark for remark in whole.remarks)
    strict = dataset.BuildSettings(**settings, strict=True)
    sound = dataset.build(tmp_path / "classes", tmp_path / "sound", strict, jobs=1)
    assert 1 <= len(sound.skipped) <= 2 and all("is damaged" in item.cause for item in sound.skipped)

    with serving(tiny_model) as running:
        assert running.post(bad).json()["warnings"][0]["code"] == "damaged"
        assert "is damaged" in running.post(bad, strict="true").text
        assert running.post(joined).json()["duration"] == pytest.approx(6, abs=0.1)
        assert running.post(two, track="2").json()["scores"] == recogniser.predict(two, track=2).scores


def test_a_clock_that_leaps_asks_for_an_hour_of_silence_at_most() -> None:
    """All leaps together; a few bytes could ask for days otherwise. What comes after one too many follows at once."""
    gaps: list[Gap] = []
    clock, block = Clock(0.0, gaps), np.ones((10, 1), dtype=np.float32)
    placed = [
        sum(len(part) for part, _ in clock.place(block, 10, at)) / 10 for at in (0.0, 2001.0, 4002.0, 4003.0, 0.0)
    ]
    assert placed == [1.0, 2001.0, 1.0, 1.0, 1.0]
    assert gaps == [Gap(1.0, 2001.0, "nothing is there")]


def test_the_walks_of_containers_exist() -> None:
    named = [
        *containers._BY_BEGINNING.values(),
        *re.findall(r'"(\w+\.(?:walk|end)\w*)"', inspect.getsource(containers._kind)),
    ]
    for module, function in (name.split(".") for name in named):
        assert callable(getattr(importlib.import_module(f"whoplays.audio.{module}"), function))
