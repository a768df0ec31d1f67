"""`whoplays serve`."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from ..runtime.packages import needed
from ..serve.settings import LIMITS, Settings, flag
from .options import add_device, add_model, add_threshold, show_variable, threshold_of
from .output import say, warn
from .parser import Parser, number, whole


def add(parser: Parser) -> None:
    """Add the arguments of `serve`."""
    parser.set_defaults(run=_serve)
    parser.example = "whoplays serve --open"
    parser.more = "A page to drop recordings on, and POST /v1/predict behind it (extra: serve)."

    def option(group: Any, *names: str, **settings: Any) -> None:
        show_variable(group.add_argument(*names, **settings))

    where = parser.add_argument_group("Address")
    option(where, "--host", default=Settings.host, metavar="HOST", help="Address to listen at; others need --token")
    option(where, "--port", type=whole(), default=Settings.port, metavar="N", help="Port; 0 for a free one")
    where.add_argument("--open", action="store_true", help="Open the page in the browser")
    model = parser.add_argument_group("Model")
    show_variable(add_model(model))
    show_variable(add_device(model))
    add_threshold(model)
    limits = parser.add_argument_group("Limits")
    for one in LIMITS:
        names = ("-j", flag(one)) if one.name == "workers" else (flag(one),)
        kind = whole() if one.type == "int" else number()
        about, metavar = one.metadata["help"], one.metadata["metavar"]
        option(limits, *names, type=kind, default=one.default, metavar=metavar, help=about)
    access = parser.add_argument_group("Access")
    option(access, "--token", metavar="TOKEN", help="Token that callers must send")
    option(
        access,
        "--cors",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="Another origin whose pages may call; repeatable",
    )
    option(
        access,
        "--host-name",
        action="append",
        default=[],
        metavar="NAME",
        help="Another name of this server; repeatable",
    )
    option(access, "--proxy", action="store_true", help="Trust X-Forwarded-For of a proxy in front")
    option(access, "--force", action="store_true", help="Listen beyond this machine without a token")


def _serve(args: Namespace) -> None:
    with needed("serve", "serve"):
        import python_multipart  # noqa: F401 - the framework asks for it only when a route is called
        import websockets  # noqa: F401 - so does the server

        from ..serve.server import run
    settings = Settings(
        host=args.host,
        port=args.port,
        model=args.model,
        device=args.device,
        threshold=threshold_of(args.threshold),
        **{one.name: getattr(args, one.name.removesuffix("_s")) for one in LIMITS},
        token=args.token or None,
        cors=tuple(args.cors),
        hosts=tuple(args.host_name),
        proxy=args.proxy,
        force=args.force,
    )

    def ready(address: str) -> None:
        say(f"whoplays is listening at {address} (Ctrl-C stops it)")
        if args.open:
            import webbrowser

            webbrowser.open(address)

    run(settings, ready, warn)
