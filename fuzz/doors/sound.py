"""Recordings: valid ones of every container, made here, with their headers and bodies changed."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mutate
import numpy as np
import soundfile

from whoplays.audio import opening, reading
from whoplays.errors import AudioError, WhoplaysError
from whoplays.results import tags

from . import Door, told_in_one_line
from .text import heard

RATE = 16000  # Hz that the door asks for
MOST_S = 7200  # seconds of sound that a file of some KiB may turn out to hold


def _tone(seconds: float, rate: int, channels: int) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    tone = 0.3 * np.sin(2 * np.pi * 440 * time) + 0.01 * np.random.default_rng(0).normal(size=len(time))
    return np.repeat(tone[:, None], channels, axis=1).astype(np.float32)


def _written(kind: str, subtype: str | None = None, rate: int = 8000, channels: int = 1) -> bytes:
    """Return a short recording as libsndfile writes it."""
    file = io.BytesIO()
    soundfile.write(file, _tone(0.15, rate, channels), rate, format=kind, subtype=subtype)
    return file.getvalue()


def _encoded(container: str, codec: str, rate: int = 16000) -> bytes:
    """Return a short recording as FFmpeg writes it."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream: Any = out.add_stream(codec, rate=rate, layout="mono")
        stream.bit_rate = 64_000
        size = stream.codec_context.frame_size or 1024
        samples = _tone(0.3, rate, 1)[:, 0]
        resampler = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=rate)
        for at in range(0, len(samples) - size, size):
            frame = av.AudioFrame.from_ndarray(samples[None, at : at + size], format="flt", layout="mono")
            frame.sample_rate, frame.pts = rate, at
            for piece in resampler.resample(frame):
                out.mux(stream.encode(piece))
        out.mux(stream.encode(None))
    return file.getvalue()


def _hear(suffix: str) -> Callable[[bytes, Path], None]:
    def run(data: bytes, scratch: Path) -> None:
        path = scratch / f"sound.{suffix}"
        path.write_bytes(data)
        start = 0.05 if len(data) % 5 == 0 else 0.0
        heard_s = 0.0
        try:
            info = opening.probe(path)
            assert info.duration is None or info.duration >= 0, info
            with reading.open_recording(path, sample_rate=RATE, start=start) as recording:
                for block in recording.blocks():
                    assert block.dtype == np.float32 and np.isfinite(block).all()
                    heard_s += len(block) / RATE
                    if heard_s > MOST_S:
                        break
                for warning in recording.warnings(heard_s):
                    assert str(warning).isprintable() and len(str(warning)) < 1000, warning
        except AudioError as error:
            told_in_one_line(error)

    return run


def _tag(suffix: str) -> Callable[[bytes, Path], None]:
    def run(data: bytes, scratch: Path) -> None:
        path = scratch / f"tagged.{suffix}"
        path.write_bytes(data)
        try:
            tags.write(path, heard()[0])
        except WhoplaysError as error:
            told_in_one_line(error)
            assert path.read_bytes() == data
        assert [entry.name for entry in scratch.iterdir() if entry.name.startswith(".whoplays")] == []

    return run


def _door(name: str, seeds: Callable[[], list[bytes]], *, change: Any = mutate.octets, tokens: Any = ()) -> Door:
    return Door(name, seeds, _hear(name), change, tokens, quick=25, timeout=20.0)


def _wav(data: bytes, rng: random.Random, **more: Any) -> bytes:
    """Change octets, or put a chunk of a made-up size before the data."""
    if rng.random() < 0.8:
        return mutate.octets(data, rng, **more)
    at = data.find(b"data")
    name = rng.choice(
        (b"LIST", b"fact", b"bext", b"cue ", b"smpl", b"inst", b"PEAK", b"ds64", b"junk", b"fmt ", b"id3 ")
    )
    size = rng.choice(mutate.NUMBERS) & 0xFFFFFFFF
    return data[:at] + name + size.to_bytes(4, "little") + rng.randbytes(min(size, 40)) + data[at:]


def _waves() -> list[bytes]:
    kinds = [("WAV", kind) for kind in ("PCM_16", "PCM_24", "FLOAT", "ALAW", "IMA_ADPCM", "MS_ADPCM", "GSM610")]
    return [*(_written(*kind) for kind in kinds), _written("WAVEX", "PCM_32", channels=6), _written("RF64", "PCM_16")]


def _joined() -> list[bytes]:
    """Return streams one behind the other, some with junk between."""
    mp3, ogg, flac, wav = (
        _written("MP3"),
        _written("OGG", "VORBIS"),
        _written("FLAC", "PCM_16"),
        _written("WAV", "PCM_16"),
    )
    pairs = [
        (mp3, _written("MP3", rate=16000)),
        (ogg, _written("OGG", "OPUS")),
        (flac, flac),
        (wav, _written("WAV", "PCM_24")),
    ]
    kinds = (
        ("mp4", "aac"),
        ("matroska", "aac"),
        ("adts", "aac"),
        ("wv", "wavpack"),
        ("tta", "tta"),
        ("voc", "pcm_s16le"),
    )
    boxes = [(_encoded(*kind),) * 2 for kind in (*kinds, ("ac3", "ac3", 48000))] + [
        (wav, flac),
        (_encoded("flv", "mp3", 44100),) * 2,
    ]
    return [first + bytes(37) * (number % 2) + second for number, (first, second) in enumerate(pairs + boxes)]


