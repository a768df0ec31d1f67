"""A call's arguments, checked against their annotations: an error names the argument, not what broke deep within.

An annotation may carry its own words for people: `Annotated[float | str, "seconds, or m:ss"]`.
"""

from __future__ import annotations

import inspect
import os
import typing
from collections.abc import Callable, Iterable, Mapping
from functools import cache, wraps
from numbers import Real
from types import NoneType, SimpleNamespace, UnionType
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin

from ..errors import UsageError, printable

Given = ParamSpec("Given")
Returned = TypeVar("Returned")

_WORDS: Mapping[Any, str] = {
    float: "a number",
    int: "a whole number",
    str: "text",
    bool: "True or False",
    os.PathLike: "a path",
    Callable: "a function",
    Mapping: "a mapping",
    NoneType: "None",
}


def checked(function: Callable[Given, Returned]) -> Callable[Given, Returned]:
    """Let a function raise `UsageError` for an argument that its annotation does not allow, before it begins."""
    signature = inspect.signature(function)

    @wraps(function)
    def call(*args: Given.args, **kwargs: Given.kwargs) -> Returned:
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError:  # a name that is unknown, or missing: Python says so itself
            return function(*args, **kwargs)
        hints = _hints(function)
        for name, value in given.items():
            if name in hints and not fits(value, hints[name]):
                seen = printable(repr(value))
                seen = seen if len(seen) <= 60 else f"{seen[:57]}..."
                what = function.__qualname__.removesuffix(".__init__").rpartition(".")[2]
                raise UsageError(f"{what}: {name} is {seen} ({type(value).__name__}); it takes {words(hints[name])}")
        return function(*args, **kwargs)

    return call


@cache
def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    parameters = {name: hint for name, hint in function.__annotations__.items() if name != "return"}
    return typing.get_type_hints(SimpleNamespace(__annotations__=parameters), function.__globals__, include_extras=True)


def fits(value: Any, hint: Any) -> bool:
    """Tell whether an annotation allows a value; of a list or tuple, each item. What is not understood is allowed."""
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if kind is Annotated:
        return fits(value, inner[0])
    if kind in (Union, UnionType):
        return any(fits(value, one) for one in inner)
    if kind is Literal:
        return value in inner
    if kind in (int, float):
        number = isinstance(value, Real) and not isinstance(value, bool)
        return number and (kind is float or value == value // 1)  # rates come as 44100.0, too
    if kind is bool:
        return type(value).__name__ in ("bool", "bool_") or isinstance(value, int) and value in (0, 1)
    if not isinstance(kind, type):
        return True
    if issubclass(kind, typing.IO):
        return hasattr(value, "read")
    if hasattr(kind, "__array__"):  # what NumPy can make an array of
        return hasattr(value, "__array__") or isinstance(value, (list, tuple))
    if kind is Iterable and isinstance(value, (list, tuple)):
        return all(fits(one, inner[0]) for one in value)
    return isinstance(value, kind) and not (kind is Iterable and isinstance(value, (str, bytes)))


def words(hint: Any) -> str:
    """Return what an annotation allows, for people."""
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if kind is Annotated:
        return str(inner[1])
    if kind in (Union, UnionType):
        kinds = [words(one) for one in inner]
        if "a path" in kinds and "text" in kinds:
            kinds.remove("text")
        *first, last = dict.fromkeys(kinds)
        return f"{', '.join(first)} or {last}" if first else last
    if kind is Literal:
        return ", ".join(map(repr, inner))
    if kind is Iterable:
        return f"a list (each item: {words(inner[0])})"
    name = "array" if hasattr(kind, "__array__") else getattr(kind, "__name__", str(kind))
    return _WORDS.get(kind) or f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
