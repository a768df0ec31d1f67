"""The `whoplays` command and its sub-commands, each in a module that is loaded when it is called."""

from __future__ import annotations

from importlib import import_module

import typer

from .. import __version__

#: sub-command -> the module here that adds it to the app
MODULES = {
    "audioset": "audioset",
    "cluster": "cluster",
    "dataset": "dataset",
    "demo": "demo",
    "find": "find",
    "listen": "listen",
    "models": "models",
    "predict": "predict",
    "serve": "serve",
    "train": "train",
    "evaluate": "train",
    "export": "train",
}

app = typer.Typer(
    name="whoplays",
    help="Hears which instrument families play in a recording, and when.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"whoplays {__version__}")
        raise typer.Exit()


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", help="Print the version and stop.", callback=_print_version, is_eager=True
    ),
) -> None:
    pass


def load(command: str = "") -> None:
    """Add a sub-command to the app; all of them, in their order, when `command` is none of them (a flag, a slip)."""
    for module in dict.fromkeys([MODULES[command]] if command in MODULES else MODULES.values()):
        import_module(f".{module}", __package__)
