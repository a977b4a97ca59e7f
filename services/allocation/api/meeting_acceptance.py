"""A meeting's plan is accepted: its teams are put in their cases, and nobody's last hours are taken twice."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from services.allocation.api.common import HUB, Body, Current, Id, relations_of, stands_for
from services.allocation.api.meetings import MOST_CASES, Key, PlanId
from services.allocation.domain import cases
from services.allocation.domain.cases import TEAM_HOURS, Refused
from services.allocation.domain.evolve import Story
from services.allocation.domain.state import CaseState
from services.allocation.handlers.carry import CASE, carry_on
from services.allocation.store import meetings
from services.allocation.store.registry import MEMORY, Registry
from shared.runtime.auth import Caller, scope
from shared.runtime.idempotency import Answer
from shared.runtime.problems import FieldError, invalid, not_found
from shared.runtime.work import Work

router = APIRouter(prefix="/v1", tags=["meetings"])


class Acceptance(Body):
    """Which of the plan's teams are taken; left out: all."""

    cases: list[Id] | None = Field(None, min_length=1, max_length=MOST_CASES)


@router.post("/meetings/{plan}/acceptance")
async def accept(
    service: Current,
    request: Request,
    plan: PlanId,
    body: Acceptance,
    key: Key,
    caller: Caller = scope("hub"),
) -> Response:
    """Put the plan's teams in their cases. A team that has become impossible meanwhile is left out, and the answer says why.

    Needs an Idempotency-Key.
    """
    agencies = await stands_for(service, caller)

    async def record(work: Work) -> Answer:
        return await _accept(work, plan, body, caller, agencies)

    answer = await service.once(caller, key, await request.body(), record, route=f"meetings/{plan}")
    return answer.response()


async def _accept(work: Work, plan: str, body: Acceptance, caller: Caller, agencies: list[str]) -> Answer:
    await work.lock()
    found = await meetings.plan(work, plan)
    if found is None or found["agency"] not in agencies:
        raise not_found("plan")
    teams = {
        one["case"]: tuple(member["worker"] for member in one["members"])
        for one in found["body"]["cases"]
        if one["members"] and (body.cases is None or one["case"] in body.cases)
    }
    unknown = set(body.cases or ()) - teams.keys()
    if unknown:
        what = f"{', '.join(sorted(unknown))}: no team in this plan"
        raise invalid([FieldError("cases", what, "Name cases that the plan has a team for.")])
    await work.lock(*((CASE, case) for case in sorted(teams)))
    registry = await MEMORY.registry(work)
    # Held until the commit: two meetings that accept at once cannot both take somebody's last hours.
    free = await meetings.lock_hours(work, {worker for team in teams.values() for worker in team})
    taken, left = [], []
    for case, members in teams.items():
        before = work.state(CASE, case).members
        why = _impossible(work.state(CASE, case), caller, agencies, registry, members, free)
        if why is None:
            why = await _put(work, case, members)
        if why is not None:
            left.append({"case": case, "why": why})
            continue
        taken.append(case)
        for worker in set(members) - set(before):
            free[worker] = (True, free[worker][1] - TEAM_HOURS)
    work.write(meetings.accepted, (plan, work.now))
    return Answer(200, {"plan": plan, "accepted": taken, "left_out": left})


async def _put(work: Work, case: str, members: tuple[str, ...]) -> str | None:
    story = Story(work.state(CASE, case))
    try:
        cases.put_team(story, members)
    except Refused as refused:
        return refused.detail
    await carry_on(work, case, story, replan=False)
    return None


def _impossible(
    state: CaseState,
    caller: Caller,
    agencies: list[str],
    registry: Registry,
    members: tuple[str, ...],
    free: dict[str, tuple[bool, int]],
) -> str | None:
    """Return why a team cannot be put in a case any more; None if it can."""
    if relations_of(state, caller, agencies, registry.agency_of).isdisjoint(HUB):
        return "the case is not yours any more"
    if set(state.members) == set(members):
        return "the team is in place already"
    if state.outcomes:
        return "an outcome is recorded: the case is delivered"
    # Whoever is in the team already has the hours of this case.
    short = [
        worker
        for worker in members
        if worker not in state.members
        and (worker not in free or not free[worker][0] or free[worker][1] < TEAM_HOURS)
    ]
    return f"{' and '.join(short)} no longer has the hours: solve again" if short else None
