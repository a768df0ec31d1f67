"""Containers of plain samples (WAV, RF64, W64, AIFF, CAF, AU), whose headers often tell the wrong length.

A recorder that crashed leaves 0 or an early size, a pipe leaves 0xFFFFFFFF or -1, and 32 bits cannot tell more than
4 GiB: a reader that believes them reads a part or nothing. Where the size is wrong the decoder is shown the same samples
behind a header with the right one (RF64 where 32 bits are too few, EBU Tech 3306).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial

from .content import Content
from .parts import Part, begins

LIMIT = 1 << 32
_W64_FORM = b"fmt \xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
_W64_DATA = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
_MAX_HEADER = 1 << 20  # bytes before the samples that are looked through
_ENOUGH = 512  # bytes behind the samples that may be samples too
_TAGS = (b"TAG", b"ID3", b"APET", b"LYRI")
_UNKNOWN = 0x7FFF0000  # bytes and more: what programs write that do not know the length yet


def _chunks(
    content: Content, at: int, head: str, last: bytes, *, counted: int = 0, align: int
) -> dict[bytes, tuple[int, int]]:
    """Return name -> (where its body begins, bytes of it) of the chunks up to the samples'; nothing where that is not found.

    at: of the first. head: of each, its name and its size. last: the samples' name. counted: bytes of the head that the
    size counts as well. align: bytes, of which chunks take a multiple.
    """
    found: dict[bytes, tuple[int, int]] = {}
    width, end = struct.calcsize(head), at + _MAX_HEADER
    while at < end and len(start := content.at(at, width)) == width:
        name, size = struct.unpack(head, start)
        at, size = at + width, size - counted
        found[name] = at, size
        if name == last:
            return found
        if size < 0:
            break
        at += size + -size % align
    return {}


def _body(content: Content, chunks: dict[bytes, tuple[int, int]], name: bytes) -> bytes:
    """Return what is in a chunk, nothing where there is none."""
    at, size = chunks.get(name, (0, 0))
    return content.at(at, min(size, 4096))


def _rate_and_align(form: bytes, order: str) -> tuple[float, int]:
    """Return, of a WAV's format, frames a second and the bytes of each; blocks of several samples are frames, too."""
    coding, rate, second, align = struct.unpack_from(f"{order}H2xIIH", form)
    return rate if coding in (1, 3, 0xFFFE) else second / max(align, 1), align


def walk_wav(content: Content, begin: int) -> tuple[list[Part], int]:
    """Return the WAV or RF64 file at a position, and where it ends."""
    order = ">" if content.at(begin, 4) == b"RIFX" else "<"
    chunks = _chunks(content, begin + 12, f"{order}4sI", b"data", align=2)
    form, sizes = _body(content, chunks, b"fmt "), _body(content, chunks, b"ds64")
    if len(form) < 16:
        return [], begin
    at, size = chunks[b"data"]
    wide = struct.unpack_from("<Q", sizes, 8)[0] if len(sizes) >= 16 else None
    claimed = wide if wide is not None and size == LIMIT - 1 else size
    left = content.size - at
    if wide is None and left >= LIMIT and 0 < size < LIMIT - 1:
        claimed = size + (left - size) // LIMIT * LIMIT
    unknown = wide is None and (size in (0, LIMIT - 1) or size >= _UNKNOWN and size > left)
    rate, align = _rate_and_align(form, order)
    header, changed = partial(_wav_header, form, align, order), claimed != size and wide is None
    return _part_of(content, begin, at, claimed, unknown, rate, align, header, changed=changed, even=True)


