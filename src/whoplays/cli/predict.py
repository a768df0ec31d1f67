"""`whoplays predict`: its flags, for help and for every call that quick.py does not read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .commands import app
from .predict_run import Request, run


@app.command()
def predict(
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH...", help="Recordings or folders; - reads one from standard input."),
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="A model folder; without it, the model inside the package.")
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            metavar="text|json|jsonl|csv|audacity|jams|rttm", help="What is printed. [default: text, or as --out ends]"
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a file instead: .jsonl, .csv, .parquet; .json, .txt, .jams, .rttm."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the table in --out: skip what is in it and unchanged.")
    ] = False,
    retry: Annotated[
        bool, typer.Option("--retry", help="With --resume: hear again what could not be used the last time.")
    ] = False,
    list_from: Annotated[
        Path | None, typer.Option("--list", metavar="FILE", help="Paths, one a line; - reads them from standard input.")
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Stay, and hear what is added to the folders, until stopped (Ctrl-C).")
    ] = False,
    every: Annotated[float, typer.Option(min=0.05, help="Seconds between two looks with --watch.")] = Request.every,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write a page with pictures, sound and times, for offline.")
    ] = None,
    why: Annotated[
        bool, typer.Option("--why", help="With --report: pictures of what each score hangs on (some seconds each).")
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png|svg|html", help="Draw one recording: waveform, and a pie of its scores."),
    ] = None,
    write_tags: Annotated[
        bool, typer.Option("--write-tags", help="Write who plays into each recording's tags, field WHOPLAYS.")
    ] = False,
    start: Annotated[float, typer.Option(min=0, help="Seconds into each recording to begin at.")] = Request.start,
    end: Annotated[
        float | None, typer.Option(help="Seconds into each recording to stop at; without it, its end.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=0, help="Recordings heard at a time; 0: one per core.")] = Request.jobs,
    lang: Annotated[str, typer.Option(metavar="en|pl", help="Language of names in text and labels.")] = Request.lang,
    device: Annotated[
        str, typer.Option(metavar="auto|cpu|cuda|coreml|...", help="What the network runs on; else the processor.")
    ] = Request.device,
    cluster: Annotated[
        str, typer.Option(metavar="ADDRESS|local", help="Hear on a Ray cluster; local: Ray on this machine.")
    ] = Request.cluster,
) -> None:
    """Tell which families play in recordings, and when."""
    raise typer.Exit(
        run(
            Request(
                paths=paths or [],
                model=model,
                format=format,
                out=out,
                resume=resume,
                retry=retry,
                list_from=list_from,
                watch=watch,
                every=every,
                report=report,
                why=why,
                plot=plot,
                write_tags=write_tags,
                start=start,
                end=end,
                jobs=jobs,
                lang=lang,
                device=device,
                cluster=cluster,
            )
        )
    )
