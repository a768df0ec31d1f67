"""`whoplays cluster estimate`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from ..errors import UsageError
from .commands import app
from .dataset import _numbers

cluster = typer.Typer(help="Work on many machines (see --cluster of the other commands).", no_args_is_help=True)
app.add_typer(cluster, name="cluster")


@cluster.callback()
def _group() -> None:
    pass


@cluster.command()
def estimate(
    source: Annotated[
        str, typer.Argument(help="A manifest, or a folder with one sub-folder per class; a path or s3://...")
    ],
    clips: Annotated[int, typer.Option(metavar="N", help="Clips to build, or recordings to hear, in the end.")],
    nodes: Annotated[int, typer.Option(metavar="K", help="Machines.")] = 1,
    cores: Annotated[int, typer.Option(metavar="C", help="Cores of each; 0: as many as this one has.")] = 0,
    work: Annotated[str, typer.Option(metavar="build|predict", help="What is to be done.")] = "build",
    sample: Annotated[int, typer.Option(metavar="N", help="Recordings to measure.")] = 30,
    features: Annotated[str, typer.Option(metavar="mfcc|logmel", help="As of dataset build.")] = "mfcc",
    pitch: Annotated[str, typer.Option(help="As of dataset build, such as --pitch=-2,-1,0,1,2.")] = "0",
    clip: Annotated[float, typer.Option(metavar="SECONDS", help="As of dataset build.")] = 10.0,
    shard_mb: Annotated[int, typer.Option(help="As of dataset build.")] = 0,
    model: Annotated[Path | None, typer.Option(help="With --work predict: a model folder.")] = None,
    bandwidth: Annotated[
        float, typer.Option(metavar="MB/S", help="Of the recordings' storage, for all nodes; 0: enough.")
    ] = 0.0,
    price: Annotated[float, typer.Option(metavar="PER_CORE_HOUR", help="In any currency.")] = 0.0,
    price_gb_month: Annotated[float, typer.Option(help="Of storage.")] = 0.0,
    price_gb: Annotated[float, typer.Option(help="Of network, for what is fetched from an object store.")] = 0.0,
    price_reads: Annotated[float, typer.Option(help="Of a million requests that read.")] = 0.0,
    price_writes: Annotated[float, typer.Option(help="Of a million requests that write.")] = 0.0,
    efficiency: Annotated[
        float | None, typer.Option(help="What a core does among busy ones, against one alone: 0.01 to 1.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the sample.")] = 0,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Tell beforehand what N clips cost: hours, disk, requests, money; from a short sample, measured here. Needs no Ray."""
    from ..cluster import estimate as estimates
    from ..cluster.estimate_text import text
    from ..dataset import BuildSettings

    asked = estimates.Asked(
        clips=clips,
        nodes=nodes,
        cores=cores or os.cpu_count() or 1,
        efficiency=estimates.EFFICIENCY if efficiency is None else efficiency,
        bandwidth_mb_s=bandwidth,
        price=price,
        price_gb_month=price_gb_month,
        price_gb=price_gb,
        price_reads=price_reads,
        price_writes=price_writes,
    )
    if work == "build":
        settings = BuildSettings(features=features, pitch=_numbers(pitch, "--pitch"), clip_s=clip, shard_mb=shard_mb)
        measured = estimates.build_sample(source, settings, recordings=sample, seed=seed)
    elif work == "predict":
        measured = estimates.hear_sample(source, model, recordings=sample, seed=seed)
    else:
        raise UsageError(f"--work {work}: build or predict is possible")
    found = estimates.estimate(measured, asked)
    if json_:
        import json

        print(json.dumps(found, indent=2))
    else:
        print("\n".join(text(found)))
