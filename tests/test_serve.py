"""The HTTP interface: equal scores by every way, clear refusals, and what hostile callers and recordings can do to it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import io
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("fastapi", reason="the extra serve is not installed")

import httpx

from conftest import RATE, tone, write_tiny_model
from serving import Running, serving
from whoplays import load
from whoplays.errors import UsageError
from whoplays.examples import synth
from whoplays.results.formats import writer
from whoplays.serve import pool
from whoplays.serve.metrics import Metrics
from whoplays.serve.pool import check_model
from whoplays.serve.problems import Problem
from whoplays.serve.server import build
from whoplays.serve.settings import Settings

TOKEN = "a-token-for-the-tests"
PATIENCE_S = 600  # seconds for what takes a moment, on however busy a machine


@pytest.fixture(scope="module")
def server(tiny_model: Path) -> Iterator[Running]:
    """The usual settings, two workers, any number of calls."""
    with serving(tiny_model, jobs=2, rate=0) as running:
        yield running


@pytest.fixture(scope="module")
def tight(tiny_model: Path) -> Iterator[Running]:
    """Narrow limits: one worker, nobody waits, small and short recordings, a token."""
    limits = {"queue": 0, "max_upload_mb": 30, "max_duration_s": 30, "time_limit_s": PATIENCE_S, "memory_mb": 64}
    with serving(tiny_model, rate=0, token=TOKEN, max_files=2, live=1, **limits) as running:
        yield running


def wav(seconds: float = 1.0, rate: int = RATE) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, tone(440, seconds, rate), rate, format="WAV")
    return file.getvalue()


def encoded(path: Path, codec: str, samples: np.ndarray, rate: int = 48000) -> Path:
    """A file by FFmpeg's encoder."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        frame = av.AudioFrame.from_ndarray(
            np.stack([samples, samples]).astype(np.float32), format="fltp", layout="stereo"
        )
        frame.sample_rate = rate
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return path


def problem(response: httpx.Response, status: int, kind: str) -> dict:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status and body["type"] == f"urn:whoplays:{kind}"
    assert body["detail"] and "\n" not in body["detail"] and "Traceback" not in body["detail"]
    return body


# What it is for


def test_times_may_be_as_a_clock_shows_them(server: Running, duet: Path) -> None:
    result = server.post(duet, start="0:01", end="0:05.5").json()
    assert result == server.post(duet, start=1, end=5.5).json() and result["duration"] == 4.5
    for wrong in (
        {"start": "0:61"},
        {"end": "soon"},
        {"start": "0:05", "end": "0:05"},
        {"start": -1},
        {"start": "nan"},
    ):
        problem(server.post(duet, **wrong), 422, "invalid")


def test_http_command_and_python_agree(server: Running, tiny_model: Path, duet: Path) -> None:
    ours = load(tiny_model).predict(duet).to_dict()
    command = [sys.executable, "-m", "whoplays", "predict", str(duet), "--model", str(tiny_model), "--format", "jsonl"]
    printed = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    answered = server.post(duet).json()
    assert answered["path"] == "duet.flac"
    for other in (printed, answered):
        assert other["scores"] == pytest.approx(ours["scores"], abs=1e-4)
        assert {**other, "path": "", "scores": {}} == {**ours, "path": "", "scores": {}}


@pytest.mark.parametrize(
    ("suffix", "codec"), [("m4a", "aac"), ("webm", "libopus"), ("mp4", "aac"), ("ogg", ""), ("mp3", "")]
)
def test_what_browsers_and_phones_send(
    server: Running, tiny_model: Path, tmp_path: Path, suffix: str, codec: str
) -> None:
    samples = synth.recording(["guitar"], duration_s=2, seed=3, sample_rate=48000)
    path = tmp_path / f"a.{suffix}"
    if codec:
        encoded(path, codec, samples)
    else:
        soundfile.write(path, samples, 48000)
    answer = server.post(path, name="no-telling-name")
    assert answer.json()["scores"] == pytest.approx(load(tiny_model).predict(path).scores, abs=1e-4)


def test_a_part_of_a_recording(server: Running, tiny_model: Path, duet: Path) -> None:
    ours = load(tiny_model).predict(duet, start=6, duration=3)
    answer = server.post(duet, start=6, end=9).json()
    assert answer["scores"] == pytest.approx(ours.scores, abs=1e-4)
    assert all(6 <= s["start"] < s["end"] <= 9 for s in answer["segments"])
    problem(server.post(duet, start=9, end=6), 422, "invalid")
    problem(server.post(duet, start=99), 422, "not-a-recording")


