"""Render material: `python -m recipe {notes,scenes,music,head} ...`; each can be stopped and run again.

python -m recipe notes  DATA MATERIAL                       pack the recorded notes once
python -m recipe scenes DATA MATERIAL --first 0 --last 100  draw shards of made-up scenes (256 rows each)
python -m recipe music  FOLDER MATERIAL                     cut unlabelled recordings, for a teacher to label
python -m recipe head   MATERIAL TEACHER                    learn what the teacher hears, and label that music
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path


def main() -> None:
    """Run the step that the command line names."""
    parser = ArgumentParser(prog="python -m recipe", description="Render material for the model that ships.")
    steps = parser.add_subparsers(required=True)

    def step(name: str, run: Callable[[Namespace], None], text: str, *arguments: tuple[str, str]) -> ArgumentParser:
        found = steps.add_parser(name, help=text, description=text)
        for argument, what in arguments:
            found.add_argument(argument, type=Path, metavar=argument.upper(), help=what)
        found.set_defaults(run=run)
        return found

    data = ("data", "Folder of training material with a manifest.csv.")
    material = ("material", "Folder that rendered material is kept in.")
    step("notes", _notes, "Pack the recorded notes, noises and impulse responses of DATA.", data, material)
    scenes = step("scenes", _scenes, "Draw shards of made-up scenes. Shards that exist are kept.", data, material)
    scenes.add_argument("--font", type=Path, action="append", default=[], help="A soundfont to play on; repeatable.")
    scenes.add_argument("--first", type=int, default=0, help="First shard.")
    scenes.add_argument("--last", type=int, default=100, help="Shard to stop before.")
    scenes.add_argument("--held-out", action="store_true", help="Draw from the sources kept for validation.")
    folder = ("folder", "Folder of recordings, searched with its sub-folders.")
    music = step("music", _music, "Cut clips of recordings without labels; targets are unknown.", folder, material)
    music.add_argument("--per-recording", type=int, default=12, help="Maximum number of clips of one recording.")
    for cutting in (scenes, music):
        cutting.add_argument("--teacher", type=Path, help="Folder of the teacher's weights.")
    teacher = ("teacher", "Folder of the teacher's weights.")
    text = "Fit a head on the teacher's embedding of the scenes (unless it is there), and label the music with it."
    head = step("head", _head, text, material, teacher)
    head.add_argument("--student", type=Path, help="A model trained before, to label together with it.")
    args = parser.parse_args()
    args.run(args)


def _notes(args: Namespace) -> None:
    from .notes import pack

    library = pack(args.data, args.material / "notes")
    print(f"packed {len(library.clips)} clips")


def _scenes(args: Namespace) -> None:
    from .jobs import render_scenes

    shards = range(args.first, args.last)
    render_scenes(args.data, args.material, tuple(args.font), args.teacher, shards, held_out=args.held_out)


def _music(args: Namespace) -> None:
    from .jobs import cut_music

    cut_music(args.folder, args.material, args.teacher, per_recording=args.per_recording)


def _head(args: Namespace) -> None:
    from whoplays.training import material as store
    from whoplays.training.material import HEAD, Head

    from .head import fit, label
    from .teacher import Teacher

    network = Teacher(args.teacher)
    if not (args.material / HEAD).exists():
        training, validation = (store.read(store.shards(args.material / name)) for name in ("training", "validation"))
        fit(training, validation, network).write(args.material)
    print(f"labelled {label(args.material / 'music', Head.read(args.material), network, args.student)} recordings")


if __name__ == "__main__":
    main()
