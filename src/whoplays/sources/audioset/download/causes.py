"""Why a clip was not had: thirteen causes, and how an answer of the site is read as one of them."""

from __future__ import annotations

import email.utils
import re
import time
from enum import StrEnum


class Cause(StrEnum):
    """What became of a clip that could not be had."""

    REMOVED = "removed"
    PRIVATE = "private"
    AGE = "age"
    COUNTRY = "country"
    BOT_CHECK = "bot-check"
    THROTTLED = "throttled"
    NETWORK = "network"
    NO_AUDIO = "no-audio"
    TRUNCATED = "truncated"
    SILENT = "silent"
    WRONG_LENGTH = "wrong-length"
    UNDECODABLE = "undecodable"
    OTHER = "other"


#: What each cause means, for people.
MEANING = {
    Cause.REMOVED: "the video is gone",
    Cause.PRIVATE: "the video is private, or for members only",
    Cause.AGE: "the site asks for a login that proves the age",
    Cause.COUNTRY: "not shown in this country",
    Cause.BOT_CHECK: "the site asks to prove that no robot is asking",
    Cause.THROTTLED: "the site refuses for now (403, 429, rate limit)",
    Cause.NETWORK: "no answer, a broken connection, a certificate that cannot be trusted, a server error",
    Cause.NO_AUDIO: "there is no sound in the response",
    Cause.TRUNCATED: "the transfer broke off",
    Cause.SILENT: "only silence",
    Cause.WRONG_LENGTH: "the recording ends before the clip does",
    Cause.UNDECODABLE: "the response is not a recording, or is damaged",
    Cause.OTHER: "an answer that is none of these",
}

#: Tried again in the same run, after a pause.
TRY_AGAIN = frozenset({Cause.THROTTLED, Cause.NETWORK, Cause.TRUNCATED})
#: May go well some other day: what `--retry` is for.
MAY_RECOVER = TRY_AGAIN | {Cause.BOT_CHECK, Cause.AGE, Cause.COUNTRY, Cause.OTHER}
#: These say nothing of the clip, but that the site, or the way to it, is shut. Many of them in a row end a run.
REFUSAL = frozenset({Cause.THROTTLED, Cause.NETWORK, Cause.BOT_CHECK, Cause.OTHER})


class ClipUnavailable(Exception):
    """A clip cannot be had. retry_after_s: how long the site asks to be left alone."""

    def __init__(self, cause: Cause, detail: str, retry_after_s: float | None = None) -> None:
        """Keep the cause, and the detail as one line."""
        super().__init__(cause, detail, retry_after_s)  # what another process makes it of again
        self.cause = cause
        self.detail = " ".join(detail.split())[:300]
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return f"{self.cause}: {self.detail}"


# In this order: a page about a rate limit also says that the video is not available.
_WORDS: tuple[tuple[Cause, re.Pattern[str]], ...] = tuple(
    (cause, re.compile(pattern, re.IGNORECASE))
    for cause, pattern in (
        (Cause.THROTTLED, r"rate[- ]limit|too many requests|try again later|quota exceeded"),
        (Cause.BOT_CHECK, r"not a (?:ro)?bot|unusual traffic|captcha|are you (?:a )?human"),
        (Cause.AGE, r"confirm your age|age[- ]restrict|inappropriate for some users|verify your age|adult content"),
        (
            Cause.PRIVATE,
            r"private (?:video|recording|content)|\bis (?:set to )?private\b|granted access|members[- ]only"
            r"|join this channel|only available to (?:registered|music premium)|requires payment|login required",
        ),
        (
            Cause.COUNTRY,
            r"(?:in|from|for) your (?:country|region|location)|geo[- ]?(?:restrict|block)|country restriction"
            r"|blocked it (?:in|on)",
        ),
        (Cause.NO_AUDIO, r"requested format is not available|no (?:video|audio|media) formats?"),
        (
            Cause.REMOVED,
            r"video (?:is )?(?:not available|unavailable)|(?:isn.t|no longer|not) available"
            r"|has been (?:removed|deleted)"
            r"|account .{0,80}terminated|does not exist|was (?:removed|deleted)|taken down|copyright (?:claim|ground)"
            r"|removed by",
        ),
    )
)

_STATUS = {
    401: Cause.PRIVATE,
    402: Cause.PRIVATE,
    403: Cause.THROTTLED,
    404: Cause.REMOVED,
    410: Cause.REMOVED,
    416: Cause.TRUNCATED,
    429: Cause.THROTTLED,
    451: Cause.COUNTRY,
    503: Cause.THROTTLED,
}


def cause_of_words(text: str) -> Cause | None:
    """Return the cause that a page's or an error's words tell, or None."""
    return next((cause for cause, pattern in _WORDS if pattern.search(text)), None)


def cause_of_status(status: int) -> Cause:
    """Return the cause that an HTTP status stands for."""
    if status in _STATUS:
        return _STATUS[status]
    return Cause.NETWORK if status >= 500 or status in (407, 408, 425) else Cause.OTHER


def parse_retry_after(value: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for (a number, or a date), or None. Never negative."""
    if not value:
        return None
    text = value.strip()
    if re.fullmatch(r"\d{1,9}", text, re.ASCII):
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None
