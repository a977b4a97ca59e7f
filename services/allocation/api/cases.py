"""Cases: read them, take them on, say who delivers them and what came of them."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field
from starlette.responses import Response

from services.allocation.api.common import (
    INSIDE,
    Body,
    CaseId,
    Code,
    Current,
    Id,
    act,
    act_once,
    changed,
    json_response,
    must_work_for,
    relations_of,
    stands_for,
)
from services.allocation.api.views import allowed_to_referrer, view
from services.allocation.domain import cases
from services.allocation.domain.cases import Refused
from services.allocation.domain.evolve import Story
from services.allocation.domain.state import leads_of
from services.allocation.handlers.carry import CASE
from services.allocation.store import reading
from services.allocation.store.registry import Registry
from shared.contracts.cases import Feedback, OutcomeRecorded
from shared.runtime.auth import Caller, scope
from shared.runtime.http import decode_cursor, encode_cursor, etag
from shared.runtime.idempotency import Answer, idempotency_key
from shared.runtime.problems import not_found

router = APIRouter(prefix="/v1/cases", tags=["cases"])
LONGEST_PAGE = 200

Status = Literal[
    "received",
    "on_hold",
    "queued",
    "proposed",
    "needs_decision",
    "allocated",
    "cleared",
    "accepted",
    "concluded",
    "closed",
]
Relation = Literal["referrer", "lead", "team", "asked", "hub", "co_ordinator"]


@router.get("")
async def list_cases(
    service: Current,
    status: Annotated[Status | None, Query()] = None,
    relation: Annotated[
        Relation | None, Query(description="only cases in which your agency has this part")
    ] = None,
    cursor: Annotated[str | None, Query(max_length=300)] = None,
    limit: Annotated[int, Query(ge=1, le=LONGEST_PAGE)] = 50,
    caller: Caller = scope("cases.read"),
) -> Response:
    """Return the cases that have to do with your agency, the newest first. Ask for one to see who leads and why."""
    before = decode_cursor(cursor, str)
    agencies = await stands_for(service, caller)
    found = await reading.cases(
        service.pool, agencies, before[0] if before else None, status, relation, limit
    )
    entries = []
    for row in found:
        relations = set(row["relations"]) - (set() if caller.may("hub") else {"hub", "co_ordinator"})
        if not relations:
            continue
        entry = {name: row[name] for name in ("case_id", "status", "received_at", "changed_at")}
        if relations - {"referrer"}:
            entry |= {
                name: row[name] for name in ("reason", "area", "offence", "stage", "hub", "rule", "due")
            }
        entries.append(entry | {"case": entry.pop("case_id"), "relations": sorted(relations)})
    following = encode_cursor(found[-1]["case_id"]) if len(found) == limit else None
    return json_response({"cases": entries, "next": following})


@router.get("/{case}")
async def get_case(service: Current, case: CaseId, caller: Caller = scope("cases.read")) -> Response:
    """Return a case as your agency may see it: where it stands, who leads, and why this agency."""
    found = await reading.case(service.pool, case)
    if found is None:
        raise not_found("case")
    version, state = found[0], CASE.decode(found[1])
    agencies = await stands_for(service, caller)
    members = await reading.agencies_of(service.pool, state.members)
    relations = relations_of(state, caller, agencies, members)
    if not relations:
        raise not_found("case")
    decisions = await reading.decisions(service.pool, case)
    checks = await reading.checks(service.pool, case)
    own, day = await reading.sharing(service.pool, agencies)
    allowed = allowed_to_referrer(state, agencies, own, day)
    seen = view(case, state, relations, agencies, decisions, checks, allowed)
    return json_response(seen, headers={"ETag": etag(version)})


class Acceptance(Body):
    """Your agency takes the case on."""

    worker: Id | None = Field(None, description="the named worker: the person's one point of contact")


@router.post("/{case}/acceptance")
async def accept(
    service: Current, request: Request, case: CaseId, body: Acceptance, caller: Caller = scope("cases.write")
) -> Response:
    """Take a case on, as an agency that leads one of its parties. Needs If-Match."""
    agencies = await stands_for(service, caller)

    def decide(story: Story, registry: Registry) -> None:
        agency = _leading(story, agencies, caller.agency)
        must_work_for(registry, body.worker, agency)
        cases.accept(story, agency, body.worker)

    state, version = await act(
        service, request, caller, case, decide, allowed=frozenset({"lead", "referrer"}) | INSIDE
    )
    return changed(case, state, version)


def _leading(story: Story, agencies: list[str], otherwise: str) -> str:
    """Return which of the agencies that the caller stands for leads in the case."""
    leads = leads_of(story.state)
    return next((agency for agency in agencies if agency in leads), otherwise)


class Team(Body):
    """Who delivers the case."""

    members: list[Id] = Field(max_length=cases.MEMBERS_AT_MOST, description="worker ids, of any agency")


@router.put("/{case}/team")
async def change_team(
    service: Current, request: Request, case: CaseId, body: Team, caller: Caller = scope("cases.write")
) -> Response:
    """Name the members that deliver the case. They see it; none of them gets a permit by it. Needs If-Match."""
    agencies = await stands_for(service, caller)

    def decide(story: Story, registry: Registry) -> None:
        unknown = [member for member in body.members if member not in registry.agency_of]
        if unknown:
            raise Refused(
                "invalid", f"members: {', '.join(unknown)} not registered; register them as workers first"
            )
        cases.change_team(story, _leading(story, agencies, caller.agency), tuple(body.members))

    state, version = await act(service, request, caller, case, decide)
    return changed(case, state, version, members=state.members)


class FeedbackSaid(Body):
    """What a responsible person, a supporter or one of the staff said of it."""

    by: Literal["responsible", "supporter", "staff"]
    satisfied: bool


class Outcome(Body):
    """What came of the case."""

    form: Literal["conference", "community_conference", "indirect", "none"]
    agreement: bool = Field(description="whether an outcome agreement was made")
    fulfilled: bool | None = None
    kinds: list[Literal["apology", "reparation", "rehabilitation"]] = Field(
        default_factory=list, max_length=3
    )
    satisfied: bool | None = Field(
        None, description="whether the harmed person was satisfied; only where asked and answered"
    )
    feedback: list[FeedbackSaid] = Field(default_factory=list, max_length=60)
    reason: Code | None = Field(None, description="why it did not go further, as a code; with form `none`")


@router.post("/{case}/outcomes", status_code=201)
async def record_outcome(
    service: Current,
    request: Request,
    case: CaseId,
    body: Outcome,
    key: Annotated[str, Depends(idempotency_key)],
    caller: Caller = scope("cases.write"),
) -> Response:
    """Record what came of the case, or what has been fulfilled since. Needs an Idempotency-Key."""

    def record(story: Story, _: object, agencies: list[str]) -> Answer:
        outcome = OutcomeRecorded(
            form=body.form,
            agreement=body.agreement,
            fulfilled=body.fulfilled,
            reason=body.reason,
            kinds=tuple(body.kinds),
            satisfied=body.satisfied,
            feedback=tuple(Feedback(by=said.by, satisfied=said.satisfied) for said in body.feedback),
        )
        cases.record_outcome(story, case, _leading(story, agencies, caller.agency), outcome)
        return Answer(201, {"case": case, "outcome": story.state.outcomes, "form": body.form})

    route = f"outcomes/{case}"
    return await act_once(service, request, caller, case, key, record, route=route)
