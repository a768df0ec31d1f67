"""`whoplays demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .commands import app
from .output import say


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="The folder to make everything in.")] = Path("whoplays-demo"),
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
) -> None:
    """Go the whole way once, offline: make recordings, build, train, test, and hear a duet. Takes a minute."""
    from ..examples import demo as whole

    made = whole.run(out, seed=seed, tell=say)
    low, high = made.interval
    say("")
    say(
        f"The network trained here: accuracy {made.accuracy:.2f} on the test part (95 % interval {low:.2f} to {high:.2f})."
    )
    say(
        f"Its one softmax shares the duet out: {', '.join(f'{label} {score:.2f}' for label, score in made.duet.items())}."
    )
    say("The model that comes with the package, on its example recordings:")
    for line in made.examples:
        say(f"  {Path(line['path']).name:<22} {', '.join(line['playing']) or 'none of the families'}")
    say("")
    say(f"Made in {out}: recordings, dataset, model, report/report.html, duet.png")
    say("(from synthetic audio: its figures show the way, not the quality)")
    say("Next: whoplays predict YOUR-RECORDING.mp3")
    say("      whoplays dataset build FOLDER-OF-CLASSES --out DATASET")
