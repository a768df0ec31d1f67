"""`whoplays embed` and `whoplays similar`."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import AudioError, UsageError, WhoplaysError, printable
from ..taxonomy.messages import Say, speaker
from .options import add_format, share
from .output import Progress, say, warn
from .parser import Parser, whole
from .recordings import add_continuing, check_continuing, found_in, given, recogniser_of

if TYPE_CHECKING:
    from ..inference.recogniser import Recogniser
    from ..results.embedding_table import Embeddings
    from ..results.similar import Match


def add_embed(parser: Parser) -> None:
    """Add the arguments of `embed`."""
    parser.set_defaults(run=_embed)
    parser.example = "whoplays embed folder/with/recordings -o embeddings.npz"
    parser.more = "Then: whoplays similar embeddings.npz song.mp3"
    option = parser.group()
    option("[PATH...]", "Recordings, folders or patterns (*.wav)")
    share(option, "list")
    option("-o --out FILE", "Table to write: .npz or .parquet", type=Path, required=True)
    option("--over-time", "Also keep an embedding for each step, about three a second")
    add_continuing(option, "the table")
    share(option, "model", "device", "jobs", "lang")


def add_similar(parser: Parser) -> None:
    """Add the arguments of `similar`."""
    parser.set_defaults(run=_similar)
    parser.example = "whoplays similar embeddings.npz song.mp3 --count 20"
    parser.more = "What is silent is similar to nothing. Embeddings of different networks cannot be compared."
    option = parser.group()
    option("TABLE", "Table of whoplays embed: .npz or .parquet", type=Path)
    option("[PATH]", "Recording to compare with, in the table or not")
    option("--by WHAT", "Compare the sound, or who plays", choices=("sound", "players"), default="sound")
    option("-n --count N", "Maximum number of recordings", type=whole(1), default=10)
    option("--duplicates", "Find files that hold one recording, in other encodings too")
    add_format(option, "paths", "jsonl")
    share(option, "model", "device", "lang")


def _embed(args: Namespace) -> int:
    """Return the exit status: 1 when a recording could not be used."""
    from ..inference import batch
    from ..inference.prediction import Failure
    from ..results import embedding_table
    from ..results.resumable_table import Collection, Table, how
    from ..storage.files import check_output

    check_continuing(args)
    embedding_table.check(args.out)
    names, problems = found_in(given(args, "embed"))
    if "-" in names:
        raise UsageError("standard input (-) has no name that a table could know it by; name a file")
    check_output(args.out, overwrite=args.overwrite or args.resume, instead="--resume adds to it")
    recogniser = _recogniser(args)
    if args.resume and args.out.exists() and args.out.stat().st_size:
        before = embedding_table.load(args.out)
        if before.width:
            before.require(recogniser, args.out)
    labels = [label.id for label in recogniser.labels]
    mark = how(f"{recogniser.fingerprint}{' over time' * args.over_time}", 0.0, None)
    failed = 0
    kept = Collection(args.out, resume=args.resume, overwrite=args.overwrite, kind=embedding_table.EMBEDDINGS)
    with Table(kept, mark, labels, retry=args.retry, tell=say) as output:
        todo = output.todo(names)

        def rows() -> Iterator[dict[str, Any]]:
            nonlocal failed
            with Progress("Embedding", "recordings") as bar:
                found = batch.predict_files(recogniser, todo, jobs=args.jobs, embed=True)
                for done, result in enumerate(found, 1):
                    if isinstance(result, Failure):
                        failed += 1
                        warn(f"{result.path}: {result.error}")
                        yield result.to_dict()
                    else:
                        yield embedding_table.row_of(result, recogniser.network_checksum, over_time=args.over_time)
                    bar(done, len(todo))

        output.keep(rows())
    if failed and len(todo) > 1:
        warn(speaker("embed", args.lang)("failed", failed=failed, all=len(todo)))
    return 1 if failed or problems else 0


def _recogniser(args: Namespace) -> Recogniser:
    found = recogniser_of(args, args.model)
    if not found.embedding_width:
        raise UsageError(f"the model {found.config.id} has no embedding; use a model of the recipe default")
    return found


def _similar(args: Namespace) -> int:
    """Return the exit status: 1 when a recording could not be read."""
    from ..results import embedding_table
    from ..storage.streams import standard_output

    if args.duplicates == bool(args.path):
        raise UsageError("give a PATH to compare with, or --duplicates")
    table, words = embedding_table.load(args.table), speaker("similar", args.lang)
    standard_output()
    if args.duplicates:
        return _duplicates(table, args, words)
    row = _row_of(table, args.path)
    if row is not None:
        embedding, scores = table.embedding[row], table.scores[row]
        if error := str(table.error[row]):
            raise WhoplaysError(f"{args.path}: {error}")
    else:
        embedding, scores = _queried(table, args)
    if not embedding.any():
        raise WhoplaysError(words("silent", path=args.path))
    from ..results import similar

    if args.by == "sound":
        found = similar.by_sound(table, embedding, args.count, leave_out=row)
    else:
        found = similar.by_players(table, scores, args.count, leave_out=row)
    for match in found:
        _print(table, match, args, words)
    say(words("count", found=len(found), all=len(table.path)))
    return 0


def _row_of(table: Embeddings, path: str) -> int | None:
    """Return the row of a recording that the table holds."""
    named = (table.path == path).nonzero()[0].tolist()
    if not named:
        absolute = os.path.abspath  # links are not followed
        same_name = (i for i, one in enumerate(table.path.tolist()) if one.endswith(Path(path).name))
        named = [i for i in same_name if absolute(str(table.path[i])) == absolute(path)]
    return named[0] if named else None


def _queried(table: Embeddings, args: Namespace) -> Any:
    recogniser = _recogniser(args)
    table.require(recogniser, args.table)
    try:
        prediction = recogniser.predict(args.path, embed=True)
    except AudioError as error:
        raise WhoplaysError(f"{args.path}: {error.problem}") from None
    import numpy as np

    scores = np.array([prediction.scores.get(label, 0.0) for label in table.labels], np.float32)
    return prediction.embedding, scores


def _print(table: Embeddings, match: Match, args: Namespace, words: Say) -> None:
    from ..results.formats.base import clock
    from ..results.formats.data import to_json

    path = str(table.path[match.row])
    if args.format == "jsonl":
        start = {} if match.start is None else {"start": match.start}
        print(to_json({"path": path, "similarity": match.similarity, "by": args.by, **start, "schema": 1}))
    elif args.format == "paths":
        print(path)
    else:
        when = "" if match.start is None else words("at", time=clock(match.start))
        print(f"{match.similarity:.2f}  {printable(path)}  {when}".rstrip())


def _duplicates(table: Embeddings, args: Namespace, words: Say) -> int:
    from ..results import similar
    from ..results.formats.data import to_json

    problems: dict[str, str] = {}
    groups = files = 0
    for group in similar.duplicates(table, problems.setdefault):
        groups, files = groups + 1, files + len(group)
        paths = [str(table.path[copy.row]) for copy in group]
        if args.format == "jsonl":
            copies = [
                {"path": path, "correlation": copy.correlation, "offset": copy.offset_s}
                for path, copy in zip(paths, group, strict=True)
            ]
            print(to_json({"copies": copies, "schema": 1}))
            continue
        if groups > 1:
            print()
        for path, copy in zip(paths, group, strict=True):
            shifted = f"{copy.correlation:.2f}  {printable(path)}  {_shifted(copy.offset_s, words)}".rstrip()
            print(path if args.format == "paths" else shifted)
    for path, why in problems.items():
        warn(f"{path}: {why}")
    say(words(("no_copies", "one_copied")[groups] if groups < 2 else "copies", files=files, groups=groups))
    return 1 if problems else 0


def _shifted(offset_s: float, words: Say) -> str:
    if abs(offset_s) < 0.05:
        return ""
    return words("later" if offset_s < 0 else "earlier", seconds=f"{abs(offset_s):.2f}")
