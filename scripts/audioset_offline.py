"""The whole way from AudioSet's lists to an evaluated model, on one machine, without a network.

    python scripts/audioset_offline.py FOLDER [--per-class 12] [--epochs 3]

Writes a small list and ontology in AudioSet's layout, serves made-up recordings for its videos on loopback (some of them
gone or private, as on the site), and calls the commands one after another: plan, inspect, download, verify, dataset build,
train, evaluate. Each is printed before it runs: with the real list and without --source they are what a student types.
"""

from __future__ import annotations

import argparse
import functools
import io
import json
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import soundfile

from whoplays.examples import synth
from whoplays.taxonomy.catalogue import catalogue

FAMILY_IDS = catalogue().defaults
RULES = {family: rule for family in FAMILY_IDS if (rule := catalogue().audioset(family))}

RATE = 22050
VIDEO_S = 16.0
START_S, END_S = 4.0, 14.0
GONE = {404: 5, 410: 11}  # each so-many-th video answers so
SPEECH = "/m/09x0r"


def main() -> None:
    """Run every command, and stop at the first that fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--per-class", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    write_list(options.folder / "list.csv", 2 * options.per_class)
    write_ontology(options.folder / "ontology.json")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Videos)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    source = f"http://127.0.0.1:{server.server_port}/{{video_id}}"
    for words in commands(options.per_class, options.epochs, source):
        print("\n$ whoplays", shlex.join(words), flush=True)
        done = subprocess.run([sys.executable, "-m", "whoplays", *words], cwd=options.folder)
        if done.returncode:
            sys.exit(f"that ended with status {done.returncode}")
    server.shutdown()


def commands(per_class: int, epochs: int, source: str) -> Iterator[list[str]]:
    """Yield what comes after `whoplays` on each line."""
    lists = ["--segments", "list.csv", "--ontology", "ontology.json"]
    yield ["audioset", "plan", *lists, "--per-class", str(per_class), "--solo", "--seed", "1", "--out", "plan.csv"]
    yield ["audioset", "inspect", *lists, "--companions", "3", "--out", "labels"]
    yield ["audioset", "download", "plan.csv", "--out", "clips", "--rate", str(RATE), "--source", source]
    yield ["audioset", "verify", "clips"]
    yield ["dataset", "build", "clips/manifest.csv", "--out", "dataset", "--pitch=-1,0,1", "--seed", "1"]
    training = ["--epochs", str(epochs), "--learning-rate", "0.001", "--batch-size", "8"]
    yield ["train", "dataset", "--recipe", "mfcc-cnn", *training, "--out", "model"]
    yield ["evaluate", "model", "dataset", "--out", "judged"]


def video_id(family: str, number: int) -> str:
    """Eleven letters that tell the family and the number, since nothing else does here."""
    return f"{family[:5]:-<5}{number:06d}"


def write_list(path: Path, per_class: int) -> None:
    """Write videos of each family, and a few more that carry two, what is kept out, or none of them."""
    lines = ["# YTID, start_seconds, end_seconds, positive_labels"]

    def add(video: str, *labels: str) -> None:
        lines.append(f'{video}, {START_S:.3f}, {END_S:.3f}, "{",".join(labels)}"')

    for place, family in enumerate(FAMILY_IDS):
        rule, beside = RULES[family], RULES[FAMILY_IDS[place - 1]]
        own, other = next(iter(rule.include)), next(iter(beside.include))
        for number in range(per_class):
            add(video_id(family, number), own)
        add(video_id(family, 900_000), own, other)
        add(video_id(family, 900_001), own, next(iter(rule.exclude)))
        add(video_id(family, 900_002), SPEECH)
    path.write_text("\n".join(lines) + "\n")


def write_ontology(path: Path) -> None:
    """Write the labels that the families are made of, without the rest of AudioSet's tree."""
    names = {SPEECH: "Speech"}
    for rule in RULES.values():
        names |= rule.include | rule.exclude | rule.ambiguous
    path.write_text(json.dumps([{"id": key, "name": name, "child_ids": []} for key, name in names.items()], indent=1))


@functools.lru_cache(maxsize=256)
def recording(family: str, number: int) -> bytes:
    """A made-up recording of one family, as a FLAC file."""
    samples = synth.recording([family], duration_s=VIDEO_S, seed=[FAMILY_IDS.index(family), number], sample_rate=RATE)
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format="FLAC")
    return file.getvalue()


class Videos(BaseHTTPRequestHandler):
    """Answers /VIDEO_ID with its recording; some are gone."""

    def do_GET(self) -> None:
        """Serve one recording."""
        name = self.path.strip("/")
        family = next((one for one in FAMILY_IDS if name.startswith(one[:5])), None)
        number = int(name[5:]) if name[5:].isdigit() else 0
        status = next((code for code, every in GONE.items() if number % every == every - 1), 200 if family else 404)
        body = recording(family, number) if family and status == 200 else b"gone"
        self.send_response(status)
        self.send_header("Content-Type", "audio/flac" if status == 200 else "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle(self) -> None:
        """Ignore a client that has closed the connection."""
        try:
            super().handle()
        except ConnectionError:
            self.close_connection = True

    def log_message(self, *_) -> None:
        """Say nothing."""


if __name__ == "__main__":
    main()