def _wav_header(form: bytes, align: int, order: str, length: int) -> bytes:
    form_chunk = b"fmt " + struct.pack(f"{order}I", len(form)) + form
    if length < LIMIT - 4096:
        whole = 4 + len(form_chunk) + 8 + length
        name = b"RIFF" if order == "<" else b"RIFX"
        return (
            name + struct.pack(f"{order}I", whole) + b"WAVE" + form_chunk + b"data" + struct.pack(f"{order}I", length)
        )
    sizes = struct.pack("<QQQI", 72 + len(form) + length, length, length // max(align, 1), 0)
    unset = struct.pack("<I", LIMIT - 1)
    return b"RF64" + unset + b"WAVE" + b"ds64" + struct.pack("<I", len(sizes)) + sizes + form_chunk + b"data" + unset


def walk_w64(content: Content, begin: int) -> tuple[list[Part], int]:
    """Return the Sony Wave64 file at a position, and where it ends."""
    chunks = _chunks(content, begin + 40, "<16sQ", _W64_DATA, counted=24, align=8)
    form = _body(content, chunks, _W64_FORM)
    if len(form) < 16:
        return [], begin
    at, size = chunks[_W64_DATA]
    rate, align = _rate_and_align(form, "<")
    unknown = size <= 0 or size >= (1 << 62) - 24
    return _part_of(content, begin, at, max(0, size), unknown, rate, align, partial(_wav_header, form, align, "<"))


def walk_aiff(content: Content, begin: int) -> tuple[list[Part], int]:
    """Return the AIFF file at a position, and where it ends."""
    chunks = _chunks(content, begin + 12, ">4sI", b"SSND", align=2)
    common, _ = chunks.get(b"COMM", (content.size, 0))
    if len(fields := content.at(common, 18)) < 18:
        return [], begin
    channels, frames, bits, exponent, mantissa = struct.unpack(">HIHHQ", fields)
    plain = content.at(begin + 8, 4) == b"AIFF" or content.at(common + 18, 4) in (b"NONE", b"sowt", b"twos")
    align = max(1, channels) * ((bits + 7) // 8)
    if not plain or not 16383 <= exponent <= 16383 + 40 or not align:
        return [Part((((begin, content.size),),))], content.size
    rate = mantissa / (1 << 63 - (exponent - 16383))
    data, size = chunks[b"SSND"]
    claimed = max(0, size - 8)
    unknown = claimed == 0 or (claimed >= _UNKNOWN and claimed > content.size - data - 8)

    def header(length: int) -> bytes:
        head = bytearray(content.read(begin, data + 8 - begin))
        sizes = (4, len(head) - 8 + length), (common + 2 - begin, length // align), (data - 4 - begin, length + 8)
        for place, number in sizes:
            struct.pack_into(">I", head, place, min(number, LIMIT - 1))
        return bytes(head)

    changed = frames * align < claimed - align
    return _part_of(content, begin, data + 8, claimed, unknown, rate, align, header, changed=changed, even=True)


def walk_caf(content: Content, begin: int) -> tuple[list[Part], int]:
    """Return the Core Audio file at a position, and where it ends."""
    chunks = _chunks(content, begin + 8, ">4sq", b"data", align=1)
    if not chunks:
        return [], begin
    described = _body(content, chunks, b"desc")
    rate, form, packet = struct.unpack_from(">d4s4xI", described) if len(described) >= 20 else (0.0, b"", 0)
    if form != b"lpcm" or not packet or not 0 < rate < 1e7:
        return [Part((((begin, content.size),),))], content.size
    data, size = chunks[b"data"]
    claimed = max(0, size - 4)
    unknown = claimed == 0 or size >= 1 << 62

    def header(length: int) -> bytes:
        kept = content.read(begin, data - 8 - begin)
        return kept + struct.pack(">q", length + 4) + content.at(data, 4)

    return _part_of(content, begin, data + 4, claimed, unknown, rate, packet, header)


def walk_au(content: Content, begin: int) -> tuple[list[Part], int]:
    """Return the AU file at a position, and where it ends."""
    head = content.at(begin, 24)
    if len(head) < 24:
        return [], begin
    offset, claimed, coding, rate, channels = struct.unpack_from(">5I", head, 4)
    width = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}.get(coding, 0)
    if not width or not 0 < channels <= 1024 or not 24 <= offset < _MAX_HEADER or not rate:
        return [], begin
    unknown = claimed in (0, LIMIT - 1)

    def header(length: int) -> bytes:
        size = struct.pack(">I", min(length, LIMIT - 1))
        return head[:8] + size + content.read(begin + 12, offset - 12)

    return _part_of(content, begin, begin + offset, claimed, unknown, rate, width * channels, header)


def _part_of(
    content: Content,
    begin: int,
    at: int,
    claimed: int,
    unknown: bool,
    rate: float,
    align: int,
    header: Callable[[int], bytes],
    *,
    changed: bool = False,
    even: bool = False,
) -> tuple[list[Part], int]:
    """Return the part for the samples of the container at `begin`, which lie from `at` on, and where the container ends.

    claimed: their bytes by its header; unknown: it does not know. rate, align: frames a second, bytes of each. header:
    bytes of samples -> a header that states so many. changed: the header as it is must not be shown. even: a byte follows an
    odd number of them.
    """
    left = max(0, content.size - at)
    length, claimed_s = claimed, None
    if unknown:  # to the end, or to where another recording was appended
        kind, form = content.at(begin, 4), content.at(begin + 8, 4)
        starts = (found for found in content.find_all(kind, at) if content.at(found + 8, len(form)) == form)
        end = next(starts, content.size)
        length = end - at
    elif claimed > left:
        length, end = left, content.size
        claimed_s = claimed / max(align, 1) / rate if rate else None
    else:
        end, follows = _behind(content, at + length + (length % 2 if even else 0))
        if follows:
            length = end - at
    right = not changed and not unknown and length == claimed and begin == 0
    if right and end >= content.size:
        return [Part((((0, content.size),),), claimed_s=claimed_s)], content.size
    length -= length % max(align, 1)
    return [Part(((header(length), (at, at + length)),), claimed_s=claimed_s)], end


def _behind(content: Content, at: int) -> tuple[int, bool]:
    """Return where a container ends whose samples should end at a position, and whether what lies there is samples too."""
    first = at
    while content.size - at >= 8:
        head = content.at(at, 16)
        if begins(head):
            return at, False
        name, size = head[:4], int.from_bytes(head[4:8], "little")
        big = int.from_bytes(head[4:8], "big")
        size = size if size <= content.size - at - 8 else big
        if not (name.isascii() and name.decode().isprintable() and size <= content.size - at - 8):
            break
        at += 8 + size + size % 2
    if at > first or content.size - at < _ENOUGH or content.at(at, 4).startswith(_TAGS):
        return content.size, False
    return content.size, any(content.at(at, 1 << 16))
