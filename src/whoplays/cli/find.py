"""`whoplays find`."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from ..errors import UsageError, printable
from .output import say
from .parser import Parser, whole


def add(parser: Parser) -> None:
    """Add the arguments of `find`."""
    parser.set_defaults(run=_find)
    parser.example = 'whoplays find results.parquet "strings and not drums" --playlist strings.m3u8'
    parser.more = (
        'An expression names labels with and, or, not and parentheses; "only piano"; "drums > 0.8"; "guitar.share > 0.5".'
        " The best match comes first."
    )
    parser.add_argument(
        "results", type=Path, metavar="RESULTS", help="Table of predict --out: .parquet, .csv or .jsonl"
    )
    parser.add_argument("expression", metavar="EXPRESSION", help="What to search for")
    parser.add_argument("--playlist", type=Path, metavar="FILE.m3u8", help="Also write the result as a playlist")
    parser.add_argument("--overwrite", action="store_true", help="Replace the playlist even if nothing is found")
    parser.add_argument("--paths", action="store_true", help="Print paths only, one a line")
    parser.add_argument("--limit", type=whole(), default=0, metavar="N", help="Maximum number of recordings; 0 for all")


def _find(args: Namespace) -> None:
    from ..inference.recogniser import Prediction
    from ..results import query, table
    from ..storage.files import write_atomically
    from ..storage.streams import standard_output
    from ..taxonomy.catalogue import catalogue

    results, playlist = args.results, args.playlist
    if playlist and playlist.suffix.lower() not in (".m3u8", ".m3u"):
        raise UsageError(f"--playlist {playlist}: name it *.m3u8")
    predictions = [Prediction.from_dict(row) for row in table.read(results) if "error" not in row]
    labels = list(dict.fromkeys(label for p in predictions for label in p.scores))
    if not predictions:
        raise UsageError(f"{results}: has no recording with scores")
    wanted = query.parse(args.expression, labels, catalogue().parents(labels))
    if results.suffix.lower() == ".csv" and ".share" in args.expression.lower():
        raise UsageError(f"{results}: a .csv table holds no times, so no shares; write .parquet or .jsonl")
    found = query.find(predictions, wanted)
    shown = found[: args.limit] if args.limit else found
    standard_output()
    for rank, prediction in shown:
        if args.paths:
            print(prediction.path)
            continue
        by_score = sorted(prediction.playing, key=lambda label: -prediction.scores[label])
        who = ", ".join(f"{label} {prediction.scores[label]:.2f}" for label in by_score)
        print(f"{rank:.2f}  {printable(prediction.path)}  {who or 'none'}")
    if playlist and not shown and playlist.exists() and not args.overwrite:
        say(f"{playlist} is unchanged, because nothing was found; --overwrite empties it")
    elif playlist:
        write_atomically(playlist, query.playlist(shown, playlist.parent).encode("utf-8", "surrogateescape"))
        say(f"Written to {playlist}")
    say(f"{len(found)} of {len(predictions)} recordings")
