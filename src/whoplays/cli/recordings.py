"""What commands that read recordings share: which ones they are given, the model, and the table that results go into."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError, WhoplaysError, counted
from .options import threshold_of
from .output import say, warn
from .parser import Option

if TYPE_CHECKING:
    from ..audio.search import Search
    from ..inference.recogniser import Recogniser


def add_continuing(option: Option, existing: str) -> None:
    """Add --resume, --overwrite and --retry. existing: what is continued or replaced."""
    option("--resume", f"Continue {existing}: skip what is unchanged")
    option("--overwrite", f"Replace {existing}, once its new file is complete")
    option("--retry", "With --resume: retry recordings that failed")


def check_continuing(args: Namespace) -> None:
    """Refuse options for the table that do not go together."""
    if args.resume and args.overwrite:
        raise UsageError("--resume keeps what is in the table, and --overwrite does not; give one of them")
    if args.retry and not args.resume:
        raise UsageError("--retry goes with --resume")


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Load modules and models without the garbage collector going through them, now or later: they stay to the end."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def recogniser_of(args: Namespace, model: Path | None) -> Recogniser:
    """Return the recogniser that a call asks for; say so where its device cannot be used."""
    with undisturbed():
        from ..inference.recogniser import Recogniser

        found = Recogniser(model, device=args.device, threshold=threshold_of(getattr(args, "threshold", [])))
    if found.notice:
        warn(found.notice)
    return found


def given(args: Namespace, command: str) -> list[str]:
    """Return what the call names, and what its patterns match. Raises `UsageError` where it names nothing."""
    from ..storage.files import matching

    named = [*args.paths, *(listed(args.list_from) if args.list_from else [])]
    found = [one for path in named for one in matching(path)]
    if not found:
        raise UsageError(
            f"no recording is given: name recordings or folders, or --list FILE (see whoplays {command} --help)"
        )
    return found


def listed(source: str) -> list[str]:
    """Return the paths of a list: one a line, or, if it holds NUL, separated by that (find -print0).

    source: its file; - is standard input. Raises `UsageError` for what cannot be read, and for an empty list.
    """
    from ..storage.files import explained

    if source == "-":
        if sys.stdin is None:
            raise UsageError("--list -: standard input is closed")
        content = sys.stdin.buffer.read()
    else:
        with explained(f"--list {source}", "read", UsageError), open(source, "rb") as file:  # noqa: PTH123 - no path of ours
            content = file.read()
    parts = content.split(b"\0") if b"\0" in content else content.splitlines()
    paths = [os.fsdecode(part) for part in parts if part.strip()]
    if not paths:
        raise UsageError(f"--list {source}: names no recording")
    return paths


def found_in(paths: list[str], *, watch: bool = False) -> tuple[list[str], int]:
    """Return the recordings of `paths` and their folders, and the number of problems on the way, which are reported.

    watch: none is no error, and an empty folder no problem, because there may be some later.
    """
    with undisturbed():
        from ..inference import batch

    searches: list[tuple[str, Search]] = []
    names = list(batch.recordings(paths, lambda path, found: searches.append((path, found))))
    problems = 0
    for folder, found in searches:
        lines = [f"{path}: {why}" for path, why in found.problems]
        if not found.recordings and not found.problems and not watch:
            lines.append(f"{folder}: the folder holds no recordings")
        for line in [*lines, *(f"{path}: {why}" for path, why in found.links)]:
            warn(line)
        if found.ignored:
            say(f"{folder}: {counted(found.ignored, 'file')} ignored (not recordings)")
        problems += len(lines)
    if not names and not watch:
        raise WhoplaysError("there is no recording to read")
    return names, problems
