"""What an expression of `find` is made of: each part says whether it is true of a recording, how well, and when in it.

The rank of a match follows Zadeh (1965): a label's is its score, not x has 1 - x, and has the least, or the greatest;
a comparison's is 1 or 0.
"""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Literal

from ..inference.prediction import Prediction
from ..taxonomy.messages import speaker
from .spans import Span, Spans, common, seconds, union, without

COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
Number = Literal["duration", "score", "share", "seconds", "longest"]
MEASURES: tuple[Number, ...] = ("share", "seconds", "longest")  #: what LABEL.MEASURE asks for


def _whole(prediction: Prediction) -> Spans:
    return [(0.0, max([prediction.duration, *(segment.end for segment in prediction.segments)]))]


def _of(prediction: Prediction, labels: Iterable[str]) -> Spans:
    """Return when any of the labels plays."""
    wanted = set(labels)
    return union((s.start, s.end) for s in prediction.segments if s.label in wanted)


class Expression(ABC):
    """Something that a recording matches or not, how well, and at what times."""

    #: whether it asks for times, which a table in CSV does not have
    timed = False
    #: the expressions that it is made of
    parts: tuple[Expression, ...] = ()

    @abstractmethod
    def matches(self, prediction: Prediction) -> bool:
        """Tell whether it is true of the recording."""

    def rank(self, prediction: Prediction) -> float:
        """Return how well it fits, 0 to 1; 1 or 0 where nothing is between."""
        return float(self.matches(prediction))

    def spans(self, prediction: Prediction) -> Spans:
        """Return when in the recording it is true; what is true of the recording as a whole is true all the time."""
        return _whole(prediction) if self.matches(prediction) else []

    def parts_within(self) -> Iterator[Expression]:
        """Yield the expression and all below it."""
        yield self
        for part in self.parts:
            yield from part.parts_within()


@dataclass(frozen=True)
class Plays(Expression):
    """The label plays; with `only`, nothing else does.

    related: the label's family, and the instruments below it; those are nothing else.
    """

    label: str
    only: bool = False
    related: frozenset[str] = frozenset()

    def matches(self, prediction: Prediction) -> bool:
        playing = set(prediction.playing)
        return self.label in playing and not (self.only and playing - self.related - {self.label})

    def rank(self, prediction: Prediction) -> float:
        """Return the score; with `only`, no more than what the others leave."""
        own = prediction.scores.get(self.label, 0.0)
        apart = {self.label, *self.related}
        others = [score for label, score in prediction.scores.items() if label not in apart]
        return min(own, 1 - max(others, default=0.0)) if self.only else own

    def spans(self, prediction: Prediction) -> Spans:
        return _of(prediction, [self.label])


@dataclass(frozen=True)
class Maybe(Expression):
    """The label misses its threshold, but not by much. What may play has no segments: it is true of the whole."""

    label: str

    def matches(self, prediction: Prediction) -> bool:
        return self.label in prediction.maybe

    def rank(self, prediction: Prediction) -> float:
        return prediction.scores.get(self.label, 0.0)


@dataclass(frozen=True)
class Path(Expression):
    """The recording's path fits the pattern (*, ?, [...]), in any case; without those it is a part of the path."""

    pattern: str

    def matches(self, prediction: Prediction) -> bool:
        pattern = self.pattern.lower()
        return fnmatch(prediction.path.lower(), pattern if any(c in pattern for c in "*?[") else f"*{pattern}*")


@dataclass(frozen=True)
class Compare(Expression):
    """A number of the recording against a limit.

    number: its duration; or of the label `what` the score, the share of the time in which it plays, the seconds in
    which it does, or the longest segment's.
    """

    what: str
    sign: str
    limit: float
    number: Number

    @property
    def timed(self) -> bool:  # type: ignore[override]
        """Whether it asks for times."""
        return self.number in MEASURES

    @property
    def is_least(self) -> bool:
        """Whether the number has to be large."""
        return self.sign.startswith(">")

    def value(self, prediction: Prediction) -> float:
        """Return the recording's number."""
        if self.number == "duration":
            return prediction.duration
        if self.number == "score":
            return prediction.scores.get(self.what, 0.0)
        played = _of(prediction, [self.what])
        if self.number == "longest":
            return max((end - start for start, end in played), default=0.0)
        return seconds(played) if self.number == "seconds" else prediction.active_ratio().get(self.what, 0.0)

    def matches(self, prediction: Prediction) -> bool:
        return COMPARE[self.sign](self.value(prediction), self.limit)

    def spans(self, prediction: Prediction) -> Spans:
        """Return the label's segments where much of it is required (of `longest`, those that are so long), else the whole."""
        if self.number == "duration" or not self.is_least or not self.matches(prediction):
            return super().spans(prediction)
        played = _of(prediction, [self.what])
        return [s for s in played if self.number != "longest" or COMPARE[self.sign](s[1] - s[0], self.limit)]


