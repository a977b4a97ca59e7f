"""Idempotency-Key: a POST that creates happens once, and the same again gets the same answer.

The answer is stored in the transaction of the command itself, so there is no moment at which one exists without the other.
Stored answers hold no personal data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

import msgspec
from fastapi import Header, Request
from starlette.responses import Response

from shared.runtime.auth import Caller
from shared.runtime.errors import Conflict
from shared.runtime.problems import FieldError, Problem
from shared.runtime.unit_of_work import AlreadyDone, UnitOfWork
from shared.runtime.work import Work

LONGEST: Final = 200
HEADER: Final = "Idempotency-Key"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command answers: a status, a JSON body, headers. Refusals that were recorded are answers too."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> Response:
        """Return the HTTP answer."""
        content = b"" if self.body is None else msgspec.json.encode(self.body)
        problem = self.status >= 400  # noqa: PLR2004 - HTTP
        media = "application/problem+json" if problem else "application/json"
        return Response(content, self.status, dict(self.headers), media_type=media)

    @classmethod
    def refusal(cls, problem: Problem) -> Answer:
        """Return a problem as an answer that is stored: a refusal that has been recorded."""
        return cls(problem.status, problem.body(), problem.headers)


async def idempotency_key(  # async: FastAPI runs what is not in a thread
    request: Request,
    _: Annotated[str | None, Header(alias=HEADER)] = None,  # for the OpenAPI document; what is read is below
) -> str:
    """Return the Idempotency-Key (a quoted structured-field string, or bare). Raises Problem 400 without one."""
    raw = request.headers.get(HEADER, "").strip()
    key = raw[1:-1] if len(raw) > 1 and raw[0] == raw[-1] == '"' else raw
    if not key or len(key) > LONGEST or not key.isprintable():
        remedy = f'Send a new key for each new request, e.g. Idempotency-Key: "8e03978e-…", at most {LONGEST} characters.'
        wrong = FieldError(HEADER, "missing or malformed", remedy)
        raise Problem(400, "idempotency-key", "An Idempotency-Key is needed.", errors=[wrong])
    return key


async def once(
    unit: UnitOfWork,
    caller: Caller,
    key: str,
    payload: bytes,
    function: Callable[[Work], Awaitable[Answer]],
    *,
    route: str,
) -> Answer:
    """Run a command at most once for this caller, route and key.

    Raises Problem 422 if the key was used with another payload, 409 while the first request is still running.
    """
    # The command's id goes out with every event that the command causes, and stays in journals and topics for ever. Clients
    # choose their keys, and some are a crime's reference or a name: what is kept only tells the same key from another.
    known_by = hashlib.sha256(key.encode()).hexdigest()[:32]
    command_id = f"{caller.agency}/{caller.worker or ''}/{route}/{known_by}"
    fingerprint = hashlib.sha256(payload).hexdigest()

    async def body(work: Work) -> Answer:
        answer = await function(work)
        work.fingerprint = fingerprint
        work.answer = msgspec.json.encode([answer.status, answer.body, dict(answer.headers)]).decode()
        return answer

    try:
        return await unit.run(body, actor=caller.actor, command_id=command_id, exclusive=True, label=route)
    except AlreadyDone as done:
        return _replay(done, fingerprint)
    except Conflict:
        detail = "Wait for its answer, then repeat it to see the same."
        raise Problem(
            409, "in-flight", "The first request with this key is still running.", detail=detail
        ) from None


def _replay(done: AlreadyDone, fingerprint: str) -> Answer:
    if done.fingerprint != fingerprint:
        wrong = FieldError(HEADER, "used before with another payload", "Use a new key for a new request.")
        raise Problem(422, "idempotency-key", "This key belongs to another request.", errors=[wrong])
    status, body, headers = msgspec.json.decode(done.answer)
    return Answer(status, body, {**headers, "Idempotent-Replayed": "true"})
