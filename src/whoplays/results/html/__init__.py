"""`--report FILE.html`: one page about a run that opens offline, with pictures, sound and times inside.

Nothing is fetched: the page's own policy forbids it. Short recordings are inside; long ones are linked and have to stay
where they are. The first `MOST_SHOWN` recordings are shown in full, the table has all of them.
"""

from .build import MOST_SHOWN, write

__all__ = ["MOST_SHOWN", "write"]
