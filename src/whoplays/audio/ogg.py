"""Ogg page by page (RFC 3533): where chained streams begin, and which pages are damaged or missing.

Decoders read the first of several chained streams, or go on over lost pages as if nothing had been there. Here each
stream becomes a part, and each run of intact pages, behind the stream's headers, something that can be decoded for
itself: its pages tell its times.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from itertools import pairwise

from .content import Content
from .parts import Part, Pieces

_HEADER = 27
_BEGINS, _ENDS = 2, 4  # flags of a page
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
#: what a stream's first packet begins with -> packets of headers, and where the sample rate lies (None: it is 48 kHz)
_CODECS = {b"\x01vorbis": (3, 12), b"OpusHead": (2, None), b"Speex   ": (2, 36), b"\x7fFLAC": (2, None)}


@dataclass(frozen=True)
class _Page:
    begin: int
    end: int
    flags: int
    granule: int
    serial: int
    number: int
    packets: int  # that end in it
    first: bytes


def walk(content: Content, begin: int) -> tuple[list[Part], int]:
    """Return the streams from a position on, and the end of the file: all that follows is looked through for pages."""
    links: list[list[_Page]] = []
    at = begin
    while (at := content.next_of((b"OggS",), at)) < content.size:
        if (page := _page(content, at)) is None:
            at += 1
            continue
        at = page.end
        begins = bool(page.flags & _BEGINS)
        if begins and not (links and links[-1][-1].flags & _BEGINS):
            links.append([])
        if not links:  # the end of a stream whose beginning is not here
            continue
        links[-1].append(page)
    return [_part(content, begin, link, links) for link in links], content.size


def _page(content: Content, at: int) -> _Page | None:
    """Return the page at a position, None where it is not whole or its checksum is wrong."""
    head = content.at(at, _HEADER)
    if len(head) < _HEADER or head[4]:
        return None
    flags, granule, serial, number, checksum, segments = struct.unpack_from("<BqIIIB", head, 5)
    table = content.at(at + _HEADER, segments)
    size = _HEADER + segments + sum(table)
    page = content.at(at, size)
    if len(page) < size or _checksum(page) != checksum:
        return None
    packets = sum(1 for length in table if length < 255)
    body = page[_HEADER + segments : _HEADER + segments + 64]
    return _Page(at, at + size, flags, granule, serial, number, packets, body)


def _checksum(page: bytes) -> int:
    """Return Ogg's CRC-32: zlib's polynomial from the other end, beginning with 0."""
    reflected = zlib.crc32((page[:22] + b"\0\0\0\0" + page[26:]).translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{reflected:032b}"[::-1], 2)


def _part(content: Content, whole: int, link: list[_Page], links: list[list[_Page]]) -> Part:
    """Return the part for the pages of one link. whole: where a link begins that is the only one."""
    alone, last = len(links) == 1, link is links[-1]
    begin = whole if alone else link[0].begin
    end = content.size if alone else link[-1].end
    codec = next((kind for kind in _CODECS if link[0].first.startswith(kind)), None)
    if codec is None or len({page.serial for page in link}) > 1:
        return Part((((begin, end),),), "any" if codec else "ffmpeg")
    header = _headers(link, _CODECS[codec][0])
    runs: list[list[_Page]] = [[]]
    for page in link[header:]:
        if runs[-1] and page.number != runs[-1][-1].number + 1:
            runs.append([])
        runs[-1].append(page)
    lost_first = bool(header and runs[0] and runs[0][0].number != link[header - 1].number + 1)
    cut = last and not link[-1].flags & _ENDS
    adjacent = all(page.begin == before.end for before, page in pairwise(link))
    if len(runs) == 1 and not lost_first and adjacent:
        return Part((((begin, end),),), "any", cut=cut)
    headers = _joined(link[:header])
    return Part(tuple((*headers, *_joined(run)) for run in runs), "ffmpeg", cut=cut)


def _headers(link: list[_Page], packets: int) -> int:
    """Return in how many pages the headers end."""
    for number, page in enumerate(link, 1):
        packets -= page.packets
        if packets <= 0:
            return number
    return len(link)


def _joined(pages: list[_Page]) -> Pieces:
    """Return the ranges of pages, those that touch in one."""
    found: list[tuple[int, int]] = []
    for page in pages:
        if found and found[-1][1] == page.begin:
            found[-1] = (found[-1][0], page.end)
        else:
            found.append((page.begin, page.end))
    return tuple(found)
