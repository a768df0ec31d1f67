"""What an ONNX file holds, read from its bytes before anything opens it: a network of known arithmetic, or refused.

ONNX is protocol buffers (onnx.proto, IR version 13), and this is the small part of a reader that the checks need: it
walks every graph, node, attribute and tensor, nested ones too, and takes no number in the file on trust. A field that
the format does not know here is refused as well, since nobody could say what it makes a runtime do.

What is refused, and why:

- data outside the file (it names paths, or, to ONNX Runtime, addresses in memory)
- operators that are not arithmetic of ONNX itself or of ONNX Runtime's own set: code that has to be loaded from elsewhere
- functions of the file's own (each can call another twice: 30 of them make a billion nodes)
- `Loop` (its end is data: it may never come) and random numbers (the same recording would not give the same answer)
- tensors whose claimed shape is not what they hold, sparse ones and text; weights that are NaN or infinite
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ..errors import ModelError, printable

MAX_DEPTH = 16  # of graphs within nodes
MAX_NODES = 100_000
MAX_TENSORS = 100_000

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WIRES = {
    **{"number": {_VARINT}, "float": {_FIXED32}, "bytes": {_BYTES}},
    **{"numbers": {_VARINT, _BYTES}, "floats": {_FIXED32, _BYTES}, "doubles": {_FIXED64, _BYTES}},
}

#: What may stand in each message: field number -> a kind of value, the message it holds, or why it is refused.
#: A value in another encoding than its kind's would be passed over by protocol buffers, so it is refused as well.
SCHEMA: dict[str, dict[int, str]] = {
    "Model": {
        **{1: "number", 2: "bytes", 3: "bytes", 4: "bytes", 5: "number", 6: "bytes", 8: "bytes", 14: "bytes"},
        **{7: "Graph", 20: "training", 25: "function", 26: "bytes"},
    },
    "Graph": {1: "Node", 5: "Tensor", 15: "sparse", **dict.fromkeys((2, 10, 11, 12, 13, 14, 16), "bytes")},
    "Node": {5: "Attribute", **dict.fromkeys((1, 2, 3, 4, 6, 7, 8, 9, 10), "bytes")},
    "Attribute": {
        **{1: "bytes", 2: "float", 3: "number", 4: "bytes", 7: "floats", 8: "numbers", 9: "bytes", 13: "bytes"},
        **{14: "bytes", 15: "bytes", 20: "number", 21: "bytes"},
        **{5: "Tensor", 10: "Tensor", 6: "Graph", 11: "Graph", 22: "sparse", 23: "sparse"},
    },
    "Tensor": {
        **{1: "numbers", 2: "number", 3: "segment", 4: "floats", 5: "numbers", 6: "bytes", 7: "numbers", 8: "bytes"},
        **{9: "bytes", 10: "doubles", 11: "numbers", 12: "bytes", 13: "external", 14: "external", 16: "bytes"},
    },
}

_KIND, _DOMAIN = 4, 7  # fields of a node: the operator, and whose it is

_REFUSED = {
    "segment": "holds a tensor in segments; store it as one",
    "training": "holds a training graph; export the network alone",
    "function": "defines functions of its own; export it with them written out",
    "sparse": "holds a sparse tensor; store it as a dense one",
}

#: Operators of ONNX that no network for detection needs, and what is wrong with each.
_OPERATORS_REFUSED = {
    **dict.fromkeys(("Loop", "SequenceMap"), "may run without end"),
    **dict.fromkeys(
        ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"),
        "gives random numbers",
    ),
}

_QUANTISER_AND_OPTIMISER = (
    "Attention BiasAdd BiasGelu BiasSoftmax DequantizeLinear DynamicQuantizeLSTM DynamicQuantizeMatMul FastGelu "
    "FusedConv FusedGemm FusedMatMul Gelu MatMulInteger16 MatMulIntegerToFloat MatMulNBits MultiHeadAttention "
    "NhwcMaxPool QAttention QGemm QLinearAdd QLinearAveragePool QLinearConcat QLinearConv QLinearGlobalAveragePool "
    "QLinearLeakyRelu QLinearMul QLinearReduceMean QLinearSigmoid QLinearSoftmax QLinearWhere QuantizeLinear "
    "QuickGelu SkipLayerNormalization TransposeMatMul"
)
_IN_BLOCKS_OF_CHANNELS = "AveragePool Conv GlobalAveragePool GlobalMaxPool MaxPool ReorderInput ReorderOutput Upsample"
#: Operators that are no part of ONNX but arithmetic of ONNX Runtime: domain -> names.
_RUNTIME_OPERATORS = {
    "com.microsoft": frozenset(_QUANTISER_AND_OPTIMISER.split()),
    "com.microsoft.nchwc": frozenset(_IN_BLOCKS_OF_CHANNELS.split()),
}

_BITS = {
    **{1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 16: 16},
    **{17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4},  # 8-bit floating point; 4-bit integers, two a byte
}
_TEXT = 8
#: data type -> the field that holds its values where they are not raw bytes
_TYPED = {1: 4, 7: 7, 11: 10, 12: 11, 13: 11}


class _Part(NamedTuple):
    """One field of a message: its number, its wire type, its number or where its bytes begin, and where they end."""

    number: int
    wire: int
    value: int
    end: int


@dataclass
class Contents:
    """What was found: operators with how often each occurs, tensors, and the numbers in them."""

    operators: Counter[str] = field(default_factory=Counter)
    tensors: int = 0
    numbers: int = 0

    @property
    def nodes(self) -> int:
        """All operators, each as often as it occurs."""
        return self.operators.total()


def inspect(data: bytes) -> Contents:
    """Return what an ONNX file holds. Raises `ModelError`, without the file's name, for what is no harmless network."""
    found = Contents()
    graphs = 0
    for part in _checked(data, "Model", 0, len(data)):
        if part.number == 7:
            graphs += 1
            _walk(data, "Graph", part, 1, found)
    if graphs != 1:
        raise ModelError(f"is no ONNX network: it holds {graphs} graphs, not one")
    return found


