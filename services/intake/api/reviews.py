"""Match reviews: doubts for a person to decide, with the evidence and, for the deciding, both sides' details."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.responses import Response

from services.intake import reviewing
from services.intake.api.common import PathId, json_response, parse
from services.intake.core import Current, Intake
from services.intake.referral import Part
from services.intake.store import people as store
from services.intake.store import reading
from shared.runtime.auth import Caller, scope
from shared.runtime.http import decode_cursor, encode_cursor, etag, required_version
from shared.runtime.problems import not_found
from shared.runtime.work import Work

router = APIRouter(prefix="/v1/match-reviews", tags=["match reviews"])


class Decision(Part):
    """One human (or incident), two, or nobody can tell. `chosen` names the candidate where there are several."""

    answer: Literal["same", "different", "cannot_tell"]
    reason: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    chosen: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,100}$")] | None = Field(
        default=None, alias="with"
    )


@router.get("")
async def list_reviews(
    service: Current,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    kind: Annotated[Literal["identity", "incident"] | None, Query()] = None,
    state: Annotated[Literal["open", "all"], Query()] = "open",
    caller: Caller = scope("hub"),  # noqa: ARG001 - the declaration is the check
) -> Response:
    """Return the reviews, the oldest first: why there is doubt, the evidence, who might be meant. No details."""
    after = decode_cursor(cursor, str)
    query = f"""SELECT {reviewing.COLUMNS} FROM match_review WHERE ($1::uuid IS NULL OR id > $1)
                AND ($2::text IS NULL OR kind = $2) AND (answer IS NULL OR NOT $3) ORDER BY id LIMIT $4"""  # noqa: S608 - constants
    last = reading.as_uuid(after[0]) if after else None
    rows = await service.pool.fetch(query, last, kind, state == "open", limit)
    found = [reviewing.body_of(row) for row in rows]
    following = encode_cursor(found[-1]["id"]) if len(found) == limit else None
    return json_response({"reviews": found, "next": following})


@router.get("/{review}")
async def get_review(review: PathId, service: Current, caller: Caller = scope("hub")) -> Response:
    """Return one review with the details of both sides, to compare. The reading is recorded."""
    body = await service.transact(_sides, service, caller, review)
    return json_response(body, headers={"ETag": etag(body["version"]), "Cache-Control": "no-store"})


async def _sides(work: Work, service: Intake, caller: Caller, review: str) -> dict[str, Any]:
    known = reading.as_uuid(review)
    query = f"SELECT {reviewing.COLUMNS} FROM match_review WHERE id = $1"  # noqa: S608 - constants
    row = await work.fetchrow(query, known) if known else None
    if row is None:
        raise not_found("review")
    sides = []
    for person in (row["person"], *row["candidates"]):
        await reading.note_read(work, caller.agency, caller.worker, "match_review", person)
        held = await store.held_about(work, service.keyring, [person])
        records = [
            {"agency": one.agency, "referral": one.referral, "role": one.role, "sent": one.sent}
            for one in held
        ]
        sides.append({"person": person, "records": records})
    return reviewing.body_of(row) | {"sides": sides}


@router.post("/{review}/decision")
async def decide(
    request: Request, review: PathId, service: Current, caller: Caller = scope("hub")
) -> Response:
    """Decide a review (If-Match). In force for releases at once."""
    body = parse(Decision, await request.body())
    version = required_version(request)
    known = reading.as_uuid(review)
    if known is None:
        raise not_found("review")
    decided = reviewing.Decided(known, version, body.answer, body.reason, body.chosen)
    moved = await service.transact(reviewing.decide, service, decided, actor=caller.actor)
    return json_response({"review": review, "answer": body.answer}, headers={"ETag": etag(moved)})
