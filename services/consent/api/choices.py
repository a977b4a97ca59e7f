"""What people say: that they came of their own accord, agreed, take part no longer, or take part after all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from services.consent import store
from services.consent.api.answers import (
    Current,
    Key,
    holder_of,
    iso,
    lock_circle,
    must_be_cases_of,
    must_be_related,
    only,
    plain_context,
    refused,
)
from services.consent.api.shapes import HandedOut, InboundContact, NewAgreement, PathId, Reopening, Withdrawal
from services.consent.domain import choices, contact, outcomes
from services.consent.domain.decision import Decision
from services.consent.domain.facts import Agree, Inbound, Reopen, Withdraw
from services.consent.handlers import PERSON, carry_out, situation
from shared.contracts.consent import ConsentWithdrawn
from shared.runtime.auth import Caller, scope
from shared.runtime.idempotency import Answer
from shared.runtime.identifiers import new_id
from shared.runtime.work import Work

router = APIRouter(prefix="/v1", tags=["choices"])


@router.post("/inbound-contacts", status_code=201)
async def inbound(
    request: Request,
    service: Current,
    body: InboundContact,
    key: Key,
    caller: Caller = scope("contact"),
) -> Response:
    """Record that the person rang, wrote or came. Needs no permit."""
    fact = body.agreement.fact() if body.agreement else None
    command = Inbound(body.person, body.case, caller.agency, body.answer, body.not_before, fact)
    answer = await service.once(
        caller, key, await request.body(), _inbound, command, route="POST /v1/inbound-contacts"
    )
    return answer.response()


async def _inbound(work: Work, command: Inbound) -> Answer:
    await lock_circle(work, [command.person])
    context = await plain_context(work)
    d = Decision(situation(work))
    must_be_related(d, command.agency, [command.person], context)
    must_be_cases_of(d, command.person, [command.case])
    carry_out(work, refused(outcomes.inbound(situation(work), command, context)))
    return Answer(201, {"person": command.person, "case": command.case, "answer": command.answer})


@router.post("/people/{person}/agreements", status_code=201)
async def agree(
    request: Request,
    service: Current,
    person: PathId,
    body: NewAgreement,
    key: Key,
    caller: Caller = scope("contact", "hub"),
) -> Response:
    """Record what the person agreed to. The lead does, or the hub."""
    command = Agree(person, body.case, caller.agency, body.fact())
    answer = await service.once(
        caller, key, await request.body(), _agree, command, caller.may("hub"), route=f"POST /v1/people/{person}/agreements"
    )  # fmt: skip
    return answer.response()


async def _agree(work: Work, command: Agree, hub: bool) -> Answer:  # noqa: FBT001 - passed by position
    await work.lock((PERSON, command.person))
    context = await plain_context(work)
    d = Decision(situation(work))
    if not hub:
        must_be_related(d, command.agency, [command.person], context)
    must_be_cases_of(d, command.person, [command.case] if command.case else [])
    carry_out(work, refused(outcomes.agree(situation(work), command, context, hub=hub)))
    return Answer(201, {"person": command.person, "case": command.case})


@router.post("/people/{person}/reopenings", status_code=201)
async def reopen(
    request: Request,
    service: Current,
    person: PathId,
    body: Reopening,
    key: Key,
    caller: Caller = scope("contact", "hub"),
) -> Response:
    """Open what the person had closed, because the person (or recorded authority) asks. An agency's wish never does.

    `still_closed` names whom the person speaks for, or is spoken to through, who has said no to one of these too: it takes
    a reopening of theirs.
    """
    command = Reopen(person, tuple(sorted(set(body.cases))), body.evidence, "person_asked", caller.agency)
    answer = await service.once(
        caller, key, await request.body(), _reopen, command, caller.may("hub"), route=f"POST /v1/people/{person}/reopenings"
    )  # fmt: skip
    return answer.response()


async def _reopen(work: Work, command: Reopen, hub: bool) -> Answer:  # noqa: FBT001 - passed by position
    await lock_circle(work, [command.person])
    context = await plain_context(work)
    d = Decision(situation(work))
    if not hub:
        must_be_related(d, command.agency, [command.person], context)
    must_be_cases_of(d, command.person, command.cases)
    carry_out(work, refused(choices.reopen(situation(work), command)))
    # Whoever is spoken to for a person does not take back that person's own no, nor the other way round.
    after = Decision(situation(work))
    closed = [
        {"person": other, "case": case}
        for other, case in choices.still_closed(after, command)
        if hub or contact.is_related(after, command.agency, (other,), context)
    ]
    return Answer(201, {"person": command.person, "cases": list(command.cases), "still_closed": closed})


async def _unaccounted(work: Work, handed_out: Sequence[HandedOut]) -> dict[str, tuple[str, datetime]]:
    """Return channel and end of those that may still be used, unless it is known here how they ended.

    A database that was restored has forgotten redemptions. Until it has learned of them, and then until they can be used no
    longer, `clean` would be wrong: intake says what it has handed out.
    """
    rows = await store.permits_of(work, [release.permit for release in handed_out])
    ended = {row.id for row in rows if row.how in {"attempted", "not_made"} and not row.unresolved}
    return {
        release.permit: (release.channel, release.use_by)
        for release in handed_out
        if release.use_by > work.now and release.permit not in ended
    }


@router.post("/people/{person}/withdrawals", status_code=201)
async def withdraw(
    request: Request,
    service: Current,
    person: PathId,
    body: Withdrawal,
    key: Key,
    caller: Caller = scope("internal"),
) -> Response:
    """Put a withdrawal in force: always, for every agency, from this moment.

    Agencies withdraw a person at intake: it alone knows every id of this human, and refuses releases before this call.
    """
    only(caller, "intake")
    command = Withdraw(
        body.withdrawal or new_id(),
        tuple(sorted({person, *body.linked})),
        tuple(sorted(set(body.cases))),
        body.by,
        holder_of(caller, request) or caller.agency,
    )
    answer = await service.once(
        caller, key, await request.body(), _withdraw, command, body.handed_out, route=f"POST /v1/people/{person}/withdrawals"
    )  # fmt: skip
    return answer.response()


async def _withdraw(work: Work, command: Withdraw, handed_out: Sequence[HandedOut]) -> Answer:
    await lock_circle(work, command.people)
    lost = await _unaccounted(work, handed_out) if handed_out else {}
    decision = carry_out(work, choices.withdraw(situation(work), replace(command, unaccounted=tuple(lost))))
    told = decision.told(ConsentWithdrawn)[0][1]
    rows = await store.permits_of(work, told.in_flight) if told.in_flight else []
    uses = {row.id: (row.channel, row.use_by) for row in rows} | lost
    in_flight: list[dict[str, Any]] = [
        {"permit": permit, "channel": uses[permit][0], "use_by": iso(uses[permit][1])}
        for permit in told.in_flight
    ]
    state = "in_flight" if in_flight else "clean"
    return Answer(201, {"withdrawal": command.withdrawal, "state": state, "in_flight": in_flight})
