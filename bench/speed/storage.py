"""What a data set from an object store into an object store costs a node: memory and disk as recordings become more.

    python -m bench storage [--recordings 250] [--workers 2] [--cluster]

The same build, with the same workers (processes, or with --cluster on Ray), from disk to disk and from store to store (moto's
server on loopback, in a process that is not counted), of N recordings of ten seconds and of four times as many. Memory is
that of the whole tree of processes: the driver, the workers, and with --cluster Ray's own; shared pages count once (PSS).
The object store is not Amazon's: it answers at once, and computes on the same cores, so seconds measure the work that is
added here, not a network.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import soundfile

from bench.measure import keep
from bench.processes import proportional_mb, tree
from whoplays.examples import synth
from whoplays.storage.address import Address

ARGUMENTS = ("--recordings 100", "--recordings 100 --cluster")
RATE, SECONDS, KINDS = 22050, 10.0, ("drums", "guitar", "strings")
ATTEMPTS = 6
BUILD = """
import sys
from whoplays import dataset
settings = dataset.BuildSettings(features="logmel", shard_mb=16)
engine = None
if sys.argv[4] == "ray":
    from whoplays.cluster import Cluster
    engine = Cluster("local", jobs=int(sys.argv[3]))
if __name__ == "__main__":
    dataset.build(sys.argv[1], sys.argv[2], settings, jobs=int(sys.argv[3]), engine=engine)
"""


@contextmanager
def server() -> Iterator[None]:
    """moto's S3 server in a process of its own, with a bucket; the environment of this process and its children says where."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ.update(
        AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}",
        AWS_ACCESS_KEY_ID="testing",
        AWS_SECRET_ACCESS_KEY="testing",
        AWS_DEFAULT_REGION="us-east-1",
    )
    command = [sys.executable, "-c", f"from moto.server import main; main(['-H', '127.0.0.1', '-p', '{port}'])"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 120
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)
        import boto3

        boto3.client("s3").create_bucket(Bucket="bench")
        yield
    finally:
        process.terminate()
        process.wait()


def make(folder: Path, count: int) -> None:
    """Recordings, in a folder for each class; eight contents, whatever their number."""
    kept = [
        synth.recording([kind], duration_s=SECONDS, seed=[k, i], sample_rate=RATE)
        for k, kind in enumerate(KINDS)
        for i in range(8)
    ]
    for number in range(count):
        kind = number % len(KINDS)
        path = folder / KINDS[kind] / f"take{number:06d}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        first = folder / KINDS[kind] / f"take{number % 24:06d}.flac"
        if number < 24:
            soundfile.write(path, kept[8 * kind + number // len(KINDS)], RATE)
        else:
            shutil.copyfile(first, path)


def fetched_mb(folder: Path) -> float:
    """What lies fetched on the node's disk."""
    total = 0
    for path in folder.glob("whoplays-fetched-*/*"):
        try:
            total += path.stat().st_size
        except OSError:
            continue
    return total / 1e6


def build(source: str, out: str, count: int, workers: int, on: str, scratch: Path) -> dict[str, Any]:
    """Build in a process of its own, and watch it."""
    for _ in range(ATTEMPTS):  # Ray gives itself 30 s to start, which a busy machine may not have
        begun = time.perf_counter()
        environment = {**os.environ, "TMPDIR": str(scratch)}
        process = subprocess.Popen([sys.executable, "-c", BUILD, source, out, str(workers), on], env=environment)
        whole = largest = disk = 0.0
        while process.poll() is None:
            each = [proportional_mb(one.pid) for one in tree(process.pid)] or [0.0]
            whole, largest = max(whole, sum(each)), max(largest, *each)
            disk = max(disk, fetched_mb(scratch))
            time.sleep(0.2)
        if not process.returncode:
            break
    else:
        raise SystemExit(f"the build of {source} failed")
    return {
        "workers": f"{workers}, {on}",
        "recordings": count,
        "from": "store" if "://" in source else "disk",
        "peak of all processes, MB": round(whole),
        "largest process, MB": round(largest),
        "fetched on disk at a time, MB": round(disk, 1),
        "seconds": round(time.perf_counter() - begun, 1),
    }


def main() -> None:
    """Measure, and keep the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recordings", type=int, default=250)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cluster", action="store_true", help="on Ray instead of processes")
    args = parser.parse_args()
    on = "ray" if args.cluster else "processes"
    rows = []
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="wb-") as scratch, server():
        root = Path(scratch)
        for count in (args.recordings, 4 * args.recordings):
            folder, far = root / f"in{count}", Address.of(f"s3://bench/in{count}")
            make(folder, count)
            for path in sorted(folder.rglob("*.flac")):
                (far / path.relative_to(folder).as_posix()).write(path.read_bytes())
            for source, out in ((str(folder), str(root / f"out{count}")), (str(far), f"s3://bench/out{count}")):
                rows.append(build(source, out, count, args.workers, on, root))
                print(rows[-1], flush=True)
            for entry in (root / f"out{count}").iterdir():
                assert Address.of(f"s3://bench/out{count}/{entry.name}").read_bytes() == entry.read_bytes(), entry.name
    keep(
        "storage_cluster" if args.cluster else "storage",
        "Data sets in object stores: what a node needs",
        rows,
        peer="the same build on disk",
        packages=("ray", "s3fs", "fsspec", "moto"),
        remarks="The files of both builds were equal, byte by byte. Ten-second recordings, log-mel shards of 16 MB, on "
        "a machine that had much else to do: seconds are no measure of speed. The store answers from memory on "
        "the same machine.",
    )
