"""`whoplays serve` under load: many clients at a time, against the command on the same files.

    python -m bench serve [--clients 50] [--seconds 60] [--files 120]

The clients are one asyncio process on the same machine, so they take their share of its cores. Each sends a recording,
waits for the scores, and sends the next; after a 503, it waits as long as the answer says.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import soundfile

from bench.measure import in_turn, keep, row
from whoplays.examples import synth

RATE = 44100
LENGTH_S = 10


def recordings(folder: Path, count: int) -> list[Path]:
    """Write `count` recordings of 10 s, of a few kinds in turn."""
    kinds = (["guitar"], ["drums"], ["guitar", "drums"], ["strings"])
    made = [synth.recording(kind, duration_s=LENGTH_S, seed=i, sample_rate=RATE) for i, kind in enumerate(kinds)]
    paths = []
    for i in range(count):
        paths.append(folder / f"{i:04d}.wav")
        soundfile.write(paths[-1], made[i % len(made)], RATE)
    return paths


class Load:
    """Clients, and the latencies and errors that they saw."""

    def __init__(self, address: str, clients: int) -> None:
        self.address = address
        self.clients = clients
        self.latencies: list[float] = []
        self.turned_away = 0
        self.errors: list[str] = []

    async def _client(self, work: list[bytes], until: float) -> None:
        async with httpx.AsyncClient(base_url=self.address, timeout=120, trust_env=False, verify=False) as client:
            while work and time.monotonic() < until:
                content = work.pop()
                begun = time.perf_counter()
                answer = await client.post("/v1/predict", files={"file": ("a.wav", content)})
                if answer.status_code == 200:
                    self.latencies.append(time.perf_counter() - begun)
                elif answer.status_code == 503:
                    self.turned_away += 1
                    work.append(content)
                    await asyncio.sleep(int(answer.headers["Retry-After"]))
                else:
                    self.errors.append(f"{answer.status_code} {answer.text[:80]}")

    def run(self, work: list[bytes], seconds: float = 3600) -> None:
        async def all_of_them() -> None:
            until = time.monotonic() + seconds
            await asyncio.gather(*(self._client(work, until) for _ in range(self.clients)))

        asyncio.run(all_of_them())


def resident_mb(pid: int) -> float:
    """Memory of a process and its children, MiB."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
            if int(stat.parent.name) == pid or int(fields[1]) == pid:
                total += int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
        except OSError:
            continue
    return total / (1 << 20)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--files", type=int, default=120)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = recordings(Path(folder), args.files)
        contents = [path.read_bytes() for path in paths]
        command = [sys.executable, "-m", "whoplays", "predict", folder, "--format", "jsonl"]
        begun = time.perf_counter()
        serve = [sys.executable, "-m", "whoplays", "serve", "--port", "0", "--rate", "0"]
        server = subprocess.Popen(serve, stderr=subprocess.PIPE, text=True)
        assert server.stderr
        address = server.stderr.readline().split(" at ")[1].split()[0]
        started = time.perf_counter() - begun
        try:
            measure(args, server.pid, address, contents, command, started)
        finally:
            server.terminate()
            server.wait()


def measure(
    args: argparse.Namespace, pid: int, address: str, contents: list[bytes], command: list[str], started: float
) -> None:
    """Time the server and the command in turn; then load the server for a while."""
    ours, peer = in_turn(
        lambda: Load(address, args.clients).run(list(contents)),
        lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL),
        runs=args.runs,
    )
    before = resident_mb(pid)
    load = Load(address, args.clients)
    load.run(contents * 1000, args.seconds)
    after = resident_mb(pid)
    tenths = statistics.quantiles(load.latencies, n=20)
    rows = [row(f"{args.files} recordings of {LENGTH_S} s, seconds", ours, peer, unit="s", scale=1, aim="0.8x")]
    remarks = (
        f"{args.clients} clients for {args.seconds:g} s: {len(load.latencies)} recordings analysed "
        f"({len(load.latencies) / args.seconds:.1f} a second), latency p50 {statistics.median(load.latencies):.2f} s, "
        f"p95 {tenths[18]:.2f} s (most of it in the queue), {load.turned_away} times 503 by design, "
        f"{len(load.errors)} errors{' ' + load.errors[0] if load.errors else ''}; memory of server and workers "
        f"{before:.0f} MiB before, {after:.0f} MiB after. From the command to the first answer possible: {started:.1f} s."
    )
    keep(
        "serve",
        "Serving",
        rows,
        peer="`whoplays predict` on the same files",
        packages=("uvicorn", "fastapi"),
        remarks=remarks,
    )
