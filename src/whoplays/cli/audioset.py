"""`whoplays audioset`: plan, inspect, download, verify."""

from __future__ import annotations

from pathlib import Path

import typer

from .main import app, say

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

    from ..audioset import Draw, Ontology, SegmentList, choose_classes, make_plan, reserve_path, write_plan
    from ..audioset.report import describe_classes, describe_malformed, describe_plan
    from ..files import make_folder

    draw = Draw(per_class, reserve, seed, solo, clips_per_video)
    known = Ontology.open(ontology)
    classes = choose_classes(
        known, families=family, include=include, exclude=exclude, descendants=descendants, exclusions=exclusions
    )
    lists = [SegmentList(path) for path in segments]
    made = make_plan(chain.from_iterable(lists), classes, draw)
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

    from ..audioset import Ontology, SegmentList, choose_classes, find_dependencies
    from ..audioset.report import describe_dependencies, describe_malformed
    from ..files import make_folder

    known = Ontology.open(ontology)
    classes = choose_classes(known, families=family, include=label, descendants=descendants)
    lists = [SegmentList(path) for path in segments]
    found = find_dependencies(chain.from_iterable(lists), classes, known, companions=companions)
    make_folder(out)
    found.write(out)
    for line in describe_dependencies(found):
        print(line)
    for line in chain.from_iterable(map(describe_malformed, lists)):
        say(line)
    say(f"tables: {out}")
