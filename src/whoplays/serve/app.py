"""The routes. Each does little: read the request, ask the pool, write the answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import Depends, FastAPI, File, Header, Query, Request, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.exceptions import HTTPException

from .. import __version__
from ..errors import UsageError, did_you_mean, printable
from ..inference.prediction import Failure, result_of
from ..model import thresholds
from ..model.config import ModelConfig
from ..results.formats import FORMATS, writer
from ..taxonomy.tree import Label
from . import assets, schemas
from .guard import Guard, answer
from .live import add_live
from .metrics import Metrics
from .pool import Job, Pool, check_model
from .problems import SCHEMA, Problem, documented, of_status
from .settings import Settings

ABOUT = "Detects which instruments play in a recording, and when. Nothing is kept after the answer."
POLL_S = 0.25  # between two looks at whether a client is still there
NAME_LENGTH = 255
COMMON = ("bad-request", "unauthorised", "foreign-origin", "wrong-host", "invalid")
UPLOADS = ("too-slow-upload", "too-large", "too-long", "not-a-recording", "too-many", "internal", "busy", "too-slow")

Start = Annotated[float, *schemas.TIME, Query(ge=0, le=1e6, description="Time to begin at: seconds, or m:ss.")]
End = Annotated[float | None, *schemas.TIME, Query(ge=0, le=1e6, description="Time to stop at; without it, the end.")]
Track = Annotated[int | None, Query(ge=1, le=1000, description="Track to use of several; without it, the default.")]
Strict = Annotated[bool, Query(description="Refuse a damaged recording.")]
Thresholds = Annotated[
    list[str] | None,
    Query(max_length=1000, description="A score from which labels play, or LABEL=NUMBER; can be given several times."),
]
Detailed = Annotated[
    bool | Literal["packed"],
    Query(
        description="Add the outline, scores over time and shares of playing time; packed: numbers as bytes in base 64."
    ),
]
if TYPE_CHECKING:
    Format = str
else:  # one of the names, which a checker of types does not see
    Format = Annotated[Literal[tuple(FORMATS)], Query(description="Of the answer.")]
Lang = Annotated[Literal["en", "pl"], Query(description="Language of names in formats for people.")]


def create_app(settings: Settings | None = None, tell: Callable[[str], None] = lambda line: None) -> FastAPI:
    """Return the application. tell: see `Pool`.

    Raises `ModelError` when the model cannot be used, `UsageError` for bad settings.
    """
    settings = settings or Settings()
    config = check_model(settings)
    metrics = Metrics()
    pool = Pool(settings, metrics, tell)

    @contextlib.asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        pool.start()
        yield
        pool.close()

    app = FastAPI(
        title="whoplays",
        version=__version__,
        description=ABOUT,
        license_info={"name": "Apache-2.0"},
        lifespan=life,
        separate_input_output_schemas=False,
        docs_url=None,
        redoc_url=None,
    )
    app.state.settings, app.state.config, app.state.metrics, app.state.pool = settings, config, metrics, pool
    app.add_middleware(Guard, pool=pool)
    _handle_problems(app)
    _add_predict(app)
    _add_facts(app)
    _add_page(app)
    add_live(app)
    _describe(app)
    return app


def _handle_problems(app: FastAPI) -> None:
    @app.exception_handler(Problem)
    async def ours(request: Request, error: Problem) -> Response:
        return answer(error)

    @app.exception_handler(HTTPException)
    async def frameworks(request: Request, error: HTTPException) -> Response:
        words = {
            400: f"the body cannot be read as a form ({str(error.detail).rstrip('.')})",
            404: f"there is no {request.scope['path']}; /openapi.json lists what there is",
            405: f"{request.method} is not possible here; possible: {(error.headers or {}).get('Allow', 'another one')}",
        }
        response = answer(of_status(error.status_code, words.get(error.status_code, str(error.detail))))
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        found = error.errors()[0]
        if found.get("type") == "json_invalid":
            return answer(Problem("bad-request", "the body is not JSON"))
        if found["loc"][:2] in (("body", "file"), ("body", "files")):
            name = found["loc"][1]
            missing = found.get("type") == "missing"
            what = f"the field {name!r} is missing" if missing else f"the field {name!r} holds text"
            detail = (
                f"{what}; send the recording as a file in a form (multipart/form-data): curl -F {name}=@recording.wav"
            )
            return answer(Problem("invalid", detail))
        where = ".".join(str(part) for part in found["loc"][1:]) or str(found["loc"][0])
        return answer(Problem("invalid", f"{where}: {found['msg']}"[:300]))

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> Response:
        return answer(Problem("internal", f"unexpected {type(error).__name__}; please report it"))


async def _job(
    request: Request,
    start: Start = 0.0,
    end: End = None,
    details: Detailed = False,
    track: Track = None,
    strict: Strict = False,
    threshold: Thresholds = None,
) -> Job:
    """Return what the query asks for."""
    _check_query(request)
    config: ModelConfig = request.app.state.config
    if end is not None and end <= start:
        raise Problem("invalid", f"end: {end:g} is not after start {start:g}")
    try:
        given = dict(thresholds.parse(text) for text in threshold or ())
        thresholds.resolve(given, config.tree.ids, config.thresholds)
    except UsageError as error:
        raise Problem("invalid", str(error)) from None
    return Job(start, None if end is None else end - start, details, track, strict, given)


def _check_query(request: Request) -> None:
    """Raise `Problem` for a parameter of the address that would be passed over."""
    described = request.app.openapi()["paths"][request.scope["route"].path]["post"]["parameters"]
    known = [one["name"] for one in described if one["in"] == "query"]
    if unknown := next((name for name in request.query_params if name not in known), ""):
        hint = did_you_mean(unknown, known) or f"; there are {', '.join(known)}"
        raise Problem("invalid", f"there is no parameter {printable(unknown)[:40]!r}{hint}")


async def _check_form(request: Request, name: str, *, most: int | None = None) -> None:
    """Raise `Problem` for fields of the form that would be passed over."""
    names = [key for key, _ in (await request.form()).multi_items()]
    if others := [key for key in names if key != name]:
        field = printable(others[0])[:40]
        raise Problem("invalid", f"the form's field {field!r} is not used; options stand in the address: ?{field}=...")
    if most is not None and len(names) > most:
        raise Problem("invalid", f"{len(names)} files were sent; send one, or several as 'files' to /v1/predict/batch")


def _add_predict(app: FastAPI) -> None:
    settings: Settings = app.state.settings
    labels = app.state.config.labels
    stream = {"text/event-stream": {"schema": {"type": "string"}, "example": 'event: result\ndata: {"path": ...}\n\n'}}
    others = _texts()
    del others["application/json"]  # which is the prediction itself
    answers: dict[int | str, dict[str, Any]] = {200: {"description": "What was detected.", "content": others | stream}}
    answers |= documented(*COMMON, *UPLOADS)

    @app.post("/v1/predict", response_model=schemas.Prediction, responses=answers, tags=["predict"])
    async def predict(
        request: Request,
        file: Annotated[
            UploadFile, File(description="A recording: WAV, FLAC, Ogg, MP3, M4A, the sound of a video ...")
        ],
        job: Annotated[Job, Depends(_job)],
        format: Format = "json",
        lang: Lang = "en",
        accept: Annotated[str, Header(description="text/event-stream: progress, then the result.")] = "*/*",
    ) -> Response:
        """Predict one recording. With `Accept: text/event-stream`: events `progress`, then `result` or `problem`."""
        await _check_form(request, "file", most=1)
        if "text/event-stream" in accept:
            return StreamingResponse(_events(app, file, job), media_type="text/event-stream", headers=_NOT_KEPT)
        result = await _while_connected(request, _predict(app, file, job))
        if format == "json":
            return JSONResponse(result, headers=_NOT_KEPT)
        return _written([result], format, labels, lang)

    fails = documented(*COMMON, *UPLOADS)

    @app.post("/v1/predict/batch", response_model=schemas.Batch, responses=fails, tags=["predict"])
    async def predict_batch(
        request: Request,
        files: Annotated[list[UploadFile], File(description="Several recordings.")],
        job: Annotated[Job, Depends(_job)],
    ) -> Response:
        """Predict several recordings: one entry each, in the order given; one that cannot be used says why."""
        await _check_form(request, "files")
        if len(files) > settings.max_files:
            raise Problem("too-large", f"{len(files)} files; {settings.max_files} can be sent at once")
        results = await _while_connected(request, _all(app, files, job))
        return JSONResponse({"results": results}, headers=_NOT_KEPT)


def _texts() -> dict[str, Any]:
    """Return OpenAPI's `content` for all formats; what holds JSON is not a string to its reader."""
    types = {media_type for _, _, media_type in FORMATS.values()}
    return {kind: {"schema": {} if kind.endswith("json") else {"type": "string"}} for kind in sorted(types)}


