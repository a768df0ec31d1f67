"""Containers of plain samples (WAV, RF64, W64, AIFF, CAF, AU), whose headers often tell the wrong length.

A recorder that crashed leaves 0 or an early size, a pipe leaves 0xFFFFFFFF or -1, and 32 bits cannot tell more than
4 GiB: a reader that believes them reads a part or nothing. Where the size is wrong the decoder is shown the same samples
behind a header with the right one (RF64 where 32 bits are too few, EBU Tech 3306).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from .content import Content, Piece
from .parts import Part, begins

LIMIT = 1 << 32
_W64_FORM = b"fmt \xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
_W64_DATA = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
_MAX_HEADER = 1 << 20  # bytes before the samples that are looked through
_ENOUGH = 512  # bytes behind the samples that may be samples too
_TAGS = (b"TAG", b"ID3", b"APET", b"LYRI")
_UNKNOWN = 0x7FFF0000  # bytes and more: what programs write that do not know the length yet


@dataclass(frozen=True)
class _Samples:
    """Where a container's samples lie. claimed: bytes by its header; rate, align: frames a second, bytes of each."""

    begin: int
    claimed: int
    rate: float
    align: int
    unknown: bool
    form: bytes = b""


def walk_wav(content: Content, begin: int) -> tuple[list[Part], int]:
    """Return the WAV or RF64 file at a position, and where it ends."""
    order, form, wide = ">" if content.at(begin, 4) == b"RIFX" else "<", b"", None
    at = begin + 12
    while at - begin < _MAX_HEADER and len(head := content.at(at, 8)) == 8:
        name, size = struct.unpack(f"{order}4sI", head)
        at += 8
        if name == b"data":
            break
        body = content.at(at, min(size, 4096))
        form = body if name == b"fmt " else form
        wide = struct.unpack_from("<Q", body, 8)[0] if name == b"ds64" and len(body) >= 16 else wide
        at += size + size % 2
    else:
        return [], begin
    if len(form) < 16:
        return [], begin
    rate, second, align = struct.unpack_from(f"{order}IIH", form, 4)
    claimed = wide if wide is not None and size == LIMIT - 1 else size
    left = content.size - at
    if wide is None and left >= LIMIT and 0 < size < LIMIT - 1:
        claimed = size + (left - size) // LIMIT * LIMIT
    plain = struct.unpack_from(f"{order}H", form)[0] in (1, 3, 0xFFFE)
    unknown = wide is None and (size in (0, LIMIT - 1) or size >= _UNKNOWN and size > left)
    rate = rate if plain else second / max(align, 1)  # blocks of several samples
    samples = _Samples(at, claimed, rate, align, unknown, form)

    def header(length: int) -> bytes:
        return _wav_header(form, length, align, order)

    return _part_of(content, begin, samples, header, changed=claimed != size and wide is None, even=True)


def _wav_header(form: bytes, length: int, align: int, order: str) -> bytes:
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
    form, at = b"", begin + 40
    while at - begin < _MAX_HEADER and len(head := content.at(at, 24)) == 24:
        size = struct.unpack_from("<Q", head, 16)[0]
        if head[:16] == _W64_DATA:
            break
        form = content.at(at + 24, min(size, 4096) - 24) if head[:16] == _W64_FORM else form
        at += max(24, size + -size % 8)
    else:
        return [], begin
    if len(form) < 16:
        return [], begin
    rate, second, align = struct.unpack_from("<IIH", form, 4)
    rate = rate if struct.unpack_from("<H", form)[0] in (1, 3, 0xFFFE) else second / max(align, 1)
    claimed = max(0, size - 24)
    unknown = claimed == 0 or size >= 1 << 62
    samples = _Samples(at + 24, claimed, rate, align, unknown, form)
    return _part_of(content, begin, samples, lambda length: _wav_header(form, length, align, "<"), even=False)


