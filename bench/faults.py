"""Long commands under faults, many rounds each, held against an undisturbed run byte for byte.

python bench/faults.py [ROUNDS] [COMMAND ...]    (default: 100 rounds of each; COMMAND: predict, build, train, download)
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from results import keep

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from faults import harness, scenarios

from conftest import write_tiny_model

COMMANDS = ("predict", "build", "train", "download")
SEED = 9


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    rows, problems = [], []
    with contextlib.ExitStack() as opened:
        root = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        zygote = harness.Zygote(root)
        opened.callback(zygote.close)
        for name in sys.argv[2:] or COMMANDS:
            for scenario in _scenarios(name, root / name, opened):
                begun = time.monotonic()
                found, tried = harness.rounds(zygote, scenario, count, SEED, lambda text: print(text, flush=True))
                problems += found
                rows.append(_row(scenario.name, count, tried, len(found), time.monotonic() - begun))
    keep(
        "faults",
        "Long commands under faults",
        rows,
        peer="none",
        packages=(),
        remarks="A round: the command with one to three faults in a row, then undisturbed, with what goes on with it. "
        "Problems: a result that differs from an undisturbed run's in any byte (but for seconds that an epoch took, and "
        "when a clip was fetched), a file left over, a message that is not clear. "
        + ("; ".join(problems)[:2000] if problems else "There were none."),
    )
    sys.exit(1 if problems else 0)


def _row(name: str, count: int, tried: dict[str, int], problems: int, seconds: float) -> dict[str, Any]:
    told = {kind: tried.get(kind, 0) for kind in harness.KINDS}
    return {"command": name, "rounds": count, **told, "problems": problems, "seconds": round(seconds)}


def _scenarios(name: str, folder: Path, opened: contextlib.ExitStack) -> list[harness.Scenario]:
    if name == "predict":
        model = write_tiny_model(folder / "model")
        return [scenarios.predict(folder / suffix, suffix, model) for suffix in (".jsonl", ".csv", ".parquet")]
    if name == "download":
        from standin import Site

        return [scenarios.download(folder, opened.enter_context(Site({})).template)]
    return [{"build": scenarios.build, "train": scenarios.train}[name](folder)]


if __name__ == "__main__":
    main()
