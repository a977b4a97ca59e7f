"""What hubs see and put right: standing, ledger, attempts nobody knows the end of, entries made in error."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from services.consent import store
from services.consent.api.answers import (
    Current,
    Key,
    body_of,
    iso,
    lock_circle,
    must_be_cases_of,
    plain_context,
    refused,
)
from services.consent.api.shapes import Correction, PathId, Resolution
from services.consent.domain import choices, outcomes
from services.consent.domain.decision import Decision
from services.consent.domain.facts import Attempted, Reopen, Resolve
from services.consent.domain.standing import lead_of, not_before, standing
from services.consent.domain.state import PersonState
from services.consent.handlers import PERSON, carry_out, situation
from shared.runtime.auth import Caller, scope
from shared.runtime.http import check_version, decode_cursor, encode_cursor, etag, required_version
from shared.runtime.idempotency import Answer
from shared.runtime.identifiers import new_id
from shared.runtime.problems import Problem, not_found
from shared.runtime.work import Work

router = APIRouter(prefix="/v1", tags=["hub"])
LIMIT = 100
BEGINNING = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_LEDGER = """
SELECT key, sequence, type, data, agency, worker, recorded_at FROM journal
WHERE topic = 'consent' AND key = ANY($1::text[]) AND (recorded_at, key, sequence) > ($2, $3, $4)
ORDER BY recorded_at, key, sequence LIMIT $5
"""
# What the two people looked at was what had been said when the first of them proposed it.
_SAID_SINCE = """
SELECT EXISTS (SELECT FROM journal WHERE topic = 'consent' AND key = ANY($1::text[]) AND recorded_at > $2
  AND (type LIKE 'consent.withdrawn.%' OR type LIKE 'standing.tightened.%' AND data ->> 'standing' = 'closed'))
