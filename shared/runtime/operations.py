"""What operators and other services may ask of every service: its journal, its quarantine, its clock."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

import asyncpg
import msgspec
from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from shared.contracts.envelope import REGISTER, TOPICS
from shared.runtime import journal
from shared.runtime.auth import Caller, scope
from shared.runtime.journal import KEY
from shared.runtime.problems import Problem, not_found
from shared.runtime.quarantine import NotNow
from shared.runtime.retelling import heads
from shared.runtime.service import Service, current_service
from shared.runtime.wire import headers_of

router = APIRouter(prefix="/v1", tags=["operations"])
Current = Annotated[Service, Depends(current_service)]


@router.get("/journal/{stream}/{key}")
async def read_journal(
    service: Current,
    stream: Annotated[str, Path(pattern=r"^[a-z]{1,20}$")],
    key: Annotated[str, Path(pattern=KEY)],
    after: Annotated[int, Query(ge=0, le=2**62)] = 0,
    caller: Caller = scope("internal", "operator"),  # noqa: ARG001 - the declaration is the check
) -> Response:
    """Return the events of one key after a sequence, at most 500, as they were published."""
    if stream not in service.own_topics or stream not in TOPICS:
        raise not_found("stream")
    events = [
        {
            "headers": [(name, value.decode()) for name, value in headers_of(r.envelope)],
            "data": r.value.decode(),
            "position": r.position,
        }
        for r in await journal.of_key(service.pool, service.source, stream, key, after)
    ]
    return Response(
        msgspec.json.encode({"stream": stream, "key": key, "events": events}), media_type="application/json"
    )


@router.get("/quarantine")
async def list_quarantine(
    service: Current,
    after: Annotated[int, Query(ge=0, le=2**62, description="the last id that you have")] = 0,
    caller: Caller = scope("operator"),  # noqa: ARG001 - the declaration is the check
) -> list[dict[str, Any]]:
    """Return what could not be handled and is not resolved, the oldest first (at most 200, after an id).

    `waiting`: later events of its key that wait behind it; `restrictive`: it can never be passed over.
    """
    rows = await service.pool.fetch(_OPEN, after)
    return [_entry(row) for row in rows]


_TYPE = re.compile(r"[a-z_]{1,40}\.[a-z_]{1,40}\.v[0-9]{1,4}")
_OPEN = """
SELECT id, topic, partition, "offset", key, sequence, headers, reason, how, since,
  (SELECT count(*) FROM waiting AS w WHERE (w.topic, w.key) = (q.topic, q.key)) AS waiting
