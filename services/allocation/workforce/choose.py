"""One case at a time, in the order of arrival: the named worker of a party, and the team that delivers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from itertools import combinations
from typing import Final, Literal

import msgspec

from services.allocation.policy.proposal import WorkerNeed
from services.allocation.workforce.needs import CaseNeed, broken_wishes, possible
from services.allocation.workforce.people import Facilitator
from services.allocation.workforce.roster import Candidate, Roster

WISH_KM: Final = 100.0
"""A broken wish is worth this many kilometres: wishes first, then travel and load."""
LOAD_KM: Final = 60.0
"""A facilitator who is full rather than idle is worth this many kilometres."""

BROKEN: Final = {
    "different_agencies": "come from one agency",
    "one_from_each": "leave out an agency that should be there",
    "travel": "travel farther than is wished",
    "nobody_learns": "give nobody who is new a place",
}


class NamedWorker(msgspec.Struct, frozen=True, kw_only=True):
    """The worker chosen, or why none: `full` (somebody could, but has no hours) or `nobody`. `why` in sentences."""

    worker: str | None
    why: tuple[str, ...]
    reason: Literal["chosen", "full", "nobody"] = "chosen"
    interpreter: bool = False


class Picked(msgspec.Struct, frozen=True, kw_only=True):
    """A team for a case (empty: none possible), the wishes that it breaks, its travel, and why it and not the next best."""

    case: str
    members: tuple[str, ...]
    broken: tuple[str, ...]
    km: float
    why: tuple[str, ...]


def choose_named(workers: Iterable[Facilitator], agency: str, need: WorkerNeed, on: date) -> NamedWorker:
    """The least loaded worker of the agency who may be the named worker; of equals the first by id."""
    able: list[Facilitator] = []
    passed: list[str] = []
    for worker in workers:
        if worker.agency != agency:
            continue
        reason = _unfit(worker, need, on)
        if reason is None:
            able.append(worker)
        else:
            passed.append(f"{worker.id} is passed over: {reason}.")
    speakers = [worker for worker in able if need.language is None or need.language in worker.languages]
    pool = [worker for worker in speakers or able if worker.free >= max(need.hours, 1)]
    if not pool:
        sentence = "nobody has hours free" if able else "nobody may be the named worker"
        nobody = (f"In {agency} {sentence}.", *passed)
        return NamedWorker(worker=None, why=nobody, reason="full" if able else "nobody")
    best = min(pool, key=lambda worker: (worker.load, worker.id))
    others = "".join(f"; {worker.id} {worker.load:.0%}" for worker in pool if worker is not best)
    chosen = f"{best.id} has the least work of {agency} ({best.load:.0%} taken{others})."
    return NamedWorker(
        worker=best.id, why=(chosen, *passed), interpreter=bool(need.language) and not speakers
    )


def assign_team(roster: Roster, case: CaseNeed, on: date) -> Picked:
    """The best team for one case, given what everybody already has."""
    pool = roster.candidates(case, on)
    teams = [team for team in combinations(pool, case.team.facilitators) if possible(people(team), case)]
    if not teams:
        sentence = (
            f"Nobody: {len(pool)} could take part, and no {case.team.facilitators} of them fit together."
        )
        return Picked(case=case.id, members=(), broken=(), km=0.0, why=(sentence,))
    ranked = sorted(teams, key=lambda team: (cost(team, case), [member.facilitator.id for member in team]))
    return explain(ranked[0], ranked[1] if len(ranked) > 1 else None, case)


def people(team: Iterable[Candidate]) -> tuple[Facilitator, ...]:
    """The facilitators of some candidates."""
    return tuple(member.facilitator for member in team)


def cost(team: Sequence[Candidate], case: CaseNeed) -> float:
    """Kilometres, with wishes and load weighed in; less is better."""
    load = sum(
        (m.facilitator.used + case.hours) / m.facilitator.capacity for m in team if m.facilitator.capacity
    )
    return (
        WISH_KM * len(broken_wishes(people(team), case)) + sum(member.km for member in team) + LOAD_KM * load
    )


def explain(team: Sequence[Candidate], other: Sequence[Candidate] | None, case: CaseNeed) -> Picked:
    """A team with its reasons, and what the next best would have been worse in."""
    members = people(team)
    broken, km = broken_wishes(members, case), sum(member.km for member in team)
    names = " and ".join(member.id for member in members)
    wishes = "keep every wish" if not broken else " and ".join(map(in_words, broken))
    why = [
        f"{names} {wishes}, travel {km:.0f} km and have at most {max(m.load for m in members):.0%} taken before."
    ]
    why.append(_next_best(team, other, case) if other is not None else "Nobody else could take either place.")
    return Picked(
        case=case.id, members=tuple(member.id for member in members), broken=broken, km=km, why=tuple(why)
    )


def in_words(wish: str) -> str:
    """What a team that breaks a wish does."""
    kind, _, detail = wish.partition("_")
    if kind in {"language", "specialism"}:
        return f"lack the {kind} {detail}"
    return BROKEN[wish]


def _next_best(team: Sequence[Candidate], other: Sequence[Candidate], case: CaseNeed) -> str:
    names = " and ".join(member.facilitator.id for member in other)
    worse = sorted(set(broken_wishes(people(other), case)) - set(broken_wishes(people(team), case)))
    further = sum(member.km for member in other) - sum(member.km for member in team)
    busier = _load(other, case) - _load(team, case)
    reasons = [f"would {wish}" for wish in map(in_words, worse)]
    reasons += [f"travel {further:.0f} km more"] if further >= 1 else []
    reasons += ["have more work already"] if busier > 0 else []
    return f"Not {names}: they {' and '.join(reasons)}." if reasons else f"{names} would do as well."


def _load(team: Sequence[Candidate], case: CaseNeed) -> float:
    return sum(
        (m.facilitator.used + case.hours) / m.facilitator.capacity for m in team if m.facilitator.capacity
    )


def _unfit(worker: Facilitator, need: WorkerNeed, on: date) -> str | None:
    reasons = (
        (not worker.active, "no longer active"),
        (worker.id in need.not_workers, "not neutral"),
        (
            bool(need.roles) and not set(need.roles) & set(worker.roles),
            "not in the role that makes first contact",
        ),
        (not worker.trained(need.training), f"not trained for it ({need.training} is needed)"),
        (worker.away(on), "away"),
    )
    return next((reason for holds, reason in reasons if holds), None)
