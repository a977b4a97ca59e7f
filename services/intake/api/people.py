"""People: details corrected, links undone, everything exported or erased, who read what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.responses import Response

from services.intake import correcting, erasing, parting, reviewing
from services.intake.api import answers
from services.intake.api.common import Key, PathId, Version, json_response, parse, sends
from services.intake.core import PERSON, Current, Intake
from services.intake.correcting import Corrected
from services.intake.referral import Part
from services.intake.store import following, reading, second_person
from services.intake.store.people import group_of
from shared.runtime.auth import Caller, scope
from shared.runtime.http import check_version, etag
from shared.runtime.idempotency import Answer
from shared.runtime.problems import not_found
from shared.runtime.work import Work

router = APIRouter(prefix="/v1/people", tags=["people"])
ReasonCode = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


def awaiting(person: str) -> Answer:
    """Return the answer to whoever is the first of two to ask: nothing is done yet."""
    return Answer(202, {"person": person, "state": "awaiting_second_person"})


@router.get("/{person}", responses={200: {"model": answers.PersonContact}})
async def get_person(
    person: PathId, service: Current, caller: Caller = scope("people.write", "hub", "operator")
) -> Response:
    """Say how a person may be contacted, without details. The ETag is what a correction must name."""
    body, version = await service.transact(_describe, caller, person)
    return json_response(body, headers={"ETag": etag(version)})


async def _describe(work: Work, caller: Caller, person: str) -> tuple[dict[str, Any], int]:
    group = await correcting.seen_by(work, caller, person)
    await work.lock((PERSON, person))
    state = work.state(PERSON, person)
    await reading.note_read(work, caller.agency, caller.worker, "person", person)
    body: dict[str, Any] = {
        "person": person,
        "channels": list(state.safety.channels),
        "minor": state.safety.minor,
        "flags": list(state.safety.flags),
        "on_hold": bool(state.holds),
        "erased": state.erased,
    }
    if caller.may("hub"):
        body |= {
            "links": list(state.links),
            "holds": {hold: why.reason for hold, why in state.holds.items()},
            "awaiting_second_person": await second_person.waiting(work, person, group),
        }
    return body, work.version(PERSON, person)


@router.patch("/{person}", responses={200: {"model": answers.Person}}, openapi_extra=sends(Corrected))
async def correct(
    request: Request,
    person: PathId,
    service: Current,
    version: Version,
    caller: Caller = scope("people.write"),
) -> Response:
    """Correct details and safe contact (If-Match). For agencies that referred the person or were handed the details."""
    body = parse(Corrected, await request.body())
    moved = await service.transact(
        correcting.correct, service, caller, person, body, version, actor=caller.actor
    )
    return json_response({"person": person}, headers={"ETag": etag(moved)})


@router.delete(
    "/{person}/links/{other}", responses={200: {"model": answers.Unlinked}, 202: {"model": answers.Awaiting}}
)
async def unlink(
    person: PathId,
    other: PathId,
    service: Current,
    version: Version,
    reason: Annotated[str, Query(pattern=r"^[a-z][a-z0-9_]{0,63}$")] = "wrong_link",
    caller: Caller = scope("hub"),
) -> Response:
    """Undo a link between two ids (If-Match with the first one's ETag). 202: another worker has to ask for the same."""
    moved = await service.transact(_unlink, person, other, reason, version, actor=caller.actor)
    if moved is None:
        return awaiting(person).response()
    return json_response({"person": person, "unlinked": other}, headers={"ETag": etag(moved)})


async def _unlink(work: Work, person: str, other: str, reason: str, version: int) -> int | None:
    one, two = sorted((person, other))
    asked = await second_person.seconded(work, one, "unlink", two, reason)
    if asked is not None:
        return await reviewing.unlink(work, person, other, asked.reason, version)
    await work.lock((PERSON, person))
    if other not in work.state(PERSON, person).links:
        raise not_found("link")
    check_version(version, work.version(PERSON, person))
    return None


class Erasure(Part):
    """Why everything held about a person is destroyed."""

    reason: ReasonCode


@router.post(
    "/{person}/erasure",
    status_code=202,
    responses={202: {"model": answers.Erased}},
    openapi_extra=sends(Erasure),
)
async def erase(
    request: Request,
    person: PathId,
    service: Current,
    key: Key,
    caller: Caller = scope("hub"),
) -> Response:
    """Destroy the keys of everything held about a person, once a second worker asks for it too. A suppression remains.

    `state`: awaiting_second_person, for seven days, or erased.
    """
    raw = await request.body()
    body = parse(Erasure, raw)
    route = f"POST /v1/people/{person}/erasure"
    answer = await service.once(caller, key, raw, _erase, service, caller, person, body.reason, route=route)
    return answer.response()


async def _for_hub(work: Work, caller: Caller, person: str) -> None:
    """Let a person's own hubs through, and operators. Raises Problem 404.

    Who is who is decided across the country, so any hub compares records. But everything that is held about somebody is for
    those to give or destroy who co-ordinate a case of theirs, or whom that agency was succeeded by.
    """
    hubs = await following.hubs_of(work, await group_of(work, [person]))
    if hubs and not caller.may("operator") and hubs.isdisjoint(await following.lineage(work, caller.agency)):
        raise not_found("person")


async def _erase(work: Work, service: Intake, caller: Caller, person: str, reason: str) -> Answer:
    await _for_hub(work, caller, person)
    asked = await second_person.seconded(work, person, "erasure", "", reason)
    if asked is None:
        await work.lock((PERSON, person))
        if not work.version(PERSON, person) or work.state(PERSON, person).erased:
            raise not_found("person")
        return awaiting(person)
    erased = await erasing.erase(work, service, person, asked.reason)
    return Answer(202, {"person": person, "state": "erased", "erased": erased})


@router.get("/{person}/export")
async def export(person: PathId, service: Current, caller: Caller = scope("hub")) -> Response:
    """Return everything that is held about a person, for the person (subject access). The reading is recorded."""
    found = await service.transact(_export, service, caller, person)
    return json_response(found, headers={"Cache-Control": "no-store"})


async def _export(work: Work, service: Intake, caller: Caller, person: str) -> dict[str, Any]:
    await _for_hub(work, caller, person)
    await reading.note_read(work, caller.agency, caller.worker, "export", person)
    return await erasing.export(work, service, person)


@router.get("/{person}/reads")
async def reads(
    person: PathId,
    service: Current,
    after: Annotated[int, Query(ge=0, le=2**62)] = 0,
    caller: Caller = scope("hub", "operator"),  # noqa: ARG001 - the declaration is the check
) -> Response:
    """Return who read what about a person, the oldest first."""
    rows = await service.pool.fetch(
        """SELECT id, at, agency, worker, what, referral, permit FROM read_log
           WHERE person = $1 AND id > $2 ORDER BY id LIMIT 500""",
        person,
        after,
    )
    found = [dict(row) | {"at": row["at"].isoformat()} for row in rows]
    return json_response({"reads": found, "next": found[-1]["id"] if found else None})


class Clearance(Part):
    """Another person at the same telephone, e-mail address or home, who may be contacted beside this one."""

    other: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,100}$")]


