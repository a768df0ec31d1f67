"""`whoplays cluster estimate`."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable
from typing import Any

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
        print("\n".join(lines_of(found)))


def lines_of(found: dict[str, Any]) -> list[str]:
    """Return an estimate in lines for people."""
    sample, per_clip = found["sample"], found["sample"]["seconds_per_clip"]
    what = "clips built" if found["work"] == "build" else "recordings predicted"
    unused = f"; {sample['skipped']} more cannot be used" if sample["skipped"] else ""
    waiting = 1 - sample["computing_share"]
    lines = [
        f"{found['clips']:,} {what} by {found['nodes']} x {found['cores_per_node']} cores",
        f"    measured  {sample['recordings']} recordings, {per_clip['expected'] * 1e3:.1f} ms each "
        f"({per_clip['smallest'] * 1e3:.1f} to {per_clip['largest'] * 1e3:.1f}){unused}",
        f"  core-hours  {_spread(found['core_hours'], _plain)}",
        f"   wall time  {_spread(found['wall_hours'], _time)}",
        f"   recordings {found['recordings']:,}, {_bytes(found['audio_bytes'])}; "
        f"their storage must give {_bytes(found['read_bytes_per_s'])}/s",
        f"      output  {_bytes(found['output_bytes'])}, {found['rows']:,} rows"
        + (f", {found['pieces_of_work']:,} shards" if found["work"] == "build" else ""),
        f"object store  {found['object_store']['reads']:,} reads, {found['object_store']['writes']:,} writes, "
        f"{_bytes(found['object_store']['fetched_bytes'])} fetched, if that is where they lie",
        f"      driver  {_bytes(found['driver']['memory_bytes'])} of memory, {_time(found['driver']['hours'])} of the wall time",
    ]
    if money := found["money"]:
        lines.append(
            f"       money  {_spread(money['total'], _plain)}, then {_plain(money['storage_a_month'])} a month for storage"
        )
    assumed = found["assumptions"]
    lines.append(
        f"     assumes  a core among busy ones does {assumed['efficiency']:.0%} of one alone; nodes like this machine; "
        f"intervals 90 % by the sample, +-{assumed['doubt']:.0%} more"
    )
    if waiting > 0.3:
        lines.append(
            f"     remark   {waiting:.0%} of that time is waiting, for disk or network: more processes than cores may be faster"
        )
    if found["pieces_of_work"] < found["nodes"] * found["cores_per_node"]:
        lines.append(
            f"     remark   {found['pieces_of_work']:,} pieces of work cannot keep {found['nodes'] * found['cores_per_node']:,} "
            "cores busy: smaller shards, or fewer cores"
        )
    return lines


def _spread(value: dict[str, float], form: Callable[[float], str]) -> str:
    return f"{form(value['expected'])} ({form(value['low'])} to {form(value['high'])})"


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _time(hours: float) -> str:
    if hours >= 1:
        return f"{_plain(hours)} h"
    return f"{hours * 60:.3g} min" if hours * 60 >= 1 else f"{hours * 3600:.2g} s"


def _bytes(value: float) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e3:.3g} kB"
