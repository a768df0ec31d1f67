"""`whoplays predict`."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import AudioError, UsageError
from .main import app, say

if TYPE_CHECKING:
    from ..formats import Result
    from ..predict import Prediction, Recogniser

_BY_SUFFIX = {".jsonl": "jsonl", ".json": "json", ".csv": "csv", ".txt": "text", ".jams": "jams", ".rttm": "rttm"}


@app.command()
def predict(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Recordings or folders; - reads one from standard input.")
    ],
    model: Annotated[
        Path | None, typer.Option(help="A model folder; without it, the model inside the package.")
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            metavar="text|json|jsonl|csv|audacity|jams|rttm", help="What is printed. [default: text, or as --out ends]"
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write to a file instead of standard output.")
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png|svg|html", help="Draw one recording: waveform, and a pie of its scores."),
    ] = None,
    start: Annotated[float, typer.Option(min=0, help="Seconds into each recording to begin at.")] = 0.0,
    end: Annotated[
        float | None, typer.Option(help="Seconds into each recording to stop at; without it, its end.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=0, help="Recordings heard at a time; 0: one per core.")] = 0,
    lang: Annotated[str, typer.Option(metavar="en|pl", help="Language of names in text and labels.")] = "en",
) -> None:
    """Tell which families play in recordings, and when."""
    from ..formats import writer
    from ..predict import Failure, Recogniser

    if lang not in ("en", "pl"):
        raise UsageError(f"--lang {lang}: en or pl is possible")
    if out and out.suffix.lower() not in _BY_SUFFIX and not format:
        raise UsageError(f"--out {out}: name it {', '.join('*' + s for s in _BY_SUFFIX)}, or give --format")
    if end is not None and end <= start:
        raise UsageError(f"--end {end:g} is not after --start {start:g}")
    duration = None if end is None else end - start
    kind = writer(format or (_BY_SUFFIX[out.suffix.lower()] if out else "text"))
    names = list(_recordings(paths))
    if len(names) > 1 and not kind.many:
        raise UsageError(f"{kind.__name__} holds one recording, and there are {len(names)}; call once for each")
    if plot and (len(names) != 1 or names[0] == "-"):
        raise UsageError(f"--plot draws one recording from a file, and there are {len(names)}")
    recogniser = Recogniser(model)
    chosen = kind(recogniser.labels, lang)
    failed = 0

    def texts() -> Iterator[str]:
        nonlocal failed
        yield chosen.head()
        for result in hear(recogniser, names, start=start, duration=duration, jobs=jobs):
            if isinstance(result, Failure):
                failed += 1
                say(f"whoplays: {result.path}: {result.error}")
                if not chosen.shows_failures:
                    continue
            elif plot:
                _draw(result, recogniser, Path(names[0]), plot, start, duration, lang)
            yield chosen.item(result)
        yield chosen.tail()

    _emit(texts(), out)
    if failed and len(names) > 1:
        say(f"whoplays: {failed} of {len(names)} recordings could not be used")
    raise typer.Exit(1 if failed else 0)


def _recordings(paths: list[str]) -> Iterator[str]:
    """Yield what to hear in the order given; a folder's recordings sorted by path."""
    from ..audio import find_recordings

    for path in paths:
        if path != "-" and Path(path).is_dir():
            found = find_recordings(Path(path))
            if not found:
                say(f"whoplays: {path}: the folder holds no recordings")
            yield from map(str, found)
        else:
            yield path


def hear(
    recogniser: Recogniser, names: Iterable[str], *, start: float, duration: float | None, jobs: int
) -> Iterator[Result]:
    """Yield a result for each name, in order, several heard at a time and only a few waiting."""
    import os

    workers = jobs or os.cpu_count() or 1

    def one(name: str) -> Result:
        return _hear_one(recogniser, name, start, duration)

    with ThreadPoolExecutor(workers) as pool:
        running: deque[Future[Result]] = deque()
        try:
            for name in names:
                running.append(pool.submit(one, name))
                if len(running) > 2 * workers:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _hear_one(recogniser: Recogniser, name: str, start: float, duration: float | None) -> Result:
    from dataclasses import replace

    from ..audio import spool_standard_input
    from ..predict import Failure

    try:
        if name != "-":
            return recogniser.predict(name, start=start, duration=duration)
        with spool_standard_input() as file:
            return replace(recogniser.predict(file, start=start, duration=duration), path="-")
    except AudioError as error:
        return Failure(name, str(error))
    except MemoryError:
        return Failure(name, "needs more memory than there is")


def _emit(texts: Iterator[str], out: Path | None) -> None:
    if out is None:
        for text in texts:
            sys.stdout.write(text)
            sys.stdout.flush()
        return
    from ..files import write_atomically

    write_atomically(out, lambda file: file.writelines(text.encode() for text in texts))
    say(f"Written to {out}")


def _draw(
    result: Prediction,
    recogniser: Recogniser,
    source: Path,
    target: Path,
    start: float,
    duration: float | None,
    lang: str,
) -> None:
    from ..errors import missing_extra

    try:
        from .. import plots
    except ImportError:
        raise missing_extra("matplotlib", "train", "--plot") from None
    plots.draw_recording(result, recogniser.config, source, target, start=start, duration=duration, lang=lang)
    say(f"Drawn in {target}")
