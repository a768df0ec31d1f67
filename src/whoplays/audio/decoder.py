"""Decoding in a process of its own, so that a file which breaks a decoder costs its own line and nothing else.

The other side of `Decoder` is `python -m whoplays.audio.decoder`: it reads one order a line from standard input, opens the
file, measures it, brings it to one channel at the requested rate, and writes frames to standard output: a letter, a
size, and so many bytes. It has given up memory beyond a limit and the writing of files, and what decoders print for
themselves goes nowhere. This keeps crashes, endless loops and greed in; it is no prison for hostile code (the server
has one: serve/worker.py).
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NoReturn, Unpack

import numpy as np

from ..errors import AudioError, MissingExtraError, ReadError, WhoplaysError
from ..runtime.environment import DECODE_APART, ONE_THREAD
from ..runtime.sandbox import confine, how_ended
from . import opening, quality, reading
from .clock import Array

STUCK_S = 120.0  # without a block: far more than a block of a second takes on any machine and disk
MEMORY = 2 << 30  # bytes beyond what starting takes
MAX_FRAME = 64 << 20
TOGETHER_S = 5.0  # seconds in a frame: a window takes more than that, and each frame costs two changes of process
#: What a decoding process may fail with, as its frames name it; the first that fits.
_KINDS: dict[str, type[WhoplaysError]] = {"read": ReadError, "audio": AudioError, "missing": MissingExtraError}
_HEAD = struct.Struct("<cI")
_PIPE = 1 << 20  # bytes that can be decoded ahead

#: Whether this system can: processes with limits, and pipes that can be waited for.
POSSIBLE = os.name == "posix"


@cache
def shared() -> Decoder:
    """Return the decoder of this process, which ends with it."""
    found = Decoder()
    atexit.register(found.close)
    return found


def _apart() -> bool:
    return POSSIBLE and bool(os.environ.get(DECODE_APART))


def load(
    path: Path, *, sample_rate: int, damage: list[quality.QualityWarning] | None = None, **part: Unpack[reading.Excerpt]
) -> Array:
    """Return what `reading.load` returns, decoded here, or in a process of its own where `DECODE_APART` is set."""
    if not _apart():
        return reading.load(path, sample_rate=sample_rate, damage=damage, **part)
    return reading.whole(shared().decode(os.fspath(path), sample_rate=sample_rate, **part), damage)


def duration_of(path: Path) -> float | None:
    """Return what `opening.duration_of` returns; `DECODE_APART` as for `load`."""
    return shared().duration_of(path) if _apart() else opening.duration_of(path)


class Decoder:
    """One decoding process, started when it is first needed and again after it died. For one thread at a time."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._process: subprocess.Popen[bytes] | None = None

    def decode(self, path: str, *, sample_rate: int, **part: Unpack[reading.Excerpt]) -> Decoded:
        """Begin to decode a file; see `reading.open_recording`. Raises `AudioError` for what cannot be opened."""
        sent = self._ordered({"path": path, "rate": sample_rate, **part})
        return Decoded(sent["sample_rate"], self)

    def _ordered(self, order: dict[str, Any]) -> dict[str, Any]:
        """Send an order; return what its first answer says of the file."""
        process = self._started()
        assert process.stdin
        try:
            process.stdin.write(json.dumps(order).encode() + b"\n")
            process.stdin.flush()
        except OSError:
            self._died()
        _, content = self.frame()
        answer: dict[str, Any] = json.loads(content)
        return answer

    def duration_of(self, path: Path) -> float | None:
        """Return what `opening.duration_of` returns. Raises `AudioError`."""
        seconds: float | None = self._ordered({"path": os.fspath(path)})["duration"]
        return seconds

    def frame(self) -> tuple[bytes, bytearray]:
        """Return the next frame. Raises `AudioError` for one that reports a failure, and when the process is lost."""
        kind, size = _HEAD.unpack(self._read(_HEAD.size))
        if size > MAX_FRAME or kind not in b"ibdf":
            self.close()
            raise AudioError("cannot be decoded: its decoder lost its way, and was ended")
        content = self._read(size)
        if kind == b"f":
            sent = json.loads(content)
            raise _KINDS[sent["kind"]](sent["error"])
        return kind, content

    def _read(self, size: int) -> bytearray:
        assert self._process and self._process.stdout
        content = bytearray(size)
        left = memoryview(content)
        while left:
            if not select.select([self._process.stdout], [], [], STUCK_S)[0]:
                self.close()
                raise AudioError(f"cannot be decoded: its decoder gave nothing for {STUCK_S:g} s and was ended")
            got = os.readv(self._process.stdout.fileno(), [left])
            if not got:
                self._died()
            left = left[got:]
        return content

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process and self._process.poll() is not None:
            self.close()
        if self._process is None:
            # -P: nothing is imported from the folder one happens to be in
            command = [sys.executable, "-P", "-m", __name__]
            pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
            # glibc would give each block's memory back to the system and ask for it again: a tenth of the time
            keep = {"MALLOC_TRIM_THRESHOLD_": str(32 << 20), "MALLOC_MMAP_THRESHOLD_": str(16 << 20)}
            # A session of its own: Ctrl-C is its user's to handle, who ends it.
            self._process = subprocess.Popen(
                command, **pipes, bufsize=0, start_new_session=True, env={**keep, **os.environ, **ONE_THREAD}
            )
            assert self._process.stdout
            with contextlib.suppress(ImportError, AttributeError, OSError):
                import fcntl

                fcntl.fcntl(self._process.stdout, fcntl.F_SETPIPE_SZ, _PIPE)
        return self._process

    def _died(self) -> NoReturn:
        assert self._process
        with contextlib.suppress(subprocess.TimeoutExpired):  # it has closed its side, so it is about to end
            self._process.wait(10)
        self._process.kill()
        status = self._process.wait()
        self.close()
        how = how_ended(status)
        raise AudioError(f"cannot be decoded: its decoder crashed ({how}); the file is damaged, or made to do that")

    def kill(self) -> None:
        """Let the thread that reads find the process dead; for another thread."""
        if process := self._process:
            process.kill()

    def close(self) -> None:
        """End the process."""
        if self._process:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                assert pipe
                with contextlib.suppress(OSError):
                    pipe.close()
            self._process = None


