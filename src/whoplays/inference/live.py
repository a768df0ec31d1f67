"""From a microphone, while it plays: scores a few times a second, and at the end the same answer as for a file.

Two things get the same samples. The *answer* is `Recogniser.predict_stream` over all of them, in the very windows a
file would be cut into. The *live* scores are of the last seconds, computed anew at every step. The only user of
sounddevice.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..audio import reading
from ..audio.clock import Array
from ..audio.reading import mono
from ..errors import AudioError, UsageError
from ..runtime.interrupts import deferred_interrupts
from ..runtime.packages import needed
from .prediction import Prediction
from .recogniser import Recogniser

STEP_S = 0.5
BLOCK_S = 0.1
BEHIND_S = 120.0  # of sound that may wait in front of a microphone
GONE_S = 5.0  # without a block, until a device counts as unplugged
WAITING = 100  # blocks between a source and the answer; a source that is no device waits when there are more


@dataclass(frozen=True)
class Live:
    """What plays now. at: seconds since the beginning. scores: of the last step, by label."""

    at: float
    scores: dict[str, float]
    level_db: float


class Source(ABC):
    """Where samples come from: a device, or a stand-in for one."""

    sample_rate: int

    @abstractmethod
    def blocks(self) -> Iterator[NDArray[Any]]:
        """Yield blocks (n,) or (n, channels) as they come, until it is closed. Raises `AudioError`."""

    @abstractmethod
    def close(self) -> None:
        """End `blocks`."""


class Microphone(Source):
    """A sound device's input."""

    def __init__(self, device: str | int | None = None) -> None:
        """device: number or part of a name, as `devices()` lists; None: the system's default.

        Raises `MissingExtraError` without sounddevice, `AudioError` when there is no such device or it cannot be opened.
        """
        sounddevice = _sounddevice()
        self._queue: queue.SimpleQueue[NDArray[Any] | None] = queue.SimpleQueue()  # whose lock Ctrl-C cannot leave held
        self._behind = self.lost = False
        try:
            found = sounddevice.query_devices(device, "input")
            self.name = str(found["name"])
            self.sample_rate = int(found["default_samplerate"])
            self._stream = sounddevice.InputStream(
                device=device,
                samplerate=self.sample_rate,
                channels=min(2, int(found["max_input_channels"])),
                dtype="float32",
                blocksize=round(BLOCK_S * self.sample_rate),
                callback=lambda data, *_: self._on_block(data),
            )
            self._stream.start()
        except (sounddevice.PortAudioError, ValueError, OSError) as error:
            reason = " ".join(str(error).split())[:120]
            if device is None:
                raise AudioError(f"no microphone was found ({reason}); --inputs lists what there is") from None
            raise AudioError(f"input {device} cannot be used ({reason}); --inputs lists what there is") from None

    def _on_block(self, data: NDArray[Any]) -> None:
        """Take a block over from the device, whose thread must not wait."""
        self._behind = self._behind or self._queue.qsize() * BLOCK_S >= BEHIND_S
        if not self._behind:
            self._queue.put(data.copy())

    def blocks(self) -> Iterator[NDArray[Any]]:
        """Yield blocks (n, channels), until none arrived for `GONE_S` seconds: the device is `lost` then.

        Raises `AudioError` when they arrived much faster than they were read.
        """
        try:
            while (block := self._queue.get(timeout=GONE_S)) is not None:
                if self._behind:
                    raise AudioError(
                        f"this machine is slower than the sound: {BEHIND_S:g} s were waiting; record to a file instead"
                    )
                yield block
        except queue.Empty:
            self.lost = True

    def close(self) -> None:
        self._stream.close()
        self._queue.put(None)


def devices() -> list[str]:
    """Return a line for each input: its number, name and rate. Raises `MissingExtraError` without sounddevice."""
    found = enumerate(_sounddevice().query_devices())
    inputs = ((i, device) for i, device in found if device["max_input_channels"] > 0)
    return [f"{i}  {device['name']}  {device['default_samplerate']:g} Hz" for i, device in inputs]


def _sounddevice() -> Any:
    with needed("whoplays listen", "listen"):
        try:
            import sounddevice
        except OSError:  # the package is there, the library it calls is not
            raise UsageError(
                "whoplays listen needs the library PortAudio, which was not found; "
                "on Debian: apt-get install libportaudio2"
            ) from None
    return sounddevice


def listen(
    recogniser: Recogniser,
    source: Source,
    *,
    show: Callable[[Live], None],
    seconds: float | None = None,
    step_s: float = STEP_S,
) -> Prediction:
    """Predict from `source` until it ends, for `seconds`, or until Ctrl-C; call `show` at every step; return the prediction.

    Raises `AudioError` for too few samples.
    """
    answer = _Answer(recogniser, source.sample_rate)
    recent = Recent(recogniser, source.sample_rate)
    received, shown = 0, 0.0
    limit = None if seconds is None else round(seconds * source.sample_rate)
    try:
        for block in source.blocks():
            with deferred_interrupts():
                block = block if limit is None else block[: limit - received]
                answer.take(block)
                recent.add(mono(block))
                received += len(block)
                at = received / source.sample_rate
                if at - shown >= step_s:
                    scores = recent.scores(at - shown)
                    shown = at
                    show(Live(at, scores, recent.level_db()))
            if answer.found.done() or (limit is not None and received >= limit):
                break
    except KeyboardInterrupt:
        pass
    finally:
        source.close()
        answer.take(None)
    return answer.found.result()


class _Answer:
    """Predicts everything in a thread of its own, as if it were a file."""

    def __init__(self, recogniser: Recogniser, rate: int) -> None:
        self.found: Future[Prediction] = Future()
        self._blocks: queue.Queue[NDArray[Any] | None] = queue.Queue(WAITING)

        def come() -> Iterator[NDArray[Any]]:
            while (block := self._blocks.get()) is not None:
                yield block

        def predict() -> None:
            try:
                self.found.set_result(recogniser.predict_stream(come(), sample_rate=rate))
            except BaseException as error:  # raised again where it is waited for
                self.found.set_exception(error)

        threading.Thread(target=predict, daemon=True).start()

    def take(self, block: NDArray[Any] | None) -> None:
        """Hand over the next block (None: the end); wait while too many are there already."""
        while not self.found.done():
            with contextlib.suppress(queue.Full):
                self._blocks.put(block, timeout=0.5)
                return


class Recent:
    """The last seconds, and what the model detects at their end."""

    def __init__(self, recogniser: Recogniser, rate: int) -> None:
        """rate: of the samples, Hz."""
        self._recogniser = recogniser
        self._rate = rate
        self._samples: Array = np.zeros(0, dtype=np.float32)
        self._length = round(recogniser.config.window_s * rate)

    def add(self, samples: Array) -> None:
        """Take in mono samples (n,)."""
        self._samples = np.concatenate([self._samples, samples])[-self._length :]

    def scores(self, span_s: float) -> dict[str, float]:
        """Return label -> the mean score over the last `span_s` seconds, with all samples before them as context."""
        to_rate = self._recogniser.config.features.sample_rate
        at_rate = list(reading.resampled([self._samples], self._rate, to_rate))
        return self._recogniser.latest_scores(np.concatenate(at_rate) if at_rate else self._samples, span_s)

    def level_db(self) -> float:
        """Return the peak of the last half second in dBFS."""
        last = self._samples[-round(0.5 * self._rate) :]
        return 20 * float(np.log10(max(1e-5, float(np.abs(last).max(initial=0.0)))))
