"""What allocation asks to be put in force: its answer to anybody waits for ours."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from services.consent import store
from services.consent.api.answers import Current, Key, only, plain_context, problem
from services.consent.api.shapes import HandOver, PathId, Restriction
from services.consent.domain import cases, leads
from services.consent.domain.facts import HandOver as HandOverCommand
from services.consent.domain.facts import Restrict
from services.consent.handlers import CASE, PERSON, carry_out, lock_members, situation
from shared.contracts.consent import LeadHandedOver
from shared.runtime.auth import Caller, scope
from shared.runtime.idempotency import Answer
from shared.runtime.problems import unavailable
from shared.runtime.work import Work

router = APIRouter(prefix="/v1", tags=["internal"])


@router.post("/cases/{case}/restrictions", status_code=201)
async def restrict(
    request: Request,
    service: Current,
    case: PathId,
    body: Restriction,
    key: Key,
    caller: Caller = scope("internal"),
) -> Response:
    """Pause or close a case, or take back a lead. In force when answered; told what had been redeemed before."""
    only(caller, "allocation")
    command = Restrict(
        case, body.kind, body.restriction or key, body.reason, body.until, body.person, body.joined_into
    )
    answer = await service.once(
        caller, key, await request.body(), _restrict, command, route=f"POST /v1/cases/{case}/restrictions"
    )
    return answer.response()


async def _restrict(work: Work, command: Restrict) -> Answer:
    into = ((CASE, command.joined_into),) if command.joined_into else ()
    of = ((PERSON, command.person),) if command.person else ()
    await work.lock((CASE, command.case), *into, *of)
    if command.kind == "reassign":
        await _must_know_what_is_in_flight(work)
    else:
        await lock_members(work, command.case)
    decision = cases.restrict(situation(work), command)
    if decision.refusal is not None:
        return Answer.refusal(problem(decision.refusal))
    carry_out(work, decision)
    in_flight = list(cases.in_flight(decision, command.case)) if command.kind != "reassign" else []
    return Answer(201, {"restriction": command.restriction, "kind": command.kind, "in_flight": in_flight})


async def _must_know_what_is_in_flight(work: Work) -> None:
    """Raise 503 while this database is restored and not reconciled: a lead is moved only when nothing is in flight."""
    if await store.is_closed(work):
        raise unavailable(
            "Records are being checked after a restore. Leads are not moved until that is done.",
            nothing_done=True,
        )


@router.post("/people/{person}/handovers", status_code=201)
async def hand_over(
    request: Request,
    service: Current,
    person: PathId,
    body: HandOver,
    key: Key,
    caller: Caller = scope("internal"),
) -> Response:
    """Move a person's lead: if an agreement names the target, or before the person is reached; never while in flight."""
    only(caller, "allocation")
    command = HandOverCommand(person, body.target, body.worker, body.reason)
    answer = await service.once(
        caller, key, await request.body(), _hand_over, command, route=f"POST /v1/people/{person}/handovers"
    )
    return answer.response()


async def _hand_over(work: Work, command: HandOverCommand) -> Answer:
    await work.lock((PERSON, command.person))
    await _must_know_what_is_in_flight(work)
    decision = leads.hand_over(situation(work), command, await plain_context(work))
    if decision.refusal is not None:
        return Answer.refusal(problem(decision.refusal))
    carry_out(work, decision)
    moved = decision.told(LeadHandedOver)[0][1]
    return Answer(
        201,
        {"person": command.person, "source": moved.source, "target": moved.target, "tenure": moved.tenure},
    )
