"""Exact search among a million embeddings: as `whoplays similar` does it, beside faiss's exact index; and the whole command.

python -m bench similar [--rows 1000000] [--keep]

The table is random unit vectors of the width of the package's model, in a .npz file. faiss (pip install faiss-cpu) is left
out where it is not installed. One thread each. Loading is part of the command's time, and of neither search.
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import whoplays
from bench import measure
from whoplays.results import embedding_table, similar

ARGUMENTS = ("--keep",)
SMALL = "--rows 20000"


def made(path: Path, rows: int) -> None:
    """Write a table of random embeddings."""
    recogniser, rng = whoplays.load(), np.random.default_rng(0)
    width, labels = recogniser.embedding_width, [label.id for label in recogniser.labels]
    vectors = rng.normal(size=(rows, width)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    none = np.zeros(0, np.float32)
    with path.open("wb") as file:
        np.savez(
            file,
            path=np.array([f"music/{i:07}.flac" for i in range(rows)]),
            error=np.zeros(rows, "U1"),
            seen=np.zeros(rows, "U1"),
            duration=np.full(rows, 200.0),
            embedding=vectors,
            scores=rng.random((rows, len(labels)), dtype=np.float32),
            step_of=none.astype(np.int64),
            step_start=none,
            step_embedding=np.zeros((0, width), np.float32),
            labels=np.array(labels),
            model=np.array(recogniser.config.id),
            network=np.array(recogniser.network_checksum),
            schema=np.array(embedding_table.SCHEMA),
        )


def _ms(seconds: list[float]) -> int:
    return round(1e3 * statistics.median(seconds))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--keep", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "embeddings.npz"
        made(path, args.rows)
        rows = _timed(path)
    for row in rows:
        print(json.dumps(row))
    if args.keep:
        measure.keep(
            "similar",
            f"Exact search among {args.rows:,} embeddings",
            rows,
            peer="faiss IndexFlatIP, one thread",
            packages=("faiss-cpu",),
            remarks="Median of 5. The machine was shared with other work. The command reads its table from the page cache.",
        )


def _timed(path: Path) -> list[dict[str, Any]]:
    table = embedding_table.load(path)
    query = np.array(table.embedding[7])

    def ours() -> list[int]:
        return [match.row for match in similar.by_sound(table, query, 10)]

    def command() -> None:
        words = [sys.executable, "-m", "whoplays", "similar", str(path), "music/0000007.flac", "-q"]
        subprocess.run(words, check=True, capture_output=True)

    try:
        faiss: Any = importlib.import_module("faiss")

        faiss.omp_set_num_threads(1)
        index = faiss.IndexFlatIP(table.width)
        index.add(np.array(table.embedding))

        def peer() -> list[int]:
            return [int(i) for i in index.search(query[None], 10)[1][0]]

        assert ours() == peer()
        found, theirs = measure.in_turn(ours, peer)
        rows = [{"what": "search by sound", "ms": _ms(found), "faiss, ms": _ms(theirs)}]
    except ImportError:
        found = measure.seconds(ours)
        rows = [{"what": "search by sound", "ms": _ms(found), "faiss, ms": "not installed"}]
    by_players = measure.seconds(lambda: similar.by_players(table, np.array(table.scores[7]), 10))
    rows.append({"what": "search by players", "ms": _ms(by_players), "faiss, ms": ""})
    whole = measure.seconds(command)
    rows.append({"what": "the whole command, from its start", "ms": _ms(whole), "faiss, ms": ""})
    return rows


if __name__ == "__main__":
    main()
