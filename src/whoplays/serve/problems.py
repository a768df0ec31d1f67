"""Errors of the HTTP interface: one list of kinds, sent as application/problem+json (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException

MEDIA_TYPE = "application/problem+json"

#: kind -> (status, title)
KINDS: dict[str, tuple[int, str]] = {
    "bad-request": (400, "The request cannot be understood"),
    "unauthorised": (401, "A token is needed"),
    "foreign-origin": (403, "Pages of other origins may not call"),
    "not-found": (404, "There is nothing here"),
    "wrong-method": (405, "This method is not possible here"),
    "too-slow-upload": (408, "The upload took too long"),
    "too-large": (413, "The upload is too large"),
    "too-long": (413, "The recording is too long"),
    "wrong-media-type": (415, "The body is not of the type that is read here"),
    "wrong-host": (421, "This server does not go by that name"),
    "invalid": (422, "A parameter is missing or out of range"),
    "not-a-recording": (422, "The file cannot be analysed"),
    "too-many": (429, "Too many recordings in a short time"),
    "internal": (500, "Something is wrong with the server"),
    "busy": (503, "All places are taken"),
    "unavailable": (503, "Not ready"),
    "too-slow": (504, "The analysis took too long"),
}
_BY_STATUS = {status: kind for kind, (status, _) in reversed(KINDS.items())}


class Problem(HTTPException):
    """An error for the caller: its kind, one line for people, perhaps seconds to wait and facts for programs."""

    def __init__(self, kind: str, detail: str, *, retry_after: int | None = None, **facts: Any) -> None:
        """kind: one of `KINDS`."""
        self.kind = kind
        self.status, self.title = KINDS[kind]
        super().__init__(self.status, detail)  # a kind that the framework hands on from wherever it is raised
        self.retry_after = retry_after
        self.facts = facts

    def to_dict(self) -> dict[str, Any]:
        """Return the body of the answer."""
        body = {"type": f"urn:whoplays:{self.kind}", "title": self.title, "status": self.status, "detail": self.detail}
        if self.retry_after is not None:
            body["retry_after"] = self.retry_after
        return body | self.facts

    def response_headers(self) -> dict[str, str]:
        """Return the headers that go with it."""
        found = {"Cache-Control": "no-store"}
        if self.retry_after is not None:
            found["Retry-After"] = str(self.retry_after)
        if self.kind in ("too-large", "too-slow-upload"):
            found["Connection"] = "close"  # what is still to come is not waited for
        if self.status == 401:
            found["WWW-Authenticate"] = 'Bearer realm="whoplays"'
        return found


def of_status(status: int, detail: str) -> Problem:
    """Return the problem for an error that the framework found."""
    return Problem(_BY_STATUS.get(status, "bad-request" if status < 500 else "internal"), detail)


def documented(*kinds: str) -> dict[int | str, dict[str, Any]]:
    """Return OpenAPI's `responses` for these kinds, with an example each."""
    found: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        status, title = KINDS[kind]
        media = {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}
        entry = found.setdefault(status, {"description": title, "content": {MEDIA_TYPE: media}})
        entry["content"][MEDIA_TYPE]["examples"][kind] = {"value": Problem(kind, _EXAMPLES.get(kind, title)).to_dict()}
        if status in (429, 503):
            entry["headers"] = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}
    return found


_EXAMPLES: Mapping[str, str] = {
    "not-a-recording": "holds no sound, only video",
    "too-large": "the body has more than 200 MiB, which is the most that is read",
    "too-long": "lasts 7200 s; 3600 s can be analysed at once, or ask for a part with start and end",
    "busy": "too many recordings are waiting; try again soon",
    "invalid": "start: Input should be greater than or equal to 0",
}

SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457: what went wrong.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "examples": ["urn:whoplays:busy"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "One line: what was seen, the limit, what to do."},
        "retry_after": {"type": "integer", "description": "Seconds; as the header Retry-After."},
    },
}
