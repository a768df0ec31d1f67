"""Run a benchmark: `python -m bench NAME [--small] [arguments]`; without a name, list all.

    python -m bench                            names and what each one measures
    python -m bench NAME [arguments]           writes bench/results/*.json and bench/RESULTS.md
    python -m bench NAME --small [arguments]   few runs, results into a temporary folder
    python -m bench NAME --help                its arguments
    python -m bench GROUP [--small] [--data FOLDER] [--yamnet FOLDER]
                                               all of a group (speed, quality, robustness), one process each

In a group, benchmarks that need a folder that was not given are skipped. Nothing else should run at the same time.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import importlib
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import command

HERE = Path(__file__).parent
GROUPS = ("speed", "quality", "robustness")
FOLDERS = ("DATA", "YAMNET")  # stand for folders in a benchmark's arguments


@dataclass(frozen=True)
class Benchmark:
    """A module with a `main`.

    Its constants ARGUMENTS (arguments of each run in a group; DATA and YAMNET stand for folders) and SMALL (arguments of
    `--small`; None: no small version) are read without importing it.
    """

    name: str
    group: str
    summary: str
    runs: tuple[str, ...]
    small: str | None


def benchmarks() -> dict[str, Benchmark]:
    """Return all benchmarks by name, in the order of groups."""
    found = {}
    for group in GROUPS:
        for path in sorted((HERE / group).glob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            if any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body):
                summary = (ast.get_docstring(tree) or "").split("\n")[0]
                constants = _constants(tree)
                runs, small = constants.get("ARGUMENTS", ("",)), constants.get("SMALL")
                found[path.stem] = Benchmark(path.stem, group, summary, runs, small)
    return found


def _constants(tree: ast.Module) -> dict[str, Any]:
    return {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id in ("ARGUMENTS", "SMALL")
    }


def main(words: list[str]) -> None:
    known = benchmarks()
    if not words or words[0] in ("-h", "--help"):
        print(__doc__ if words else _listing(known))
    elif words[0] in known:
        run_one(known[words[0]], words[1:])
    elif words[0] in GROUPS:
        run_group([one for one in known.values() if one.group == words[0]], words[0], words[1:])
    else:
        close = difflib.get_close_matches(words[0], [*known, *GROUPS], n=1)
        hint = f"did you mean {close[0]}?" if close else "`python -m bench` lists them"
        print(f"no benchmark {words[0]!r}: {hint}", file=sys.stderr)
        sys.exit(2)


def _listing(known: dict[str, Benchmark]) -> str:
    width = max(map(len, known))
    lines = []
    for group in GROUPS:
        summaries = [(one.name, one.summary) for one in known.values() if one.group == group]
        lines += ["", group, *(f"  {name:{width}}  {summary}" for name, summary in summaries)]
    return "\n".join([*lines[1:], "", "python -m bench NAME [--small] [arguments]; NAME --help: its arguments"])


def run_one(benchmark: Benchmark, words: list[str]) -> None:
    """Run a benchmark in this process."""
    if "--small" in words:
        if benchmark.small is None:
            print(f"{benchmark.name} has no small version", file=sys.stderr)
            sys.exit(2)
        small = [word for word in benchmark.small.split() if word not in FOLDERS]  # those were given
        words = [*small, *(word for word in words if word != "--small")]
        os.environ.setdefault("WHOPLAYS_BENCH_OUT", tempfile.mkdtemp(prefix="whoplays-bench-"))
    sys.argv = [f"python -m bench {benchmark.name}", *words]
    importlib.import_module(f"bench.{benchmark.group}.{benchmark.name}").main()


def run_group(group: list[Benchmark], name: str, words: list[str]) -> None:
    """Run every benchmark of a group in a process of its own; exit 1 if one failed."""
    parser = argparse.ArgumentParser(prog=f"python -m bench {name}")
    parser.add_argument("--small", action="store_true", help="few runs, results into a temporary folder")
    parser.add_argument("--data", help="folder of training material with manifest.csv")
    parser.add_argument("--yamnet", help="folder of YAMNet's TensorFlow Lite file")
    options = parser.parse_args(words)
    if options.small:
        os.environ.setdefault("WHOPLAYS_BENCH_OUT", tempfile.mkdtemp(prefix="whoplays-bench-"))
    folders = {"DATA": options.data, "YAMNET": options.yamnet}
    failed = []
    for benchmark in group:
        runs = benchmark.runs if not options.small else () if benchmark.small is None else (benchmark.small,)
        for arguments in map(str.split, runs):
            if missing := [word for word in arguments if word in folders and not folders[word]]:
                print(f"{benchmark.name}: skipped, needs --{missing[0].lower()}", file=sys.stderr)
                continue
            begun = time.monotonic()
            filled = [folders.get(word) or word for word in arguments]
            if subprocess.run(command(benchmark.name, *filled)).returncode:
                failed.append(benchmark.name)
            print(f"{benchmark.name}: {time.monotonic() - begun:.0f} s", file=sys.stderr)
    print(f"results in {os.environ.get('WHOPLAYS_BENCH_OUT', HERE)}", file=sys.stderr)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main(sys.argv[1:])
