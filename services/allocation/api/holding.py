"""What changes who holds a case, or whether anybody may be contacted in it. In force when consent has acknowledged it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from services.allocation import gateways
from services.allocation.api.common import (
    HUB,
    Body,
    CaseId,
    Code,
    Current,
    Id,
    act,
    changed,
    look,
    must_work_for,
    stands_for,
)
from services.allocation.api.drafts import registry_of
from services.allocation.domain import cases
from services.allocation.domain.cases import Refused
from services.allocation.domain.evolve import Placed, Story
from services.allocation.domain.state import BY_HUB, CaseState
from services.allocation.gateways import Acknowledged
from services.allocation.store.registry import Registry
from shared.runtime.auth import Caller, scope
from shared.runtime.errors import Unavailable
from shared.runtime.http import check_version, etag, required_version
from shared.runtime.identifiers import new_id
from shared.runtime.problems import FieldError, Problem, invalid
from shared.runtime.service import Service
from shared.runtime.times import Time

router = APIRouter(prefix="/v1/cases/{case}", tags=["holding a case"])
# The lead has begun with the person: it cannot simply be taken away, it is handed over.
BEGUN = frozenset({"reached", "attempted"})


class Reason(Body):
    """Why, as a code: no names, no free text."""

    reason: Code


class PauseWanted(Reason):
    """A pause, with the date on which it is looked at again."""

    until: Time | None = None


@router.post("/pause")
async def pause(
    service: Current,
    request: Request,
    case: CaseId,
    body: PauseWanted,
    caller: Caller = scope("hub", "cases.write"),
) -> Response:
    """Let nobody be contacted in this case. Answers when it is in force (503: recorded, not yet). Needs If-Match."""

    def decide(story: Story, _: Registry) -> None:
        cases.pause_by_hub(story, body.reason, body.until)

    state, version = await act(service, request, caller, case, decide)
    made = state.pauses[BY_HUB]
    return await _in_force(service, case, state, version, "pause", made.id, body.reason, body.until)


@router.post("/resumption")
async def resume(
    service: Current,
    request: Request,
    case: CaseId,
    body: Reason,
    caller: Caller = scope("hub", "cases.write"),
) -> Response:
    """End the hub's pause; pauses that others set stand. Contact is possible when consent has heard of it."""

    def decide(story: Story, _: Registry) -> None:
        cases.resume_by_hub(story, body.reason)

    state, version = await act(service, request, caller, case, decide, allowed=HUB | {"lead"})
    return changed(case, state, version)


@router.post("/closure")
async def close(
    service: Current,
    request: Request,
    case: CaseId,
    body: Reason,
    caller: Caller = scope("hub", "cases.write"),
) -> Response:
    """Close the case. Answers when no contact is possible any more (503: recorded, not yet). Needs If-Match."""

    def decide(story: Story, _: Registry) -> None:
        cases.close_by_agency(story, case, body.reason)

    state, version = await act(service, request, caller, case, decide)
    reason = state.closed or body.reason
    return await _in_force(service, case, state, version, "close", f"{case}.close", reason, None)


async def _in_force(
    service: Service,
    case: str,
    state: CaseState,
    version: int,
    kind: Literal["pause", "close"],
    restriction: str,
    reason: str,
    until: datetime | None,
) -> Response:
    # Recorded first: the event reaches consent by itself, so a call that is lost delays the restriction and never loses it.
    try:
        done = await gateways.restrict(service, case, kind, restriction, reason, until=until)
    except Unavailable:
        detail = "Consent does not answer; it will learn of this by itself."
        raise gateways.not_in_force(detail, {"ETag": etag(version)}) from None
    in_flight = done.in_flight if isinstance(done, Acknowledged) else ()
    return changed(case, state, version, in_force=True, in_flight=in_flight)


@router.post("/return")
async def give_back(
    service: Current, request: Request, case: CaseId, body: Reason, caller: Caller = scope("cases.write")
) -> Response:
    """Give a case back: it is proposed to the next agency, or decided by the hub. Needs If-Match.

    Where you have begun with the person, your agency stays its lead until the hub hands it over: nobody else may call.
    """
    agencies = await stands_for(service, caller)
    state, version = await look(service, caller, case)
    check_version(required_version(request), version)
    own = {key: p for key, p in state.parties.items() if p.agency in agencies and p.place == "led"}
    if not own:
        raise Problem(
            403, "not-lead", "This agency cannot do this.", detail="Only a lead can give a case back."
        )
    agency = next(iter(own.values())).agency or caller.agency
    try:
        cases.may_give_back(state, agency)
    except Refused as refused:
        raise Problem(409, refused.why, "The case cannot be returned.", detail=refused.detail) from None
    begun = await _take_back(service, case, {p.person for p in own.values()}, body.reason)

    def decide(story: Story, _: Registry) -> None:
        cases.give_back(story, agency, body.reason, keep=begun)

    state, version = await act(service, request, caller, case, decide, compared=True)
    return changed(case, state, version, still_lead=begun)


