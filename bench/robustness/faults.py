"""Long commands under faults, many rounds each, held against an undisturbed run byte for byte.

python -m bench faults [ROUNDS] [COMMAND ...]    (default: 100 rounds of each; COMMAND: predict, build, train, download)

Rounds that were kept are not done again: stop it when you like, and go on later. A round's faults hang on its number alone.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench import TESTS, measure

sys.path.insert(0, str(TESTS))

from faults import harness, scenarios

from conftest import write_tiny_model

SMALL = "1 predict"
COMMANDS = ("predict", "build", "train", "download")
SEED = 9
BATCH = 5  # rounds between two looks at the disk
NAME = "faults"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rounds", type=int, nargs="?", default=100)
    parser.add_argument("commands", nargs="*", choices=[*COMMANDS, []], metavar="COMMAND")
    options = parser.parse_args()
    problems = 0
    with contextlib.ExitStack() as opened:
        root = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        zygote = harness.Zygote(root)
        opened.callback(zygote.close)
        for name in options.commands or COMMANDS:
            for scenario in _scenarios(name, root / name, opened):
                problems += _all_rounds(zygote, scenario, options.rounds)
    sys.exit(1 if problems else 0)


def _all_rounds(zygote: harness.Zygote, scenario: harness.Scenario, count: int) -> int:
    """Do what is left of `count` rounds, and keep it batch by batch; return the number of problems."""
    fresh = {"command": scenario.name, "rounds": 0, **dict.fromkeys(harness.KINDS, 0), "problems": 0, "seconds": 0}
    problems = 0
    while (row := kept().get(scenario.name, fresh))["rounds"] < count:
        begun = time.monotonic()
        first = row["rounds"]
        last = min(count, first + BATCH)
        found, tried = harness.rounds(zygote, scenario, range(first, last), SEED, lambda text: print(text, flush=True))
        problems += len(found)
        counts = {kind: row[kind] + tried.get(kind, 0) for kind in harness.KINDS}
        seconds = row["seconds"] + round(time.monotonic() - begun)
        _keep({**row, **counts, "rounds": last, "problems": row["problems"] + len(found), "seconds": seconds}, found)
    return problems


def kept() -> dict[str, dict[str, Any]]:
    """The rows kept so far, by command."""
    path = measure.FOLDER / f"{NAME}.json"
    return {row["command"]: row for row in json.loads(path.read_text())["rows"]} if path.exists() else {}


def _keep(row: dict[str, Any], problems: list[str]) -> None:
    path = measure.FOLDER / f"{NAME}.json"
    all_problems = [*(json.loads(path.read_text()).get("problems", []) if path.exists() else []), *problems]
    measure.keep(
        NAME,
        "Long commands under faults",
        list({**kept(), row["command"]: row}.values()),
        peer="none",
        packages=(),
        remarks="A round: the command with one to three faults in a row, then undisturbed, with what goes on with it. "
        "Problems: a result that differs from an undisturbed run's in any byte (but for seconds that an epoch took, and "
        "when a clip was fetched), a file left over, a message that is not clear. "
        + ("; ".join(all_problems)[:2000] if all_problems else "There were none."),
    )
    path.write_text(json.dumps({**json.loads(path.read_text()), "problems": all_problems}, indent=2) + "\n")


def _scenarios(name: str, folder: Path, opened: contextlib.ExitStack) -> list[harness.Scenario]:
    if name == "predict":
        model = write_tiny_model(folder / "model")
        return [scenarios.predict(folder / suffix, suffix, model) for suffix in (".jsonl", ".csv", ".parquet")]
    if name == "download":
        from standin import Site

        return [scenarios.download(folder, opened.enter_context(Site({})).template)]
    return [{"build": scenarios.build, "train": scenarios.train}[name](folder)]
