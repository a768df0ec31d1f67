"""Times as people give them: seconds, or minutes and seconds as a clock shows them. One rule for Python, command and HTTP."""

from __future__ import annotations

import math
import re
from numbers import Real
from typing import Annotated

from ..errors import UsageError

Time = Annotated[float | str, "seconds from 0, or m:ss, such as 75.5 or 1:15.5"]

#: m:ss or h:mm:ss, seconds with or without decimals
CLOCK = r"(\d{1,4}:)?\d{1,4}:[0-5]\d(\.\d+)?"


def seconds(time: Time) -> float:
    """Return a time in seconds.

    Parameters
    ----------
    time : float or str
        Seconds, or text: "75.5", "1:15.5", "1:02:00".

    Raises
    ------
    UsageError
        For anything else, and for what is below 0 or not finite.

    Examples
    --------
    >>> seconds("1:15.5"), seconds("1:02:00"), seconds(3)
    (75.5, 3720.0, 3.0)
    """
    found = math.nan
    if isinstance(time, str) and re.fullmatch(CLOCK, time.strip(), re.ASCII):
        found = 0.0
        for unit in time.split(":"):
            found = 60 * found + float(unit)
    elif isinstance(time, (str, Real)) and not isinstance(time, bool):
        try:
            found = float(time)
        except ValueError:
            pass
    if not 0 <= found < math.inf:
        raise UsageError(f"{time}: is not a time; give seconds from 0, or m:ss, such as 75.5 or 1:15.5")
    return found


def part(start: Time, end: Time | None, duration: float | None) -> tuple[float, float | None]:
    """Return where a part of a recording starts and how long it is, in seconds; None for to the end.

    Parameters
    ----------
    start, end : float or str
        As of `seconds`; end None: see duration.
    duration : float or None
        Seconds, in place of end.

    Raises
    ------
    UsageError
        For times that are none, an end before the start, or an end beside a duration.
    """
    first = seconds(start)
    if end is not None:
        if duration is not None:
            raise UsageError(f"end {end} and duration {duration:g} were given; one of them ends the part")
        duration = seconds(end) - first
        if duration <= 0:
            raise UsageError(f"end {end} is not after start {start}")
    if duration is not None and not 0 < duration < math.inf:
        raise UsageError(f"a part of {duration:g} s cannot be cut out; more than 0 is needed")
    return first, duration
