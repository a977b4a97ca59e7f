"""A case goes to another area, a lead to another agency: by hand-over, with the history, and nobody is contacted anew."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from services.allocation import gateways
from services.allocation.api.common import (
    HUB,
    INSIDE,
    CaseId,
    Code,
    Current,
    Id,
    act,
    changed,
    is_agency,
    look,
    must_work_for,
    stands_for,
)
from services.allocation.api.drafts import registry_of
from services.allocation.api.holding import Reason
from services.allocation.domain import cases
from services.allocation.domain.cases import Refused
from services.allocation.domain.evolve import Story
from services.allocation.domain.state import CaseState, PlannedParty
from services.allocation.store.registry import Registry
from shared.runtime.auth import Caller, scope
from shared.runtime.errors import Unavailable
from shared.runtime.http import check_version, required_version
from shared.runtime.problems import FieldError, Problem, invalid
from shared.runtime.service import Service

TRIES = 3
"""How often consent is asked, a second longer apart each time, before a lead stays where it is for now."""
router = APIRouter(prefix="/v1/cases/{case}", tags=["holding a case"])


class Transfer(Reason):
    """Another partnership takes the case over."""

    partnership: Code = Field(description="whose area the people or the case are of now")


@router.post("/transfer")
async def transfer(
    service: Current, request: Request, case: CaseId, body: Transfer, caller: Caller = scope("hub")
) -> Response:
    """Give the case to another partnership, with its history. Each lead is handed over as consent allows. Needs If-Match.

    A lead whom the person has met stays until the person agrees to the next: the answer says who, and why. Asked again of
    the partnership that holds the case now, only the leads that have not moved are handed over.
    """

    def decide(story: Story, registry: Registry) -> None:
        known = registry.policies.current.partnerships
        if body.partnership not in known:
            raise Refused("invalid", f"partnership: unknown; name one of {', '.join(sorted(known))}")
        held_by = story.state.proposal.partnership if story.state.proposal else ""
        if held_by != body.partnership or not _to_move(story.state):
            cases.transfer(story, body.partnership, body.reason)

    state, version = await act(service, request, caller, case, decide, allowed=HUB, replan=True)
    leads = [await _moved(service, state, planned, body.reason) for planned in _to_move(state)]
    now = state.proposal
    return changed(
        case,
        state,
        version,
        partnership=now.partnership if now else None,
        hub=now.hub if now else None,
        leads=leads,
    )


def _to_move(state: CaseState) -> list[PlannedParty]:
    """Return the parties whose lead is none that the case's policy would choose."""
    found = []
    for planned in state.proposal.parties if state.proposal else ():
        party = state.parties.get(planned.party)
        if party and party.place == "led" and planned.options and party.agency not in planned.options:
            found.append(planned)
    return found


async def _moved(
    service: Service, state: CaseState, planned: PlannedParty, reason: str
) -> dict[str, str | None]:
    party, target = state.parties[planned.party], planned.options[0]
    told = {"party": planned.party, "lead": party.agency, "handed_over_to": None, "why_not": None}
    done: gateways.Acknowledged | gateways.Refused | None = None
    for attempt in range(TRIES):
        await asyncio.sleep(attempt)
        try:
            done = await gateways.hand_over(service, party.person, target, None, reason)
            break
        except Unavailable:
            continue
    if done is None:
        # The case is transferred all the same: who leads goes on leading until somebody asks for the transfer again.
        return {**told, "why_not": "unavailable"}
    if isinstance(done, gateways.Refused) and done.reason != "same_lead":
        return {**told, "why_not": done.reason}
    return {**told, "handed_over_to": target}


class HandOver(Reason):
    """The lead of a party goes to another agency, or to another worker."""

    party: Id
    target: Code | None = Field(None, description="left out: the agency that policy names")
    worker: Id | None = None


@router.post("/hand-over")
async def hand_over(
    service: Current,
    request: Request,
    case: CaseId,
    body: HandOver,
    caller: Caller = scope("hub", "cases.write"),
) -> Response:
    """Hand a party's lead over, with all the person's cases. Consent asks for the person's agreement. Needs If-Match."""
    state, version = await look(service, caller, case, INSIDE)
    check_version(required_version(request), version)
    agencies = await stands_for(service, caller)
    party = state.parties.get(body.party)
    planned = next(
        (p for p in (state.proposal.parties if state.proposal else ()) if p.party == body.party), None
    )
    if party is None or planned is None:
        raise invalid([FieldError("party", "not of this case", "Name one of its parties.")])
    of_hub = caller.may("hub")
    if party.agency not in agencies and not of_hub:
        raise Problem(
            403,
            "not-lead",
            "This agency cannot do this.",
            detail="Only the party's lead or the hub hands it over.",
        )
    target = body.target or next(iter(planned.handover_to), None)
    if target is None or (target not in (*planned.handover_to, *planned.options, *agencies) and not of_hub):
        allowed = ", ".join(planned.handover_to) or "nobody; ask the hub"
        raise invalid([FieldError("target", "not a hand-over that policy names", f"Policy names {allowed}.")])
    registry = await registry_of(service)
    if not is_agency(registry, target):
        remedy = "Name an agency that is registered and active: no other could contact the person."
        raise invalid([FieldError("target", "no such agency", remedy)])
    must_work_for(registry, body.worker, target)
    try:
        done = await gateways.hand_over(service, party.person, target, body.worker, body.reason)
    except Unavailable:
        raise gateways.not_in_force("Consent does not answer, so the lead stays where it is.", {}) from None
    if isinstance(done, gateways.Refused) and done.reason != "same_lead":
        raise _not_handed_over(done.reason)
    return changed(case, state, version, handed_over_to=target)


def _not_handed_over(reason: str) -> Problem:
    details = {
        "no_agreement": "The person has been reached and has not agreed to this agency: record the agreement first.",
        "in_flight": "An attempt is in flight: record its outcome first, then do this again.",
        "no_lead": "Nobody leads for this person: the hub can decide who shall.",
    }
    detail = details.get(reason, "Consent refused.")
    return Problem(409, reason.replace("_", "-"), "The lead cannot be handed over.", detail=detail)
