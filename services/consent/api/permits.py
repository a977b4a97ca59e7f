"""Permits and attempts: may I, I do, I did."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from services.consent import store
from services.consent.api.answers import (
    Current,
    Key,
    body_of,
    context_and_applied,
    context_of,
    holder_of,
    iso,
    lock_circle,
    lock_for,
    must_be_related,
    only,
    plain_context,
    problem,
    refused,
)
from services.consent.api.shapes import ContactCheck, PathId, PermitRequest, Redemption, Report
from services.consent.domain import contact, outcomes, permits
from services.consent.domain.decision import Decision, Refusal, Situation
from services.consent.domain.facts import Ask, Attempted, Redeem
from services.consent.domain.facts import Report as ReportCommand
from services.consent.domain.standing import current, no
from services.consent.domain.state import find
from services.consent.handlers import PERSON, carry_out, situation
from shared.contracts.consent import PermitGranted, PermitRedeemed
from shared.runtime.auth import Caller, scope
from shared.runtime.idempotency import Answer, idempotency_key
from shared.runtime.identifiers import new_id
from shared.runtime.problems import FieldError, Problem, invalid, not_found
from shared.runtime.service import Service
from shared.runtime.work import Work

router = APIRouter(prefix="/v1", tags=["contact"])
# What a person has said is taken in even after another outcome was recorded.
NO = frozenset({"declined", "withdrew"})
_STANDS = (
    "Another outcome has been recorded, and it stands. What the person has said since is inbound contact."
)


@router.post("/contact-checks")
async def check(service: Current, body: ContactCheck, caller: Caller = scope("contact")) -> dict[str, Any]:
    """Say whether this party could be contacted now. Advice: only a permit is authority."""
    ask = Ask(
        body.case,
        body.party,
        body.contact_person or body.party,
        caller.agency,
        caller.worker,
        "approach",
        None,
    )
    return await service.transact(_check, service, ask, actor=caller.actor)


async def _check(work: Work, service: Service, ask: Ask) -> dict[str, Any]:
    d = await lock_for(work, ask)
    context = await context_of(work, service, ask)
    must_be_related(d, ask.agency, (ask.spoken_to, ask.party), context)
    refusal = contact.check(d, ask, context)
    reason = refusal.reason.replace("_", "-") if refusal else None
    answer = {"may": refusal is None, "reason": reason, "as_of": iso(work.now)}
    return answer | ({"not_before": iso(refusal.not_before)} if refusal and refusal.not_before else {})


@router.post("/permits", status_code=201)
async def request_permit(
    request: Request,
    service: Current,
    body: PermitRequest,
    key: Key,
    caller: Caller = scope("contact"),
) -> Response:
    """Grant authority for one contact, or say why not. A refusal is kept in the person's ledger."""
    worker = body.worker or caller.worker
    if worker is None:
        remedy = "Name the worker who will make contact, or use a token of that worker."
        raise invalid([FieldError("worker", "missing", remedy)])
    spoken_to = body.contact_person or body.person
    ask = Ask(body.case, body.person, spoken_to, caller.agency, worker, body.purpose, body.channel)
    answer = await service.once(
        caller, key, await request.body(), _grant, service, ask, new_id(), route="POST /v1/permits"
    )
    return answer.response()


async def _grant(work: Work, service: Service, ask: Ask, permit: str) -> Answer:
    await lock_for(work, ask)
    context = await context_of(work, service, ask)
    decision = carry_out(work, permits.grant(situation(work), ask, permit, context))
    if decision.refusal is not None:
        return Answer.refusal(problem(decision.refusal))
    granted = decision.told(PermitGranted)[0][1]
    return Answer(
        201,
        {
            "permit": permit,
            "fence": granted.fence,
            "expires": iso(granted.expires),
            "case": ask.case,
            "person": ask.party,
            "contact_person": ask.spoken_to if ask.spoken_to != ask.party else None,
            "purpose": ask.purpose,
            "channel": ask.channel,
        },
        {"Location": f"/v1/permits/{permit}"},
    )


@router.post("/permits/{permit}/redemption")
async def redeem(
    request: Request, service: Current, permit: PathId, body: Redemption, caller: Caller = scope("internal")
) -> Response:
    """Redeem a permit, once. Intake calls it, as a part of a release, and repeats it under the same Idempotency-Key."""
    only(caller, "intake")
    if "idempotency-key" not in request.headers:
        answer: Answer = await service.transact(_redeem, service, permit, body, actor=caller.actor)
    else:
        answer = await service.once(
            caller, await idempotency_key(request), await request.body(), _redeem, service, permit, body,
            route=f"POST /v1/permits/{permit}/redemption",
        )  # fmt: skip
    return answer.response()


async def _redeem(work: Work, service: Service, permit: str, body: Redemption) -> Answer:
    found = await store.permit_with_ledgers(work, permit)
    if found is None:
        raise not_found("permit")
    row, ledgers = found
    missing = sorted({row.person, row.party} - body.seen.keys())
    if missing:
        remedy = (
            "Send intake's latest sequence of the party and of the person spoken to (0 if there is none)."
        )
        raise invalid([FieldError(f"seen.{key}", "missing", remedy) for key in missing])
    ask = Ask(row.case_id, row.party, row.person, row.agency, row.worker, row.purpose, row.channel)
    await lock_for(work, ask, ledgers)
    context, applied = await context_and_applied(work, service, ask, body.seen)
    behind = any(applied[key] < sequence for key, sequence in body.seen.items())
    decision = permits.redeem(
        situation(work), Redeem(permit, row.person, body.fence, behind, body.sender, body.worker), context
    )
    if decision.refusal is not None:
        raise await _why_not_live(work, permit, decision)
    carry_out(work, decision)
    redeemed = decision.told(PermitRedeemed)[0][1]
    return Answer(
        200, body_of(row) | {"use_by": iso(redeemed.use_by), "outcome_due": iso(redeemed.outcome_due)}
    )


