"""`whoplays predict`: its flags, which of them go together, and the predictions of one call."""

from __future__ import annotations

import contextlib
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError, WhoplaysError, counted
from ..results.formats import FORMATS
from ..runtime.packages import needed
from .options import share, threshold_of
from .output import Progress, say, warn
from .parser import Parser, number, time, whole
from .recordings import add_continuing, check_continuing, found_in, given, recogniser_of

if TYPE_CHECKING:
    from ..inference.prediction import Prediction, Result
    from ..inference.recogniser import Recogniser
    from ..results.formats.base import Writer
    from ..results.output import Output
    from ..taxonomy.tree import Label

_TABLES = (".jsonl", ".csv", ".parquet")


def add(parser: Parser) -> None:
    """Add the arguments of `predict`."""
    parser.set_defaults(run=_predict)
    parser.example = "whoplays predict song.mp3 folder/with/recordings -o results.jsonl"
    option = parser.group()
    option("[PATH...]", "Recordings, folders or patterns (*.wav); - is standard input")
    option = parser.group("Input")
    share(option, "list")
    option("--start TIME", "Time in each recording to start at: seconds or m:ss", type=time, default=0.0)
    option("--end TIME", "Time in each recording to stop at: seconds or m:ss", type=time)
    option("--track N", "Track to use of files with several, from 1 [default: theirs]", type=whole(1))
    option("--strict", "Refuse damaged recordings instead of using what can be decoded")
    option("--watch", "Stay, and predict what is added to the folders (Ctrl-C stops)")
    option("--every S", "Seconds between two looks of --watch", type=number(0.05), default=5.0)
    option = parser.group("Model")
    share(option, "model", "threshold", "device")
    option = parser.group("Output")
    option("-f --format FORMAT", f"Output format: {', '.join(FORMATS)}", choices=tuple(FORMATS))
    endings = "such as .jsonl, .csv or .parquet"
    option("-o --out FILE", f"File to write, in the format that its ending names, {endings}", type=Path)
    option("--out-dir FOLDER", "Folder for one file per recording, json without --format", type=Path)
    option("--frames", "Add the scores of each frame (json, jsonl, csv)")
    add_continuing(option, "what exists in --out or --out-dir")
    option("--report FILE.html", "Page with player, plots and times, for offline use", type=Path)
    option("--why", "With --report: explain each score (some seconds each)")
    option("--plot FILE", "Plot of one recording: .png or .svg", type=Path)
    option("--write-tags", "Write the labels into each recording's tag WHOPLAYS")
    share(option, "lang")
    option = parser.group("Processing")
    share(option, "jobs")
    option("--cluster ADDRESS|local", "Predict on a Ray cluster; local: on this machine", default="")


def _predict(args: Namespace) -> int:
    """Return the exit status: 1 when a recording could not be used."""
    _check_flags(args)
    paths = given(args, "predict")
    kind = _kind(args)
    names, problems = found_in(paths, watch=args.watch)
    _check_names(names, kind, args)
    _check_outputs(kind, args)
    recogniser = recogniser_of(args, args.model)
    if args.verbose:
        from ..runtime import sandbox

        if missing_limits := sandbox.unlimited():
            say(f"note: {missing_limits}")
    run = Run(recogniser, args)
    with _output(kind, run, paths) as output:
        todo = output.todo(names)
        if args.write_tags:
            waiting = set(todo)
            earlier = dict.fromkeys(name for name in names if name not in waiting)
            if tagged := output.update(earlier, run.tag_earlier):
                say(f"{counted(tagged, 'recording')} tagged from the table")
        output.write(run.results(todo, shown=bool(args.out or args.out_dir or not sys.stdout.isatty())))
        if args.watch:
            run.watch(output, paths, names)
        reported = output.reported(names, run.kept)
    run.finish(len(names), reported)
    return 1 if run.failed or problems else 0


