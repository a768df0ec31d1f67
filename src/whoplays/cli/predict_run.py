"""What `whoplays predict` does: choose recordings, hear them, show or keep the results, and what goes beside them."""

from __future__ import annotations

import contextlib
import gc
import io
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError, WhoplaysError
from .output import say
from .progress import progress

if TYPE_CHECKING:
    from ..inference.recogniser import Prediction, Recogniser
    from ..results.formats import Result, Writer
    from ..results.resumable_table import Collection, Watch

_BY_SUFFIX = {".json": "json", ".txt": "text", ".jams": "jams", ".rttm": "rttm"}
_TABLES = (".jsonl", ".csv", ".parquet")


@dataclass(frozen=True)
class Request:
    """What the command was asked for: a field for each of its flags, which predict.py explains."""

    paths: list[str]
    model: Path | None = None
    format: str | None = None
    out: Path | None = None
    resume: bool = False
    retry: bool = False
    list_from: Path | None = None
    watch: bool = False
    every: float = 5.0
    report: Path | None = None
    why: bool = False
    plot: Path | None = None
    write_tags: bool = False
    start: float = 0.0
    end: float | None = None
    jobs: int = 0
    lang: str = "en"
    device: str = "cpu"
    cluster: str = ""


def run(asked: Request) -> int:
    """Hear what is asked for, and return the exit status: 1 when a recording could not be used."""
    with _undisturbed():
        from ..inference import batch

    _check_words(asked)
    given = [*asked.paths, *(_listed(asked.list_from) if asked.list_from else [])]
    if not given:
        raise UsageError("Missing argument 'PATH...': name recordings or folders, or give --list FILE")
    kind = _kind(asked)
    names = list(batch.recordings(given))
    _check_here(names, asked)
    for path in given:
        if path != "-" and Path(path).is_dir() and not any(batch.recordings([path])):
            say(f"whoplays: {path}: the folder holds no recordings")
    _check_number(names, kind, asked.plot)
    with _undisturbed():
        from ..inference.recogniser import Recogniser

        recogniser = Recogniser(asked.model, device=asked.device)
    if recogniser.notice:
        say(f"whoplays: {recogniser.notice}")
    run = _Run(recogniser, asked, source=names[0] if names else "")
    if kind is None:
        run.into_table(names, given)
    else:
        run.into_stream(_writer(kind, recogniser, asked), names)
        if asked.watch:
            run.watch(_writer(kind, recogniser, asked), given, names)
    run.finish(len(names))
    return 1 if run.failed else 0


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Load modules and models without the collector looking through them, now or later: they stay to the end."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _check_words(asked: Request) -> None:
    """Refuse what cannot be meant, before anything is loaded for it."""
    if asked.lang not in ("en", "pl"):
        raise UsageError(f"--lang {asked.lang}: en or pl is possible")
    if asked.end is not None and asked.end <= asked.start:
        raise UsageError(f"--end {asked.end:g} is not after --start {asked.start:g}")
    if asked.why and not asked.report:
        raise UsageError("--why shows its pictures in the report: add --report FILE.html")
    if asked.write_tags:
        from ..results import tags

        tags.check()
    if asked.cluster:
        beside = {"--watch": asked.watch, "--report": asked.report, "--plot": asked.plot}
        beside["--device"] = asked.device != "cpu"
        if here := [flag for flag, given in beside.items() if given]:
            raise UsageError(f"{here[0]} is done on this machine alone; leave out --cluster, or {here[0]}")


def _check_here(names: list[str], asked: Request) -> None:
    """Refuse what is done with the files themselves for recordings in a store."""
    from ..storage.address import is_address

    beside = {"--report": asked.report, "--plot": asked.plot, "--write-tags": asked.write_tags}
    flags = [flag for flag, given in beside.items() if given]
    if flags and (far := next(filter(is_address, names), "")):
        raise UsageError(f"{flags[0]} is for recordings on this machine, not for {far}")


