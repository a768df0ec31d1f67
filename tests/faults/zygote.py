"""Start commands quickly: a process that has imported what they need, and forks for each one. Started by harness.py.

It reads one JSON object a line: {"argv", "environment", "output", "imports", "end_after"}. For each it forks a child that
is the command in a process group of its own, ends the whole group by kill -9 after `end_after` seconds (null: lets it
end; 120 s at most), and prints a line: {"status": exit status, or minus the signal}.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import signal
import sys
import time
from typing import Any

LONGEST_S = 900.0  # on a busy machine too


def main() -> None:
    """Serve until standard input ends."""
    for line in sys.stdin:
        order = json.loads(line)
        for name in order["imports"]:
            importlib.import_module(name)
        print(json.dumps({"status": watch(child_of(order), order["end_after"])}), flush=True)


def child_of(order: dict[str, Any]) -> int:
    """Fork; the child becomes the command."""
    child = os.fork()
    if child:
        return child
    status = 70
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for standard in (1, 2):
            os.dup2(output, standard)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.update(order["environment"])
        ctypes.CDLL(None).faults_arm()
        status = run(order["argv"])
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def run(argv: list[str]) -> int:
    """Run the command; its exit status."""
    from whoplays.cli import main as command

    sys.argv = ["whoplays", *argv]
    try:
        command()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return 0


def watch(child: int, end_after: float | None) -> int:
    """Wait for the child, or end its group; the status."""
    with contextlib.suppress(OSError):
        os.setpgid(child, child)
    ends = time.monotonic() + (LONGEST_S if end_after is None else end_after)
    while True:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            break
        if time.monotonic() >= ends:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            break
        time.sleep(0.002)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)  # workers that were left
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    main()
