"""Requests that nobody should send: what a server has to refuse, or to survive, while it answers the others."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import random
import struct
import sys
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import httpx

from bench import FUZZ

SOUNDS = ("wav", "flac", "ogg", "mp3", "mp4", "mkv", "aiff", "wma", "m3u8")


class Hostile:
    """One client of each bad kind at a time; `kinds` by name. Each returns the answer that it got, in a word."""

    def __init__(self, address: str, seed: int, limit_mb: int) -> None:
        """limit_mb: of the server's uploads."""
        self.address, self.limit = address.rstrip("/"), limit_mb << 20
        parts = urlsplit(address)
        self.host, self.port = parts.hostname or "", parts.port or 0
        self.rng = random.Random(seed)
        sys.path.insert(0, str(FUZZ))
        known = importlib.import_module("doors").doors()
        self._sounds = [(known[name], known[name].seeds()) for name in SOUNDS]
        self._http = known["http"], known["http"].seeds()
        self._found = [path for name in SOUNDS for path in sorted((FUZZ / "found" / name).glob("*"))]
        self.kinds: dict[str, Callable[[httpx.AsyncClient], Awaitable[str]]] = {
            "damaged recording": self.damaged,
            "what broke a decoder once": self.found_once,
            "noise": self.noise,
            "batch with damage in it": self.batch,
            "too large": self.too_large,
            "length that is a lie": self.lying,
            "gone while sending": self.gone_while_sending,
            "gone while waiting": self.gone_while_waiting,
            "slow head": self.slow_head,
            "broken HTTP": self.broken_http,
            "live: NaN": self.live_nan,
            "live: broken frames": self.live_broken,
            "live: gone": self.live_gone,
            "a thousand parts": self.parts,
        }

    def _damaged(self) -> bytes:
        door, seeds = self.rng.choice(self._sounds)
        content: bytes = door.mutate(self.rng.choice(seeds), self.rng, tokens=door.tokens, others=seeds)
        return content

    async def _send(self, client: httpx.AsyncClient, content: bytes, **more: Any) -> str:
        answer = await client.post("/v1/predict", files={"file": ("a.wav", content)}, **more)
        return status_of(answer)

    async def damaged(self, client: httpx.AsyncClient) -> str:
        return await self._send(client, self._damaged())

    async def found_once(self, client: httpx.AsyncClient) -> str:
        return await self._send(client, self.rng.choice(self._found).read_bytes())

    async def noise(self, client: httpx.AsyncClient) -> str:
        return await self._send(client, self.rng.randbytes(self.rng.choice((0, 1, 100, 200_000))))

    async def batch(self, client: httpx.AsyncClient) -> str:
        files = [("files", (f"{i}.wav", self._damaged())) for i in range(self.rng.randrange(1, 6))]
        return status_of(await client.post("/v1/predict/batch", files=files))

    async def too_large(self, client: httpx.AsyncClient) -> str:
        return await self._send(client, bytes(self.limit + 100_000))

    async def lying(self, client: httpx.AsyncClient) -> str:
        head = f"POST /v1/predict HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        return await self._raw(head.encode() + b"Content-Length: 99999999999999\r\n\r\n--x\r\n")

    async def gone_while_sending(self, client: httpx.AsyncClient) -> str:
        head = f"POST /v1/predict HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + bytes(1 << 20)
        return await self._raw(head.encode() + b"Content-Length: 3000000\r\n\r\n" + body, wait_s=0)

    async def gone_while_waiting(self, client: httpx.AsyncClient) -> str:
        events = {"Accept": "text/event-stream"} if self.rng.random() < 0.5 else {}
        with contextlib.suppress(httpx.TimeoutException):
            return await self._send(client, _long_wav(60), headers=events, timeout=httpx.Timeout(60, read=0.1))
        return "left"

    async def slow_head(self, client: httpx.AsyncClient) -> str:
        return await self._raw(b"GET /healthz HTTP/1.1\r\nHost: ", wait_s=30)

    async def broken_http(self, client: httpx.AsyncClient) -> str:
        door, seeds = self._http
        data = door.mutate(self.rng.choice(seeds), self.rng, tokens=door.tokens, others=seeds)
        head, _, body = data.partition(b"\n\n")
        first, _, rest = head.partition(b"\n")
        lines = [first + b" HTTP/1.1", *rest.split(b"\n")]
        if self.rng.random() < 0.7:
            lines.append(b"content-length: %d" % len(body))
        return await self._raw(b"\r\n".join(line for line in lines if line) + b"\r\n\r\n" + body, wait_s=5)

    async def parts(self, client: httpx.AsyncClient) -> str:
        return status_of(await client.post("/v1/predict", files=[("file", (f"{i}.wav", b"RIFF")) for i in range(1000)]))

    async def _raw(self, data: bytes, wait_s: float = 30) -> str:
        reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            writer.write(data)
            await writer.drain()
            if not wait_s:
                return "left"
            async with asyncio.timeout(wait_s):
                line = await reader.readline()
            return line.split(b" ")[1].decode() if line.startswith(b"HTTP/1.1 ") else "hung up"
        except TimeoutError:
            return "left"
        except OSError:
            return "hung up"
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _live(self, *messages: str | bytes) -> str:
        from websockets.asyncio.client import connect
        from websockets.exceptions import WebSocketException

        try:
            async with connect(self.address.replace("http", "ws") + "/v1/live", proxy=None, max_size=None) as line:
                for message in messages:
                    await line.send(message)
                async with asyncio.timeout(30):
                    async for answer in line:
                        found = json.loads(answer)
                        if found["type"] in ("problem", "result"):
                            return str(found.get("problem", found["type"])).removeprefix("urn:whoplays:")
        except (WebSocketException, OSError, TimeoutError) as error:
            return type(error).__name__
        return "hung up"

    async def live_nan(self, client: httpx.AsyncClient) -> str:
        return await self._live('{"sample_rate": 44100}', struct.pack("<f", float("nan")) * 44100, '{"type": "end"}')

    async def live_broken(self, client: httpx.AsyncClient) -> str:
        first = self.rng.choice(('{"sample_rate": 44100}', "[]", "{", '{"sample_rate": -1}', '{"sample_rate": 1e400}'))
        return await self._live(first, self.rng.randbytes(self.rng.choice((1, 3, 4001, (1 << 20) + 4))))

    async def live_gone(self, client: httpx.AsyncClient) -> str:
        from websockets.asyncio.client import connect

        async with connect(self.address.replace("http", "ws") + "/v1/live", proxy=None) as line:
            await line.send('{"sample_rate": 44100}')
            await line.send(bytes(400_000))
            line.transport.abort()
        return "left"


def status_of(answer: httpx.Response) -> str:
    """The status, and of a refusal the kind of problem."""
    if answer.status_code < 400:
        return str(answer.status_code)
    return f"{answer.status_code} {answer.json()['type'].removeprefix('urn:whoplays:')}"


def _long_wav(seconds: int) -> bytes:
    import io

    import numpy as np
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, np.zeros(seconds * 8000, dtype=np.float32), 8000, format="WAV")
    return file.getvalue()
