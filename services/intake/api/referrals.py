"""Referrals: post one, ask what became of it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from services.intake.api import answers
from services.intake.api.common import field_errors, json_response, sends
from services.intake.core import Current, Intake, intake_of
from services.intake.documents import BadDocument
from services.intake.referral import Referral
from services.intake.store import following, reading
from services.intake.store.arrivals import Stored
from shared.runtime.auth import Caller, Scope, scope
from shared.runtime.problems import FieldError, Problem, invalid, not_found
from shared.runtime.service import current_service

router = APIRouter(prefix="/v1/referrals", tags=["referrals"])
SEEN: dict[int | str, dict[str, Any]] = {
    202: {"model": answers.Received, "description": "stored, for good"},
    200: {"model": answers.Received, "description": "this version was stored before: the first answer"},
}
_WRITE = Scope(("referrals.write",))


def answer_of(stored: Stored) -> tuple[int, dict[str, Any]]:
    """Return the status and body for what became of a posted version. Raises Problem 409."""
    if stored.outcome in ("other_content", "older", "retracted"):
        raise _CONFLICTS[stored.outcome](stored)
    body = {
        "referral": stored.id,
        "version": stored.version,
        "received_at": stored.received_at.isoformat() if stored.received_at else None,
        "warnings": stored.warnings,
    }
    return 200 if stored.outcome == "seen" else 202, body


def _other_content(stored: Stored) -> Problem:
    field = FieldError(
        "version",
        "this version was sent before with other content",
        f"Send the change as version {stored.latest + 1}.",
    )
    return Problem(409, "other-content", "Another referral has this reference and version.", errors=[field])


def _older(stored: Stored) -> Problem:
    field = FieldError(
        "version",
        "older than one already received",
        f"Send a version above {stored.latest}, with everything that is known now.",
    )
    return Problem(409, "older-version", "A later version of this referral is known.", errors=[field])


def _retracted(_: Stored) -> Problem:
    field = FieldError(
        "reference", "retracted: it was posted in error", "Use a new reference for a new referral."
    )
    return Problem(409, "retracted", "This referral was retracted.", errors=[field])


_CONFLICTS = {"other_content": _other_content, "older": _older, "retracted": _retracted}


@router.post("", status_code=202, responses=SEEN, openapi_extra=sends(Referral))
async def post_referral(
    request: Request, service: Current, caller: Caller = scope(*_WRITE.names)
) -> Response:
    """Accept a referral: 202 means that it is durable. The same again gets the same answer (200).

    409: other content under a version already seen, or an older version never seen. 422: every bad field with its remedy.
    """
    _json_only(request)
    raw = await request.body()
    try:
        stored = await service.doorstep.post(caller.agency, raw)
    except BadDocument as bad:
        raise invalid(field_errors(bad.faults)) from None
    status, body = answer_of(stored)
    headers = {"Location": f"/v1/referrals/{stored.id}"}
    return json_response(body, status, headers)


async def post_directly(request: Request) -> Response:
    """Answer the route above without FastAPI: the same scope, the same function."""
    service = intake_of(await current_service(request))
    return await post_referral(request, service, await _WRITE(request))


def _json_only(request: Request) -> None:
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        field = FieldError(
            "Content-Type", "not JSON", "Send application/json; NDJSON and CSV go to /v1/referral-batches."
        )
        raise Problem(415, "media-type", "A referral is posted as JSON.", errors=[field])


@router.get("/{referral}", responses={200: {"model": answers.Status}})
async def get_referral(referral: str, service: Current, caller: Caller = scope("referrals.read")) -> Response:
    """Say what became of a referral: received, matched, on hold (why, until), proposed, allocated, refused, closed."""
    found = await reading.status_of(service.pool, reading.as_uuid(referral))
    if found is None or not await _may_see(service, caller, found["agency"]):
        raise not_found("referral")
    await _note(service, caller, referral)
    return json_response(found)


@router.get("", responses={200: {"model": answers.Statuses}})
async def find_referral(
    service: Current,
    reference: Annotated[str, Query(min_length=1, max_length=100)],
    agency: Annotated[str | None, Query(max_length=64)] = None,
    caller: Caller = scope("referrals.read"),
) -> Response:
    """Find a referral by the agency's own reference. A hub or operator names the agency; an agency sees its own.

    An agency that has succeeded another sees that one's too, so that there may be one of each under the same reference.
    """
    named = agency is not None and (caller.may("hub") or caller.may("operator"))
    agencies = [agency or ""] if named else await service.transact(following.lineage, caller.agency)
    tags = [service.keyring.tag("reference", f"{of}\n{reference.strip()}") for of in agencies]
    rows = await service.pool.fetch(
        """SELECT r.id::text AS id FROM unnest($1::text[], $2::bytea[]) WITH ORDINALITY AS wanted(agency, tag, place)
           JOIN referral AS r ON r.agency = wanted.agency AND r.reference_tag = wanted.tag ORDER BY place""",
        agencies,
        tags,
    )
    found = [await reading.status_of(service.pool, row["id"]) for row in rows]
    if not found:
        raise not_found("referral")
    for row in rows:
        await _note(service, caller, row["id"])
    return json_response({"referrals": found})


async def _may_see(service: Intake, caller: Caller, agency: str) -> bool:
    if caller.agency == agency or caller.may("hub") or caller.may("operator"):
        return True
    return agency in await service.transact(following.lineage, caller.agency)


async def _note(service: Intake, caller: Caller, referral: str) -> None:
    await service.transact(reading.note_read, caller.agency, caller.worker, "referral.status", None, referral)
