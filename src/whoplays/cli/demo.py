"""`whoplays demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .main import app, say


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="The folder to make everything in.")] = Path("whoplays-demo"),
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
) -> None:
    """Go the whole way once, offline: make recordings, build, train, test, and hear a duet. Takes a minute."""
    from .. import demo as whole

    made = whole.run(out, seed=seed, tell=say)
    shares = ", ".join(f"{label} {score:.2f}" for label, score in made.duet.items())
    say("")
    say(f"The network trained here: accuracy {made.accuracy:.2f} on the test part (95 % interval {made.interval[0]:.2f} to {made.interval[1]:.2f}).")
    say(f"In the duet of guitar and drums its one softmax shares out: {shares}.")
    say("The model that comes with the package, on its example recordings:")
    for line in made.examples:
        say(f"  {Path(line['path']).name:<22} {', '.join(line['playing']) or 'none of the families'}")
    say("")
    say(f"Look at {out / 'report' / 'report.html'} and {out / 'duet.png'} (synthetic audio: figures show the way, not the quality).")
    say("Next: whoplays predict YOUR-RECORDING.mp3      or, with a folder for each class: whoplays dataset build --help")
