"""A file's bytes come in; the streams it is made of go out, each of which a decoder can be given for itself.

Headers are read, page headers and frame headers, never samples. This finds what decoders pass over: a second stream
behind the first, a length that the header lacks or has wrong, bytes that are damaged.
"""

from __future__ import annotations

from importlib import import_module

from .content import Content
from .parts import ASF, EBML, VOC, W64, Part

MOST_PARTS = 10_000

#: how a stream begins -> the module and function that read its kind: a recording loads that of its own kind alone
_BEHIND_TAG = {b"fLaC": "flac.walk", b"OggS": "ogg.walk", b"TTA1": "objects.end_of_tta"}
_BY_BEGINNING = {
    **_BEHIND_TAG,
    W64: "riff.walk_w64",
    b"caff": "riff.walk_caf",
    b".snd": "riff.walk_au",
    EBML: "objects.end_of_matroska",
    ASF: "objects.end_of_asf",
    b"#!AMR": "objects.end_of_amr",
    b"wvpk": "objects.end_of_wavpack",
    b"FLV\1": "objects.end_of_flv",
    b"DSD ": "objects.end_of_dsf",
    VOC: "objects.end_of_voc",
}


def parts_of(content: Content) -> list[Part]:
    """Return the streams of a file in the order of time; one that is the whole file where nothing more is known.

    Raises `ReadError`.
    """
    found: list[Part] = []
    at = 0
    while at < content.size and len(found) < MOST_PARTS and (kind := _kind(content, at)):
        module, function = kind.split(".")
        read = getattr(import_module(f".{module}", __package__), function)(content, at)
        parts, end = (
            ([Part((((at, read),),))], read) if module == "objects" else read
        )  # objects.py returns the end alone
        if not parts or end <= at:
            break
        found += parts
        at = end
    return found or [Part((((0, content.size),),))]


def _kind(content: Content, at: int) -> str:
    """Return what reads the kind of stream that begins at a position, "" for a kind that is left to the decoders."""
    head = content.at(at, 20)
    for beginning, walk in _BY_BEGINNING.items():
        if head.startswith(beginning):
            return walk
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64"):
        return "riff.walk_wav" if head[8:12] == b"WAVE" else "objects.end_of_riff"
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return "riff.walk_aiff"
    if head[4:8] == b"ftyp":
        return "objects.end_of_mp4"
    from . import adts, mpeg

    if head[:3] == b"ID3":
        begin = mpeg.end_of_tag(content, at)
        return "adts.walk" if adts.is_frame(content, begin) else _BEHIND_TAG.get(content.at(begin, 4), "mpeg.walk")
    if adts.is_frame(content, at):
        return "adts.walk"
    return "mpeg.walk" if mpeg.is_frame(content, at) else ""
