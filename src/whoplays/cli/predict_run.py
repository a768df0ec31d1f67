"""The predictions of one call of `whoplays predict`, and what is done with each beside writing it."""

from __future__ import annotations

import contextlib
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import WhoplaysError
from ..taxonomy.messages import speaker
from ..taxonomy.tree import Label, Tree
from .options import threshold_of
from .output import Progress, say, warn

if TYPE_CHECKING:
    from ..inference.prediction import Prediction, Result
    from ..inference.recogniser import Recogniser
    from ..results.output import Output


class Run:
    """The predictions of one call, and what is done with each beside writing it."""

    def __init__(self, recogniser: Recogniser, args: Namespace) -> None:
        """Take the model and the command's arguments."""
        self.recogniser, self.args = recogniser, args
        self.duration = None if args.end is None else args.end - args.start
        self.part: dict[str, Any] = {"start": args.start, "duration": self.duration, "track": args.track}
        self.failed = 0
        self._read = 0
        self._found: Counter[str] = Counter()  # recordings by label, and by ?label where it may play
        self._nothing: Counter[str] = Counter()  # those in which nothing plays: none, or silent
        self.kept: list[Result] = []  # for the report

    @property
    def how(self) -> str:
        """What recordings are marked with: the model, its thresholds, and the part of each recording."""
        from ..results.resumable_table import how

        return how(self.recogniser.fingerprint, **self.part, strict=self.args.strict)

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
        with contextlib.suppress(WhoplaysError, OSError):  # which are told of where it is read
            total = probe(names[0]).duration if names[0] != "-" and not is_address(names[0]) else None
        if total:
            length = min(total - self.args.start, self.duration or total)
            rate = self.recogniser.config.features.sample_rate
            self.recogniser.on_window = lambda window: bar(round(min(window.last / rate, length)), round(length))
        return bar

    def _predicted(self, names: Sequence[str]) -> Iterator[Result]:
        args = self.args
        part = self.part | {"strict": args.strict}
        if not args.cluster:
            from ..inference.batch import predict_files

            yield from predict_files(self.recogniser, names, jobs=args.jobs, **part)
        elif names:
            from ..cluster import Cluster
            from ..cluster.predict import predict_files as predict_on_cluster

            with Cluster(args.cluster, jobs=args.jobs) as engine:
                yield from predict_on_cluster(engine, args.model, names, threshold=threshold_of(args.threshold), **part)

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
