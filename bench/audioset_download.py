"""What a fetched clip costs beside ffmpeg itself, and whether a long faulty download that is killed ends well.

python bench/audioset_download.py cost [CLIPS]      (default 200) against ffmpeg called for the same clips
python bench/audioset_download.py faults [CLIPS]    (default 1000) 30 % faulty, three kill -9, then everything checked
"""

from __future__ import annotations

import csv
import multiprocessing
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

from results import keep, row

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from standin import OUTCOMES, RATE, Site

from whoplays.sources.audioset import PlannedClip
from whoplays.sources.audioset.download import Settings, Template, download, verify
from whoplays.sources.audioset.download.ffmpeg import Cutter, Media, find_ffmpeg

START_S, LENGTH_S = 8, 10
RUNS = 3
KILLS = 3


def main() -> None:
    what = sys.argv[1] if len(sys.argv) > 1 else ""
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    if what == "cost":
        cost(count or 200)
    elif what == "faults":
        faults(count or 1000)
    else:
        sys.exit(__doc__)


def video(number: int) -> str:
    return f"{number:011d}"


# ---------------------------------------------------------------- cost


def cost(count: int) -> None:
    """Wall and processor time of a clip: ours, and ffmpeg's alone for the same answers of the same server."""
    rows = []
    for jobs in (1, 8):
        pairs = [(ours(count, jobs), ffmpeg_alone(count, jobs)) for _ in range(RUNS)]
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
def served():
    """Yield the template of a stand-in that runs in a process of its own, so that its work is not counted as ours."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    process.start()
    try:
        yield here.recv()
    finally:
        process.kill()
        process.join()


def serve(pipe) -> None:
    with Site() as site:
        pipe.send(site.template)
        time.sleep(3600)


# ---------------------------------------------------------------- faults


def faults(count: int) -> None:
    """Fetch with 30 % faulty clips, kill it three times at random moments, let it end, and check everything."""
    draw = random.Random(1)
    kinds = [rule for rule, outcome in OUTCOMES.items() if outcome != "done" or " once" in rule]
    rules = {video(n): kinds[place % len(kinds)] for place, n in enumerate(draw.sample(range(count), count * 3 // 10))}
    lost = {name: OUTCOMES[rule] for name, rule in rules.items() if OUTCOMES[rule] != "done"}
    folder = Path(tempfile.mkdtemp(prefix="whoplays-faults-"))
    plan, out = folder / "plan.csv", folder / "clips"
    with plan.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("video_id", "start_s", "end_s", "family"))
        writer.writerows((video(n), START_S, START_S + LENGTH_S, "piano") for n in range(count))
    begun = time.monotonic()
    with Site(rules, stall_s=6.0) as site:
        command = [sys.executable, "-m", "whoplays", "audioset", "download", str(plan), "--out", str(out)]
        command += [
            "--source",
            site.template,
            "--jobs",
            "8",
            "--rate",
            str(RATE),
            "--attempts",
            "3",
            "--timeout",
            "4",
        ]
        killed_at = [
            kill_somewhere(command, out, count * (k + draw.random()) / (KILLS + 1), draw) for k in range(KILLS)
        ]
        there = {path.name[:11] for path in out.glob("piano/*.flac")}
        had = {path: n for path, n in site.requests.items() if path[-11:] in there}
        last = subprocess.run(command, capture_output=True, text=True)
        again = {path for path, n in had.items() if site.requests[path] != n}
    seconds = time.monotonic() - begun
    problems = check(out, {video(n) for n in range(count)} - set(lost), lost) + [
        f"fetched twice: {one}" for one in again
    ]
    if problems or last.returncode != 1:
        sys.exit("\n".join([*problems, last.stderr[-2000:], f"kept for a look: {folder}"]))
    shutil.rmtree(folder)
    causes = Counter(lost.values())
    keep(
        "audioset_faults",
        "A faulty download, killed three times",
        [
            {
                "clips": count,
                "rules": len(kinds),
                "had": count - len(lost),
                "lost": len(lost),
                "killed when it had": ", ".join(map(str, killed_at)),
                "seconds": round(seconds),
                "requests": sum(site.requests.values()),
            }
        ],
        peer="none",
        packages=("yt-dlp", "imageio-ffmpeg"),
        remarks="Every clip that could be had is there once and as the manifest says; every lost one has its true cause ("
        + ", ".join(f"{cause} {n}" for cause, n in sorted(causes.items()))
        + "); nothing was fetched twice, and no temporary file is left. 8 at once; a clip was tried three times at most.",
    )


def kill_somewhere(command: list[str], out: Path, files: float, draw: random.Random) -> int:
    """Start it, kill it at a random moment after it has about so many files; return how many it has then."""
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while sum(1 for _ in out.glob("piano/*.flac")) < files:
        if running.poll() is not None:
            raise SystemExit("it ended before it was killed")
        time.sleep(0.02)
    time.sleep(draw.random())
    running.send_signal(signal.SIGKILL)
    running.wait()
    return sum(1 for _ in out.glob("piano/*.flac"))


def check(out: Path, available: set[str], lost: dict[str, str]) -> list[str]:
    """Return what is not as it should be."""
    problems = []
    with closing(sqlite3.connect(out / "ledger.sqlite")) as db:
        told = dict(db.execute("select video_id, cause from clips where state = 'lost'"))
        waiting = db.execute("select count(*) from clips where state = 'waiting'").fetchone()[0]
    problems += [
        f"{name}: {told.get(name)} instead of {cause}" for name, cause in lost.items() if told.get(name) != cause
    ]
    problems += [f"{name}: lost by {told[name]}, and could be had" for name in set(told) - set(lost)]
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    expected = {f"piano/{name}_{START_S * 1000}.flac" for name in available} | {"ledger.sqlite", "manifest.csv"}
    problems += [f"missing: {name}" for name in expected - files] + [f"left over: {name}" for name in files - expected]
    problems += [f"{one.path}: {one.what}" for one in verify(out)[1]]
    return problems + ([f"{waiting} clips wait"] if waiting else [])


if __name__ == "__main__":
    main()
