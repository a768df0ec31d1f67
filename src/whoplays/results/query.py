"""Expressions over results: "strings and not drums". Parsed here, never run as code.

    expression = term { "or" term }            term = factor { "and" factor }
    factor     = "not" factor | "(" expression ")" | "only" label | label [ "." share ] [ comparison ]
    comparison = ( "<" | "<=" | ">" | ">=" ) number

A label alone is true where it plays. `only LABEL`: it plays and nothing else does; its own family and its own
instruments are nothing else (`only strings` matches a violin alone, `only violin` not violin and cello).
`drums > 0.8` compares the score; `strings.share > 0.5` the share of playing time; `duration < 60` seconds. Words in any
case.

The rank of a match follows Zadeh (1965): a label's is its score, not x has 1 - x, and has the least, or the greatest;
a comparison's is 1 or 0.
"""

from __future__ import annotations

import operator
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError
from ..inference.recogniser import Prediction

_TOKEN = re.compile(r"\s*(?:(<=|>=|<|>|\(|\))|([^\s<>()=!&|]+)|(\S))")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_WORDS = ("and", "or", "not", "only")
MAX_LENGTH = 2_000  # characters
MAX_DEPTH = 40  # of parentheses and not


class Expression(ABC):
    """Something that a recording matches or not, and how well."""

    @abstractmethod
    def matches(self, prediction: Prediction) -> bool:
        """Tell whether it is true of the recording."""

    @abstractmethod
    def rank(self, prediction: Prediction) -> float:
        """Return how well it fits, 0 to 1."""


@dataclass(frozen=True)
class Plays(Expression):
    """The label plays; with `only`, nothing else does.

    related: the label's family, and the instruments below it; those are nothing else.
    """

    label: str
    only: bool = False
    related: frozenset[str] = frozenset()

    def matches(self, prediction: Prediction) -> bool:
        """See above."""
        playing = set(prediction.playing)
        return self.label in playing and not (self.only and playing - self.related - {self.label})

    def rank(self, prediction: Prediction) -> float:
        """Return the score; with `only`, no more than what the others leave."""
        own = prediction.scores.get(self.label, 0.0)
        apart = {self.label, *self.related}
        others = [score for label, score in prediction.scores.items() if label not in apart]
        return min(own, 1 - max(others, default=0.0)) if self.only else own


@dataclass(frozen=True)
class Compare(Expression):
    """A number of the recording against a limit. what: a label, a label with .share, or duration."""

    what: str
    sign: str
    limit: float

    def value(self, prediction: Prediction) -> float:
        """Return the recording's number."""
        if self.what == "duration":
            return prediction.duration
        label, _, share = self.what.partition(".")
        return prediction.shares().get(label, 0.0) if share else prediction.scores.get(label, 0.0)

    def matches(self, prediction: Prediction) -> bool:
        """See above."""
        return _COMPARE[self.sign](self.value(prediction), self.limit)

    def rank(self, prediction: Prediction) -> float:
        """Return 1 or 0."""
        return float(self.matches(prediction))


@dataclass(frozen=True)
class Not(Expression):
    """The opposite."""

    part: Expression

    def matches(self, prediction: Prediction) -> bool:
        """See above."""
        return not self.part.matches(prediction)

    def rank(self, prediction: Prediction) -> float:
        """Return the complement."""
        return 1 - self.part.rank(prediction)


@dataclass(frozen=True)
class Both(Expression):
    """All parts."""

    parts: tuple[Expression, ...]

    def matches(self, prediction: Prediction) -> bool:
        """See above."""
        return all(part.matches(prediction) for part in self.parts)

    def rank(self, prediction: Prediction) -> float:
        """Return the least."""
        return min(part.rank(prediction) for part in self.parts)


@dataclass(frozen=True)
class Either(Expression):
    """Any part."""

    parts: tuple[Expression, ...]

    def matches(self, prediction: Prediction) -> bool:
        """See above."""
        return any(part.matches(prediction) for part in self.parts)

    def rank(self, prediction: Prediction) -> float:
        """Return the greatest of those that match."""
        return max((part.rank(prediction) for part in self.parts if part.matches(prediction)), default=0.0)


def parse(text: str, labels: Sequence[str], parents: Mapping[str, str] | None = None) -> Expression:
    """Return the expression. labels: the ids it may name. parents: of instruments, label id -> id of its family.

    Raises `UsageError` that points at what is wrong.
    """
    if len(text) > MAX_LENGTH:
        raise UsageError(f"the expression has {len(text):,} characters; at most {MAX_LENGTH:,} are read")
    return _Parser(text, labels, parents or {}).whole()


