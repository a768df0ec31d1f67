"""Nothing leaves the machine: what reads recordings runs where no connection can be made, and where each try is seen."""

from __future__ import annotations

import http.server
import io
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import COMMAND_S
from whoplays.audio import opening, reading
from whoplays.errors import AudioError

#: In every Python process: opening a connection, looking up a name or naming a server's address ends it, loudly.
GUARD = """
import sys
LOCAL = {"serve"}
def watch(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.connect"):
        address = arguments[1] if event == "socket.connect" else arguments[0]
        if event == "socket.getaddrinfo" and str(address) in ("127.0.0.1", "localhost", "None"):
            return
        if isinstance(address, (str, bytes)) and event == "socket.connect" or str(address)[:12] == "('127.0.0.1'":
            return
        sys.stderr.write(f"REACHED OUT: {event} {arguments}\\n")
        sys.stderr.flush()
        import os
        os._exit(99)
sys.addaudithook(watch)
"""


@pytest.fixture
def guarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard" / "sitecustomize.py").write_text(GUARD)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "guard"))
    return tmp_path


def without_network() -> list[str]:
    """What runs a command in a network name space with nothing in it, where that is allowed."""
    if not shutil.which("unshare"):
        return []
    command = ["unshare", "--user", "--map-root-user", "--net"]
    tried = subprocess.run([*command, "true"], capture_output=True, check=False)
    return command if tried.returncode == 0 else []


def test_the_guard_sees_what_reaches_out(guarded: Path) -> None:
    code = "import urllib.request; urllib.request.urlopen('http://192.0.2.1/', timeout=1)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 99 and "REACHED OUT" in ended.stderr


def test_predicting_opens_no_connection(guarded: Path, duet: Path, tiny_model: Path) -> None:
    out, page = guarded / "out.jsonl", guarded / "page.html"
    copy = duet.with_name("again.flac")
    copy.write_bytes(duet.read_bytes())
    wall = without_network()
    for more in (["--format", "json"], ["--report", str(page)], ["--out", str(out)], [str(copy), "--format", "csv"]):
        command = [*wall, sys.executable, "-m", "whoplays", "predict", str(duet), "--model", str(tiny_model), *more]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_S, check=False)
        assert ended.returncode == 0 and "REACHED OUT" not in ended.stderr, ended.stderr
    assert not re.search(r"(src|href|url\()=?[\"']?(https?:)?//", page.read_text())
    assert json.loads(out.read_text())["duration"] == 12.0


def test_libraries_that_report_usage_are_disabled(duet: Path, tiny_model: Path, tmp_path: Path) -> None:
    """ONNX Runtime's reports go round Python, past the guard; but they begin with an identifier and a queue on the disk."""
    home = tmp_path / "home"
    home.mkdir()
    unset = ("ORT_DISABLE_TELEMETRY", "RAY_USAGE_STATS_ENABLED", "CI", "GITHUB_ACTIONS", "TF_BUILD")
    mine = {name: value for name, value in os.environ.items() if name not in unset and not name.startswith("XDG_")}
    places = dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_DATA_HOME"), str(home))
    command = [sys.executable, "-m", "whoplays", "predict", str(duet), str(duet), "--model", str(tiny_model)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_S, check=False, env=mine | places)
    assert ended.returncode == 0, ended.stderr
    assert [str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()] == []
    code = "import whoplays, os; print(os.environ['ORT_DISABLE_TELEMETRY'], os.environ['RAY_USAGE_STATS_ENABLED'])"
    values = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=mine).stdout
    assert values.split() == ["1", "0"]


def test_models_check_and_demo_data_open_no_connection(guarded: Path, tiny_model: Path) -> None:
    command = [*without_network(), sys.executable, "-m", "whoplays", "models", "check", str(tiny_model)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_S, check=False)
    assert ended.returncode == 0 and "REACHED OUT" not in ended.stderr, ended.stderr


def test_serving_opens_no_connection(guarded: Path, duet: Path, tiny_model: Path) -> None:
    code = f"""
import sys; sys.path[:0] = [{str(Path(__file__).parent)!r}]
from pathlib import Path
from serving import serving
with serving(Path({str(tiny_model)!r})) as running:
    answer = running.post(Path({str(duet)!r}))
    assert answer.status_code == 200, answer.text
    for path in ("/", "/openapi.json", "/metrics", "/v1/labels"):
        assert running.client.get(path).status_code == 200
print("served")
"""
    pytest.importorskip("httpx")
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=COMMAND_S, check=False)
    assert "served" in ended.stdout and "REACHED OUT" not in ended.stderr, ended.stderr


@pytest.fixture
def visited() -> Iterator[tuple[str, list[str]]]:
    """An HTTP server: its address, and the paths that were requested."""
    requested: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requested.append(self.path)
            self.send_error(404)

        def log_message(self, *arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", requested
    server.shutdown()
    server.server_close()


def lists(place: str) -> dict[str, bytes]:
    """Files that name another one, in the forms that FFmpeg reads."""
    return {
        "m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{place}\n#EXT-X-ENDLIST\n".encode(),
        "txt": f"ffconcat version 1.0\nfile {place}\n".encode(),
        "sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
        "mpd": f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><AdaptationSet>'
        f'<Representation id="1" mimeType="audio/mp4"><BaseURL>{place}</BaseURL></Representation></AdaptationSet>'
        f"</Period></MPD>".encode(),
    }


@pytest.mark.parametrize("kind", ["m3u8", "txt", "sdp", "mpd"])
def test_a_playlist_is_no_way_to_other_files_or_addresses(
    kind: str, tmp_path: Path, duet: Path, visited: tuple[str, list[str]]
) -> None:
    address, requested = visited
    for place in (f"{address}/secret.wav", f"file://{duet}", str(duet), duet.name):
        content = lists(place)[kind]
        for name in (f"a.{kind}", "a.mp3", "a.wav"):
            path = duet.parent / name
            path.write_bytes(content)
            with pytest.raises(AudioError):
                reading.load(path, sample_rate=22050)
        with pytest.raises(AudioError):
            reading.load(io.BytesIO(content), sample_rate=22050)
    assert requested == []


def test_a_file_named_like_an_address_is_a_file(tmp_path: Path, duet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("http:x.mka", "concat:a|b.mka", "pipe:0", "subfile,,start,0,end,0,,:x.mka"):
        Path(name).write_bytes(b"no recording")
        with pytest.raises(AudioError, match="not a recording"):
            opening.probe(name)
