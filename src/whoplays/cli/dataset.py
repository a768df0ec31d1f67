"""`whoplays dataset build`."""

from __future__ import annotations

from argparse import ArgumentTypeError, Namespace
from collections import Counter
from typing import Any

from .options import add_jobs, settings_of
from .output import Progress, say
from .parser import Parser, number, numbers, whole


def _count(text: str) -> int:
    """Read a number of clips; 0 stands for all."""
    if text == "all":
        return 0
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    raise ArgumentTypeError(f"{text}: must be a number of clips from 1, or all")


def add(parser: Parser) -> None:
    """Add the arguments of `dataset build`."""
    parser.set_defaults(run=_build)
    parser.example = "whoplays dataset build recordings -o dataset --pitch=-2,-1,0,1,2"
    parser.more = (
        "Recordings are split before they are augmented. An interrupted build continues; the bytes are the same."
    )
    option = parser.add_argument
    option("source", metavar="SOURCE", help="Folder with one sub-folder per class, or CSV manifest; or s3://")
    option("-o", "--out", required=True, metavar="FOLDER", help="Folder (or s3:// address) to build in")
    option = parser.group("Clips")
    option(
        "--per-class",
        type=_count,
        metavar="N|all",
        help="Clips of each class, sampled; as many as the smallest has without it",
    )
    option("--labels", default="", metavar="A,B,...", help="Labels to use, in this order")
    option(
        "--parent",
        action="append",
        default=[],
        metavar="LABEL=FAMILY",
        help="Family that a label of your own belongs to; repeatable",
    )
    option(
        "--where",
        action="append",
        default=[],
        metavar="COLUMN=VALUE,...",
        help="Rows of a manifest to use; also !=; repeatable",
    )
    option("--with-none", action="store_true", help="Keep recordings that have none of the labels")
    option(
        "--clip",
        dest="clip_s",
        type=number(),
        default=10.0,
        metavar="S",
        help="Seconds of a clip; longer files are cut",
    )
    option(
        "--strict", action="store_true", help="Leave out clips that are damaged instead of using what can be decoded"
    )
    option = parser.group("Split")
    option("--test", type=number(), default=0.2, metavar="RATIO", help="Share of the clips for testing")
    option("--validation", type=number(), default=0.1, metavar="RATIO", help="Share of the clips for validation")
    option("--seed", type=whole(), default=0, metavar="N", help="Random seed for sampling and splitting")
    option = parser.group("Features")
    option("--features", choices=("mfcc", "logmel"), default="mfcc", metavar="TYPE", help="Feature type")
    option(
        "--pitch", type=numbers, default=(0.0,), metavar="A,B,...", help="Semitones of each variant of a training clip"
    )
    option("--pitch-method", choices=("spectrum", "vocoder"), default="spectrum", metavar="NAME", help="Pitch shifting")
    option = parser.group("Processing")
    add_jobs(option)
    option(
        "--shard-mb",
        type=whole(0, 1024),
        default=0,
        metavar="MB",
        help="Size of Arrow shards (64 to 256 for clusters); 0 for .npy",
    )
    option("--cluster", default="", metavar="ADDRESS|local", help="Build on a Ray cluster; local: on this machine")


def _build(args: Namespace) -> None:
    from .. import dataset

    labels = tuple(part.strip() for part in args.labels.split(",") if part.strip())
    parents, where = tuple(args.parent), tuple(args.where)
    settings = settings_of(dataset.BuildSettings, args, labels=labels, parents=parents, where=where)
    engine = None
    if args.cluster:
        from ..cluster import Cluster

        engine = Cluster(args.cluster, jobs=args.jobs)
    with Progress("Building", "clips") as bar:
        summary = dataset.build(args.source, args.out, settings, jobs=args.jobs, engine=engine, on_progress=bar)
    _print_summary(summary, recipe={"mfcc": "mfcc-cnn", "logmel": "default"}[args.features])


def _print_summary(summary: Any, *, recipe: str) -> None:
    if summary.already_there:
        say(f"{summary.folder}: was built before from the same files and settings; nothing to do.")
    for split, rows in summary.rows.items():
        clips = ", ".join(
            f"{label} {count}" for label, count in summary.clips[split].items() if count or label != "none"
        )
        say(f"{split:>10}: {rows} rows from {summary.recordings[split]} recordings; clips: {clips}")
    for remark in summary.remarks:
        say(f"   remark: {remark}")
    if summary.skipped:
        say(f"  skipped: {len(summary.skipped)} files or rows (listed in {summary.folder / 'skipped.csv'})")
        for cause, count in Counter(item.cause for item in summary.skipped).most_common(5):
            say(f"            {count} x {cause}")
    training = f"train {summary.folder} --recipe {recipe} --out MODEL"
    then = training if summary.rows.get("training") else f"evaluate MODEL {summary.folder} --out REPORT"
    say(f"Data set in {summary.folder}. Next: whoplays {then}")
