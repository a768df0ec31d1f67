"""Docstrings: sections fit signatures, what the reference documents has them all, and examples give what they say."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "whoplays"


def module_of(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path.read_text(encoding="utf-8") for path in sorted(SOURCE.rglob("*.py"))}
WITH_EXAMPLES = [name for name, text in MODULES.items() if ">>> " in text]


def section(doc: str, title: str) -> str:
    """Return the lines of a section of a numpydoc docstring; "" without it."""
    found = re.search(rf"^{title}\n-{{{len(title)}}}\n(.*?)(?=^\w[\w ]*\n---|\Z)", doc, re.DOTALL | re.MULTILINE)
    return found[1] if found else ""


def described(doc: str) -> list[str]:
    """Return the names under Parameters; several may share a line."""
    lines = re.findall(r"^(\S.*)$", section(doc, "Parameters"), re.MULTILINE)
    return [name.lstrip("*") for line in lines for name in line.partition(" : ")[0].split(", ")]


def parameters(function: Callable[..., Any]) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]


def callables(module: Any) -> Iterator[tuple[str, Callable[..., Any], str]]:
    """Yield name, function and docstring of what a module defines in public; a class has its parameters in its own."""
    for name, value in vars(module).items():
        if name.startswith("_") or getattr(value, "__module__", None) != module.__name__:
            continue
        if inspect.isfunction(value):
            yield name, value, inspect.getdoc(value) or ""
        if inspect.isclass(value):
            if "__init__" in vars(value) and section(inspect.getdoc(value) or "", "Parameters"):
                yield name, value.__init__, inspect.getdoc(value) or ""
            for inner, one in vars(value).items():
                function = getattr(one, "__func__", one)
                if inspect.isfunction(function) and not inner.startswith("_"):
                    yield f"{name}.{inner}", function, inspect.getdoc(function) or ""


def documented() -> list[Any]:
    """Return what docs/reference/python.md shows: (module, names); no names: all public ones."""
    text = (ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^::: (\S+)(?:\n +options:\n +members: \[(.*?)\])?", text, re.MULTILINE)
    return [pytest.param(module, set(names.split(", ")) if names else None, id=module) for module, names in blocks]


@pytest.mark.parametrize("name", [name for name, text in MODULES.items() if "Parameters\n" in text])
def test_parameters_that_are_described_are_those_of_the_signature(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        pytest.skip(f"an extra is not installed: {error}")
    for at, function, doc in callables(module):
        if described(doc):
            assert described(doc) == parameters(function), at


def test_every_public_method_is_described_by_itself_or_by_what_it_overrides() -> None:
    nodes = [node for text in MODULES.values() for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef)]

    def is_described(owner: ast.ClassDef, name: str) -> bool:
        own = [node for node in owner.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        bases = {base.id for base in owner.bases if isinstance(base, ast.Name)}
        above = [node for node in nodes if node.name in bases and node is not owner]
        mine = any(node.name == name and ast.get_docstring(node) for node in own)
        return mine or any(is_described(base, name) for base in above)

    methods = [
        (owner, node.name)
        for owner in nodes
        for node in owner.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_")
    ]
    public = [(owner, name) for owner, name in methods if not owner.name.startswith("_")]
    assert len(public) > 300
    assert not [f"{owner.name}.{name}" for owner, name in public if not is_described(owner, name)]


@pytest.mark.parametrize("name, members", documented())
def test_the_reference_says_what_goes_in_and_what_comes_out(name: str, members: set[str] | None) -> None:
    module = importlib.import_module(name)
    found = [
        (at, function, doc)
        for at, function, doc in callables(module)
        if members is None or at.partition(".")[0] in members
    ]
    assert found or all(issubclass(getattr(module, member), Exception) for member in members or [""])
    for at, function, doc in found:
        accepted = parameters(function)
        assert not accepted or described(doc) == accepted, f"{at}: {accepted}"
        returns = str(inspect.signature(function).return_annotation)
        if accepted and returns != "None":
            assert section(doc, "Returns") or section(doc, "Yields"), at


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_give_what_they_say(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        pytest.skip(f"an extra is not installed: {error}")
    outcome = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert outcome.attempted and not outcome.failed


def test_a_parameter_that_is_forgotten_is_found() -> None:
    doc = "Do.\n\nParameters\n----------\na, b : int\n    Numbers.\n*rest\n    More.\n\nReturns\n-------\nint\n"
    assert described(doc) == ["a", "b", "rest"] and section(doc, "Returns") == "int\n" and not section(doc, "Yields")
