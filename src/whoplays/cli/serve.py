"""`whoplays serve`."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from ..runtime.packages import needed
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
    option(where, "--host", default="127.0.0.1", metavar="HOST", help="Address to listen at; others need --token")
    option(where, "--port", type=whole(), default=8000, metavar="N", help="Port; 0 for a free one")
    where.add_argument("--open", action="store_true", help="Open the page in the browser")
    model = parser.add_argument_group("Model")
    show_variable(add_model(model))
    show_variable(add_device(model))
    add_threshold(model)
    limits = parser.add_argument_group("Limits")
    option(
        limits,
        "-j",
        "--workers",
        type=whole(),
        default=0,
        metavar="N",
        help="Recordings in parallel; 0 for one per core",
    )
    option(limits, "--queue", type=whole(), default=32, metavar="N", help="Recordings that may wait; then 503")
    option(limits, "--max-upload-mb", type=whole(), default=200, metavar="MIB", help="Largest upload in MiB")
    option(limits, "--max-files", type=whole(), default=20, metavar="N", help="Maximum number of files in a batch")
    option(limits, "--max-duration", type=number(), default=3600.0, metavar="S", help="Longest recording in seconds")
    option(limits, "--time-limit", type=number(), default=120.0, metavar="S", help="Seconds of work on one recording")
    option(limits, "--memory-mb", type=whole(), default=1024, metavar="MIB", help="Memory for one recording in MiB")
    option(limits, "--upload-time", type=number(), default=300.0, metavar="S", help="Seconds for one upload")
    option(limits, "--rate", type=whole(), default=120, metavar="N", help="Recordings a minute and address; 0: any")
    option(limits, "--live", type=whole(), default=4, metavar="N", help="Live sessions in parallel")
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
    from ..serve.settings import Settings

    settings = Settings(
        host=args.host,
        port=args.port,
        model=args.model,
        device=args.device,
        threshold=threshold_of(args.threshold),
        workers=args.workers,
        queue=args.queue,
        max_upload_mb=args.max_upload_mb,
        max_files=args.max_files,
        max_duration_s=args.max_duration,
        time_limit_s=args.time_limit,
        memory_mb=args.memory_mb,
        upload_time_s=args.upload_time,
        rate=args.rate,
        live=args.live,
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
