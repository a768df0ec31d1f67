"""The microphone's path, with a stand-in for the device that hands over samples as one would."""

from __future__ import annotations

import copy
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

import whoplays
from conftest import RATE, invoke, tone
from whoplays.errors import AudioError, UsageError, WhoplaysError
from whoplays.inference import live as live_module
from whoplays.inference.live import BEHIND_S, BLOCK_S, WAITING, Live, Microphone, Source, devices, listen
from whoplays.results.terminal import Look, live_line
from whoplays.taxonomy.catalogue import catalogue

FAMILIES = catalogue().labels_for(catalogue().defaults)


class Fake(Source):
    """Gives samples in blocks of a tenth of a second."""

    def __init__(self, samples: np.ndarray, rate: int, interrupt_at: int | None = None) -> None:
        self.samples, self.sample_rate, self.interrupt_at = samples, rate, interrupt_at
        self.closed = False

    def blocks(self) -> Iterator[np.ndarray]:
        size = self.sample_rate // 10
        for i, at in enumerate(range(0, len(self.samples), size)):
            if i == self.interrupt_at:
                raise KeyboardInterrupt
            yield self.samples[at : at + size]

    def close(self) -> None:
        self.closed = True


@pytest.fixture(scope="module")
def recogniser(tiny_model: Path) -> whoplays.Recogniser:
    return whoplays.load(tiny_model)


