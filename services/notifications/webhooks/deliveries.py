"""HTTP: how an agency's own deliveries fared, and having them sent again."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import asyncpg
import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from services.notifications.webhooks import rows
from services.notifications.webhooks.loops import redeliver
from services.notifications.webhooks.operators import wake
from shared.runtime.auth import Caller, scope
from shared.runtime.http import decode_cursor, encode_cursor
from shared.runtime.idempotency import Answer, idempotency_key
from shared.runtime.problems import Problem, not_found
from shared.runtime.service import Service, current_service
from shared.runtime.work import Work

router = APIRouter()
Current = Annotated[Service, Depends(current_service)]
Id = Annotated[str, Path(pattern=r"^[0-9a-f-]{36}$")]
BEYOND: Final = 2**62
MOST_AT_ONCE: Final = 200


class Wanted(BaseModel, extra="forbid"):
    """Which delivery is to be sent again: the number of its entry; left out: all that failed or wait for another try."""

    number: int | None = Field(default=None, ge=0, le=BEYOND)


@router.get("/subscriptions/{subscription}/deliveries")
async def list_own(
    service: Current,
    subscription: Id,
    state: Literal["pending", "delivered", "failed", "withheld"] | None = None,
    cursor: Annotated[str | None, Query(max_length=400)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    caller: Caller = scope("subscribe"),
) -> Response:
    """Return the deliveries of one of your subscriptions, the last entry's first: how each fared, why, and what comes next.

    `next_try`: when it is sent again by itself; `behind`: the number of the one of its case that it waits for.
    """
    found = await rows.of_agency(service.pool, caller.agency, subscription)
    if not found:
        raise not_found("subscription")
    after = decode_cursor(cursor, int)
    listed = await rows.own(service.pool, subscription, state, after[0] if after else BEYOND, limit)
    more = encode_cursor(listed[-1]["number"]) if len(listed) == limit else None
    body = {
        "active": found[0]["active"],
        "reason": found[0]["reason"],
        "deliveries": [_shown(subscription, row) for row in listed],
        "next": more,
    }
    return Response(msgspec.json.encode(body), media_type="application/json")


def _shown(subscription: str, row: asyncpg.Record) -> dict[str, Any]:
    return {"id": f"{subscription}.{row['number']}", **row}


@router.post("/subscriptions/{subscription}/redelivery", status_code=202)
async def send_again(
    service: Current,
    request: Request,
    subscription: Id,
    wanted: Wanted,
    key: Annotated[str, Depends(idempotency_key)],
    caller: Caller = scope("subscribe"),
) -> Response:
    """Send again, now, what failed or waits for its next try; what stands behind it in its case follows.

    All of it, at most 200 at once (`more`: ask again), or one by the number of its entry.
    """

    async def command(work: Work) -> Answer:
        await work.lock()
        row = await rows.held(work, subscription)
        if row is None or row["agency"] != caller.agency:
            raise not_found("subscription")
        if not row["active"]:
            detail = 'PATCH it with {"active": true} first; GET it says why it is not.'
            raise Problem(409, "inactive", "Nothing is sent to this subscription.", detail=detail)
        count = await redeliver(work, subscription, wanted.number, MOST_AT_ONCE)
        if count == 0 and wanted.number is not None:
            detail = "It was delivered or withheld, is on its way, or waits behind another one of its case. To have entries "
            detail += "again that were delivered, POST …/replay."
            raise Problem(409, "not-failed", "There is no such delivery to be sent again.", detail=detail)
        work.after_commit(wake)
        return Answer(202, {"sent_again": count, "more": count == MOST_AT_ONCE})

    body = await request.body()
    answer = await service.once(caller, key, body, command, route=f"redelivery/{subscription}")
    return answer.response()
