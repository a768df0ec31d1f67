"""A real S3 server on loopback (moto's), before which faults can be put: errors, broken lines, cut-off bodies, refusals.

with Store(faults=0.2) as store:      # one request in five goes wrong, in turn by every kind there is
    store.environment                 # what a process needs to find it
    store.client                      # boto3's, past the faults
    store.down = True                 # from now on every request goes wrong
"""

from __future__ import annotations

import io
import random
import socket
import struct
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn

KINDS = ("500", "503 SlowDown", "reset", "cut")
BUCKET = "music"

_SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
_INTERNAL = b"<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>"
_REFUSED = (
    b"<Error><Code>InvalidAccessKeyId</Code>"
    b"<Message>The AWS Access Key Id you provided does not exist in our records.</Message></Error>"
)


class Store:
    """The server, with an empty bucket. faults: the share of requests that go wrong."""

    def __init__(self, *, faults: float = 0.0, kinds: tuple[str, ...] = KINDS, seed: int = 0) -> None:
        from moto.server import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import make_server

        self.faults, self.kinds, self.down, self.refusing = faults, kinds, False, False
        self.seen: Counter[str] = Counter()
        self.requests: Counter[str] = Counter()
        self.of_object: Counter[tuple[str, str]] = Counter()  # by method and key
        self._draw, self._lock = random.Random(seed), threading.Lock()
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=_silent())
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Store:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        import boto3

        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
        self.client = boto3.client("s3", endpoint_url=self.url, **keys)
        urllib.request.urlopen(f"{self.url}/moto-api/reset", data=b"").close()  # what other tests put there
        self._past(self.client.create_bucket, Bucket=BUCKET)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that Amazon's tools, and so ours, read."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }

    def put(self, folder: Path, prefix: str) -> str:
        """Copy a folder's files; return the address of the copy."""
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            key = f"{prefix}/{path.relative_to(folder).as_posix()}"
            self._past(self.client.put_object, Bucket=BUCKET, Key=key, Body=path.read_bytes())
        return f"s3://{BUCKET}/{prefix}"

    def contents(self, prefix: str) -> dict[str, bytes]:
        """The objects below a prefix, by the rest of their names."""
        listed = self._past(self.client.list_objects_v2, Bucket=BUCKET, Prefix=prefix + "/").get("Contents", [])
        found = {one["Key"]: self._past(self.client.get_object, Bucket=BUCKET, Key=one["Key"]) for one in listed}
        return {key.removeprefix(prefix + "/"): answer["Body"].read() for key, answer in found.items()}

    def _past(self, call: Callable[..., Any], **words: Any) -> Any:
        """Call the store without its faults."""
        before = self.faults, self.down, self.refusing
        self.faults, self.down, self.refusing = 0.0, False, False
        try:
            return call(**words)
        finally:
            self.faults, self.down, self.refusing = before

    # -- the server's side

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with self._lock:
            self.requests[environ["REQUEST_METHOD"]] += 1
            self.of_object[environ["REQUEST_METHOD"], environ["PATH_INFO"].removeprefix(f"/{BUCKET}/")] += 1
            wrong = self.down or (self.faults and self._draw.random() < self.faults)
            kinds = ("500", "503 SlowDown", "reset") if self.down else self.kinds
            kind = self._draw.choice(kinds) if wrong else ""
            self.seen[kind] += bool(kind)
        if self.refusing:
            return _error(environ, start_response, "403 Forbidden", _REFUSED)
        if kind == "500":
            return _error(environ, start_response, "500 Internal Server Error", _INTERNAL)
        if kind == "503 SlowDown":
            return _error(environ, start_response, "503 Slow Down", _SLOW_DOWN)
        if kind == "reset":
            _hang_up(environ)
        if kind == "cut":
            return self._cut(environ, start_response)
        return self._app(environ, start_response)

    def _cut(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Do what was requested, promise the whole answer, send half of it, hang up."""
        head: list[Any] = []
        body = b"".join(self._app(environ, lambda *words: head.append(words)))
        start_response(*head[0][:2])
        yield body[: len(body) // 2]
        _hang_up(environ)


def _silent() -> Any:
    from werkzeug.serving import WSGIRequestHandler

    class Silent(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log(self, *_: Any) -> None:
            pass

    return Silent


def _error(environ: dict[str, Any], start_response: Callable[..., Any], status: str, body: bytes) -> Iterable[bytes]:
    length = int(environ.get("CONTENT_LENGTH") or 0)
    environ.get("wsgi.input", io.BytesIO()).read(length)
    start_response(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


def _hang_up(environ: dict[str, Any]) -> NoReturn:
    """Reset the connection."""
    line = environ["werkzeug.socket"]
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    line.shutdown(socket.SHUT_RDWR)
    raise ConnectionResetError("as the rule says")
