"""Valid input -> input that is nearly valid: the mutations every door shares. All chance comes from the generator given."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable, Sequence
from typing import Any

MOST = 1 << 20  # bytes of one input
_EDGES = (0, 1, 2, 3, 7, 8, 15, 16, 63, 64, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 1 << 24, (1 << 31) - 1)
NUMBERS = (*_EDGES, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 0.5, -0.0, 1e308, -1e308, 1e-320, 10**30, 2**63, -(2**63)),
    *("", " ", "x", "\x00", "\n", "\x1b[2J", "é", "\ud800", "..", "/", "a" * 300, "1", "NaN", "1e999", "-1"),
    *([], {}, [[]], [None], {"": None}, [0] * 30, ["a"] * 30),
)


def small(rng: random.Random, most: int) -> int:
    """Return a number below `most`, mostly near 0: where headers are."""
    return min(most - 1, int(most * rng.random() ** rng.choice((1, 2, 6)))) if most > 0 else 0


def octets(data: bytes, rng: random.Random, *, tokens: Sequence[bytes] = (), others: Sequence[bytes] = ()) -> bytes:
    """Return `data` after one to eight changes. tokens: words of the format. others: inputs to take pieces of."""
    changed = bytearray(data)
    for _ in range(1 << rng.randrange(4)):
        rng.choice(_CHANGES)(changed, rng, tokens, others)
    return bytes(changed[:MOST])


Change = Callable[[bytearray, random.Random, Sequence[bytes], Sequence[bytes]], None]


def _flip(data: bytearray, rng: random.Random, *_: Any) -> None:
    if data:
        data[small(rng, len(data))] ^= 1 << rng.randrange(8)


def _set(data: bytearray, rng: random.Random, *_: Any) -> None:
    if data:
        data[small(rng, len(data))] = rng.choice((0, 255, 127, 128, 32, 10, rng.randrange(256)))


def _number(data: bytearray, rng: random.Random, *_: Any) -> None:
    size = rng.choice((1, 2, 4, 8))
    if len(data) >= size:
        at = small(rng, len(data) - size + 1)
        value = rng.choice(NUMBERS) if rng.random() < 0.7 else rng.getrandbits(64)
        if rng.random() < 0.3:  # one more or less than what is there
            value = int.from_bytes(data[at : at + size], "big") + rng.choice((-1, 1))
        data[at : at + size] = (value % (1 << 8 * size)).to_bytes(size, rng.choice(("little", "big")))


def _insert(data: bytearray, rng: random.Random, *_: Any) -> None:
    at = small(rng, len(data) + 1)
    data[at:at] = rng.randbytes(rng.choice((1, 2, 4, 16)))


def _delete(data: bytearray, rng: random.Random, *_: Any) -> None:
    at = small(rng, len(data) + 1)
    del data[at : at + rng.choice((1, 1, 2, 4, 16, 256))]


def _repeat(data: bytearray, rng: random.Random, *_: Any) -> None:
    at, size = small(rng, len(data) + 1), rng.choice((1, 4, 16, 200))
    data[at:at] = data[at : at + size] * rng.choice((1, 2, 20))


def _move(data: bytearray, rng: random.Random, *_: Any) -> None:
    at, to, size = (small(rng, len(data) + 1), small(rng, len(data) + 1), rng.choice((1, 8, 64)))
    piece = data[at : at + size]
    del data[at : at + size]
    data[to:to] = piece


def _cut(data: bytearray, rng: random.Random, *_: Any) -> None:
    del data[rng.randrange(len(data) + 1) :]


def _token(data: bytearray, rng: random.Random, tokens: Sequence[bytes], others: Sequence[bytes]) -> None:
    if tokens:
        at = small(rng, len(data) + 1)
        data[at : at + rng.choice((0, 0, 1, 4))] = rng.choice(tokens)


def _splice(data: bytearray, rng: random.Random, tokens: Sequence[bytes], others: Sequence[bytes]) -> None:
    if others:
        other = rng.choice(others)
        at, size = small(rng, len(other) + 1), rng.choice((4, 16, 64, 1000))
        to = small(rng, len(data) + 1)
        data[to : to + rng.choice((0, size))] = other[at : at + size]


_CHANGES: tuple[Change, ...] = (
    *(_flip, _set, _number, _number, _insert, _delete, _repeat, _move, _cut),
    *(_token, _token, _token, _splice),
)


def lines(data: bytes, rng: random.Random, *, tokens: Sequence[bytes] = (), others: Sequence[bytes] = ()) -> bytes:
    """Return a table after some of its cells were changed; now and then any octets."""
    if rng.random() < 0.3:
        return octets(data, rng, tokens=tokens, others=others)
    rows = data.split(b"\n")
    for _ in range(1 << rng.randrange(3)):
        i = rng.randrange(len(rows))
        cells = rows[i].split(b",")
        j = rng.randrange(len(cells))
        what = rng.randrange(5)
        if what == 0 and tokens:
            cells[j] = rng.choice(tokens)
        elif what == 1:
            cells[j] = octets(cells[j], rng, tokens=tokens)
        elif what == 2:
            del cells[j]
        elif what == 3:
            cells.insert(j, rng.choice(cells))
        else:
            rows.insert(i, rng.choice(rows))
            continue
        rows[i] = b",".join(cells)
    return b"\n".join(rows)[:MOST]


def document(data: bytes, rng: random.Random, **_: Any) -> bytes:
    """Return a JSON document (or lines of such) after some of its values were changed; now and then any octets."""
    if rng.random() < 0.15:
        return octets(data, rng, tokens=(b"{", b"[", b'"', b":", b",", b"null", b"1e999", b"NaN", b"\\ud800"))
    parts = data.splitlines() if data.count(b"\n{") else [data]
    i = rng.randrange(len(parts))
    value = json.loads(parts[i])
    for _ in range(1 << rng.randrange(3)):
        value = _changed(value, rng)
    parts[i] = json.dumps(value).encode()
    return b"\n".join(parts) + b"\n"


def _changed(value: Any, rng: random.Random) -> Any:
    """Return the value with something in it replaced, removed or doubled."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        what = rng.randrange(12)
        copy = dict(value)
        if what == 0:
            del copy[key]
        elif what == 1:
            copy[rng.choice(("", "x", "format", "path", key + key))] = copy.pop(key)
        else:
            copy[key] = _changed(copy[key], rng)
        return copy
    if isinstance(value, list) and value and rng.random() < 0.9:
        i = rng.randrange(len(value))
        what = rng.randrange(12)
        if what == 0:
            return value[:i] + value[i + 1 :]
        if what == 1:
            return value + value[: i + 1]
        return [*value[:i], _changed(value[i], rng), *value[i + 1 :]]
    if isinstance(value, (int, float)) and not isinstance(value, bool) and rng.random() < 0.5:
        return rng.choice((value + 1, value - 1, -value, value * 1000, value / 1000, float(value), rng.choice(NUMBERS)))
    return rng.choice(VALUES)


