"""Run a command under a fault, then without one, and hold what is left against an undisturbed run, byte for byte.

Faults are drawn from a seed; how each is made to happen is in shim.c. A round is: the command with one to three faults in
a row, each in what the one before left; then the same command undisturbed, as a user would start it again.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from whoplays.storage.files import sha256_of

HERE = Path(__file__).parent
KINDS = ("kill", "kill at a time", "nospace", "readonly", "io", "read", "vanish", "clock")

#: what is held against the undisturbed run: name -> digest, or the content that is compared
State = dict[str, str]


@dataclass(frozen=True)
class Scenario:
    """A long command, on small input.

    first, again: its words, and those with which it is gone on with. inputs: what vanishes and cannot be read. out: the
    folder that it writes to. state: what of the folder has to be the same in the end. exit: statuses of a run that is
    over (a recording that can never be used makes it 1). imports: modules that save time when they are loaded before.
    kinds: faults that apply.
    """

    name: str
    first: list[str]
    again: list[str]
    inputs: Path
    out: Path
    state: Callable[[Path], State]
    exit: tuple[int, ...] = (0,)
    imports: tuple[str, ...] = ("whoplays.cli",)
    kinds: tuple[str, ...] = KINDS
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    """What goes wrong in one run. at: the step; or seconds until the end for "kill at a time"."""

    kind: str
    at: float = 0


@dataclass
class Run:
    """What became of one run: exit status or minus the signal, and what it printed."""

    status: int
    printed: str


def build_shim(folder: Path) -> Path:
    """Compile the shim; raises `RuntimeError` with the reason where that cannot be done."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if sys.platform != "linux" or not compiler:
        raise RuntimeError("faults are made with LD_PRELOAD and a C compiler: Linux, and cc, are needed")
    shim = folder / "shim.so"
    words = [compiler, "-shared", "-fPIC", "-O1", "-w", "-o", str(shim), str(HERE / "shim.c"), "-ldl"]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the shim cannot be compiled: {done.stderr.strip()[:200]}")
    return shim


class Zygote:
    """The process that starts commands (zygote.py)."""

    def __init__(self, folder: Path) -> None:
        """Compile and start; folder: for its own files."""
        self.folder = folder
        self.count = folder / "steps"
        environment = {**os.environ, "LD_PRELOAD": str(build_shim(folder)), "PYTHONHASHSEED": "0"}
        words = [sys.executable, str(HERE / "zygote.py")]
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=folder
        )

    def run(self, scenario: Scenario, words: list[str], fault: Fault) -> Run:
        """Run the command with these words under a fault, to its end."""
        assert self.process.stdin and self.process.stdout
        self.count.write_bytes(bytes(8))
        by_shim = {"kill", "nospace", "readonly", "io", "read", "vanish", "clock"}
        environment = {
            **scenario.environment,
            "FAULTS_KIND": fault.kind if fault.kind in by_shim else "count",
            "FAULTS_AT": str(int(fault.at)),
            "FAULTS_FOLDER": str(scenario.inputs if fault.kind == "read" else scenario.out),
            "FAULTS_COUNT": str(self.count),
            "COLUMNS": "200",
        }
        output = self.folder / "printed"
        order = {
            "argv": words,
            "environment": environment,
            "output": str(output),
            "imports": list(scenario.imports),
            "end_after": fault.at if fault.kind == "kill at a time" else None,
        }
        with _vanishing(scenario, fault) as hiding:
            environment |= hiding
            self.process.stdin.write(json.dumps(order) + "\n")
            self.process.stdin.flush()
            answer = json.loads(self.process.stdout.readline())
        return Run(answer["status"], output.read_text(errors="replace"))

    @property
    def steps(self) -> int:
        """How many steps the last run took."""
        return int.from_bytes(self.count.read_bytes(), sys.byteorder)

    def close(self) -> None:
        """End it."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(30)


@contextlib.contextmanager
def _vanishing(scenario: Scenario, fault: Fault) -> Iterator[dict[str, str]]:
    """Choose an input by the fault's step; yield the variables by which the shim hides it. It is brought back at the end."""
    if fault.kind != "vanish":
        yield {}
        return
    files = sorted(path for path in scenario.inputs.rglob("*") if path.is_file())
    gone = files[int(fault.at) % len(files)]
    hidden = scenario.inputs.parent / "hidden"
    try:
        yield {"FAULTS_GONE": str(gone), "FAULTS_HIDDEN": str(hidden)}
    finally:
        if hidden.exists():
            hidden.rename(gone)


