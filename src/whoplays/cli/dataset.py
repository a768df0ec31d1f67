"""`whoplays dataset build`."""

from __future__ import annotations

from argparse import ArgumentTypeError, Namespace
from collections import Counter
from typing import Any

from .options import settings_of, share
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
    option = parser.group()
    option("SOURCE", "Folder with one sub-folder per class, or CSV manifest; or s3://")
    option("-o --out FOLDER", "Folder (or s3:// address) to build in", required=True)
    option = parser.group("Clips")
    option("--per-class N|all", "Clips of each class, sampled; as many as the smallest has without it", type=_count)
    option("--labels A,B,...", "Labels to use, in this order", default="")
    option("--parent LABEL=FAMILY", "Family that a label of your own belongs to; repeatable", action="append")
    option("--where COLUMN=VALUE,...", "Rows of a manifest to use; also !=; repeatable", action="append")
    option("--with-none", "Keep recordings that have none of the labels")
    option("--clip S", "Seconds of a clip; longer files are cut", dest="clip_s", type=number(), default=10.0)
    option("--strict", "Leave out clips that are damaged instead of using what can be decoded")
    option = parser.group("Split")
    option("--test RATIO", "Share of the clips for testing", type=number(), default=0.2)
    option("--validation RATIO", "Share of the clips for validation", type=number(), default=0.1)
    option("--seed N", "Random seed for sampling and splitting", type=whole(), default=0)
    option = parser.group("Features")
    option("--features TYPE", "Feature type", choices=("mfcc", "logmel"), default="mfcc")
    option("--pitch A,B,...", "Semitones of each variant of a training clip", type=numbers, default=(0.0,))
    option("--pitch-method NAME", "Pitch shifting", choices=("spectrum", "vocoder"), default="spectrum")
    option = parser.group("Processing")
    share(option, "jobs")
    about = "Size of Arrow shards (64 to 256 for clusters); 0 for .npy"
    option("--shard-mb MB", about, type=whole(0, 1024), default=0)
    option("--cluster ADDRESS|local", "Build on a Ray cluster; local: on this machine", default="")


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
