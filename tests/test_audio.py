"""Every format and every kind of bad input, through the one door."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from conftest import tone
from whoplays.audio import opening, reading
from whoplays.audio.content import WatchedFile
from whoplays.errors import AudioError


def write(path: Path, samples: np.ndarray, rate: int = 44100, **options) -> Path:
    soundfile.write(path, samples, rate, **options)
    return path


def write_with_ffmpeg(
    path: Path, samples: np.ndarray, codec: str, rate: int = 44100, *, video: bool = False, title: str = ""
) -> Path:
    with av.open(str(path), "w") as container:
        container.metadata["title"] = title
        if video:
            picture = container.add_stream("mpeg4", rate=10)
            picture.width, picture.height, picture.pix_fmt = 32, 32, "yuv420p"
        stream = container.add_stream(codec, rate=rate)
        stream.layout = "stereo"
        frame = av.AudioFrame.from_ndarray(np.stack([samples, samples]), format="fltp", layout="stereo")
        frame.sample_rate = rate
        if video:
            still = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), dtype=np.uint8), format="rgb24")
            for packet in [*picture.encode(still), *picture.encode(None)]:
                container.mux(packet)
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return path


def peak_hz(samples: np.ndarray, rate: int) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax() * rate / len(samples))


@pytest.mark.parametrize(
    "name", ["a.wav", "a.flac", "a.ogg", "a.mp3", "a.aiff", "a.opus", "a.m4a", "a.mp4", "a.mka", "a.w64"]
)
def test_every_format_gives_the_same_tone(tmp_path: Path, name: str) -> None:
    path, rate = tmp_path / name, 48000
    samples = tone(1000.0, 2.0, rate)
    if path.suffix in (".m4a", ".mp4", ".mka"):
        write_with_ffmpeg(path, samples, "aac", rate, video=path.suffix == ".mp4")
    elif path.suffix == ".opus":
        write(path, samples, rate, format="OGG", subtype="OPUS")
    else:
        write(path, samples, rate)
    loaded = reading.load(path, sample_rate=16000)
    assert loaded.dtype == np.float32
    assert len(loaded) == pytest.approx(32000, abs=1600)
    assert peak_hz(loaded[4000:20000], 16000) == pytest.approx(1000, abs=2)
    assert np.sqrt(np.mean(loaded[4000:20000] ** 2)) == pytest.approx(
        0.5 / np.sqrt(2), rel=0.06
    )  # lossy codecs cost a little
    assert opening.probe(path).duration == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 96000, 192000])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "FLOAT", "PCM_U8"])
def test_rates_and_depths_agree(tmp_path: Path, rate: int, subtype: str) -> None:
    loaded = reading.load(write(tmp_path / "a.wav", tone(440.0, 0.5, rate), rate, subtype=subtype), sample_rate=22050)
    assert peak_hz(loaded, 22050) == pytest.approx(440, abs=3)
    assert np.abs(loaded[2000:-2000]).max() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("channels", [1, 2, 6, 8])
def test_channels_are_averaged(tmp_path: Path, channels: int) -> None:
    samples = np.stack([tone(440.0, 0.5, 44100) * (i + 1) / channels for i in range(channels)], axis=1)
    loaded = reading.load(write(tmp_path / "a.wav", samples), sample_rate=44100)
    np.testing.assert_allclose(loaded, samples.mean(axis=1), atol=1e-4)


@pytest.mark.parametrize("name", ["a.flac", "a.m4a"])
def test_a_part_is_the_same_as_that_part_of_the_whole(tmp_path: Path, name: str) -> None:
    samples = np.cumsum(np.random.default_rng(0).normal(0, 0.004, 44100 * 6)).astype(np.float32).clip(-0.9, 0.9)
    path = tmp_path / name
    write(path, samples) if name.endswith("flac") else write_with_ffmpeg(path, samples, "aac")
    whole = reading.load(path, sample_rate=44100)
    part = reading.load(path, sample_rate=44100, start=2.5, duration=1.25)
    assert len(part) == 55125
    np.testing.assert_allclose(part[500:-500], whole[110250 : 110250 + 55125][500:-500], atol=0.02)


def test_streaming_resampling_equals_doing_it_at_once() -> None:
    samples = np.random.default_rng(1).standard_normal(50_000).astype(np.float32)
    blocks = np.array_split(samples, [1, 777, 20_000, 20_001, 45_000])
    pieces = np.concatenate(list(reading.resampled(blocks, 44100, 22050)))
    np.testing.assert_allclose(pieces, np.concatenate(list(reading.resampled([samples], 44100, 22050))), atol=1e-5)


def bad_files(folder: Path) -> dict[str, tuple[Path, str]]:
    flac = write(folder / "whole.flac", np.stack([tone(440.0, 12.0, 44100)] * 2, axis=1)).read_bytes()
    wav = write(folder / "whole.wav", tone(440.0, 1.0, 44100)).read_bytes()
    silent_video = folder / "picture.mp4"
    with av.open(str(silent_video), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), dtype=np.uint8), format="rgb24")
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    header = bytearray(wav)
    header[22:24] = (10_000).to_bytes(2, "little")
    contents = {
        "text.wav": (b"hello, this is no audio\n" * 50, "is not a recording"),
        "empty.wav": (b"", "is empty"),
        "cut.flac": (flac[:600], "damaged or cut short"),
        "head.wav": (wav[:30], "is not a recording"),
        "channels.wav": (bytes(header), "channels|is not a recording"),
        "noise.mp3": (bytes(np.random.default_rng(0).integers(0, 256, 9000, dtype=np.uint8)), "."),
    }
    found = {
        "missing.wav": (folder / "missing.wav", "no such file"),
        "folder": (folder, "is a folder"),
        "video": (silent_video, "no sound"),
    }
    for name, (content, text) in contents.items():
        (folder / name).write_bytes(content)
        found[name] = (folder / name, text)
    for name, values, text in (
        ("nan.wav", np.nan, "NaN or infinite"),
        ("inf.wav", np.inf, "NaN or infinite"),
        ("loud.wav", 30000.0, "full scale is 1"),
    ):
        found[name] = (write(folder / name, np.full(100, values), subtype="FLOAT"), text)
    return found


def test_what_cannot_be_used_says_why_in_one_line(tmp_path: Path) -> None:
    for name, (path, text) in bad_files(tmp_path).items():
        with pytest.raises(AudioError, match=text) as caught:
            loaded = reading.load(path, sample_rate=22050)
            raise AudioError(f"{name} was read as {loaded.shape}")
        assert "\n" not in str(caught.value), name
        assert len(str(caught.value)) < 400, name


@given(
    content=st.binary(max_size=400),
    head=st.sampled_from([b"RIFF", b"fLaC", b"OggS", b"ID3\x04", b"\xff\xfb\x90", b"\0\0\0\x18ftyp", b""]),
)
def test_arbitrary_bytes_never_raise_anything_else(content: bytes, head: bytes) -> None:
    try:
        reading.load(io.BytesIO(head + content), sample_rate=22050)
    except AudioError:
        pass


@pytest.mark.parametrize(
    "samples", [np.zeros((3, 4, 5)), np.zeros((5, 100)), np.array(["a"]), np.array([1 + 2j]), np.full(9, np.nan)]
)
def test_arrays_that_are_no_samples_are_refused(samples: np.ndarray) -> None:
    with pytest.raises(AudioError):
        reading.mono(samples)


def test_integers_are_scaled() -> None:
    np.testing.assert_allclose(reading.mono(np.array([0, 16384, -32768], dtype=np.int16)), [0, 0.5, -1])


class FailsOnce(io.BytesIO):
    """A file on a disk that fails at one read, and goes on as if nothing had been."""

    def __init__(self, content: bytes, at: int) -> None:
        super().__init__(content)
        self.left = at

    def readinto(self, buffer) -> int:
        self._step()
        return super().readinto(buffer)

    def read(self, size: int | None = -1, /) -> bytes:
        self._step()
        return super().read(size)

    def _step(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise OSError(5, "Input/output error")


@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "OGG", "MP3"])
def test_a_disk_that_fails_once_is_reported_and_affects_no_other_recording(kind: str) -> None:
    """libsndfile goes on over a failed read of a header, and finds another rate, length or format."""
    samples = tone(440, 0.5, 22050)
    written, other = io.BytesIO(), io.BytesIO()
    soundfile.write(written, samples, 22050, format=kind)
    soundfile.write(other, samples[:5000], 32000, format="WAV", subtype="FLOAT")
    whole = reading.load(io.BytesIO(written.getvalue()), sample_rate=22050)
    reported = 0
    for at in range(1, 1000):
        file = FailsOnce(written.getvalue(), at)
        try:
            loaded = reading.load(file, sample_rate=22050)
        except AudioError as error:
            assert "cannot be read (Input/output error)" in str(error)
            reported += 1
        else:
            assert np.array_equal(loaded, whole)
        after = opening.probe(io.BytesIO(other.getvalue()))
        assert (after.sample_rate, after.duration, after.format) == (32000, 5000 / 32000, "WAV")
        assert np.array_equal(reading.load(io.BytesIO(other.getvalue()), sample_rate=32000), samples[:5000])
        if file.left > 0:
            break
    assert reported >= 3 and file.left > 0


def test_a_file_that_only_reads_is_read(tmp_path: Path) -> None:
    class Plain:
        def __init__(self, path: Path) -> None:
            file = io.BytesIO(path.read_bytes())
            self.read, self.seek, self.tell = file.read, file.seek, file.tell

    path = write(tmp_path / "a.flac", tone(440, 0.3))
    assert np.array_equal(reading.load(Plain(path), sample_rate=44100), reading.load(path, sample_rate=44100))


@pytest.mark.parametrize("name", ["a.au", "a.snd", "a.vox"])
def test_a_name_alone_makes_no_recording(tmp_path: Path, name: str) -> None:
    """By such names libsndfile takes any bytes for a telephone's sound."""
    path = tmp_path / name
    path.write_bytes(b"Dear all, the minutes of our meeting are below.\n" * 50)
    with pytest.raises(AudioError, match="is not a recording"):
        opening.probe(path)


