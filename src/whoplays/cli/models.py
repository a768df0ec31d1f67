"""`whoplays models`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import ModelError
from .commands import app
from .output import say

models = typer.Typer(help="Look after model folders.", no_args_is_help=True)
app.add_typer(models, name="models")


@models.callback()
def _group() -> None:
    pass


@models.command()
def check(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FOLDER...", help="Model folders; without one, the model inside the package."),
    ] = None,
) -> None:
    """Verify model folders without trusting them: checksums, format, what the network is made of; then try it, walled in."""
    from ..model import check as model_check
    from ..model import folder as model_folder

    failed = False
    for folder in folders or [model_folder.DEFAULT]:
        try:
            for line in model_check.check(folder):
                print(line)
            print(f"{folder}: good")
        except ModelError as error:
            failed = True
            say(f"whoplays: {error}")
    raise typer.Exit(1 if failed else 0)
