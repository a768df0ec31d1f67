"""Everything of speed and memory by one command (some hours), or a small version of it in about a minute.

    python bench/run.py [--data DATA] [--yamnet YAMNET]      bench/RESULTS.md and bench/results/*.json
    python bench/run.py --small [...]                        the same with few runs, into a folder of its own

What needs material that was not named is passed over, and said so. Training is measured on Keras' backend (KERAS_BACKEND);
the rows of the others stay. One after the other: nothing else should run beside.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent

#: bench -> arguments, arguments of the small version; None: not in it. DATA and YAMNET stand for folders.
BENCHES: list[tuple[str, str, str | None]] = [
    ("startup.py", "", None),
    ("hearing.py", "YAMNET", "YAMNET --runs 5"),
    ("batched.py", "", "--runs 3 --sizes 4"),
    ("shares.py", "", "--clips 12"),
    ("many_files.py", "--files 2000 --runs 3", "--files 200 --runs 1"),
    ("streaming.py", "--hours 10", "--hours 0.05 --formats wav,mkv"),
    ("streaming.py", "--growth 0.1,1,10", None),
    ("features.py", "DATA", None),
    ("dataset_growth.py", "--seconds 3", "--sizes 100,400 --seconds 1"),
    ("large_training.py", "--gigabytes 60", None),
    ("training_step.py", "--steps 500 --runs 7", "--steps 100 --runs 2"),
    ("training_speed.py", "--report-steps 400 --default-steps 5", None),
    ("training_speed.py", "--bfloat16 --runs 5 --default-steps 4", None),
    ("collection.py", "--files 5000", None),
    ("audioset_plan.py", "", None),
    ("serve.py", "--seconds 60 --files 120 --runs 3", None),
    ("long_files.py", "", None),
    ("long_stream.py", "", None),
    ("long_serve.py", "--minutes 60", None),
    ("figures.py", "", None),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--data")
    parser.add_argument("--yamnet")
    options = parser.parse_args()
    environment = dict(os.environ)
    if options.small:
        environment["WHOPLAYS_BENCH_OUT"] = tempfile.mkdtemp(prefix="whoplays-bench-")
    failed = []
    for name, full, small in BENCHES:
        arguments = small if options.small else full
        if arguments is None:
            continue
        words = arguments.split()
        for stands_for, given in (("DATA", options.data), ("YAMNET", options.yamnet)):
            words = [given or word if word == stands_for else word for word in words]
        if {"DATA", "YAMNET"} & set(words):
            print(f"{name}: passed over; it needs --{'data' if 'DATA' in words else 'yamnet'}", file=sys.stderr)
            continue
        begun = time.monotonic()
        if subprocess.run([sys.executable, str(HERE / name), *words], env=environment).returncode:
            failed.append(name)
        print(f"{name}: {time.monotonic() - begun:.0f} s", file=sys.stderr)
    print(f"results in {environment.get('WHOPLAYS_BENCH_OUT', HERE)}", file=sys.stderr)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
