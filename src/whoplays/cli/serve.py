"""`whoplays serve`."""

from __future__ import annotations

from argparse import Namespace

from ..runtime.packages import needed
from ..serve.settings import LIMITS, Settings, flag
from .options import add_device, add_model, add_threshold, settings_of, show_variable, threshold_of
from .output import say, warn
from .parser import Option, Parser, number, whole


def add(parser: Parser) -> None:
    """Add the arguments of `serve`."""
    parser.set_defaults(run=_serve)
    parser.example = "whoplays serve --open"
    parser.more = "A page to drop recordings on, and POST /v1/predict behind it (extra: serve)."

    def group(title: str) -> Option:
        """Begin a group of options that are shown with their environment variables."""
        option = parser.group(title)
        return lambda *names, **settings: show_variable(option(*names, **settings))

    option = group("Address")
    option("--host", default=Settings.host, metavar="HOST", help="Address to listen at; others need --token")
    option("--port", type=whole(), default=Settings.port, metavar="N", help="Port; 0 for a free one")
    option("--open", action="store_true", help="Open the page in the browser")
    option = group("Model")
    add_model(option)
    add_device(option)
    add_threshold(option)
    option = group("Limits")
    for one in LIMITS:
        names = ("-j", flag(one)) if one.name == "workers" else (flag(one),)
        kind = whole() if one.type == "int" else number()
        told = {key: one.metadata[key] for key in ("metavar", "help")}
        option(*names, dest=one.name, type=kind, default=one.default, **told)
    option = group("Access")
    many = {"action": "append", "default": []}
    option("--token", metavar="TOKEN", help="Token that callers must send")
    option("--cors", **many, metavar="ORIGIN", help="Another origin whose pages may call; repeatable")
    option("--host-name", dest="hosts", **many, metavar="NAME", help="Another name of this server; repeatable")
    option("--proxy", action="store_true", help="Trust X-Forwarded-For of a proxy in front")
    option("--force", action="store_true", help="Listen beyond this machine without a token")


def _serve(args: Namespace) -> None:
    with needed("serve", "serve"):
        import python_multipart  # noqa: F401 - the framework asks for it only when a route is called
        import websockets  # noqa: F401 - so does the server

        from ..serve.server import run
    checked = {"threshold": threshold_of(args.threshold), "cors": tuple(args.cors), "hosts": tuple(args.hosts)}
    settings = settings_of(Settings, args, token=args.token or None, **checked)

    def ready(address: str) -> None:
        say(f"whoplays is listening at {address} (Ctrl-C stops it)")
        if args.open:
            import webbrowser

            webbrowser.open(address)

    run(settings, ready, warn)