def contents(folder: Path) -> State:
    """Every file below a folder and its digest; lock files do not count."""
    if not folder.exists():
        return {}
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".whoplays.lock")
    return {str(path.relative_to(folder)): sha256_of(path) for path in files}


def undisturbed(zygote: Zygote, scenario: Scenario) -> tuple[State, int, float]:
    """What a run without faults leaves, its number of steps, and how many seconds it takes."""
    import time

    fresh(scenario)
    begun = time.monotonic()
    done = zygote.run(scenario, scenario.first, Fault("none"))
    if done.status not in scenario.exit:
        raise AssertionError(f"{scenario.name}: the undisturbed run ended with {done.status}: {done.printed[-800:]}")
    return scenario.state(scenario.out), zygote.steps, time.monotonic() - begun


def fresh(scenario: Scenario) -> None:
    """Remove what the runs before left."""
    shutil.rmtree(scenario.out, ignore_errors=True)
    scenario.out.mkdir(parents=True)


def draw_faults(scenario: Scenario, chance: random.Random, steps: int, reads: int, seconds: float) -> list[Fault]:
    """One to three faults in a row."""
    found = []
    for _ in range(chance.choice((1, 1, 2, 3))):
        kind = chance.choice(scenario.kinds)
        at: float = chance.randint(1, max(1, reads if kind == "read" else steps))
        if kind == "kill at a time":
            at = chance.uniform(0.0, 1.2 * seconds)
        found.append(Fault(kind, at))
    return found


def one_round(zygote: Zygote, scenario: Scenario, faults: list[Fault], wanted: State) -> list[str]:
    """Run with the faults, then without; return what is not as it should be."""
    fresh(scenario)
    problems: list[str] = []
    begun = False
    for fault in faults:
        done = zygote.run(scenario, scenario.again if begun else scenario.first, fault)
        begun = begun or any(scenario.out.iterdir())
        problems += _unclear(fault, done, scenario)
    last = zygote.run(scenario, scenario.again if begun else scenario.first, Fault("none"))
    if last.status not in scenario.exit:
        problems.append(f"the last run ended with {last.status}: {_end_of(last)}")
    found = scenario.state(scenario.out)
    if found != wanted:
        names = sorted({*found, *wanted})
        differs = [name for name in names if found.get(name) != wanted.get(name)]
        problems.append(f"the result differs from an undisturbed run's: {', '.join(differs[:5])}: {_end_of(last)}")
    return problems


def _unclear(fault: Fault, done: Run, scenario: Scenario) -> list[str]:
    """A run that was not killed ends by itself, with words for people."""
    if done.status == -9 and fault.kind.startswith("kill"):
        return []
    problems = []
    if done.status < 0:
        problems.append(f"under {fault} it ended by signal {-done.status}: {_end_of(done)}")
    if "Traceback" in done.printed or "unexpected" in done.printed:
        problems.append(f"under {fault} it did not say clearly what was wrong: {_end_of(done)}")
    if fault.kind == "clock" and done.status not in scenario.exit:
        problems.append(f"under {fault} it ended with {done.status}: {_end_of(done)}")
    return problems


def _end_of(done: Run) -> str:
    return " / ".join(done.printed.strip().splitlines()[-6:])[-900:]


def rounds(
    zygote: Zygote,
    scenario: Scenario,
    numbers: Sequence[int],
    seed: int,
    tell: Callable[[str], Any] = lambda text: None,
) -> tuple[list[str], dict[str, int]]:
    """Do the rounds of these numbers; return the problems, and how often each kind of fault was tried."""
    wanted, steps, seconds = undisturbed(zygote, scenario)
    fresh(scenario)
    zygote.run(scenario, scenario.first, Fault("read", 0))
    reads = zygote.steps
    problems: list[str] = []
    tried: dict[str, int] = {}
    for i in numbers:
        faults = draw_faults(scenario, random.Random(f"{seed} {scenario.name} {i}"), steps, reads, seconds)
        for fault in faults:
            tried[fault.kind] = tried.get(fault.kind, 0) + 1
        found = [
            f"{scenario.name}, round {i}, {faults}: {text}" for text in one_round(zygote, scenario, faults, wanted)
        ]
        problems += found
        tell(f"{scenario.name} {i + 1}" + (f": {found}" if found else ""))
    return problems, tried
