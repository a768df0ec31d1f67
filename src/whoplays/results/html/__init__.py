"""`--report FILE.html`: one page about a run that opens offline, made of the same parts as the page of `whoplays serve`.

Nothing is fetched: the page's own policy forbids it. Short recordings are inside; long ones are linked and have to stay
where they are. The first `MOST_SHOWN` recordings have pictures and sound.
"""

from .build import MOST_SHOWN, write

__all__ = ["MOST_SHOWN", "write"]
