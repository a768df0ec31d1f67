"""Tags: one field is set in files of every container whose bytes are edited here, with their tags and chunks changed."""

from __future__ import annotations

import io
import re
import struct
from pathlib import Path

import mutate

from whoplays.results import tagedits

from . import Door, told_in_one_line

FIELD, TEXTS = "WHOPLAYS", ("drums 0.93; guitar 0.88 (default@1)", "none (default@1)")
MOST_CHANGED = 24  # bytes that are no padding: the sizes of a tag, a chunk and a file, and the number of items
BODY = b"\xff\xfb\x90\x64" + bytes(range(1, 256)) * 2  # stands for the sound, which is not decoded here


def _syncsafe(value: int) -> bytes:
    return bytes(value >> shift & 0x7F for shift in (21, 14, 7, 0))


def _id3(version: int, *, padding: int = 0, unsynchronised: bool = False) -> bytes:
    names = {2: (b"TT2", b"RVA", b"XYZ"), 3: (b"TIT2", b"RVAD", b"TYER", b"TXXX"), 4: (b"TIT2", b"ZZZZ", b"TXXX")}
    frames = b""
    for number, name in enumerate(names[version]):
        content = b"\0other\0value" if name == b"TXXX" else b"\0what" + bytes(range(60 + number, 90))
        size = {2: len(content).to_bytes(3), 3: len(content).to_bytes(4), 4: _syncsafe(len(content))}[version]
        frames += name + size + (b"" if version == 2 else b"\0\0") + content
    flags = 0x80 * unsynchronised
    return b"ID3" + bytes([version, 0, flags]) + _syncsafe(len(frames) + padding) + frames + bytes(padding)


def _chunks(kind: bytes, form: bytes, order: str, chunks: list[tuple[bytes, bytes]]) -> bytes:
    packed = b"".join(
        name + len(content).to_bytes(4, order) + content + bytes(len(content) % 2)  # type: ignore[arg-type]
        for name, content in chunks
    )
    return kind + (len(packed) + 4).to_bytes(4, order) + form + packed  # type: ignore[arg-type]


def _flac(*, comments: bool, padding: int) -> bytes:
    vendor = (4).to_bytes(4, "little") + b"some" + (2).to_bytes(4, "little")
    entries = b"".join(len(entry).to_bytes(4, "little") + entry for entry in (b"TITLE=Song", b"X=\xff\xfe"))
    blocks = [(0, bytes(range(34)))] + [(4, vendor + entries)] * comments + [(2, b"appl" + bytes(9))]
    blocks += [(1, bytes(padding))] * bool(padding)
    heads = [bytes([kind | 0x80 * (i == len(blocks) - 1)]) for i, (kind, _) in enumerate(blocks)]
    return b"fLaC" + b"".join(h + len(c).to_bytes(3) + c for h, (_, c) in zip(heads, blocks, strict=True)) + BODY


def _seeds() -> list[bytes]:
    v1 = b"TAG" + b"Title".ljust(125, b"\0")
    mp3 = [
        *(_id3(v, padding=p) + BODY + v1 * (p > 0) for v in (2, 3, 4) for p in (0, 20, 200)),
        _id3(3, unsynchronised=True) + BODY,
        BODY + tagedits._ape_tag([tagedits._ape_item("Title", "Song")], 1 << 31) + v1,
    ]
    wav = [(b"fmt ", bytes(16)), (b"LIST", b"INFOINAM\4\0\0\0Song"), (b"data", BODY)]
    aiff = [(b"COMM", bytes(18)), (b"SSND", BODY), (b"NAME", b"Song!")]
    riff = [_chunks(b"RIFF", b"WAVE", "little", wav + more) for more in ([], [(b"id3 ", _id3(3))], [(b"odd ", b"x")])]
    form = [_chunks(b"FORM", b"AIFF", "big", aiff + more) for more in ([], [(b"ID3 ", _id3(4, padding=99))])]
    ape = [
        b"wvpk" + BODY + tagedits._ape_tag([tagedits._ape_item(f"k{i}", "v") for i in range(3)], flags) + end
        for flags in (0, 1 << 31)
        for end in (b"", v1)
    ]
    flac = [_flac(comments=c, padding=p) for c in (False, True) for p in (0, 300)]
    asf = [_asf([]), _asf([("WM/Year", b"1\0\0\0"), ("Title", b"a\0")])]
    return (
        [_edited(data, TEXTS[1]) or b"" for data in (mp3[4], riff[1], flac[3])] + mp3 + riff + form + ape + flac + asf
    )


def _asf(fields: list[tuple[str, bytes]]) -> bytes:
    """Return an ASF header with or without extended descriptors, and a body."""

    def sized(content: bytes) -> bytes:
        return len(content).to_bytes(2, "little") + content

    entries = b"".join(sized(f"{name}\0".encode("utf-16-le")) + b"\3\0" + sized(value) for name, value in fields)
    told = tagedits._ASF_FILE + (104).to_bytes(8, "little") + bytes(range(80))
    more = (
        tagedits._ASF_FIELDS + (26 + len(entries)).to_bytes(8, "little") + len(fields).to_bytes(2, "little") + entries
    )
    objects = [told, more] if fields else [told]
    size = 30 + sum(map(len, objects))
    return tagedits._ASF + struct.pack("<QIBB", size, len(objects), 1, 2) + b"".join(objects) + BODY


def _edited(data: bytes, text: str) -> bytes | None:
    source, target = io.BytesIO(data), io.BytesIO()
    changes = tagedits.edits(source, FIELD, text)
    if changes is None:
        return None
    tagedits.apply(source, target, changes)
    return target.getvalue()


def _in_common(first: bytes, second: bytes) -> int:
    """Return the length of the longest common subsequence (bit-parallel: Hyyrö 2004)."""
    places = dict.fromkeys(range(256), 0)
    for i, byte in enumerate(first):
        places[byte] |= 1 << i
    whole = (1 << len(first)) - 1
    row = whole
    for byte in second:
        met = row & places[byte]
        row = (row + met | row - met) & whole
    return len(first) - row.bit_count()


def _set(data: bytes, scratch: Path) -> None:
    try:
        first = _edited(data, TEXTS[0])
    except ValueError as error:
        told_in_one_line(error)
        return
    if first is None:
        return
    if FIELD.encode() not in data.upper():
        lost = len(data) - _in_common(data, first)
        bare = data.replace(b"\0", b"")
        lost_of_bare = len(bare) - _in_common(bare, first.replace(b"\0", b""))
        padding = max(map(len, re.findall(rb"\0+", data)), default=0)
        assert lost_of_bare <= MOST_CHANGED and lost <= MOST_CHANGED + padding, (lost, lost_of_bare, padding)
    assert _edited(first, TEXTS[0]) == first, "the same field changes the file again"
    shorter = _edited(first, TEXTS[1])
    assert shorter is not None and _edited(shorter, TEXTS[0]) == first, "something is left of an earlier field"


DOORS = [
    Door(
        "tag-edits",
        _seeds,
        _set,
        mutate.octets,
        (b"ID3", b"TXXX", b"TXX", b"WHOPLAYS", b"APETAGEX", b"TAG", b"id3 ", b"ID3 ", b"\xff\x00", b"\x84", b"\x04"),
        quick=300,
        timeout=10.0,
    )
]
