"""One case at a time, in the order of arrival: the named worker of a party, and the team that delivers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from itertools import combinations
from typing import Final, Literal

import msgspec

from services.allocation.policy.proposal import TeamNeed, WorkerNeed
from services.allocation.workforce.people import Facilitator, travel_km

WISH_WEIGHT: Final = 100.0
"""One broken wish is worth this many kilometres: wishes first, then travel and load."""
LOAD_WEIGHT: Final = 60.0
"""A facilitator who is full rather than idle is worth this many kilometres."""
UNKNOWN_KM: Final = 60.0
"""Where a district is not known nobody is taken to live next door."""


class NamedWorker(msgspec.Struct, frozen=True, kw_only=True):
    """The worker chosen, or why none: `full` (somebody could, but has no hours) or `nobody`. `why` in sentences."""

    worker: str | None
    why: tuple[str, ...]
    reason: Literal["chosen", "full", "nobody"] = "chosen"
    interpreter: bool = False


class CaseNeed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A case that needs a team: what the policy asks for, where the parties live, hours of each member.

    `pinned` must be in the team, `forbidden` must not: a co-ordinator's word.
    """

    id: str
    team: TeamNeed
    districts: tuple[str, ...] = ()
    hours: int = 6
    pinned: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()


class Picked(msgspec.Struct, frozen=True, kw_only=True):
    """A team for a case (empty: none possible), the wishes that it breaks, its travel, and why it and not the next best."""

    case: str
    members: tuple[str, ...]
    broken: tuple[str, ...]
    km: float
    why: tuple[str, ...]


def choose_named(workers: Iterable[Facilitator], agency: str, need: WorkerNeed, on: date) -> NamedWorker:
    """The least loaded worker of the agency who may be the named worker; of equals the first by id."""
    team = [worker for worker in workers if worker.agency == agency]
    able: list[Facilitator] = []
    passed: list[str] = []
    for worker in team:
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
    others = ", ".join(f"{worker.id} {worker.load:.0%}" for worker in pool if worker is not best)
    why = (
        f"{best.id} has the least work of {agency} ({best.load:.0%} taken{'; ' + others if others else ''})."
    )
    return NamedWorker(worker=best.id, why=(why, *passed), interpreter=bool(need.language) and not speakers)


def unfit_for(worker: Facilitator, case: CaseNeed, on: date) -> str | None:
    """Why a facilitator cannot be in the case's team at all; None if it can."""
    need = case.team
    reasons = (
        (not worker.active, "no longer active"),
        ("facilitator" not in worker.roles, "not a facilitator"),
        (worker.id in case.forbidden, "forbidden by the co-ordinator"),
        (worker.id in need.not_workers, "not neutral: knows a party from other work"),
        (worker.agency in need.not_agencies, "not neutral: the agency supervises a party"),
        (worker.away(on), "away"),
        (not worker.trained(need.training), f"not trained for it ({need.training} is needed)"),
        (
            need.experience == "all_experienced" and not worker.experienced,
            "without the experience that it needs",
        ),
        (not worker.supervised(need.supervision), f"without {need.supervision} supervision"),
        (worker.free < case.hours, "without the hours"),
    )
    return next((reason for holds, reason in reasons if holds), None)


def broken_wishes(team: Sequence[Facilitator], case: CaseNeed) -> tuple[str, ...]:
    """The wishes that a team breaks, as codes. What must be is not here: such teams are not possible."""
    return tuple(_broken(team, case))


def possible(team: Sequence[Facilitator], case: CaseNeed) -> bool:
    """Whether the team may take the case: enough of them, those pinned among them, somebody experienced."""
    ids = {member.id for member in team}
    if len(team) < case.team.facilitators or not ids.issuperset(case.pinned):
        return False
    return case.team.experience == "any" or any(member.experienced for member in team)


def cost(team: Sequence[Facilitator], case: CaseNeed) -> float:
    """Kilometres, with wishes and load weighed in; less is better."""
    load = sum((member.used + case.hours) / member.capacity for member in team if member.capacity)
    return WISH_WEIGHT * len(broken_wishes(team, case)) + km_of(team, case) + LOAD_WEIGHT * load


def km_of(team: Sequence[Facilitator], case: CaseNeed) -> float:
    """Kilometres that the team travels for one meeting with each party."""
    return sum(
        UNKNOWN_KM if (km := travel_km(member, case.districts)) is None else km
        for member in team
        if case.districts
    )


def assign_team(workers: Sequence[Facilitator], case: CaseNeed, on: date) -> Picked:
    """The best team for one case, given what everybody already has: the rule of arrival order."""
    able = [worker for worker in workers if unfit_for(worker, case, on) is None]
    teams = [team for team in combinations(able, case.team.facilitators) if possible(team, case)]
    if not teams:
        counts = f"{len(able)} of {len(workers)} could take part, and no {case.team.facilitators} of them fit together"
        return Picked(case=case.id, members=(), broken=(), km=0.0, why=(f"Nobody: {counts}.",))
    ranked = sorted(teams, key=lambda team: (cost(team, case), [member.id for member in team]))
    return explain(ranked[0], ranked[1] if len(ranked) > 1 else None, case)


def explain(team: Sequence[Facilitator], other: Sequence[Facilitator] | None, case: CaseNeed) -> Picked:
    """A team with its reasons, and what the next best would have been worse in."""
    broken, km = broken_wishes(team, case), km_of(team, case)
    names = " and ".join(member.id for member in team)
    wishes = "keeps every wish" if not broken else f"breaks {', '.join(broken)}"
    why = [
        f"{names}: {wishes}, {km:.0f} km, {max(member.load for member in team):.0%} taken at most before this case."
    ]
    if other is not None:
        why.append(_next_best(team, other, case))
    return Picked(
        case=case.id, members=tuple(member.id for member in team), broken=broken, km=km, why=tuple(why)
    )


def _next_best(team: Sequence[Facilitator], other: Sequence[Facilitator], case: CaseNeed) -> str:
    names = " and ".join(member.id for member in other)
    worse = sorted(set(broken_wishes(other, case)) - set(broken_wishes(team, case)))
    further = km_of(other, case) - km_of(team, case)
    busier = max(member.load for member in other) - max(member.load for member in team)
    reasons = [f"it breaks {', '.join(worse)}"] if worse else []
    reasons += [f"it is {further:.0f} km further"] if further >= 1 else []
    reasons += ["it has more work already"] if busier > 0 else []
    return f"Not {names}: {', '.join(reasons) or 'it is no better'}."


def _broken(team: Sequence[Facilitator], case: CaseNeed) -> Iterator[str]:
    need = case.team
    agencies = {member.agency for member in team}
    if need.different_agencies and len(agencies) < len(team):
        yield "different_agencies"
    if any(agencies.isdisjoint(group) for group in need.one_from_each if group):
        yield "one_from_each"
    for language in need.languages:
        if not any(language in member.languages for member in team):
            yield f"language_{language}"
    for specialism in need.specialism:
        if not any(specialism in member.specialisms for member in team):
            yield f"specialism_{specialism}"
    if need.travel_km is not None and any(
        (travel_km(m, case.districts) or 0.0) > need.travel_km for m in team
    ):
        yield "travel"
    if need.experience == "one_experienced" and len(team) > 1 and all(member.experienced for member in team):
        yield "nobody_learns"


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
