"""The weights of a TensorFlow Lite file, read without TensorFlow: layers in the order in which they run.

A .tflite file is one FlatBuffers table (schema_v3 of TensorFlow Lite). Weights of a quantised network are whole numbers
with a scale, one for all or one for each output; they are given here as the numbers they stand for.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

#: Operators that have weights (numbers of the enumeration BuiltinOperator): their inputs are data, weights, bias.
_WEIGHTED: Final = {3: "conv", 4: "depthwise", 9: "linear"}
_MULTIPLY: Final = 18
_TYPES: Final = {0: "<f4", 2: "<i4", 9: "i1"}


class Layer(NamedTuple):
    """One operator with constants of its own.

    Attributes
    ----------
    kind : str
        "conv", "depthwise", "linear" or "multiply" (by a constant).
    weights : array
        As TensorFlow Lite stores them: conv (out, height, width, in), depthwise (1, height, width, out), linear
        (out, in), multiply of any shape.
    bias : array (out,)
        Zeros where there is none.
    """

    kind: str
    weights: Array
    bias: Array


class _Table:
    """A FlatBuffers table: fields are found by their number in the schema."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at
        self._fields = at - struct.unpack_from("<i", data, at)[0]

    def _field(self, number: int) -> int | None:
        """Return where a field lies, or None when the file leaves it at its default."""
        size = struct.unpack_from("<H", self._data, self._fields)[0]
        if 4 + 2 * number >= size:
            return None
        offset = struct.unpack_from("<H", self._data, self._fields + 4 + 2 * number)[0]
        return self._at + offset if offset else None

    def number(self, field: int, form: str) -> int:
        """Return a number of `struct`'s format `form`; 0 is the default of all that are read here."""
        at = self._field(field)
        return 0 if at is None else int(struct.unpack_from(form, self._data, at)[0])

    def array(self, field: int, dtype: str) -> NDArray[Any]:
        """Return a vector of numbers (n,)."""
        at = self._field(field)
        if at is None:
            return np.zeros(0, dtype=dtype)
        start = at + struct.unpack_from("<I", self._data, at)[0]
        count = struct.unpack_from("<I", self._data, start)[0]
        return np.frombuffer(self._data, dtype=dtype, count=count, offset=start + 4)

    def tables(self, field: int) -> list[_Table]:
        """Return a vector of tables."""
        at = self._field(field)
        if at is None:
            return []
        start = at + struct.unpack_from("<I", self._data, at)[0]
        count = struct.unpack_from("<I", self._data, start)[0]
        places = [start + 4 + 4 * i for i in range(count)]
        return [_Table(self._data, place + struct.unpack_from("<I", self._data, place)[0]) for place in places]

    def table(self, field: int) -> _Table | None:
        """Return a table within this one."""
        at = self._field(field)
        return None if at is None else _Table(self._data, at + struct.unpack_from("<I", self._data, at)[0])


def layers(path: Path) -> list[Layer]:
    """Return the layers with constant weights of the first network in a .tflite file.

    Raises
    ------
    ValueError
        When the file is not TensorFlow Lite, or has weights of a type that is not read here.
    """
    data = Path(path).read_bytes()
    if data[4:8] != b"TFL3":
        raise ValueError(f"{path} is not a TensorFlow Lite file")
    model = _Table(data, struct.unpack_from("<I", data, 0)[0])
    # OperatorCode: the older field holds a byte, the newer one, number 3, what does not fit into it.
    codes = [max(code.number(0, "<b"), code.number(3, "<i")) for code in model.tables(1)]
    buffers = model.tables(4)
    network = model.tables(2)[0]
    tensors = network.tables(0)
    found = []
    for operator in network.tables(3):
        code = codes[operator.number(0, "<I")]
        if code not in _WEIGHTED and code != _MULTIPLY:
            continue
        constants = [i for i in operator.array(1, "<i4")[1:].tolist() if i >= 0]
        values = [_value(tensors[i], buffers) for i in constants]
        if not values or values[0] is None:
            continue
        bias = values[1] if len(values) > 1 and values[1] is not None else np.zeros(values[0].shape[0], np.float32)
        found.append(Layer(_WEIGHTED.get(code, "multiply"), values[0], bias))
    return found


def _value(tensor: _Table, buffers: list[_Table]) -> Array | None:
    """Return the numbers that a constant tensor stands for, or None when it is no constant."""
    raw = buffers[tensor.number(2, "<I")].array(0, "u1")
    if raw.size == 0:
        return None
    kind = tensor.number(1, "<b")
    if kind not in _TYPES:
        raise ValueError(f"weights of type {kind} are not read; known are {sorted(_TYPES)} (float32, int32, int8)")
    values = np.frombuffer(raw.tobytes(), dtype=_TYPES[kind]).reshape(tensor.array(0, "<i4")).astype(np.float32)
    quantisation = tensor.table(4)
    if kind == 0 or quantisation is None:
        return values
    scale, zero = quantisation.array(2, "<f4"), quantisation.array(3, "<i8")
    axis = quantisation.number(6, "<i")
    shape = [-1 if i == axis else 1 for i in range(values.ndim)] if scale.size > 1 else [1] * values.ndim
    return np.asarray((values - zero.astype(np.float32).reshape(shape)) * scale.reshape(shape), dtype=np.float32)
