"""Many referrals in one request."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from services.intake import batches, importing
from services.intake.api import answers
from services.intake.api.common import described, field_errors, schema_of
from services.intake.api.referrals import answer_of
from services.intake.batches import BadTable, Line, Table
from services.intake.core import Current, Intake
from services.intake.documents import BadDocument
from services.intake.referral import Referral
from shared.runtime.auth import Caller, scope
from shared.runtime.errors import Unavailable
from shared.runtime.problems import FieldError, Problem, fault, invalid, unavailable

log = logging.getLogger(__name__)
router = APIRouter(prefix="/v1/referral-batches", tags=["referrals"])
NDJSON = "application/x-ndjson"
_LINES = {"type": "string", "contentMediaType": "application/json", "contentSchema": schema_of(Referral)}
_TABLE = {"type": "string", "description": "UTF-8; the header names paths: reference, parties.0.name.surname"}
_REGISTER = {
    "type": "string",
    "contentMediaType": "application/json",
    "contentSchema": schema_of(importing.Entry),
}
_ANSWERED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "an answer for each line",
        "content": {
            NDJSON: {
                "schema": {
                    "type": "string",
                    "contentMediaType": "application/json",
                    "contentSchema": schema_of(answers.Line),
                }
            }
        },
    }
}
_BATCH: dict[str, Any] = described(_LINES, NDJSON)
_BATCH["requestBody"]["content"]["text/csv"] = {"schema": _TABLE}


@router.post("", response_class=Response, responses=_ANSWERED, openapi_extra=_BATCH)
async def post_batch(
    request: Request, service: Current, caller: Caller = scope("referrals.write")
) -> Response:
    """Accept a batch: a line of the answer for each line, in order, as it is done; status 202, 200, 409, 422 or 503 each.

    NDJSON has a referral in each line. CSV has a header of paths (`reference`, `parties.0.name.surname`). A line that is
    answered with 202 is durable, whatever becomes of the rest.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in (NDJSON, "application/ndjson", "application/jsonl", "text/csv"):
        field = FieldError("Content-Type", "neither NDJSON nor CSV", f"Send {NDJSON} or text/csv in UTF-8.")
        raise Problem(415, "media-type", "A batch is NDJSON or CSV.", errors=[field])
    limit = service.own.line_limit
    source = batches.lines(request.stream(), most=service.own.batch_limit, line_most=limit)
    found = (
        _table(service, caller.agency, source, limit)
        if kind == "text/csv"
        else _ndjson(service, caller.agency, source)
    )
    return Answered(_encoded(found), media_type=NDJSON)


class Answered(StreamingResponse):
    """Answers while the request is still being read.

    Starlette's own would listen for a hang-up by reading the request itself, and swallow lines of it.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - the signature is ASGI's
        """Send the answers."""
        await self.stream_response(send)


async def _encoded(found: AsyncIterator[dict[str, Any]]) -> AsyncIterator[bytes]:
    # Whoever hangs up half-way sends the rest again: what was stored is answered as seen.
    with suppress(ClientDisconnect):
        async for answer in found:
            yield msgspec.json.encode(answer) + b"\n"


def _ndjson(service: Intake, agency: str, source: AsyncIterator[Line]) -> AsyncIterator[dict[str, Any]]:
    async def handle(number: int, line: bytes) -> dict[str, Any]:
        if len(line) > service.own.line_limit:
            return _too_long(service, number)
        return await _one(service, agency, number, line, lax=False)

    return batches.answers(source, handle)


async def _table(
    service: Intake, agency: str, source: AsyncIterator[Line], limit: int
) -> AsyncIterator[dict[str, Any]]:
    async def handle(number: int, line: bytes) -> dict[str, Any]:
        if line.startswith(b"\x00"):
            what, _, remedy = line[1:].decode().partition("; ")
            wrong = FieldError("line", what, remedy or "Mend the line and send it again.")
            return {"line": number, **invalid([wrong]).body()}
        return await _one(service, agency, number, line, lax=True)

    async for answer in batches.answers(_documents(source, limit), handle):
        yield answer


async def _documents(source: AsyncIterator[Line], limit: int) -> AsyncIterator[Line]:
    table: Table | None = None
    async for number, text in batches.records(source, line_most=limit):
        # What is wrong with a record travels to its answer as a line that cannot be JSON.
        try:
            if isinstance(text, BadTable):
                raise text
            if table is None:
                table = Table(text)
            elif (document := table.document(text)) is not None:
                yield number, document
        except BadTable as why:
            yield number, b"\x00" + str(why).encode()
            if table is None:
                return


async def _one(
    service: Intake, agency: str, number: int, line: bytes, *, lax: bool, register: bool = False
) -> dict[str, Any]:
    try:
        status, body = answer_of(await service.doorstep.post(agency, line, lax=lax, register=register))
    except BadDocument as bad:
        found = importing.renamed(bad.faults) if register else bad.faults
        return {"line": number, **invalid(field_errors(found)).body()}
    except Problem as problem:
        return {"line": number, **problem.body()}
    except Unavailable as why:
        return {"line": number, **unavailable(str(why)).body()}
    except Exception as error:
        # One that fails for a reason that nobody thought of must not cost the others their answers.
        log.exception("a line of a batch failed", extra={"error": type(error).__name__})
        return {"line": number, **fault().body()}
    return {"line": number, "status": status, **body}


def _too_long(service: Intake, number: int) -> dict[str, Any]:
    most = service.own.line_limit
    field = FieldError("line", "too long", f"Send at most {most} bytes in a line.")
    return {"line": number, **Problem(413, "too-large", "The line is too long.", errors=[field]).body()}


register = APIRouter(prefix="/v1/register-imports", tags=["register imports"])


@register.post("", response_class=Response, responses=_ANSWERED, openapi_extra=described(_REGISTER, NDJSON))
async def import_register(
    request: Request,
    service: Current,
    caller: Caller = scope("operator"),  # noqa: ARG001 - the declaration is the check
) -> Response:
    """Import an older system's register (NDJSON): who leads, who was approached, who said no. Lines may be sent again."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in (NDJSON, "application/ndjson", "application/jsonl"):
        field = FieldError("Content-Type", "not NDJSON", f"Send {NDJSON} in UTF-8.")
        raise Problem(415, "media-type", "A register is NDJSON.", errors=[field])
    source = batches.lines(request.stream(), most=service.own.batch_limit, line_most=service.own.line_limit)

    async def handle(number: int, line: bytes) -> dict[str, Any]:
        if len(line) > service.own.line_limit:
            return _too_long(service, number)
        try:
            agency, document = importing.document(line)
        except BadDocument as bad:
            return {"line": number, **invalid(field_errors(bad.faults)).body()}
        return await _one(service, agency, number, document, lax=False, register=True)

    return Answered(_encoded(batches.answers(source, handle)), media_type=NDJSON)