_NOT_KEPT = {"Cache-Control": "no-store"}


def _written(results: Sequence[Mapping[str, Any]], form: str, labels: Sequence[Label], lang: str) -> Response:
    """Return the results as a file to save. Raises `Problem` where the format, or this model, does not know them."""
    kind = writer(form)
    if len(results) > 1 and not kind.many:
        raise Problem("invalid", f"format: {form} holds one recording, and there are {len(results)}")
    known = {label.id for label in labels}
    for result in (one for one in results if "error" not in one):
        named = {*result["playing"], *(segment["label"] for segment in result["segments"])}
        if set(result["scores"]) != known or not named <= known:
            detail = f"results: this model scores {', '.join(sorted(known))}, neither more nor fewer"
            raise Problem("invalid", detail[:300])
    chosen = kind(labels, lang)
    text = chosen.head() + "".join(chosen.item(result_of(result)) for result in results) + chosen.tail()
    headers = {"Content-Disposition": f'attachment; filename="whoplays{kind.suffix}"', **_NOT_KEPT}
    return Response(text.encode(), media_type=FORMATS[form][2], headers=headers)


def _name_of(upload: UploadFile) -> str:
    """Return the name that a client gave a recording: to tell, never to open."""
    name = "".join(c for c in (upload.filename or "") if c.isprintable()).replace("\\", "/").rpartition("/")[2]
    return name[:NAME_LENGTH] or "recording"


