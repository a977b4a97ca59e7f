"""HTTP: the deliveries that operators look after, and the subscriptions of an agency whose access has ended."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from services.notifications import store
from services.notifications.domain import subscription as rules
from services.notifications.domain.subscription import Standing
from services.notifications.webhooks import rows
from services.notifications.webhooks.loops import redrive
from shared.runtime.auth import Caller, scope
from shared.runtime.http import decode_cursor, encode_cursor
from shared.runtime.idempotency import Answer, idempotency_key
from shared.runtime.problems import Problem
from shared.runtime.service import Service, current_service
from shared.runtime.work import Work

router = APIRouter()
Current = Annotated[Service, Depends(current_service)]
Key = Annotated[str, Depends(idempotency_key)]


def wake() -> None:
    """Have the loops look now, once what was changed is committed."""
    store.BELL.ring(())


@router.post("/agencies/{agency}/revocation")
async def revoke(
    service: Current,
    agency: Annotated[str, Path(pattern=r"^[A-Za-z0-9_.:-]{1,100}$")],
    caller: Caller = scope("operator"),
) -> dict[str, int]:
    """Pause an agency's subscriptions, because its access has ended: nothing is sent until it activates them itself.

    Its feed goes on; a subscription that is activated again is sent what came meanwhile.
    """

    async def command(work: Work) -> int:
        await work.lock()
        paused = 0
        for row in await rows.held_of(work, agency):
            before = Standing(row["url"], row["active"], row["reason"], row["confirmed"])
            standing = rules.revoke(before)
            if standing != before:
                work.write(rows.change, (row["subscription_id"], standing, row["kinds"], None))
                paused += 1
        return paused

    return {"paused": await service.transact(command, actor=caller.actor)}


@router.get("/deliveries")
async def list_deliveries(
    service: Current,
    state: Literal["pending", "delivered", "failed", "withheld"] | None = None,
    subscription: Annotated[str | None, Query(pattern=r"^[0-9a-f-]{36}$")] = None,
    cursor: Annotated[str | None, Query(max_length=400)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    caller: Caller = scope("operator"),  # noqa: ARG001 - the declaration is the check
) -> Response:
    """Return deliveries of all agencies, the last changed first."""
    after = decode_cursor(cursor, datetime, str, int)
    found = await rows.deliveries(service.pool, state, subscription, after, limit)
    listed = [dict(row) | {"id": f"{row['subscription_id']}.{row['number']}"} for row in found]
    last = found[-1] if len(found) == limit else None
    more = last and encode_cursor(last["updated_at"].isoformat(), last["subscription_id"], last["number"])
    return Response(msgspec.json.encode({"deliveries": listed, "next": more}), media_type="application/json")


@router.post("/deliveries/{delivery}/redrive", status_code=202)
async def redrive_delivery(
    service: Current,
    request: Request,
    delivery: Annotated[str, Path(pattern=r"^[0-9a-f-]{36}\.-?\d{1,18}$")],
    key: Key,
    caller: Caller = scope("operator"),
) -> Response:
    """Try a failed delivery again; those behind it in its lane follow."""
    subscription, _, number = delivery.partition(".")

    async def command(work: Work) -> Answer:
        lane = await redrive(work, subscription, int(number))
        if lane is None:
            raise Problem(409, "not-failed", "There is no such delivery, or it has not failed.")
        work.after_commit(wake)
        return Answer(202, {"lane": lane})

    answer = await service.once(caller, key, await request.body(), command, route=f"redrive/{delivery}")
    return answer.response()