@dataclass(frozen=True)
class Together(Expression):
    """The seconds in which all labels play at once against a limit; with `alone`, in which nothing else does.

    related: families and instruments of the labels; those are nothing else.
    """

    labels: tuple[str, ...]
    sign: str
    limit: float
    alone: bool = False
    related: frozenset[str] = frozenset()
    timed = True

    def _played(self, prediction: Prediction) -> Spans:
        played = common(*(_of(prediction, [label]) for label in self.labels))
        if not self.alone:
            return played
        others = {segment.label for segment in prediction.segments} - self.related - set(self.labels)
        return without(played, _of(prediction, others))

    def matches(self, prediction: Prediction) -> bool:
        return COMPARE[self.sign](seconds(self._played(prediction)), self.limit)

    def spans(self, prediction: Prediction) -> Spans:
        return self._played(prediction) if self.matches(prediction) else []


@dataclass(frozen=True)
class Not(Expression):
    """The opposite."""

    part: Expression

    @property
    def parts(self) -> tuple[Expression, ...]:  # type: ignore[override]
        """The one part."""
        return (self.part,)

    def matches(self, prediction: Prediction) -> bool:
        return not self.part.matches(prediction)

    def rank(self, prediction: Prediction) -> float:
        return 1 - self.part.rank(prediction)

    def spans(self, prediction: Prediction) -> Spans:
        return without(_whole(prediction), self.part.spans(prediction))


@dataclass(frozen=True)
class Both(Expression):
    """All parts."""

    parts: tuple[Expression, ...]

    def matches(self, prediction: Prediction) -> bool:
        return all(part.matches(prediction) for part in self.parts)

    def rank(self, prediction: Prediction) -> float:
        return min(part.rank(prediction) for part in self.parts)

    def spans(self, prediction: Prediction) -> Spans:
        return common(*(part.spans(prediction) for part in self.parts))


@dataclass(frozen=True)
class Either(Expression):
    """Any part."""

    parts: tuple[Expression, ...]

    def matches(self, prediction: Prediction) -> bool:
        return any(part.matches(prediction) for part in self.parts)

    def rank(self, prediction: Prediction) -> float:
        return max((part.rank(prediction) for part in self.parts if part.matches(prediction)), default=0.0)

    def spans(self, prediction: Prediction) -> Spans:
        found: list[Span] = []
        for part in self.parts:
            found += part.spans(prediction) if part.matches(prediction) else []
        return union(found)


_why = speaker("never")


def never(expression: Expression, parents: Mapping[str, str]) -> str:
    """Return why no recording can match, as far as that is seen; "" where one may. parents: instrument -> its family."""
    if isinstance(expression, Either):
        reasons = [never(part, parents) for part in expression.parts]
        return reasons[0] if all(reasons) else ""
    if isinstance(expression, Compare):
        beyond = COMPARE[expression.sign](1.0 if expression.is_least else 0.0, expression.limit)
        bounded = expression.number in ("score", "share")
        if (bounded or not expression.is_least) and not beyond:
            return _why("beyond", number=expression.number, bounds=f"{expression.sign} {expression.limit:g}")
    if not isinstance(expression, Both):
        return ""
    parts = list(_flat(expression))
    return next(filter(None, (never(part, parents) for part in parts)), "") or _against(parts, parents)


def _flat(expression: Both) -> Iterator[Expression]:
    for part in expression.parts:
        if isinstance(part, Both):
            yield from _flat(part)
        else:
            yield part


def _against(parts: list[Expression], parents: Mapping[str, str]) -> str:
    """Return which two of the parts of an `and` cannot be true of one recording."""
    needed = [label for part in parts for label in _needed(part)]
    for part in parts:
        if isinstance(part, Plays) and part.only:
            for label in needed:
                if label != part.label and label not in part.related:
                    return _why("not_alone", label=label, alone=part.label, names=f"{part.label} and {label}")
        if isinstance(part, Not) and isinstance(part.part, Plays) and not part.part.only:
            barred = part.part.label
            for label in needed:
                if barred in (label, parents.get(label)):
                    return _why("barred" if label == barred else "family_barred", label=label, barred=barred)
    for low in parts:
        for high in parts:
            if not (isinstance(low, Compare) and isinstance(high, Compare) and low.is_least and not high.is_least):
                continue
            same = (low.what, low.number) == (high.what, high.number)
            inclusive = low.sign == ">=" and high.sign == "<="
            if same and (low.limit > high.limit or (low.limit == high.limit and not inclusive)):
                bounds = f"{low.sign} {low.limit:g} and {high.sign} {high.limit:g}"
                return _why("beyond", number=low.number, bounds=bounds)
    return ""


def _needed(part: Expression) -> tuple[str, ...]:
    """Return the labels that have to play."""
    if isinstance(part, Plays):
        return (part.label,)
    if isinstance(part, (Together, Compare)) and part.timed and not COMPARE[part.sign](0.0, part.limit):
        return part.labels if isinstance(part, Together) else (part.what,)
    return ()