def pages(data: bytes, rng: random.Random, **more: Any) -> bytes:
    """Return changed octets with the checksums of all Ogg pages made right again, so that the decoder sees the change."""
    changed = bytearray(octets(data, rng, **more))
    at = changed.find(b"OggS")
    while at >= 0 and at + 27 <= len(changed):
        count = changed[at + 26]
        size = 27 + count + sum(changed[at + 27 : at + 27 + count])
        page = changed[at : at + size]
        if len(page) == size:
            page[22:26] = bytes(4)
            changed[at + 22 : at + 26] = _ogg_checksum(page).to_bytes(4, "little")
        at = changed.find(b"OggS", at + 1)
    return bytes(changed)


def _table() -> list[int]:
    found = []
    for i in range(256):
        value = i << 24
        for _ in range(8):
            value = (value << 1) ^ (0x04C11DB7 if value >> 31 else 0)
        found.append(value & 0xFFFFFFFF)
    return found


_OGG = _table()


def _ogg_checksum(page: bytearray) -> int:
    value = 0
    for octet in page:
        value = ((value << 8) & 0xFFFFFFFF) ^ _OGG[(value >> 24) ^ octet]
    return value


def message(data: bytes, rng: random.Random, **_: Any) -> bytes:
    """Return an ONNX file with fields of its messages changed, so that it is read as protocol buffers still."""
    import onnx

    if rng.random() < 0.2:
        return octets(data, rng)
    model = onnx.ModelProto()
    model.ParseFromString(data)
    for _ in range(1 << rng.randrange(3)):
        _change_message(model, rng)
    return model.SerializeToString()


def _change_message(found: Any, rng: random.Random) -> None:
    while True:
        fields = found.ListFields()
        if not fields:
            return
        field, value = rng.choice(fields)
        # protobuf before 6.31 has only the label, later ones warn of it
        repeated = field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED
        if field.message_type is not None and rng.random() < 0.85:
            found = rng.choice(value) if repeated else value
            continue
        break
    if rng.random() < 0.15:
        found.ClearField(field.name)
    elif repeated and field.message_type is not None:
        value.add().CopyFrom(rng.choice(value)) if rng.random() < 0.6 else value.__delitem__(rng.randrange(len(value)))
    elif repeated:
        i = rng.randrange(len(value))
        what = rng.randrange(3)
        if what == 0:
            del value[i]
        elif what == 1:
            value.append(value[i])
        else:
            with contextlib.suppress(ValueError):  # a number that the field has no room for
                value[i] = _of_kind(field, value[i], rng)
    elif field.message_type is None:
        with contextlib.suppress(ValueError):
            setattr(found, field.name, _of_kind(field, value, rng))


def _of_kind(field: Any, value: Any, rng: random.Random) -> Any:
    if isinstance(value, bytes):
        return octets(value, rng)
    if isinstance(value, str):
        return rng.choice(("", "x", "features", "logits", "Loop", "Reshape", "Gather", "ConstantOfShape", value + "0"))
    if isinstance(value, float):
        return rng.choice((0.0, -1.0, 1e30, float("inf"), float("nan")))
    if field.enum_type is not None:
        return rng.choice(list(field.enum_type.values_by_number))
    bits = 31 if field.cpp_type in (field.CPPTYPE_INT32, field.CPPTYPE_UINT32) else 62
    return rng.choice((0, 1, 2, 3, value + 1, max(0, value - 1), 1 << 20, (1 << bits) - 1)) * rng.choice((1, 1, 1, -1))
