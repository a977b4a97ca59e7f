"""Match reviews: doubts for a person to decide, with the evidence and, for the deciding, both sides' details."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.responses import Response

from services.intake import reviewing, sides, undoing
from services.intake.agreement import agreement
from services.intake.api.common import PathId, Version, json_response, parse, sends
from services.intake.core import Current, Intake
from services.intake.referral import Part
from services.intake.reviewing import Decided
from services.intake.store import reading
from services.intake.store import reviews as store
from shared.runtime.auth import Caller, scope
from shared.runtime.http import decode_cursor, encode_cursor, etag
from shared.runtime.problems import not_found
from shared.runtime.work import Work

router = APIRouter(prefix="/v1/match-reviews", tags=["match reviews"])
Reason = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


class Decision(Part):
    """One human (or incident), two, or nobody can tell. `chosen` names the candidate where there are several."""

    answer: Literal["same", "different", "cannot_tell"]
    reason: Reason
    chosen: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,100}$")] | None = Field(
        default=None, alias="with"
    )


class Undoing(Part):
    """Why a decision is undone."""

    reason: Reason = "undone"


@router.get("")
async def list_reviews(
    service: Current,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    kind: Annotated[Literal["identity", "incident"] | None, Query()] = None,
    state: Annotated[store.State, Query()] = "open",
    caller: Caller = scope("hub"),
) -> Response:
    """Return the reviews, the most urgent first: why there is doubt, the evidence, who might be meant. No details.

    `state`: open; asked (waiting for the agency); second (a second opinion is wanted, of somebody who does not know the
    first); decided (newest first); all.
    """
    found, following = await store.page(service.pool, caller, state, kind, cursor, limit)
    return json_response({"reviews": found, "next": following})


@router.get("/summary")
async def summary(service: Current, caller: Caller = scope("hub", "operator")) -> Response:
    """Return how many reviews wait for what, and how far two reviewers who do not know of each other agree."""
    measured = agreement(await store.pairs(service.pool))
    counts = await store.counts(service.pool, caller)
    return json_response(
        {**counts, "second_share": service.own.second_reviews, "agreement": asdict(measured)}
    )


@router.get("/incomplete")
async def list_incomplete(
    service: Current,
    cursor: Annotated[str | None, Query(max_length=400)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    caller: Caller = scope("hub", "operator"),  # noqa: ARG001 - the declaration is the check
) -> Response:
    """Return the referrals on hold until their agency says more about who somebody is: no reviewer can settle these."""
    after = decode_cursor(cursor, str)
    found = await store.incomplete(service.pool, after[0] if after else None, limit)
    following = encode_cursor(found[-1]["hold"]) if len(found) == limit else None
    return json_response({"holds": found, "next": following})


@router.get("/{review}")
async def get_review(review: PathId, service: Current, caller: Caller = scope("hub")) -> Response:
    """Return one review with what identifies both sides, to compare. The reading is recorded.

    What agencies sent with which the reader's agency shares nothing is left out; the evidence stands, it has no values.
    """
    body = await service.transact(_whole, service, caller, _known(review), actor=caller.actor)
    return json_response(body, headers={"ETag": etag(body["version"]), "Cache-Control": "no-store"})


async def _whole(work: Work, service: Intake, caller: Caller, review: str) -> dict[str, Any]:
    row = await store.read(work, review)
    if row is None:
        raise not_found("review")
    await work.lock()
    body = store.body_of(row, caller)
    if row["kind"] == "incident":
        cases = [row["case_id"], *row["candidate_cases"]]
        return body | {"cases": await sides.of_cases(work, service, caller, row["person"], cases)}
    return body | {"sides": await sides.of_people(work, service, caller, [row["person"], *row["candidates"]])}


def _known(review: str) -> str:
    found = reading.as_uuid(review)
    if found is None:
        raise not_found("review")
    return found


async def _decided(request: Request, review: str, version: int) -> Decided:
    body = parse(Decision, await request.body())
    return Decided(_known(review), version, body.answer, body.reason, body.chosen)


@router.post("/{review}/decision", openapi_extra=sends(Decision))
async def decide(
    request: Request, review: PathId, service: Current, version: Version, caller: Caller = scope("hub")
) -> Response:
    """Decide a review (If-Match). In force for releases at once."""
    decided = await _decided(request, review, version)
    moved = await service.transact(reviewing.decide, service, decided, actor=caller.actor)
    return json_response({"review": review, "answer": decided.answer}, headers={"ETag": etag(moved)})


@router.post("/{review}/second", openapi_extra=sends(Decision))
async def second(
    request: Request, review: PathId, service: Current, version: Version, caller: Caller = scope("hub")
) -> Response:
    """Give a second opinion (If-Match), not knowing the first. Two that differ undo the decision: a third person decides."""
    decided = await _decided(request, review, version)
    agree, moved = await service.transact(undoing.second, decided, actor=caller.actor)
    return json_response({"review": review, "agree": agree}, headers={"ETag": etag(moved)})


@router.post("/{review}/undo", openapi_extra=sends(Undoing))
async def undo(
    request: Request, review: PathId, service: Current, version: Version, caller: Caller = scope("hub")
) -> Response:
    """Undo a decision (If-Match): the record is on hold again, and the review open."""
    body = parse(Undoing, await request.body())
    moved = await service.transact(undoing.undo, _known(review), version, body.reason, actor=caller.actor)
    return json_response({"review": review}, headers={"ETag": etag(moved)})
