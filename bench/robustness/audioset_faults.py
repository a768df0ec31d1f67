"""A long download of which 30 % is faulty, killed (-9) three times at random moments, then checked clip by clip.

python -m bench audioset_faults [--clips 1000]
"""

from __future__ import annotations

import argparse
import csv
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

from bench import TESTS
from bench.measure import keep

sys.path.insert(0, str(TESTS))

from standin import OUTCOMES, RATE, Site

from whoplays.sources.audioset.download import verify

START_S, LENGTH_S = 8, 10
KILLS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=1000)
    count = parser.parse_args().clips
    draw = random.Random(1)
    kinds = [rule for rule, outcome in OUTCOMES.items() if outcome != "done" or " once" in rule]
    rules = {
        f"{n:011d}": kinds[place % len(kinds)] for place, n in enumerate(draw.sample(range(count), count * 3 // 10))
    }
    lost = {name: OUTCOMES[rule] for name, rule in rules.items() if OUTCOMES[rule] != "done"}
    folder = Path(tempfile.mkdtemp(prefix="whoplays-faults-"))
    plan, out = folder / "plan.csv", folder / "clips"
    with plan.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("video_id", "start_s", "end_s", "family"))
        writer.writerows((f"{n:011d}", START_S, START_S + LENGTH_S, "piano") for n in range(count))
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
    problems = check(out, {f"{n:011d}" for n in range(count)} - set(lost), lost) + [
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
        causes = dict(db.execute("select video_id, cause from clips where state = 'lost'"))
        waiting = db.execute("select count(*) from clips where state = 'waiting'").fetchone()[0]
    problems += [
        f"{name}: {causes.get(name)} instead of {cause}" for name, cause in lost.items() if causes.get(name) != cause
    ]
    problems += [f"{name}: lost by {causes[name]}, and could be had" for name in set(causes) - set(lost)]
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    expected = {f"piano/{name}_{START_S * 1000}.flac" for name in available} | {"ledger.sqlite", "manifest.csv"}
    problems += [f"missing: {name}" for name in expected - files] + [f"left over: {name}" for name in files - expected]
    problems += [f"{one.path}: {one.what}" for one in verify(out)[1]]
    return problems + ([f"{waiting} clips wait"] if waiting else [])
