"""HTTP: an agency reads its feed here; subscriptions and messages have routes of their own, included below."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import asyncpg
import msgspec
from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from services.notifications import store
from services.notifications.messages.api import router as messages
from services.notifications.webhooks.api import router as webhooks
from shared.runtime.auth import Caller, scope
from shared.runtime.problems import Problem, not_found
from shared.runtime.service import Service, current_service

router = APIRouter()
router.include_router(webhooks)
router.include_router(messages)
Current = Annotated[Service, Depends(current_service)]

LONGEST_WAIT = 30
# How often a waiting reader looks by itself, in case another process wrote the feed.
POLL_SECONDS = 1.0
BIGGEST_NUMBER = 2**62


def _entry(row: asyncpg.Record) -> dict[str, Any]:
    return {
        "number": row["number"],
        "at": row["at"],
        "kind": row["kind"],
        "case": row["case_id"],
        "party": row["party"],
        "data": msgspec.Raw(row["data"].encode()),
        "event": row["event"],
    }


@router.get("/v1/feed", tags=["feed"])
async def read_feed(
    service: Current,
    after: Annotated[int, Query(ge=0, le=BIGGEST_NUMBER, description="the last number that you have")] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    wait: Annotated[int, Query(ge=0, le=LONGEST_WAIT, description="seconds to wait for an entry")] = 0,
    of: Annotated[str | None, Query(max_length=100, description="an agency that yours has succeeded")] = None,
    caller: Caller = scope("subscribe"),
) -> Response:
    """Return your agency's entries after a number, in order; numbers count from 1 without gaps.

    Keep `next` and ask again with `after=next`. Replay is asking with an earlier number. With `wait` the answer comes
    as soon as there is an entry, or empty when the time is over. 409 `ahead`: your feed does not reach that far.
    """
    agency = of or caller.agency
    if agency != caller.agency and not await store.inherits(service.pool, caller.agency, agency):
        raise not_found("feed")
    rows = await _entries(service, agency, after, limit, wait)
    body = {
        "agency": agency,
        "entries": [_entry(row) for row in rows],
        "next": rows[-1]["number"] if rows else after,
        "more": len(rows) == limit,
    }
    return Response(msgspec.json.encode(body), media_type="application/json")


async def _entries(service: Service, agency: str, after: int, limit: int, wait: int) -> list[asyncpg.Record]:
    loop = asyncio.get_running_loop()
    end = loop.time() + wait
    reaches = False
    # Listening begins before the first look: an entry committed between the two is not slept through.
    with store.BELL.listening(agency) as grown:
        while True:
            grown.clear()
            rows = await store.read_feed(service.pool, agency, after, limit)
            reaches = reaches or bool(rows) or await _reaches(service, agency, after)
            left = end - loop.time()
            if rows or left <= 0 or service.stopping.is_set():
                return rows
            await store.rung(grown, min(left, POLL_SECONDS))


async def _reaches(service: Service, agency: str, after: int) -> bool:
    """Return True if a feed has an entry with this number. Raises Problem 409 if it ends before.

    A reader who was given the number by us is told so only after a restore of the database. Its feed is being written again,
    perhaps in another order: if it read on from there, it could miss an entry and never know.
    """
    last = await store.last_number(service.pool, agency)
    if after > last:
        title = f"This feed ends at {last}: there is no entry {after} yet."
        detail = (
            f"Read on from {last}, or if these numbers were ours, from some hundred before it: the feed has been restored, "
            "and entries may have other numbers now. `event` is what an entry tells of, and tells which you have."
        )
        raise Problem(409, "ahead", title, detail=detail)
    return True
