"""The recipe of the model that ships, step by step; each can be stopped and run again: `python -m recipe STEP ...`."""

from __future__ import annotations

import importlib
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path

from whoplays.errors import WhoplaysError
from whoplays.runtime.packages import needed
from whoplays.storage.files import write_atomically

#: Steps that are modules with a `main`, in the order in which they run; `ablation` is optional.
MODULES = {
    "train": "Train the network, beginning as the model before.",
    "between": "Take weights between the model before and the trained one.",
    "embedding": "Give the network its embedding.",
    "integers": "Write it in 8-bit integers, the form that ships.",
    "decide": "Fit how its outputs become decisions, and choose the labels that ship.",
    "background": "Add what `whoplays train --from` needs.",
    "half": "Keep the network in floating point in half the size.",
    "ablation": "Measure what each part of the material is worth.",
}


def main() -> None:
    """Run the step that the command line names."""
    step = sys.argv[1] if len(sys.argv) > 1 else ""
    try:
        with needed(f"python -m recipe {step}", "train,render,distil"):
            if step in MODULES:
                sys.argv = [f"python -m recipe {step}", *sys.argv[2:]]
                importlib.import_module(f"recipe.{step}").main()
            else:
                args = _parser().parse_args()
                args.run(args)
    except (WhoplaysError, FileNotFoundError) as error:
        sys.exit(f"python -m recipe {step}: {error}")
    except KeyboardInterrupt:
        sys.exit(f"python -m recipe {step}: stopped; the same command goes on")


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="python -m recipe",
        description="Make the model that ships. recipe/rebuild.sh takes all steps; `python -m recipe STEP --help` explains one.",
    )
    steps = parser.add_subparsers(required=True, metavar="STEP", title="steps, in order")

    def step(name: str, run: Callable[[Namespace], None], text: str) -> ArgumentParser:
        found = steps.add_parser(name, help=text, description=text)
        found.add_argument("data", type=Path, metavar="DATA", help="Folder of training material with a manifest.csv.")
        found.add_argument("material", type=Path, metavar="MATERIAL", help="Folder that material is kept in.")
        found.set_defaults(run=run)
        return found

    step("notes", _notes, "Pack the recorded notes, noises and impulse responses of DATA.")
    music = step("music", _music, "Fetch the music that DATA lists and that of games, and cut it into clips.")
    music.add_argument("--repositories", type=Path, help="Folder of bare clones, OWNER/NAME in it.")
    music.add_argument("--game", action="append", default=[], help="A Debian package of a game; repeatable.")
    music.add_argument("--at-most", type=int, help="Maximum number of tracks of DATA/music.csv.")
    scenes = step("scenes", _scenes, "Draw shards of made-up scenes. Shards that exist are kept.")
    scenes.add_argument("--first", type=int, default=0, help="First shard.")
    scenes.add_argument("--last", type=int, default=41, help="Shard to stop before.")
    scenes.add_argument("--rows", type=int, default=256, help="Scenes in a shard.")
    scenes.add_argument("--held-out", action="store_true", help="Draw from the sources kept for validation.")
    scenes.add_argument("--solos", action="store_true", help="Draw players alone, and sums of two to four of them.")
    label = step("label", _label, "Label the clips of music by all teachers together.")
    label.add_argument("peers", type=Path, metavar="PEERS", help="Folder with the teachers' folders.")
    label.add_argument("--classes", type=Path, required=True, help="AudioSet's class_labels_indices.csv.")
    label.add_argument("--model", type=Path, help="A model trained before, as one more teacher.")
    label.add_argument("--scenes", type=int, default=300, help="Scenes of held-out sources to calibrate on.")
    label.add_argument("--recordings", type=int, help="Maximum number of recordings of real/ to calibrate on.")
    for drawing in (scenes, label):
        drawing.add_argument(
            "--font", type=Path, action="append", default=[], help="A soundfont to play on; repeatable."
        )
    for name, text in MODULES.items():
        steps.add_parser(name, help=text)
    return parser


def _notes(args: Namespace) -> None:
    from .notes import pack

    print(f"packed {len(pack(args.data, args.material / 'notes').clips)} clips")


def _scenes(args: Namespace) -> None:
    from .jobs import render_scenes, studio_of

    folder = args.material / ("validation" if args.held_out else "training")
    studio = studio_of(args.data, args.material, args.font, held_out=args.held_out)
    render_scenes(studio, folder, range(args.first, args.last), rows=args.rows, solos=args.solos)


def _music(args: Namespace) -> None:
    from .music import credits, cut

    tracks = cut(args.data, args.material, args.repositories, games=args.game, at_most=args.at_most)
    path = args.material / "clips" / "credits.md"
    write_atomically(path, credits(tracks).encode())
    print(f"{len(tracks)} tracks; their licences are in {path}")


def _label(args: Namespace) -> None:
    from . import soft_labels
    from .jobs import studio_of

    labeller = soft_labels.Labeller(args.peers, args.classes, args.model)
    soft_labels.listen(args.material, labeller)
    studio = studio_of(args.data, args.material, args.font, held_out=True)
    known = soft_labels.known_examples(args.data, studio, scenes=args.scenes, recordings=args.recordings)
    soft_labels.listen_to_known(args.material, known, labeller)
    rows = soft_labels.label(args.material, soft_labels.fit(args.material)) + soft_labels.label_guitars(args.material)
    print(f"labelled {rows} clips")


if __name__ == "__main__":
    main()