async def _take_back(service: Service, case: str, people: set[str], reason: str) -> bool:
    """End the leads for these people at consent. True if one of them has been approached. Raises Problem 409, 503."""
    begun = False
    for person in sorted(people):
        try:
            done = await gateways.restrict(
                service, case, "reassign", f"{case}.{new_id()}", reason, person=person
            )
        except Unavailable:
            raise gateways.not_in_force("Consent does not answer, so nothing has changed.", {}) from None
        if isinstance(done, gateways.Refused) and done.reason != "no_lead":
            if done.reason not in BEGUN:
                title = "The person is being contacted at this moment."
                detail = "Record the outcome of the attempt first, then do this again."
                raise Problem(409, done.reason.replace("_", "-"), title, detail=detail)
            begun = True
    return begun


class Decision(Body):
    """The hub's decision about what a case waits for."""

    kind: Literal["lead", "proceed", "jurisdiction"]
    party: Id | None = Field(None, description="for `lead`: whose")
    agency: Code | None = Field(None, description="for `lead`: the agency that is to lead")
    worker: Id | None = None
    partnership: Code | None = Field(
        None, description="for `jurisdiction`: the partnership that holds the case"
    )


@router.post("/decision")
async def decide_case(
    service: Current, request: Request, case: CaseId, body: Decision, caller: Caller = scope("hub")
) -> Response:
    """Decide what rules could not: who leads, whether to go on after a check said no, whose case it is. Needs If-Match."""

    def decide(story: Story, registry: Registry) -> None:
        if body.kind == "proceed":
            cases.proceed(story)
        elif body.kind == "jurisdiction":
            known = registry.policies.current.partnerships
            if body.partnership is None or body.partnership not in known:
                raise Refused(
                    "invalid", f"partnership: missing or unknown; name one of {', '.join(sorted(known))}"
                )
            cases.choose_partnership(story, body.partnership)
        else:
            party, agency = _named(body.party, body.agency, registry)
            must_work_for(registry, body.worker, agency)
            cases.assign(story, case, party, agency, body.worker, caller.agency)

    replan = body.kind == "jurisdiction"
    state, version = await act(service, request, caller, case, decide, allowed=HUB, replan=replan)
    return changed(case, state, version)


def _named(party: str | None, agency: str | None, registry: Registry) -> tuple[str, str]:
    wrong = []
    if party is None:
        wrong.append(FieldError("party", "missing", "Name the party whose lead is decided."))
    known = registry.agencies.get(agency or "")
    if agency is None or known is None or (not known.active and registry.heir(agency) == agency):
        wrong.append(
            FieldError(
                "agency", "missing or not a registered, active agency", "Name the agency that is to lead."
            )
        )
    if wrong or party is None or agency is None:
        raise invalid(wrong)
    return party, registry.heir(agency)


class Reallocation(Reason):
    """Another lead for a party that nobody has approached yet."""

    party: Id
    agency: Code
    worker: Id | None = None


def _next_lead(body: Reallocation, registry: Registry) -> str:
    _, agency = _named(body.party, body.agency, registry)
    must_work_for(registry, body.worker, agency)
    return agency


@router.post("/reallocation")
async def reallocate(
    service: Current, request: Request, case: CaseId, body: Reallocation, caller: Caller = scope("hub")
) -> Response:
    """Give a party another lead, as long as nobody has begun with the person (409: hand it over instead). Needs If-Match."""
    state, version = await look(service, caller, case, HUB)
    check_version(required_version(request), version)
    party = state.parties.get(body.party)
    if party is None:
        raise invalid([FieldError("party", "not of this case", "Name one of its parties.")])
    # Before anything is taken away: of a mistyped agency the person would be left with nobody.
    _next_lead(body, await registry_of(service))
    if party.place == "led" and await _take_back(service, case, {party.person}, body.reason):
        detail = "The person has been approached: hand the lead over, with the person's agreement."
        raise Problem(409, "begun", "The lead cannot be taken away.", detail=detail)

    def decide(story: Story, registry: Registry) -> None:
        agency = _next_lead(body, registry)
        known = story.state.parties[body.party]
        # One that consent has given since, and that was not taken back, stands.
        if known.place == "led" and party.place == "led":
            story.tell(Placed(body.party, "ended", reason=body.reason, tried=known.agency))
        cases.assign(story, case, body.party, agency, body.worker, caller.agency)

    state, version = await act(service, request, caller, case, decide, allowed=HUB, compared=True)
    return changed(case, state, version)