async def _why_not_live(work: Work, permit: str, decision: Decision) -> Problem:
    """Return the refusal of a redemption; of a permit that is over, how it ended."""
    assert decision.refusal is not None  # noqa: S101 - the caller has seen it
    row = await store.permit_of(work, permit)
    if decision.refusal.reason != "not_live" or row is None:
        return problem(decision.refusal)
    if row.how in {"attempted", "not_made"}:
        return problem(Refusal("already_redeemed"))
    if row.how == "expired":
        return problem(Refusal("expired"))
    d = Decision(situation(work))
    if no(d, d.groups([row.person, row.party]), row.case_id) == "withdrawn":
        return problem(Refusal("withdrawn"))
    return Problem(
        409, "revoked", "The permit has ended before it was used. Do not contact on the strength of it."
    )


@router.get("/permits/{permit}")
async def show(service: Current, permit: PathId, caller: Caller = scope("internal")) -> dict[str, Any]:
    """Return what a permit is for: intake asks before a release, whom to lock; notifications before a message, for whom."""
    only(caller, "intake", "notifications")
    row = await store.permit_of(service.unit, permit)
    if row is None:
        raise not_found("permit")
    return body_of(row) | {"state": row.status}


@router.delete("/permits/{permit}", status_code=204)
async def give_back(service: Current, permit: PathId, caller: Caller = scope("contact")) -> Response:
    """Give back a permit that is not redeemed."""
    await service.transact(_give_back, permit, caller, actor=caller.actor)
    return Response(status_code=204)


async def _give_back(work: Work, permit: str, caller: Caller) -> None:
    row = await store.permit_of(work, permit)
    if row is None:
        raise not_found("permit")
    await work.lock((PERSON, row.person))
    context = await plain_context(work)
    row = await store.permit_of(work, permit)
    if row is None or current(row.agency, context.successors) != caller.agency:
        raise not_found("permit")
    if row.status == "ended" and row.how in {"returned", "expired", "revoked"}:
        return
    if row.status == "ended":
        raise problem(Refusal("already_redeemed"))
    decision = permits.give_back(situation(work), row.person, permit, caller.agency, context)
    carry_out(work, refused(decision))


@router.put("/attempts/{permit}/outcome")
async def report(
    request: Request,
    service: Current,
    permit: PathId,
    body: Report,
    caller: Caller = scope("contact", "internal"),
) -> dict[str, Any]:
    """Record what became of an attempt. The same again answers the same."""
    if caller.kind == "service":
        only(caller, "intake", "notifications")
    holder = holder_of(caller, request)
    by = caller.agency if caller.kind == "service" else None
    return await service.transact(_report, permit, body, holder, by, actor=caller.actor)


async def _report(
    work: Work, permit: str, body: Report, holder: str | None, by: str | None
) -> dict[str, Any]:
    found = await store.permit_with_ledgers(work, permit)
    if found is None:
        raise not_found("attempt")
    before, ledgers = found
    await lock_circle(work, [before.person, before.party], ledgers)
    context = await plain_context(work)
    row = await store.permit_of(work, permit)
    if by is not None and holder is not None:
        # A service names the agency that it sends for. That may have been succeeded since, and the attempt is made.
        holder = current(holder, context.successors)
    if row is None or (holder is not None and current(row.agency, context.successors) != holder):
        raise not_found("attempt")
    if row.fence != body.fence:
        raise problem(Refusal("fence"))
    recorded = "not_made" if row.how == "not_made" else row.outcome
    unheard = outcomes.unheard(situation(work), row.person, permit) is not None
    late = row.status == "ended" and recorded is not None and not unheard
    put_right = late and _puts_right(situation(work), row, recorded, body)
    if late and recorded == body.outcome and not put_right:
        return {"permit": permit, "outcome": body.outcome}
    if late and not put_right and (body.outcome not in NO or recorded in NO):
        raise Problem(409, "already-recorded", _STANDS, outcome=recorded)
    if not (late or unheard or row.status == "redeemed"):
        title = "This permit was never redeemed, so there is no attempt to report."
        raise Problem(409, "not-redeemed", title)
    command = ReportCommand(
        permit,
        row.person,
        body.fence,
        body.outcome,
        holder,
        body.not_before,
        body.agreement.fact() if body.agreement else None,
        body.scope == "everything",
        by,
    )
    if late or unheard:
        attempt = Attempted(row.case_id, row.party, row.agency, row.channel, row.purpose)
        told = outcomes.heard if unheard else outcomes.late_no
        carry_out(work, refused(told(situation(work), command, attempt, context)))
    else:
        carry_out(work, refused(outcomes.report(situation(work), command, context)))
    return {"permit": permit, "outcome": body.outcome}


def _puts_right(at: Situation, row: store.PermitRow, recorded: str | None, body: Report) -> bool:
    """Say whether this outcome puts right what the holder told of the attempt before.

    A no is never too late, nor too wide. And a date may have been mistyped, as long as nothing has been said since.
    """
    d = Decision(at)
    if body.outcome == "withdrew" and recorded in NO:
        everything = all(d.person(key).closed for key in d.group(row.person))
        return recorded == "declined" or (body.scope == "everything" and not everything)
    if recorded != "not_now" or body.outcome != "not_now":
        return False
    state = d.person(row.person)
    if state.not_before in {None, body.not_before}:
        return False
    approach = next((a for a in state.approaches if find(a.attempts, row.id)), None)
    if approach is None or approach.answered_at != row.ended_at:
        raise Problem(409, "already-recorded", _STANDS, outcome=recorded)
    return True
