"""Releases: contact details against a permit, once; and which were handed out, for consent to compare."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.responses import Response

from services.intake import releasing
from services.intake.api import answers
from services.intake.api.common import json_response, parse, sends
from services.intake.core import Current
from services.intake.gateways import BEHALF
from services.intake.referral import Part
from shared.runtime.auth import Caller, scope

router = APIRouter(prefix="/v1/releases", tags=["releases"])


class Ask(Part):
    """A permit and its fence, as consent gave them."""

    permit: str = Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_.:-]+$")
    fence: int = Field(ge=0, le=2**53)


@router.post("", responses={200: {"model": answers.Release}}, openapi_extra=sends(Ask))
async def post_release(
    request: Request, service: Current, caller: Caller = scope("contact", "internal")
) -> Response:
    """Redeem a permit and hand out the contact details and safe-contact rules, once.

    409 with a typed reason: behind (try again), changed, unsafe, contact-point, already-redeemed, withdrawn, on-hold.
    503 means: do not contact.
    """
    body = parse(Ask, await request.body())
    holder = releasing.Holder.of(caller, request.headers.get(BEHALF, ""))
    with service.precedence.first():
        answer = await releasing.release(service, holder, body.permit, body.fence)
    return json_response(answer, headers={"Cache-Control": "no-store"})


@router.get("")
async def list_releases(
    service: Current,
    after: Annotated[int, Query(ge=0, le=2**62)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 500,
    caller: Caller = scope("internal", "operator"),  # noqa: ARG001 - the declaration is the check
) -> Response:
    """Return the permits whose details were handed out, in order, after a number: what consent compares with its ledger.

    Those in doubt (asked, neither handed out nor refused) have no number yet, and are in every answer: they may be handed
    out at any moment, and count as redeemed.
    """
    rows = await service.pool.fetch(
        """SELECT number, permit, person, party, case_id AS "case", agency, worker,
                  coalesce(handed_out_at, asked_at) AS handed_out_at, redeemed ->> 'channel' AS channel,
                  fence, redeemed ->> 'use_by' AS use_by
           FROM ((SELECT * FROM release WHERE number > $1 ORDER BY number LIMIT $2)
                 UNION ALL SELECT * FROM release WHERE state = 'asked') AS r
           ORDER BY number NULLS LAST""",
        after,
        limit,
    )
    releases = [dict(row) | {"handed_out_at": row["handed_out_at"].isoformat()} for row in rows]
    numbers = [row["number"] for row in rows if row["number"] is not None]
    following = str(numbers[-1]) if numbers else None
    return json_response({"releases": releases, "next": following})
