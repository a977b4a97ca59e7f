"""HTTP: an agency reads its feed here; subscriptions and messages have routes of their own, included below."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import asyncpg
import msgspec
from fastapi import APIRouter, Depends, Query
from pydantic import AfterValidator
from starlette.responses import Response

from services.notifications import store
from services.notifications.domain.cursor import Cursor
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


def _position(text: str) -> Cursor:
    try:
        return Cursor.read(text)
    except ValueError as error:
        remedy = "Send back `next` of an answer, or `cursor` of an entry, as it was; 0 to begin with."
        raise ValueError(f"{error} Remedy: {remedy}") from None


Position = Annotated[
    str,
    AfterValidator(lambda text: str(_position(text))),
    Query(
        max_length=40,
        description="how far you have read: `next` of an answer or `cursor` of an entry; a number is a replay",
    ),
]


def _entry(row: asyncpg.Record) -> dict[str, Any]:
    return {
        "number": row["number"],
        "cursor": str(_of(row)),
        "at": row["at"],
        "kind": row["kind"],
        "case": row["case_id"],
        "party": row["party"],
        "data": msgspec.Raw(row["data"].encode()),
        "event": row["event"],
    }


def _of(row: asyncpg.Record) -> Cursor:
    return Cursor(row["number"], row["witness"])


@router.get("/v1/feed", tags=["feed"])
async def read_feed(
    service: Current,
    after: Position = "0",
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    wait: Annotated[int, Query(ge=0, le=LONGEST_WAIT, description="seconds to wait for an entry")] = 0,
    of: Annotated[str | None, Query(max_length=100, description="an agency that yours has succeeded")] = None,
    caller: Caller = scope("subscribe"),
) -> Response:
    """Return your agency's entries after a cursor, in order; numbers count from 1 without gaps.

    Keep `next` and ask again with `after=next`. Replay is asking with an earlier one, or with a number. With `wait` the
    answer comes as soon as there is an entry, or empty when the time is over. 410 `feed-restored`: the entries up to
    your cursor are not those that you read. 409 `ahead`: your feed does not reach that far.
    """
    agency = of or caller.agency
    if not await store.is_or_was(service.pool, caller.agency, agency):
        raise not_found("feed")
    start, rows = await _entries(service, agency, Cursor.read(after), limit, wait)
    body = {
        "agency": agency,
        "entries": [_entry(row) for row in rows],
        "next": str(_of(rows[-1]) if rows else start),
        "more": len(rows) == limit,
    }
    return Response(msgspec.json.encode(body), media_type="application/json")


async def _entries(
    service: Service, agency: str, start: Cursor, limit: int, wait: int
) -> tuple[Cursor, list[asyncpg.Record]]:
    """Return the entries after a cursor, waiting for the first of them, and the cursor as it now is."""
    loop = asyncio.get_running_loop()
    end = loop.time() + wait
    # Listening begins before the first look: an entry committed between the two is not slept through.
    with store.BELL.listening(agency) as grown:
        while True:
            grown.clear()
            start, rows = await _after(service, agency, start, limit)
            left = end - loop.time()
            if rows or left <= 0 or service.stopping.is_set():
                return start, rows
            await store.rung(grown, min(left, POLL_SECONDS))


async def _after(
    service: Service, agency: str, start: Cursor, limit: int
) -> tuple[Cursor, list[asyncpg.Record]]:
    """Return the entries after a cursor, and the cursor with its witness. Raises Problem if it is not one of the feed.

    A reader who was given the cursor by us is told so only after a restore of the database: the last entries are being
    written again, perhaps in another order. If it read on, it could miss one and never know.
    """
    rows = await store.read_feed(service.pool, agency, start.number, limit)
    if start.number == 0:
        return start, rows[:limit]
    if start.witness is not None and not (rows and _of(rows[0]) == start):
        raise _restored(start.number)
    if not rows:
        raise _ahead(start.number, await store.last_number(service.pool, agency))
    return _of(rows[0]), rows[1:]


def _restored(number: int) -> Problem:
    title = f"The entries of this feed up to {number} are no longer those that you read."
    detail = (
        "The feed has been restored: entries were written again under other numbers, and reading on you could miss one. "
        "Ask with an earlier cursor that you kept, or else with after=0. `event` is what an entry tells of, and tells which "
        "you have."
    )
    return Problem(410, "feed-restored", title, detail=detail)


def _ahead(number: int, last: int) -> Problem:
    title = f"This feed ends at {last}: there is no entry {number} yet."
    detail = (
        f"Read on from {last}, or if these numbers were ours, from some hundred before it: the feed has been restored, "
        "and entries may have other numbers now. `event` is what an entry tells of, and tells which you have."
    )
    return Problem(409, "ahead", title, detail=detail)