def _check_flags(args: Namespace) -> None:
    """Refuse flags that do not go together, before anything is loaded for them."""
    if args.end is not None and args.end <= args.start:
        raise UsageError(f"--end {args.end:g} is not after --start {args.start:g}")
    if args.why and not args.report:
        raise UsageError("--why shows its pictures in the report: add --report FILE.html")
    if args.report and args.report.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"--report {args.report}: the page is named *.html")
    check_continuing(args)
    if args.overwrite and not (args.out or args.out_dir):
        raise UsageError("--overwrite goes with --out FILE or --out-dir FOLDER")
    if args.out and args.out_dir:
        raise UsageError("--out and --out-dir do not go together: one file, or one for each recording")
    if args.track and args.report:
        raise UsageError("--report shows the default track; leave out --track, or --report")
    if args.write_tags:
        from ..results import tags

        tags.load_mutagen()
    if args.plot:
        with needed("--plot", "plot"):
            from ..results import plot  # noqa: F401 - before anything is read
    if args.cluster:
        here = {"--watch": args.watch, "--report": args.report, "--plot": args.plot, "--frames": args.frames}
        here["--device"] = args.device != "cpu"
        if alone := [flag for flag, given in here.items() if given]:
            raise UsageError(f"{alone[0]} works on this machine alone; leave out --cluster, or {alone[0]}")
        from ..cluster.engine import load_ray

        load_ray()


def _check_outputs(kind: type[Writer] | None, args: Namespace) -> None:
    """Check, before anything is read, that what will be written can be, and that no finished results are lost by it."""
    from ..storage.files import check_output
    from ..storage.streams import standard_output

    if not args.out and not args.out_dir:
        standard_output()
    instead = "" if kind else "--resume adds to it"
    check_output(args.out, overwrite=args.overwrite or args.resume, instead=instead)
    for path in (args.report, args.plot):
        check_output(path, overwrite=True)


def _kind(args: Namespace) -> type[Writer] | None:
    """Return the writer of the output, or None for a table on disk."""
    from ..results import formats

    suffix = args.out.suffix.lower() if args.out else ""
    by_suffix = dict.fromkeys(_TABLES) | (formats.by_suffix() if args.out else {})
    if suffix in by_suffix and "format" not in args.given:
        args.format = None  # a configured format is for what is printed: a file's name says its own
    as_table = suffix in _TABLES and args.format in (None, suffix[1:]) and not args.frames
    if args.out and suffix not in by_suffix and not args.format:
        raise UsageError(f"--out {args.out}: name it {', '.join(f'*{one}' for one in by_suffix)}, or give --format")
    if args.retry and not as_table or args.resume and not (as_table or args.out_dir):
        raise UsageError("--resume and --retry go with --out FILE.jsonl, .csv or .parquet, without --frames")
    if args.resume and args.out_dir and (args.report or args.write_tags):
        other = "--report" if args.report else "--write-tags"
        raise UsageError(f"{other} needs all results, which --resume has with --out FILE.jsonl, .csv or .parquet alone")
    if as_table:
        from ..results import table

        table.check(args.out)
        return None
    default = "json" if args.out_dir else by_suffix.get(suffix) or suffix[1:] or "text"
    name = args.format or default
    if args.frames and not (name in FORMATS and formats.writer(name).has_frames):
        raise UsageError("--frames goes with --format json, jsonl or csv")
    kind = formats.writer(name)
    if args.watch and (args.out or not (kind.grows or args.out_dir)):
        growing = ", ".join(one for one in FORMATS if formats.writer(one).grows)
        raise UsageError(f"--watch goes with {growing}, --out-dir, or --out FILE.jsonl, .csv or .parquet")
    return kind


