"""The server for an hour under good and hostile clients together: memory, handles, files left over, and who was answered.

python -m bench long_serve [--minutes 60] [--good 2] [--hostile 2] [--pause 1.0]

Every good request has to get exactly the scores that the server gave before the attack; after a 503, the client retries
when Retry-After says.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import soundfile
from websockets.exceptions import WebSocketException

from bench.processes import children
from bench.robustness import watching
from bench.robustness.hostile import Hostile
from whoplays.examples import synth

RUN = "serve, good and hostile clients"
RATE = 44100
LIMIT_MB = 20
KINDS = (["guitar"], ["drums"], ["guitar", "drums"], ["strings", "piano"])


class Load:
    """The clients and the answers that they got."""

    def __init__(self, address: str, folder: Path, pause: float) -> None:
        self.address, self.pause = address, pause
        self.files = [folder / f"{i}.{'flac' if i % 2 else 'wav'}" for i in range(len(KINDS))]
        for i, path in enumerate(self.files):
            soundfile.write(path, synth.recording(KINDS[i], duration_s=8, seed=i, sample_rate=RATE), RATE)
        self.wanted: dict[Path, Any] = {}
        self.hostile = Hostile(address, seed=9, limit_mb=LIMIT_MB)
        self.answered = self.busy = 0
        self.wrong: list[str] = []
        self.answers: collections.Counter[tuple[str, str]] = collections.Counter()
        self.longest = 0.0

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.address, timeout=180, trust_env=False)

    async def _predict(self, client: httpx.AsyncClient, path: Path) -> Any:
        while True:
            answer = await client.post("/v1/predict", files={"file": ("a", path.read_bytes())})
            if answer.status_code != 503:
                return answer.json() if answer.status_code == 200 else answer.text
            self.busy += 1
            await asyncio.sleep(int(answer.headers["Retry-After"]))

    async def calibrate(self) -> None:
        async with self._client() as client:
            for path in self.files:
                self.wanted[path] = await self._predict(client, path)

    async def _good(self, number: int, until: float) -> None:
        async with self._client() as client:
            for i in range(number, 10**9):
                if time.monotonic() >= until:
                    return
                path = self.files[i % len(self.files)]
                begun = time.monotonic()
                try:
                    result = await self._predict(client, path)
                except httpx.HTTPError as error:
                    result = repr(error)
                self.longest = max(self.longest, time.monotonic() - begun)
                self.answered += 1
                if result != self.wanted[path]:
                    self.wrong.append(str(result)[:200])
                await asyncio.sleep(self.pause)

    async def _bad(self, number: int, until: float) -> None:
        names = list(self.hostile.kinds)
        for i in range(number, 10**9):
            if time.monotonic() >= until:
                return
            name = names[i % len(names)]
            async with self._client() as client:  # a new connection each
                try:
                    said = await self.hostile.kinds[name](client)
                except (httpx.HTTPError, WebSocketException, OSError) as error:
                    said = type(error).__name__
            self.answers[name, said] += 1
            await asyncio.sleep(self.pause)

    async def run(self, seconds: float, good: int, hostile: int) -> None:
        until = time.monotonic() + seconds
        clients = [self._good(i, until) for i in range(good)] + [self._bad(3 * i, until) for i in range(hostile)]
        await asyncio.gather(*clients)

    async def at_rest(self) -> str:
        """Let all work end; return the metrics."""
        async with self._client() as client:
            for _ in range(120):
                if (await client.get("/healthz")).json()["status"] == "ok":
                    break
                await asyncio.sleep(0.5)
            await asyncio.sleep(15)  # uploads that stopped half-way are given up
            return (await client.get("/metrics")).text


def unnamed_files(pid: int) -> int:
    """Files that a process holds open and that have no name: uploads."""
    count = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            count += "(deleted)" in str(link.readlink())
        except OSError:
            continue
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--good", type=int, default=2)
    parser.add_argument("--hostile", type=int, default=2)
    parser.add_argument("--pause", type=float, default=1.0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name, "scratch")
        scratch.mkdir()
        words = [sys.executable, "-m", "whoplays", "serve", "--port", "0", "--rate", "0"]
        words += ["--max-upload-mb", str(LIMIT_MB), "--upload-time", "30"]
        log = Path(name, "log")
        with log.open("w") as said:
            server = subprocess.Popen(words, stderr=said, env={**os.environ, "TMPDIR": str(scratch)})
        try:
            while " at " not in log.read_text():
                time.sleep(0.2)
            address = log.read_text().split(" at ")[1].split()[0]
            rows, outcome = under_load(args, server.pid, address, Path(name), scratch)
        finally:
            server.send_signal(signal.SIGTERM)
            status = server.wait(60)
        errors = collections.Counter(
            re.findall(r"^(?:ERROR|\w[\w.]*(?:Error|Exception|Problem)\b).*", log.read_text(), re.M)
        )
        listed = f" ({'; '.join(f'{n}x {text[:120]}' for text, n in errors.most_common(5))})" if errors else ""
        outcome += f" Stopped with status {status}; {errors.total()} errors in its log{listed}; "
        left = sorted(path.name for path in scratch.iterdir())
        outcome += f"{len(left)} temporary files left over{': ' + ', '.join(left[:5]) if left else ''}."
    watching.keep(RUN, rows, outcome)


def under_load(
    args: argparse.Namespace, pid: int, address: str, folder: Path, scratch: Path
) -> tuple[list[dict[str, Any]], str]:
    load = Load(address, folder, args.pause)
    asyncio.run(load.calibrate())
    begun = time.monotonic()
    roles = {"server": lambda: [pid], "workers": lambda: children(pid)}
    with watching.Watch(roles, lambda: (time.monotonic() - begun) / 60, every_s=5) as watch:
        asyncio.run(load.run(60 * args.minutes, args.good, args.hostile))
        metrics = asyncio.run(load.at_rest())
        watch.look()
    kinds: dict[str, dict[str, int]] = collections.defaultdict(dict)
    for (name, said), count in sorted(load.answers.items()):
        kinds[name][said] = count
    print(json.dumps(kinds, indent=1), metrics, sep="\n")
    failed = sum(count for (_, said), count in load.answers.items() if said.startswith("500"))
    replaced = [
        line.split("_total")[1] for line in metrics.splitlines() if line.startswith("whoplays_workers_replaced")
    ]
    by_kind = "; ".join(f"{name}: {', '.join(f'{s} {n}x' for s, n in said.items())}" for name, said in kinds.items())
    outcome = (
        f"{load.answered} good requests, {len(load.wrong)} of them not answered with exactly the right scores"
        f"{' (' + load.wrong[0] + ')' if load.wrong else ''}; {load.busy} times 503 and tried again; the longest took "
        f"{load.longest:.1f} s. {sum(load.answers.values())} hostile ones, {failed} of them answered by 500. "
        f"Answers by kind: {by_kind}. Workers replaced: {' '.join(replaced) or 'none'}. "
        f"Open uploads at the end: {unnamed_files(pid)}."
    )
    return watch.rows(RUN, 60, "minutes"), outcome
