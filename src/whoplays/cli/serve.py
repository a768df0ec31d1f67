"""`whoplays serve`."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import Field
from typing import Any

from ..runtime.packages import needed
from ..serve.settings import FLAGS, Settings, flag
from .options import settings_of, share, threshold_of
from .output import say, warn
from .parser import Option, Parser, number, whole


def add(parser: Parser) -> None:
    """Add the arguments of `serve`."""
    parser.set_defaults(run=_serve)
    parser.example = "whoplays serve --open"
    parser.more = "A page to drop recordings on, and POST /v1/predict behind it (extra: serve)."

    def group(title: str) -> Option:
        """Begin a group of options, shown with their environment variables, with the flags of its settings."""
        option = parser.group(title, shows_variable=True)
        for one in FLAGS:
            if one.metadata["group"] == title:
                named = f"{'-j ' * (one.name == 'jobs')}{flag(one)} {one.metadata['metavar'] or ''}"
                option(named, one.metadata["help"], dest=one.name, **_value(one))
        return option

    group("Address")("--open", "Open the page in the browser")
    share(group("Model"), "model", "device", "threshold")
    group("Limits")
    group("Access")


def _value(one: Field[Any]) -> dict[str, Any]:
    """Return how the parser reads the value of a setting's flag."""
    if one.type == "bool":
        return {}
    if one.default == ():
        return {"action": "append"}
    return {"type": {"int": whole(), "float": number()}.get(str(one.type), str), "default": one.default}


def _serve(args: Namespace) -> None:
    with needed("serve", "serve"):
        import python_multipart  # noqa: F401 - the framework asks for it only when a route is called
        import websockets  # noqa: F401 - so does the server

        from ..serve.server import run
    repeated = {one.name: tuple(getattr(args, one.name)) for one in FLAGS if one.default == ()}
    settings = settings_of(Settings, args, threshold=threshold_of(args.threshold), **repeated)

    def ready(address: str) -> None:
        say(f"whoplays is listening at {address} (Ctrl-C stops it)")
        if args.open:
            import webbrowser

            webbrowser.open(address)

    run(settings, ready, warn)
    say("stopped")
