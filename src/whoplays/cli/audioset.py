"""`whoplays audioset`: plan, inspect, download, verify."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from ..errors import DownloadError, counted, printable
from ..runtime.packages import needed
from .options import settings_of
from .output import INTERRUPTED, Progress, say, warn
from .parser import Parser, number, whole

_FAMILY = ("--family FAMILY", "Family or instrument to choose; repeatable; the default families without it")
_DESCENDANTS = ("--no-descendants", "Labels do not stand for the labels below them")


def _add_lists(parser: Parser) -> None:
    option = parser.group("AudioSet's files")
    option("--segments LIST.csv", "Segment list; repeatable", type=Path, action="append", required=True)
    option("--ontology ontology.json", "Ontology of the labels", type=Path, required=True)


def add_plan(parser: Parser) -> None:
    """Add the arguments of `audioset plan`."""
    parser.set_defaults(run=_plan)
    parser.example = (
        "whoplays audioset plan --segments balanced_train_segments.csv --ontology ontology.json"
        " --per-class 100 -o plan.csv"
    )
    option = parser.group()
    option("-o --out PLAN.csv", "Plan to write", type=Path, required=True)
    _add_lists(parser)
    option = parser.group("Labels")
    option(*_FAMILY, action="append")
    option("--include LABEL", "A class from an AudioSet label, or CLASS=LABEL", action="append")
    option("--exclude LABEL", "Label that no clip may carry, or CLASS=LABEL", action="append")
    option(*_DESCENDANTS, dest="descendants", action="store_false")
    option("--no-exclusions", "Do not apply the families' own exclusions", dest="exclusions", action="store_false")
    option = parser.group("Sampling")
    option("--solo", "Only clips with exactly one of the chosen classes")
    option("--per-class N", "Clips of each class; all without it", type=whole())
    option("--reserve N", "Replacements for each clip, in PLAN.reserve.csv", type=number(), default=1.0)
    option("--clips-per-video N", "Clips of one video: 1, or 0 for all", type=whole(), default=1)
    option("--seed N", "Random seed for sampling", type=whole(), default=0)


def _plan(args: Namespace) -> None:
    from ..sources import audioset
    from ..sources.audioset.summary import describe_classes, describe_malformed, describe_plan
    from ..storage.files import make_folder

    draw = audioset.Draw(args.per_class, args.reserve, args.seed, args.solo, args.clips_per_video)
    known = audioset.Ontology.open(args.ontology)
    rules = {"descendants": args.descendants, "exclusions": args.exclusions}
    named = {"families": args.family, "include": args.include, "exclude": args.exclude}
    classes = audioset.choose_classes(known, **named, **rules)
    lists = [audioset.SegmentList(path) for path in args.segments]
    made = audioset.plan_from_lists(lists, classes, draw, considered=audioset.choose_classes(known, **rules))
    _say_all(describe_classes(classes, known))
    _say_all(describe_plan(made, known, args.per_class))
    _say_all(chain.from_iterable(map(describe_malformed, lists)))
    if not made.clips:
        raise DownloadError(f"no clip of the lists is to be fetched; {args.out} was not written")
    make_folder(args.out.parent)
    audioset.write_plan(args.out, made)
    more = f", {len(made.stand_ins):,} stand-ins: {audioset.reserve_path(args.out)}" if made.stand_ins else ""
    say(f"{counted(len(made.clips), 'clip')}: {args.out}{more}")


def add_inspect(parser: Parser) -> None:
    """Add the arguments of `audioset inspect`."""
    parser.set_defaults(run=_inspect)
    parser.example = "whoplays audioset inspect --segments eval_segments.csv --ontology ontology.json -o labels"
    option = parser.group()
    option("-o --out FOLDER", "Folder for tables (CSV) and figure (PNG, SVG)", type=Path, required=True)
    _add_lists(parser)
    option = parser.group("Labels")
    option(*_FAMILY, action="append")
    option("--label LABEL", "Any AudioSet label to examine too; repeatable", action="append")
    option(*_DESCENDANTS, dest="descendants", action="store_false")
    option("--companions N", "Most frequent other labels of each class", type=whole(0, 50), default=8)


def _inspect(args: Namespace) -> None:
    from ..sources.audioset import Ontology, SegmentList, choose_classes, find_dependencies
    from ..sources.audioset.summary import describe_dependencies, describe_malformed
    from ..storage.files import make_folder, together

    with needed("audioset inspect", "audioset"):
        from ..results.drawing import write_figure
        from ..sources.audioset.cooccurrence_plot import cooccurrence_figure
    known = Ontology.open(args.ontology)
    classes = choose_classes(known, families=args.family, include=args.label, descendants=args.descendants)
    lists = [SegmentList(path) for path in args.segments]
    found = find_dependencies(chain.from_iterable(lists), classes, known, companions=args.companions)
    make_folder(args.out)
    with together():
        found.write(args.out)
        figure = cooccurrence_figure(found)
        for ending in ("png", "svg"):
            write_figure(figure, args.out / f"cooccurrence.{ending}")
    for line in describe_dependencies(found):
        print(line)
    _say_all(chain.from_iterable(map(describe_malformed, lists)))
    say(f"tables and figure: {args.out}")


def add_download(parser: Parser) -> None:
    """Add the arguments of `audioset download`."""
    parser.set_defaults(run=_download)
    parser.example = "whoplays audioset download plan.csv -o clips"
    parser.more = "NAME.reserve.csv beside the plan holds replacements for clips that are gone."
    option = parser.group()
    option("PLAN.csv", "Plan that `audioset plan` wrote", type=Path)
    option("-o --out FOLDER", "Folder for clips, ledger and manifest.csv", type=Path, required=True)
    option("--per-class N", "First N of each class; the others replace them", type=whole())
    option("--dry-run", "Print what would be done; write and download nothing")
    option = parser.group("Audio")
    option("-f --format ENDING", "File format", dest="ending", choices=("flac", "ogg", "wav"), default="flac")
    option("--rate HZ", "Sample rate in Hz", type=whole(), default=44100)
    option("--channels N", "Channels: 1 or 2", type=whole(), default=1)
    option("--ffmpeg PROGRAM", "Program to use instead of the installed ffmpeg")
    option = parser.group("Access")
    option("--source URL", "URL with {video_id}: a mirror instead of the site")
    option("--cookies cookies.txt", "Cookies of a browser that is logged in", type=Path)
    option("--cookies-from-browser NAME", "Browser to take cookies from: firefox, chrome, ...; or BROWSER:PROFILE")
    option("--proxy URL", "Proxy: http://HOST:PORT")
    option = parser.group("Pace and retries")
    option("-j --jobs N", "Downloads in parallel", type=whole(), default=4)
    option("--per-host N", "Requests to one host in parallel; as --jobs without it", type=whole())
    option("--pace S", "Seconds between requests: 12, with cookies 2, a mirror 0.5", dest="pace_s", type=number())
    option("--attempts N", "Attempts for each clip in one run", type=whole(), default=3)
    option("--timeout S", "Seconds for one transfer", dest="timeout_s", type=number(), default=60.0)
    option("--retry CAUSES", "Causes to retry, such as throttled,network; or all", default="")
    option("--stop-after N", "Stop when this many clips in a row are refused", type=whole(), default=30)
    option("--cluster ADDRESS|local", "Download on a Ray cluster, at one pace for all workers", default="")


def _download(args: Namespace) -> int:
    from ..sources.audioset import download as work
    from ..sources.audioset import read_plan, reserve_path
    from ..sources.audioset.download.display import status_note, summary
    from ..sources.audioset.summary import describe_rows

    browser, _, profile = (args.cookies_from_browser or "").partition(":")
    access = work.Access(
        cookies=work.read_cookies(args.cookies) if args.cookies else None,
        cookies_from_browser=(browser.lower(), profile or None) if browser else None,
        proxy=args.proxy,
    )
    causes = tuple(name.strip().lower() for name in args.retry.split(",") if name.strip())
    retry = tuple(work.MAY_RECOVER) if causes == ("all",) else causes
    template = work.Template(args.source) if args.source is not None else work.Template()
    settings = settings_of(work.Settings, args, template=template, access=access, retry=retry)
    clips, malformed = read_plan(args.plan)
    reserve = reserve_path(args.plan)
    stand_ins, more = read_plan(reserve) if reserve.exists() else ([], [])
    for path, rows in ((args.plan, malformed), (reserve, more)):
        if rows:
            say(f"{path}: {len(rows):,} malformed rows left out")
            _say_all(describe_rows(rows, len(rows)))
    if args.dry_run:
        _say_all(summary(work.dry_run(clips, stand_ins, args.out, settings)))
        say("nothing was fetched (--dry-run)")
        return 0
    executor = None
    if args.cluster:
        from ..cluster import Cluster
        from ..cluster.download import Workers

        executor = Workers(Cluster(args.cluster), args.out, settings)
    with Progress("Downloading", "clips") as bar:

        def show(progress: work.Progress) -> None:
            bar(progress.had, progress.wanted, status_note(progress))

        outcome = work.download(clips, stand_ins, args.out, settings, show, executor)
    _say_all(summary(outcome))
    say(f"{outcome.fetched:,} clips fetched in {outcome.seconds:.0f} s: {args.out / 'manifest.csv'}")
    if outcome.interrupted:
        warn("stopped; run the same command to continue")
        return INTERRUPTED
    if outcome.why_stopped:
        warn(outcome.why_stopped)
    return 1 if outcome.why_stopped or outcome.missing else 0


def add_verify(parser: Parser) -> None:
    """Add the arguments of `audioset verify`."""
    parser.set_defaults(run=_verify)
    parser.example = "whoplays audioset verify clips"
    parser.group()("FOLDER", "Folder that `audioset download` filled", type=Path)


def _verify(args: Namespace) -> int:
    from ..sources.audioset.download import copies, verify

    listed, differences = verify(args.folder)
    for difference in differences:
        print(printable(f"{difference.path}: {difference.what}"))
    for files in copies(args.folder):
        print(printable(f"{', '.join(files)}: equal checksums, so the same sound under {len(files)} video ids"))
    if not differences:
        say(f"{args.folder}: all {listed:,} files are as the manifest says")
        return 0
    changed = {difference.path for difference in differences}
    say(f"{args.folder}: {listed:,} files in the manifest, {len(changed):,} differences")
    return 1


def _say_all(lines: Iterable[str]) -> None:
    for line in lines:
        say(line)