def test_details_draw_the_recording(duet: Path, tmp_path: Path) -> None:
    with serving(write_tiny_model(tmp_path / "model", thresholds=(0.01,) * 5), jobs=1, rate=0) as server:
        answer = server.post(duet, details=True).json()
        packed = server.post(duet, details="packed").json()["details"]
    details = answer["details"]
    assert packed.keys() == details.keys() and packed["segments"] == details["segments"]
    for text, values in zip([packed["peaks"], *packed["frame_scores"].values()],
                            [details["peaks"], *details["frame_scores"].values()], strict=True):  # fmt: skip
        bytes_ = np.frombuffer(base64.b64decode(text), dtype=np.uint8)
        np.testing.assert_allclose(bytes_ / 255, np.minimum(values, 1), atol=0.003)
    assert json.dumps(details["peaks"]) == json.dumps([round(level, 3) for level in details["peaks"]])  # no more digits
    assert (details["start"], details["end"]) == (0, pytest.approx(12, abs=0.01))
    samples, _ = soundfile.read(duet)
    assert max(details["peaks"]) == pytest.approx(np.abs(samples).max(), rel=0.05)
    assert {len(curve) for curve in details["frame_scores"].values()} == {12}  # a score a second
    played = sum(s["end"] - s["start"] for s in answer["segments"] if s["label"] == answer["playing"][0])
    assert details["active_ratio"][answer["playing"][0]] == pytest.approx(played / 12, abs=0.01)


def test_a_query_sets_thresholds(server: Running, tiny_model: Path, duet: Path) -> None:
    """As Python's argument does, and with it the command's option and WHOPLAYS_THRESHOLD (test_cli.py)."""
    ids = [label["id"] for label in server.client.get("/v1/labels").json()["labels"]]
    assert set(server.post(duet, threshold="0").json()["playing"]) == set(ids)
    assert ids[0] in server.post(duet, threshold=["1", f"{ids[0]}=0"]).json()["playing"]
    for texts, numbers in (
        (["0"], 0.0),
        (["0", f"{ids[0]}=1"], {"*": 0.0, ids[0]: 1.0}),
        ([f"{ids[1]}=0"], {ids[1]: 0.0}),
    ):
        answer, ours = server.post(duet, threshold=texts).json(), load(tiny_model).predict(duet, threshold=numbers)
        assert (answer["playing"], answer["maybe"]) == (ours.playing, ours.maybe)
        assert answer["segments"] == [segment.to_dict() for segment in ours.segments]
    problem(server.post(duet, threshold="tuba-mirum=0.5"), 422, "invalid")
    problem(server.post(duet, threshold="much"), 422, "invalid")


def test_progress_comes_before_the_result(server: Running, duet: Path) -> None:
    headers = {"Accept": "text/event-stream"}
    with server.client.stream(
        "POST", "/v1/predict", files={"file": ("d.flac", duet.read_bytes())}, headers=headers
    ) as answer:
        events = [block.split("\n", 1) for block in "".join(answer.iter_text()).strip().split("\n\n")]
    names = [name.removeprefix("event: ") for name, _ in events]
    assert names == ["progress", "progress", "result"]  # a message for each window
    progress = [json.loads(data.removeprefix("data: ")) for _, data in events[:-1]]
    assert [one["duration"] for one in progress] == [12.0, 12.0] and progress[0]["analysed"] < progress[1][
        "analysed"
    ] == 12.0
    assert json.loads(events[-1][1].removeprefix("data: ")) == server.post(duet, name="d.flac").json()


def test_events_report_problems_too(server: Running) -> None:
    headers = {"Accept": "text/event-stream"}
    text = server.client.post("/v1/predict", files={"file": ("a", b"nothing")}, headers=headers).text
    assert text.startswith("event: problem\n") and "urn:whoplays:not-a-recording" in text


def test_a_batch_goes_on_over_a_broken_file(server: Running, duet: Path) -> None:
    files = [("files", ("a.flac", duet.read_bytes())), ("files", ("b.flac", b"broken")), ("files", ("c.wav", wav()))]
    results = server.client.post("/v1/predict/batch", files=files).json()["results"]
    assert [result["path"] for result in results] == ["a.flac", "b.flac", "c.wav"]
    assert results[0]["scores"] == server.post(duet).json()["scores"]
    assert "is not a recording" in results[1]["error"]


