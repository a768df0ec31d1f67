"""Edits that set one field in a recording's tags: which bytes of the file change, and to what. All others stay.

A function for each kind of container takes an open file and returns edits, or raises `ValueError` in words for people.
"""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import IO, NamedTuple

from . import id3

_COPY_BYTES = 1 << 20
_MOST_HEADER = 1 << 26  # bytes of an ASF header: pictures are in it


class Edit(NamedTuple):
    """Replace `length` bytes of the file from `at` on by `content`."""

    at: int
    length: int
    content: bytes


Edits = list[Edit]


def edits(file: IO[bytes], field: str, text: str) -> Edits | None:
    """Return the edits that set `field`, None for a container that is not known here. Raises `ValueError`."""
    start = _bytes(file, 0, 16)
    for magic, of in _CONTAINERS.items():
        if start.startswith(magic) and (found := of(file, field, text)) is not None:
            return found
    prefix = id3.length(start)
    after = _bytes(file, prefix, 4)
    if after == b"fLaC":
        return _flac(file, field, text, prefix)
    if prefix or after == b"TTA1" or _is_mpeg(after):
        return [Edit(0, prefix, id3.with_field(_bytes(file, 0, prefix), field, text))]
    return None


def apply(source: IO[bytes], target: IO[bytes], changes: Sequence[Edit]) -> None:
    """Copy a file with the edits applied."""
    source.seek(0)
    at = 0
    for edit in sorted(changes):
        left = edit.at - at
        while left > 0 and (block := source.read(min(left, _COPY_BYTES))):
            target.write(block)
            left -= len(block)
        target.write(edit.content)
        at = source.seek(edit.at + edit.length)
    shutil.copyfileobj(source, target, _COPY_BYTES)


def with_one(entries: Sequence[bytes], ours: Callable[[bytes], bool], new: bytes) -> list[bytes]:
    """Return entries with `new` in place of the first that is ours, or at the end; the others that are ours go."""
    places = [i for i, entry in enumerate(entries) if ours(entry)]
    kept = [entry for i, entry in enumerate(entries) if i not in places]
    kept.insert(places[0] if places else len(entries), new)
    return kept


def _bytes(file: IO[bytes], at: int, count: int) -> bytes:
    file.seek(at)
    return file.read(count)


def _size(file: IO[bytes]) -> int:
    return file.seek(0, os.SEEK_END)


def _is_mpeg(header: bytes) -> bool:
    """Tell whether these are the first bytes of an MPEG audio frame; layer 0 would be ADTS AAC, which has no such tags."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return False
    return header[1] & 0x06 != 0 and header[2] & 0xF0 != 0xF0 and header[2] & 0x0C != 0x0C


# -- chunks: WAV, AIFF, DSDIFF


def _chunks(form: bytes, number: str, name: bytes, file: IO[bytes], field: str, text: str) -> Edits | None:
    """Files of chunks; None for those of another form. number: struct's format of sizes; name: of a new chunk with a tag."""
    if form not in _bytes(file, 8, 8):
        return None
    width = struct.calcsize(number)
    header = _bytes(file, 4, width)
    whole = struct.unpack(number, header)[0] if len(header) == width else 0
    end = 4 + width + whole
    if whole < 4:  # the form's name
        raise ValueError("its header is damaged, or was never finished")
    if end > _size(file):
        raise ValueError("its header says that it is longer than the file")
    at, old = 8 + width, None
    while at + 4 + width <= end:
        header = _bytes(file, at, 4 + width)
        size = struct.unpack(number, header[4:])[0]
        if at + len(header) + size > end:
            raise ValueError("a chunk of it is longer than the file")
        next_at = at + len(header) + size + size % 2
        if header[:4] in (b"id3 ", b"ID3 "):
            old = (at, min(next_at, end) - at, header[:4], _bytes(file, at + len(header), size))
        at = next_at
    place, length, chunk_name, tag = old or (min(at, end), 0, name, b"")
    new = id3.with_field(tag, field, text)
    missing = b"" if old or at <= end else b"\0"  # of an odd last chunk
    content = missing + chunk_name + struct.pack(number, len(new)) + new + bytes(len(new) % 2)
    return [Edit(4, width, struct.pack(number, whole + len(content) - length)), Edit(place, length, content)]


def _dsf(file: IO[bytes], field: str, text: str) -> Edits:
    """DSF: the tag is the end of the file, and the header points to it (Sony, DSF file format 1.01)."""
    pointer = struct.unpack("<Q", _bytes(file, 20, 8))[0]
    end = _size(file)
    tag = _bytes(file, pointer, end - pointer) if 0 < pointer < end else b""
    new = id3.with_field(tag, field, text)
    place = end - len(tag)
    return [Edit(12, 16, struct.pack("<QQ", place + len(new), place)), Edit(place, len(tag), new)]


