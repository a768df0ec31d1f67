"""How long, and in how much memory, a plan is made from a list of AudioSet's size and from larger ones.

    python -m bench audioset_plan [ROWS ...]          (default: 200000 2041789 20000000)

The lists are made up: ids, times and 527 labels in about AudioSet's proportions (2.4 labels a row; one row in ten has
one of the families). Each plan runs in a process of its own, whose largest resident memory is read at its end.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import resource
import string
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench import command
from bench.measure import keep
from whoplays.sources.audioset import Draw, Ontology, SegmentList, choose_classes, plan_from_lists
from whoplays.taxonomy.catalogue import catalogue

SMALL = "20000"
ROWS = (200_000, 2_041_789, 20_000_000)
LABELS = 527
FAMILY_SHARE = 0.06  # of the labels drawn: about one row in eight then has one of the families' labels
LETTERS = string.ascii_letters + string.digits + "_-"


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        run_one(Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]) or None)
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=int, nargs="*", default=ROWS)
    sizes = parser.parse_args().rows
    table = []
    with tempfile.TemporaryDirectory() as folder:
        for rows in sizes:
            path, ontology = Path(folder) / "list.csv", Path(folder) / "ontology.json"
            write_list(path, rows)
            write_ontology(ontology)
            for per_class in (3962, 0):
                one = command("audioset_plan", "--one", str(path), str(ontology), str(per_class))
                found = json.loads(subprocess.run(one, check=True, capture_output=True, text=True).stdout)
                table.append(
                    {
                        "rows": f"{rows:,}",
                        "list, MB": round(path.stat().st_size / 1e6),
                        "clips a class": per_class or "all",
                        "seconds": f"{found['seconds']:.2f}",
                        "processor seconds": f"{found['processor']:.2f}",
                        "rows a second": f"{rows / found['seconds']:,.0f}",
                        "memory, MB": round(found["megabytes"]),
                        "clips planned": f"{found['clips']:,}",
                    }
                )
                print(table[-1], flush=True)
    keep(
        "audioset_plan",
        "A plan from a list of AudioSet's size, and larger",
        table,
        peer="none; the aim is 2,041,789 rows in 10 s and 600 MB",
        packages=(),
        remarks="With a number of clips a class, memory grows until every class has its candidates (that number and its "
        "stand-ins, times the classes), and not with the list; without, with what is included. One thread."
        + crowded(table),
    )


def crowded(table: list[dict[str, Any]]) -> str:
    """Return a sentence for times that were measured while other programs had the processor."""
    if all(float(found["seconds"]) < 1.2 * float(found["processor seconds"]) for found in table):
        return ""
    return (
        " Other programs had the processor meanwhile: what a plan takes on a quiet machine are the processor seconds."
    )


def run_one(path: Path, ontology: Path, per_class: int | None) -> None:
    begin = time.perf_counter()
    classes = choose_classes(Ontology.open(ontology))
    segments = SegmentList(path)
    plan = plan_from_lists([segments], classes, Draw(per_class=per_class))
    seconds = time.perf_counter() - begin
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    processor = time.process_time()
    found = {"seconds": seconds, "processor": processor, "megabytes": megabytes, "clips": len(plan.clips)}
    print(json.dumps(found | {"rows": segments.rows}))


def made_up_labels() -> tuple[list[str], list[str]]:
    """Return the labels of the default families and made-up other ones, 527 together."""
    rules = [rule for label_id in catalogue().defaults if (rule := catalogue().audioset(label_id))]
    family = list(dict.fromkeys(label for rule in rules for group in vars(rule).values() for label in group))
    return family, [f"/m/0zz{number:03d}" for number in range(LABELS - len(family))]


def write_ontology(path: Path) -> None:
    family, others = made_up_labels()
    labels = [*family, *others]
    path.write_text(json.dumps([{"id": label, "name": f"label {label}", "child_ids": []} for label in labels]))


def write_list(path: Path, rows: int, seed: int = 0) -> None:
    """Write a list in the official layout."""
    draw = random.Random(seed)
    family, others = made_up_labels()
    weights = [FAMILY_SHARE / len(family)] * len(family)
    frequencies = [1 / (place + 2) for place in range(len(others))]
    weights += [(1 - FAMILY_SHARE) * frequency / sum(frequencies) for frequency in frequencies]
    cumulative = list(itertools.accumulate(weights))
    with path.open("w") as file:
        file.write("# Segments csv, made up\n# num_ytids\n# YTID, start_seconds, end_seconds, positive_labels\n")
        for block in range(0, rows, 100_000):
            count = min(100_000, rows - block)
            letters = draw.choices(LETTERS, k=11 * count)
            labels = draw.choices([*family, *others], cum_weights=cumulative, k=5 * count)
            lines = []
            for row in range(count):
                video = "".join(letters[11 * row : 11 * row + 11])
                start = 10 * (row % 30)
                held = dict.fromkeys(labels[5 * row : 5 * row + 1 + (row * 7) % 4])
                lines.append(f'{video}, {start}.000, {start + 10}.000, "{",".join(held)}"\n')
            file.writelines(lines)