def _check_names(names: list[str], kind: type[Writer] | None, args: Namespace) -> None:
    """Refuse recordings that the flags cannot be used with."""
    from ..results import formats
    from ..storage.address import is_address

    local = {"--report": args.report, "--plot": args.plot, "--write-tags": args.write_tags}
    flags = [flag for flag, value in local.items() if value]
    if flags and (far := next(filter(is_address, names), "")):
        raise UsageError(f"{flags[0]} is for recordings on this machine, not for {far}")
    if kind and len(names) > 1 and not kind.many and not args.out_dir:
        form = next(name for name in FORMATS if formats.writer(name) is kind)
        raise UsageError(f"--format {form} holds one recording, and there are {len(names)}; add --out-dir FOLDER")
    if args.plot and (len(names) != 1 or names[0] == "-"):
        raise UsageError(f"--plot draws one recording from a file, and there are {len(names)}")
    if names.count("-") > 1:
        raise UsageError("standard input (-) can be read once")
    if args.out_dir and "-" in names:
        raise UsageError("--out-dir names results after files; standard input (-) has no name")


def _output(kind: type[Writer] | None, run: Run, paths: list[str]) -> Output:
    from ..results.output import Folder, Stream

    args, labels = run.args, run.recogniser.labels
    if kind is None:
        from ..results.resumable_table import Collection, Table

        kept = Collection(args.out, resume=args.resume, overwrite=args.overwrite)
        return Table(kept, run.how, [label.id for label in labels], retry=args.retry, tell=say)

    look = {}
    if args.format in (None, "text") and not args.out and not args.out_dir and sys.stdout.isatty():
        from ..results.terminal import Look

        look = {"look": Look.of(sys.stdout)}
    writer = kind(labels, args.lang, **look)
    writer.frames = args.frames
    if args.out_dir:
        return Folder(args.out_dir, writer, paths, resume=args.resume, overwrite=args.overwrite, tell=say)
    return Stream(writer, args.out, tell=say)


