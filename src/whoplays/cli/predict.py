"""`whoplays predict`."""

from __future__ import annotations

import contextlib
import io
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UsageError, WhoplaysError
from .main import app, say
from .progress import progress

if TYPE_CHECKING:
    from ..collection import Collection, Watch
    from ..formats import Result, Writer
    from ..predict import Prediction, Recogniser

_BY_SUFFIX = {".json": "json", ".txt": "text", ".jams": "jams", ".rttm": "rttm"}
_TABLES = (".jsonl", ".csv", ".parquet")


@app.command()
def predict(
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH...", help="Recordings or folders; - reads one from standard input."),
    ] = None,
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
        Path | None,
        typer.Option(metavar="FILE", help="Write a file instead: .jsonl, .csv, .parquet; .json, .txt, .jams, .rttm."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the table in --out: skip what is in it and unchanged.")
    ] = False,
    retry: Annotated[
        bool, typer.Option("--retry", help="With --resume: hear again what could not be used the last time.")
    ] = False,
    list_from: Annotated[
        Path | None, typer.Option("--list", metavar="FILE", help="Paths, one a line; - reads them from standard input.")
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Stay, and hear what is added to the folders, until stopped (Ctrl-C).")
    ] = False,
    every: Annotated[float, typer.Option(min=0.05, help="Seconds between two looks with --watch.")] = 5.0,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write a page with pictures, sound and times, for offline.")
    ] = None,
    why: Annotated[
        bool, typer.Option("--why", help="With --report: pictures of what each score hangs on (some seconds each).")
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png|svg|html", help="Draw one recording: waveform, and a pie of its scores."),
    ] = None,
    write_tags: Annotated[
        bool, typer.Option("--write-tags", help="Write who plays into each recording's tags, field WHOPLAYS.")
    ] = False,
    start: Annotated[float, typer.Option(min=0, help="Seconds into each recording to begin at.")] = 0.0,
    end: Annotated[
        float | None, typer.Option(help="Seconds into each recording to stop at; without it, its end.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=0, help="Recordings heard at a time; 0: one per core.")] = 0,
    lang: Annotated[str, typer.Option(metavar="en|pl", help="Language of names in text and labels.")] = "en",
) -> None:
    """Tell which families play in recordings, and when."""
    from .. import batch
    from ..predict import Recogniser

    if lang not in ("en", "pl"):
        raise UsageError(f"--lang {lang}: en or pl is possible")
    if end is not None and end <= start:
        raise UsageError(f"--end {end:g} is not after --start {start:g}")
    given = [*(paths or []), *(_listed(list_from) if list_from else [])]
    if not given:
        raise UsageError("Missing argument 'PATH...': name recordings or folders, or give --list FILE")
    if why and not report:
        raise UsageError("--why shows its pictures in the report: add --report FILE.html")
    kind = _kind(format, out, resume, retry)
    if write_tags:
        from .. import tags

        tags.check()
    if watch and kind and (out or not kind.grows):
        raise UsageError("--watch prints text, jsonl, csv or rttm, or goes with --out FILE.jsonl, .csv or .parquet")
    names = list(batch.recordings(given))
    for path in given:
        if path != "-" and Path(path).is_dir() and not any(batch.recordings([path])):
            say(f"whoplays: {path}: the folder holds no recordings")
    _check_number(names, kind, plot)
    recogniser = Recogniser(model)
    run = _Run(recogniser, start, None if end is None else end - start, jobs, lang, write_tags)
    run.plot, run.report, run.why, run.source = plot, report, why, names[0] if names else ""
    if kind is None:
        assert out is not None
        run.into_table(out, names, resume=resume, retry=retry, given=given if watch else [], every=every)
    else:
        run.into_stream(_writer(kind, recogniser, lang, out), names, out)
        if watch:
            run.watch(_writer(kind, recogniser, lang, out), given, names, every)
    run.finish(len(names))
    raise typer.Exit(1 if run.failed else 0)


def _listed(source: Path) -> list[str]:
    from ..batch import read_list

    if str(source) == "-":
        return read_list(sys.stdin.buffer, "-")
    try:
        with source.open("rb") as file:
            return read_list(file, str(source))
    except OSError as error:
        raise UsageError(f"--list {source}: cannot be read ({error.strerror or error})") from None


def _kind(format: str | None, out: Path | None, resume: bool, retry: bool) -> type[Writer] | None:
    """Return the writer of a stream, or None for a table on disk."""
    from ..formats import table, writer

    suffix = out.suffix.lower() if out else ""
    as_table = suffix in _TABLES and format in (None, suffix[1:])
    if out and not as_table and suffix not in _BY_SUFFIX and not format:
        names = ", ".join("*" + s for s in (*_TABLES, *_BY_SUFFIX))
        raise UsageError(f"--out {out}: name it {names}, or give --format")
    if (resume or retry) and not as_table:
        raise UsageError("--resume and --retry go with --out FILE.jsonl, .csv or .parquet")
    if retry and not resume:
        raise UsageError("--retry goes with --resume")
    if as_table:
        assert out is not None
        table.check(out)
        return None
    if format == "parquet":
        raise UsageError("--format parquet: is not for a pipe; give --out FILE.parquet")
    return writer(format or (_BY_SUFFIX[suffix] if out else "text"))


def _check_number(names: list[str], kind: type[Writer] | None, plot: Path | None) -> None:
    if kind and len(names) > 1 and not kind.many:
        raise UsageError(f"{kind.__name__} holds one recording, and there are {len(names)}; call once for each")
    if plot and (len(names) != 1 or names[0] == "-"):
        raise UsageError(f"--plot draws one recording from a file, and there are {len(names)}")
    if names.count("-") > 1:
        raise UsageError("standard input (-) can be read once")


def _writer(kind: type[Writer], recogniser: Recogniser, lang: str, out: Path | None) -> Writer:
    from ..formats.text import Text
    from ..terminal import Look

    if kind is Text and not out:
        return Text(recogniser.labels, lang, Look.of(sys.stdout))
    return kind(recogniser.labels, lang)


@dataclass
class _Run:
    """One call of the command: what to hear, and what to do with each result beside showing it."""

    recogniser: Recogniser
    start: float
    duration: float | None
    jobs: int
    lang: str
    write_tags: bool
    plot: Path | None = None
    report: Path | None = None
    why: bool = False
    source: str = ""
    failed: int = 0
    _kept: list[Result] = field(default_factory=list)  # for the report
    _how: str = ""  # by what a recording is known to be heard already

    def results(self, names: list[str]) -> Iterator[Result]:
        """Yield a result for each name; tell of failures, draw, tag."""
        from ..batch import hear
        from ..predict import Failure

        for result in hear(self.recogniser, names, start=self.start, duration=self.duration, jobs=self.jobs):
            if isinstance(result, Failure):
                self.failed += 1
                say(f"whoplays: {result.path}: {result.error}")
            else:
                self._beside(result)
            if self.report:
                self._kept.append(result)
            yield result

    def _beside(self, result: Prediction) -> None:
        if self.plot:
            _draw(result, self.recogniser, Path(self.source), self.plot, self.start, self.duration, self.lang)
        if self.write_tags and result.path != "-":
            from .. import tags

            try:
                tags.write(Path(result.path), result)
            except WhoplaysError as error:
                self.failed += 1
                say(f"whoplays: {error}")

    def into_stream(self, writer: Writer, names: list[str], out: Path | None) -> None:
        """Print the results, or write them to a file."""

        def texts() -> Iterator[str]:
            yield writer.head()
            shown = len(names) > 1 and (out is not None or not sys.stdout.isatty())
            with _bar(shown) as advance:
                for i, result in enumerate(self.results(names), 1):
                    yield writer.item(result)
                    advance(i, len(names))
            yield writer.tail()

        _emit(texts(), out)

    def into_table(
        self, out: Path, names: list[str], *, resume: bool, retry: bool, given: list[str], every: float
    ) -> None:
        """Keep the results in a table on disk. given: what to watch afterwards, if anything."""
        from .. import collection

        self._how = collection.how(self.recogniser.fingerprint, self.start, self.duration)
        with collection.Collection(out, resume=resume) as kept:
            todo = [n for n in dict.fromkeys(names) if not kept.is_done(n, collection.mark(n, self._how), retry=retry)]
            if skipped := len(dict.fromkeys(names)) - len(todo):
                say(f"{skipped} of {len(dict.fromkeys(names))} recordings are done and unchanged")
            try:
                self._add(kept, todo)
                if given:
                    kept.merge([label.id for label in self.recogniser.labels])
                    self._watch_table(kept, given, every)
            finally:
                kept.merge([label.id for label in self.recogniser.labels])
                say(f"Written to {out}: {len(kept)} recordings")
            if self.report:
                self._kept = self._with_earlier(kept, names)

    def _with_earlier(self, kept: Collection, names: list[str]) -> list[Result]:
        """Return results for the report: fresh ones, with scores over time, where there are some."""
        fresh = {result.path: result for result in self._kept}
        return [fresh.get(result.path, result) for result in kept.results(names)]

    def _add(self, kept: Collection, names: list[str]) -> None:
        from .. import collection

        with _bar(len(names) > 1) as advance:
            for i, result in enumerate(self.results(names), 1):
                kept.add(result, collection.mark(result.path, self._how))
                advance(i, len(names))

    def _watch_table(self, kept: Collection, given: list[str], every: float) -> None:
        from .. import collection

        watch = collection.Watch({n: seen for n, seen in self._marks(given).items() if kept.is_done(n, seen)})
        with _until_stopped():
            for ready in self._rounds(watch, given, every):
                self._add(kept, ready)
                kept.merge([label.id for label in self.recogniser.labels])

    def watch(self, writer: Writer, given: list[str], names: list[str], every: float) -> None:
        """Print what is added to the folders."""
        from .. import collection

        marks = self._marks(given)
        watch = collection.Watch({n: marks.get(n, "") for n in names})
        with _until_stopped():
            for ready in self._rounds(watch, given, every):
                _emit((writer.item(result) for result in self.results(ready)), None)

    def _rounds(self, watch: Watch, given: list[str], every: float) -> Iterator[list[str]]:
        while True:
            time.sleep(every)
            ready = watch.settled(self._marks(given))
            if ready:
                yield ready
            for name in ready:
                watch.finish(name, self._marks([name]).get(name, ""))

    def _marks(self, given: list[str]) -> dict[str, str]:
        from .. import batch, collection

        return {n: collection.mark(n, self._how) for n in batch.recordings(given) if n != "-"}

    def finish(self, total: int) -> None:
        """Write the report, and sum failures up."""
        if self.report:
            from ..report import write

            write(self.report, self._kept, self.recogniser, lang=self.lang, start=self.start, why=self.why)
            say(f"Report in {self.report}")
        if self.failed and total > 1:
            say(f"whoplays: {self.failed} of {total} recordings could not be used")


@contextlib.contextmanager
def _until_stopped() -> Iterator[None]:
    say("Watching; Ctrl-C stops")
    try:
        yield
    except KeyboardInterrupt:
        say("whoplays: stopped watching")


def _bar(shown: bool) -> contextlib.AbstractContextManager[Callable[[int, int], None]]:
    return progress("Hearing", "recordings") if shown else contextlib.nullcontext(lambda done, total: None)


def _emit(texts: Iterator[str], out: Path | None) -> None:
    if out is None:
        stream = sys.stdout  # now: a progress bar puts its own in its place
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="surrogateescape")  # names that are no UTF-8 keep their bytes
        for text in texts:
            stream.write(text)
            stream.flush()
        return
    from ..files import write_atomically

    write_atomically(out, lambda file: file.writelines(text.encode("utf-8", "surrogateescape") for text in texts))
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
