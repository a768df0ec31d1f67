"""`whoplays listen`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UsageError
from .commands import app
from .output import say

if TYPE_CHECKING:
    from ..inference.live import Live
    from ..taxonomy.tree import Label


@app.command()
def listen(
    model: Annotated[
        Path | None, typer.Option(help="A model folder; without it, the model inside the package.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="Number or part of the name of an input.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="Stop after that long; without it, by Ctrl-C.")] = None,
    devices: Annotated[bool, typer.Option("--devices", help="List the inputs and stop.")] = False,
    format: Annotated[str, typer.Option(metavar="text|jsonl", help="Of what is printed at the end.")] = "text",
    lang: Annotated[str, typer.Option(metavar="en|pl", help="Language of names.")] = "en",
) -> None:
    """Hear the microphone: who plays now, and at the end who played when."""
    from ..inference import live as listening
    from ..inference.recogniser import Recogniser
    from ..results.formats.data import JsonLines
    from ..results.formats.text import Text
    from ..results.terminal import Look

    if lang not in ("en", "pl") or format not in ("text", "jsonl"):
        raise UsageError(f"--lang {lang} --format {format}: en or pl, text or jsonl are possible")
    if devices:
        found = listening.devices()
        print("\n".join(found) if found else "no inputs")
        return
    recogniser = Recogniser(model)
    microphone = listening.Microphone(int(device) if device and device.isdigit() else device)
    say(f"Listening to {microphone.name} at {microphone.sample_rate} Hz; Ctrl-C stops")
    answer = listening.listen(recogniser, microphone, show=_shower(recogniser.labels, lang), seconds=seconds)
    if sys.stderr.isatty():
        sys.stderr.write("\n")
    writer = JsonLines(recogniser.labels) if format == "jsonl" else Text(recogniser.labels, lang, Look.of(sys.stdout))
    sys.stdout.write(writer.item(answer))


def _shower(labels: tuple[Label, ...], lang: str) -> Callable[[Live], None]:
    """Return what shows the live scores: one line that changes on a terminal, a line a step elsewhere."""
    from ..results.terminal import Look, live_line

    look = Look.of(sys.stderr)

    def show(live: Live) -> None:
        line = live_line(live.scores, labels, live.at, live.level_db, look or Look(), lang)
        sys.stderr.write(f"\r\x1b[K{line}" if look else f"{line}\n")
        sys.stderr.flush()

    return show
