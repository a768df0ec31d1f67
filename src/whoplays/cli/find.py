"""`whoplays find`."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..errors import UsageError
from .commands import app
from .output import say


@app.command()
def find(
    results: Annotated[
        Path, typer.Argument(metavar="RESULTS", help="A table of predict --out: .parquet, .csv, .jsonl.")
    ],
    expression: Annotated[
        str, typer.Argument(help='"strings and not drums", "only piano", "drums > 0.8 or guitar.share > 0.5".')
    ],
    playlist: Annotated[
        Path | None, typer.Option(metavar="FILE.m3u8", help="Write what was found as a playlist as well.")
    ] = None,
    paths: Annotated[bool, typer.Option("--paths", help="Print paths only, one a line.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="Of recordings shown; 0: all.")] = 0,
) -> None:
    """Find recordings by who plays in them, the best match first."""
    from ..errors import printable
    from ..inference.recogniser import Prediction
    from ..results import query as finding
    from ..results import table
    from ..storage.files import write_atomically
    from ..taxonomy.catalogue import catalogue

    if playlist and playlist.suffix.lower() not in (".m3u8", ".m3u"):
        raise UsageError(f"--playlist {playlist}: name it *.m3u8")
    predictions = [Prediction.from_dict(row) for row in table.read(results) if "error" not in row]
    labels = list(dict.fromkeys(label for p in predictions for label in p.scores))
    if not predictions:
        raise UsageError(f"{results} holds no recording that was heard")
    wanted = finding.parse(expression, labels, catalogue().parents(labels))
    if results.suffix.lower() == ".csv" and ".share" in expression.lower():
        raise UsageError(f"{results}: a .csv table holds no times, so no shares; write .parquet or .jsonl")
    found = finding.find(predictions, wanted)
    shown = found[:limit] if limit else found
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")
    for rank, prediction in shown:
        if paths:
            print(prediction.path)
            continue
        by_score = sorted(prediction.playing, key=lambda label: -prediction.scores[label])
        who = ", ".join(f"{label} {prediction.scores[label]:.2f}" for label in by_score)
        print(f"{rank:.2f}  {printable(prediction.path)}  {who or 'none'}")
    if playlist:
        write_atomically(playlist, finding.playlist(shown, playlist.parent).encode("utf-8", "surrogateescape"))
        say(f"Written to {playlist}")
    say(f"{len(found)} of {len(predictions)} recordings")