def _walk(data: bytes, message: str, whole: _Part, depth: int, found: Contents) -> None:
    """Look through a graph, a node or an attribute, and all that it holds. depth: of the graph that it is, or is in."""
    if depth > MAX_DEPTH:
        raise ModelError(f"its graphs lie within each other more than {MAX_DEPTH} deep")
    named = {_KIND: "", _DOMAIN: ""}
    for part in _checked(data, message, whole.value, whole.end):
        inner = SCHEMA[message][part.number]
        if inner == "Tensor":
            found.tensors += 1
            if found.tensors > MAX_TENSORS:
                raise ModelError(f"holds more than {MAX_TENSORS:,} tensors")
            found.numbers += _Tensor(data, part).check()
        elif inner in SCHEMA:
            _walk(data, inner, part, depth + (inner == "Graph"), found)
        elif message == "Node" and part.number in named:
            named[part.number] = data[part.value : part.end].decode("utf-8", "replace")
    if message == "Node":
        _check_operator(named[_KIND], named[_DOMAIN])
        found.operators[named[_KIND]] += 1
        if found.nodes > MAX_NODES:
            raise ModelError(f"has more than {MAX_NODES:,} operators")


def _check_operator(kind: str, domain: str) -> None:
    shown = printable(f"{domain}.{kind}" if domain else kind)[:80]
    if domain in _RUNTIME_OPERATORS:
        if kind not in _RUNTIME_OPERATORS[domain]:
            raise ModelError(f"uses the operator {shown}, which is no arithmetic that is known here")
    elif domain not in ("", "ai.onnx", "ai.onnx.ml"):
        raise ModelError(f"uses the operator {shown}, which is none of ONNX; export it with ONNX's own operators")
    elif kind in _OPERATORS_REFUSED:
        raise ModelError(f"uses the operator {shown}, which {_OPERATORS_REFUSED[kind]}; export it without")


