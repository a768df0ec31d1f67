"""Containers of boxes, elements or objects with sizes (MP4, Matroska, ASF, AVI, AMR): whether a second file follows the first.

Nothing inside them is read here: FFmpeg does that.
"""

from __future__ import annotations

from .content import Content
from .parts import Part

EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT = b"\x18\x53\x80\x67"
ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_MOST = 100_000  # boxes that are looked at: fragmented files have one or two a second


def walk_mp4(content: Content, begin: int) -> tuple[list[Part], int]:
    """Return the MP4 at a position, and where it ends: at the next `ftyp` behind samples."""
    at, full = begin, False
    for _ in range(_MOST):
        head = content.at(at, 16)
        size = int.from_bytes(head[:4], "big")
        size = int.from_bytes(head[8:16], "big") if size == 1 else size
        if size < 8 or at + size > content.size:
            break
        if head[4:8] == b"ftyp" and full:
            return _until(content, begin, at)
        full = full or head[4:8] == b"mdat"
        at += size
    return _until(content, begin, content.size)


def walk_riff(content: Content, begin: int) -> tuple[list[Part], int]:
    """Return the AVI (or whatever RIFF) at a position, and where it ends; AVIX lists go on with it."""
    at = begin
    while content.at(at, 4) == b"RIFF" and (at == begin or content.at(at + 8, 4) == b"AVIX"):
        size = int.from_bytes(content.at(at + 4, 4), "little")
        at += 8 + size + size % 2
    return _until(content, begin, at if content.at(at, 4) == b"RIFF" else content.size)


def walk_matroska(content: Content, begin: int) -> tuple[list[Part], int]:
    """Return the Matroska or WebM at a position, and where it ends."""
    at = begin
    for kind in (EBML, _SEGMENT):
        if content.at(at, 4) != kind or (size := _vint(content.at(at + 4, 8))) is None:
            return _until(content, begin, content.size)
        at += 4 + size[1] + size[0]
    return _until(content, begin, at if content.at(at, 4) == EBML else content.size)


def _vint(data: bytes) -> tuple[int, int] | None:
    """Return an EBML size and how many bytes it takes, None for an unknown one."""
    if not data or not data[0]:
        return None
    width = 9 - data[0].bit_length()
    value = int.from_bytes(data[:width], "big") & (1 << 7 * width) - 1
    return None if value == (1 << 7 * width) - 1 else (value, width)


def walk_asf(content: Content, begin: int) -> tuple[list[Part], int]:
    """Return the ASF (WMA, WMV) at a position, and where it ends."""
    at = begin
    for _ in range(_MOST):
        head = content.at(at, 24)
        if at > begin and head[:16] == ASF:
            return _until(content, begin, at)
        size = int.from_bytes(head[16:24], "little")
        if size < 24 or at + size > content.size:
            break
        at += size
    return _until(content, begin, content.size)


def walk_amr(content: Content, begin: int) -> tuple[list[Part], int]:
    """Return the AMR file at a position, and where it ends: at the next mark of one."""
    following = next((at for at in content.find_all(b"#!AMR", begin + 5)), content.size)
    return _until(content, begin, following)


def _until(content: Content, begin: int, end: int) -> tuple[list[Part], int]:
    return [Part((((begin, end),),), "any")], end
