"""A real server for tests: uvicorn in a thread, real worker processes, a free port."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx


@dataclass
class Running:
    """A server that answers."""

    address: str
    app: Any
    client: httpx.Client

    def post(self, path: Path | bytes, name: str = "", **parameters: Any) -> httpx.Response:
        content = path.read_bytes() if isinstance(path, Path) else path
        name = name or (path.name if isinstance(path, Path) else "a.wav")
        return self.client.post("/v1/predict", files={"file": (name, content)}, params=parameters)

    def counted(self, start: str) -> float:
        """The value of the metric whose line starts so; 0 before it is first counted."""
        lines = self.client.get("/metrics").text.splitlines()
        return next((float(line.split()[-1]) for line in lines if line.startswith(start)), 0.0)

    def wait_until(self, condition: Any, seconds: float = 600) -> None:
        ends = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < ends, "it did not come about in time"
            time.sleep(0.05)


@contextlib.contextmanager
def serving(model: Path, **settings: Any) -> Iterator[Running]:
    """Serve with these settings until the block ends."""
    from whoplays.serve.server import build, listening
    from whoplays.serve.settings import Settings

    chosen = Settings(**({"model": model, "port": 0, "jobs": 1} | settings))
    with listening(chosen) as door:
        server = build(chosen)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [door]}, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{door.getsockname()[1]}"
        headers = {"Authorization": f"Bearer {chosen.token}"} if chosen.token else {}
        with httpx.Client(base_url=address, headers=headers, timeout=600, trust_env=False) as client:
            running = Running(address, server.config.app, client)
            running.wait_until(lambda: server.started and _answers(client))
            running.wait_until(lambda: running.app.state.pool.ready == chosen.jobs)
            yield running
        server.should_exit = True
        thread.join(600)
        assert not thread.is_alive(), "the server did not stop"


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


__all__ = ["Running", "serving"]
