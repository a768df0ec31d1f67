"""Every door under the fuzzer, round after round, with counts that are kept: stop it when you like, and go on later.

python -m bench fuzzing [DOOR ...] [--runs 1000000] [--slice 30] [--seed 2]    (no DOOR: all)

A round gives each door that has not had its runs a slice of time. Inputs follow from seed and number, so those counted
before are not tried again. What is found lies in fuzz/new (see fuzz/run.py), and goes to fuzz/found once it is corrected.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import os
from typing import Any

from bench import FUZZ, measure

ARGUMENTS = ("--runs 100000",)
NAME = "fuzzing"


def fuzzer() -> Any:
    """The module fuzz/run.py."""
    found = importlib.util.spec_from_file_location("fuzz_run", FUZZ / "run.py")
    assert found and found.loader
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def rows_before(seed: int) -> dict[str, dict[str, Any]]:
    """What was counted already, by door; counts of another seed are for other inputs."""
    path = measure.FOLDER / f"{NAME}.json"
    rows = json.loads(path.read_text())["rows"] if path.exists() else []
    return {row["door"]: row for row in rows if row["seed"] == seed}


def _seconds() -> float:
    """Processor time that children took: what else runs here does not show in it."""
    times = os.times()
    return times.children_user + times.children_system


def slice_of(fuzz: Any, door: Any, row: dict[str, Any], runs: int, seconds: float) -> dict[str, Any]:
    """Try the door's next inputs; return its row."""
    before = _seconds()
    tried, found = fuzz.fuzz(door, runs=runs, seed=row["seed"], seconds=seconds, first=row["inputs"])
    minutes = row["processor minutes"] + (_seconds() - before) / 60
    return {
        **row,
        "inputs": row["inputs"] + tried,
        "processor minutes": round(minutes, 2),
        "findings": row["findings"] + len(found),
        "regression cases": len(fuzz.found_once(door.name)),
    }


def keep(rows: dict[str, dict[str, Any]], runs: int) -> None:
    done = sum(row["inputs"] >= runs for row in rows.values())
    with contextlib.redirect_stdout(io.StringIO()):
        measure.keep(
            NAME,
            "Every door under the fuzzer",
            list(rows.values()),
            peer="none",
            packages=("soundfile", "av", "mutagen", "pyarrow", "onnxruntime", "fastapi"),
            remarks=f"{sum(row['inputs'] for row in rows.values()):,} inputs; {done} of {len(rows)} doors had the {runs:,} "
            "that were wanted. Findings: crashes, endless loops, memory beyond the limit, exceptions or wrong answers in this "
            "count, all corrected since; regression cases: inputs in fuzz/found, from this count and before, which the tests "
            "try again. Processor minutes are those of the inputs alone.",
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("doors", nargs="*")
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--slice", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=2)
    args = parser.parse_args()
    fuzz = fuzzer()
    known = fuzz.doors()
    if unknown := set(args.doors) - set(known):
        parser.error(f"no door {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    none = {"seed": args.seed, "inputs": 0, "processor minutes": 0.0, "findings": 0, "regression cases": 0}
    before = rows_before(args.seed)
    rows = {name: before.get(name, {"door": name, **none}) for name in known}
    while left := [name for name in args.doors or known if rows[name]["inputs"] < args.runs]:
        for name in left:
            rows[name] = slice_of(fuzz, known[name], rows[name], args.runs, args.slice)
            keep(rows, args.runs)
            print(f"{name}: {rows[name]['inputs']:,} inputs, {rows[name]['findings']} findings", flush=True)