def _headerless() -> list[bytes]:
    """Return recordings whose header tells no length: as a pipe or a crashed recorder leaves them."""
    marks = {"WAV": (b"data", 4, 4), "W64": (b"data\xf3", 16, 8), "CAF": (b"data", 4, 8), "AIFF": (b"SSND", 4, 4)}
    found = []
    for kind, (mark, offset, width) in marks.items():
        content = _written(kind, "PCM_16")
        at = content.find(mark) + offset
        found += [content[:at] + fill * width + content[at + width :] for fill in (b"\0", b"\xff")]
    flac = bytearray(_written("FLAC", "PCM_16"))
    flac[21:26] = bytes([flac[21] & 0xF0, 0, 0, 0, 0])
    return [*found, bytes(flac)]


def _changing() -> list[bytes]:
    """Return broadcasts whose rate or codec changes in the middle."""
    kinds = [("mp2", 48000), ("mp2", 32000), ("ac3", 48000)]
    first, second, third = (_encoded("mpegts", codec, rate) for codec, rate in kinds)
    return [first + second, first + third, _encoded("adts", "aac", 44100) + _encoded("adts", "aac", 22050)]


_BOXES = (b"moov", b"stsz", b"stco", b"stsc", b"esds", b"mdat", b"trak", b"elst", b"alac", b"mp4a", b"moof", b"dref")
_DREF = b"url \x00\x00\x00\x00file:///etc/passwd\x00"

DOORS = [
    _door("wav", _waves, change=_wav, tokens=(b"RIFF", b"fmt ", b"data", b"WAVE", b"\xfe\xff", b"\xff\xff\xff\xff")),
    _door("flac", lambda: [_written("FLAC", "PCM_16"), _written("FLAC", "PCM_24", channels=2)], tokens=(b"fLaC",)),
    _door(
        "ogg",
        lambda: [_written("OGG", "VORBIS"), _written("OGG", "OPUS"), _written("OGG", "VORBIS", channels=2)],
        change=mutate.pages,
        tokens=(b"OggS", b"vorbis", b"OpusHead", b"OpusTags", b"Speex   ", b"fishead"),
    ),
    _door("mp3", lambda: [_written("MP3"), _written("MP3", rate=44100, channels=2)], tokens=(b"ID3", b"TAG", b"Xing")),
    _door(
        "mp4",
        lambda: [_encoded("mp4", "aac"), _encoded("ipod", "alac"), _encoded("mov", "pcm_s16le")],
        tokens=(*_BOXES, _DREF),
    ),
    _door("mkv", lambda: [_encoded("matroska", "libopus", 48000), _encoded("matroska", "flac")]),
    _door("aiff", lambda: [_written("AIFF", "PCM_16"), _written("AU", "ULAW"), _written("CAF", "ALAC_16")]),
    _door("wma", lambda: [_encoded("asf", "wmav2", 44100), _encoded("adts", "aac"), _encoded("ac3", "ac3", 48000)]),
    _door(
        "joined",
        _joined,
        tokens=(
            b"OggS",
            b"fLaC",
            b"RIFF",
            b"ID3",
            b"TAG",
            b"Xing",
            b"ftyp",
            b"\x1a\x45\xdf\xa3",
            b"wvpk",
            b"TTA1",
            b"FLV\1",
        ),
    ),
    _door(
        "headerless", _headerless, tokens=(b"data", b"SSND", b"COMM", b"desc", b"fmt ", b"fLaC", b"\xff\xff\xff\xff")
    ),
    _door("changing", _changing, tokens=(b"\x47", b"\xff\xf1", b"\x0b\x77")),
    _door(
        "m3u8",  # FFmpeg reads playlists: they name other files and addresses
        lambda: [b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"],
        tokens=(
            b"#EXT-X-KEY:METHOD=AES-128,URI=",
            b"http://127.0.0.1:9/",
            b"concat:",
            b"ffconcat version 1.0\nfile x\n",
        ),
    ),
    *(
        Door(f"tags-{kind}", seeds, _tag(kind), mutate.octets, (), quick=10, timeout=20.0)
        for kind, seeds in {
            "mp3": lambda: [_written("MP3")],
            "flac": lambda: [_written("FLAC", "PCM_16")],
            "ogg": lambda: [_written("OGG", "VORBIS"), _written("OGG", "OPUS")],
            "m4a": lambda: [_encoded("ipod", "aac")],
            "wav": lambda: [_written("WAV", "PCM_16")],
        }.items()
    ),
]