class _Tensor:
    """One tensor: what it claims, and what it holds."""

    def __init__(self, data: bytes, tensor: _Part) -> None:
        self._data = data
        self._name = ""
        self._type = 0
        self._dims: list[int] = []
        self._raw: bytes | None = None
        self._values: dict[int, list[_Part]] = {}
        for part in _checked(data, "Tensor", tensor.value, tensor.end):
            if part.number == 1:
                self._dims += [n - (1 << 64) if n >> 63 else n for n in _numbers(data, part)]  # two's complement
            elif part.number == 2:
                self._type = part.value
            elif part.number == 8:
                self._name = data[part.value : part.end].decode("utf-8", "replace")[:60]
            elif part.number == 9:
                self._raw = data[part.value : part.end]
            elif part.number in (4, 5, 6, 7, 10, 11):
                self._values.setdefault(part.number, []).append(part)

    def check(self) -> int:
        """Return how many numbers it holds. Raises `ModelError` unless they are as many as it claims, and finite."""
        if self._type == _TEXT or 6 in self._values:
            raise ModelError(f"its tensor {self._name!r} holds text; numbers alone are read")
        if self._type not in _BITS:
            raise ModelError(f"its tensor {self._name!r} is of type {self._type}, which is not known here")
        claimed = 1
        for size in self._dims:
            if size < 0:
                raise ModelError(f"its tensor {self._name!r} claims the shape {self._dims[:8]}")
            claimed *= size
        held = self._held(claimed)
        if held != claimed:
            raise ModelError(f"its tensor {self._name!r} claims {claimed:,} numbers, and holds {held:,}")
        floats = self._floats()
        if claimed > 1 and floats is not None and not np.isfinite(floats).all():
            raise ModelError(f"its tensor {self._name!r} holds NaN or infinite weights; train or export it again")
        # One infinite number is a bound, as of a maximum that begins at -inf.
        if claimed == 1 and floats is not None and np.isnan(floats).any():
            raise ModelError(f"its tensor {self._name!r} is NaN; train or export it again")
        return claimed

    def _held(self, claimed: int) -> int:
        if self._raw is not None:
            if self._values:
                raise ModelError(f"its tensor {self._name!r} holds its numbers twice")
            bits = _BITS[self._type]
            if bits == 4:
                return claimed if len(self._raw) == (claimed + 1) // 2 else 2 * len(self._raw)
            return 8 * len(self._raw) // bits if 8 * len(self._raw) % bits == 0 else -1
        right = _TYPED.get(self._type, 5)
        if set(self._values) - {right}:
            raise ModelError(f"its tensor {self._name!r} holds numbers of another type than it claims")
        if _BITS[self._type] == 4:
            raise ModelError(f"its tensor {self._name!r} holds 4-bit numbers unpacked; store them as raw data")
        return sum(_count(self._data, part, right) for part in self._values.get(right, ()))

    def _floats(self) -> np.ndarray | None:
        """Return the numbers where they are floating point of 16, 32 or 64 bits."""
        if self._type == 16:  # the upper half of 32 bits
            return (self._words("<u2").astype(np.uint32) << 16).view(np.float32)
        if self._type == 10:
            return self._words("<u2").view(np.float16)
        if self._type in (1, 11):
            return self._words("<f4" if self._type == 1 else "<f8")
        return None

    def _words(self, kind: str) -> np.ndarray:
        if self._raw is not None:
            return np.frombuffer(self._raw, dtype=kind)
        parts = self._values.get(_TYPED.get(self._type, 5), [])
        if kind == "<u2":
            return np.array([n & 0xFFFF for part in parts for n in _numbers(self._data, part)], dtype=kind)
        return np.frombuffer(b"".join(self._data[part.value : part.end] for part in parts), dtype=kind)


def _checked(data: bytes, message: str, start: int, end: int) -> Iterator[_Part]:
    """Yield the fields of a message, each of them known. Raises `ModelError`."""
    known = SCHEMA[message]
    for part in _fields(data, start, end):
        kind = known.get(part.number)
        if kind is None:
            raise ModelError(f"is no ONNX that is known here: field {part.number} of a {message.lower()}")
        if kind == "external":
            if part.wire != _VARINT or part.value:  # a location of 0 says: in this file
                raise ModelError("keeps weights outside the file; save it as one file, without external data")
        elif kind in _REFUSED:
            raise ModelError(_REFUSED[kind])
        elif part.wire not in _WIRES.get(kind, {_BYTES}):
            raise ModelError(f"is no ONNX file, or a damaged one: field {part.number} of a {message.lower()}")
        yield part


def _fields(data: bytes, at: int, end: int) -> Iterator[_Part]:
    while at < end:
        key, at = _varint(data, at, end)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(data, at, end)
            yield _Part(number, wire, value, at)
            continue
        if wire == _BYTES:
            size, at = _varint(data, at, end)
        elif wire in (_FIXED32, _FIXED64):
            size = 4 if wire == _FIXED32 else 8
        else:
            raise ModelError(f"is no ONNX file, or a damaged one (wire type {wire} at byte {at:,})")
        if size > end - at:
            raise ModelError(f"is no ONNX file, or is cut short ({size:,} bytes are said to follow byte {at:,})")
        yield _Part(number, wire, at, at + size)
        at += size


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
        shift += 7
    raise ModelError(f"is no ONNX file, or a damaged one (a number without end at byte {at:,})")


def _numbers(data: bytes, part: _Part) -> Iterator[int]:
    """Yield the integers of a repeated field, packed or one by one."""
    if part.wire != _BYTES:
        yield part.value
        return
    at = part.value
    while at < part.end:
        value, at = _varint(data, at, part.end)
        yield value


def _count(data: bytes, part: _Part, number: int) -> int:
    """Return how many values a repeated field of numbers holds."""
    if part.wire != _BYTES:
        return 1
    held = np.frombuffer(data, dtype=np.uint8, count=part.end - part.value, offset=part.value)
    if number in (4, 10):
        size = 4 if number == 4 else 8
        return len(held) // size if len(held) % size == 0 else -1
    return int((held < 0x80).sum())  # each varint ends with the one byte that has no continuation bit
