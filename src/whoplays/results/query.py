"""Expressions over results: "strings and not drums". Parsed here, never run as code; their meaning is in expressions.py.

    expression = term { "or" term }            term = factor { "and" factor }
    factor     = "not" factor | "(" expression ")" | "only" ( label | "(" label { "and" label } ")" )
               | "maybe" "(" label ")" | "path" pattern | label { "and" label } "together" [ comparison ]
               | label "alone" [ comparison ] | label [ "." measure ] [ comparison ]
    measure    = "share" | "seconds" | "longest"
    comparison = ( "<" | "<=" | ">" | ">=" ) number

A label alone is true where it plays. `only LABEL`: it plays and nothing else does; its own family and its own
instruments are nothing else (`only strings` matches a violin alone, `only violin` not violin and cello).
`drums > 0.8` compares the score; `strings.share > 0.5` the share of playing time, `.seconds` that time, `.longest` the longest
segment; `guitar alone >= 10` the seconds in which nothing else plays, `guitar and drums together >= 20` those in which both
do; `duration < 60` seconds; `path "live*"` the path. Words in any case.

A label that is no plain word, or a word of the language, is quoted: "Steel drum", 'not', "duration" > 0.5. Capitals matter
where labels differ by them alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn, TypeVar

from ..errors import UsageError, did_you_mean, printable
from ..inference.prediction import Prediction
from ..taxonomy.catalogue import catalogue
from . import expressions
from .expressions import COMPARE, MEASURES, Both, Compare, Either, Expression, Maybe, Not, Number, Plays, Together
from .formats.base import span
from .spans import Spans

Part = TypeVar("Part")

_TOKEN = re.compile(
    r"\s*(?:(<=|>=|<|>|\(|\))"
    r"""|(?P<quote>["'])(?P<quoted>.*?)(?P=quote)(?:\.(?P<measure>share|seconds|longest)\b)?"""
    r"|([^\s<>()=!&|]+)|(\S))",
    re.IGNORECASE,
)
_WORDS = ("and", "or", "not", "only")
_ALSO_QUOTED = ("duration", "path", "maybe", "alone", "together")
MAX_LENGTH = 2_000  # characters
MAX_DEPTH = 40  # of parentheses and not


def quoted(label: str) -> str:
    """Return a label as an expression names it: in quotes where it is no plain word, or a word of the language."""
    plain = re.fullmatch(r"""[^\s<>()=!&|"'.]+""", label) and label.lower() not in (*_WORDS, *_ALSO_QUOTED)
    return label if plain else f'"{label}"'


def parse(text: str, labels: Sequence[str], parents: Mapping[str, str] | None = None) -> Expression:
    """Return the expression. labels: the ids it may name. parents: of instruments, label id -> id of its family.

    Raises `UsageError` that points at what is wrong.
    """
    if len(text) > MAX_LENGTH:
        raise UsageError(f"the expression has {len(text):,} characters; at most {MAX_LENGTH:,} are read")
    return _Parser(text, labels, parents or {}).whole()


class _Token(NamedTuple):
    """A word or a sign. word: in small letters, "" for what was quoted; name: as written; measure: of .share and such."""

    word: str = ""
    name: str = ""
    place: int = 0
    measure: str = ""

    @classmethod
    def of(cls, match: re.Match[str]) -> _Token:
        text = match.group().strip()
        place = match.end() - len(text)
        if match["quote"]:
            return cls("", match["quoted"], place, (match["measure"] or "").lower())
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

    def _token(self, ahead: int = 0) -> _Token:
        """Return what comes next, or after that; an empty token stands for the end."""
        at = self._at + ahead
        return self._tokens[at] if at < len(self._tokens) else _Token()

    def _take(self, word: str) -> bool:
        if self._token().word != word:
            return False
        self._at += 1
        return True

    def _fail(self, expected: str) -> NoReturn:
        if self._at < len(self._tokens):
            name, place = self._token().name, self._token().place
            raise UsageError(f"in {self._text!r}, at {name!r} (character {place + 1}): {expected}")
        raise UsageError(f"{self._text!r} ends too early: {expected}")

    def _joined(self, word: str, part: Callable[[], Part]) -> tuple[Part, ...]:
        """Return parts that stand between that word."""
        parts = [part()]
        while self._take(word):
            parts.append(part())
        return tuple(parts)

    def _either(self) -> Expression:
        parts = self._joined("or", self._both)
        return parts[0] if len(parts) == 1 else Either(parts)

    def _both(self) -> Expression:
        parts = self._joined("and", self._factor)
        return parts[0] if len(parts) == 1 else Both(parts)

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
            return self._closed(self._either())
        if self._take("only"):
            return self._only()
        if self._token().word == "maybe" and self._token(1).word == "(":
            self._at += 2
            return self._closed(Maybe(self._label()))
        if self._take("path"):
            token = self._token()
            if self._is_no_label(0):
                self._fail('a pattern such as path "live*" was expected')
            self._at += 1
            return expressions.Path(token.name)
        return self._together() or self._label_or_comparison()

    def _closed(self, found: Expression) -> Expression:
        if not self._take(")"):
            self._fail(") was expected")
        return found

    def _only(self) -> Expression:
        if not self._take("("):
            label = self._label()
            return Plays(label, only=True, related=self._related(label))
        labels = self._joined("and", self._label)
        if not self._take(")"):
            self._fail("and or ) was expected")
        related = frozenset(labels).union(*map(self._related, labels))
        return Both(tuple(Plays(label, only=True, related=related) for label in labels))

    def _related(self, label: str) -> frozenset[str]:
        related = {self._parents.get(label), *(one for one, family in self._parents.items() if family == label)}
        return frozenset(one for one in related if one)

    def _together(self) -> Expression | None:
        """Return `a and b together >= 20` or `a alone >= 10`; None where none of them begins here."""
        last = 0
        while self._token(last + 1).word == "and" and not self._is_no_label(last + 2):
            last += 2
        word = self._token(last + 1).word
        if word not in ("together", "alone") or (word == "together") != (last > 0) or self._is_no_label(0):
            return None
        labels = self._joined("and", self._label)
        self._at += 1
        sign, limit = self._limit(word) if self._token().word in COMPARE else (">", 0.0)
        related = frozenset[str]().union(*map(self._related, labels)) if word == "alone" else frozenset[str]()
        return Together(labels, sign, limit, word == "alone", related)

    def _is_no_label(self, ahead: int) -> bool:
        """Tell whether what is there is a word of the language, a sign, or the end."""
        return self._token(ahead).word in (*_WORDS, *COMPARE, "(", ")") or self._at + ahead >= len(self._tokens)

    def _label(self) -> str:
        token = self._token()
        if token.measure or token.word in _WORDS:
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
        self._fail(f"one of {', '.join(map(quoted, self._labels))} was expected{self._hint()}")

    def _hint(self) -> str:
        """Return "; did you mean LABEL?" where what is there is a label's display name in any language, or nearly its id."""
        words = [token.name.lower() for token in self._tokens[self._at :]]
        labels = catalogue().labels_for(self._labels)
        displayed = {name.lower(): label.id for label in labels for name in (label.en, label.pl)}
        starts = [" ".join(words[:n]) for n in range(min(4, len(words)), 0, -1)]
        if meant := next((displayed[start] for start in starts if start in displayed), ""):
            return f"; did you mean {quoted(meant)}?"
        return did_you_mean(words[0], self._labels) if words else ""

    def _label_or_comparison(self) -> Expression:
        token = self._token()
        if token.word == "duration":
            self._at += 1
            return self._comparison("duration", "duration")
        name, _, measure = token.name.rpartition(".")
        if token.measure or (name and token.name not in self._labels and measure.lower() in MEASURES):
            label = self._take_label(token.name if token.measure else name)
            return self._comparison(label, token.measure or measure.lower())
        label = self._label()
        return self._comparison(label, "score") if self._token().word in COMPARE else Plays(label)

    def _comparison(self, what: str, number: str) -> Compare:
        known: dict[str, Number] = {name: name for name in ("duration", "score", *MEASURES)}
        sign, limit = self._limit(f"{what}.{number}" if number in MEASURES else what)
        return Compare(what, sign, limit, known[number])

    def _limit(self, what: str) -> tuple[str, float]:
        sign, limit = self._token().word, self._token(1).word
        if sign not in COMPARE:
            self._fail(f"{what} needs < <= > or >= and a number")
        self._at += 1
        if not re.fullmatch(r"\d+(\.\d+)?", limit):
            self._fail("a number was expected")
        self._at += 1
        return sign, float(limit)


def find(predictions: Iterable[Prediction], expression: Expression) -> list[tuple[float, Prediction]]:
    """Return (rank, recording) of all that match, the best first, then by path."""
    found = [(expression.rank(p), p) for p in predictions if expression.matches(p)]
    return sorted(found, key=lambda pair: (-round(pair[0], 6), pair[1].path))


def _entry(name: str, path: str) -> str:
    """Return a name as a line of a playlist; as an address where a line cannot hold it, because it would be cut there."""
    if len(name.splitlines()) != 1 or name != name.strip():
        return Path(path).as_uri()
    return f"./{name}" if name.startswith("#") else name


def playlist(
    found: Sequence[tuple[float, Prediction]], folder: Path, spans: Callable[[Prediction], Spans] | None = None
) -> str:
    """Return an extended M3U playlist (UTF-8) of ranks and recordings.

    folder: where it will lie; recordings below it are named relative to it. spans: when to play each recording: an entry for
    each span, with its start and stop as VLC reads them; None: as a whole.
    """
    lines = ["#EXTM3U"]
    for rank, prediction in found:
        path = os.path.abspath(prediction.path)  # noqa: PTH100 - links are not followed
        base = os.path.abspath(folder)  # noqa: PTH100
        below = os.path.join(base, "")  # noqa: PTH118
        entry = _entry(path.removeprefix(below), path)
        title = f"{printable(Path(prediction.path).stem)} ({rank:.2f})"
        if spans is None:
            lines += [f"#EXTINF:{round(prediction.duration)},{title}", entry]
            continue
        for start, end in spans(prediction):
            times = [f"#EXTVLCOPT:start-time={start:.3f}", f"#EXTVLCOPT:stop-time={end:.3f}"]
            lines += [f"#EXTINF:{round(end - start)},{title} {span(start, end)}", *times, entry]
    return "\n".join(lines) + "\n"