def _listed(source: Path) -> list[str]:
    from ..inference.batch import read_list

    if str(source) == "-":
        return read_list(sys.stdin.buffer, "-")
    try:
        with source.open("rb") as file:
            return read_list(file, str(source))
    except OSError as error:
        raise UsageError(f"--list {source}: cannot be read ({error.strerror or error})") from None


def _kind(asked: Request) -> type[Writer] | None:
    """Return the writer of a stream, or None for a table on disk."""
    kind = _writer_for(asked.format, asked.out, asked.resume, asked.retry)
    if asked.watch and kind and (asked.out or not kind.grows):
        raise UsageError("--watch prints text, jsonl, csv or rttm, or goes with --out FILE.jsonl, .csv or .parquet")
    return kind


def _writer_for(format: str | None, out: Path | None, resume: bool, retry: bool) -> type[Writer] | None:
    from ..results import formats

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
        from ..results import table

        assert out is not None
        table.check(out)
        return None
    if format == "parquet":
        raise UsageError("--format parquet: is not for a pipe; give --out FILE.parquet")
    return formats.writer(format or (_BY_SUFFIX[suffix] if out else "text"))


def _check_number(names: list[str], kind: type[Writer] | None, plot: Path | None) -> None:
    if kind and len(names) > 1 and not kind.many:
        raise UsageError(f"{kind.__name__} holds one recording, and there are {len(names)}; call once for each")
    if plot and (len(names) != 1 or names[0] == "-"):
        raise UsageError(f"--plot draws one recording from a file, and there are {len(names)}")
    if names.count("-") > 1:
        raise UsageError("standard input (-) can be read once")


def _writer(kind: type[Writer], recogniser: Recogniser, asked: Request) -> Writer:
    from ..results.formats.text import Text

    if issubclass(kind, Text) and not asked.out and sys.stdout.isatty():
        from ..results.terminal import Look

        return kind(recogniser.labels, asked.lang, Look.of(sys.stdout))
    return kind(recogniser.labels, asked.lang)