FROM quarantine AS q WHERE resolved IS NULL AND id > $1 ORDER BY id LIMIT 200
"""


def _entry(row: asyncpg.Record) -> dict[str, Any]:
    shown = dict(row)
    named = dict(msgspec.json.decode(shown.pop("headers"))).get("ce_type", "")
    contract = REGISTER.get(named)
    # Of a record that nobody can read not even its type is to be believed; nor is what looks like none shown.
    return shown | {
        "since": row["since"].isoformat(),
        "type": named if row["key"] and _TYPE.fullmatch(named) else None,
        "restrictive": contract is None or contract.restrictive,
    }


@router.post("/quarantine/{number}/redrive")
async def redrive(
    service: Current,
    number: Annotated[int, Path(ge=1, le=2**62)],
    dry_run: bool = False,  # noqa: FBT001, FBT002 - a query parameter
    original: bool = False,  # noqa: FBT001, FBT002 - a query parameter
    caller: Caller = scope("operator"),  # noqa: ARG001 - the declaration is the check
) -> dict[str, Any]:
    """Try a quarantined event again (`original`: as its source's journal has it). A dry run saves nothing."""
    try:
        applied = await service.exits.redrive(number, dry_run=dry_run, original=original)
    except NotNow as why:
        raise _refused(why) from None
    except Exception as error:  # noqa: BLE001 - whatever the handler raised, the answer is: it still fails
        raise Problem(
            409, "still-failing", "The event still cannot be handled.", detail=type(error).__name__
        ) from None
    return {"applied": applied, "dry_run": dry_run}


# No column keeps a NUL, and no list shows a line break well.
TEXT = r"^[^\x00-\x1f\x7f]+$"


@router.post(
    "/quarantine/{number}/skip", responses={202: {"description": "Another worker has to say so too."}}
)
async def skip(
    service: Current,
    number: Annotated[int, Path(ge=1, le=2**62)],
    response: Response,
    caller: Caller = scope("operator"),
) -> dict[str, Any]:
    """Pass over a quarantined event, never a restrictive one: two workers have to ask for it, each with their own token."""
    try:
        applied = await service.exits.skip(number, caller.actor)
    except NotNow as why:
        raise _refused(why) from None
    if applied is None:
        response.status_code = 202
        return {"state": "awaiting_second_person"}
    return {"applied": applied}


class Acknowledgement(BaseModel, extra="forbid"):
    """Why a record that nobody can read may be put away."""

    reason: str = Field(
        min_length=3,
        max_length=200,
        pattern=TEXT,
        description="for the audit: why; nothing about a person",
    )
    earlier: bool = Field(default=False, description="those of its topic before it too, as after a flood")


@router.post("/quarantine/{number}/acknowledge")
async def acknowledge(
    service: Current,
    number: Annotated[int, Path(ge=1, le=2**62)],
    body: Acknowledgement,
    caller: Caller = scope("operator"),
) -> dict[str, Any]:
    """Put away a record without a key that can be trusted, once everything that its source has is applied here."""
    try:
        put_away = await service.unreadable.acknowledge(
            number, caller.actor, body.reason, earlier=body.earlier
        )
    except NotNow as why:
        raise _refused(why) from None
    return {"acknowledged": put_away}


@router.post("/quarantine/{number}/retelling")
async def ask_for_retelling(
    service: Current,
    number: Annotated[int, Path(ge=1, le=2**62)],
    caller: Caller = scope("operator"),  # noqa: ARG001 - the declaration is the check
) -> dict[str, Any]:
    """Ask the source of a record without a key that can be trusted to tell its topic again: at most once a minute."""
    try:
        return {"telling": await service.unreadable.ask_about(number)}
    except NotNow as why:
        raise _refused(why) from None


@router.post("/outbox/{topic}/retelling")
async def tell_again(
    service: Current,
    topic: Annotated[str, Path(pattern=r"^[a-z]{1,20}$")],
    age: Annotated[float, Query(ge=0, le=1e9, description="seconds since the asker read it")] = 0,
    caller: Caller = scope("internal", "operator"),  # noqa: ARG001 - the declaration is the check
) -> dict[str, bool]:
    """Tell one of this service's topics again, all of it, at most once a minute."""
    if topic not in service.own_topics:
        raise not_found("topic")
    return {"telling": await service.retelling.begin(topic, age)}


@router.get("/outbox/{topic}/heads")
async def read_heads(
    service: Current,
    topic: Annotated[str, Path(pattern=r"^[a-z]{1,20}$")],
    after: Annotated[str, Query(pattern=rf"^$|{KEY}")] = "",
    caller: Caller = scope("internal", "operator"),  # noqa: ARG001 - the declaration is the check
) -> dict[str, list[tuple[str, int]]]:
    """Return how many events each key of an own topic has, from a key on: some thousand keys at a time."""
    if topic not in service.own_topics:
        raise not_found("topic")
    return {"heads": await heads(service, topic, after)}


@router.get("/outbox/failed")
async def list_failed(service: Current, caller: Caller = scope("operator")) -> list[dict[str, Any]]:  # noqa: ARG001 - the declaration is the check
    """Return events that the broker refused, the oldest first (at most 200). Later ones of their keys wait."""
    rows = await service.pool.fetch(
        """SELECT o.topic, o.key, j.sequence, j.type, o.failed AS reason, j.recorded_at AS since
        FROM outbox AS o JOIN journal AS j USING (position) WHERE o.failed IS NOT NULL ORDER BY position LIMIT 200"""
    )
    return [dict(row) | {"since": row["since"].isoformat()} for row in rows]


@router.post("/outbox/retry")
async def retry_outbox(service: Current, caller: Caller = scope("operator")) -> dict[str, Any]:  # noqa: ARG001 - the declaration is the check
    """Try again to publish events that the broker refused."""
    rows = await service.pool.fetch(
        "UPDATE outbox SET failed = NULL WHERE failed IS NOT NULL RETURNING position"
    )
    if service.outbox is not None:
        service.outbox.sweep()
    return {"retrying": len(rows)}


class Shift(BaseModel, extra="forbid"):
    """How far ahead of the database's clock this development stack is."""

    seconds: float = Field(ge=0, le=20 * 366 * 86400)


@router.put("/clock")
async def shift_clock(service: Current, body: Shift, caller: Caller = scope("operator")) -> dict[str, float]:  # noqa: ARG001 - the declaration is the check
    """Move the clock of a development stack, so that a deferred sentence can pass in a minute."""
    if not service.settings.development:
        raise not_found("clock")
    await service.pool.execute("UPDATE clock SET shift = $1", timedelta(seconds=body.seconds))
    service.unit.timer_set()
    return {"seconds": body.seconds}


def _refused(why: NotNow) -> Problem:
    code = str(why)
    if code == "no_such_entry":
        return not_found("entry")
    return Problem(409, "not-now", _WHAT_TO_DO[code], detail=code)


_WHAT_TO_DO = {
    "an_earlier_one_is_missing": "An earlier event of this key is missing: start its source, which is asked for it.",
    "not_in_journal": "Its source has no such event in its journal: try it again as it arrived, without `original`.",
    "restrictive_or_unknown": "An event that may forbid contact is never passed over: mend what fails, and redrive it.",
    "second_person": "Passing over takes two people: use a token that names you as `worker`.",
    "no_trustworthy_key": "Nobody can say whose this record was: ask for a retelling, then acknowledge it.",
    "its_key_is_known": "This event can be read: redrive it, or pass over it.",
    "not_told_again_yet": "Its source has not told its topic again: ask for a retelling, then acknowledge it.",
    "behind_its_source": "Not all that its source has is applied here yet: acknowledge it once nothing waits.",
}
