"""A hub's meeting: the best teams for its whole list at once, explained, changed by hand, solved again, accepted."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import Field
from starlette.responses import Response

from services.allocation.api.common import (
    Body,
    Current,
    Id,
    json_response,
    stands_for,
)
from services.allocation.api.drafts import registry_of
from services.allocation.domain.cases import TEAM_HOURS
from services.allocation.domain.state import CaseState
from services.allocation.handlers.carry import CASE
from services.allocation.handlers.planning import team_wanted
from services.allocation.policy import FactsError, Proposal
from services.allocation.store import meetings
from services.allocation.store.registry import Registry
from services.allocation.workforce import CaseNeed, Facilitator, Plan, Roster, in_order
from services.allocation.workforce.needs import unfit_for
from shared.runtime.auth import Caller, scope
from shared.runtime.idempotency import Answer, idempotency_key
from shared.runtime.identifiers import new_id
from shared.runtime.problems import FieldError, Problem, invalid, not_found
from shared.runtime.service import Service
from shared.runtime.work import Work

router = APIRouter(prefix="/v1", tags=["meetings"])
PlanId = Annotated[str, Path(pattern=r"^[0-9a-f-]{36}$")]
Key = Annotated[str, Depends(idempotency_key)]
MOST_CASES: Final = 300
_SOLVING = asyncio.Lock()
"""One meeting at a time in a process: the solver takes the cores that it is given."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A case of the hub that has no team yet, what policy says of it, and what it needs of a team."""

    case: str
    state: CaseState
    decided: Proposal
    need: CaseNeed


def listed(rows: Sequence[tuple[str, str]], registry: Registry, *, with_team: bool = False) -> list[Listed]:
    """Return the cases that a team is sought for. `with_team`: those too that have one."""
    found = []
    for case, encoded in rows:
        state: CaseState = CASE.decode(encoded)
        if state.members and not with_team:
            continue
        try:
            wanted = team_wanted(state, registry.policies, registry.register, registry.decisions)
        except FactsError:
            continue  # facts that no policy can read: the case waits for a decision, not for a team
        if wanted is not None:
            decided, facts, agencies = wanted
            districts = tuple(party.district for party in facts.parties if party.district)
            need = CaseNeed(
                id=case, team=decided.team, districts=districts, agencies=agencies, hours=TEAM_HOURS
            )
            found.append(Listed(case, state, decided, need))
    return found


@router.get("/agenda")
async def agenda(
    service: Current,
    limit: Annotated[int, Query(ge=1, le=MOST_CASES)] = 100,
    caller: Caller = scope("hub"),
) -> Response:
    """Return the hub's cases without a team, the most urgent clock first, and which policy puts to a meeting, and why."""
    registry = await registry_of(service)
    rows = await meetings.waiting(service.pool, await stands_for(service, caller), None, limit)
    entries = [
        {
            "case": one.case,
            "meetings": one.decided.agenda,
            "team": one.decided.team,
            "delivery_by": one.need.agencies,
            "due": min((clock.due for clock in one.decided.clocks), default=None),
            "sensitive": one.decided.sensitive,
        }
        for one in listed(rows, registry)
    ]
    return json_response({"cases": entries})


class Wanted(Body):
    """What to solve: the hub's cases without a team, or these; whom the co-ordinator wants in a team, or does not."""

    cases: list[Id] | None = Field(None, min_length=1, max_length=MOST_CASES)
    pinned: dict[str, list[Id]] = Field(default_factory=dict, description="workers who must be in, by case")
    forbidden: dict[str, list[Id]] = Field(
        default_factory=dict, description="workers who must not be in, by case"
    )
    seconds: float = Field(10, gt=0, le=60, description="how long to look; the answer comes after them")