# -- Vorbis comments: FLAC, Ogg


def with_comment(content: bytes, field: str, text: str) -> bytes:
    """Return Vorbis comments (vendor, entries, what follows) with one field set. Raises `ValueError` when damaged."""

    def text_at(at: int) -> tuple[bytes, int]:
        if at + 4 > len(content) or at + 4 + (size := int.from_bytes(content[at : at + 4], "little")) > len(content):
            raise ValueError("its comments are damaged")
        return content[at + 4 : at + 4 + size], at + 4 + size

    _, at = text_at(0)
    first, count, at = at, int.from_bytes(content[at : at + 4], "little"), at + 4
    entries = []
    for _ in range(count):
        entry, at = text_at(at)
        entries.append(entry)
    start = f"{field}=".encode()
    kept = with_one(entries, lambda entry: entry[: len(start)].upper() == start, start + text.encode())
    packed = b"".join(len(entry).to_bytes(4, "little") + entry for entry in kept)
    return content[:first] + len(kept).to_bytes(4, "little") + packed + content[at:]


_STREAMINFO, _PADDING, _COMMENTS = 0, 1, 4


def _flac(file: IO[bytes], field: str, text: str, start: int) -> Edits:
    """FLAC: a block of comments among the others (RFC 9639); padding gives and takes the difference where it can."""
    blocks = list(_flac_blocks(file, start + 4))
    by_kind = {kind: (at, size) for kind, at, size in reversed(blocks)}
    if _STREAMINFO not in by_kind:
        raise ValueError("its metadata are damaged")
    last = blocks[-1][1]

    def header(kind: int, at: int, size: int) -> bytes:
        if size >= 1 << 24:
            raise ValueError("its comments are full")
        return bytes([kind | (0x80 if at == last else 0)]) + size.to_bytes(3)

    changes = []
    if _COMMENTS in by_kind:
        at, size = by_kind[_COMMENTS]
        new = with_comment(_bytes(file, at + 4, size), field, text)
        changes.append(Edit(at, 4 + size, header(_COMMENTS, at, len(new)) + new))
        growth = len(new) - size
    else:
        at, size = by_kind[_STREAMINFO]
        new = with_comment(bytes(8), field, text)
        changes.append(Edit(at, 1, bytes([_STREAMINFO])))
        changes.append(Edit(at + 4 + size, 0, header(_COMMENTS, at, len(new)) + new))
        growth = 4 + len(new)
    at, size = by_kind.get(_PADDING, (0, -1))
    if size >= max(growth, 0) and not any(_bytes(file, at + 4, size)):  # what should be padding may hold something
        cut = max(0, growth)
        changes.append(Edit(at, 4 + cut, header(_PADDING, at, size - growth) + bytes(max(0, -growth))))
    return changes


def _flac_blocks(file: IO[bytes], at: int) -> Iterator[tuple[int, int, int]]:
    """Yield (kind, place, size without the header) of each metadata block."""
    end = _size(file)
    while True:
        header = _bytes(file, at, 4)
        size = int.from_bytes(header[1:])
        if len(header) < 4 or at + 4 + size > end:
            raise ValueError("its metadata are damaged")
        yield header[0] & 0x7F, at, size
        at += 4 + size
        if header[0] & 0x80:
            return


# -- APEv2: Monkey's Audio, Musepack, WavPack

_APE_FOOTER = struct.Struct("<8sIIII8x")
_APE_HAS_HEADER, _APE_IS_HEADER = 1 << 31, 1 << 29


def _ape(file: IO[bytes], field: str, text: str) -> Edits:
    """APEv2 at the end, before an ID3v1 tag where there is one."""
    end = _size(file)
    footer = _bytes(file, max(0, end - 32), 32)
    # a tag at the very end goes first: its header or an item can hold TAG just where ID3v1 would begin
    if footer[:8] != b"APETAGEX" and _bytes(file, max(0, end - 128), 3) == b"TAG":
        end -= 128
        footer = _bytes(file, max(0, end - 32), 32)
    if footer[:8] != b"APETAGEX":
        return [Edit(end, 0, _ape_tag([_ape_item(field, text)], _APE_HAS_HEADER))]
    _, version, size, count, flags = _APE_FOOTER.unpack(footer)
    has_header = 32 if flags & _APE_HAS_HEADER else 0
    start = end - size - has_header
    if version != 2000 or start < 0 or (has_header and _bytes(file, start, 8) != b"APETAGEX"):
        raise ValueError("its APE tag is damaged, or not of version 2")
    items = list(_ape_items(_bytes(file, end - size, size - 32), count))
    key = field.encode() + b"\0"
    kept = with_one(items, lambda item: item[8 : 8 + len(key)].upper() == key, _ape_item(field, text))
    return [Edit(start, end - start, _ape_tag(kept, flags))]


