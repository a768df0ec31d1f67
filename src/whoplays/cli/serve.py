"""`whoplays serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import missing_extra
from .commands import app
from .output import say


@app.command()
def serve(
    host: Annotated[
        str,
        typer.Option(envvar="WHOPLAYS_HOST", help="Address to listen at; other than this machine's own needs --token."),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="WHOPLAYS_PORT", help="Port; 0 takes a free one.")] = 8000,
    model: Annotated[
        Path | None,
        typer.Option(envvar="WHOPLAYS_MODEL", help="A model folder; without it, the model inside the package."),
    ] = None,
    device: Annotated[
        str,
        typer.Option(
            envvar="WHOPLAYS_DEVICE",
            metavar="auto|cpu|cuda|coreml|...",
            help="What the network runs on; else the processor.",
        ),
    ] = "cpu",
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    workers: Annotated[
        int, typer.Option(envvar="WHOPLAYS_WORKERS", help="Recordings heard at a time; 0: one per core.")
    ] = 0,
    queue: Annotated[int, typer.Option(envvar="WHOPLAYS_QUEUE", help="Recordings that may wait; then 503.")] = 32,
    max_upload_mb: Annotated[int, typer.Option(envvar="WHOPLAYS_MAX_UPLOAD_MB", help="Largest upload, MiB.")] = 200,
    max_files: Annotated[int, typer.Option(envvar="WHOPLAYS_MAX_FILES", help="Most files of one batch.")] = 20,
    max_duration: Annotated[
        float, typer.Option(envvar="WHOPLAYS_MAX_DURATION", help="Longest recording, or part of one, in seconds.")
    ] = 3600.0,
    time_limit: Annotated[
        float, typer.Option(envvar="WHOPLAYS_TIME_LIMIT", help="Longest work on one recording, in seconds.")
    ] = 120.0,
    memory_mb: Annotated[
        int, typer.Option(envvar="WHOPLAYS_MEMORY_MB", help="Most memory that one recording may take, MiB.")
    ] = 1024,
    upload_time: Annotated[
        float, typer.Option(envvar="WHOPLAYS_UPLOAD_TIME", help="Longest that one upload may take, in seconds.")
    ] = 300.0,
    rate: Annotated[
        int, typer.Option(envvar="WHOPLAYS_RATE", help="Recordings a minute from one address; 0: any number.")
    ] = 120,
    live: Annotated[int, typer.Option(envvar="WHOPLAYS_LIVE", help="Live sessions at a time.")] = 4,
    token: Annotated[
        str | None, typer.Option(envvar="WHOPLAYS_TOKEN", help="Callers must send it (better set by the variable).")
    ] = None,
    cors: Annotated[
        list[str] | None, typer.Option(envvar="WHOPLAYS_CORS", help="Another origin whose pages may call.")
    ] = None,
    host_name: Annotated[
        list[str] | None, typer.Option(envvar="WHOPLAYS_HOST_NAME", help="Another name this server goes by.")
    ] = None,
    proxy: Annotated[
        bool, typer.Option(envvar="WHOPLAYS_PROXY", help="Believe X-Forwarded-For (a proxy of yours is in front).")
    ] = False,
    force: Annotated[
        bool, typer.Option(envvar="WHOPLAYS_FORCE", help="Listen beyond this machine without a token.")
    ] = False,
) -> None:
    """Open a page, and an HTTP interface, that tell who plays when."""
    try:
        import python_multipart  # noqa: F401 - the framework asks for it only when a route is called

        from ..serve.server import run
    except ImportError as error:
        raise missing_extra((error.name or "fastapi").split(".")[0], "serve", "serve") from None
    from ..serve.settings import Settings

    settings = Settings(
        host=host,
        port=port,
        model=model,
        device=device,
        workers=workers,
        queue=queue,
        max_upload_mb=max_upload_mb,
        max_files=max_files,
        max_duration_s=max_duration,
        time_limit_s=time_limit,
        memory_mb=memory_mb,
        upload_time_s=upload_time,
        rate=rate,
        live=live,
        token=token or None,
        cors=tuple(cors or ()),
        hosts=tuple(host_name or ()),
        proxy=proxy,
        force=force,
    )

    def ready(address: str) -> None:
        say(f"whoplays is listening at {address} (Ctrl-C stops it)")
        if open_page:
            import webbrowser

            webbrowser.open(address)

    run(settings, ready, lambda line: say(f"whoplays: {line}"))
