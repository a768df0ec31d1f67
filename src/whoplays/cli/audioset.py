"""`whoplays audioset`: plan, inspect, download, verify."""

from __future__ import annotations

from pathlib import Path

import typer

from ..errors import printable
from .commands import app
from .output import say

audioset_app = typer.Typer(
    help="AudioSet: choose clips by label, see how labels hang together, fetch them, check them.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(audioset_app, name="audioset")

_SEGMENTS = typer.Option(..., "--segments", help="AudioSet's segment list (CSV). Repeat for several.")
_ONTOLOGY = typer.Option(..., "--ontology", help="AudioSet's ontology.json.")
_FAMILY = typer.Option([], "--family", help="A family: brass, drums, guitar, piano, strings. Repeat. None: all five.")
_INCLUDE = typer.Option([], "--include", help="A class from an AudioSet label (id or name), or CLASS=LABEL. Repeat.")
_EXCLUDE = typer.Option([], "--exclude", help="A label that no clip may carry, or CLASS=LABEL. Repeat.")
_DESCENDANTS = typer.Option(True, "--descendants/--no-descendants", help="Labels stand for all below them too.")


@audioset_app.command()
def plan(
    segments: list[Path] = _SEGMENTS,
    ontology: Path = _ONTOLOGY,
    out: Path = typer.Option(..., "--out", help="The plan to write (CSV). Stand-ins go beside it: NAME.reserve.csv."),
    family: list[str] = _FAMILY,
    include: list[str] = _INCLUDE,
    exclude: list[str] = _EXCLUDE,
    descendants: bool = _DESCENDANTS,
    exclusions: bool = typer.Option(True, "--exclusions/--no-exclusions", help="Families keep out what is not theirs."),
    solo: bool = typer.Option(False, "--solo", help="Only clips with exactly one of the chosen classes."),
    per_class: int | None = typer.Option(None, "--per-class", help="Clips of each class; none: all there are."),
    reserve: float = typer.Option(1.0, "--reserve", help="Stand-ins planned for each clip of --per-class."),
    seed: int = typer.Option(0, "--seed", help="Another seed draws other clips."),
    clips_per_video: int = typer.Option(1, "--clips-per-video", help="1, or 0 for all."),
) -> None:
    """Choose clips from AudioSet's lists: by family or label, balanced, one of each video."""
    from itertools import chain

    from ..sources.audioset import (
        Draw,
        Ontology,
        SegmentList,
        choose_classes,
        plan_from_lists,
        reserve_path,
        write_plan,
    )
    from ..sources.audioset.summary import describe_classes, describe_malformed, describe_plan
    from ..storage.files import make_folder

    draw = Draw(per_class, reserve, seed, solo, clips_per_video)
    known = Ontology.open(ontology)
    classes = choose_classes(
        known, families=family, include=include, exclude=exclude, descendants=descendants, exclusions=exclusions
    )
    lists = [SegmentList(path) for path in segments]
    families = choose_classes(known, descendants=descendants, exclusions=exclusions)
    made = plan_from_lists(lists, classes, draw, judged=families)
    make_folder(out.parent)
    write_plan(out, made)
    for line in chain(
        describe_classes(classes, known),
        describe_plan(made, known, per_class),
        chain.from_iterable(map(describe_malformed, lists)),
    ):
        say(line)
    more = f", {len(made.stand_ins):,} stand-ins: {reserve_path(out)}" if made.stand_ins else ""
    say(f"{len(made.clips):,} clips: {out}{more}")


@audioset_app.command()
def inspect(
    segments: list[Path] = _SEGMENTS,
    ontology: Path = _ONTOLOGY,
    out: Path = typer.Option(..., "--out", help="Folder for the tables (CSV) and the figure (PNG, SVG)."),
    family: list[str] = _FAMILY,
    label: list[str] = typer.Option([], "--label", help="Any AudioSet label (id or name) to look at as well. Repeat."),
    descendants: bool = _DESCENDANTS,
    companions: int = typer.Option(8, "--companions", min=0, max=50, help="Most frequent other labels of each class."),
) -> None:
    """Show how labels hang together: which are found on the same clips, and how much oftener than by chance."""
    from itertools import chain

    from ..errors import missing_extra
    from ..sources.audioset import Ontology, SegmentList, choose_classes, find_dependencies
    from ..sources.audioset.summary import describe_dependencies, describe_malformed
    from ..storage.files import make_folder

    known = Ontology.open(ontology)
    classes = choose_classes(known, families=family, include=label, descendants=descendants)
    lists = [SegmentList(path) for path in segments]
    found = find_dependencies(chain.from_iterable(lists), classes, known, companions=companions)
    make_folder(out)
    found.write(out)
    try:
        from ..results.drawing import write_figure
        from ..sources.audioset.cooccurrence_plot import cooccurrence_figure
    except ImportError:
        raise missing_extra("matplotlib", "audioset", "the figure (the tables are written)") from None
    figure = cooccurrence_figure(found)
    for ending in ("png", "svg"):
        write_figure(figure, out / f"cooccurrence.{ending}")
    for line in describe_dependencies(found):
        print(line)
    for line in chain.from_iterable(map(describe_malformed, lists)):
        say(line)
    say(f"tables and figure: {out}")


_EXIT_INTERRUPTED = 130


@audioset_app.command()
def download(
    plan_file: Path = typer.Argument(..., metavar="PLAN.csv", help="The plan; NAME.reserve.csv beside it stands in."),
    out: Path = typer.Option(..., "--out", help="Folder for the clips, the ledger and manifest.csv."),
    source: str | None = typer.Option(None, "--source", help="URL with {video_id}: a mirror instead of the site."),
    jobs: int = typer.Option(4, "--jobs", help="Clips fetched at once."),
    per_host: int | None = typer.Option(None, "--per-host", help="Calls at once to one host; none: as --jobs."),
    pace: float | None = typer.Option(
        None, "--pace", help="Seconds between calls to the site; none: 12, with cookies 2, a mirror 0.5."
    ),
    attempts: int = typer.Option(3, "--attempts", help="Tries of a clip in one run, when another may help."),
    timeout: float = typer.Option(60.0, "--timeout", help="Seconds for one transfer."),
    retry: str = typer.Option("", "--retry", help="Causes to try again, as throttled,network; or all."),
    stop_after: int = typer.Option(30, "--stop-after", help="Stop when so many clips in a row are refused."),
    per_class: int | None = typer.Option(None, "--per-class", help="The first N of each class; the others stand in."),
    file_format: str = typer.Option("flac", "--format", help="flac, ogg or wav."),
    rate: int = typer.Option(44100, "--rate", help="Sample rate in Hz."),
    channels: int = typer.Option(1, "--channels", help="1 or 2."),
    cookies: Path | None = typer.Option(None, "--cookies", help="cookies.txt of a browser that is logged in."),
    cookies_from_browser: str | None = typer.Option(
        None, "--cookies-from-browser", help="firefox, chrome, ...; or BROWSER:PROFILE."
    ),
    proxy: str | None = typer.Option(None, "--proxy", help="http://HOST:PORT"),
    ffmpeg: str | None = typer.Option(None, "--ffmpeg", help="The ffmpeg to use instead of the wheel's."),
    cluster: str = typer.Option(
        "", "--cluster", metavar="ADDRESS|local", help="Fetch on a Ray cluster, at one pace for all; local: Ray here."
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="Say what would be done; write nothing, ask nobody."),
) -> None:
    """Fetch the clips of a plan: only their seconds, measured, with a ledger that any later run goes on with."""
    from ..sources.audioset import download as work
    from ..sources.audioset import read_plan, reserve_path
    from ..sources.audioset.download.display import showing, summary
    from ..sources.audioset.summary import describe_rows

    settings = work.Settings(
        template=work.Template(source) if source is not None else work.Template(),
        access=work.Access(
            cookies=work.read_cookies(cookies) if cookies else None,
            cookies_from_browser=_browser(cookies_from_browser),
            proxy=proxy,
        ),
        jobs=jobs,
        per_host=per_host,
        pace_s=pace,
        attempts=attempts,
        timeout_s=timeout,
        stop_after=stop_after,
        retry=_causes(retry),
        per_class=per_class,
        ending=file_format.lower(),
        rate=rate,
        channels=channels,
        ffmpeg=ffmpeg,
    )
    clips, malformed = read_plan(plan_file)
    reserve = reserve_path(plan_file)
    stand_ins, more = read_plan(reserve) if reserve.exists() else ([], [])
    for path, rows in ((plan_file, malformed), (reserve, more)):
        if rows:
            say(f"{path}: {len(rows):,} malformed rows left out")
            for line in describe_rows(rows, len(rows)):
                say(line)
    if dry_run:
        _say_all(summary(work.dry_run(clips, stand_ins, out, settings)))
        say("nothing was fetched (--dry-run)")
        return
    crew = None
    if cluster:
        from ..cluster.download import crew as on_cluster

        crew = on_cluster(cluster, out, settings)
    with showing() as show:
        outcome = work.download(clips, stand_ins, out, settings, show, crew)
    _say_all(summary(outcome))
    say(f"{outcome.fetched:,} clips fetched in {outcome.seconds:.0f} s: {out / 'manifest.csv'}")
    if outcome.interrupted:
        say("whoplays: stopped; start again and it goes on")
        raise typer.Exit(_EXIT_INTERRUPTED)
    if outcome.why_stopped:
        say(f"whoplays: {outcome.why_stopped}")
    if outcome.why_stopped or outcome.missing:
        raise typer.Exit(1)


@audioset_app.command()
def verify(folder: Path = typer.Argument(..., metavar="FOLDER", help="A folder that `download` has filled.")) -> None:
    """Check the files of a download against its manifest, and say what changed."""
    from ..sources.audioset.download import verify as check

    listed, differences = check(folder)
    for difference in differences:
        print(printable(f"{difference.path}: {difference.what}"))
    changed = {difference.path for difference in differences}
    if not differences:
        say(f"{folder}: all {listed:,} files are as the manifest says")
        return
    say(f"{folder}: {listed:,} files in the manifest, {len(changed):,} differences")
    raise typer.Exit(1)


def _say_all(lines) -> None:
    for line in lines:
        say(line)


def _causes(text: str) -> tuple[str, ...]:
    """Return the causes of "throttled,network"; "all" stands for those that may recover."""
    from ..sources.audioset.download import MAY_RECOVER

    names = tuple(name.strip().lower() for name in text.split(",") if name.strip())
    return tuple(MAY_RECOVER) if names == ("all",) else names


def _browser(text: str | None) -> tuple[str | None, ...] | None:
    """Return what yt-dlp wants of "firefox" or "firefox:profile": browser, profile, keyring, container."""
    if not text:
        return None
    name, _, profile = text.partition(":")
    return name.lower(), profile or None, None, None