@dataclass
class _Run:
    """One call of the command: what to hear, and what to do with each result beside showing it."""

    recogniser: Recogniser
    asked: Request
    source: str
    failed: int = 0
    _kept: list[Result] = field(default_factory=list)  # for the report
    _how: str = ""  # by what a recording is known to be heard already

    @property
    def _duration(self) -> float | None:
        return None if self.asked.end is None else self.asked.end - self.asked.start

    def results(self, names: list[str]) -> Iterator[Result]:
        """Yield a result for each name; tell of failures, draw, tag."""
        from ..inference.recogniser import Failure

        for result in self._heard(names):
            if isinstance(result, Failure):
                self.failed += 1
                say(f"whoplays: {result.path}: {result.error}")
            else:
                self._beside(result)
            if self.asked.report:
                self._kept.append(result)
            yield result

    def _heard(self, names: list[str]) -> Iterator[Result]:
        asked = self.asked
        if not asked.cluster:
            from ..inference.batch import hear

            yield from hear(self.recogniser, names, start=asked.start, duration=self._duration, jobs=asked.jobs)
        elif names:
            from ..cluster import Cluster
            from ..cluster.predict import hear as hear_together

            with Cluster(asked.cluster, workers=asked.jobs) as engine:
                yield from hear_together(engine, asked.model, names, start=asked.start, duration=self._duration)

    def _beside(self, result: Prediction) -> None:
        if self.asked.plot:
            self._draw(result, self.asked.plot)
        if self.asked.write_tags and result.path != "-":
            from ..results import tags

            try:
                tags.write(Path(result.path), result)
            except WhoplaysError as error:
                self.failed += 1
                say(f"whoplays: {error}")

    def _draw(self, result: Prediction, target: Path) -> None:
        from ..errors import missing_extra

        try:
            from ..results.plot import draw_recording
        except ImportError:
            raise missing_extra("matplotlib", "train", "--plot") from None
        asked, config = self.asked, self.recogniser.config
        draw_recording(
            result, config, Path(self.source), target, start=asked.start, duration=self._duration, lang=asked.lang
        )
        say(f"Drawn in {target}")

    def into_stream(self, writer: Writer, names: list[str]) -> None:
        """Print the results, or write them to a file."""
        out = self.asked.out

        def texts() -> Iterator[str]:
            yield writer.head()
            shown = len(names) > 1 and (out is not None or not sys.stdout.isatty())
            with _bar(shown) as advance:
                for i, result in enumerate(self.results(names), 1):
                    yield writer.item(result)
                    advance(i, len(names))
            yield writer.tail()

        _emit(texts(), out)

    def into_table(self, names: list[str], given: list[str]) -> None:
        """Keep the results in a table on disk. given: the folders to watch afterwards, if that was asked for."""
        from ..results import resumable_table

        asked, out, once = self.asked, self.asked.out, list(dict.fromkeys(names))
        assert out is not None
        self._how = resumable_table.how(self.recogniser.fingerprint, asked.start, self._duration)
        with resumable_table.Collection(out, resume=asked.resume) as kept:
            todo = [n for n in once if not kept.is_done(n, resumable_table.mark(n, self._how), retry=asked.retry)]
            if skipped := len(once) - len(todo):
                say(f"{skipped} of {len(once)} recordings are done and unchanged")
            try:
                self._add(kept, todo)
                if asked.watch:
                    kept.merge([label.id for label in self.recogniser.labels])
                    self._watch_table(kept, given)
            finally:
                kept.merge([label.id for label in self.recogniser.labels])
                say(f"Written to {out}: {len(kept)} recordings")
            if asked.report:
                self._kept = self._with_earlier(kept, names)

    def _with_earlier(self, kept: Collection, names: list[str]) -> list[Result]:
        """Return results for the report: fresh ones, with scores over time, where there are some."""
        fresh = {result.path: result for result in self._kept}
        return [fresh.get(result.path, result) for result in kept.results(names)]

    def _add(self, kept: Collection, names: list[str]) -> None:
        from ..results import resumable_table

        with _bar(len(names) > 1) as advance:
            for i, result in enumerate(self.results(names), 1):
                kept.add(result, resumable_table.mark(result.path, self._how))
                advance(i, len(names))

    def _watch_table(self, kept: Collection, given: list[str]) -> None:
        from ..results import resumable_table

        watch = resumable_table.Watch({n: seen for n, seen in self._marks(given).items() if kept.is_done(n, seen)})
        with _until_stopped():
            for ready in self._rounds(watch, given):
                self._add(kept, ready)
                kept.merge([label.id for label in self.recogniser.labels])

    def watch(self, writer: Writer, given: list[str], names: list[str]) -> None:
        """Print what is added to the folders."""
        from ..results import resumable_table

        marks = self._marks(given)
        watch = resumable_table.Watch({n: marks.get(n, "") for n in names})
        with _until_stopped():
            for ready in self._rounds(watch, given):
                _emit((writer.item(result) for result in self.results(ready)), None)

    def _rounds(self, watch: Watch, given: list[str]) -> Iterator[list[str]]:
        while True:
            time.sleep(self.asked.every)
            ready = watch.settled(self._marks(given))
            if ready:
                yield ready
            for name in ready:
                watch.finish(name, self._marks([name]).get(name, ""))

    def _marks(self, given: list[str]) -> dict[str, str]:
        from ..inference import batch
        from ..results import resumable_table

        return {n: resumable_table.mark(n, self._how) for n in batch.recordings(given) if n != "-"}

    def finish(self, total: int) -> None:
        """Write the report, and sum failures up."""
        asked = self.asked
        if asked.report:
            from ..results.html import write

            write(asked.report, self._kept, self.recogniser, lang=asked.lang, start=asked.start, why=asked.why)
            say(f"Report in {asked.report}")
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
    from ..storage.files import write_atomically

    write_atomically(out, lambda file: file.writelines(text.encode("utf-8", "surrogateescape") for text in texts))
    say(f"Written to {out}")
