"""RFC 9457 problems: every error that leaves a service has a stable type, and for input each bad field and its remedy.

A problem never quotes what was sent: it might be personal data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

TYPES = "https://onefriend.example/problems/"


class FieldError(msgspec.Struct, frozen=True):
    """One bad field: its path (`parties[0].phones[1]`), what is wrong, and what would be right."""

    field: str
    problem: str
    remedy: str


class Problem(Exception):
    """An answer that is not what was asked for. Raised anywhere below a route."""

    def __init__(
        self,
        status: int,
        kind: str,
        title: str,
        *,
        detail: str | None = None,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        **extra: Any,  # noqa: ANN401 - further members, JSON
    ) -> None:
        """`kind` is the last part of the type URL; `extra` are further members of the problem."""
        super().__init__(kind)
        self.status = status
        self.kind = kind
        self.title = title
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.extra = extra

    def body(self) -> dict[str, Any]:
        """Return the JSON object."""
        members: dict[str, Any] = {"type": TYPES + self.kind, "title": self.title, "status": self.status}
        if self.detail:
            members["detail"] = self.detail
        if self.errors:
            members["errors"] = [msgspec.to_builtins(error) for error in self.errors]
        return members | self.extra

    def response(self) -> Response:
        """Return the HTTP answer."""
        content = msgspec.json.encode(self.body())
        return Response(content, self.status, self.headers, media_type="application/problem+json")


def not_found(what: str = "resource") -> Problem:
    """Return the one answer for both "does not exist" and "is not yours"."""
    return Problem(404, "not-found", f"There is no such {what}, or it is not yours to see.")


def unavailable(detail: str, *, retry_after: int = 5, nothing_done: bool = False) -> Problem:
    """Return a 503, which always means: do not contact. `nothing_done`: as of Unavailable, for whoever asked."""
    extra: dict[str, Any] = {"nothing_done": True} if nothing_done else {}
    return Problem(
        503,
        "unavailable",
        "This cannot be answered now. Do not contact anybody on the strength of it.",
        detail=detail,
        headers={"Retry-After": str(retry_after)},
        **extra,
    )


# What pydantic says, in words that tell the sender what to do. The default is its own sentence, which quotes no value.
_REMEDIES = {
    "missing": "Send this field.",
    "extra_forbidden": "Remove this field, or check its spelling.",
    "string_too_long": "Shorten it.",
    "string_too_short": "Give at least one character.",
    "date_from_datetime_parsing": "Write a date as YYYY-MM-DD.",
    "date_parsing": "Write a date as YYYY-MM-DD.",
    "datetime_parsing": "Write a time as YYYY-MM-DDTHH:MM:SSZ.",
    "datetime_from_date_parsing": "Write a time as YYYY-MM-DDTHH:MM:SSZ.",
    "json_invalid": "Send valid JSON in UTF-8.",
}

_UNREADABLE = FieldError("body", "cannot be read", "Send one JSON document in UTF-8, not deeply nested.")


def field_path(location: Sequence[str | int]) -> str:
    """Return `parties[0].phones[1]` for ("body", "parties", 0, "phones", 1)."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part not in {"body", "query", "path", "header"} or path:
            path += f".{part}" if path else part
    return path or "body"


def field_errors(errors: Sequence[Mapping[str, Any]]) -> list[FieldError]:
    """Return pydantic's errors as field errors, without any value that was sent."""
    found = []
    for error in errors:
        kind, context = error["type"], error.get("ctx", {})
        message = str(error["msg"]).removeprefix("Value error, ")
        what, _, remedy = message.partition(" Remedy: ")
        if not remedy:
            remedy = _REMEDIES.get(kind, "")
        if not remedy and "expected" in context:
            remedy = f"Use one of: {context['expected']}."
        # Of JSON that cannot be read the last part is a position in it, not a place in a list.
        where = error["loc"][:1] if kind == "json_invalid" else error["loc"]
        found.append(FieldError(field_path(where), what, remedy or "Send a value of the documented form."))
    return found


def invalid(errors: Sequence[FieldError]) -> Problem:
    """Return the 422 that names every bad field at once."""
    return Problem(422, "invalid", "Some fields cannot be accepted.", errors=errors)


async def on_problem(_: Request, error: Exception) -> Response:
    """Answer a Problem."""
    assert isinstance(error, Problem)  # noqa: S101 - registered for this class only
    return error.response()


async def on_validation(_: Request, error: Exception) -> Response:
    """Answer pydantic's refusal of a request."""
    assert isinstance(error, RequestValidationError | ValidationError)  # noqa: S101 - registered for these only
    return invalid(field_errors(error.errors())).response()


async def on_http(_: Request, error: Exception) -> Response:
    """Answer Starlette's own refusals (no such route, wrong method) as problems."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    kinds = {
        404: "not-found",
        405: "method-not-allowed",
        400: "bad-request",
        413: "too-large",
        415: "media-type",
    }
    kind = kinds.get(error.status_code, "http")
    # A 400 of the framework's is a body that it could not read: bytes that are not UTF-8, or nested too deeply.
    errors = [_UNREADABLE] if error.status_code == 400 else []  # noqa: PLR2004 - HTTP
    return Problem(
        error.status_code, kind, str(error.detail), errors=errors, headers=error.headers
    ).response()


def fault() -> Problem:
    """Return the 500. What it was is in the log, with the trace; the answer says nothing of it."""
    return Problem(500, "fault", "Onefriend failed to answer. Nothing was promised; try again.")


async def on_fault(_: Request, __: Exception) -> Response:
    """Answer a fault of ours."""
    return fault().response()


async def on_unavailable(_: Request, error: Exception) -> Response:
    """Answer what could not be decided because something does not answer."""
    return unavailable(str(error), nothing_done=getattr(error, "nothing_done", False)).response()