def _ape_item(field: str, text: str) -> bytes:
    value = text.encode()
    return struct.pack("<II", len(value), 0) + field.encode() + b"\0" + value


def _ape_items(content: bytes, count: int) -> Iterator[bytes]:
    at = 0
    for _ in range(count):
        key_end = content.find(b"\0", at + 8)
        end = key_end + 1 + int.from_bytes(content[at : at + 4], "little")
        if key_end < 0 or end > len(content):
            raise ValueError("its APE tag is damaged")
        yield content[at:end]
        at = end
    if at != len(content):
        raise ValueError("its APE tag is damaged")


def _ape_tag(items: Sequence[bytes], flags: int) -> bytes:
    content = b"".join(items)

    def frame(more: int) -> bytes:
        return _APE_FOOTER.pack(b"APETAGEX", 2000, len(content) + 32, len(items), flags | more)

    head = frame(_APE_IS_HEADER) if flags & _APE_HAS_HEADER else b""
    return head + content + frame(0)


# -- ASF: WMA, WMV

_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_FIELDS = bytes.fromhex("40a4d0d207e3d21197f000a0c95ea850")  # Extended Content Description
_ASF_HEADER = 30  # of the header object


def _asf(file: IO[bytes], field: str, text: str) -> Edits:
    """ASF: one descriptor among the extended ones, and the sizes of what holds it (ASF specification 1.20, 3.11)."""
    whole, count = struct.unpack("<QI", _bytes(file, 16, 12).ljust(12, b"\0"))
    if not _ASF_HEADER <= whole <= min(_size(file), _MOST_HEADER):
        raise ValueError("its header is damaged")
    objects: dict[bytes, tuple[int, int]] = {}
    at = _ASF_HEADER
    while at + 24 <= whole:
        kind, size = struct.unpack("<16sQ", _bytes(file, at, 24))
        if not 24 <= size <= whole - at:
            raise ValueError("its header is damaged")
        objects.setdefault(kind, (at, size))
        at += size
    about, size = objects.get(_ASF_FILE, (0, 0))
    if at != whole or size < 48:
        raise ValueError("its header is damaged")
    place, size = objects.get(_ASF_FIELDS, (whole, 0))
    old = _bytes(file, place + 24, size - 24) if size else bytes(2)
    new = _with_descriptor(old, field, text)
    content = _ASF_FIELDS + struct.pack("<Q", 24 + len(new)) + new
    growth = len(content) - size
    length = struct.unpack("<Q", _bytes(file, about + 40, 8))[0]
    return [
        Edit(16, 12, struct.pack("<QI", whole + growth, count + (size == 0))),
        Edit(about + 40, 8, struct.pack("<Q", length + growth if length else 0)),
        Edit(place, size, content),
    ]


def _with_descriptor(content: bytes, field: str, text: str) -> bytes:
    """Return extended content descriptors with one set: a count; of each the name, the type and the value."""

    def sized(at: int) -> int:
        end = at + 2 + int.from_bytes(content[at : at + 2], "little")
        if at + 2 > len(content) or end > len(content):
            raise ValueError("its tags are damaged")
        return end

    def packed(value: str) -> bytes:
        coded = f"{value}\0".encode("utf-16-le")
        return len(coded).to_bytes(2, "little") + coded

    def is_ours(descriptor: bytes) -> bool:
        name = descriptor[2 : 2 + int.from_bytes(descriptor[:2], "little")]
        return name.decode("utf-16-le", "replace").rstrip("\0").upper() == field

    descriptors, at = [], 2
    for _ in range(int.from_bytes(content[:2], "little")):
        end = sized(sized(at) + 2)
        descriptors.append(content[at:end])
        at = end
    entry = packed(field) + bytes(2) + packed(text)
    kept = with_one(descriptors, is_ours, entry)
    if len(entry) >= 1 << 16 or len(kept) >= 1 << 16:
        raise ValueError("its tags are full")
    return len(kept).to_bytes(2, "little") + b"".join(kept) + content[at:]


_CONTAINERS: dict[bytes, Callable[[IO[bytes], str, str], Edits | None]] = {
    b"RIFF": partial(_chunks, b"WAVE", "<I", b"id3 "),
    b"FORM": partial(_chunks, b"AIF", ">I", b"ID3 "),
    b"FRM8": partial(_chunks, b"DSD ", ">Q", b"ID3 "),
    b"DSD ": _dsf,
    _ASF: _asf,
    **dict.fromkeys((b"MAC ", b"MP+", b"MPCK", b"wvpk"), _ape),
}