class _Parser:
    def __init__(self, text: str, labels: Sequence[str], parents: Mapping[str, str]) -> None:
        self._text = text
        self._parents = parents
        self._labels = {label.lower(): label for label in labels}
        self._tokens = [(m.group().strip(), m.end() - len(m.group().strip())) for m in _TOKEN.finditer(text)]
        self._at = 0
        self._depth = 0

    def whole(self) -> Expression:
        if not self._tokens:
            raise UsageError(
                f"the expression is empty; for example: {' and not '.join(list(self._labels.values())[:2])}"
            )
        found = self._either()
        if self._peek():
            self._fail("and, or, or the end was expected")
        return found

    def _peek(self) -> str:
        return self._tokens[self._at][0].lower() if self._at < len(self._tokens) else ""

    def _take(self, word: str) -> bool:
        if self._peek() != word:
            return False
        self._at += 1
        return True

    def _fail(self, expected: str) -> None:
        if self._at < len(self._tokens):
            token, place = self._tokens[self._at]
            raise UsageError(f"in {self._text!r}, at {token!r} (character {place + 1}): {expected}")
        raise UsageError(f"{self._text!r} ends too early: {expected}")

    def _either(self) -> Expression:
        parts = [self._both()]
        while self._take("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _both(self) -> Expression:
        parts = [self._factor()]
        while self._take("and"):
            parts.append(self._factor())
        return parts[0] if len(parts) == 1 else Both(tuple(parts))

    def _factor(self) -> Expression:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._fail(f"more than {MAX_DEPTH} levels deep")
        found = self._inner()
        self._depth -= 1
        return found

    def _inner(self) -> Expression:
        if self._take("not"):
            return Not(self._factor())
        if self._take("("):
            found = self._either()
            if not self._take(")"):
                self._fail(") was expected")
            return found
        if self._take("only"):
            label = self._label()
            related = {self._parents.get(label), *(one for one, family in self._parents.items() if family == label)}
            return Plays(label, only=True, related=frozenset(one for one in related if one))
        return self._label_or_comparison()

    def _label(self) -> str:
        label = self._labels.get(self._peek())
        if label is None:
            self._fail(f"one of {', '.join(self._labels.values())} was expected")
        self._at += 1
        return str(label)

    def _label_or_comparison(self) -> Expression:
        word = self._peek()
        name, dot, share = word.partition(".")
        if word == "duration" or (dot and share == "share" and name in self._labels):
            self._at += 1
            what = word if word == "duration" else f"{self._labels[name]}.share"
            if self._peek() not in _COMPARE:
                self._fail(f"{what} needs < <= > or >= and a number")
            return self._comparison(what)
        label = self._label()
        return self._comparison(label) if self._peek() in _COMPARE else Plays(label)

    def _comparison(self, what: str) -> Compare:
        sign = self._peek()
        self._at += 1
        if not re.fullmatch(r"\d+(\.\d+)?", self._peek()):
            self._fail("a number was expected")
        limit = float(self._peek())
        self._at += 1
        return Compare(what, sign, limit)


def find(predictions: Iterable[Prediction], expression: Expression) -> list[tuple[float, Prediction]]:
    """Return (rank, recording) of all that match, the best first, then by path."""
    found = [(expression.rank(p), p) for p in predictions if expression.matches(p)]
    return sorted(found, key=lambda pair: (-round(pair[0], 6), pair[1].path))


def playlist(found: Sequence[tuple[float, Prediction]], folder: Path) -> str:
    """Return an extended M3U playlist (UTF-8). folder: where it will lie; recordings below it are named relative to it."""
    lines = ["#EXTM3U"]
    for rank, prediction in found:
        path = os.path.abspath(prediction.path)  # noqa: PTH100 - links are not followed
        base = os.path.abspath(folder)  # noqa: PTH100
        inside = os.path.commonpath([path, base]) == base
        title = re.sub(r"[\r\n]+", " ", Path(prediction.path).stem)
        lines.append(f"#EXTINF:{round(prediction.duration)},{title} ({rank:.2f})")
        lines.append(re.sub(r"[\r\n]", "?", os.path.relpath(path, base) if inside else path))
    return "\n".join(lines) + "\n"