@router.get("/{person}/contact-points")
async def neighbours(person: PathId, service: Current, caller: Caller = scope("hub")) -> Response:
    """Return the other people at this person's contact points, whose approach is live or who said no."""
    rows = await service.transact(_neighbours, caller, person)
    return json_response({"people": [dict(row) for row in rows]})


async def _neighbours(work: Work, caller: Caller, person: str) -> Sequence[Any]:
    await reading.note_read(work, caller.agency, caller.worker, "person.contact_points", person)
    # By all ids of this human, as a release looks: what is at the telephone of a linked one stops it too.
    return await work.fetch(
        """SELECT DISTINCT o.person, l.live, l.refused,
             EXISTS (SELECT FROM contact_point_cleared AS k
                     WHERE k.person = ANY($1::text[]) AND k.other = o.person) AS cleared
           FROM contact_point AS p JOIN contact_point AS o ON o.tag = p.tag AND NOT (o.person = ANY($1::text[]))
           JOIN ledger AS l ON l.person = o.person WHERE p.person = ANY($1::text[]) AND (l.live OR l.refused)
           ORDER BY o.person LIMIT 100""",
        await group_of(work, [person]),
    )


@router.post("/{person}/contact-points/clearances", status_code=201, openapi_extra=sends(Clearance))
async def clear(
    request: Request, person: PathId, service: Current, caller: Caller = scope("hub")
) -> Response:
    """Say that this person may be contacted although the other one is at the same contact point."""
    body = parse(Clearance, await request.body())
    await service.transact(parting.clear_contact_point, person, body.other, actor=caller.actor)
    return json_response({"person": person, "other": body.other}, 201)