@pytest.mark.parametrize("form", ["json", "jsonl", "csv", "audacity", "sonic-visualiser", "jams", "rttm", "text"])
def test_formats_are_those_of_the_command(server: Running, tiny_model: Path, duet: Path, form: str) -> None:
    recogniser = load(tiny_model)
    with duet.open("rb") as file:
        from dataclasses import replace

        prediction = replace(recogniser.predict(file), path="duet.flac")
    chosen = writer(form)(recogniser.labels, "pl")
    wanted = chosen.head() + chosen.item(prediction) + chosen.tail()
    plain = server.post(duet, details=True).json()
    answer = server.client.post("/v1/write", json={"results": [plain]}, params={"format": form, "lang": "pl"})
    assert answer.text == wanted
    assert "attachment" in answer.headers["content-disposition"]
    if form != "json":
        assert server.post(duet, format=form, lang="pl").text == wanted


def test_writing_refuses_what_is_not_this_models(server: Running, duet: Path) -> None:
    result = server.post(duet).json()
    for wrong in (
        {"scores": {"flute": 1.0}},
        {"playing": ["flute"]},
        {"duration": -1},
        {"segments": [{"label": "x"}]},
    ):
        problem(server.client.post("/v1/write", json={"results": [result | wrong]}), 422, "invalid")
    problem(server.client.post("/v1/write", json={"results": [result] * 2}, params={"format": "jams"}), 422, "invalid")
    problem(
        server.client.post("/v1/write", content=b"{", headers={"content-type": "application/json"}), 400, "bad-request"
    )


def test_labels_health_and_counts(server: Running, duet: Path) -> None:
    labels = server.client.get("/v1/labels").json()
    assert [label["id"] for label in labels["labels"]] == ["brass", "drums", "guitar", "piano", "strings"]
    assert (
        labels["labels"][4]["pl"] == "smyczki"
        and labels["labels"][4]["colour"] == "#CC79A7"
        and labels["model"] == "tiny@1"
    )
    assert server.client.get("/healthz").json()["status"] == "ok"
    before = server.counted("whoplays_recordings_total")
    server.post(duet)
    assert server.counted("whoplays_recordings_total") == before + 1


def test_thresholds_given_hold_for_uploads_live_and_labels(tiny_model: Path, duet: Path) -> None:
    given = {"*": 0.0, "drums": 1.0}
    expected = load(tiny_model, threshold=given).predict(duet)
    assert "drums" not in expected.playing and len(expected.playing) == 4
    with serving(tiny_model, threshold=given) as server:
        assert server.post(duet).json() == expected.to_dict() | {"path": duet.name}
        samples, rate = soundfile.read(duet, dtype="float32")
        assert talk(server, samples, rate)[-1]["result"]["playing"] == expected.playing
        limits = {label["id"]: label["threshold"] for label in server.client.get("/v1/labels").json()["labels"]}
        assert limits == dict.fromkeys(expected.scores, 0.0) | {"drums": 1.0}
    with pytest.raises(UsageError, match=r"the model has no label drumms; .* did you mean drums\?"):
        check_model(Settings(model=tiny_model, threshold={"drumms": 0.5}))