@pytest.mark.parametrize("rate", [RATE, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_answer_is_that_of_a_file_with_the_same_samples(
    recogniser, rate: int, channels: int, tmp_path: Path
) -> None:
    one = np.concatenate([tone(f, 4.0, rate, 0.8) for f in (200.0, 900.0, 2500.0, 6000.0)])
    samples = one if channels == 1 else np.stack([one, 0.5 * one], axis=1)
    soundfile.write(tmp_path / "a.wav", samples, rate, subtype="FLOAT")
    device = Fake(samples, rate)
    prediction = listen(recogniser, device, show=lambda live: None)
    file = recogniser.predict(tmp_path / "a.wav")
    assert prediction.scores == pytest.approx(file.scores, abs=1e-4)
    assert (prediction.playing, prediction.segments, prediction.warnings) == (
        file.playing,
        file.segments,
        file.warnings,
    )
    assert device.closed


def test_live_scores_follow_the_sound_within_a_second(recogniser) -> None:
    samples = np.concatenate([np.zeros(3 * RATE), tone(200.0, 4.0, level=0.9)]).astype(np.float32)
    shown: list[Live] = []
    listen(recogniser, Fake(samples, RATE), show=shown.append, step_s=0.5)
    assert [round(live.at, 1) for live in shown] == [round(0.5 * k, 1) for k in range(1, 15)]
    before = [live.scores["brass"] for live in shown if live.at <= 3.0]
    after = [live.scores["brass"] for live in shown if live.at >= 4.0]
    assert max(before) < 0.3 < 0.6 < min(after)
    assert shown[0].level_db < -90 and shown[-1].level_db > -2


def test_it_stops_after_so_many_seconds_or_when_interrupted(recogniser) -> None:
    samples = tone(200.0, 6.0)
    assert listen(recogniser, Fake(samples, RATE), show=lambda live: None, seconds=2.5).duration == 2.5
    stopped = listen(recogniser, Fake(samples, RATE, interrupt_at=31), show=lambda live: None)
    assert stopped.duration == pytest.approx(3.1)


def test_an_input_without_usable_sound_is_one_error(recogniser) -> None:
    with pytest.raises(AudioError, match="s of sound"):
        listen(recogniser, Fake(np.zeros(0, dtype=np.float32), RATE), show=lambda live: None)
    with pytest.raises(WhoplaysError, match="NaN"):
        listen(recogniser, Fake(np.full(RATE, np.nan, dtype=np.float32), RATE), show=lambda live: None)


class _PortAudioError(Exception):
    pass


def stand_in(inputs: list[dict]) -> types.SimpleNamespace:
    """A sounddevice whose stream calls back with half a second of a tone."""

    def query_devices(device=None, kind=None):
        if kind is None:
            return inputs
        if not inputs:
            raise _PortAudioError("Error querying device -1")
        return inputs[0]

    class InputStream:
        def __init__(self, *, samplerate, channels, blocksize, callback, **_) -> None:
            self.give = lambda: [callback(np.full((blocksize, channels), 0.1, np.float32), blocksize, None, None)] * 5

        def start(self) -> None:
            self.give()

        def close(self) -> None:
            pass

    return types.SimpleNamespace(query_devices=query_devices, InputStream=InputStream, PortAudioError=_PortAudioError)


def test_a_device_is_opened_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [{"name": "Mic", "default_samplerate": 48000.0, "max_input_channels": 4}]
    monkeypatch.setitem(sys.modules, "sounddevice", stand_in(found))
    microphone = Microphone()
    block = next(microphone.blocks())
    assert (microphone.sample_rate, block.shape) == (48000, (4800, 2))
    microphone.close()
    assert devices() == ["0  Mic  48000 Hz"]


def test_a_machine_that_is_too_slow_says_so_before_its_memory_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [{"name": "Mic", "default_samplerate": 8000.0, "max_input_channels": 1}]
    monkeypatch.setitem(sys.modules, "sounddevice", stand_in(found))
    microphone = Microphone()
    for _ in range(2000):
        microphone._on_block(np.zeros((800, 1), np.float32))
    assert microphone._queue.qsize() <= BEHIND_S / BLOCK_S
    with pytest.raises(AudioError, match="is slower than the sound"):
        next(microphone.blocks())


def test_an_input_that_is_lost_gives_the_prediction_up_to_then(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [{"name": "Mic", "default_samplerate": float(RATE), "max_input_channels": 1}]
    monkeypatch.setitem(sys.modules, "sounddevice", stand_in(found))
    monkeypatch.setattr(live_module, "GONE_S", 0.05)
    done = invoke("listen", "-m", tiny_model, "--lang", "pl")
    assert done.status == 1 and done.stdout.startswith("Mic  0:0")
    assert "Mic: przez 0.05 s nic nie podało" in done.stderr
    monkeypatch.setitem(sys.modules, "sounddevice", stand_in([]))
    done = invoke("listen", "--inputs")
    assert done.status == 1 and "is a microphone plugged in" in done.stderr and not done.stdout


def test_a_source_that_is_faster_than_the_answer_waits(recogniser, monkeypatch: pytest.MonkeyPatch) -> None:
    ahead: list[int] = []
    processed = [0]

    def slowly(blocks, *, sample_rate: int):
        for _ in blocks:
            processed[0] += 1
            time.sleep(0.001)
        return recogniser.predict(tone(200.0, 2.0), sample_rate=RATE)

    class Fast(Fake):
        def blocks(self) -> Iterator[np.ndarray]:
            for i in range(300):
                ahead.append(i - processed[0])
                yield np.zeros(10, dtype=np.float32)

    slow = copy.copy(recogniser)
    monkeypatch.setattr(slow, "predict_stream", slowly)
    listen(slow, Fast(np.zeros(0), RATE), show=lambda live: None)
    assert processed[0] == 300 and max(ahead) <= WAITING + 2


def test_without_a_device_or_the_library_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", stand_in([]))
    with pytest.raises(AudioError, match=r"no microphone was found .*--inputs"):
        Microphone()
    with pytest.raises(AudioError, match=r"input 7 cannot be used"):
        Microphone(7)
    assert devices() == []
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(UsageError, match=r"whoplays\[listen\]"):
        Microphone()


def test_the_live_line_fits_the_terminal() -> None:
    scores = dict(zip((f.id for f in FAMILIES), (0.01, 0.97, 0.5, 0.0, 1.0), strict=True))
    assert live_line(scores, FAMILIES, 12.4, -18.3, Look(100)) == (
        " 0:12  -18 dB  brass ▁ 0.01  drums █ 0.97  guitar ▅ 0.50  piano ▁ 0.00  strings █ 1.00"
    )
    for width in (80, 160):
        for lang in ("en", "pl"):
            assert len(live_line(scores, FAMILIES, 4000, -100, Look(width), lang)) <= width
    assert live_line(scores, FAMILIES, 12.4, -18.3, Look(60)) == (  # whole names of the likeliest, in their usual order
        " 0:12  -18 dB  drums █ 0.97  guitar ▅ 0.50  strings █ 1.00"
    )
    assert "\x1b" in live_line(scores, FAMILIES, 1, -3, Look(100, colour=True))
