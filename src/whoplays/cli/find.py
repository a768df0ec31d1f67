"""`whoplays find`."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import AudioError, UsageError, printable
from .options import add_format, share
from .output import say, warn
from .parser import Parser, number, whole

SCHEMA = 1  # version of --format jsonl: results/schemas/find.json

if TYPE_CHECKING:
    from ..inference.prediction import Prediction
    from ..results.spans import Spans
    from ..taxonomy.messages import Say


def add(parser: Parser) -> None:
    """Add the arguments of `find`."""
    parser.set_defaults(run=_find)
    parser.example = 'whoplays find results.parquet "strings and not drums" --playlist strings.m3u8'
    parser.more = (
        'An expression names labels with and, or, not and parentheses; "only piano"; "drums > 0.8"; "guitar.share > 0.5"; '
        '"guitar alone >= 10" and "guitar and drums together >= 20" (seconds); "maybe(brass)"; \'path "live*"\'.'
        " The best match comes first."
    )
    option = parser.group()
    option("RESULTS", "Table of predict --out: .parquet, .csv or .jsonl", type=Path)
    option("EXPRESSION", "What to search for")
    option("--playlist FILE.m3u8", "Also write the result as a playlist", type=Path)
    option("--overwrite", "Replace the playlist even if nothing is found, and files in --cut")
    add_format(option, "paths", "jsonl")
    option("--times", "Also print when it is true; a playlist then plays those times alone")
    option("--cut FOLDER", "Write the times at which it is true as FLAC, sample by sample", type=Path)
    option("--fade S", "Seconds of fade in and out of what is cut", type=number(), default=0.0)
    option("-n --count N", "Maximum number of recordings; 0 for all", type=whole(), default=0)
    share(option, "lang")


def _find(args: Namespace) -> int:
    """Return the exit status: 1 when a recording could not be cut."""
    from ..inference.prediction import Prediction
    from ..results import query, table
    from ..results.expressions import never
    from ..storage.files import write_atomically
    from ..storage.streams import standard_output
    from ..taxonomy.catalogue import catalogue
    from ..taxonomy.messages import speaker, translated

    results, playlist, words = args.results, args.playlist, speaker("find", args.lang)
    if playlist and playlist.suffix.lower() not in (".m3u8", ".m3u"):
        raise UsageError(f"--playlist {playlist}: name it *.m3u8")
    if args.fade and not args.cut:
        raise UsageError("--fade goes with --cut FOLDER")
    predictions = [Prediction.from_dict(row) for row in table.read(results) if "error" not in row]
    labels = list(dict.fromkeys(label for p in predictions for label in p.scores))
    if not predictions:
        raise UsageError(f"{results}: has no recording with scores")
    parents = catalogue().parents(labels)
    wanted = query.parse(args.expression, labels, parents)
    with_times = args.times or args.cut or any(part.timed for part in wanted.parts_within())
    if results.suffix.lower() == ".csv" and (with_times or args.format == "jsonl"):
        raise UsageError(f"{results}: a .csv table holds no times; write .parquet or .jsonl")
    if why := never(wanted, parents):
        warn(words("cannot_match", expression=repr(args.expression), why=translated(why, args.lang, "never")))
    found = query.find(predictions, wanted)
    shown = found[: args.count] if args.count else found
    planned = []
    if args.cut:
        from ..results import cut

        planned = cut.plan(args.cut, [(p.path, wanted.spans(p)) for _, p in shown], overwrite=args.overwrite)
    standard_output()
    for rank, prediction in shown:
        _print(rank, prediction, wanted.spans(prediction) if args.times or args.format == "jsonl" else [], args, words)
    if playlist:
        content = query.playlist(shown, playlist.parent, wanted.spans if args.times else None)
        if content.count("\n") == 1 and playlist.exists() and not args.overwrite:  # it would be empty
            say(words("playlist_kept", path=playlist))
        else:
            write_atomically(playlist, content.encode("utf-8", "surrogateescape"))
            say(words("written", path=playlist))
    say(words("count", found=len(found), all=len(predictions)))
    return _cut(planned, args, words) if args.cut else 0


def _print(rank: float, prediction: Prediction, spans: Spans, args: Namespace, words: Say) -> None:
    from ..results.formats.base import span
    from ..results.formats.data import to_json

    if args.format == "jsonl":
        values: dict[str, Any] = {"path": prediction.path, "rank": round(rank, 6), "playing": list(prediction.playing)}
        times = [{"start": round(start, 3), "end": round(end, 3)} for start, end in spans]
        print(to_json({**values, "duration": prediction.duration, "times": times, "schema": SCHEMA}))
        return
    if args.format == "paths":
        print(prediction.path)
    else:
        by_score = sorted(prediction.playing, key=lambda label: -prediction.scores[label])
        who = ", ".join(f"{label} {prediction.scores[label]:.2f}" for label in by_score)
        who = who or words("silent" if prediction.silent else "nothing_plays")
        print(f"{rank:.2f}  {printable(prediction.path)}  {who}")
    if args.times:
        print(f"      {', '.join(span(start, end) for start, end in spans) or words('never_together')}")


def _cut(planned: list[tuple[str, float, float, Path]], args: Namespace, words: Say) -> int:
    from ..results import cut

    failed: set[str] = set()
    written = 0
    for path, start, end, file in planned:
        if path in failed:
            continue
        try:
            cut.write(path, start, end, file, fade_s=args.fade)
        except AudioError as error:
            failed.add(path)
            warn(f"{path}: {error}")
            continue
        written += 1
    say(words("files_written", path=args.cut, count=written))
    return 1 if failed else 0
