"""Holds and retractions of referrals."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from services.intake import holding
from services.intake.api import answers
from services.intake.api.common import Key, PathId, Version, json_response, parse, sends
from services.intake.core import Current
from services.intake.referral import Part
from services.intake.store import holds as store
from services.intake.store import reading
from shared.runtime.auth import Caller, scope
from shared.runtime.http import etag
from shared.runtime.idempotency import Answer
from shared.runtime.problems import not_found
from shared.runtime.times import Time
from shared.runtime.work import Work

router = APIRouter(prefix="/v1/referrals", tags=["holds"])
ReasonCode = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


class SetHold(Part):
    """Why nobody works on the referral's cases for now, and when that is looked at again."""

    reason: ReasonCode
    until: Time | None = None


class LiftHold(Part):
    """Why the hold is over."""

    reason: ReasonCode


def _known(referral: str) -> str:
    found = reading.as_uuid(referral)
    if found is None:
        raise not_found("referral")
    return found


@router.post("/{referral}/retraction", status_code=202, responses={202: {"model": answers.Retracted}})
async def retract(
    request: Request,
    referral: PathId,
    service: Current,
    key: Key,
    caller: Caller = scope("referrals.write"),
) -> Response:
    """Take back a referral that was posted in error."""
    body = await request.body()
    route = f"POST /v1/referrals/{referral}/retraction"
    answer = await service.once(caller, key, body, _retract, _known(referral), caller.agency, route=route)
    return answer.response()


async def _retract(work: Work, referral: str, agency: str) -> Answer:
    return Answer(202, {"referral": await holding.retract(work, referral, agency), "status": "retracted"})


@router.get("/{referral}/holds", responses={200: {"model": answers.Holds}})
async def list_holds(referral: PathId, service: Current, caller: Caller = scope("hub")) -> Response:
    """Return the holds that stand because of a referral; each one's version is its ETag."""
    rows = await service.transact(store.of_referral, _known(referral))
    await service.transact(reading.note_read, caller.agency, caller.worker, "referral.holds", None, referral)
    return json_response({"holds": [row.body() for row in rows]})


@router.post(
    "/{referral}/holds",
    status_code=201,
    responses={201: {"model": answers.Hold}},
    openapi_extra=sends(SetHold),
)
async def set_hold(
    request: Request,
    referral: PathId,
    service: Current,
    key: Key,
    caller: Caller = scope("hub"),
) -> Response:
    """Hold a referral's cases."""
    raw = await request.body()
    body = parse(SetHold, raw)
    route = f"POST /v1/referrals/{referral}/holds"
    answer = await service.once(
        caller, key, raw, _set, _known(referral), body.reason, body.until, route=route
    )
    return answer.response()


async def _set(work: Work, referral: str, reason: str, until: datetime | None) -> Answer:
    row = await holding.hold_referral(work, referral, reason, until)
    return Answer(201, row.body(), {"ETag": etag(row.version)})


@router.post(
    "/{referral}/holds/{hold}/release",
    responses={200: {"model": answers.Hold}},
    openapi_extra=sends(LiftHold),
)
async def lift_hold(
    request: Request,
    referral: PathId,
    hold: PathId,
    service: Current,
    version: Version,
    caller: Caller = scope("hub"),
) -> Response:
    """Lift a hold (If-Match with its version)."""
    body = parse(LiftHold, await request.body())
    row = await service.transact(
        holding.lift, _known(referral), hold, body.reason, version, actor=caller.actor
    )
    return json_response(row.body(), headers={"ETag": etag(row.version)})