def walk_aiff(content: Content, begin: int) -> tuple[list[Part], int]:
    """Return the AIFF file at a position, and where it ends."""
    common, at = -1, begin + 12
    while at - begin < _MAX_HEADER and len(head := content.at(at, 8)) == 8:
        name, size = struct.unpack(">4sI", head)
        if name == b"SSND":
            break
        common = at + 8 if name == b"COMM" else common
        at += 8 + size + size % 2
    else:
        return [], begin
    if common < 0 or len(told := content.at(common, 18)) < 18:
        return [], begin
    channels, frames, bits, exponent, mantissa = struct.unpack(">HIHHQ", told)
    plain = content.at(begin + 8, 4) == b"AIFF" or content.at(common + 18, 4) in (b"NONE", b"sowt", b"twos")
    align = max(1, channels) * ((bits + 7) // 8)
    if not plain or not 16383 <= exponent <= 16383 + 40 or not align:
        return [Part((((0 if begin == 0 else begin, content.size),),))], content.size
    rate = mantissa / (1 << 63 - (exponent - 16383))
    claimed = max(0, size - 8)
    unknown = claimed == 0 or (claimed >= _UNKNOWN and claimed > content.size - at - 16)
    samples = _Samples(at + 16, claimed, rate, align, unknown)
    data = at

    def header(length: int) -> bytes:
        head = bytearray(content.read(begin, data + 16 - begin))
        head[4:8] = struct.pack(">I", min(len(head) - 8 + length, LIMIT - 1))
        head[common + 2 - begin : common + 6 - begin] = struct.pack(">I", min(length // align, LIMIT - 1))
        head[data + 4 - begin : data + 8 - begin] = struct.pack(">I", min(length + 8, LIMIT - 1))
        return bytes(head)

    return _part_of(content, begin, samples, header, changed=frames * align < claimed - align, even=True)


def walk_caf(content: Content, begin: int) -> tuple[list[Part], int]:
    """Return the Core Audio file at a position, and where it ends."""
    rate, form, packet, at = 0.0, b"", 0, begin + 8
    while at - begin < _MAX_HEADER and len(head := content.at(at, 12)) == 12:
        name, size = struct.unpack(">4sq", head)
        if name == b"data":
            break
        if size < 0:
            return [], begin
        if name == b"desc" and len(told := content.at(at + 12, 20)) == 20:
            rate, form, _, packet = struct.unpack(">d4sII", told)
        at += 12 + size
    else:
        return [], begin
    whole = (begin, content.size)
    if form != b"lpcm" or not packet or not 0 < rate < 1e7:
        return [Part(((whole,),))], content.size
    claimed = max(0, size - 4)
    data = at
    samples = _Samples(at + 16, claimed, rate, packet, size < 0 or claimed == 0 or size >= 1 << 62)

    def header(length: int) -> bytes:
        kept = content.read(begin, data - begin)
        return kept + struct.pack(">4sq", b"data", length + 4) + content.at(data + 12, 4)

    return _part_of(content, begin, samples, header, even=False)


def walk_au(content: Content, begin: int) -> tuple[list[Part], int]:
    """Return the AU file at a position, and where it ends."""
    head = content.at(begin, 24)
    if len(head) < 24:
        return [], begin
    offset, claimed, coding, rate, channels = struct.unpack_from(">5I", head, 4)
    width = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}.get(coding, 0)
    if not width or not 0 < channels <= 1024 or not 24 <= offset < _MAX_HEADER or not rate:
        return [], begin
    samples = _Samples(begin + offset, claimed, rate, width * channels, claimed == 0 or claimed == LIMIT - 1)

    def header(length: int) -> bytes:
        told = struct.pack(">I", min(length, LIMIT - 1))
        return head[:8] + told + content.read(begin + 12, offset - 12)

    return _part_of(content, begin, samples, header, even=False)


def _part_of(
    content: Content,
    begin: int,
    samples: _Samples,
    header: Callable[[int], bytes],
    *,
    changed: bool = False,
    even: bool,
) -> tuple[list[Part], int]:
    """Return the part for samples that lie somewhere, and where its container ends.

    header: bytes of samples -> a header that tells so many. changed: the header as it is must not be shown.
    """
    begins, form = content.at(begin, 4), content.at(begin + 8, 4)
    left = max(0, content.size - samples.begin)
    claimed_s = None
    if samples.unknown:  # to the end, or to where another recording was appended
        starts = (at for at in content.find_all(begins, samples.begin) if content.at(at + 8, len(form)) == form)
        end = next(starts, content.size)
        length = end - samples.begin
    elif samples.claimed > left:
        length, end = left, content.size
        claimed_s = samples.claimed / max(samples.align, 1) / samples.rate if samples.rate else None
    else:
        length = samples.claimed
        end = samples.begin + length + (length % 2 if even else 0)
        end, follows = _behind(content, end)
        if follows:
            length = end - samples.begin
    right = not changed and not samples.unknown and length == samples.claimed and begin == 0
    if right and end >= content.size:
        return [Part((((0, content.size),),), claimed_s=claimed_s)], content.size
    length -= length % max(samples.align, 1)
    pieces: tuple[Piece, ...] = (header(length), (samples.begin, samples.begin + length))
    return [Part((pieces,), claimed_s=claimed_s)], end


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
