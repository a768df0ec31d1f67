"""Render material: `python -m recipe {notes,scenes,music,head} ...`; each can be stopped and run again.

python -m recipe notes  DATA MATERIAL                       pack the recorded notes once
python -m recipe scenes DATA MATERIAL --first 0 --last 100  draw shards of made-up scenes (256 rows each)
python -m recipe music  FOLDER MATERIAL                     cut unlabelled recordings, for a teacher to label
python -m recipe head   MATERIAL TEACHER                    learn what the teacher hears, and label that music
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
Data = Annotated[Path, typer.Argument(help="Folder of training material with a manifest.csv.")]
Material = Annotated[Path, typer.Argument(help="Folder that rendered material is kept in.")]
Fonts = Annotated[list[Path] | None, typer.Option("--font", help="A soundfont to play on; repeat for more.")]
TeacherFolder = Annotated[Path | None, typer.Option("--teacher", help="Folder of the teacher's weights.")]


@app.command()
def notes(data: Data, material: Material) -> None:
    """Pack the recorded notes, noises and impulse responses of DATA."""
    from .notes import pack

    library = pack(data, material / "notes")
    print(f"packed {len(library.clips)} clips")


@app.command()
def scenes(
    data: Data,
    material: Material,
    fonts: Fonts = None,
    teacher: TeacherFolder = None,
    first: Annotated[int, typer.Option(help="First shard.")] = 0,
    last: Annotated[int, typer.Option(help="Shard to stop before.")] = 100,
    held_out: Annotated[bool, typer.Option(help="Draw from the sources kept for validation.")] = False,
) -> None:
    """Draw shards of made-up scenes. Shards that exist are left as they are."""
    from .jobs import render_scenes

    render_scenes(data, material, tuple(fonts or ()), teacher, range(first, last), held_out=held_out)


@app.command()
def music(
    folder: Annotated[Path, typer.Argument(help="Folder of recordings, searched with its sub-folders.")],
    material: Material,
    teacher: TeacherFolder = None,
    per_recording: Annotated[int, typer.Option(help="Most clips of one recording.")] = 12,
) -> None:
    """Cut clips of recordings whose instruments nobody has named; targets are left unknown."""
    from .jobs import cut_music

    cut_music(folder, material, teacher, per_recording=per_recording)


@app.command()
def head(
    material: Material,
    teacher: Annotated[Path, typer.Argument(help="Folder of the teacher's weights.")],
    student: Annotated[Path | None, typer.Option(help="A model trained before, to label together with it.")] = None,
) -> None:
    """Fit a head on the teacher's embedding of the scenes (unless it is there), and label the music with it."""
    from whoplays.training import material as store
    from whoplays.training.material import HEAD, Head

    from .head import fit, label
    from .teacher import Teacher

    network = Teacher(teacher)
    if not (material / HEAD).exists():
        training, validation = (store.read(store.shards(material / name)) for name in ("training", "validation"))
        fit(training, validation, network).write(material)
    print(f"labelled {label(material / 'music', Head.read(material), network, student)} recordings")


if __name__ == "__main__":
    app()