class Run:
    """The predictions of one call, and what is done with each beside writing it."""

    def __init__(self, recogniser: Recogniser, args: Namespace) -> None:
        """Take the model and the command's arguments."""
        self.recogniser, self.args = recogniser, args
        duration = None if args.end is None else args.end - args.start
        self.part = {"start": args.start, "duration": duration, "track": args.track, "strict": args.strict}
        self.failed = 0
        self._read = 0
        self._found: Counter[str] = Counter()  # recordings by label, and by ?label where it may play
        self._nothing: Counter[str] = Counter()  # those in which nothing plays: none, or silent
        self.kept: list[Result] = []  # for the report

    @property
    def how(self) -> str:
        """What recordings are marked with: the model, its thresholds, and the part of each recording."""
        from ..results.resumable_table import how

        return how(self.recogniser.fingerprint, **self.part)

    def results(self, names: Sequence[str], *, shown: bool = False) -> Iterator[Result]:
        """Yield a result for each name; print failures, draw, tag. shown: show progress."""
        from ..inference.prediction import Failure

        with self._progress(names) if shown else contextlib.nullcontext() as bar:
            for number_done, result in enumerate(self._predicted(names), 1):
                if isinstance(result, Failure):
                    self.failed += 1
                    warn(f"{result.path}: {result.error}")
                else:
                    self._read += 1
                    self._found.update([*result.playing, *(f"?{label}" for label in result.maybe)])
                    self._nothing.update([] if result.playing else ["silent" if result.silent else "none"])
                    self._beside(result)
                if self.args.report:
                    self.kept.append(result)
                yield result
                if bar and len(names) > 1:
                    bar(number_done, len(names))

    def _progress(self, names: Sequence[str]) -> Progress:
        """Return the progress over recordings, or over the seconds of one alone whose length is known."""
        if len(names) != 1:
            return Progress("Predicting", "recordings")
        from ..audio.opening import probe
        from ..storage.address import is_address

        bar, total = Progress("Predicting", "seconds"), None
        with contextlib.suppress(WhoplaysError, OSError):  # which are reported where it is read
            total = probe(names[0]).duration if names[0] != "-" and not is_address(names[0]) else None
        if total:
            length = min(total - self.args.start, self.part["duration"] or total)
            rate = self.recogniser.config.features.sample_rate
            self.recogniser.on_window = lambda window: bar(round(min(window.last / rate, length)), round(length))
        return bar

    def _predicted(self, names: Sequence[str]) -> Iterator[Result]:
        args = self.args
        if not args.cluster:
            from ..inference.batch import predict_files

            yield from predict_files(self.recogniser, names, jobs=args.jobs, **self.part)
        elif names:
            from ..cluster import Cluster
            from ..cluster.predict import predict_files as predict_on_cluster

            with Cluster(args.cluster, jobs=args.jobs) as engine:
                threshold = threshold_of(args.threshold)
                yield from predict_on_cluster(engine, args.model, names, threshold=threshold, **self.part)

    def _beside(self, result: Prediction) -> None:
        args = self.args
        if args.plot:
            from ..results.plot import draw_recording

            draw_recording(result, self.recogniser.config, args.plot, track=args.track, lang=args.lang)
            say(f"Plot in {args.plot}")
        if args.write_tags and result.path != "-":
            self._tag(result)

    def _tag(self, result: Prediction) -> bool:
        """Write the result into the recording's tags; return whether that could be done."""
        from ..results import tags

        try:
            if note := tags.write(Path(result.path), result):
                warn(note)
        except WhoplaysError as error:
            self.failed += 1
            warn(str(error))
            return False
        return True

    def tag_earlier(self, result: Result) -> bool:
        """Tag a recording with a result of an earlier run, if its tags do not have it yet; return whether it was tagged."""
        from ..inference.prediction import Failure
        from ..results import tags

        if isinstance(result, Failure) or tags.is_written(Path(result.path), result):
            return False
        return self._tag(result)

    def watch(self, output: Output, given: list[str], names: list[str]) -> None:
        """Predict what is added to the folders, until Ctrl-C."""
        from ..results.resumable_table import marks, watch

        known = set(names)
        done = {n: mark for n, mark in marks(given, self.how).items() if n in known and output.is_done(n, mark)}
        output.save()
        say("Watching; Ctrl-C stops")
        try:
            for ready in watch(given, done, every_s=self.args.every, how=self.how):
                output.add(self.results(ready))
        except KeyboardInterrupt:
            warn("stopped watching")

    def finish(self, total: int, reported: Sequence[Result]) -> None:
        """Write the report, and sum failures up."""
        args = self.args
        if args.report and total and self.failed == total:
            warn(f"{args.report}: not written, because no recording could be used")
        elif args.report:
            from ..results.html import write

            write(args.report, reported, self.recogniser, lang=args.lang, start=args.start, why=args.why)
            say(f"Report in {args.report}")
        if self._read > 1:
            say(self._summary())
        if self.failed and total > 1:
            warn(f"{self.failed} of {total} recordings could not be used")

    def _summary(self) -> str:
        """Return how many of the recordings that were read now have what: families by frequency, with their instruments."""
        from ..taxonomy.messages import speaker
        from ..taxonomy.tree import Tree

        tree, found, lang = Tree(self.recogniser.labels), self._found, self.args.lang
        words = speaker("summary", lang)

        def counted(label: Label) -> str:
            inner = [f"{one.name(lang)} {found[one.id]}" for one in tree.instruments(label.id) if found[one.id]]
            inner += [words("maybe", count=found[f"?{label.id}"])] if found[f"?{label.id}"] else []
            extra = f" ({', '.join(inner)})" if inner else ""
            return f"{label.name(lang)}{f' {found[label.id]}' if found[label.id] else ''}{extra}"

        seen = [label for label in tree.families if found[label.id] or found[f"?{label.id}"]]
        parts = [counted(label) for label in sorted(seen, key=lambda label: -found[label.id])]
        parts += [words(kind, count=count) for kind, count in sorted(self._nothing.items())]
        return words("title", count=self._read, found=", ".join(parts))
