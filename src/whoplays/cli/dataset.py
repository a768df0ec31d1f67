"""`whoplays dataset build`."""

from __future__ import annotations

from typing import Annotated

import typer

from ..errors import UsageError
from .commands import app
from .output import say

dataset_app = typer.Typer(no_args_is_help=True, help="Folders of recordings or a manifest -> a split set of features.")
app.add_typer(dataset_app, name="dataset")


def _numbers(text: str, flag: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"{flag} {text}: numbers separated by commas are needed, such as {flag}=-2,-1,0,1,2") from None


def _count(text: str | None) -> int | None:
    if text is None or text.isascii() and text.isdigit() and int(text) > 0:
        return None if text is None else int(text)
    if text == "all":
        return 0
    raise UsageError(f"--per-class {text}: a number of clips from 1, or all, is needed")


@dataset_app.command("build")
def build(
    source: Annotated[
        str, typer.Argument(help="A folder with one sub-folder per class, or a CSV manifest; or its s3:// address.")
    ],
    out: Annotated[str, typer.Option(help="The folder (or s3:// address) to build in; an interrupted build goes on.")],
    per_class: Annotated[
        str | None,
        typer.Option(
            metavar="N|all", help="Clips of each class, picked at random; without it the smallest class decides."
        ),
    ] = None,
    features: Annotated[
        str, typer.Option(metavar="mfcc|logmel", help="mfcc: the report's 20 x 20; logmel: for the default recipe.")
    ] = "mfcc",
    pitch: Annotated[
        str, typer.Option(help="Semitones of each variant of a training clip, such as --pitch=-2,-1,0,1,2.")
    ] = "0",
    pitch_method: Annotated[
        str,
        typer.Option(
            metavar="spectrum|vocoder", help="From one spectrum, or librosa's phase vocoder as in the report."
        ),
    ] = "spectrum",
    test: Annotated[float, typer.Option(help="Share of the clips that is kept for the test.")] = 0.2,
    validation: Annotated[float, typer.Option(help="Share of the clips that training is judged on.")] = 0.1,
    clip: Annotated[
        float, typer.Option(metavar="SECONDS", help="Longer files are cut into clips of this length.")
    ] = 10.0,
    seed: Annotated[int, typer.Option(help="Of the pick and the split.")] = 0,
    workers: Annotated[
        int, typer.Option(min=0, help="Processes; 0: one per core. The result does not depend on it.")
    ] = 0,
    labels: Annotated[str, typer.Option(help="Labels to use and their order, separated by commas.")] = "",
    parent: Annotated[
        list[str] | None,
        typer.Option(metavar="LABEL=FAMILY", help="The family that a label of your own belongs to; repeat for more."),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN=VALUE,...", help="Rows of a manifest to use; also !=. Repeatable; all must hold."),
    ] = None,
    shard_mb: Annotated[
        int,
        typer.Option(min=0, max=1024, help="Arrow shards of about that many MB (64 to 256 for clusters); 0: .npy."),
    ] = 0,
    cluster: Annotated[
        str,
        typer.Option(metavar="ADDRESS|local", help="Build on a Ray cluster; local: Ray on this machine. Same bytes."),
    ] = "",
    with_none: Annotated[
        bool, typer.Option("--with-none", help="Keep recordings that hold none of the labels.")
    ] = False,
) -> None:
    """Build a data set: pick, split by recording, then compute features and, for training, pitch variants."""
    from .. import dataset
    from .progress import progress

    settings = dataset.BuildSettings(
        features=features,
        clip_s=clip,
        per_class=_count(per_class),
        pitch=_numbers(pitch, "--pitch"),
        pitch_method=pitch_method,
        test=test,
        validation=validation,
        seed=seed,
        labels=tuple(part.strip() for part in labels.split(",") if part.strip()),
        parents=tuple(parent or ()),
        where=tuple(where or ()),
        with_none=with_none,
        shard_mb=shard_mb,
    )
    engine = None
    if cluster:
        from ..cluster import Cluster

        engine = Cluster(cluster, workers=workers)
    with progress("Building", "clips") as report:
        summary = dataset.build(source, out, settings, workers=workers, engine=engine, on_progress=report)
    _tell(summary)


def _tell(summary) -> None:
    from collections import Counter

    if summary.already_there:
        say(f"{summary.folder}: was built before from the same files and settings; nothing to do.")
    for split, rows in summary.rows.items():
        clips = ", ".join(
            f"{label} {count}" for label, count in summary.clips[split].items() if count or label != "none"
        )
        say(f"{split:>10}: {rows} rows from {summary.recordings[split]} recordings; clips: {clips}")
    for remark in summary.remarks:
        say(f"   remark: {remark}")
    if summary.left_out:
        say(f"  left out: {len(summary.left_out)} files or rows (listed in {summary.folder / 'left-out.csv'})")
        for cause, count in Counter(item.cause for item in summary.left_out).most_common(5):
            say(f"            {count} x {cause}")
    say(f"Data set in {summary.folder}. Next: whoplays train {summary.folder} --recipe mfcc-cnn --out MODEL")