@router.post("/meetings", status_code=201)
async def solve(
    service: Current, request: Request, body: Wanted, key: Key, caller: Caller = scope("hub")
) -> Response:
    """Return the best teams found, with a bound that no plan can beat. Nobody is assigned. Needs an Idempotency-Key."""
    registry = await registry_of(service)
    agencies = await stands_for(service, caller)
    chosen = body.cases or sorted({*body.pinned, *body.forbidden}) or None
    rows = await meetings.waiting(service.pool, agencies, body.cases, MOST_CASES)
    some = listed(rows, registry, with_team=body.cases is not None)
    known = {one.case for one in some}
    wrong = [
        FieldError("cases", f"{case} is not a case of yours that waits for a team", "Read GET /v1/agenda.")
        for case in chosen or ()
        if case not in known
    ]
    if wrong:
        raise invalid(wrong)
    people = await meetings.people(service.pool, {a for one in some for a in one.need.agencies})
    day = await _today(service)
    needs = _with_wishes(body, [one.need for one in some], {person.id: person for person in people}, day)
    if _SOLVING.locked():
        title = "Another meeting is being solved."
        raise Problem(429, "solving", title, headers={"Retry-After": "10"})
    async with _SOLVING:
        plan, greedy = await asyncio.to_thread(_solve, Roster(people), needs, day, body.seconds)
    answer_body = _told(plan, greedy, {person.id: person.agency for person in people}, body)

    async def record(work: Work) -> Answer:
        await work.lock()
        plan_id = new_id()
        kept = {"plan": plan_id, **answer_body}
        work.write(meetings.save, (plan_id, caller.agency, caller.worker, work.now, kept))
        return Answer(201, kept, {"Location": f"/v1/meetings/{plan_id}"})

    answer = await service.once(caller, key, await request.body(), record, route="meetings")
    return answer.response()


async def _today(service: Service) -> date:
    async def body(work: Work) -> date:
        await work.lock()
        return work.now.date()

    return await service.transact(body)


def _with_wishes(
    body: Wanted, needs: Sequence[CaseNeed], people: dict[str, Facilitator], day: date
) -> list[CaseNeed]:
    """Return the needs with whom the co-ordinator pinned and forbade. Raises Problem 422 for one who cannot be in a team."""
    found, wrong = [], []
    for need in needs:
        pinned, forbidden = tuple(body.pinned.get(need.id, ())), tuple(body.forbidden.get(need.id, ()))
        for worker in pinned:
            field = f"pinned.{need.id}"
            person = people.get(worker)
            reason = (
                "forbidden as well"
                if worker in forbidden
                else unfit_for(person, need, day)
                if person is not None and person.agency in need.agencies
                else "no worker of an agency that delivers this case, with hours"
            )
            if reason is not None:
                wrong.append(FieldError(field, f"{worker} is {reason}", "Pin somebody else, or nobody."))
        if len(pinned) > need.team.facilitators:
            what = f"{len(pinned)} are pinned, and the team is of {need.team.facilitators}"
            wrong.append(FieldError(f"pinned.{need.id}", what, "Pin fewer."))
        found.append(_wishing(need, pinned, forbidden))
    if wrong:
        raise invalid(wrong)
    return found


def _wishing(need: CaseNeed, pinned: tuple[str, ...], forbidden: tuple[str, ...]) -> CaseNeed:
    return CaseNeed(
        id=need.id,
        team=need.team,
        districts=need.districts,
        agencies=need.agencies,
        hours=need.hours,
        pinned=pinned,
        forbidden=forbidden,
    )


def _solve(roster: Roster, needs: Sequence[CaseNeed], day: date, seconds: float) -> tuple[Plan, Plan]:
    from services.allocation.workforce.solve import Effort  # noqa: PLC0415 - loads the solver
    from services.allocation.workforce.solve import solve as best  # noqa: PLC0415 - loads the solver

    greedy = in_order(roster, needs, day)
    # Half of the cores: referrals go on arriving while a hub holds its meeting.
    cores = max(1, (os.cpu_count() or 2) // 2)
    return best(roster, needs, day, Effort(seconds=seconds, cores=cores)), greedy


def _told(plan: Plan, greedy: Plan, agency_of: dict[str, str], body: Wanted) -> dict[str, Any]:
    def figures(of: Plan) -> dict[str, Any]:
        names = ("cost", "km", "broken", "pairs_with_broken_wish", "over_hours", "spread", "without")
        return {name: round(float(getattr(of, name)), 3) for name in names}

    return {
        "figures": {**figures(plan), "bound": plan.bound, "gap": plan.gap, "proven": plan.proven},
        "in_order_of_arrival": figures(greedy),
        "seconds": round(plan.seconds, 2),
        "pinned": body.pinned,
        "forbidden": body.forbidden,
        "cases": [
            {
                "case": picked.case,
                "members": [{"worker": worker, "agency": agency_of[worker]} for worker in picked.members],
                "broken_wishes": picked.broken,
                "km": round(picked.km, 1),
                "why": picked.why,
            }
            for picked in plan.picked
        ],
    }


@router.get("/meetings/{plan}")
async def get_plan(service: Current, plan: PlanId, caller: Caller = scope("hub")) -> Response:
    """Return a plan as it was proposed."""
    found = await meetings.read(service.pool, plan)
    if found is None or found["agency"] not in await stands_for(service, caller):
        raise not_found("plan")
    return json_response({**found["body"], "made_at": found["made_at"], "accepted_at": found["accepted_at"]})
