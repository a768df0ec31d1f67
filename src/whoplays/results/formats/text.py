"""For people: plain text for pipes, a strip over time for terminals."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...errors import printable
from ...inference.prediction import Prediction
from ...taxonomy.messages import speaker
from ...taxonomy.tree import Label, Tree
from .base import PredictionWriter, clock, span

if TYPE_CHECKING:
    from ..terminal import Look


MOST_TIMES = 6  # of a label, on a line


class Text(PredictionWriter):
    """For people: a line a recording, then a line a label that plays, with its times; a strip each on a terminal.

    Instruments stand below their families; what was looked for and not found is in one line at the end.
    """

    suffix = ".txt"

    def __init__(self, labels: Sequence[Label], lang: str = "en", look: Look | None = None) -> None:
        """look: of the terminal; None for plain text."""
        super().__init__(labels, lang)
        self.look = look
        self._tree, self._say = Tree(labels), speaker("text", lang)

    def prediction(self, result: Prediction) -> str:
        """Return the recording's lines; without a `look`, plain ASCII but for names."""
        start = float(result.frame_times[0])
        length = span(start, start + result.duration) if start else clock(result.duration)
        title = f"{printable(result.path) or '(samples)'}  {length}"
        if self.look:
            from ..terminal import strip

            shown = strip(result, self.labels, self.look, self.lang)
        else:
            shown = self._plain(result)
        notes = [f"  {self._say('note', warning=warning.within(self.lang))}" for warning in result.warnings]
        if result.silent and not (result.playing or result.maybe):
            return "\n".join([title, f"  {self._say('silent')}", *notes]) + "\n"
        if not result.playing:
            best = max(result.scores, key=lambda label: result.scores[label])
            name, score = self._tree[best].name(self.lang), f"{result.scores[best]:.2f}"
            shown = [f"  {self._say('none', name=name, score=score)}", *shown]
        return "\n".join([title, *shown, *self._missing(result), *notes]) + "\n"

    def _plain(self, result: Prediction) -> list[str]:
        shown, _ = self._tree.divide(result.playing)
        names = {label.id: "  " * bool(label.parent) + label.name(self.lang) for label in shown}
        width = max(map(len, names.values()), default=0)
        order = sorted(shown, key=lambda label: -result.scores[self._tree.family_of(label.id)])
        lines = []
        for label in order:
            times = [span(s.start, s.end) for s in result.segments if s.label == label.id]
            listed = ", ".join(times[:MOST_TIMES])
            if len(times) > MOST_TIMES:
                listed = self._say("more", times=listed, count=len(times) - MOST_TIMES)
            lines.append(f"  {names[label.id]:<{width}}  {result.scores[label.id]:.2f}  {listed}")
        if result.maybe:
            doubtful = sorted(result.maybe, key=lambda label: -result.scores[label])
            named = (f"{self._tree.full_name(label, self.lang)} {result.scores[label]:.2f}" for label in doubtful)
            lines.append(f"  {self._say('maybe', names=', '.join(named))}")
        return lines

    def _missing(self, result: Prediction) -> list[str]:
        _, missing = self._tree.divide([*result.playing, *result.maybe])
        if not missing:
            return []
        text = self._say("missing", names=", ".join(label.name(self.lang) for label in missing))
        if not self.look:
            return [f"  {text}"]
        lines = textwrap.wrap(
            text, self.look.width, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False
        )
        return [f"\x1b[2m{line}\x1b[0m" for line in lines] if self.look.colour else lines
