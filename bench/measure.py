"""How a benchmark is timed and kept: pairs in one run, medians and spread, one JSON each, one table of all.

`python -m bench.measure` writes bench/RESULTS.md anew from bench/results/*.json.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FOLDER = Path(os.environ.get("WHOPLAYS_BENCH_OUT") or HERE) / "results"


def seconds(work: Callable[[], Any], *, runs: int = 5, warm_up: int = 1) -> list[float]:
    """Wall seconds of each of `runs` calls, after `warm_up` that are not counted."""
    for _ in range(warm_up):
        work()
    found = []
    for _ in range(runs):
        begun = time.perf_counter()
        work()
        found.append(time.perf_counter() - begun)
    return found


def in_turn(
    ours: Callable[[], Any], peer: Callable[[], Any], *, runs: int = 5, warm_up: int = 1
) -> tuple[list[float], list[float]]:
    """Time two pieces of work in turn, A B A B ..., so that a machine that drifts drifts for both."""
    for _ in range(warm_up):
        ours(), peer()
    pairs = [(seconds(ours, runs=1, warm_up=0)[0], seconds(peer, runs=1, warm_up=0)[0]) for _ in range(runs)]
    return [a for a, _ in pairs], [b for _, b in pairs]


def row(
    what: str,
    ours: list[float],
    peer: list[float],
    *,
    unit: str = "ms",
    scale: float = 1e3,
    aim: str = "",
    note: str = "",
) -> dict[str, Any]:
    """One comparison: medians, and the ratio peer / ours (above 1: we are faster) with its smallest and largest pair."""
    ratios = sorted(b / a for a, b in zip(ours, peer, strict=True))
    return {
        "what": what,
        "ours": statistics.median(ours) * scale,
        "peer": statistics.median(peer) * scale,
        "unit": unit,
        "ratio": statistics.median(ratios),
        "spread": [ratios[0], ratios[-1]],
        "runs": len(ours),
        "aim": aim,
        "note": note,
    }


def machine(*packages: str) -> dict[str, Any]:
    """What was measured on: processor, cores, system, versions."""
    found: dict[str, Any] = {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
    }
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def keep(
    name: str, title: str, rows: list[dict[str, Any]], *, peer: str, packages: tuple[str, ...], remarks: str = ""
) -> None:
    """Write bench/results/<name>.json, print the table, and bring RESULTS.md up to date."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    result = {
        "title": title,
        "peer": peer,
        "command": _command(),
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine("numpy", *packages),
        "rows": rows,
        "remarks": remarks,
    }
    (FOLDER / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n")
    print(section(result))
    write_all()


def _command() -> str:
    """The command as it was given; of a path from elsewhere only its end, which is all that others could use."""
    words = [Path(word).name if word.startswith(("/", "../")) else word for word in sys.argv[1:]]
    program = sys.argv[0]  # of `python -m bench NAME`
    if not program.startswith("python -m"):
        spec = sys.modules["__main__"].__spec__
        program = f"python -m {spec.name}" if spec else Path(program).name
    return " ".join([program, *words])


def section(result: dict[str, Any]) -> str:
    """The Markdown of one benchmark."""
    facts = ", ".join(
        f"{name} {value}" if name not in ("processor", "system") else str(value)
        for name, value in result["machine"].items()
    )
    lines = [
        f"## {result['title']}",
        "",
        f"`{result['command']}` · peer: {result['peer']} · {result['date']} · {facts}",
        "",
    ]
    if result["rows"] and "ratio" in result["rows"][0]:
        lines += ["| what | ours | peer | ratio | spread | aim |", "|---|---|---|---|---|---|"]
        for r in result["rows"]:
            lines.append(
                f"| {r['what']} | {r['ours']:.3g} {r['unit']} | {r['peer']:.3g} {r['unit']} | **{r['ratio']:.2f}x** "
                f"| {r['spread'][0]:.2f}-{r['spread'][1]:.2f} ({r['runs']} runs) | {r['aim']} |"
            )
            if r.get("note"):
                lines.append(f"| | {r['note']} | | | | |")
    elif result["rows"]:
        names = list(result["rows"][0])
        lines += ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
        lines += ["| " + " | ".join(_cell(r[name]) for name in names) + " |" for r in result["rows"]]
    if result.get("remarks"):
        lines += ["", result["remarks"]]
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def write_all() -> None:
    """Write bench/RESULTS.md from what every benchmark last kept."""
    found = [json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))]
    text = (
        "# Measurements\n\nFor: everyone who wants a figure with its command and machine. Ratios are peer / ours, from the same "
        "run: above 1 whoplays is faster. Rows that whoplays loses are kept.\n\n"
    )
    (FOLDER.parent / "RESULTS.md").write_text(
        text + "\n".join(section(result) for result in found if "rows" in result and "title" in result)
    )


def write_section(page: Path, name: str, text: str) -> None:
    """Replace what stands on `page` between two markers. Raises `ValueError` where they are missing."""
    begin, end = f"<!-- measured: {name} -->", f"<!-- end: {name} -->"
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{page.name} lacks the lines {begin} and {end}, between which the table goes")
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    write_all()
