"""One text field of an ID3v2 tag, set without touching anything else: other frames are copied as bytes, never decoded.

Versions 2.2, 2.3 and 2.4 (id3.org: id3v2-00, id3v2.3.0, id3v2.4.0-structure). A tag keeps its version, its flags, the
order of its frames, those that nobody knows, and its length where the padding has room.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

HEADER = 10  # bytes; the footer of version 2.4 has as many
_MOST = 1 << 28  # bytes that a tag's header can express
_UNSYNCHRONISED, _EXTENDED, _FOOTER = 0x80, 0x40, 0x10


def length(start: bytes) -> int:
    """Return the bytes of the tag that a file begins with, 0 where there is none. start: its first ten bytes."""
    if len(start) < HEADER or start[:3] != b"ID3" or start[3] == 0xFF or any(byte > 0x7F for byte in start[6:10]):
        return 0
    footer = HEADER if start[3] == 4 and start[5] & _FOOTER else 0
    return HEADER + _syncsafe(start[6:10]) + footer


def with_field(tag: bytes, description: str, text: str) -> bytes:
    """Return a whole tag with its user-defined text field of that description set, all other bytes as they were.

    tag: header, frames, padding and footer; b"" for a new one, of version 2.4. description, text: of the field (TXXX; in
    version 2.2 TXX). Raises `ValueError` for a tag that is damaged, or of a kind that cannot be changed without touching other
    fields.
    """
    tag = tag or b"ID3\4" + bytes(HEADER - 4)
    version, flags = tag[3], tag[5]
    if version not in (2, 3, 4) or (version == 2 and flags & 0x40):
        raise ValueError(f"its ID3 tag is of version 2.{version}, or compressed, which cannot be changed")
    footer = HEADER if version == 4 and flags & _FOOTER else 0
    raw = tag[HEADER : len(tag) - footer]
    unsynchronised = bool(flags & _UNSYNCHRONISED)
    # Up to version 2.3 a tag is unsynchronised as a whole, and sizes count the bytes before that.
    body, places = _synchronised(raw) if unsynchronised and version < 4 else (raw, range(len(raw) + 1))
    extended = version > 2 and bool(flags & _EXTENDED)
    frames, end = _frames(body, _after_extended_header(body, version) if extended else 0, version)

    field = _frame(version, description, text, unsynchronised=unsynchronised)
    ours = [(first, last) for first, last in frames if _description(body[first:last], version) == description]
    changed = bytearray(raw)
    for first, last in reversed(ours[1:]):
        del changed[places[first] : places[last]]
    first, last = ours[0] if ours else (end, end)
    changed[places[first] : places[last]] = field

    growth = len(changed) - len(raw)
    padding = raw[places[end] :]
    if not (extended or footer) and not any(padding) and growth <= len(padding):
        changed = (changed + bytes(max(0, -growth)))[: len(raw)]
    if len(changed) >= _MOST:
        raise ValueError("its ID3 tag is full")
    header = tag[3:6] + _as_syncsafe(len(changed))
    return b"ID3" + header + bytes(changed) + (b"3DI" + header if footer else b"")


def _syncsafe(digits: bytes) -> int:
    return sum((digit & 0x7F) << 7 * place for place, digit in enumerate(reversed(digits)))


def _as_syncsafe(value: int) -> bytes:
    return bytes(value >> shift & 0x7F for shift in (21, 14, 7, 0))


def _synchronised(raw: bytes) -> tuple[bytes, Sequence[int]]:
    """Return the bytes without the zeros that unsynchronisation put after 255, and where each, and the end, is in `raw`."""
    kept = [i for i, byte in enumerate(raw) if not (byte == 0 and i and raw[i - 1] == 0xFF)]
    return bytes(raw[i] for i in kept), [*kept, len(raw)]


def _as_unsynchronised(data: bytes) -> bytes:
    return re.sub(rb"\xff(?=[\x00\xe0-\xff])|\xff\Z", b"\xff\x00", data)


def _after_extended_header(body: bytes, version: int) -> int:
    if len(body) < 6:
        raise ValueError("its ID3 tag is damaged")
    checksum = body[4] & 0x80 if version == 3 else body[5] & 0x20
    if checksum:
        raise ValueError("its ID3 tag has a checksum, which a new field would make wrong")
    return 4 + int.from_bytes(body[:4]) if version == 3 else _syncsafe(body[:4])


def _frames(body: bytes, first: int, version: int) -> tuple[list[tuple[int, int]], int]:
    """Return (first, last + 1) of each frame, and where the frames end.

    Sizes are plain in version 2.3 and have seven bits a byte in 2.4; some programs write the one for the other.
    """
    readings: dict[int, list[Callable[[bytes], int]]] = {2: [int.from_bytes], 3: [int.from_bytes, _syncsafe]}
    for size_of in readings.get(version, [_syncsafe, int.from_bytes]):
        found = list(_walk(body, first, version, size_of))
        end = found[-1][1] if found else first
        if end <= len(body) and (len(body) - end < (6 if version == 2 else 10) or not any(body[end:])):
            return found, end
    raise ValueError("its ID3 tag is damaged")


def _walk(body: bytes, at: int, version: int, size_of: Callable[[bytes], int]) -> Iterator[tuple[int, int]]:
    name, header = (3, 6) if version == 2 else (4, 10)
    while at + header <= len(body) and re.fullmatch(rb"[A-Z][A-Z0-9]{2}[A-Z0-9 \0]?", body[at : at + name]):
        end = at + header + size_of(body[at + name : at + 2 * name])
        if end > len(body):
            return
        yield at, end
        at = end


def _frame(version: int, description: str, text: str, *, unsynchronised: bool) -> bytes:
    if version == 4:
        content = b"\3" + f"{description}\0{text}".encode()
        return b"TXXX" + _as_syncsafe(len(content)) + bytes([0, 2 * unsynchronised]) + content
    try:
        content = b"\0" + f"{description}\0{text}".encode("latin-1")
    except UnicodeEncodeError:
        content = b"\1" + f"\ufeff{description}\0\ufeff{text}".encode("utf-16-le")
    frame = b"TXX" + len(content).to_bytes(3) if version == 2 else b"TXXX" + len(content).to_bytes(4) + b"\0\0"
    return _as_unsynchronised(frame + content) if unsynchronised else frame + content


def _description(frame: bytes, version: int) -> str | None:
    """Return the description of a user-defined text frame; None for another frame, and for one that is encoded."""
    if frame[:4] != b"TXXX" and (version != 2 or frame[:3] != b"TXX"):
        return None
    content = frame[6:] if version == 2 else frame[10:]
    flags = frame[9] if version > 2 else 0
    if version == 3:
        if flags & 0xC0:  # compressed or encrypted
            return None
        content = content[1:] if flags & 0x20 else content  # the group
    if version == 4:
        if flags & 0x0C:
            return None
        content = content[(1 if flags & 0x40 else 0) + (4 if flags & 0x01 else 0) :]
        content = _synchronised(content)[0] if flags & 0x02 else content
    encoding = {0: "latin-1", 1: "utf-16", 2: "utf-16-be", 3: "utf-8"}.get(content[0] if content else -1)
    return content[1:].decode(encoding, "replace").split("\0")[0] if encoding else None
