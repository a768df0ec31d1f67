"""Fuzz a door: `python fuzz/run.py DOOR... --runs 1000000`, or `all`. Findings go to fuzz/new/DOOR/.

Input i of a seed is the same on every machine, so a finding is told by its number alone. The inputs are tried in a child
process with a memory limit; a crash, an endless loop or an exception that the door lets through is kept, and the next
child goes on behind it. `--engine atheris` lets coverage choose the inputs instead (pip install atheris; text doors).
`--replay` tries files again: those named, or what is in fuzz/found/DOOR/. What is found once stays there, for the tests.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import hashlib
import mmap
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from doors import Door, doors

from whoplays.runtime.sandbox import confine

HERE = Path(__file__).parent
FAST = "/dev/shm" if Path("/dev/shm").is_dir() else None  # in memory
PATIENCE = 12  # times a door's timeout
MOST_FINDINGS = 20  # of one door; then it is no use to go on


def input_of(door: Door, seeds: list[bytes], seed: int, i: int) -> bytes:
    """Return input `i`."""
    rng = random.Random(f"{door.name} {seed} {i}")
    return door.mutate(rng.choice(seeds), rng, tokens=door.tokens, others=seeds)


def _try_all(door: Door, seeds: list[bytes], seed: int, first: int, runs: int, at: mmap.mmap, seconds: float) -> None:
    """Try inputs in this process until one is a finding; `at` holds the number of the one being tried."""
    ends = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(dir=FAST) as scratch:
        for i in range(first, runs):
            at[:8] = i.to_bytes(8, "little")
            door.run(input_of(door, seeds, seed, i), Path(scratch))
            if time.monotonic() > ends:
                at[8:16] = (i + 1).to_bytes(8, "little")
                return
    at[8:16] = runs.to_bytes(8, "little")


def _child(
    door: Door, seeds: list[bytes], seed: int, first: int, runs: int, at: mmap.mmap, told: int, s: float
) -> None:
    status = 0
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # decoders have much to say
        faulthandler.enable(told)
        confine(door.memory, writes=True)
        _try_all(door, seeds, seed, first, runs, at, s)
    except BaseException:
        os.write(told, traceback.format_exc().encode("utf-8", "replace")[-3000:])
        status = 3
    os._exit(status)


def fuzz(door: Door, *, runs: int, seed: int, seconds: float = float("inf"), first: int = 0) -> tuple[int, list[Path]]:
    """Try inputs `first` to `runs` of a door, for so many seconds at most. Return how many were tried, and findings."""
    seeds = door.seeds()
    with tempfile.TemporaryDirectory() as scratch:
        for valid in seeds:  # what is valid must pass, or the door tests nothing
            door.run(valid, Path(scratch))
    at = mmap.mmap(-1, 16)
    found: dict[str, Path] = {}
    ends = time.monotonic() + seconds
    tried = first
    while tried < runs and len(found) < MOST_FINDINGS and time.monotonic() < ends:
        at[:16] = tried.to_bytes(8, "little") + bytes(8)
        status, text = _one_child(door, seeds, seed, tried, runs, at, ends - time.monotonic())
        if status == 0:
            tried = int.from_bytes(at[8:16], "little")
            continue
        i = int.from_bytes(at[:8], "little")
        where = _where(status, text)
        if where not in found:
            found[where] = _keep(door, input_of(door, seeds, seed, i), f"input {i} of seed {seed}: {where}\n{text}")
            print(f"{door.name}: input {i}: {where} -> {found[where]}", flush=True)
        tried = i + 1
    return tried - first, list(found.values())


def _one_child(
    door: Door, seeds: list[bytes], seed: int, first: int, runs: int, at: mmap.mmap, seconds: float
) -> tuple[int, str]:
    """Return how a child ended (0, or what `os.waitpid` says; -1: it was stuck), and what it said."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        _child(door, seeds, seed, first, runs, at, theirs, seconds)
    os.close(theirs)
    status = _wait(child, at, door.timeout)
    with os.fdopen(ours, "rb") as file:
        return status, file.read().decode("utf-8", "replace")