@dataclass
class Decoded:
    """A recording on its way out of a decoding process; `blocks` first, then `warnings`. sample_rate: its own, Hz."""

    sample_rate: int
    _decoder: Decoder
    _warnings: list[quality.QualityWarning] = field(default_factory=list)

    def blocks(self) -> Iterator[Array]:
        """Yield mono blocks (n,) at the requested rate. Raises `AudioError`. What is not read to its end is ended."""
        try:
            while (frame := self._decoder.frame())[0] != b"d":
                yield np.frombuffer(frame[1], dtype=np.float32)
        except AudioError:
            raise
        except BaseException:  # left, or interrupted
            self._decoder.close()
            raise
        self._warnings = [quality.QualityWarning(**sent) for sent in json.loads(frame[1])]

    def warnings(self, duration: float) -> list[quality.QualityWarning]:
        """Return what the process noticed (see `reading.Recording.warnings`)."""
        return self._warnings


def main() -> None:
    """Follow orders from standard input until it ends."""
    confine(MEMORY)
    for line in sys.stdin.buffer:
        order = json.loads(line)
        try:
            if "rate" in order:
                _decode(order.pop("path"), order.pop("rate"), order)
            else:
                _tell(b"i", json.dumps({"duration": opening.duration_of(order["path"])}).encode())
        except (AudioError, MissingExtraError) as error:
            kind = next(name for name, kind in _KINDS.items() if isinstance(error, kind))
            _tell(b"f", json.dumps({"error": str(error), "kind": kind}).encode())
        except MemoryError:
            sent = f"cannot be decoded: it needs more memory than the {MEMORY / (1 << 30):g} GiB it may take"
            _tell(b"f", json.dumps({"error": sent, "kind": "audio"}).encode())


def _decode(path: str, rate: int, part: dict[str, Any]) -> None:
    with reading.open_recording(path, sample_rate=rate, **part) as recording:
        _tell(b"i", json.dumps({"sample_rate": recording.sample_rate}).encode())
        decoded = sent = 0
        held: list[Array] = []
        for block in recording.blocks():
            decoded += len(block)
            held.append(block)
            if decoded - sent >= rate * TOGETHER_S:
                _tell(b"b", np.concatenate(held).tobytes())
                held, sent = [], decoded
        if decoded > sent:
            _tell(b"b", np.concatenate(held).tobytes())
        _tell(b"d", json.dumps([warning.to_dict() for warning in recording.warnings(decoded / rate)]).encode())


def _tell(kind: bytes, content: bytes) -> None:
    """Write a frame."""
    sys.stdout.buffer.write(_HEAD.pack(kind, len(content)) + content)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
