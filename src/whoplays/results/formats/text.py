"""For people: plain text for pipes, a strip over time for terminals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...errors import printable
from ...inference.recogniser import Failure, Prediction
from ...taxonomy.tree import Label
from .base import Result, Writer, clock, span

if TYPE_CHECKING:
    from ..terminal import Look


class Text(Writer):
    """For people: a line a recording, then a line a label that plays, with its times; a strip each on a terminal."""

    suffix = ".txt"
    shows_failures = False

    def __init__(self, labels: Sequence[Label], lang: str = "en", look: Look | None = None) -> None:
        """look: of the terminal; None for plain text."""
        super().__init__(labels, lang)
        self.look = look

    def item(self, result: Result) -> str:
        """Return the recording's lines; without a `look`, plain ASCII but for names."""
        if isinstance(result, Failure):
            return ""
        title = f"{printable(result.path) or '(samples)'}  {clock(result.duration)}"
        shown = self._strip(result, self.look) if self.look else self._plain(result)
        told = [f"  note: {warning}" for warning in result.warnings]
        return "\n".join([title, *shown, *told]) + "\n"

    def _strip(self, result: Prediction, look: Look) -> list[str]:
        from ..terminal import strip

        return strip(result, self.labels, look, self.lang)

    def _plain(self, result: Prediction) -> list[str]:
        names = {label.id: label.name(self.lang) for label in self.labels}
        lines = []
        if not result.playing:
            best = max(result.scores, key=lambda label: result.scores[label])
            none = "nothing it knows" if self.lang == "en" else "nic znajomego"
            lines.append(f"  {none} (highest: {names[best]} {result.scores[best]:.2f})")
        width = max((len(names[label]) for label in result.playing), default=0)
        for label in sorted(result.playing, key=lambda label: -result.scores[label]):
            times = [span(s.start, s.end) for s in result.segments if s.label == label]
            shown = ", ".join(times[:6]) + (f" and {len(times) - 6} more" if len(times) > 6 else "")
            lines.append(f"  {names[label]:<{width}}  {result.scores[label]:.2f}  {shown}")
        if result.maybe:
            doubtful = sorted(result.maybe, key=lambda label: -result.scores[label])
            named = ", ".join(f"{names[label]} {result.scores[label]:.2f}" for label in doubtful)
            lines.append(f"  {'maybe' if self.lang == 'en' else 'być może'}: {named}")
        return lines
