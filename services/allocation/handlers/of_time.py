"""What becomes due: a check, a clock, a queue that may have room."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from services.allocation.domain.evolve import Story
from services.allocation.handlers.carry import CASE, carry_on
from services.allocation.store.registry import MEMORY, rename, roster
from services.allocation.store.rows import mark_overdue
from shared.contracts.cases import CheckOverdue, CheckReminded, ClockMissed
from shared.runtime.handlers import Handlers
from shared.runtime.work import Work

handlers = Handlers()

AT_ONCE = 50
AFTER_SUCCESSION = timedelta(seconds=1)
"""The agencies are read again in the next transaction, not in the one that says that they have changed."""
_WAITING = "SELECT case_id FROM queue WHERE agency = $1 ORDER BY due NULLS LAST, since, case_id LIMIT $2"


@handlers.timer("capacity", locks=lambda _key, _data: [])
async def capacity(work: Work, key: str, data: dict[str, Any]) -> None:  # noqa: ARG001 - a timer has data
    """Hours came free in an agency: those who wait get them, the most urgent first, and nobody passes another."""
    waiting = [row["case_id"] for row in await work.fetch(_WAITING, key, AT_ONCE)]
    await work.lock(*((CASE, case) for case in waiting))
    registry = await MEMORY.registry(work)
    if registry.heir(key) == key:
        hours, at_once = await roster(work, key), AT_ONCE
    else:
        # Who waits for an agency that is no more arrives at its successor, behind those who wait there already. One at a
        # time: whoever is queued there closes the way to whoever comes after, also within one transaction.
        hours, at_once = None, 1
    served = 0
    for case in waiting[:at_once]:
        if work.state(CASE, case).queued_for != key:
            continue
        story = Story(work.state(CASE, case))
        await carry_on(work, case, story, replan=True, waiting=hours)
        if story.state.queued_for == key:
            break
        served += 1
    if served == at_once:
        work.timer("capacity", key, work.now)


@handlers.timer("check", locks=lambda _key, data: [(CASE, data["case"])])
async def check_due(work: Work, key: str, data: dict[str, Any]) -> None:
    """A check that nobody answered in time: whoever was asked, and the hub, are told."""
    if _tell_unanswered(work, data["case"], key, CheckOverdue):
        work.write(mark_overdue, key)


@handlers.timer("remind", locks=lambda _key, data: [(CASE, data["case"])])
async def check_due_soon(work: Work, key: str, data: dict[str, Any]) -> None:
    """Whoever was asked and has not answered is reminded, once, while there is time."""
    _tell_unanswered(work, data["case"], key, CheckReminded)


def _tell_unanswered(work: Work, case: str, key: str, kind: type[CheckOverdue | CheckReminded]) -> bool:
    """Tell something about a check if it is still open. Returns whether it is."""
    state = work.state(CASE, case)
    check = state.checks.get(key)
    if check is None or check.satisfied is not None or state.closed or check.due is None:
        return False
    party = next(iter((*check.about, *check.gates)), case)
    work.record(CASE, case, kind(check=key, kind=check.kind, of=check.of, party=party, due=check.due))
    return True


@handlers.timer("clock", locks=lambda key, _data: [(CASE, key)])
async def clock(work: Work, key: str, data: dict[str, Any]) -> None:
    """A statutory or court date passed. Once the person has been reached, the information has been given."""
    state = work.state(CASE, key)
    if state.closed or state.proposal is None:
        return
    reached = any(party.answer for party in state.parties.values() if party.role in ("harmed", "both"))
    later, told_until = [], datetime.fromisoformat(data["after"])
    for name, due in sorted(state.proposal.clocks.items(), key=lambda item: item[1]):
        if due > work.now:
            later.append(due)
        elif due > told_until and not (reached and name == "information"):
            work.record(CASE, key, ClockMissed(clock=name, due=due))
    if later:
        work.timer("clock", key, min(later), {"after": work.now.isoformat()})


@handlers.timer("succession", locks=lambda _key, _data: [])
async def succession(work: Work, key: str, data: dict[str, Any]) -> None:  # noqa: ARG001 - a timer has both
    """A succession begins: every process reads the agencies again, and whoever waits for a worker waits at the successor."""
    work.write(rename, None)
    work.timer("capacity", key, work.now + AFTER_SUCCESSION)


@handlers.timer("unled", locks=lambda key, _data: [(CASE, key)])
async def unled(work: Work, key: str, data: dict[str, Any]) -> None:  # noqa: ARG001 - a timer has data
    """A lead ended because we asked, and nobody was named since: the case is proposed anew, or the hub decides."""
    await carry_on(work, key, Story(work.state(CASE, key)), replan=False)