async def _predict(
    app: FastAPI, upload: UploadFile, job: Job, progress: Callable[[dict[str, Any]], None] = lambda message: None
) -> dict[str, Any]:
    """Return the prediction's dictionary under the upload's name. Raises `Problem`."""
    if not upload.size:
        raise Problem("not-a-recording", "is empty (0 bytes)")
    begun = time.monotonic()
    upload.file.seek(0)
    # fileno moves a small one out of memory
    result: dict[str, Any] = await app.state.pool.predict(upload.file.fileno(), job, progress)
    metrics = app.state.metrics
    metrics.time("whoplays_prediction_seconds", time.monotonic() - begun)
    metrics.count("whoplays_recordings_total")
    metrics.count("whoplays_audio_seconds_total", result["duration"])
    return result | {"path": _name_of(upload)}


async def _while_connected(request: Request, work: Coroutine[Any, Any, Any]) -> Any:
    """Return the work's result; end the work when the client closes its connection."""
    task = asyncio.create_task(work)
    try:
        while not (await asyncio.wait([task], timeout=POLL_S))[0]:
            if await request.is_disconnected():
                raise Problem("bad-request", "the client went away")
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _all(app: FastAPI, uploads: list[UploadFile], job: Job) -> list[dict[str, Any]]:
    found = []
    for upload in uploads:  # one after another: a batch is one place in the queue
        try:
            found.append(await _predict(app, upload, job))
        except Problem as problem:
            if problem.status >= 500 and problem.kind != "too-slow":
                raise
            found.append(Failure(_name_of(upload), problem.detail).to_dict())
    return found