def test_the_page_and_its_files_come_from_here_alone(server: Running) -> None:
    answer = server.client.get("/")
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    assert server.client.get("/", headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    for name in ("band.ogg", "index.json"):
        assert server.client.get(f"/examples/{name}").status_code == 200
    for path in (
        "/page/../app.py",
        "/page/..%2fapp.py",
        "/page//etc/passwd",
        "/examples/%2e%2e%2fpredict.py",
        "/page/",
    ):
        problem(server.client.get(path), 404, "not-found")


# Live


def talk(server: Running, samples: np.ndarray, rate: float, size: int = 4096, **hello: object) -> list[dict]:
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    messages = []
    with connect(server.address.replace("http", "ws") + "/v1/live", proxy=None) as line:
        line.send(json.dumps({"sample_rate": rate, **hello}))
        messages.append(json.loads(line.recv(timeout=PATIENCE_S)))
        if messages[0]["type"] != "ready":
            return messages
        with contextlib.suppress(ConnectionClosed):  # refused while we go on sending: the reason is still to be read
            for at in range(0, len(samples), size):
                line.send(samples[at : at + size].astype("<f4").tobytes())
            line.send(json.dumps({"type": "end"}))
        while messages[-1]["type"] not in ("result", "problem"):
            messages.append(json.loads(line.recv(timeout=PATIENCE_S)))
    return messages


def test_live_scores_are_those_of_the_file(server: Running, duet: Path) -> None:
    samples, rate = soundfile.read(duet, dtype="float32")
    messages = talk(server, samples, rate)
    assert sum(message["type"] == "scores" for message in messages) >= 10
    result, wanted = messages[-1]["result"], server.post(duet).json()
    assert result["scores"] == pytest.approx(wanted["scores"], abs=1e-4)
    assert {**result, "path": "", "scores": {}} == {**wanted, "path": "", "scores": {}}


def test_live_refuses_clearly(server: Running, tight: Running) -> None:
    assert talk(server, tone(440), 5)[-1]["problem"] == "urn:whoplays:invalid"
    for rate in (float("inf"), float("nan"), 10**400, -1, 44100.5):
        assert talk(server, tone(440), rate)[-1]["problem"] == "urn:whoplays:invalid"
    assert talk(server, np.full(RATE, np.nan), RATE)[-1]["problem"] == "urn:whoplays:not-a-recording"
    assert talk(tight, tone(440), RATE)[-1]["problem"] == "urn:whoplays:unauthorised"
    assert talk(tight, tone(440, 31), RATE, token=TOKEN)[-1]["problem"] == "urn:whoplays:too-long"
    assert talk(tight, tone(440), RATE, token=TOKEN)[-1]["type"] == "result"


def test_a_live_client_that_vanishes_leaves_nothing(server: Running) -> None:
    from websockets.sync.client import connect

    before = threading.active_count()
    for _ in range(3):
        with connect(server.address.replace("http", "ws") + "/v1/live", proxy=None) as line:
            line.send(json.dumps({"sample_rate": RATE}))
            line.recv(timeout=PATIENCE_S)
            line.send(tone(440).tobytes())
            line.socket.shutdown(socket.SHUT_RDWR)
    assert talk(server, tone(440), RATE)[-1]["type"] == "result"
    assert threading.active_count() < before + 20


def test_a_live_client_that_reads_nothing_is_let_go(tiny_model: Path) -> None:
    """The thread waits to tell it scores when the stream turns out to be too long."""
    from whoplays.serve.live import _Session

    class Deaf:
        async def receive(self) -> dict:
            await asyncio.sleep(0.01)
            return {"type": "websocket.receive", "bytes": tone(440, 1.0).astype("<f4").tobytes()}

        async def send_json(self, message: dict) -> None:
            assert message["type"] == "scores"
            await asyncio.Event().wait()

    async def session() -> None:
        with pytest.raises(Problem, match="more than 5 s"):
            await asyncio.wait_for(_Session(Deaf(), load(tiny_model), RATE, 5.0).predict(), PATIENCE_S)

    asyncio.run(session())


# Limits


def test_a_token_is_required_where_it_matters(tight: Running) -> None:
    with httpx.Client(base_url=tight.address, trust_env=False) as stranger:
        for path in ("/v1/labels", "/metrics"):
            answer = stranger.get(path)
            problem(answer, 401, "unauthorised")
            assert answer.headers["www-authenticate"].startswith("Bearer")
        problem(
            stranger.post("/v1/predict", files={"file": b""}, headers={"Authorization": "Bearer no"}),
            401,
            "unauthorised",
        )
        assert stranger.get("/").status_code == 200
        assert stranger.get("/healthz").status_code == 200
    assert tight.client.get("/v1/labels").status_code == 200


@contextlib.contextmanager
def halted(running: Running) -> Iterator[None]:
    """The only worker stands still until the block ends."""
    running.wait_until(lambda: running.app.state.pool.ready == 1)
    process = next(iter(running.app.state.pool._all)).process
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGCONT)


def test_a_full_queue_says_when_to_come_back(tight: Running) -> None:
    held: list[httpx.Response] = []
    first = threading.Thread(target=lambda: held.append(tight.post(wav())))
    with halted(tight):
        first.start()
        tight.wait_until(lambda: tight.app.state.pool.full)
        answer = tight.post(wav())
    body = problem(answer, 503, "busy")
    assert int(answer.headers["retry-after"]) == body["retry_after"] >= 1
    first.join()
    assert held[0].status_code == 200


