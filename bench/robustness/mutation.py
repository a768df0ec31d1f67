"""Would the tests notice? mutmut changes the code in small ways; a change that no test notices is looked at by hand.

    pip install mutmut
    mutmut run && mutmut browse                                  # every mutant of the modules in pyproject.toml: hours
    python -m bench mutation [NAME ...] [--sample 80] [--seed 0] [--keep FOLDER]

Names: the `PARTS` below. Each is worked on in a copy of the checkout, against its own tests alone, one process. Of all its
mutants a sample is drawn, equally likely each. Score: the share that the tests notice, with Wilson's interval of 95 %;
what takes too long counts as noticed, what no test of its own runs as unnoticed. Results go to
bench/results/mutation.json after each part; the survivors' differences to FOLDER (else they are printed).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from bench import ROOT
from bench.measure import FOLDER, keep

#: name -> (files, their tests, what pytest's -k leaves out: what trains, needs training material or starts processes)
PARTS = {
    "features": ("features.py", "test_features.py", ""),
    "dataset": ("dataset/*", "test_dataset.py", "not killed and not usable and not workers"),
    "timeline": ("inference/segmentation.py", "test_timeline.py", ""),
    "metrics": (
        "evaluation/metrics.py",
        "test_evaluate.py",
        " and ".join(
            f"not {word}"
            for word in ("keras", "metrics_json", "page", "same_evaluation", "told_apart", "bad_calls", "command")
        ),
    ),
    "evaluate": ("evaluation/evaluate.py", "test_evaluate.py", ""),
    "audioset": ("sources/audioset/*", "test_audioset.py", "not complete and not command"),
}
NOTICED = {"killed", "timeout", "suspicious", "segfault"}


def interval(noticed: int, of: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's interval of a share."""
    share = noticed / of
    middle, half = share + z * z / (2 * of), z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return (middle - half) / (1 + z * z / of), (middle + half) / (1 + z * z / of)


def copy(folder: Path, name: str) -> None:
    """The checkout's tracked files, with mutmut configured for one part."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for path in listed.splitlines():
        if (ROOT / path).is_file():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / path, folder / path)
    files, tests, but = PARTS[name]
    chosen = {"only_mutate": [f"src/whoplays/{files}"]}
    chosen["pytest_add_cli_args_test_selection"] = [f"tests/{tests}", *(["-k", but] if but else [])]
    project = folder / "pyproject.toml"
    text = project.read_text(encoding="utf-8")
    for key, value in chosen.items():
        text, found = re.subn(
            rf"^{key} = \[.*?\]$", f"{key} = {json.dumps(value)}", text, flags=re.MULTILINE | re.DOTALL
        )
        assert found == 1, key
    project.write_text(text, encoding="utf-8")


def mutmut(folder: Path, *words: str) -> str:
    """What mutmut prints; its exit status means nothing."""
    command = [sys.executable, "-c", "from mutmut.__main__ import cli; cli()", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True).stdout


def states(folder: Path) -> dict[str, str]:
    """Mutant -> its state."""
    lines = mutmut(folder, "results", "--all", "true").splitlines()
    return dict(line.strip().rsplit(": ", 1) for line in lines if "__mutmut_" in line)


def measured(name: str, folder: Path, sample: int, seed: int) -> tuple[dict[str, Any], list[str]]:
    """The row of one part, and the mutants that no test noticed."""
    copy(folder, name)
    mutmut(folder, "run", "--max-children", "1", "only what comes before the mutants")  # makes them, times the tests
    everyone = sorted(states(folder))
    if not everyone:
        raise SystemExit(f"{name}: mutmut made no mutants; do its tests pass?")
    drawn = random.Random(seed).sample(everyone, min(sample, len(everyone)))
    mutmut(folder, "run", "--max-children", "1", *drawn)
    after = states(folder)
    found = Counter(after[mutant] for mutant in drawn)
    if found["not checked"]:
        raise SystemExit(f"{name}: {found['not checked']} of {len(drawn)} mutants were not run")
    noticed = sum(found[state] for state in NOTICED)
    low, high = interval(noticed, len(drawn))
    row = {"part": name, "mutants": len(everyone), "sample": len(drawn), "seed": seed, "noticed": noticed}
    row |= {"share": noticed / len(drawn), "low": low, "high": high}
    row["states"] = ", ".join(f"{count} {state}" for state, count in found.most_common())
    return row, [mutant for mutant in sorted(drawn) if after[mutant] not in NOTICED]


def main() -> None:
    """Measure the parts named, keep their rows, and show what survived."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*PARTS, []], metavar="NAME")
    parser.add_argument("--sample", type=int, default=80)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="a folder for the survivors' differences")
    args = parser.parse_args()
    kept = FOLDER / "mutation.json"
    rows = {row["part"]: row for row in json.loads(kept.read_text())["rows"]} if kept.exists() else {}
    for name in args.names or PARTS:
        with tempfile.TemporaryDirectory() as scratch:
            row, survivors = measured(name, Path(scratch), args.sample, args.seed)
            shown = "\n".join(mutmut(Path(scratch), "show", mutant) for mutant in survivors)
        rows[name] = row
        keep(
            "mutation",
            "Changes of the code that tests notice",
            [rows[part] for part in PARTS if part in rows],
            peer="none",
            packages=("mutmut", "pytest"),
            remarks="share: of the sample; low, high: Wilson's interval of 95 %; states: mutmut's words.",
        )
        if args.keep:
            args.keep.mkdir(parents=True, exist_ok=True)
            (args.keep / f"{name}.diff").write_text(shown, encoding="utf-8")
        else:
            print(shown, flush=True)