async def _events(app: FastAPI, upload: UploadFile, job: Job) -> AsyncIterator[str]:
    """Yield server-sent events; when the client goes away, the generator is closed and the work ends with it."""
    queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
    work = asyncio.create_task(_predict(app, upload, job, queue.put_nowait))
    work.add_done_callback(lambda task: queue.put_nowait(None))
    try:
        while True:
            try:
                async with asyncio.timeout(10):
                    message = await queue.get()
            except TimeoutError:
                yield ": still there\n\n"
                continue
            if message is None:
                break
            yield _event("progress", {"analysed": message["analysed"], "duration": message["duration"]})
        try:
            yield _event("result", work.result())
        except Problem as problem:
            yield _event("problem", problem.to_dict())
    finally:
        work.cancel()


def _event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"


def _add_facts(app: FastAPI) -> None:
    config, pool, metrics = app.state.config, app.state.pool, app.state.metrics
    begun, open_files = time.time(), Path("/proc/self/fd")  # of Linux
    limits = {name: getattr(pool.settings, name) for name in schemas.Limits.model_fields}

    @app.get("/v1/labels", response_model=schemas.Labels, responses=documented(*COMMON[:-1]), tags=["facts"])
    async def labels() -> dict[str, Any]:
        """Return what the model can detect."""
        rows = zip(config.labels, config.thresholds, config.maybe, strict=True)
        named = [{**label.to_dict(), "threshold": limit, "maybe": lower} for label, limit, lower in rows]
        points = schemas.operating_points(config.training)
        return {"model": config.id, "labels": named, "limits": limits, "operating_points": points}

    answers: dict[int | str, dict[str, Any]] = {200: {"description": "The text.", "content": _texts()}}
    kinds = (*COMMON, "too-slow-upload", "too-large")

    @app.post("/v1/write", responses=answers | documented(*kinds), response_class=PlainTextResponse, tags=["predict"])
    async def write(body: schemas.ToWrite, format: Format = "csv", lang: Lang = "en") -> Response:
        """Write results in another format: for programs that label tracks, for tables."""
        return _written([entry.model_dump() for entry in body.results], format, config.labels, lang)

    ready: dict[int | str, dict[str, Any]] = documented("unavailable", "foreign-origin", "wrong-host", "bad-request")

    @app.get("/healthz", response_model=schemas.Health, responses=ready, tags=["facts"])
    async def health() -> dict[str, Any]:
        """Return whether recordings can be analysed."""
        pool.check_usable()
        workers = pool.settings.jobs
        return {"status": "ok", "model": config.id, "version": __version__, "workers": workers}

    @app.get("/metrics", response_class=PlainTextResponse, responses=documented(*COMMON[:-1]), tags=["facts"])
    async def counted() -> Response:
        """Return what was counted since the start, for Prometheus."""
        gauges = {
            "whoplays_queue_length": ("Recordings that wait.", float(pool.waiting)),
            "whoplays_workers_ready": ("Workers that wait for a recording.", float(pool.ready)),
            "whoplays_start_time_seconds": ("When the server started, seconds since 1970.", round(begun, 1)),
            "whoplays_open_files": ("Files this process holds open.", float(len(list(open_files.glob("*"))))),
        }
        return PlainTextResponse(metrics.text(gauges), media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_page(app: FastAPI) -> None:
    page, examples = assets.page(), assets.examples()

    def give(found: dict[str, assets.Asset], name: str, request: Request) -> Response:
        asset = found.get(name)
        if asset is None:
            raise Problem("not-found", "there is no such file")
        headers = {"ETag": f'"{asset.tag}"', "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return Response(asset.content, media_type=asset.media_type, headers=headers)

    shown: dict[str, Any] = {"methods": ["GET", "HEAD"], "include_in_schema": False}

    @app.api_route("/", **shown)
    async def index(request: Request) -> Response:
        return give(page, "index.html", request)

    @app.api_route("/page/{name:path}", **shown)
    async def file(name: str, request: Request) -> Response:
        return give(page, name, request)

    @app.api_route("/examples/{name}", **shown)
    async def example(name: str, request: Request) -> Response:
        return give(examples, name, request)


def _describe(app: FastAPI) -> None:
    plain = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = plain()
            document["components"]["schemas"]["Problem"] = SCHEMA
            for unused in ("HTTPValidationError", "ValidationError"):
                document["components"]["schemas"].pop(unused, None)
            if app.state.settings.token:
                document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
                document["security"] = [{"token": []}]
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]
