"""Containers with sizes or marks (MP4, Matroska, ASF, AVI, WavPack, TTA, FLV ...): where one ends, and a second may follow.

Nothing inside them is read here: FFmpeg does that.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from .content import Content
from .mpeg import end_of_tag
from .parts import EBML, VOC, begins

_SEGMENT = b"\x18\x53\x80\x67"
_INITIAL = 1 << 11  # of a WavPack block's flags: the first channels of its samples
_MOST = 100_000  # boxes that are looked at: fragmented files have one or two a second


def end_of_mp4(content: Content, begin: int) -> int:
    """Return where the MP4 at a position ends: where behind its samples another file begins."""
    at, full = begin, False
    for _ in range(_MOST):
        head = content.at(at, 16)
        if full and begins(head):
            return at
        size = int.from_bytes(head[:4], "big")
        size = int.from_bytes(head[8:16], "big") if size == 1 else size
        if size < 8 or at + size > content.size:
            break
        full = full or head[4:8] == b"mdat"
        at += size
    return content.size


def end_of_riff(content: Content, begin: int) -> int:
    """Return where the AVI (or whatever RIFF) at a position ends; AVIX lists go on with it."""
    at = begin
    while content.at(at, 4) == b"RIFF" and (at == begin or content.at(at + 8, 4) == b"AVIX"):
        size = int.from_bytes(content.at(at + 4, 4), "little")
        at += 8 + size + size % 2
    return at if begins(content.at(at, 8)) else content.size


def end_of_matroska(content: Content, begin: int) -> int:
    """Return where the Matroska or WebM at a position ends."""
    at = begin
    for kind in (EBML, _SEGMENT):
        if content.at(at, 4) != kind or (size := _vint(content.at(at + 4, 8))) is None:
            return content.size
        at += 4 + size[1] + size[0]
    return at if begins(content.at(at, 8)) else content.size


def _vint(data: bytes) -> tuple[int, int] | None:
    """Return an EBML size and how many bytes it takes, None for an unknown one."""
    if not data or not data[0]:
        return None
    width = 9 - data[0].bit_length()
    value = int.from_bytes(data[:width], "big") & (1 << 7 * width) - 1
    return None if value == (1 << 7 * width) - 1 else (value, width)


def end_of_asf(content: Content, begin: int) -> int:
    """Return where the ASF (WMA, WMV) at a position ends."""
    at = begin
    for _ in range(_MOST):
        head = content.at(at, 24)
        if at > begin and begins(head):
            return at
        size = int.from_bytes(head[16:24], "little")
        if size < 24 or at + size > content.size:
            break
        at += size
    return content.size


def end_of_wavpack(content: Content, begin: int) -> int:
    """Return where the WavPack file at a position ends: at the next first block."""
    found, at = False, begin
    while len(head := content.at(at, 32)) == 32:
        size, index, samples, flags = struct.unpack_from("<I8xIII", head, 4)
        if head[:4] != b"wvpk":
            if found and begins(head):
                return at
            at = next(content.find_all(b"wvpk", at + 1), content.size)
            continue
        if samples and not index and flags & _INITIAL:
            if found:
                return at
            found = True
        at += 8 + size
    return content.size


def end_of_tta(content: Content, begin: int) -> int:
    """Return where the TTA file at a position ends: its table holds the size of each frame."""
    at = end_of_tag(content, begin) if content.at(begin, 3) == b"ID3" else begin
    rate, samples = struct.unpack("<II", content.at(at + 10, 8).ljust(8, b"\0"))
    frames = -(-samples * 245 // (256 * rate)) if rate else 0
    if not 0 < frames * 4 <= content.size:
        return content.size
    table = content.read(at + 22, 4 * frames)
    sizes: tuple[int, ...] = struct.unpack(f"<{len(table) // 4}I", table[: len(table) // 4 * 4])
    at += 22 + 4 * frames + 4 + sum(sizes)
    if begins(content.at(at, 8)):
        return at
    return next(content.find_all(b"TTA1", at), content.size)  # behind a tag


def end_of_dsf(content: Content, begin: int) -> int:
    """Return where the DSF file at a position ends."""
    at = begin + int.from_bytes(content.at(begin + 12, 8), "little")
    return at if at > begin and begins(content.at(at, 8)) else content.size


def _end_at(mark: bytes) -> Callable[[Content, int], int]:
    """Return what finds where the file at a position ends: at the next mark of one."""
    return lambda content, begin: next(content.find_all(mark, begin + len(mark)), content.size)


end_of_amr = _end_at(b"#!AMR")
end_of_voc = _end_at(VOC)
end_of_flv = _end_at(b"FLV\1")
