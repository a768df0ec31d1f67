"""One process that decodes and predicts, so that a hostile recording can hurt nothing but this process.

It is started as `python -m whoplays.serve.worker FD`, FD being a Unix socket on which both sides speak one JSON object a
line; a recording comes as an open file beside its line. Nothing is pickled: the server trusts no byte a decoder may have
written. Once warm it gives up what it does not need: memory beyond a limit, writing files, and opening anything at all
(FFmpeg reads playlists that name other files and addresses; here every such attempt fails).
"""

from __future__ import annotations

import io
import json
import os
import select
import socket
import sys
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..audio import opening
from ..audio.windows import Window
from ..errors import AudioError, WhoplaysError, printable
from ..inference.prediction import Prediction
from ..inference.recogniser import Array, Recogniser
from ..results.overview import Outline, Overview, packed
from ..runtime.packages import needed
from ..runtime.sandbox import confine

LINE_BYTES = 64 * 1024
MOST_PEAKS = 700_000  # more than two hours of an outline at 22,050 Hz
MOST_STEPS = 30_000  # of scores over time; more than two hours of the default model's


class _Cancelled(Exception):
    """The server wants this recording no more."""


class _TooLong(Exception):
    """More sound than one recording may hold."""


def main() -> None:
    """Serve the socket named by the first argument until its other side closes."""
    link = socket.socket(fileno=int(sys.argv[1]))
    settings, _ = _receive(link)
    try:
        model = Path(settings["model"]) if settings["model"] else None
        recogniser = Recogniser(model, threads=1, device=settings["device"], threshold=settings["threshold"])
        _warm_up(recogniser)
    except Exception as error:
        detail = str(error) if isinstance(error, WhoplaysError) else f"{type(error).__name__}: {error}"
        _send(link, {"type": "unusable", "detail": printable(detail)[:300]})
        return
    confine(settings["memory_mb"] << 20, opens=False)
    _send(link, {"type": "ready", "notice": recogniser.notice})
    while True:
        try:
            job, descriptors = _receive(link)
        except EOFError:
            return
        if "cancel" in job:  # for a job that was done already
            continue
        with os.fdopen(descriptors[0], "rb") as file:
            answer = _answer(recogniser, link, file, job)
        _send(link, answer)


def _receive(link: socket.socket) -> tuple[dict[str, Any], list[int]]:
    data, descriptors, _, _ = socket.recv_fds(link, LINE_BYTES, 1)
    while data and not data.endswith(b"\n"):
        data += link.recv(LINE_BYTES)
    if not data:
        raise EOFError
    return json.loads(data.splitlines()[-1]), list(descriptors)


def _send(link: socket.socket, message: dict[str, Any]) -> None:
    link.sendall(json.dumps(message, ensure_ascii=False, allow_nan=False).encode() + b"\n")


def _warm_up(recogniser: Recogniser) -> None:
    """Do once all that later has to open or import something: each decoder on a second of noise, and what is no recording."""
    import importlib
    import pkgutil

    with needed("serve"):
        import av
        import soundfile
    for module in pkgutil.walk_packages(av.__path__, "av."):
        if "__main__" not in module.name:
            importlib.import_module(module.name)
    noise = np.random.default_rng(0).normal(0, 0.01, 8000).astype(np.float32)
    for form in ("WAV", "OGG"):
        file = io.BytesIO()
        soundfile.write(file, noise, 8000, format=form)
        file.seek(0)
        details(recogniser, recogniser.predict(file), Outline())
    recogniser.predict(_video_like(noise))
    try:
        recogniser.predict(io.BytesIO(b"no recording"))
    except AudioError:
        pass


def _video_like(noise: Any) -> io.BytesIO:
    """Return samples (n,) at 8 kHz in a container that FFmpeg reads and libsndfile does not."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray((noise[None] * 32767).astype(np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    file.seek(0)
    return file


def _answer(recogniser: Recogniser, link: socket.socket, file: IO[bytes], job: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"type": "result", "result": _predict(recogniser, link, file, job)}
    except _Cancelled:
        return {"type": "cancelled"}
    except _TooLong as error:
        return {"type": "failed", "kind": "too-long", "detail": str(error)}
    except AudioError as error:
        return {"type": "failed", "kind": "not-a-recording", "detail": str(error)}
    except Exception as error:
        # ONNX Runtime and FFmpeg have words of their own
        memory = isinstance(error, MemoryError) or "alloc" in str(error).lower()
        return {"type": "failed", "kind": "memory" if memory else "internal", "detail": type(error).__name__}


def _predict(recogniser: Recogniser, link: socket.socket, file: IO[bytes], job: dict[str, Any]) -> dict[str, Any]:
    start, duration, most = job["start"], job["duration"], job["max_duration_s"]
    whole = opening.probe(file).duration
    file.seek(0)
    total = None if whole is None else max(0.0, whole - start) if duration is None else min(duration, whole - start)
    if duration is None and total is not None and total > most:
        raise _TooLong(f"lasts {total:.0f} s; {most:g} s can be analysed at once, or ask for a part with start and end")
    outline, rate, analysed = Outline(), recogniser.config.features.sample_rate, 0.0

    def watch(window: Window) -> None:
        nonlocal analysed
        if select.select([link], [], [], 0)[0]:
            raise _Cancelled
        analysed = window.last / rate
        if analysed > most + 1:
            raise _TooLong(
                f"lasts more than the {most:g} s that can be analysed at once; ask for a part with start and end"
            )
        outline.add(window.middle)
        _send(link, {"type": "progress", "analysed": round(analysed, 2), "duration": total})

    if job["threshold"]:
        recogniser = recogniser.with_threshold(job["threshold"])
    recogniser.on_window = watch
    prediction = recogniser.predict(file, start=start, duration=duration, track=job["track"], strict=job["strict"])
    answer = prediction.to_dict()
    if job["details"]:
        answer["details"] = details(recogniser, prediction, outline, short=job["details"] == "packed")
    return answer


def details(recogniser: Recogniser, prediction: Prediction, outline: Outline, *, short: bool = False) -> dict[str, Any]:
    """Return what a page needs beside the prediction to draw it at any zoom, and with any threshold.

    "start", "end" in seconds; "peaks": levels (n,) of even parts; "frame_scores": for each label its scores over time (steps,)
    on an even grid; "active_ratio": the share of the time in which each plays; "segments" as of `Overview`. short: give numbers
    as `packed` does.
    """
    view = Overview.of(recogniser, prediction, most_steps=MOST_STEPS)
    write = packed if short else _numbers
    return {
        "start": view.start,
        "end": view.end,
        "peaks": write(outline.levels(MOST_PEAKS)),
        "frame_scores": {label: write(view.frame_scores[:, i]) for i, label in enumerate(prediction.scores)},
        "active_ratio": {label: round(share, 4) for label, share in prediction.active_ratio().items()},
        "segments": view.segments,
    }


def _numbers(values: Array) -> list[float]:
    """Return values (n,) to three places, of 64 bits: JSON writes 0.123 of 32 bits with seventeen digits."""
    rounded: list[float] = np.round(values.astype(np.float64), 3).tolist()
    return rounded


if __name__ == "__main__":
    main()
