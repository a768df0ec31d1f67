"""What a fetched clip costs, against ffmpeg alone called for the same clips.

python -m bench audioset_download [--clips 200]
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

from bench import TESTS
from bench.measure import keep, row

sys.path.insert(0, str(TESTS))

from standin import RATE, Site

from whoplays.sources.audioset import PlannedClip
from whoplays.sources.audioset.download import Settings, Template, download
from whoplays.sources.audioset.download.ffmpeg import Cutter, Media, find_ffmpeg

START_S, LENGTH_S = 8, 10
PAIRS = 3


def video(number: int) -> str:
    return f"{number:011d}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=200)
    count = parser.parse_args().clips
    rows = []
    for jobs in (1, 8):
        pairs = [(ours(count, jobs), ffmpeg_alone(count, jobs)) for _ in range(PAIRS)]
        for what, place in (("wall time", 0), ("processor time, ffmpeg's with it", 1)):
            times = ([pair[0][place] for pair in pairs], [pair[1][place] for pair in pairs])
            rows.append(row(f"a clip, {jobs} at once: {what}", *times, scale=1e3 / count))
    keep(
        "audioset_download",
        "Fetching a clip, beside ffmpeg alone",
        rows,
        peer="ffmpeg called for the same clips",
        packages=("yt-dlp", "imageio-ffmpeg"),
        remarks=f"{count} clips a run from a server on loopback in a process of its own. Ours also asks with yt-dlp what is "
        "there, encodes FLAC, decodes and measures it, writes it durably and keeps the ledger; starting up is not counted.",
    )


def ours(count: int, jobs: int) -> tuple[float, float]:
    """Seconds of wall and of processor, ours and our ffmpegs', for `count` clips; without starting up."""
    with served() as template, tempfile.TemporaryDirectory() as folder:
        clips = [
            PlannedClip(video(n), START_S * 1000, 18_000, "piano", (), ("piano",), (), n + 1) for n in range(count)
        ]
        settings = Settings(template=Template(template), jobs=jobs, rate=RATE)
        download(clips[:jobs], [], Path(folder), settings)
        before = processor()
        outcome = download(clips, [], Path(folder), settings)
        if outcome.missing:
            raise SystemExit(f"{outcome.missing} clips are missing: {outcome.states}")
        return outcome.seconds * count / outcome.fetched, (processor() - before) * count / outcome.fetched


def ffmpeg_alone(count: int, jobs: int) -> tuple[float, float]:
    with served() as template:
        cutter = Cutter(find_ffmpeg(), rate=RATE, channels=1, timeout_s=30)
        media = [Media(template.format(video_id=video(n)), {}, size=1) for n in range(count)]
        before, begun = processor(), time.perf_counter()
        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(lambda one: cutter.cut(one, START_S, LENGTH_S), media))
        return time.perf_counter() - begun, processor() - before


def processor() -> float:
    """Processor seconds of this process and of its children so far."""
    parts = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(part.ru_utime + part.ru_stime for part in parts)


@contextmanager
def served() -> Iterator[str]:
    """Yield the template of a stand-in that runs in a process of its own, so that its work is not counted as ours."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    process.start()
    try:
        yield here.recv()
    finally:
        process.kill()
        process.join()


def serve(pipe: Connection) -> None:
    with Site() as site:
        pipe.send(site.template)
        time.sleep(3600)
