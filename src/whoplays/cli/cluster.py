"""`whoplays cluster estimate`."""

from __future__ import annotations

import os
from argparse import Namespace

from .options import add_model, settings_of
from .parser import Parser, number, numbers, whole


def add(parser: Parser) -> None:
    """Add the arguments of `cluster estimate`."""
    parser.set_defaults(run=_estimate)
    parser.example = "whoplays cluster estimate recordings --clips 2000000 --nodes 10 --cores 16"
    parser.more = "Measures a short sample on this machine; needs no Ray and no cluster."
    option = parser.add_argument
    option("source", metavar="SOURCE", help="Folder with one sub-folder per class, or CSV manifest; or s3://")
    option("--clips", type=whole(), required=True, metavar="N", help="Clips, or recordings, of the whole job")
    option("--work", choices=("build", "predict"), default="build", metavar="WORK", help="Job to estimate")
    option("--sample", type=whole(), default=30, metavar="N", help="Recordings to measure")
    option("--seed", type=whole(), default=0, metavar="N", help="Random seed for sampling")
    option("--json", action="store_true", help="Print one JSON object")
    option = parser.group("Machines")
    option("--nodes", type=whole(), default=1, metavar="N", help="Machines")
    option("--cores", type=whole(), default=0, metavar="N", help="Cores of each; 0 for as many as here")
    option("--efficiency", type=number(), metavar="RATIO", help="Speed of a core among busy ones, 0.01 to 1")
    option(
        "--bandwidth",
        type=number(),
        default=0.0,
        metavar="MB/S",
        help="Of the recordings' storage, for all nodes; 0: enough",
    )
    option = parser.group("Prices, in any currency")
    option("--price", type=number(), default=0.0, metavar="X", help="Of a core for an hour")
    option("--price-gb-month", type=number(), default=0.0, metavar="X", help="Of a GB stored for a month")
    option("--price-gb", type=number(), default=0.0, metavar="X", help="Of a GB read from an object store")
    option("--price-reads", type=number(), default=0.0, metavar="X", help="Of a million read requests")
    option("--price-writes", type=number(), default=0.0, metavar="X", help="Of a million write requests")
    option = parser.group("Job, as of dataset build and predict")
    option("--features", choices=("mfcc", "logmel"), default="mfcc", metavar="TYPE", help="Feature type")
    option("--pitch", type=numbers, default=(0.0,), metavar="A,B,...", help="Semitones of each variant")
    option("--clip", dest="clip_s", type=number(), default=10.0, metavar="S", help="Seconds of a clip")
    option("--shard-mb", type=whole(), default=0, metavar="MB", help="Size of Arrow shards; 0 for .npy")
    add_model(option)


def _estimate(args: Namespace) -> None:
    from ..cluster import estimate as estimates
    from ..cluster.estimate_text import text
    from ..dataset import BuildSettings

    asked = settings_of(estimates.Asked, args, cores=args.cores or os.cpu_count() or 1)
    if args.work == "build":
        settings = settings_of(BuildSettings, args, seed=0)  # which is the sample's
        measured = estimates.build_sample(args.source, settings, recordings=args.sample, seed=args.seed)
    else:
        measured = estimates.predict_sample(args.source, args.model, recordings=args.sample, seed=args.seed)
    found = estimates.estimate(measured, asked)
    if args.json:
        import json

        print(json.dumps(found, indent=2))
    else:
        print("\n".join(text(found)))
