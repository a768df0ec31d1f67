"""`whoplays listen`."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from . import output
from .options import add_format, share
from .output import say, warn
from .parser import Parser, number
from .recordings import recogniser_of

if TYPE_CHECKING:
    from ..inference.live import Live
    from ..taxonomy.tree import Label


def add(parser: Parser) -> None:
    """Add the arguments of `listen`."""
    parser.set_defaults(run=_listen)
    parser.example = "whoplays listen --seconds 30 -f jsonl"
    parser.more = "Shows live scores, and at the end (Ctrl-C) the result for the whole, as for a file (extra: listen)."
    option = parser.group()
    option("--input INPUT", "Microphone or other input: its number, or part of its name")
    option("--inputs", "List the inputs and exit")
    option("--seconds S", "Seconds after which to stop; Ctrl-C without it", type=number(0.1))
    share(option, "model", "threshold", "device")
    add_format(option, "jsonl")
    share(option, "lang")


def _listen(args: Namespace) -> int:
    """Return the exit status: 1 when the input was lost, or there is none."""
    from ..inference import live as listening
    from ..results.formats.data import JsonLines
    from ..results.formats.text import Text
    from ..results.terminal import Look
    from ..storage.streams import write

    if args.inputs:
        if not (found := listening.devices()):
            warn("no input was found: is a microphone plugged in, and may this user read it?")
            return 1
        print("\n".join(found))
        return 0
    recogniser = recogniser_of(args, args.model)
    microphone = listening.Microphone(int(args.input) if args.input and args.input.isdigit() else args.input)
    say(f"Listening to {microphone.name} at {microphone.sample_rate} Hz; Ctrl-C stops")
    show = _shower(recogniser.labels, args.lang)
    try:
        answer = listening.listen(recogniser, microphone, show=show, seconds=args.seconds)
    finally:
        if sys.stderr.isatty() and not output.quiet:
            sys.stderr.write("\n")
        if microphone.lost:
            warn(f"{microphone.name}: gave nothing for {listening.GONE_S:g} s, so it was taken for unplugged")
    labels = recogniser.labels
    writer = JsonLines(labels) if args.format == "jsonl" else Text(labels, args.lang, Look.of(sys.stdout))
    write(writer.item(answer if args.format == "jsonl" else replace(answer, path=microphone.name)))
    return int(microphone.lost)


def _shower(labels: tuple[Label, ...], lang: str) -> Callable[[Live], None]:
    """Return what shows the live scores: one line that changes on a terminal, a line a step elsewhere."""
    from ..results.terminal import Look, live_line

    look = Look.of(sys.stderr)

    def show(live: Live) -> None:
        if output.quiet:
            return
        line = live_line(live.scores, labels, live.at, live.level_db, look or Look(), lang)
        sys.stderr.write(f"\r\x1b[K{line}" if look else f"{line}\n")
        sys.stderr.flush()

    return show
