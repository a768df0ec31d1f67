"""FLAC: streams that follow each other, and whether the length in STREAMINFO is that of the last frame (RFC 9639)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from .content import Content
from .parts import Part

#: Bytes before the end in which the last frame begins, where the header does not say how large one may be.
_TAIL = 1 << 17
#: Samples of a frame, by the code for them; 0: stated elsewhere.
_BLOCKS = (0, 192, 576, 1152, 2304, 4608, 0, 0, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)


@dataclass(frozen=True)
class _Info:
    rate: int
    total: int  # samples; 0: unknown
    block: int
    largest: int  # bytes of a frame; 0: unknown


def walk(content: Content, begin: int) -> tuple[list[Part], int]:
    """Return the streams from a position on, and the end of the file: all that follows is looked through for streams."""
    found = [(at, info) for at in content.find_all(b"fLaC", begin) if (info := _info(content, at))]
    if not found:
        return [], begin
    borders = [begin, *(at for at, _ in found[1:]), content.size]
    parts = []
    for (first, end), (_, info) in zip(pairwise(borders), found, strict=True):
        last = _last_sample(content, first, end, info)
        claimed = max(last, info.total) / info.rate if last or info.total else None
        parts.append(Part((((first, end),),), "any" if last == info.total else "ffmpeg", claimed))
    return parts, content.size


def _info(content: Content, at: int) -> _Info | None:
    """Return the fields of STREAMINFO, None where a position holds the beginning of no stream."""
    head = content.at(at, 42)
    if len(head) < 42 or head[4] & 0x7F or head[5:8] != b"\0\0\x22":
        return None
    smallest, block = int.from_bytes(head[8:10], "big"), int.from_bytes(head[10:12], "big")
    numbers = int.from_bytes(head[18:26], "big")
    rate = numbers >> 44
    if not 16 <= smallest <= block or not rate:
        return None
    return _Info(rate, numbers & (1 << 36) - 1, block if smallest == block else 0, int.from_bytes(head[15:18], "big"))


def _last_sample(content: Content, begin: int, end: int, info: _Info) -> int:
    """Return how many samples there are to the end of the last frame, 0 where none is found."""
    first = max(begin, end - (info.largest + 4096 if info.largest else _TAIL))
    tail = content.read(first, end - first)
    at = len(tail)
    last = 0
    while (at := tail.rfind(b"\xff", 0, at)) >= 0:
        reached = sum(_frame(tail[at : at + 16], info.block))
        if reached == info.total:
            return reached
        last = last or reached
    return last


def first_sample(head: bytes, streaminfo: bytes) -> int | None:
    """Return the number of a frame's first sample, None for bytes that are no frame's header."""
    smallest, block = int.from_bytes(streaminfo[:2], "big"), int.from_bytes(streaminfo[2:4], "big")
    first, samples = _frame(head, block if smallest == block else 0)
    return first if samples else None


def _frame(head: bytes, size_of_block: int) -> tuple[int, int]:
    """Return the number of a frame's first sample and how many it has, 0 and 0 for bytes that are no frame's header.

    size_of_block: of the stream, 0 where its blocks differ in size.
    """
    none = 0, 0
    if len(head) < 6 or head[1] & 0xFE != 0xF8 or head[3] & 1 or head[3] >> 4 > 10:
        return none
    code, number, size = head[2] >> 4, head[4], 5
    if number & 0x80:  # coded as in UTF-8
        ones = 8 - (number ^ 0xFF).bit_length()
        if not 2 <= ones <= 7:
            return none
        number, size = number & 0x7F >> ones, 4 + ones
        for byte in head[5:size]:
            number = number << 6 | byte & 0x3F
    if code in (6, 7):
        block = int.from_bytes(head[size : size + code - 5], "big") + 1
        size += code - 5
    elif not (block := _BLOCKS[code]):
        return none
    size += {12: 1, 13: 2, 14: 2}.get(head[2] & 15, 0)
    if len(head) <= size or _crc8(head[:size]) != head[size]:
        return none
    return number if head[1] & 1 else number * (size_of_block or block), block


def _crc8(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc << 1 ^ 0x107 if crc & 0x80 else crc << 1
    return crc
