"""`whoplays export`."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from ..errors import UsageError
from .options import model_of
from .output import say
from .parser import Parser


def add(parser: Parser) -> None:
    """Add the arguments of `export`."""
    parser.set_defaults(run=_export)
    parser.example = "whoplays export model -o model.onnx"
    parser.more = "The ONNX file ends in probabilities, and is compared with the model before it is kept."
    option = parser.group()
    option("MODEL", "Model folder; default: the model inside the package", type=Path)
    option("-o --out FILE.onnx", "File to write; with --int8, the model folder", type=Path, required=True)
    option("--int8", "Write a model folder in 8-bit integers (INT8): a quarter of the size")
    option("--like FOLDER", "With --int8: recordings like those it is for", type=Path)


def _export(args: Namespace) -> None:
    from ..training import export

    if args.int8:
        from ..training.quantise import quantise

        facts = quantise(model_of(args.model), args.out, args.like)
        say(f"{facts['model']}: {facts['bytes']:,} bytes in {args.out} ({facts['bytes_before']:,} before)")
        say(f"Its scores differ by at most {facts['difference']:.2f} on the windows that the ranges were taken from.")
        return
    if args.like is not None:
        raise UsageError("--like is for --int8: its recordings set the ranges of the integers")
    facts = export.export(model_of(args.model), args.out)
    frames = facts["frames"] or "any number of"
    say(f"{facts['model']}: {facts['bytes']:,} bytes in {args.out}")
    say(f"Reads features (batch, {frames} frames, values), gives probabilities (batch, labels).")
    say(f"Checked at batch sizes 1 and 5: differs from the model folder by at most {facts['difference']:.1e}.")