def test_tags_that_are_no_text_are_no_error(tmp_path: Path) -> None:
    path, title = tmp_path / "a.m4a", b"a title of a song"
    write_with_ffmpeg(path, tone(440.0, 1.0, 44100), "aac", 44100, title=title.decode())
    content = path.read_bytes()
    assert content.count(title) == 1
    path.write_bytes(content.replace(title, b"\xff\xfe\x80" + title[3:]))
    assert opening.probe(path).duration == pytest.approx(1.0, abs=0.1)


def test_pyav_19_has_no_argument_for_tags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, real = tmp_path / "a.m4a", av.open
    write_with_ffmpeg(path, tone(440.0, 1.0, 44100), "aac", 44100)
    monkeypatch.setattr(av, "__version__", "19.0.2")
    monkeypatch.setattr(av, "open", lambda file, options: real(file, options=options))
    assert opening.probe(path).duration == pytest.approx(1.0, abs=0.1)


def test_a_place_that_no_file_has_is_the_files_fault_and_not_its_disks(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(100))

    class Refusing(io.FileIO):
        def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
            if offset > 1 << 62:
                raise OSError(errno.EINVAL, "Invalid argument")
            return super().seek(offset, whence)

    with Refusing(path) as file:
        watched = WatchedFile(file)
        assert watched.seek(10) == 10
        assert watched.seek((1 << 63) - 1) == 10 and watched.seek(-5) == 10, "it stays where it is"
        assert watched.error is None and len(watched.read()) == 90
