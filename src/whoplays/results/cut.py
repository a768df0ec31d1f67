"""Spans of recordings -> FLAC files with the recording's own samples, rate and channels."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..audio import opening
from ..audio.reader import Reader
from ..errors import AudioError, UsageError
from ..storage.address import is_address
from ..storage.files import common_folder, make_folder, own_name, write_atomically
from .spans import Spans

MAX_CHANNELS, MAX_RATE = 8, 655_350  # of FLAC


def plan(folder: Path, wanted: Iterable[tuple[str, Spans]], *, overwrite: bool) -> list[tuple[str, float, float, Path]]:
    """Return (recording, start, end, file) of what is to be written, in the same tree of folders as the recordings.

    Raises `UsageError` when a file is there and may not be replaced, and for recordings that are not on this machine.
    """
    wanted = [(path, spans) for path, spans in wanted if spans]
    if far := next((path for path, _ in wanted if is_address(path)), ""):
        raise UsageError(f"--cut is for recordings on this machine, not for {far}")
    parents = {os.path.dirname(os.path.abspath(path)) for path, _ in wanted}  # noqa: PTH100, PTH120 - links are not followed
    root = common_folder(parents)
    taken: dict[str, str] = {}
    found = []
    for path, spans in wanted:
        place = folder / os.path.relpath(os.path.abspath(path), root)  # noqa: PTH100
        name = own_name(taken, path, place, "")
        found += [(path, s, e, name.with_name(f"{name.name}_{s:08.2f}-{e:08.2f}.flac")) for s, e in spans]
    if there := [] if overwrite else [file for *_, file in found if file.exists()]:
        raise UsageError(f"{there[0]}: exists already; --overwrite replaces it, or name another folder")
    return found


def write(recording: str, start: float, end: float, file: Path, *, fade_s: float = 0.0) -> None:
    """Write a span of a recording as FLAC of 24 bits, which hold samples of up to 24 bits exactly.

    start, end: seconds; the first sample is the one nearest to `start`. file: written whole or not at all; its folder is made.
    fade_s: seconds of a fade in and out (raised cosine); 0 leaves the samples as they are. Raises `AudioError` for a recording
    that cannot be read, has nothing there, or has more channels, or another rate, than FLAC can hold, and `WhoplaysError` when
    the file cannot be written.
    """
    import soundfile

    with opening.open_audio(recording) as reader:
        rate, channels = reader.info.sample_rate, reader.info.channels
        if channels > MAX_CHANNELS or rate > MAX_RATE:
            raise AudioError(f"has {channels} channels at {rate} Hz; FLAC holds {MAX_CHANNELS} at {MAX_RATE} Hz")
        total, fade = round(end * rate) - round(start * rate), round(fade_s * rate)
        blocks = _span(reader, start, total, rate, channels)
        first = next(blocks, None)
        if first is None:
            raise AudioError(f"holds no sound at {start:.2f} s")

        def content(to: IO[bytes]) -> None:
            done = 0
            with soundfile.SoundFile(to, "w", rate, channels, "PCM_24", format="FLAC") as out:
                for block in chain([first], blocks):
                    out.write(_as_integers(_faded(block, done, total, fade)))
                    done += len(block)

        make_folder(file.parent)
        write_atomically(file, content)


def _span(reader: Reader, start: float, left: int, rate: int, channels: int) -> Iterator[NDArray[Any]]:
    for block, block_rate in reader.blocks(start=start):
        if left <= 0:
            return
        if block_rate != rate or block.shape[1] != channels:
            raise AudioError(f"changes its rate or channels near {start:.2f} s, which one FLAC file cannot hold")
        yield block[:left]
        left -= len(block)


def _faded(block: NDArray[Any], at: int, total: int, fade: int) -> NDArray[Any]:
    """Return samples (n, channels), the first of which is number `at` of `total`, with their part of the fades."""
    if not fade:
        return block
    place = np.arange(at, at + len(block))
    inside = np.minimum(place + 0.5, total - place - 0.5) / min(fade, total / 2)
    return np.asarray(block * (0.5 - 0.5 * np.cos(np.pi * np.clip(inside, 0, 1)))[:, None])


def _as_integers(block: NDArray[Any]) -> NDArray[np.int32]:
    """Return samples as 32-bit integers whose upper 24 bits are the sample; libsndfile would scale floats by 2^23 - 1."""
    steps = np.clip(np.rint(block.astype(np.float64) * (1 << 23)), -(1 << 23), (1 << 23) - 1)
    return np.asarray(steps.astype(np.int32) << 8)
