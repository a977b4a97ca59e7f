"""Carrying a case on: policy asked, workers picked, everything that was decided recorded and written."""

from __future__ import annotations

from collections import Counter
from datetime import date
from functools import partial

from services.allocation.domain import agencies, route
from services.allocation.domain.evolve import Placed, Story, evolve
from services.allocation.domain.route import Staffing
from services.allocation.domain.state import CaseState, Proposal, is_known
from services.allocation.handlers.planning import due_of, propose
from services.allocation.store import rows
from services.allocation.store.hours import Full, Roster
from services.allocation.store.registry import MEMORY, Registry, take_hours
from shared.contracts.cases import CaseAllocated, CaseClosed, CaseNeedsDecision, CaseProposed
from shared.contracts.envelope import Payload
from shared.runtime.stream import Stream
from shared.runtime.telemetry import counter
from shared.runtime.work import Work

CASE = Stream(kind="case", topic="cases", state=CaseState, evolve=evolve)
AGENCY = Stream(kind="agency", topic="agencies", state=agencies.AgencyState, evolve=agencies.evolve)

_COUNTED = {
    CaseProposed: counter("cases_proposed", "claims made for cases"),
    CaseAllocated: counter("cases_allocated", "cases told to their leads, or told anew"),
    CaseNeedsDecision: counter("cases_undecided", "cases that a person has to decide"),
    CaseClosed: counter("cases_closed", "cases closed"),
}


def staff(roster: Roster, state: CaseState, day: date, *, waiting: bool = False) -> Staffing:
    """Pick a named worker for each party about to be claimed, the least loaded who suits."""
    workers: dict[str, str | None] = {}
    taken: list[tuple[str | None, int]] = []
    for planned, agency in route.to_claim(state):
        picked = roster.pick(agency, planned.team, planned.hours, planned.need, day, waiting=waiting)
        if isinstance(picked, Full):
            for worker, hours in taken:
                roster.give_back(worker, hours)
            return Staffing(full=agency)
        taken.append((picked, planned.hours))
        workers[planned.party] = picked
    return Staffing(workers)


async def carry_on(
    work: Work, case: str, story: Story, *, replan: bool, waiting: Roster | None = None, settle: bool = True
) -> None:
    """Carry the case as far as it goes, and stage everything.

    `replan`: the facts have changed, so policy is asked again. `waiting`: hours read for a queue that is being emptied.
    `settle` False: only keep what was told; somebody else is about to go on.
    """
    registry = await MEMORY.registry(work)
    before: CaseState = work.state(CASE, case)
    if replan and story.state.referrals and story.state.closed is None:
        ask_policy(work, case, story, registry)
    if not settle:
        save(work, case, before, story, registry)
        return
    staffing = staff(waiting or registry.roster, story.state, work.now.date(), waiting=waiting is not None)
    route.settle(story, case, staffing, due_of(story.state, work.now))
    picked = frozenset(worker for worker in staffing.workers.values() if worker)
    save(work, case, before, story, registry, frozenset() if waiting else picked)


def ask_policy(work: Work, case: str, story: Story, registry: Registry) -> None:
    """Ask policy; nothing happens if its answer is the one known."""
    proposal, why = propose(story.state, registry.policies, registry.register, registry.decisions)
    if proposal == story.state.proposal:
        return
    before = story.state.proposal
    route.plan(story, proposal)
    _count_deliverer(work, case, before, proposal, registry)
    kept = (case, work.now, proposal.policy_version, proposal.rule, why.digest, why.text)
    work.write(rows.save_decisions, kept)
    clocks = [due for due in proposal.clocks.values() if due > work.now]
    if clocks:
        work.timer("clock", case, min(clocks), {"after": work.now.isoformat()})


def _count_deliverer(
    work: Work, case: str, before: Proposal | None, now: Proposal, registry: Registry
) -> None:
    """Keep who delivers, where no hours tell how busy it is: the next case may be somebody else's turn."""
    for agency in now.delivery.agencies[:1]:
        known = before is not None and agency in before.delivery.agencies[:1]
        if not known and registry.roster.note_case(agency):
            rows.stage_fact(work, case, "deliverer", agency, agency, now.partnership)


def save(
    work: Work,
    case: str,
    before: CaseState,
    story: Story,
    registry: Registry,
    picked: frozenset[str] = frozenset(),
) -> None:
    """Stage what was told: events, state, rows, hours, timers. `picked` are workers chosen because they seemed free."""
    if not story.told:
        return
    # The story has folded all of it already, by the same rule.
    payloads = [one for one in story.told if isinstance(one, Payload)]
    work.record(CASE, case, *payloads, folded=story.state)
    if payloads:
        work.after_commit(partial(_count, payloads))
    after = story.state
    if not is_known(after):
        return
    # One party of several is answered: nothing that is searched for has changed yet.
    quiet = all(isinstance(one, Placed) for one in story.told)
    rows.stage_rows(work, case, before, after, payloads, registry.agency_of, quiet=quiet)
    _stage_hours(work, before, after, registry, picked)
    _stage_timers(work, case, before, after)


def _stage_timers(work: Work, case: str, before: CaseState, after: CaseState) -> None:
    """Whoever is asked is reminded; what is not answered in time is told."""
    for key, check in after.checks.items():
        was = before.checks.get(key)
        if check.due is None or check is was:
            continue
        if was is None and check.satisfied is None:
            work.timer("check", key, check.due, {"case": case})
            if check.remind and work.now < check.remind < check.due:
                work.timer("remind", key, check.remind, {"case": case})
        elif was is not None and was.satisfied is None and check.satisfied is not None:
            work.cancel_timer("check", key)
            work.cancel_timer("remind", key)


def _count(payloads: list[Payload]) -> None:
    for payload in payloads:
        if type(payload) in _COUNTED:
            _COUNTED[type(payload)].add(1)


def _stage_hours(
    work: Work, before: CaseState, after: CaseState, registry: Registry, picked: frozenset[str]
) -> None:
    was, is_now = _hours(before), _hours(after)
    for worker in sorted(was.keys() | is_now.keys()):
        amount = is_now[worker] - was[worker]
        if not amount:
            continue
        work.write(take_hours, (worker, amount, worker in picked))
        agency = registry.agency_of.get(worker)
        if amount < 0 and agency:
            work.timer("capacity", agency, work.now)
    if after.queued_for and after.queued_for != before.queued_for:
        # Hours may have come free since the roster was read: whoever waits is looked at once more soon, on fresh numbers.
        work.timer("capacity", after.queued_for, work.now)


def _hours(state: CaseState) -> Counter[str]:
    hours: Counter[str] = Counter()
    for party in state.parties.values():
        if party.worker and party.place in ("claimed", "led"):
            hours[party.worker] += party.hours
    for member in state.members if state.member_hours else ():
        hours[member] += state.member_hours
    return hours