def test_a_worker_that_does_not_answer_in_time_is_replaced(tight: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = tight.app.state.pool
    replaced = 'whoplays_workers_replaced_total{reason="time"}'
    before = tight.counted(replaced)
    with halted(tight), monkeypatch.context() as patch:
        patch.setattr(pool, "settings", dataclasses.replace(pool.settings, time_limit_s=1))
        problem(tight.post(wav()), 504, "too-slow")
    assert tight.counted(replaced) == before + 1
    tight.wait_until(lambda: pool.ready == 1)
    assert tight.post(wav()).status_code == 200


def test_a_worker_that_dies_loses_nothing_else(tight: Running) -> None:
    pool = tight.app.state.pool
    tight.wait_until(lambda: pool.ready == 1)
    worker = next(iter(pool._all))
    os.kill(worker.process.pid, signal.SIGSTOP)
    held: list[httpx.Response] = []
    first = threading.Thread(target=lambda: held.append(tight.post(wav())))
    first.start()
    tight.wait_until(lambda: pool.full)
    os.kill(worker.process.pid, signal.SIGKILL)
    first.join()
    problem(held[0], 422, "not-a-recording")
    tight.wait_until(lambda: pool.ready == 1)
    assert tight.post(wav()).status_code == 200


def test_a_recording_that_wants_too_much_memory(tight: Running) -> None:
    channels, rate = 64, 384_000
    size = channels * rate
    form = struct.pack("<HHIIHH", 1, channels, rate, size, channels, 8)
    header = b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt \x10\0\0\0" + form + b"data" + struct.pack("<I", size)
    answer = tight.post(header + bytes([128, 129]) * (channels * rate // 2))
    problem(answer, 422, "not-a-recording")
    assert "memory" in answer.json()["detail"]
    tight.wait_until(lambda: tight.app.state.pool.ready == 1)
    assert tight.post(wav()).status_code == 200


def test_uploads_have_a_largest_size(tight: Running) -> None:
    tight.wait_until(lambda: tight.app.state.pool.ready == 1)
    assert problem(tight.post(bytes(31 << 20)), 413, "too-large")["limit_mb"] == 30
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        while sent < 1 << 30:
            sent += 1 << 20
            yield bytes(1 << 20)

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    with contextlib.suppress(httpx.TransportError):  # the connection may be closed while we go on sending
        problem(tight.client.post("/v1/predict", content=endless(), headers=headers), 413, "too-large")
    assert sent < 96 << 20
    sent = (1 << 30) - (40 << 20)  # a body without a Content-Length that is too large, and has an end
    problem(tight.client.post("/v1/predict", content=endless(), headers=headers), 413, "too-large")
    files = [("files", ("a.wav", wav(0.1)))] * 3
    problem(tight.client.post("/v1/predict/batch", files=files), 413, "too-large")


def test_recordings_have_a_longest_duration(tight: Running, tmp_path: Path) -> None:
    path = tmp_path / "bomb.flac"  # an hour of silence in a few kilobytes
    soundfile.write(path, np.zeros(3600 * 1000, np.int16), 1000)
    assert path.stat().st_size < 1 << 20
    assert "3600 s" in problem(tight.post(path), 413, "too-long")["detail"]
    assert tight.post(path, start=2000, end=2002).status_code == 200
    samples = tone(440, 40, 8000)
    unstated = encoded(tmp_path / "a.aac", "aac", samples, 8000)  # its header has no length
    problem(tight.post(unstated), 413, "too-long")


def test_a_client_that_goes_away_ends_the_work(server: Running, tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    soundfile.write(path, np.zeros(3500 * 1000, np.int16), 1000)
    killed = server.counted("whoplays_workers_replaced_total")
    analysed = server.counted("whoplays_recordings_total")
    files = {"file": ("long.flac", path.read_bytes())}
    events = {"Accept": "text/event-stream"}
    with server.client.stream("POST", "/v1/predict", files=files, headers=events) as answer:
        assert next(answer.iter_text()).startswith("event: progress")
    server.wait_until(lambda: server.app.state.pool.ready == 2)
    with pytest.raises(httpx.ReadTimeout):
        server.client.post("/v1/predict", files=files, timeout=httpx.Timeout(PATIENCE_S, read=0.1))
    server.wait_until(lambda: server.app.state.pool.ready == 2)
    assert server.counted("whoplays_recordings_total") == analysed
    assert server.counted("whoplays_workers_replaced_total") == killed
    assert server.post(wav()).status_code == 200


def test_calls_have_a_rate() -> None:
    from whoplays.serve.guard import CLIENTS, RateLimit

    rate = RateLimit(60)
    assert [rate.wait("a", 0.0) for _ in range(60)] == [0] * 60
    assert rate.wait("a", 0.0) >= 1 and rate.wait("b", 0.0) == 0
    assert rate.wait("a", 1.01) == 0 and rate.wait("a", 1.02) >= 1
    for i in range(CLIENTS + 100):
        rate.wait(str(i), 2.0)
    assert len(rate._left) == CLIENTS


def response_to(
    tiny_model: Path, *, method: str = "GET", path: str = "/v1/labels", headers: dict[str, str], **settings
) -> httpx.Response:
    """One call of an application without workers."""
    from whoplays.serve.app import create_app

    app = create_app(Settings(model=tiny_model, **settings))

    async def call() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
            return await client.request(method, path, headers=headers)

    return asyncio.run(call())


def test_other_sites_get_nothing(tiny_model: Path) -> None:
    problem(response_to(tiny_model, headers={"Host": "evil.example"}), 421, "wrong-host")
    problem(response_to(tiny_model, headers={"Origin": "https://evil.example"}), 403, "foreign-origin")
    problem(response_to(tiny_model, headers={"Origin": "null"}), 403, "foreign-origin")
    assert response_to(tiny_model, headers={"Origin": "http://127.0.0.1:8000"}).status_code == 200
    assert "access-control-allow-origin" not in response_to(tiny_model, headers={}).headers
    friend = {"Origin": "https://friend.example"}
    allowed = response_to(tiny_model, headers=friend, cors=("https://friend.example",))
    assert allowed.headers["access-control-allow-origin"] == "https://friend.example"
    asking = friend | {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    before = response_to(tiny_model, method="OPTIONS", headers=asking, cors=("https://friend.example",), token=TOKEN)
    assert before.status_code == 204 and "authorization" in before.headers["access-control-allow-headers"].lower()
    assert response_to(tiny_model, headers={"Host": "music.lan"}, hosts=("music.lan",)).status_code == 200


def test_settings_that_would_open_the_machine_are_refused() -> None:
    with pytest.raises(UsageError, match="can be reached from other machines"):
        Settings(host="0.0.0.0")
    with pytest.raises(UsageError, match="16 or more"):
        Settings(host="0.0.0.0", token="short")
    with pytest.raises(UsageError, match="--token"):  # a variable that a script forgot to set
        Settings(token="")
    assert not Settings(host="0.0.0.0", token=TOKEN).loopback
    assert (
        Settings(host="::", force=True)
        and Settings(host="127.9.9.9")
        and Settings(host="::1")
        and Settings(host="localhost")
    )
    with pytest.raises(UsageError, match="--jobs"):
        Settings(jobs=9999)


# Hostile recordings


def hostile() -> dict[str, bytes]:
    good = wav()
    wide = bytearray(good)
    wide[22:24] = struct.pack("<H", 10_000)
    fast = bytearray(good)
    fast[24:28] = struct.pack("<I", 2**31)
    playlist = (
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n#EXTINF:10,\nhttp://127.0.0.1:9/a.ts\n"
    )
    return {
        "10,000 channels": bytes(wide),
        "2 GHz": bytes(fast),
        "playlist": playlist.encode() + b"#EXT-X-ENDLIST\n",
        "concat script": b"ffconcat version 1.0\nfile /etc/passwd\nfile subdir/a.wav\n",
        "session description": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n",
        "dash manifest": b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>file:///etc/</BaseURL></MPD>',
        "zip": b"PK\x03\x04" + bytes(200),
        "page and script": b"<html><script>alert(1)</script>" + bytes(500),
        "program": b"\x7fELF" + bytes(range(256)) * 8,
        "header alone": good[:44],
        "cut header": good[:20],
        "noise": np.random.default_rng(1).bytes(100_000),
        "text in other letters": "żółć — ".encode() * 50,
        "empty": b"",
    }


@pytest.mark.parametrize("what", hostile())
def test_hostile_bytes_are_refused_in_one_line(server: Running, what: str) -> None:
    problem(server.post(hostile()[what], name="a.mp3"), 422, "not-a-recording")


def test_polyglots_and_truncated_files_are_predicted_or_refused(server: Running, tmp_path: Path) -> None:
    whole = encoded(
        tmp_path / "a.m4a", "aac", synth.recording(["guitar"], duration_s=4, seed=3, sample_rate=48000)
    ).read_bytes()
    good = wav()
    files = [whole[: len(whole) * share // 10] for share in range(1, 10)]
    files += [good + b"PK\x05\x06" + bytes(18), good + b"<script>", b"ID3\x03\0\0\0\0\0\x0a" + bytes(10) + good]
    rng = np.random.default_rng(5)
    for _ in range(20):
        damaged = bytearray(whole)
        for at in rng.integers(0, len(damaged), 20):
            damaged[at] = rng.integers(256)
        files.append(bytes(damaged))
    for content in files:
        answer = server.post(content)
        assert answer.status_code in (200, 413) or problem(answer, 422, "not-a-recording")
    assert server.client.get("/healthz").status_code == 200


def test_a_worker_can_open_nothing(server: Running) -> None:
    worker = next(iter(server.app.state.pool._all))
    limits = Path(f"/proc/{worker.process.pid}/limits")
    if not limits.exists():
        pytest.skip("this system does not show a process's limits")
    found = {line[:25].strip(): line[25:].split() for line in limits.read_text().splitlines()[1:]}
    assert found["Max file size"][0] == "0" and found["Max core file size"][0] == "0"
    assert int(found["Max open files"][0]) <= len(list(Path(f"/proc/{worker.process.pid}/fd").iterdir())) + 8
    assert found["Max address space"][0] != "unlimited"


def test_file_names_are_returned_and_never_opened(server: Running) -> None:
    for name, returned in (
        ("../../etc/passwd", "passwd"),
        ("C:\\a\\b.wav", "b.wav"),
        ("\u202ex.wav", "x.wav"),
        ("ż" * 400, "ż" * 255),
    ):
        assert server.post(wav(0.2), name=name).json()["path"] == returned


def test_idle_connections_outlive_those_of_clients() -> None:
    # Both ending at the same moment loses the request that is just being sent. httpx keeps connections for 5 s.
    assert build(Settings()).config.timeout_keep_alive > 10


def test_slow_clients_are_hung_up_on(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    from whoplays.serve import guard
    from whoplays.serve import server as module

    host, port = server.address.removeprefix("http://").split(":")
    door = (host, int(port))
    with monkeypatch.context() as patch:
        patch.setattr(module, "HEADERS_S", 0.5)
        with socket.create_connection(door, timeout=PATIENCE_S) as line, contextlib.suppress(ConnectionError):
            line.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nX-a: ")
            assert line.recv(1000) == b""
    with monkeypatch.context() as patch:
        patch.setattr(guard, "IDLE_S", 0.5)
        with socket.create_connection(door, timeout=PATIENCE_S) as line:
            line.sendall(
                b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=x\r\n"
                b"Content-Length: 5000\r\n\r\n--x\r\n"
            )
            assert b"408" in line.recv(1000).split(b"\r\n")[0]
    with contextlib.ExitStack() as many:
        for _ in range(50):
            many.enter_context(socket.create_connection(door, timeout=PATIENCE_S))
        assert server.client.get("/healthz").status_code == 200


# The description


@pytest.mark.slow
def test_the_description_covers_every_answer(server: Running) -> None:
    """Random calls that fit the description, and such that do not: no answer may differ from what it promises."""
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")
    from hypothesis import HealthCheck, given, settings

    schema = schemathesis.openapi.from_url(f"{server.address}/openapi.json")
    seen = set()
    checks = schemathesis.checks.CHECKS
    fits = checks.get_by_names([name for name in checks.get_all_names() if name == "positive_data_acceptance"])
    for found in schema.get_all_operations():
        operation = found.ok()
        seen.add(operation.label)

        @settings(
            max_examples=8, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True
        )
        @given(case=operation.as_strategy())
        def check(case) -> None:
            case.call_and_validate(excluded_checks=fits)  # what a recording is no schema can say

        check()
    assert seen >= {"POST /v1/predict", "POST /v1/predict/batch", "POST /v1/write", "GET /v1/labels", "GET /healthz"}


def test_the_description_has_examples(server: Running) -> None:
    document = server.client.get("/openapi.json").json()
    assert document["components"]["schemas"]["Prediction"]["examples"]
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert operation["description"], path
            assert (
                "422" not in operation["responses"]
                or "application/problem+json" in operation["responses"]["422"]["content"]
            )


# The command


def test_the_command_serves_and_stops(tiny_model: Path) -> None:
    command = [sys.executable, "-m", "whoplays", "serve", "--port", "0", "--model", str(tiny_model), "--jobs", "1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    line = process.stderr.readline()
    address = line.split(" at ")[1].split()[0]
    assert httpx.get(f"{address}healthz", trust_env=False, timeout=PATIENCE_S).json()["status"] == "ok"
    process.send_signal(signal.SIGTERM)
    rest = process.communicate(timeout=PATIENCE_S)[1]
    assert (process.returncode, rest) == (0, "stopped\n")


def test_the_command_says_what_is_wrong(tiny_model: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as used:
        port = str(used.getsockname()[1])
        command = [sys.executable, "-m", "whoplays", "serve", "--model", str(tiny_model), "--port", port]
        found = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert found.returncode == 2 and "try another --port" in found.stderr and found.stderr.count("\n") == 1, (
        found.stderr
    )


def test_a_system_that_lacks_what_workers_need_is_reported(monkeypatch: pytest.MonkeyPatch, tiny_model: Path) -> None:
    from whoplays.serve.server import run

    monkeypatch.delattr(socket, "send_fds")
    with pytest.raises(UsageError, match="needs Linux or macOS"):
        run(Settings(model=tiny_model), lambda address: None)


def test_a_body_without_a_file_is_answered_in_our_words(server: Running, duet: Path) -> None:
    raw = server.client.post("/v1/predict", content=duet.read_bytes(), headers={"Content-Type": "audio/flac"})
    text = server.client.post("/v1/predict", data={"file": "duet.flac"}, files={"other": b"x"})
    none = server.client.post("/v1/predict")
    for answer, words in (
        (raw, "the field 'file' is missing"),
        (text, "the field 'file' holds text"),
        (none, "the field 'file' is missing"),
    ):
        assert answer.status_code in (415, 422), answer.text
        assert words in answer.json()["detail"] and "curl -F file=@" in answer.json()["detail"], answer.text
    batch = server.client.post("/v1/predict/batch", data={"files": "a"}, files={"other": b"x"})
    assert "curl -F files=@" in batch.json()["detail"]


def test_nothing_in_a_form_is_passed_over(server: Running, duet: Path) -> None:
    sound = duet.read_bytes()
    for path, data, files, words in (
        ("/v1/predict", {"threshold": "0.9"}, [("file", sound)], "the form's field 'threshold' is not used"),
        ("/v1/predict", {}, [("file", sound), ("other", b"x")], "'other' is not used"),
        ("/v1/predict", {}, [("file", sound), ("file", sound)], "2 files were sent"),
        ("/v1/predict/batch", {"start": "1"}, [("files", sound)], "?start=..."),
    ):
        answer = server.client.post(path, data=data, files=files)
        assert answer.status_code == 422 and words in answer.json()["detail"], answer.text


def test_nothing_in_the_address_is_passed_over(server: Running, duet: Path) -> None:
    for url in ("/v1/predict", "/v1/predict/batch"):
        field = "files" if url.endswith("batch") else "file"
        found = server.client.post(url, files={field: duet.read_bytes()}, params={"treshold": 0.9})
        assert found.status_code == 422
        assert found.json()["detail"] == "there is no parameter 'treshold'; did you mean threshold?"
    assert "; there are format, lang, start, end," in server.post(duet, xyz=1).json()["detail"]


def test_the_page_answers_head(server: Running) -> None:
    found = server.client.head("/")
    assert found.status_code == 200 and not found.content and int(found.headers["content-length"]) > 1000


def test_refusals_of_the_framework_use_our_words(server: Running) -> None:
    assert "GET is not possible here; possible: POST" in server.client.get("/v1/predict").json()["detail"]
    assert "there is no /nope" in server.client.get("/nope").json()["detail"]
    form = {"Content-Type": "multipart/form-data; boundary=zz"}
    torn = server.client.post("/v1/predict", content=b"rubbish", headers=form)
    assert torn.status_code == 400 and "cannot be read as a form" in torn.json()["detail"]


def test_a_worker_that_cannot_start_is_reported_once_and_nobody_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        ready = alive = False

        async def receive(self) -> dict[str, str]:
            return {"type": "unusable", "detail": "TypeError: open() got an unexpected argument"}

        def kill(self) -> None:
            pass

    async def start(settings: Settings) -> Broken:
        return Broken()

    monkeypatch.setattr(pool.Worker, "start", start)
    monkeypatch.setattr(pool, "LOOK_S", 0.01)
    reported: list[str] = []

    async def call() -> None:
        made = pool.Pool(Settings(jobs=2), Metrics(), reported.append)
        waiting = asyncio.create_task(made.predict(0, pool.Job()))
        await asyncio.sleep(0)
        made.start()
        with pytest.raises(Problem) as problem:
            await waiting
        assert "TypeError: open()" in str(problem.value.detail) and problem.value.kind == "unavailable"
        assert made.waiting == 0
        made.close()

    asyncio.run(call())
    assert reported == ["a worker cannot be used, and is tried again: TypeError: open() got an unexpected argument"]
