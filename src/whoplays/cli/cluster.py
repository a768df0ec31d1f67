"""`whoplays cluster estimate`."""

from __future__ import annotations

import os
from argparse import Namespace

from .options import add_model
from .parser import Parser, number, numbers, whole


def add(parser: Parser) -> None:
    """Add the arguments of `cluster estimate`."""
    parser.set_defaults(run=_estimate)
    parser.example = "whoplays cluster estimate recordings --clips 2000000 --nodes 10 --cores 16"
    parser.more = "Measures a short sample on this machine; needs no Ray and no cluster."
    parser.add_argument(
        "source", metavar="SOURCE", help="Folder with one sub-folder per class, or CSV manifest; or s3://"
    )
    parser.add_argument(
        "--clips", type=whole(), required=True, metavar="N", help="Clips, or recordings, of the whole job"
    )
    parser.add_argument("--work", choices=("build", "predict"), default="build", metavar="WORK", help="Job to estimate")
    parser.add_argument("--sample", type=whole(), default=30, metavar="N", help="Recordings to measure")
    parser.add_argument("--seed", type=whole(), default=0, metavar="N", help="Random seed for sampling")
    parser.add_argument("--json", action="store_true", help="Print one JSON object")
    machines = parser.add_argument_group("Machines")
    machines.add_argument("--nodes", type=whole(), default=1, metavar="N", help="Machines")
    machines.add_argument("--cores", type=whole(), default=0, metavar="N", help="Cores of each; 0 for as many as here")
    machines.add_argument(
        "--efficiency", type=number(), metavar="RATIO", help="Speed of a core among busy ones, 0.01 to 1"
    )
    machines.add_argument(
        "--bandwidth",
        type=number(),
        default=0.0,
        metavar="MB/S",
        help="Of the recordings' storage, for all nodes; 0: enough",
    )
    prices = parser.add_argument_group("Prices, in any currency")
    prices.add_argument("--price", type=number(), default=0.0, metavar="X", help="Of a core for an hour")
    prices.add_argument("--price-gb-month", type=number(), default=0.0, metavar="X", help="Of a GB stored for a month")
    prices.add_argument("--price-gb", type=number(), default=0.0, metavar="X", help="Of a GB read from an object store")
    prices.add_argument("--price-reads", type=number(), default=0.0, metavar="X", help="Of a million read requests")
    prices.add_argument("--price-writes", type=number(), default=0.0, metavar="X", help="Of a million write requests")
    job = parser.add_argument_group("Job, as of dataset build and predict")
    job.add_argument("--features", choices=("mfcc", "logmel"), default="mfcc", metavar="TYPE", help="Feature type")
    job.add_argument("--pitch", type=numbers, default=(0.0,), metavar="A,B,...", help="Semitones of each variant")
    job.add_argument("--clip", type=number(), default=10.0, metavar="S", help="Seconds of a clip")
    job.add_argument("--shard-mb", type=whole(), default=0, metavar="MB", help="Size of Arrow shards; 0 for .npy")
    add_model(job)


def _estimate(args: Namespace) -> None:
    from ..cluster import estimate as estimates
    from ..cluster.estimate_text import text
    from ..dataset import BuildSettings

    asked = estimates.Asked(
        clips=args.clips,
        nodes=args.nodes,
        cores=args.cores or os.cpu_count() or 1,
        efficiency=estimates.EFFICIENCY if args.efficiency is None else args.efficiency,
        bandwidth_mb_s=args.bandwidth,
        price=args.price,
        price_gb_month=args.price_gb_month,
        price_gb=args.price_gb,
        price_reads=args.price_reads,
        price_writes=args.price_writes,
    )
    if args.work == "build":
        settings = BuildSettings(features=args.features, pitch=args.pitch, clip_s=args.clip, shard_mb=args.shard_mb)
        measured = estimates.build_sample(args.source, settings, recordings=args.sample, seed=args.seed)
    else:
        measured = estimates.predict_sample(args.source, args.model, recordings=args.sample, seed=args.seed)
    found = estimates.estimate(measured, asked)
    if args.json:
        import json

        print(json.dumps(found, indent=2))
    else:
        print("\n".join(text(found)))
