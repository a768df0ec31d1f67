"""A file's bytes come in; the streams it is made of go out, each of which a decoder can be given for itself.

Headers are read, page headers and frame headers, never samples. This finds what decoders pass over: a second stream
behind the first, a length that the header does not tell or tells wrongly, bytes that are damaged.
"""

from __future__ import annotations

from collections.abc import Callable

from . import adts, flac, mpeg, objects, ogg, riff
from .content import Content
from .parts import Part

MOST_PARTS = 10_000

Walk = Callable[[Content, int], tuple[list[Part], int]]


def parts_of(content: Content) -> list[Part]:
    """Return the streams of a file in the order of time; one that is the whole file where nothing more is known.

    Raises `ReadError`.
    """
    found: list[Part] = []
    at = 0
    while at < content.size and len(found) < MOST_PARTS and (walk := _walk_for(content, at)):
        parts, end = walk(content, at)
        if not parts or end <= at:
            break
        found += parts
        at = end
    return found or [Part((((0, content.size),),))]


def _walk_for(content: Content, at: int) -> Walk | None:
    """Return what reads the kind of stream that begins at a position, None for a kind that is left to the decoders."""
    head = content.at(at, 16)
    if head[:4] == b"fLaC":
        return flac.walk
    if head[:4] == b"OggS":
        return ogg.walk
    if head[:3] == b"ID3":
        begin = mpeg.end_of_tag(content, at)
        if adts.is_frame(content, begin):
            return adts.walk
        return {b"fLaC": flac.walk, b"OggS": ogg.walk}.get(content.at(begin, 4), mpeg.walk)
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64"):
        return riff.walk_wav if content.at(at + 8, 4) == b"WAVE" else objects.walk_riff
    if head[:16] == riff.W64:
        return riff.walk_w64
    if head[:4] == b"FORM" and content.at(at + 8, 4) in (b"AIFF", b"AIFC"):
        return riff.walk_aiff
    if head[:4] == b"caff":
        return riff.walk_caf
    if head[:4] == b".snd":
        return riff.walk_au
    if head[4:8] == b"ftyp":
        return objects.walk_mp4
    if head[:4] == objects.EBML:
        return objects.walk_matroska
    if head[:16] == objects.ASF:
        return objects.walk_asf
    if head[:5] == b"#!AMR":
        return objects.walk_amr
    if adts.is_frame(content, at):
        return adts.walk
    return mpeg.walk if mpeg.is_frame(content, at) else None
