"""Expressions over results: "strings and not drums". Parsed here, never run as code.

    expression = term { "or" term }            term = factor { "and" factor }
    factor     = "not" factor | "(" expression ")" | "only" label | label [ "." share ] [ comparison ]
    comparison = ( "<" | "<=" | ">" | ">=" ) number

A label alone is true where it plays. `only LABEL`: it plays and nothing else does; its own family and its own
instruments are nothing else (`only strings` matches a violin alone, `only violin` not violin and cello).
`drums > 0.8` compares the score; `strings.share > 0.5` the share of playing time; `duration < 60` seconds. Words in any
case.

A label that is no plain word, or a word of the language, is quoted: "Steel drum", 'not', "duration" > 0.5. Capitals matter
where labels differ by them alone.

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
from typing import Literal, NoReturn

from ..errors import UsageError, printable
from ..inference.recogniser import Prediction

_TOKEN = re.compile(
    r"\s*(?:(<=|>=|<|>|\(|\))"
    r"""|(?P<quote>["'])(?P<quoted>.*?)(?P=quote)(?P<share>\.share\b)?"""
    r"|([^\s<>()=!&|]+)|(\S))",
    re.IGNORECASE,
)
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_WORDS = ("and", "or", "not", "only")
_SHARE = ".share"
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
    """A number of the recording against a limit: its duration, or the score or share of time of the label `what`."""

    what: str
    sign: str
    limit: float
    number: Literal["duration", "score", "share"]

    def value(self, prediction: Prediction) -> float:
        """Return the recording's number."""
        if self.number == "duration":
            return prediction.duration
        numbers = prediction.shares() if self.number == "share" else prediction.scores
        return numbers.get(self.what, 0.0)

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


def quoted(label: str) -> str:
    """Return a label as an expression names it: in quotes where it is no plain word, or a word of the language."""
    plain = re.fullmatch(r"""[^\s<>()=!&|"'.]+""", label) and label.lower() not in (*_WORDS, "duration")
    return label if plain else f'"{label}"'


def parse(text: str, labels: Sequence[str], parents: Mapping[str, str] | None = None) -> Expression:
    """Return the expression. labels: the ids it may name. parents: of instruments, label id -> id of its family.

    Raises `UsageError` that points at what is wrong.
    """
    if len(text) > MAX_LENGTH:
        raise UsageError(f"the expression has {len(text):,} characters; at most {MAX_LENGTH:,} are read")
    return _Parser(text, labels, parents or {}).whole()


@dataclass(frozen=True)
class _Token:
    """A word or a sign. word: in small letters, "" for what was quoted; name: as written; share: whether .share follows."""

    word: str
    name: str
    place: int
    share: bool = False

    @classmethod
    def of(cls, match: re.Match[str]) -> _Token:
        text = match.group().strip()
        place = match.end() - len(text)
        if match["quote"]:
            return cls("", match["quoted"], place, bool(match["share"]))
        return cls(text.lower(), text, place)


class _Parser:
    def __init__(self, text: str, labels: Sequence[str], parents: Mapping[str, str]) -> None:
        self._text = text
        self._parents = parents
        self._labels = labels
        self._tokens = [_Token.of(match) for match in _TOKEN.finditer(text)]
        self._at = 0
        self._depth = 0

    def whole(self) -> Expression:
        if not self._tokens:
            raise UsageError(f"the expression is empty; for example: {' and not '.join(map(quoted, self._labels[:2]))}")
        found = self._either()
        if self._at < len(self._tokens):
            self._fail("and, or, or the end was expected")
        return found

    def _peek(self) -> str:
        return self._tokens[self._at].word if self._at < len(self._tokens) else ""

    def _take(self, word: str) -> bool:
        if self._peek() != word:
            return False
        self._at += 1
        return True

    def _fail(self, expected: str) -> NoReturn:
        if self._at < len(self._tokens):
            token = self._tokens[self._at]
            raise UsageError(f"in {self._text!r}, at {token.name!r} (character {token.place + 1}): {expected}")
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
        token = self._tokens[self._at] if self._at < len(self._tokens) else _Token("", "", 0)
        if token.share or token.word in _WORDS:
            self._fail_for_label()
        return self._take_label(token.name)

    def _take_label(self, name: str) -> str:
        """Take the label of that name, in any capitals where these are not all that labels differ by."""
        alike = [name] if name in self._labels else [label for label in self._labels if label.lower() == name.lower()]
        if len(alike) > 1:
            self._fail(f"write {' or '.join(map(quoted, alike))}, with these capitals")
        if not alike:
            self._fail_for_label()
        self._at += 1
        return alike[0]

    def _fail_for_label(self) -> NoReturn:
        self._fail(f"one of {', '.join(map(quoted, self._labels))} was expected")

    def _label_or_comparison(self) -> Expression:
        token = self._tokens[self._at] if self._at < len(self._tokens) else _Token("", "", 0)
        if token.word == "duration":
            self._at += 1
            return self._comparison("duration", "duration")
        if token.share or (token.word.endswith(_SHARE) and token.name not in self._labels):
            label = self._take_label(token.name if token.share else token.name[: -len(_SHARE)])
            return self._comparison(label, "share")
        label = self._label()
        return self._comparison(label, "score") if self._peek() in _COMPARE else Plays(label)

    def _comparison(self, what: str, number: Literal["duration", "score", "share"]) -> Compare:
        sign = self._peek()
        if sign not in _COMPARE:
            self._fail(f"{what}{_SHARE if number == 'share' else ''} needs < <= > or >= and a number")
        self._at += 1
        if not re.fullmatch(r"\d+(\.\d+)?", self._peek()):
            self._fail("a number was expected")
        limit = float(self._peek())
        self._at += 1
        return Compare(what, sign, limit, number)


def find(predictions: Iterable[Prediction], expression: Expression) -> list[tuple[float, Prediction]]:
    """Return (rank, recording) of all that match, the best first, then by path."""
    found = [(expression.rank(p), p) for p in predictions if expression.matches(p)]
    return sorted(found, key=lambda pair: (-round(pair[0], 6), pair[1].path))


def _entry(name: str, path: str) -> str:
    """Return a name as a line of a playlist; as an address where a line cannot hold it, because it would be cut there."""
    if len(name.splitlines()) != 1 or name != name.strip():
        return Path(path).as_uri()
    return f"./{name}" if name.startswith("#") else name


def playlist(found: Sequence[tuple[float, Prediction]], folder: Path) -> str:
    """Return an extended M3U playlist (UTF-8). folder: where it will lie; recordings below it are named relative to it."""
    lines = ["#EXTM3U"]
    for rank, prediction in found:
        path = os.path.abspath(prediction.path)  # noqa: PTH100 - links are not followed
        base = os.path.abspath(folder)  # noqa: PTH100
        inside = os.path.commonpath([path, base]) == base
        lines.append(f"#EXTINF:{round(prediction.duration)},{printable(Path(prediction.path).stem)} ({rank:.2f})")
        lines.append(_entry(os.path.relpath(path, base) if inside else path, path))
    return "\n".join(lines) + "\n"