def _processor_s(child: int) -> float:
    """Return the processor time that a child took."""
    fields = Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _wait(child: int, at: mmap.mmap, timeout: float) -> int:
    """Wait for a child: it is stuck once it works for `timeout` seconds on one input.

    Or once it waits for many times that, since a busy machine may not let it work.
    """
    seen, since, worked = at[:8], time.monotonic(), _processor_s(child)
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        if at[:8] != seen:
            seen, since, worked = at[:8], time.monotonic(), _processor_s(child)
        elif time.monotonic() - since > timeout and (
            _processor_s(child) - worked > timeout or time.monotonic() - since > PATIENCE * timeout
        ):
            os.kill(child, signal.SIGABRT)  # faulthandler then says where it was
            time.sleep(0.3)
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return -1
        time.sleep(0.01)


def _where(status: int, text: str) -> str:
    """Return one line that tells findings apart: how it ended, and the last place named."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    places = [line for line in lines if line.startswith("File ")]
    if status == -1:
        return f"stuck at {places[0] if places else '?'}"
    if os.WIFSIGNALED(status):
        return f"{signal.Signals(os.WTERMSIG(status)).name} at {places[0] if places else '?'}"
    kind = lines[-1].split(":")[0] if lines else "?"
    return f"{kind} at {places[-1] if places else '?'}"


def _keep(door: Door, data: bytes, text: str) -> Path:
    folder = HERE / "new" / door.name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / hashlib.sha256(data).hexdigest()[:12]
    path.write_bytes(data)
    path.with_suffix(".txt").write_text(text)
    return path


def found_once(name: str) -> list[Path]:
    """Return what a door's earlier findings are."""
    return sorted((HERE / "found" / name).glob("*"))


def replay(door: Door, files: list[Path]) -> int:
    """Try files in this process; return how many."""
    for file in files:
        with tempfile.TemporaryDirectory() as scratch:
            door.run(file.read_bytes(), Path(scratch))
    return len(files)


def _with_atheris(door: Door, runs: int, seconds: float) -> None:
    """Hand the door to atheris, which never returns."""
    import atheris

    scratch = tempfile.mkdtemp(dir=FAST)
    corpus = Path(tempfile.mkdtemp(prefix=f"corpus-{door.name}-"))
    for i, valid in enumerate(door.seeds()):
        (corpus / str(i)).write_bytes(valid)
    words = corpus.with_suffix(".dict")
    quoted = ["".join(f"\\x{octet:02x}" for octet in token) for token in door.tokens]
    words.write_text("".join(f'"{token}"\n' for token in quoted))
    folder = HERE / "new" / door.name
    folder.mkdir(parents=True, exist_ok=True)
    options = [f"-runs={runs}", f"-dict={words}", f"-artifact_prefix={folder}/", "-timeout=10", "-verbosity=0"]
    options += [f"-max_total_time={int(seconds)}"] if seconds < float("inf") else []

    def one(data: bytes) -> None:
        door.run(data, Path(scratch))

    atheris.Setup([sys.argv[0], *options, "-print_final_stats=1", str(corpus)], one)
    atheris.Fuzz()


def main() -> int:
    """Run from the command line; 1 when something was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("doors", nargs="+", help="names of doors, or all")
    parser.add_argument("--runs", type=int, help="inputs a door; without it, the number for CI")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="at most, for each door")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--engine", choices=["own", "atheris"], default="own")
    parser.add_argument("--replay", nargs="*", type=Path)
    asked = parser.parse_args()
    if asked.engine == "atheris":
        import atheris

        with atheris.instrument_imports(include=["whoplays"]):
            known = doors()
    else:
        known = doors()
    chosen = list(known) if asked.doors == ["all"] else asked.doors
    if unknown := set(chosen) - set(known):
        parser.error(f"no door {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    if asked.replay is not None:
        tried = sum(replay(known[name], asked.replay or found_once(name)) for name in chosen)
        print(f"{tried} tried again")
        return 0
    if asked.engine == "atheris":
        _with_atheris(known[chosen[0]], asked.runs or 100_000, asked.seconds)
    findings = 0
    for name in chosen:
        began = time.monotonic()
        runs = asked.first + (asked.runs or known[name].quick)
        tried, found = fuzz(known[name], runs=runs, seed=asked.seed, seconds=asked.seconds, first=asked.first)
        findings += len(found)
        rate = tried / max(time.monotonic() - began, 1e-9)
        print(f"{name}: {tried:,} inputs, {rate:,.0f} a second, {len(found)} findings", flush=True)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