"""


@router.get("/people/{person}/standing")
async def read_standing(service: Current, person: PathId, caller: Caller = scope("hub")) -> Response:
    """Return whether a person may be contacted, why not, and by whom."""
    body, version = await service.transact(_standing, person, actor=caller.actor)
    return Response(msgspec.json.encode(body), media_type="application/json", headers={"ETag": etag(version)})


async def _standing(work: Work, person: str) -> tuple[dict[str, Any], int]:
    await work.lock((PERSON, person))
    d = Decision(situation(work))
    ids = d.group(person)
    if all(d.person(key) == PersonState() for key in ids):
        raise not_found("person")
    lead, day = lead_of(d, ids), not_before(d, ids)
    level, reason = standing(d, ids, "")
    cases = []
    for case in sorted({part.id for key in ids for part in d.person(key).parts}):
        stands, why = standing(d, ids, case)
        cases.append({"case": case, "standing": stands, "reason": why})
    body = {
        "person": person,
        "linked": [key for key in ids if key != person],
        "standing": level,
        "reason": reason,
        "not_before": day.isoformat() if day else None,
        "cases": cases,
        "lead": {"agency": lead.agency, "worker": lead.worker, "tenure": lead.tenure} if lead else None,
        "in_flight": [p.id for key in ids if (p := d.person(key).permit) and p.redeemed],
        "unresolved": sorted({p for key in ids for p in d.person(key).unresolved}),
    }
    return body, work.version(PERSON, person)


@router.get("/people/{person}/ledger")
async def read_ledger(
    service: Current,
    person: PathId,
    cursor: Annotated[str | None, Query(max_length=400)] = None,
    caller: Caller = scope("hub"),
) -> dict[str, Any]:
    """Return everything that was ever decided about contact with a person, under all its ids, in the order of time."""
    return await service.transact(_ledger, person, cursor, actor=caller.actor)


async def _ledger(work: Work, person: str, cursor: str | None) -> dict[str, Any]:
    after = decode_cursor(cursor, datetime, str, int) or [BEGINNING, "", 0]
    await work.lock((PERSON, person))
    ids = Decision(situation(work)).group(person)
    rows = await work.fetch(_LEDGER, list(ids), *after, LIMIT)
    if all(work.state(PERSON, key) == PersonState() for key in ids):
        raise not_found("person")
    entries = [
        {
            "person": row["key"],
            "sequence": row["sequence"],
            "type": row["type"],
            "at": iso(row["recorded_at"]),
            "by": {"agency": row["agency"], "worker": row["worker"]},
            "data": msgspec.json.decode(row["data"]),
        }
        for row in rows
    ]
    last = rows[-1] if len(rows) == LIMIT else None
    return {
        "entries": entries,
        "next": encode_cursor(last["recorded_at"].isoformat(), last["key"], last["sequence"])
        if last
        else None,
    }


@router.get("/unresolved-attempts")
async def list_unresolved(
    service: Current,
    cursor: Annotated[str | None, Query(max_length=400)] = None,
    caller: Caller = scope("hub"),
) -> dict[str, Any]:
    """Return attempts of which a person has to find out what became: overdue, unknown, unsafe. The longest due first."""
    after = decode_cursor(cursor, datetime, str)
    rows = await service.transact(
        store.unresolved, (after[0], after[1]) if after else None, LIMIT, actor=caller.actor
    )
    last = rows[-1] if len(rows) == LIMIT else None
    return {
        "attempts": [body_of(r) | {"outcome": r.outcome, "outcome_due": iso(r.outcome_due)} for r in rows],
        "next": encode_cursor(iso(last.outcome_due) or "", last.id) if last else None,
    }


@router.get("/unresolved-attempts/{permit}")
async def read_unresolved(service: Current, permit: PathId, caller: Caller = scope("hub")) -> Response:
    """Return one of them, with the ETag that its resolution needs."""
    row, version = await service.transact(_unresolved, permit, actor=caller.actor)
    body = body_of(row) | {"outcome": row.outcome, "outcome_due": iso(row.outcome_due)}
    return Response(msgspec.json.encode(body), media_type="application/json", headers={"ETag": etag(version)})


async def _unresolved(work: Work, permit: str) -> tuple[store.PermitRow, int]:
    row = await store.permit_of(work, permit)
    if row is None:
        raise not_found("attempt")
    await work.lock((PERSON, row.person))
    row = await store.permit_of(work, permit)
    if row is None or not row.unresolved:
        raise not_found("attempt")
    return row, work.version(PERSON, row.person)


@router.post("/unresolved-attempts/{permit}/resolution")
async def resolve(
    request: Request, service: Current, permit: PathId, body: Resolution, caller: Caller = scope("hub")
) -> dict[str, Any]:
    """Record what a person has found out about an attempt."""
    version = required_version(request)
    return await service.transact(_resolve, permit, body, version, caller, actor=caller.actor)


async def _resolve(work: Work, permit: str, body: Resolution, version: int, caller: Caller) -> dict[str, Any]:
    row = await store.permit_of(work, permit)
    if row is None:
        raise not_found("attempt")
    await lock_circle(work, [row.person, row.party])
    row = await store.permit_of(work, permit)
    if row is None or not row.unresolved:
        raise not_found("attempt")
    check_version(version, work.version(PERSON, row.person))
    command = Resolve(
        permit,
        row.person,
        Attempted(row.case_id, row.party, row.agency, row.channel, row.purpose),
        body.outcome or "unsafe",
        caller.agency,
        body.not_before,
        body.agreement.fact() if body.agreement else None,
        body.safe_again,
    )
    carry_out(work, refused(outcomes.resolve(situation(work), command, await plain_context(work))))
    return {"permit": permit, "outcome": body.outcome, "safe_again": body.safe_again}


# --- entered in error: two people


@router.post("/corrections", status_code=201)
async def propose_correction(
    request: Request,
    service: Current,
    body: Correction,
    key: Key,
    caller: Caller = scope("hub"),
) -> Response:
    """Say that a no was entered in error. Nothing changes until a second person confirms it."""
    answer = await service.once(
        caller,
        key,
        await request.body(),
        _propose,
        new_id(),
        body,
        _worker(caller),
        route="POST /v1/corrections",
    )
    return answer.response()


def _worker(caller: Caller) -> tuple[str, str]:
    if caller.worker is None:
        title = "A correction is made by two people: use a token that names the worker."
        raise Problem(403, "worker", title)
    return caller.agency, caller.worker


async def _propose(work: Work, number: str, body: Correction, by: tuple[str, str]) -> Answer:
    await work.lock((PERSON, body.person))
    if work.state(PERSON, body.person) == PersonState():
        raise not_found("person")
    must_be_cases_of(Decision(situation(work)), body.person, body.cases)
    row = (number, body.person, sorted(set(body.cases)), body.evidence, *by, work.now)
    work.write(store.save_corrections, row)
    return Answer(201, {"correction": number, "state": "awaiting_second_person"})


@router.post("/corrections/{number}/confirmation")
async def confirm_correction(
    request: Request,
    service: Current,
    number: PathId,
    key: Key,
    caller: Caller = scope("hub"),
) -> Response:
    """Confirm it, as the second person. What was closed in error is open again; the ledger keeps both entries."""
    answer = await service.once(
        caller, key, await request.body(), _confirm, number, _worker(caller),
        route=f"POST /v1/corrections/{number}/confirmation",
    )  # fmt: skip
    return answer.response()


async def _confirm(work: Work, number: str, by: tuple[str, str]) -> Answer:
    person = await store.person_of_correction(work, number)
    if person is None:
        raise not_found("correction")
    await work.lock((PERSON, person))
    found = await store.take_correction(work, number, by, work.now)
    if found is None:
        title = "It needs a second person, and can be confirmed once."
        raise Problem(409, "second-person", title)
    since = found["proposed_at"]
    if await work.fetchval(_SAID_SINCE, list(Decision(situation(work)).group(person)), since):
        title = (
            "A no has been recorded since this was proposed. If it was entered in error too, propose it anew."
        )
        raise Problem(409, "said-since", title)
    command = Reopen(person, tuple(found["cases"]), found["evidence"], "entered_in_error", by[0])
    carry_out(work, refused(choices.reopen(situation(work), command)))
    return Answer(200, {"correction": number, "state": "in_force"})
